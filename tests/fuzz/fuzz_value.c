/* fuzz_value: sizes, times, addresses and what else an option may be: a byte for the kind, then
 * text. */
#include <string.h>

#include "config/option.h"
#include "config/value.h"
#include "fuzz.h"

static void read_value(unsigned kind, const char *text)
{
	struct address address;
	uint64_t n = 0;
	int64_t instant_ns = 0;

	switch (kind) {
	case 0:
		(void)value_number(&n, text);
		break;
	case 1:
		(void)value_size(&n, text);
		break;
	case 2:
		(void)value_time(&n, text);
		break;
	case 3:
		(void)value_address(&address, text);
		break;
	case 4:
		FUZZ_CHECK(!value_mac(&n, text) || !(n >> 48));
		break;
	default:
		FUZZ_CHECK(!value_instant(&instant_ns, text) || instant_ns >= 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct config config, zero;
	struct err err;
	char text[256] = "";

	if (!size || size > sizeof(text) || memchr(data + 1, 0, size - 1))
		return 0;
	memcpy(text, data + 1, size - 1);
	if (*data < 6) {
		read_value(*data, text);
		return 0;
	}
	const struct option_row *row = &option_rows[*data % option_n];
	config = zero;
	if (!option_set(&config, row, text, &err)) {
		FUZZ_CHECK(option_is_equal(row, &config, &config));
		(void)option_is_equal(row, &config, &zero);
	}
	option_clear(&config, row);
	return 0;
}
