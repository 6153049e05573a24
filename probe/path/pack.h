/*
 * pack: pcapng blocks into independent zstd frames, and an index behind them.
 *
 *   frame 0 (SHB, IDBs, EPBs ...) ... frame k | skippable: our index | skippable: zstd seek table
 *
 * A frame is cut at a block boundary once it holds frame_len bytes, so each frame begins with a
 * block and can be read alone, given the interface blocks that the index repeats. The seek table is
 * zstd's seekable format 0.1.0 (pack_index.h). Packing is a writer thread's, unpacking vxcap's.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Longest block that fits: an EPB of a 65,535-byte packet, or the blocks of one definition. */
#define PACK_BLOCK_MAX (70u << 10)
/* Most bytes that a frame holds, pending or read back: what a reader must be able to allocate. */
#define PACK_FRAME_MAX (64u << 20)
/* Most that one file's index holds, and a reader takes. 65,536 frames of 1 MiB are 64 GiB of input;
 * 2 MiB are over 2,000 of the longest interface blocks that this probe writes (1,040 bytes). */
#define PACK_FRAMES_MAX      65536u
#define PACK_DEFINITIONS_MAX (2u << 20)
/* Filters and lists of sessions: 1 KiB for each frame. */
#define PACK_FILTERS_MAX (64u << 20)

#define PACK_PADDING_MIN 8u
#define PACK_PADDING_MAX PACK_BLOCK_MAX

/* What all packs of one writer thread share: the zstd context and its output. */
struct packer;

struct packer_config {
	size_t frame_len; /* bytes of input per frame; 1 MiB unless memory is short */
	int level;        /* zstd level */
	/* Of one file, at most: frames, bytes of definitions that its index repeats, and bytes of
	 * filters and lists of sessions; of the frames behind these the index rules out nothing. */
	size_t frames_max, definitions_max, filters_max;
};

/* -EINVAL: frame_len is 0 or too near PACK_FRAME_MAX, the index's limits are over those above, or
 * zstd has no such level. */
int packer_open(struct packer **out, const struct packer_config *config, struct err *err);
/* After its packs. Takes NULL. */
void packer_close(struct packer *packer);
/* From the next frame on: a level no higher than the configured one, which the memory is for. */
void packer_set_level(struct packer *packer, int level);
/* The lowest level there is: in effect it stores. */
int packer_level_min(void);
/* Bytes that a packer, and each pack on it, allocate at most. A pack's index grows at pack_flush
 * and pack_add_definition. */
size_t packer_memory(const struct packer_config *config);
size_t pack_memory(const struct packer_config *config);

/* One open file. */
struct pack;

int pack_open(struct pack **out, struct packer *packer, struct err *err);
/* Takes NULL. What is pending is lost. */
void pack_close(struct pack *pack);

/* Appends a block: a packet of time_ns, as block_packet_frame makes it; or a definition (section or
 * interface block), which the index repeats; or another block (statistics). The caller flushes
 * first when pack_is_full. len <= PACK_BLOCK_MAX. A definition that the index has no room for is
 * not added: -ENOMEM; over definitions_max -ENOBUFS: it is for the next file. Of its len bytes the
 * last names_len are a names block that goes with it: the same frame has it, and the index repeats
 * it while no more than half of it is used, since names must not fill it and so end the file. */
void pack_add_packet(struct pack *pack, const uint8_t *block, size_t len, uint64_t time_ns);
int pack_add_definition(struct pack *pack, const uint8_t *block, size_t len, size_t names_len);
void pack_add_other(struct pack *pack, const uint8_t *block, size_t len);
/* True when frame_len bytes are pending. */
bool pack_is_full(const struct pack *pack);
/* True when the index has little room left: end the file, while its last blocks still fit. To be
 * asked before each packet and each tick (statistics, flush, padding). */
bool pack_is_exhausted(const struct pack *pack);
/* Bytes added since the last flush. */
size_t pack_pending(const struct pack *pack);

