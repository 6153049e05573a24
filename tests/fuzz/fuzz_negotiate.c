/* fuzz_negotiate: the headers Accept and, behind a newline, Accept-Encoding. */
#include <string.h>

#include "fuzz.h"
#include "serve/negotiate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	FUZZ_CHECK(text);
	memcpy(text, data, size);
	text[size] = 0;
	char *encoding = strchr(text, '\n');
	if (encoding)
		*encoding++ = 0;
	(void)negotiate_format(*text ? text : NULL);
	(void)negotiate_gzip(encoding);
	free(text);
	return 0;
}
