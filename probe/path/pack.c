#include "path/pack.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#define ZSTD_STATIC_LINKING_ONLY /* contexts in memory that is counted and taken at start */
#include <zstd.h>

#include "base/array.h"
#include "path/block.h"
#include "path/pack_index.h"
#include "path/pack_keys.h"

/* A tail grows by a quarter. */
#define TAIL_SPARE 4
/* Shortest interface block (draft-ietf-opsawg-pcapng section 4.2): bounds their number. */
#define INTERFACE_MIN 20

struct packer {
	struct packer_config config;
	ZSTD_CCtx *zstd; /* lives in workspace */
	void *workspace;
	uint8_t *out; /* one compressed frame */
	size_t out_cap;
	struct pack_keys *keys; /* of the frame that a pack flushes */
};

/* What the seek table says of a frame. */
struct lengths {
	uint32_t packed, raw;
};

struct pack {
	struct packer *packer;
	uint8_t *pending;
	struct unpack_frame frame;           /* of what is pending; raw_len bytes of it */
	uint8_t *sessions;                   /* the same: a bit for each interface with packets */
	size_t sessions_begin, sessions_end; /* bytes of them that are not 0 */
	unsigned missing;                    /* PACK_KEYS_NO_SESSIONS, or 0 */
	struct lengths *index;               /* one entry per frame flushed */
	size_t n_frames, index_cap;          /* entries */
	uint8_t *tail; /* what pack_finish gives: room for the head, then the records */
	size_t tail_len, tail_cap, filters_len;
	uint8_t *definitions;
	size_t definitions_len, definitions_cap;
	size_t told_tail, told_definitions; /* of tail and definitions, by pack_news */
	bool is_finished;
};

static const struct unpack_frame EMPTY_FRAME = {.first_ns = UINT64_MAX};

static uint8_t *put32(uint8_t *p, size_t value)
{
	const uint32_t le = htole32((uint32_t)value);

	memcpy(p, &le, sizeof(le));
	return p + sizeof(le);
}

static uint8_t *put64(uint8_t *p, uint64_t value)
{
	const uint64_t le = htole64(value);

	memcpy(p, &le, sizeof(le));
	return p + sizeof(le);
}

static uint8_t *put16(uint8_t *p, size_t value)
{
	const uint16_t le = htole16((uint16_t)value);

	memcpy(p, &le, sizeof(le));
	return p + sizeof(le);
}

static size_t pending_cap(const struct packer_config *config)
{
	return config->frame_len + PACK_BLOCK_MAX;
}

/* Bytes of one bit for each interface. */
static size_t sessions_cap(const struct packer_config *config)
{
	return config->definitions_max / INTERFACE_MIN / 8 + 1;
}

/* ---- packer ---- */

size_t packer_memory(const struct packer_config *config)
{
	return sizeof(struct packer) + ZSTD_estimateCCtxSize(config->level) +
	       ZSTD_compressBound(pending_cap(config)) + pack_keys_memory(pending_cap(config));
}

static int packer_alloc(struct packer *packer, const struct packer_config *config)
{
	const size_t workspace_len = ZSTD_estimateCCtxSize(config->level);

	packer->out_cap = ZSTD_compressBound(pending_cap(config));
	packer->out = malloc(packer->out_cap);
	packer->workspace = malloc(workspace_len);
	if (!packer->out || !packer->workspace)
		return -ENOMEM;
	packer->zstd = ZSTD_initStaticCCtx(packer->workspace, workspace_len);
	return packer->zstd ? 0 : -ENOMEM;
}

int packer_open(struct packer **out, const struct packer_config *config, struct err *err)
{
	int ret;

	if (config->frame_len == 0 || config->frame_len > PACK_FRAME_MAX - PACK_BLOCK_MAX)
		return err_set(err, -EINVAL, "a frame of %zu bytes is not possible: 1 to %u are",
			       config->frame_len, PACK_FRAME_MAX - PACK_BLOCK_MAX);
	if (config->level < ZSTD_minCLevel() || config->level > ZSTD_maxCLevel())
		return err_set(err, -EINVAL, "zstd has no level %d: %d to %d are possible",
			       config->level, ZSTD_minCLevel(), ZSTD_maxCLevel());
	if (config->frames_max > PACK_FRAMES_MAX ||
	    config->definitions_max > PACK_DEFINITIONS_MAX ||
	    config->filters_max > PACK_FILTERS_MAX)
		return err_set(err, -EINVAL,
			       "an index of %zu frames and %zu + %zu bytes is too large",
			       config->frames_max, config->definitions_max, config->filters_max);
	struct packer *packer = calloc(1, sizeof(*packer));
	if (!packer)
		return err_set(err, -ENOMEM, "out of memory");
	packer->config = *config;
	ret = pack_keys_open(&packer->keys, pending_cap(config), err);
	if (ret)
		goto fail;
	ret = packer_alloc(packer, config);
	if (ret) {
		err_set(err, ret, "out of memory: a zstd level %d compressor needs %zu bytes",
			config->level, packer_memory(config));
		goto fail;
	}
	/* Neither can fail: the level is in range. */
	(void)ZSTD_CCtx_setParameter(packer->zstd, ZSTD_c_compressionLevel, config->level);
	(void)ZSTD_CCtx_setParameter(packer->zstd, ZSTD_c_checksumFlag, 1);
	*out = packer;
	return 0;
fail:
	packer_close(packer);
	return ret;
}

