#include "serve/gzip.h"

#include <stdlib.h>
#include <zlib.h>

/* Header and trailer, RFC 1952 section 2.3. */
#define FRAME_LEN 18
/* zlib.h, deflateInit2: the largest window, and gzip's frame. With the fastest level a page of 300
 * sessions goes from 766 to 62 KB. */
#define WINDOW (15 + 16)

size_t gzip_memory(size_t len)
{
	return compressBound(len) + FRAME_LEN;
}

bool gzip_text(char **text, size_t *len)
{
	z_stream z = {0};
	char *out = malloc(gzip_memory(*len));

	if (!out ||
	    deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
		free(out);
		return false;
	}
	z.next_in = (Bytef *)*text;
	z.avail_in = (uInt)*len;
	z.next_out = (Bytef *)out;
	z.avail_out = (uInt)gzip_memory(*len);
	const bool done = deflate(&z, Z_FINISH) == Z_STREAM_END;
	(void)deflateEnd(&z);
	char *shorter = done ? realloc(out, z.total_out) : NULL;
	if (!shorter) {
		free(out);
		return false;
	}
	free(*text);
	*text = shorter;
	*len = z.total_out;
	return true;
}
