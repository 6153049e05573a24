#include "path/pack_index.h"

#include <errno.h>
#include <stdlib.h>
#include <zstd.h>

#include "base/array.h"
#include "path/block_read.h"

static uint64_t get64(const uint8_t *p)
{
	return pack_get32(p) | (uint64_t)pack_get32(p + 4) << 32;
}

int pack_index_err(struct err *err, int ret, uint64_t offset)
{
	return err_set(err, ret, "cannot read its content at byte %llu: %s",
		       (unsigned long long)offset,
		       ret == -EBADMSG ? "it was altered" : strerror(-ret));
}

/* Reads [offset, offset + len) into new memory. */
static int read_part(const struct unpack *unpack, uint64_t offset, size_t len, uint8_t **out,
		     struct err *err)
{
	uint8_t *part = malloc(len);

	if (!part)
		return err_set(err, -ENOMEM, "out of memory");
	const ssize_t got = unpack->source.read(unpack->source.arg, offset, part, len);
	if (got == (ssize_t)len) {
		*out = part;
		return 0;
	}
	free(part);
	return pack_index_err(err, got < 0 ? (int)got : -EIO, offset);
}

static bool is_padding(const struct unpack_frame *frame)
{
	return frame->raw_len == 0 && frame->packets == 0 && frame->len >= PACK_PADDING_MIN &&
	       frame->len <= PACK_PADDING_MAX;
}

static bool frame_is_plausible(const struct unpack_frame *frame)
{
	return frame->raw_len >= PACK_BLOCK_MIN && frame->raw_len <= PACK_FRAME_MAX &&
	       frame->len > 0 && frame->len <= ZSTD_compressBound(frame->raw_len) &&
	       frame->packets <= frame->raw_len / PACK_BLOCK_MIN &&
	       (frame->packets > 0) == (frame->first_ns <= frame->last_ns);
}

/* True when the bytes are nothing, or a section block, and interface and names blocks behind it. */
static bool definitions_are_sound(const uint8_t *p, size_t len)
{
	const uint8_t *const start = p, *const end = p + len;
	struct block_reader *reader;
	struct err ignored;

	if (block_reader_open(&reader, &ignored))
		return false;
	while (p < end) {
		struct block block;
		size_t used;

		if (block_read(reader, p, (size_t)(end - p), &block, &used, &ignored) ||
		    (p > start && block.kind != BLOCK_INTERFACE && block.kind != BLOCK_NAMES))
			break;
		p += used;
	}
	block_reader_close(reader);
	return p == end;
}

/* Readers need not know of padding. */
static void forget_padding(struct unpack *unpack)
{
	size_t n = 0;

	for (size_t i = 0; i < unpack->n_frames; i++)
		if (unpack->frames[i].raw_len)
			unpack->frames[n++] = unpack->frames[i];
	unpack->n_frames = n;
}

/* Takes the record at *p apart, which then is behind it. */
static bool record_parse(struct unpack_frame *frame, const uint8_t **p, const uint8_t *end)
{
	const uint8_t *const record = *p;

	if ((size_t)(end - record) < PACK_INDEX_RECORD)
		return false;
	const size_t more = pack_sessions_len(record) + pack_filter_len(record);
	if (more > (size_t)(end - record) - PACK_INDEX_RECORD)
		return false;
	frame->first_ns = get64(record);
	frame->last_ns = get64(record + 8);
	frame->packets = pack_get32(record + 16);
	frame->record = record;
	*p = record + PACK_INDEX_RECORD + more;
	return frame_is_plausible(frame) || is_padding(frame);
}

/* Takes the index apart, of len bytes. False: it is none, or contradicts itself. */
static bool index_parse(struct unpack *unpack, const uint8_t *index, size_t len)
{
	const uint8_t *p = index + PACK_INDEX_HEAD;
	const size_t records_len = pack_get32(index + 16);

	if (pack_get32(index) != PACK_INDEX_MAGIC || pack_get32(index + 4) != len - 8 ||
	    pack_get32(index + 8) != PACK_INDEX_VERSION ||
	    pack_get32(index + 12) != unpack->n_frames || records_len > len - PACK_INDEX_HEAD ||
	    len - PACK_INDEX_HEAD - records_len > PACK_DEFINITIONS_MAX)
		return false;
	const uint8_t *const records_end = p + records_len;
	for (size_t i = 0; i < unpack->n_frames; i++)
		if (!record_parse(&unpack->frames[i], &p, records_end))
			return false;
	unpack->definitions_len = (size_t)(index + len - records_end);
	if (p != records_end || !definitions_are_sound(records_end, unpack->definitions_len) ||
	    array_grow((void **)&unpack->definitions, &unpack->definitions_cap,
		       unpack->definitions_len, 1))
		return false;
	if (unpack->definitions_len)
		memcpy(unpack->definitions, records_end, unpack->definitions_len);
	forget_padding(unpack);
	return true;
}

/* Takes the seek table apart. Returns where the frames end, or UINT64_MAX when it is none. */
static uint64_t table_parse(struct unpack *unpack, const uint8_t *table, size_t len)
{
	const size_t n = (len - PACK_SEEK_HEAD - PACK_SEEK_END) / PACK_SEEK_ENTRY;
	uint64_t offset = 0;

	if (pack_get32(table) != PACK_SEEK_MAGIC || pack_get32(table + 4) != len - PACK_SEEK_HEAD ||
	    array_grow((void **)&unpack->frames, &unpack->frames_cap, n, sizeof(*unpack->frames)))
		return UINT64_MAX;
	for (size_t i = 0; i < n; i++) {
		const uint8_t *const entry = table + PACK_SEEK_HEAD + i * PACK_SEEK_ENTRY;

		unpack->frames[i] = (struct unpack_frame){.offset = offset,
							  .len = pack_get32(entry),
							  .raw_len = pack_get32(entry + 4),
							  .number = (uint32_t)i};
		offset += unpack->frames[i].len;
	}
	unpack->n_frames = n;
	return offset;
}

