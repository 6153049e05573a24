/*
 * pack_keys: which flows and addresses a frame holds, and the Bloom filter that says so.
 *
 *   packets -> flows, addresses -> [table: keys known] -> keys of the frame -> filter
 *
 * A key is the first 8 bytes of a SHA-1: of an address's 4 or 16 bytes; of a flow's id (flowid.h).
 * Of what travels inside GTP-U there are keys as well.
 *
 * Writer thread, one for all its packs; the last function any. Memory is taken at open. A capture
 * made to hurt, with another flow in every packet, costs a SHA-1 for each until the frame's keys
 * are full.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 12 bits and 8 hashes: of 1,000 things that are not in the frame, 3 seem to be. */
#define PACK_KEYS_BITS   12
#define PACK_KEYS_HASHES 8

/* Most keys of a frame, of its bytes of input: one flow in so many, one address in so many. */
#define PACK_KEYS_FLOW_LEN    256
#define PACK_KEYS_ADDRESS_LEN 512

/* What is not in a record, though it may be in the frame. */
enum { PACK_KEYS_NO_ADDRESSES = 1, PACK_KEYS_NO_FLOWS = 2, PACK_KEYS_NO_SESSIONS = 4 };

struct pack_keys;

/* frame_len: of the frames, or more. */
int pack_keys_open(struct pack_keys **out, size_t frame_len, struct err *err);
/* Takes NULL. */
void pack_keys_close(struct pack_keys *keys);
/* Apart from some 500 bytes of OpenSSL's. */
size_t pack_keys_memory(size_t frame_len);

/* Takes the keys of a frame: of the packets among len bytes of blocks, which are sound, packet
 * blocks as block_packet_frame makes them. A frame at once, so that the table is in the cache. */
void pack_keys_take(struct pack_keys *keys, const uint8_t *blocks, size_t len);

/* Of the frame taken: what did not fit, PACK_KEYS_NO_... */
unsigned pack_keys_missing(const struct pack_keys *keys);
/* Bytes of its filter. 0: there are no keys. */
size_t pack_keys_filter_len(const struct pack_keys *keys);
/* Writes it; len is that, or 0: none. n: number of the frame in its file, from 0. */
void pack_keys_filter(const struct pack_keys *keys, size_t n, uint8_t *out, size_t len);

/* False: the key is not in the filter of len bytes, frame n's. */
bool pack_keys_has(const uint8_t *filter, size_t len, size_t n, uint64_t key);
