/*
 * fuzz_keys: files of age recipients and of identities; no bytes are no file, a folder or an empty
 * one.
 */
#define _GNU_SOURCE /* memmem */

#include <stdbool.h>
#include <string.h>

#include "config/recipients.h"
#include "fuzz.h"

/* Reading them takes locked memory, which costs more than all else: without a key, some do. */
static bool is_worth_as_identities(const uint8_t *data, size_t size)
{
	static const char prefix[] = "AGE-SECRET-KEY-1";

	return size % 16 == 0 || memmem(data, size, prefix, sizeof(prefix) - 1);
}

static void take(const char *path, bool as_identities)
{
	struct seal_recipient recipients[SEAL_RECIPIENTS_MAX], again;
	struct seal_identity identities[4];
	unsigned n = 0;
	char text[64];
	struct err err;

	if (!recipients_read(recipients, &n, path, &err)) {
		seal_recipient_format(&recipients[0], text);
		FUZZ_CHECK(!seal_recipient_parse(&again, text, &err));
		FUZZ_CHECK(!memcmp(&again, &recipients[0], sizeof(again)));
	}
	if (as_identities && seal_identities_read(identities, 4, path, &err) > 0)
		(void)seal_identity_recipient(&identities[0], &again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size) {
		take("/nonexistent", true);
		take("/", true);
	}
	take(fuzz_file(data, size), is_worth_as_identities(data, size));
	return 0;
}