/* Compresses what is pending into one frame. *out is lent until the next call on this packer;
 * *len = 0 when nothing was pending. On failure it stays pending: -ENOMEM; -ENOBUFS: the file
 * has frames_max frames; -EIO: zstd failed. */
int pack_flush(struct pack *pack, const uint8_t **out, size_t *len);
/* Gives padding, PACK_PADDING_MIN to PACK_PADDING_MAX bytes that readers skip; else as above. */
int pack_pad(struct pack *pack, size_t len, const uint8_t **out);
/* What the index got by the last pack_flush or pack_pad that gave bytes, as an entry of the index
 * beside the open file (pack_index.h), into cap bytes. -ENOBUFS: they are too few. */
int pack_news(struct pack *pack, uint8_t *out, size_t cap, size_t *len);
/* The index and the seek table, lent until pack_close. Nothing may follow. Flush first. -ENOMEM. */
int pack_finish(struct pack *pack, const uint8_t **out, size_t *len);

/* ---- reading ---- */

struct unpack_frame {
	uint64_t offset; /* in the packed stream */
	uint32_t len, raw_len;
	uint32_t packets;
	uint64_t first_ns, last_ns; /* earliest and latest packet; first > last: no packet */
	const uint8_t *record;      /* in the index; NULL: none */
	uint32_t number;            /* of the record, padding counted */
};

/* Where packed bytes come from; short reads only at the end, -errno on error. */
struct unpack_source {
	ssize_t (*read)(void *arg, uint64_t offset, void *buf, size_t len);
	void *arg;
	uint64_t size;
};

struct unpack;

/* Reads the index; where there is none that fits the file (cut by a crash, or written without)
 * finds the frames by reading them all once, in memory bounded by PACK_FRAME_MAX. Of a last frame
 * that is cut, the whole blocks that zstd still gives count as a frame. -EBADMSG: damaged, or not
 * made as above (a frame over PACK_FRAME_MAX, a block over two frames, a second section). source is
 * copied. */
int unpack_open(struct unpack **out, const struct unpack_source *source, struct err *err);
/* The same of a file that is open: entries (its own from now on) are the index beside it, as in
 * pack_index.h, opened. Frames up to the source's size are as they say; what is behind the last
 * entry is read. A frame that is not all there counts, under its whole length and without packets,
 * until unpack_settle. An entry that cannot be, and those behind it, count as not there. */
int unpack_open_part(struct unpack **out, const struct unpack_source *source, uint8_t **entries,
		     size_t len, struct err *err);
/* Takes NULL. */
void unpack_close(struct unpack *unpack);

/* True when the index was used: opening again costs no pass over the whole file. */
bool unpack_is_indexed(const struct unpack *unpack);
/* True when the stream ends inside a frame. */
bool unpack_is_cut(const struct unpack *unpack);

/* True when frame i is not all there, and not read yet; settle then reads what there is: it becomes
 * as long as its whole blocks, or there is one frame less. Errors as of unpack_open. */
bool unpack_is_unsettled(const struct unpack *unpack, unsigned i);
int unpack_settle(struct unpack *unpack, struct err *err);

unsigned unpack_frames(const struct unpack *unpack);
const struct unpack_frame *unpack_frame(const struct unpack *unpack, unsigned i);
/* False: the index rules out that frame i has a packet of this interface; of this address; of this
 * flow (keys as in pack_keys.h). Without an index always true. */
bool unpack_may_have_interface(const struct unpack *unpack, unsigned i, uint32_t interface);
bool unpack_may_have_address(const struct unpack *unpack, unsigned i, uint64_t key);
bool unpack_may_have_flow(const struct unpack *unpack, unsigned i, uint64_t key);
/* The section block, all interface blocks and their names blocks, one behind the other: what a
 * block reader must be given before any frame but the first. Lent until close. */
const uint8_t *unpack_interfaces(const struct unpack *unpack, size_t *len);
/* Decompresses frame i into out (raw_len bytes). -EBADMSG: damaged, or not as the index says. */
int unpack_read(struct unpack *unpack, unsigned i, uint8_t *out, struct err *err);
