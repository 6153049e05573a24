/*
 * flow: who talks to whom, per worker: packets and bytes of both directions in one entry.
 *
 *   hash ──▶ two buckets of one cache line: | 8 tags | 8 deadlines |   8 flows each beside it
 *
 * One table per worker, called by it alone. All memory is allocated at open; a flow that finds no
 * room is not kept, and no live flow makes way for it. Time comes with the packets. What is
 * measured of a flow has its state beside it, of which this file knows but the size.
 */
#pragma once

#include "base/err.h"
#include "path/dissect.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/* A flow ends when it was silent for so long: ten minutes for TCP, whose Diameter and SBI
 * connections idle; two for the rest (RFC 4787 section 4.3). Kept to about a second. */
#define FLOW_IDLE_TCP_S 600
#define FLOW_IDLE_S     120

struct flow {
	struct flow_key key;
	uint32_t pad;
	uint64_t first_ns, last_ns; /* earliest and latest packet, late ones too */
	uint64_t packets[2];        /* by direction */
	uint64_t bytes[2];
};
static_assert(sizeof(struct flow) == 96, "memory is promised by this size");

struct flow_counters {
	uint64_t created;
	uint64_t expired;
	uint64_t full;   /* updates that found no room */
	uint64_t active; /* created - expired */
};

/* Why a flow ended. */
enum flow_end { FLOW_IDLE, FLOW_EVICTED };

struct flow_config {
	uint32_t n_max;        /* 1 to 16 Mi flows */
	uint32_t sessions_max; /* key.session is below */
	uint8_t key[16];  /* random and secret, else a sender can fill one bucket */
	size_t state_len; /* bytes of state beside each flow; a multiple of 8, may be 0 */
	/* Called when a flow ends, whoever notices; may be NULL. Calls nothing of the table. */
	void (*ended)(void *arg, const struct flow *flow, const void *state, enum flow_end why);
	void *ended_arg;
};

struct flow_table;

int flow_open(struct flow_table **out, const struct flow_config *config, struct err *err);
/* Takes NULL. Flows that are alive do not end by it. */
void flow_close(struct flow_table *table);
/* Bytes that flow_open allocates. */
size_t flow_memory(const struct flow_config *config);

/*
 * Counts a packet of bytes in its direction (0: from a to b) and returns its flow, good until the
 * next call on this table; NULL when there is no room: n_max flows are alive or, at most once in
 * thousands below that, both buckets are full. A flow found past its idle time ends and begins anew
 * in place, so that the result does not depend on when flow_expire came by.
 */
struct flow *flow_update(struct flow_table *table, const struct flow_key *key, unsigned direction,
			 uint32_t bytes, uint64_t time_ns);

/* The flow of the key, alive at time_ns, good until the next call on this table; NULL: none. */
const struct flow *flow_find(const struct flow_table *table, const struct flow_key *key,
			     uint64_t time_ns);

/* The state beside a flow, zeros when the flow began; aligned to 8. */
void *flow_state(const struct flow_table *table, const struct flow *flow);

/* The flow, just updated, ends after idle_s of silence instead. Holds until its next packet. */
void flow_shorten(struct flow_table *table, const struct flow *flow, uint32_t idle_s);

/* Ends flows idle at now_ns in the next max_buckets buckets, round and round. Returns their number.
 */
unsigned flow_expire(struct flow_table *table, uint64_t now_ns, unsigned max_buckets);

const struct flow_counters *flow_counters(const struct flow_table *table);