/* Length of the seek table that ends the stream; 0: none does. */
static int find_table(const struct unpack *unpack, size_t *len, struct err *err)
{
	const uint64_t size = unpack->source.size;
	uint8_t *end;

	*len = 0;
	if (size < PACK_SEEK_HEAD + PACK_SEEK_END)
		return 0;
	const int ret = read_part(unpack, size - PACK_SEEK_END, PACK_SEEK_END, &end, err);
	if (ret)
		return ret;
	const uint32_t n = pack_get32(end);
	const size_t want = PACK_SEEK_HEAD + (size_t)n * PACK_SEEK_ENTRY + PACK_SEEK_END;
	if (n <= PACK_FRAMES_MAX && want <= size && end[4] == 0 &&
	    pack_get32(end + 5) == PACK_SEEK_END_MAGIC)
		*len = want;
	free(end);
	return 0;
}

/* Nothing in the index is believed before all of it fits the stream's size. */
int pack_index_read(struct unpack *unpack, struct err *err)
{
	const uint64_t size = unpack->source.size;
	size_t table_len;
	uint8_t *part;

	int ret = find_table(unpack, &table_len, err);
	if (ret || table_len == 0)
		return ret;
	ret = read_part(unpack, size - table_len, table_len, &part, err);
	if (ret)
		return ret;
	const uint64_t frames_end = table_parse(unpack, part, table_len);
	free(part);
	if (frames_end > size - table_len)
		return 0;
	const uint64_t index_len = size - table_len - frames_end;
	if (index_len > PACK_INDEX_HEAD + PACK_FRAMES_MAX * PACK_INDEX_RECORD + PACK_FILTERS_MAX +
				PACK_DEFINITIONS_MAX ||
	    index_len < PACK_INDEX_HEAD)
		return 0;
	ret = read_part(unpack, frames_end, (size_t)index_len, &unpack->index, err);
	if (ret)
		return ret;
	unpack->is_indexed = index_parse(unpack, unpack->index, (size_t)index_len);
	return 0;
}

/* ---- beside an open file ---- */

static bool add_definitions(struct unpack *unpack, const uint8_t *definitions, size_t len)
{
	if (len > PACK_DEFINITIONS_MAX - unpack->definitions_len ||
	    array_grow((void **)&unpack->definitions, &unpack->definitions_cap,
		       unpack->definitions_len + len, 1))
		return false;
	if (len)
		memcpy(unpack->definitions + unpack->definitions_len, definitions, len);
	unpack->definitions_len += len;
	return true;
}

/* Takes the entry of the frame at offset. False: it contradicts itself, or there is no room. */
static bool entry_parse(struct unpack *unpack, const uint8_t *entry, size_t len, uint64_t offset)
{
	const uint8_t *p = entry + PACK_SEEK_ENTRY, *const end = entry + len;

	if (len < PACK_SEEK_ENTRY || unpack->n_frames == PACK_FRAMES_MAX ||
	    array_grow((void **)&unpack->frames, &unpack->frames_cap, unpack->n_frames + 1,
		       sizeof(*unpack->frames)))
		return false;
	struct unpack_frame frame = {.offset = offset,
				     .len = pack_get32(entry),
				     .raw_len = pack_get32(entry + 4),
				     .number = (uint32_t)unpack->n_frames};
	if (!record_parse(&frame, &p, end) || !add_definitions(unpack, p, (size_t)(end - p)))
		return false;
	unpack->frames[unpack->n_frames++] = frame;
	return true;
}

/* The last frame is longer than the source. */
static void keep_part(struct unpack *unpack, uint64_t offset, size_t definitions_len)
{
	struct unpack_frame *const last = &unpack->frames[unpack->n_frames - 1];

	last->len = (uint32_t)(unpack->source.size - offset);
	last->packets = 0;
	unpack->is_cut = unpack->is_unsettled = last->len > 0 && last->raw_len > 0;
	unpack->settled_len = definitions_len;
	if (unpack->is_unsettled)
		return;
	unpack->n_frames--;
	unpack->definitions_len = definitions_len;
}

uint64_t pack_index_read_entries(struct unpack *unpack, size_t len)
{
	const uint8_t *p = unpack->index;
	uint64_t offset = 0;

	for (size_t entry_len; len >= 4; p += 4 + entry_len, len -= 4 + entry_len) {
		const size_t before = unpack->definitions_len;

		entry_len = pack_get32(p);
		if (entry_len > len - 4 || !entry_parse(unpack, p + 4, entry_len, offset))
			break;
		const uint32_t frame_len = unpack->frames[unpack->n_frames - 1].len;
		if (frame_len > unpack->source.size - offset) {
			keep_part(unpack, offset, before);
			break;
		}
		offset += frame_len;
	}
	if (unpack->definitions_len &&
	    !definitions_are_sound(unpack->definitions, unpack->definitions_len)) {
		unpack->n_frames = unpack->definitions_len = 0;
		unpack->is_cut = unpack->is_unsettled = false;
		return 0;
	}
	forget_padding(unpack);
	return offset;
}
