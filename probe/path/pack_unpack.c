/*
 * The reading half of pack.h: the index where there is a good one, else a pass over everything.
 */
#include "path/pack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/array.h"
#include "path/block_read.h"
#include "path/pack_index.h"
#include "path/pack_keys.h"

/* What is read from the source at a time: two sealed chunks, and what zstd likes best. */
#define INPUT_LEN (128u << 10)
/* Room for the first frame of a pass, before it grows; all frames of vxprobe's share it. */
#define SCAN_LEN (64u << 10)

/* ---- a stream, decompressed piece by piece ---- */

struct input {
	const struct unpack_source *source;
	ZSTD_DCtx *zstd;
	uint64_t offset, end; /* of the source: next byte to read, and the last one allowed */
	ZSTD_inBuffer ready;
	size_t room; /* of bytes */
	uint8_t bytes[];
};

static int input_open(struct input **out, const struct unpack *unpack, uint64_t offset,
		      uint64_t end, struct err *err)
{
	const size_t room = end - offset < INPUT_LEN ? (size_t)(end - offset) : INPUT_LEN;
	struct input *input = malloc(sizeof(*input) + room);

	if (!input)
		return err_set(err, -ENOMEM, "out of memory");
	input->room = room;
	input->source = &unpack->source;
	input->offset = offset;
	input->end = end;
	input->ready = (ZSTD_inBuffer){.src = input->bytes};
	input->zstd = ZSTD_createDCtx();
	if (!input->zstd) {
		free(input);
		return err_set(err, -ENOMEM, "out of memory");
	}
	*out = input;
	return 0;
}

static void input_close(struct input *input)
{
	if (!input)
		return;
	ZSTD_freeDCtx(input->zstd);
	free(input);
}

/* Offset of the first byte that is not decompressed. */
static uint64_t input_position(const struct input *input)
{
	return input->offset - (input->ready.size - input->ready.pos);
}

/* Makes sure that bytes are ready, unless the input is at its end. */
static int input_fill(struct input *input, struct err *err)
{
	uint64_t want = input->end - input->offset;

	if (input->ready.pos < input->ready.size || want == 0)
		return 0;
	if (want > input->room)
		want = input->room;
	const ssize_t got =
		input->source->read(input->source->arg, input->offset, input->bytes, (size_t)want);
	if (got < 0)
		return pack_index_err(err, (int)got, input->offset);
	if ((uint64_t)got < want) /* the file shrank */
		input->end = input->offset + (uint64_t)got;
	input->ready.size = (size_t)got;
	input->ready.pos = 0;
	input->offset += (uint64_t)got;
	return 0;
}

static bool input_is_at_end(const struct input *input)
{
	return input_position(input) == input->end;
}

/* Decompresses until the frame ends (*whole), out is full, or the input is at its end. */
static int input_decompress(struct input *input, ZSTD_outBuffer *out, bool *whole, struct err *err)
{
	size_t room;

	do {
		const int ret = input_fill(input, err);
		if (ret)
			return ret;
		room = out->size - out->pos;
		const bool at_end = input_is_at_end(input);
		const size_t left = ZSTD_decompressStream(input->zstd, out, &input->ready);
		if (ZSTD_isError(left))
			return err_set(err, -EBADMSG, "its content is damaged before byte %llu: %s",
				       (unsigned long long)input->offset, ZSTD_getErrorName(left));
		*whole = left == 0;
		/* Without input, what zstd still held has come out unless out was too small for it.
		 */
		if (at_end && out->size > out->pos)
			return 0;
	} while (!*whole && (out->pos < out->size || !input_is_at_end(input)) && room > 0);
	return 0;
}

/* ---- a pass over all frames, where there is no index ---- */

struct scan {
	struct unpack *unpack;
	struct input *input;
	struct block_reader *reader;
	ZSTD_outBuffer raw; /* of the current frame; dst is owned */
};

/* As pack_add_definition does, names may take half of the room. */
static bool is_definition(const struct unpack *unpack, enum block_kind kind, size_t len)
{
	return kind == BLOCK_SECTION || kind == BLOCK_INTERFACE ||
	       (kind == BLOCK_NAMES && unpack->definitions_len + len <= PACK_DEFINITIONS_MAX / 2);
}

static int note_definition(struct unpack *unpack, const uint8_t *block, size_t len, struct err *err)
{
	const size_t want = unpack->definitions_len + len;

	if (want > PACK_DEFINITIONS_MAX)
		return err_set(err, -EBADMSG, "its interface blocks are over %u bytes",
			       PACK_DEFINITIONS_MAX);
	if (array_grow((void **)&unpack->definitions, &unpack->definitions_cap, want, 1))
		return err_set(err, -ENOMEM, "out of memory");
	memcpy(unpack->definitions + unpack->definitions_len, block, len);
	unpack->definitions_len = want;
	return 0;
}

