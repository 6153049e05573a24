#include "base/plain.h"

#include <stdbool.h>

/* Controls from 0x80 on (ISO 6429) stand alone, or behind 0xc2 in UTF-8; behind others those bytes
 * are part of a letter. */
static bool is_control(unsigned char before, unsigned char c)
{
	return c < ' ' || c == 0x7f || (c >= 0x80 && c < 0xa0 && (before < 0x80 || before == 0xc2));
}

char *plain_text(char *text)
{
	unsigned char before = 0;

	for (unsigned char *p = (unsigned char *)text; *p; p++) {
		const unsigned char c = *p;
		if (is_control(before, c))
			*p = '?';
		before = c;
	}
	return text;
}
