/*
 * pack_index: the end of a file; every number is little endian, n is the number of frames. All of
 * the format: vxprobe-files(7).
 *
 *   +0    u32 0x184D2A5D          skippable frame (RFC 8878 section 3.1.2): our index
 *   +4    u32 bytes that follow: 12 + r + d
 *   +8    u32 2                   version
 *   +12   u32 n
 *   +16   u32 r                   bytes of all records
 *   +20   n records, each:
 *           +0   u64 first_ns | u64 last_ns     (first > last: no packet)
 *           +16  u32 packets | u32 f | u16 at | u16 s | u32 flags (PACK_KEYS_NO_...)
 *           +32  s bytes: which interfaces packets are of: bit i % 8 of byte i / 8 - at
 *                f bytes: the filter (pack_keys.h)
 *         d bytes: the section block, every interface block and the names blocks behind them, as
 *         they are in the frames
 *
 *   +0    u32 0x184D2A5E          skippable frame: zstd seek table (seekable format 0.1.0)
 *   +4    u32 8 n + 9
 *   +8    n times: u32 compressed length | u32 raw length
 *         u32 n | u8 0 (no checksums) | u32 0x8F92EAB1
 *
 * The lengths in the seek table sum to where the index begins. Padding (pack_pad) is a skippable
 * frame between others: it is in the table with raw length 0, and in the index without packets.
 *
 * Beside a file that is open, entries say what its index will have: a chain of
 *
 *   u32 len | an entry of len bytes (sealed: with its tag, seal_index_entry)
 *
 *   +0    u32 compressed length | u32 raw length      of the next frame, padding too
 *   +8    its record
 *         the definitions that came since the entry before, up to the end
 *
 * An entry is written before the bytes of its frame, so entries can be ahead of the file.
 *
 * Internal to pack*.c. What a stored file says is checked against its length before it is used.
 */
#pragma once

#include "base/err.h"
#include "path/pack.h"

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PACK_PADDING_MAGIC  0x184D2A5Cu
#define PACK_INDEX_MAGIC    0x184D2A5Du
#define PACK_INDEX_VERSION  2u
#define PACK_INDEX_HEAD     20u
#define PACK_INDEX_RECORD   32u
#define PACK_SEEK_MAGIC     0x184D2A5Eu
#define PACK_SEEK_END_MAGIC 0x8F92EAB1u
#define PACK_SEEK_HEAD      8u
#define PACK_SEEK_ENTRY     8u
#define PACK_SEEK_END       9u

/* Shortest block of any kind (type, two lengths): bounds what an index may claim. */
#define PACK_BLOCK_MIN 12u

struct unpack {
	struct unpack_source source;
	struct unpack_frame *frames;
	size_t n_frames, frames_cap;
	uint8_t *index; /* as it is in the stream; frames point into it */
	uint8_t *definitions;
	size_t definitions_len, definitions_cap;
	bool is_indexed;
	bool is_cut;        /* the last of frames is cut */
	bool is_unsettled;  /* and stands for what was not read yet */
	size_t settled_len; /* then: of definitions, those before it */
};

static inline uint32_t pack_get32(const uint8_t *p)
{
	uint32_t le;

	memcpy(&le, p, sizeof(le));
	return le32toh(le);
}

static inline uint16_t pack_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

/* Lengths behind the fixed part of a record. */
static inline size_t pack_filter_len(const uint8_t *record)
{
	return pack_get32(record + 20);
}

static inline size_t pack_sessions_len(const uint8_t *record)
{
	return pack_get16(record + 26);
}

/* Sets is_indexed, and if so frames and definitions. An error is of the source or of memory. */
int pack_index_read(struct unpack *unpack, struct err *err);
/* Frames and definitions as the entries in unpack->index say, of len bytes. Returns where the
 * frames end that are whole; what is behind them was not read, also if it is_unsettled. */
uint64_t pack_index_read_entries(struct unpack *unpack, size_t len);
/* Of a source that gave ret at offset; returns it. */
int pack_index_err(struct err *err, int ret, uint64_t offset);
