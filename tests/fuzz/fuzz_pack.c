/*
 * fuzz_pack: a file of zstd frames with their index, or without. Of 16n + 1 bytes, it was altered
 * behind its middle; of 16n + 2, it got shorter while it was read; of 16n + 3, it is open: 2 bytes
 * of length, the entries beside it, the file.
 */
#define _GNU_SOURCE /* RTLD_NEXT */

#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "fuzz.h"
#include "path/pack.h"

/* Longer frames are refused by nobody and take long. */
#define FRAME_MAX (1u << 20)

/* ---- zstd as the reader sees it: its functions are called through these ---- */

/* One context for all inputs, reset wholly in between: its memory is large enough to come from mmap
 * each time. Windows of up to 2 MiB, as of zstd -3: it would keep those of 128 MiB too. */
#define WINDOW_LOG 21
/* An input's content is cut there: a byte of input can stand for tens of thousands. */
#define CONTENT_MAX (256u << 10)

static ZSTD_DCtx *context;
static int is_lent;
static size_t content_len;

static void *real(const char *name)
{
	void *function = dlsym(RTLD_NEXT, name);

	FUZZ_CHECK(function);
	return function;
}

ZSTD_DCtx *ZSTD_createDCtx(void)
{
	if (!context)
		context = ((ZSTD_DCtx * (*)(void)) real("ZSTD_createDCtx"))();
	FUZZ_CHECK(context && !is_lent++);
	(void)ZSTD_DCtx_reset(context, ZSTD_reset_session_and_parameters);
	(void)ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, WINDOW_LOG);
	return context;
}

size_t ZSTD_freeDCtx(ZSTD_DCtx *dctx)
{
	FUZZ_CHECK(dctx == context && is_lent--);
	return 0;
}

size_t ZSTD_decompressStream(ZSTD_DStream *stream, ZSTD_outBuffer *out, ZSTD_inBuffer *in)
{
	static size_t (*decompress)(ZSTD_DStream *, ZSTD_outBuffer *, ZSTD_inBuffer *);
	const size_t before = out->pos;

	if (!decompress)
		decompress = real("ZSTD_decompressStream");
	const size_t left = decompress(stream, out, in);
	content_len += out->pos - before;
	return content_len > CONTENT_MAX ? (size_t)-ZSTD_error_memory_allocation : left;
}

/* ---- the input ---- */

struct bytes {
	const uint8_t *data;
	size_t size;
	size_t altered; /* the first such byte */
};

static ssize_t read_bytes(void *arg, uint64_t offset, void *buf, size_t len)
{
	const struct bytes *b = arg;

	if (offset >= b->size)
		return 0;
	if (len > b->size - offset)
		len = b->size - offset;
	if (offset + len > b->altered)
		return -EBADMSG;
	memcpy(buf, b->data + offset, len);
	return (ssize_t)len;
}

static void read_frames(struct unpack *unpack)
{
	struct err err;

	for (unsigned i = 0; i < unpack_frames(unpack); i++) {
		const struct unpack_frame *frame = unpack_frame(unpack, i);
		(void)unpack_may_have_interface(unpack, i, frame->packets);
		(void)unpack_may_have_address(unpack, i, frame->first_ns);
		(void)unpack_may_have_flow(unpack, i, frame->last_ns);
		if (frame->raw_len > FRAME_MAX)
			continue;
		uint8_t *out = malloc(frame->raw_len ? frame->raw_len : 1);
		FUZZ_CHECK(out);
		(void)unpack_read(unpack, i, out, &err);
		free(out);
	}
}

static void read_part(const uint8_t *data, size_t size)
{
	const size_t want = (size_t)(data[0] | data[1] << 8);
	const size_t len = want < size - 2 ? want : size - 2;
	struct bytes bytes = {data + 2 + len, size - 2 - len, size - 2 - len};
	const struct unpack_source source = {read_bytes, &bytes, bytes.size};
	uint8_t *entries = malloc(len ? len : 1);
	struct unpack *unpack;
	struct err err;

	FUZZ_CHECK(entries);
	memcpy(entries, data + 2, len);
	if (unpack_open_part(&unpack, &source, &entries, len, &err))
		return;
	FUZZ_CHECK(!entries && !unpack_is_indexed(unpack));
	if (!unpack_settle(unpack, &err))
		read_frames(unpack);
	unpack_close(unpack);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes bytes = {data, size % 16 == 2 ? size / 2 : size,
			      size % 16 == 1 ? size / 2 : size};
	const struct unpack_source source = {read_bytes, &bytes, size};
	struct unpack *unpack;
	struct err err;
	size_t len;

	content_len = 0;
	if (size % 16 == 3) {
		read_part(data, size);
		return 0;
	}
	if (unpack_open(&unpack, &source, &err))
		return 0;
	FUZZ_CHECK(!unpack_is_indexed(unpack) || !unpack_is_cut(unpack));
	(void)unpack_interfaces(unpack, &len);
	FUZZ_CHECK(len <= PACK_DEFINITIONS_MAX);
	read_frames(unpack);
	unpack_close(unpack);
	return 0;
}