static void note_packet(struct unpack_frame *frame, uint64_t time_ns)
{
	frame->packets++;
	if (time_ns < frame->first_ns)
		frame->first_ns = time_ns;
	if (time_ns > frame->last_ns)
		frame->last_ns = time_ns;
}

/* Parses the whole blocks of raw; frame->raw_len becomes their length. */
static int scan_blocks(struct scan *scan, struct unpack_frame *frame, struct err *err)
{
	const uint8_t *const raw = scan->raw.dst;
	size_t pos = 0, used;

	while (pos < scan->raw.pos) {
		struct block block;
		int ret = block_read(scan->reader, raw + pos, scan->raw.pos - pos, &block, &used,
				     err);

		if (ret == -EAGAIN)
			break;
		if (!ret && block.kind == BLOCK_SECTION && scan->unpack->definitions_len)
			ret = err_set(err, -EBADMSG, "it has a second section: split it first");
		else if (!ret && is_definition(scan->unpack, block.kind, used))
			ret = note_definition(scan->unpack, raw + pos, used, err);
		else if (!ret && block.kind == BLOCK_PACKET)
			note_packet(frame, block.packet.time_ns);
		if (ret)
			return ret;
		pos += used;
	}
	frame->raw_len = (uint32_t)pos;
	return 0;
}

static int scan_grow(struct scan *scan, struct err *err)
{
	const size_t size = scan->raw.size ? scan->raw.size * 2 : SCAN_LEN;

	if (size > PACK_FRAME_MAX)
		return err_set(
			err, -EBADMSG,
			"a zstd frame of it holds over %u MiB: try `zstd -dc` and the plain file",
			PACK_FRAME_MAX >> 20);
	void *bigger = realloc(scan->raw.dst, size);
	if (!bigger)
		return err_set(err, -ENOMEM, "out of memory");
	scan->raw.dst = bigger;
	scan->raw.size = size;
	return 0;
}

static int scan_frame(struct scan *scan, struct err *err)
{
	struct unpack *const unpack = scan->unpack;
	struct unpack_frame frame = {.first_ns = UINT64_MAX, .offset = input_position(scan->input)};
	bool whole = false;
	int ret;

	scan->raw.pos = 0;
	do {
		ret = scan->raw.pos == scan->raw.size ? scan_grow(scan, err) : 0;
		if (!ret)
			ret = input_decompress(scan->input, &scan->raw, &whole, err);
		if (ret)
			return ret;
	} while (!whole && scan->raw.pos == scan->raw.size);
	const uint64_t len = input_position(scan->input) - frame.offset;
	ret = scan_blocks(scan, &frame, err);
	if (ret)
		return ret;
	if (len > UINT32_MAX || unpack->n_frames == PACK_FRAMES_MAX ||
	    (whole && frame.raw_len < scan->raw.pos))
		return err_set(err, -EBADMSG,
			       "its zstd frames are not cut as vxprobe cuts them: try `zstd -dc`");
	unpack->is_cut = !whole;
	if (frame.raw_len == 0) /* skippable, or cut too early */
		return 0;
	frame.len = (uint32_t)len;
	if (array_grow((void **)&unpack->frames, &unpack->frames_cap, unpack->n_frames + 1,
		       sizeof(frame)))
		return err_set(err, -ENOMEM, "out of memory");
	unpack->frames[unpack->n_frames++] = frame;
	return 0;
}

/* What blocks before them have defined. */
static int read_definitions(struct scan *scan, struct err *err)
{
	const uint8_t *p = scan->unpack->definitions;
	size_t used;
	int ret = 0;

	for (size_t len = scan->unpack->definitions_len; len > 0 && !ret; p += used, len -= used) {
		struct block block;
		ret = block_read(scan->reader, p, len, &block, &used, err);
	}
	return ret;
}

/* All frames from offset on, behind those that are known. */
static int scan_from(struct unpack *unpack, uint64_t offset, struct err *err)
{
	struct scan scan = {.unpack = unpack};
	int ret = input_open(&scan.input, unpack, offset, unpack->source.size, err);

	if (!ret)
		ret = block_reader_open(&scan.reader, err);
	if (!ret)
		ret = read_definitions(&scan, err);
	while (!ret && !input_is_at_end(scan.input))
		ret = scan_frame(&scan, err);
	if (scan.reader)
		block_reader_close(scan.reader);
	input_close(scan.input);
	free(scan.raw.dst);
	return ret;
}

static int scan_all(struct unpack *unpack, struct err *err)
{
	unpack->n_frames = 0;
	unpack->definitions_len = 0;
	return scan_from(unpack, 0, err);
}