void packer_close(struct packer *packer)
{
	if (!packer)
		return;
	pack_keys_close(packer->keys);
	free(packer->workspace);
	free(packer->out);
	free(packer);
}

void packer_set_level(struct packer *packer, int level)
{
	assert(level <= packer->config.level);
	(void)ZSTD_CCtx_setParameter(packer->zstd, ZSTD_c_compressionLevel, level);
}

int packer_level_min(void)
{
	return ZSTD_minCLevel();
}

/* ---- pack ---- */

static size_t seek_table_len(size_t frames)
{
	return PACK_SEEK_HEAD + frames * PACK_SEEK_ENTRY + PACK_SEEK_END;
}

size_t pack_memory(const struct packer_config *config)
{
	const size_t frames = config->frames_max, definitions = config->definitions_max;
	const size_t tail = PACK_INDEX_HEAD + frames * PACK_INDEX_RECORD + config->filters_max +
			    definitions + seek_table_len(frames);

	/* Doubling leaves up to half of an array unused; none begins below 64 elements. */
	return sizeof(struct pack) + pending_cap(config) + sessions_cap(config) +
	       (2 * frames + 64) * sizeof(struct lengths) + 2 * definitions + 64 + tail +
	       tail / TAIL_SPARE;
}

/* Not by doubling: it is most of what an idle session's file takes. */
static int grow_tail(struct pack *pack, size_t want)
{
	const size_t cap = want + want / TAIL_SPARE;

	if (want <= pack->tail_cap)
		return 0;
	uint8_t *bigger = realloc(pack->tail, cap);
	if (!bigger)
		return -ENOMEM;
	pack->tail = bigger;
	pack->tail_cap = cap;
	return 0;
}

static int pack_alloc(struct pack *pack, struct err *err)
{
	const struct packer_config *config = &pack->packer->config;

	pack->pending = malloc(pending_cap(config));
	pack->sessions = calloc(1, sessions_cap(config));
	if (!pack->pending || !pack->sessions || grow_tail(pack, PACK_INDEX_HEAD))
		return err_set(err, -ENOMEM, "out of memory");
	return 0;
}

int pack_open(struct pack **out, struct packer *packer, struct err *err)
{
	struct pack *pack = calloc(1, sizeof(*pack));

	if (!pack)
		return err_set(err, -ENOMEM, "out of memory");
	pack->packer = packer;
	pack->frame = EMPTY_FRAME;
	pack->sessions_begin = SIZE_MAX;
	pack->tail_len = pack->told_tail = PACK_INDEX_HEAD;
	const int ret = pack_alloc(pack, err);
	if (ret) {
		pack_close(pack);
		return ret;
	}
	*out = pack;
	return 0;
}

void pack_close(struct pack *pack)
{
	if (!pack)
		return;
	free(pack->sessions);
	free(pack->tail);
	free(pack->definitions);
	free(pack->index);
	free(pack->pending);
	free(pack);
}

void pack_add_other(struct pack *pack, const uint8_t *block, size_t len)
{
	assert(!pack_is_full(pack) && len <= PACK_BLOCK_MAX && !pack->is_finished);
	memcpy(pack->pending + pack->frame.raw_len, block, len);
	pack->frame.raw_len += (uint32_t)len;
}

static void note_session(struct pack *pack, uint32_t interface)
{
	const size_t at = interface / 8;

	if (at >= sessions_cap(&pack->packer->config)) { /* never declared */
		pack->missing |= PACK_KEYS_NO_SESSIONS;
		return;
	}
	pack->sessions[at] |= (uint8_t)(1u << interface % 8);
	if (at < pack->sessions_begin)
		pack->sessions_begin = at;
	if (at >= pack->sessions_end)
		pack->sessions_end = at + 1;
}

