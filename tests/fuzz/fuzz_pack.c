/* fuzz_pack: a file of zstd frames with their index, or without. */
#include <string.h>

#include "fuzz.h"
#include "path/pack.h"

/* Longer frames are refused by nobody and take long. */
#define FRAME_MAX (1u << 20)

struct bytes {
	const uint8_t *data;
	size_t size;
};

static ssize_t read_bytes(void *arg, uint64_t offset, void *buf, size_t len)
{
	const struct bytes *b = arg;

	if (offset >= b->size)
		return 0;
	if (len > b->size - offset)
		len = b->size - offset;
	memcpy(buf, b->data + offset, len);
	return (ssize_t)len;
}

static void read_frames(struct unpack *unpack)
{
	struct err err;

	for (unsigned i = 0; i < unpack_frames(unpack); i++) {
		const struct unpack_frame *frame = unpack_frame(unpack, i);
		if (frame->raw_len > FRAME_MAX)
			continue;
		uint8_t *out = malloc(frame->raw_len ? frame->raw_len : 1);
		FUZZ_CHECK(out);
		(void)unpack_read(unpack, i, out, &err);
		free(out);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes bytes = {data, size};
	const struct unpack_source source = {read_bytes, &bytes, size};
	struct unpack *unpack;
	struct err err;
	size_t len;

	if (unpack_open(&unpack, &source, &err))
		return 0;
	FUZZ_CHECK(!unpack_is_indexed(unpack) || !unpack_is_cut(unpack));
	(void)unpack_interfaces(unpack, &len);
	FUZZ_CHECK(len <= PACK_DEFINITIONS_MAX);
	read_frames(unpack);
	unpack_close(unpack);
	return 0;
}