/* ---- what readers call ---- */

int unpack_open(struct unpack **out, const struct unpack_source *source, struct err *err)
{
	struct unpack *unpack = calloc(1, sizeof(*unpack));

	if (!unpack)
		return err_set(err, -ENOMEM, "out of memory");
	unpack->source = *source;
	int ret = pack_index_read(unpack, err);
	if (!ret && !unpack->is_indexed)
		ret = scan_all(unpack, err);
	if (ret) {
		unpack_close(unpack);
		return ret;
	}
	*out = unpack;
	return 0;
}

int unpack_open_part(struct unpack **out, const struct unpack_source *source, uint8_t **entries,
		     size_t len, struct err *err)
{
	struct unpack *unpack = calloc(1, sizeof(*unpack));

	if (!unpack)
		return err_set(err, -ENOMEM, "out of memory");
	unpack->source = *source;
	unpack->index = *entries;
	*entries = NULL;
	const uint64_t end = pack_index_read_entries(unpack, len);
	const int ret =
		end < source->size && !unpack->is_unsettled ? scan_from(unpack, end, err) : 0;
	if (ret) {
		unpack_close(unpack);
		return ret;
	}
	*out = unpack;
	return 0;
}

void unpack_close(struct unpack *unpack)
{
	if (!unpack)
		return;
	free(unpack->index);
	free(unpack->definitions);
	free(unpack->frames);
	free(unpack);
}

bool unpack_is_indexed(const struct unpack *unpack)
{
	return unpack->is_indexed;
}

bool unpack_is_cut(const struct unpack *unpack)
{
	return unpack->is_cut;
}

bool unpack_is_unsettled(const struct unpack *unpack, unsigned i)
{
	return unpack->is_unsettled && i + 1 == unpack->n_frames;
}

int unpack_settle(struct unpack *unpack, struct err *err)
{
	if (!unpack->is_unsettled)
		return 0;
	unpack->is_unsettled = unpack->is_cut = false;
	unpack->definitions_len = unpack->settled_len;
	return scan_from(unpack, unpack->frames[--unpack->n_frames].offset, err);
}

unsigned unpack_frames(const struct unpack *unpack)
{
	return (unsigned)unpack->n_frames;
}

const struct unpack_frame *unpack_frame(const struct unpack *unpack, unsigned i)
{
	return &unpack->frames[i];
}

bool unpack_may_have_interface(const struct unpack *unpack, unsigned i, uint32_t interface)
{
	const uint8_t *const record = unpack->frames[i].record;

	if (!record || pack_get32(record + 28) & PACK_KEYS_NO_SESSIONS)
		return true;
	const size_t begin = pack_get16(record + 24), at = interface / 8;
	return at >= begin && at - begin < pack_sessions_len(record) &&
	       record[PACK_INDEX_RECORD + at - begin] >> interface % 8 & 1;
}

static bool may_have(const struct unpack *unpack, unsigned i, uint64_t key, unsigned missing)
{
	const struct unpack_frame *const frame = &unpack->frames[i];
	const uint8_t *const record = frame->record;

	return !record || pack_get32(record + 28) & missing ||
	       pack_keys_has(record + PACK_INDEX_RECORD + pack_sessions_len(record),
			     pack_filter_len(record), frame->number, key);
}

bool unpack_may_have_address(const struct unpack *unpack, unsigned i, uint64_t key)
{
	return may_have(unpack, i, key, PACK_KEYS_NO_ADDRESSES);
}

bool unpack_may_have_flow(const struct unpack *unpack, unsigned i, uint64_t key)
{
	return may_have(unpack, i, key, PACK_KEYS_NO_FLOWS);
}

const uint8_t *unpack_interfaces(const struct unpack *unpack, size_t *len)
{
	*len = unpack->definitions_len;
	return unpack->definitions;
}

int unpack_read(struct unpack *unpack, unsigned i, uint8_t *out, struct err *err)
{
	const struct unpack_frame *const frame = &unpack->frames[i];
	const bool is_cut = unpack->is_cut && i + 1 == unpack->n_frames;
	ZSTD_outBuffer raw = {.dst = out, .size = frame->raw_len};
	struct input *input;
	bool whole;

	int ret = input_open(&input, unpack, frame->offset, frame->offset + frame->len, err);
	if (ret)
		return ret;
	ret = input_decompress(input, &raw, &whole, err);
	if (!ret && (raw.pos < raw.size || (!is_cut && !(whole && input_is_at_end(input)))))
		ret = err_set(err, -EBADMSG, "its zstd frame %u is not as long as the index says",
			      i);
	input_close(input);
	return ret;
}