void pack_add_packet(struct pack *pack, const uint8_t *block, size_t len, uint64_t time_ns)
{
	struct unpack_frame *frame = &pack->frame;

	pack_add_other(pack, block, len);
	frame->packets++;
	if (time_ns < frame->first_ns)
		frame->first_ns = time_ns;
	if (time_ns > frame->last_ns)
		frame->last_ns = time_ns;
	note_session(pack, block_packet_interface(block));
}

int pack_add_definition(struct pack *pack, const uint8_t *block, size_t len, size_t names_len)
{
	const size_t max = pack->packer->config.definitions_max;
	const bool repeats_names = pack->definitions_len + len <= max / 2;
	const size_t repeated = repeats_names ? len : len - names_len;
	const size_t want = pack->definitions_len + repeated;

	if (want > max)
		return -ENOBUFS;
	if (array_grow((void **)&pack->definitions, &pack->definitions_cap, want, 1))
		return -ENOMEM;
	memcpy(pack->definitions + pack->definitions_len, block, repeated);
	pack->definitions_len = want;
	pack_add_other(pack, block, len);
	return 0;
}

bool pack_is_full(const struct pack *pack)
{
	return pack->frame.raw_len >= pack->packer->config.frame_len;
}

bool pack_is_exhausted(const struct pack *pack)
{
	const struct packer_config *c = &pack->packer->config;
	/* Of one statistics block for each interface, besides a frame that was full before. */
	const size_t statistics =
		c->definitions_max / INTERFACE_MIN * BLOCK_STATISTICS_MAX / c->frame_len;
	/* A tick: statistics on top of a full frame, what is left, padding. Then the end:
	 * statistics, what is left. A packet adds less: two, when its definition fills one. */
	const size_t last_frames = (1 + statistics + 1 + 1) + (statistics + 1);

	return pack->n_frames + last_frames > c->frames_max;
}

size_t pack_pending(const struct pack *pack)
{
	return pack->frame.raw_len;
}

/* Room for one more entry of the index, with a record of record_len bytes. */
static int grow_index(struct pack *pack, size_t record_len)
{
	if (pack->n_frames == pack->packer->config.frames_max)
		return -ENOBUFS;
	if (array_grow((void **)&pack->index, &pack->index_cap, pack->n_frames + 1,
		       sizeof(*pack->index)) ||
	    grow_tail(pack, pack->tail_len + record_len))
		return -ENOMEM;
	return 0;
}

/* The record's second half. What a frame may hold is left out once the file's filters are full. */
static uint8_t *put_held(struct pack *pack, uint8_t *p)
{
	const struct pack_keys *keys = pack->packer->keys;
	const bool has_sessions = pack->sessions_end > 0;
	const size_t room = pack->packer->config.filters_max - pack->filters_len;
	const size_t at = has_sessions ? pack->sessions_begin : 0;
	size_t sessions = pack->sessions_end - at, filter = pack_keys_filter_len(keys);
	unsigned missing = pack->missing | pack_keys_missing(keys);

	if (sessions > room) {
		sessions = 0;
		missing |= PACK_KEYS_NO_SESSIONS;
	}
	if (filter > room - sessions) {
		filter = 0;
		missing |= PACK_KEYS_NO_ADDRESSES | PACK_KEYS_NO_FLOWS;
	}
	p = put16(put16(put32(p, filter), at), sessions);
	p = put32(p, missing);
	memcpy(p, pack->sessions + at, sessions);
	pack_keys_filter(keys, pack->n_frames, p + sessions, filter);
	pack->filters_len += sessions + filter;
	return p + sessions + filter;
}

static void put_record(struct pack *pack)
{
	uint8_t *p = pack->tail + pack->tail_len;

	p = put64(p, pack->frame.first_ns);
	p = put64(p, pack->frame.last_ns);
	p = put_held(pack, put32(p, pack->frame.packets));
	pack->tail_len = (size_t)(p - pack->tail);
}

/* The next frame is empty. */
static void clear(struct pack *pack)
{
	if (pack->sessions_end)
		memset(pack->sessions + pack->sessions_begin, 0,
		       pack->sessions_end - pack->sessions_begin);
	pack->sessions_begin = SIZE_MAX;
	pack->sessions_end = 0;
	pack->missing = 0;
	pack->frame = EMPTY_FRAME;
}

