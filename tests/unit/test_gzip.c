#include "serve/gzip.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define LEN 100000u

/* Compresses and, with zlib's own reader of gzip, unpacks again. */
static void there_and_back(const char *original, size_t len)
{
	static char back[LEN];
	char *text = malloc(len);
	size_t packed = len;
	z_stream z = {0};

	memcpy(text, original, len);
	cr_assert(gzip_text(&text, &packed));
	cr_expect_leq(packed, gzip_memory(len));
	cr_expect_eq((unsigned char)text[0], 0x1f, "RFC 1952");
	cr_assert_eq(inflateInit2(&z, 15 + 16), Z_OK);
	z.next_in = (Bytef *)text;
	z.avail_in = (uInt)packed;
	z.next_out = (Bytef *)back;
	z.avail_out = sizeof(back);
	cr_expect_eq(inflate(&z, Z_FINISH), Z_STREAM_END);
	cr_expect_eq(z.total_out, len);
	cr_expect(!memcmp(back, original, len));
	(void)inflateEnd(&z);
	free(text);
}

Test(gzip, what_is_packed_is_the_text)
{
	static char text[LEN];

	for (unsigned i = 0; i < LEN; i++)
		text[i] = (char)('a' + i % 7);
	there_and_back(text, LEN);
	there_and_back(text, 1);
}

Test(gzip, noise_stays_within_the_bound)
{
	static char noise[LEN];
	uint32_t x = 1;

	for (unsigned i = 0; i < LEN; i++)
		noise[i] = (char)((x = x * 1664525 + 1013904223) >> 24);
	there_and_back(noise, LEN);
	there_and_back(noise, 20);
}
