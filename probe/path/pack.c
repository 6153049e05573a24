#include "path/pack.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#define ZSTD_STATIC_LINKING_ONLY /* contexts in memory that is counted and taken at start */
#include <zstd.h>

#include "base/array.h"

/* Longest interface block that this probe writes: texts of 64, 384 and 160 bytes, fixed fields. */
#define DEFINITION_MAX 768

struct packer {
	struct packer_config config;
	ZSTD_CCtx *zstd; /* lives in workspace */
	void *workspace;
	uint8_t *out; /* one compressed frame */
	size_t out_cap;
};

struct pack {
	struct packer *packer;
	uint8_t *pending;
	struct unpack_frame frame;  /* of what is pending; raw_len bytes of it */
	struct unpack_frame *index; /* one entry per frame flushed */
	size_t n_frames, index_cap; /* entries */
	uint8_t *definitions;
	size_t definitions_len, definitions_cap;
	uint8_t *tail; /* what pack_finish gave */
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

static size_t pending_cap(const struct packer_config *config)
{
	return config->frame_len + PACK_BLOCK_MAX;
}

/* ---- packer ---- */

size_t packer_memory(const struct packer_config *config)
{
	return sizeof(struct packer) + ZSTD_estimateCCtxSize(config->level) +
	       ZSTD_compressBound(pending_cap(config));
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
	if (config->frames_max > PACK_FRAMES_MAX || config->definitions_max > PACK_DEFINITIONS_MAX)
		return err_set(err, -EINVAL, "an index of %zu frames and %zu bytes is too large",
			       config->frames_max, config->definitions_max);
	struct packer *packer = calloc(1, sizeof(*packer));
	if (!packer)
		return err_set(err, -ENOMEM, "out of memory");
	packer->config = *config;
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
	free(packer->workspace);
	free(packer->out);
	free(packer);
}

/* ---- pack ---- */

static size_t tail_len(size_t frames, size_t definitions_len)
{
	return PACK_INDEX_HEAD + frames * PACK_INDEX_ENTRY + definitions_len + PACK_SEEK_HEAD +
	       frames * PACK_SEEK_ENTRY + PACK_SEEK_END;
}

size_t pack_memory(const struct packer_config *config)
{
	const size_t frames = config->frames_max, definitions = config->definitions_max;

	/* Doubling leaves up to half of each array unused; neither begins below 64 elements. */
	return sizeof(struct pack) + pending_cap(config) +
	       (2 * frames + 64) * sizeof(struct unpack_frame) + 2 * definitions + 64 +
	       tail_len(frames, definitions);
}

int pack_open(struct pack **out, struct packer *packer, struct err *err)
{
	struct pack *pack = calloc(1, sizeof(*pack));

	if (!pack)
		return err_set(err, -ENOMEM, "out of memory");
	pack->packer = packer;
	pack->frame = EMPTY_FRAME;
	pack->pending = malloc(pending_cap(&packer->config));
	if (!pack->pending) {
		pack_close(pack);
		return err_set(err, -ENOMEM, "out of memory");
	}
	*out = pack;
	return 0;
}

void pack_close(struct pack *pack)
{
	if (!pack)
		return;
	free(pack->tail);
	free(pack->definitions);
	free(pack->index);
	free(pack->pending);
	free(pack);
}

void pack_add_other(struct pack *pack, const uint8_t *block, size_t len)
{
	assert(!pack_is_full(pack) && len <= PACK_BLOCK_MAX && !pack->tail);
	memcpy(pack->pending + pack->frame.raw_len, block, len);
	pack->frame.raw_len += (uint32_t)len;
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
	/* The last blocks are a statistics block per interface block, and shorter than those. */
	const size_t last_frames = c->definitions_max / c->frame_len + 2;

	return pack->n_frames + last_frames >= c->frames_max ||
	       pack->definitions_len + DEFINITION_MAX > c->definitions_max;
}

size_t pack_pending(const struct pack *pack)
{
	return pack->frame.raw_len;
}

/* Room for one more entry of the index. */
static int grow_index(struct pack *pack)
{
	if (pack->n_frames == pack->packer->config.frames_max)
		return -ENOBUFS;
	return array_grow((void **)&pack->index, &pack->index_cap, pack->n_frames + 1,
			  sizeof(*pack->index))
		       ? -ENOMEM
		       : 0;
}

int pack_flush(struct pack *pack, const uint8_t **out, size_t *len)
{
	struct packer *packer = pack->packer;

	*len = 0;
	if (pack->frame.raw_len == 0)
		return 0;
	const int ret = grow_index(pack);
	if (ret)
		return ret;
	const size_t packed = ZSTD_compress2(packer->zstd, packer->out, packer->out_cap,
					     pack->pending, pack->frame.raw_len);
	if (ZSTD_isError(packed))
		return -EIO;
	pack->frame.len = (uint32_t)packed;
	pack->index[pack->n_frames++] = pack->frame;
	pack->frame = EMPTY_FRAME;
	*out = packer->out;
	*len = packed;
	return 0;
}

int pack_pad(struct pack *pack, size_t len, const uint8_t **out)
{
	uint8_t *p = pack->packer->out;

	assert(pack->frame.raw_len == 0 && len >= PACK_PADDING_MIN && len <= PACK_PADDING_MAX);
	const int ret = grow_index(pack);
	if (ret)
		return ret;
	pack->index[pack->n_frames] = EMPTY_FRAME;
	pack->index[pack->n_frames++].len = (uint32_t)len;
	p = put32(p, PACK_PADDING_MAGIC);
	p = put32(p, len - PACK_PADDING_MIN);
	memset(p, 0, len - PACK_PADDING_MIN);
	*out = pack->packer->out;
	return 0;
}

static uint8_t *put_index(uint8_t *p, const struct pack *pack)
{
	p = put32(p, PACK_INDEX_MAGIC);
	p = put32(p, 8 + pack->n_frames * PACK_INDEX_ENTRY + pack->definitions_len);
	p = put32(p, PACK_INDEX_VERSION);
	p = put32(p, pack->n_frames);
	for (size_t i = 0; i < pack->n_frames; i++) {
		p = put64(p, pack->index[i].first_ns);
		p = put64(p, pack->index[i].last_ns);
		p = put32(p, pack->index[i].packets);
	}
	if (pack->definitions_len)
		memcpy(p, pack->definitions, pack->definitions_len);
	return p + pack->definitions_len;
}

static uint8_t *put_seek_table(uint8_t *p, const struct pack *pack)
{
	p = put32(p, PACK_SEEK_MAGIC);
	p = put32(p, pack->n_frames * PACK_SEEK_ENTRY + PACK_SEEK_END);
	for (size_t i = 0; i < pack->n_frames; i++) {
		p = put32(p, pack->index[i].len);
		p = put32(p, pack->index[i].raw_len);
	}
	p = put32(p, pack->n_frames);
	*p++ = 0; /* descriptor: no checksums, the frames have their own */
	return put32(p, PACK_SEEK_END_MAGIC);
}

int pack_finish(struct pack *pack, const uint8_t **out, size_t *len)
{
	const size_t want = tail_len(pack->n_frames, pack->definitions_len);

	assert(pack->frame.raw_len == 0 && !pack->tail);
	pack->tail = malloc(want);
	if (!pack->tail)
		return -ENOMEM;
	const uint8_t *end = put_seek_table(put_index(pack->tail, pack), pack);
	assert(end == pack->tail + want);
	*out = pack->tail;
	*len = (size_t)(end - pack->tail);
	return 0;
}
