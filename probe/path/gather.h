/*
 * gather: the one copy. What is kept of a packet goes, as a finished pcapng block, into a chunk.
 *
 * Worker thread. The block's interface field holds the session id, and above it the number of the
 * store that the packet is for; its time is the source's. The writer puts in the file's interface
 * number and the wall clock.
 */
#pragma once

#include "path/block.h"
#include "path/decap.h"
#include "path/enroll.h"

#include <stdbool.h>
#include <stdint.h>

/* epb_packetid: the worker's number above, the sequence of the packet in its source below. */
#define PACKET_SEQUENCE ((1ull << 48) - 1)

static inline uint64_t packet_id(uint32_t worker, uint64_t sequence)
{
	return (uint64_t)worker << 48 | (sequence & PACKET_SEQUENCE);
}

/* The interface field: a packet that is on its way stays with its store, whatever a new names file
 * says of the session meanwhile. */
#define PLACE_SESSION_BITS 24

static inline uint32_t place_of(uint32_t session, uint32_t store)
{
	return store << PLACE_SESSION_BITS | session;
}

static inline uint32_t place_session(uint32_t place)
{
	return place & ((1u << PLACE_SESSION_BITS) - 1);
}

static inline uint32_t place_store(uint32_t place)
{
	return place >> PLACE_SESSION_BITS;
}

/* Blocks, one behind the other. Owned by exactly one thread at a time: see handoff.h. */
struct chunk {
	uint8_t *data;
	uint32_t cap, len;
	uint64_t policies; /* by which its packets were judged: the worker's count */
};

static inline bool gather_has_room(const struct chunk *chunk, const struct packet *packet)
{
	return chunk->len + block_packet_len(packet->cap_len) <= chunk->cap;
}

/* What a worker says of a packet. */
struct gathered {
	uint32_t place, wire_len; /* place_of session and store */
	uint64_t id;              /* epb_packetid */
	uint64_t drops;           /* of the session by this worker since the packet before */
	enum session_direction direction;
};

/* Appends the packet; the caller has asked for room. */
void gather_packet(struct chunk *chunk, const struct batch *batch, const struct packet *packet,
		   const struct gathered *as);

/* Gives the packets of session `from` in this chunk whose id's sequence is since or above to
 * another session and store. Returns how many those are. What the worker has in its chunk for
 * another writer, because the session before had another store, stays where it is. */
uint32_t gather_move(struct chunk *chunk, uint64_t since, uint32_t from, uint32_t place);