int pack_flush(struct pack *pack, const uint8_t **out, size_t *len)
{
	struct packer *packer = pack->packer;

	*len = 0;
	if (pack->frame.raw_len == 0)
		return 0;
	pack_keys_take(packer->keys, pack->pending, pack->frame.raw_len);
	const int ret = grow_index(pack, PACK_INDEX_RECORD + pack->sessions_end +
						 pack_keys_filter_len(packer->keys));
	if (ret)
		return ret;
	const size_t packed = ZSTD_compress2(packer->zstd, packer->out, packer->out_cap,
					     pack->pending, pack->frame.raw_len);
	if (ZSTD_isError(packed))
		return -EIO;
	put_record(pack);
	pack->index[pack->n_frames++] = (struct lengths){(uint32_t)packed, pack->frame.raw_len};
	clear(pack);
	*out = packer->out;
	*len = packed;
	return 0;
}

int pack_pad(struct pack *pack, size_t len, const uint8_t **out)
{
	uint8_t *p = pack->packer->out;

	assert(pack->frame.raw_len == 0 && len >= PACK_PADDING_MIN && len <= PACK_PADDING_MAX);
	const int ret = grow_index(pack, PACK_INDEX_RECORD);
	if (ret)
		return ret;
	memset(pack->tail + pack->tail_len, 0, PACK_INDEX_RECORD);
	(void)put64(pack->tail + pack->tail_len, EMPTY_FRAME.first_ns);
	pack->tail_len += PACK_INDEX_RECORD;
	pack->index[pack->n_frames++] = (struct lengths){(uint32_t)len, 0};
	p = put32(p, PACK_PADDING_MAGIC);
	p = put32(p, len - PACK_PADDING_MIN);
	memset(p, 0, len - PACK_PADDING_MIN);
	*out = pack->packer->out;
	return 0;
}

/* The head before the records and the definitions behind them. */
static uint8_t *put_index(struct pack *pack)
{
	uint8_t *p = pack->tail, *const end = pack->tail + pack->tail_len;
	const size_t records = pack->tail_len - PACK_INDEX_HEAD;

	p = put32(p, PACK_INDEX_MAGIC);
	p = put32(p, PACK_INDEX_HEAD - 8 + records + pack->definitions_len);
	p = put32(p, PACK_INDEX_VERSION);
	p = put32(p, pack->n_frames);
	(void)put32(p, records);
	if (pack->definitions_len)
		memcpy(end, pack->definitions, pack->definitions_len);
	return end + pack->definitions_len;
}

static uint8_t *put_lengths(uint8_t *p, const struct lengths *lengths)
{
	return put32(put32(p, lengths->packed), lengths->raw);
}

int pack_news(struct pack *pack, uint8_t *out, size_t cap, size_t *len)
{
	const size_t record = pack->tail_len - pack->told_tail;
	const size_t definitions = pack->definitions_len - pack->told_definitions;
	const size_t want = PACK_SEEK_ENTRY + record + definitions;

	assert(pack->n_frames > 0 && record > 0);
	if (want > cap)
		return -ENOBUFS;
	uint8_t *p = put_lengths(out, &pack->index[pack->n_frames - 1]);
	memcpy(p, pack->tail + pack->told_tail, record);
	if (definitions)
		memcpy(p + record, pack->definitions + pack->told_definitions, definitions);
	pack->told_tail = pack->tail_len;
	pack->told_definitions = pack->definitions_len;
	*len = want;
	return 0;
}

static uint8_t *put_seek_table(uint8_t *p, const struct pack *pack)
{
	p = put32(p, PACK_SEEK_MAGIC);
	p = put32(p, pack->n_frames * PACK_SEEK_ENTRY + PACK_SEEK_END);
	for (size_t i = 0; i < pack->n_frames; i++)
		p = put_lengths(p, &pack->index[i]);
	p = put32(p, pack->n_frames);
	*p++ = 0; /* descriptor: no checksums, the frames have their own */
	return put32(p, PACK_SEEK_END_MAGIC);
}

int pack_finish(struct pack *pack, const uint8_t **out, size_t *len)
{
	const size_t want = pack->tail_len + pack->definitions_len + seek_table_len(pack->n_frames);

	assert(pack->frame.raw_len == 0 && !pack->is_finished);
	if (grow_tail(pack, want))
		return -ENOMEM;
	const uint8_t *end = put_seek_table(put_index(pack), pack);
	assert(end == pack->tail + want);
	pack->is_finished = true;
	*out = pack->tail;
	*len = want;
	return 0;
}
