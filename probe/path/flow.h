/*
 * flow: who talks to whom, per worker: packets and bytes of both directions in one entry.
 *
 *   hash ──▶ two buckets of one cache line: | 7 tags | 7 deadlines | 7 owners |   7 slots each
 *                                                                   | flow | state |
 *
 * One table per worker, called by it alone. All memory is allocated at open. Time comes with the
 * packets. What is measured of a flow has its state beside it, of which this file knows but the
 * size.
 *
 * A new flow that finds no room takes that of another in its two buckets: of sessions over their
 * share (n_max, divided by the sessions that have flows), then of any, one that was seen in one
 * direction only; then one seen in both, of a session over its share, then of any that was silent
 * for FLOW_SAFE_S. Among equals the longest silent. A session over its share takes from such alone.
 * Where nobody makes way, the new flow is not kept.
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

/* Within its session's share a flow seen in both directions does not make way so soon after its
 * last packet: TCP keeps silent for that long in the midst of things (RFC 6298 section 2.5 allows
 * 60 s between two attempts; Diameter's watchdog is sent every 30 s: RFC 3539 section 3.4.1). */
#define FLOW_SAFE_S 30

#define FLOW_SESSIONS_LIMIT (1u << 22)

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
	uint64_t expired; /* idle */
	uint64_t evicted; /* made way for another */
	uint64_t full;    /* updates that found no room */
	uint64_t active;  /* created - expired - evicted */
};

/* Why a flow ended. */
enum flow_end { FLOW_IDLE, FLOW_EVICTED };

struct flow_config {
	uint32_t n_max;        /* 1 to 16 Mi flows */
	uint32_t sessions_max; /* 1 to FLOW_SESSIONS_LIMIT; key.session is below */
	uint8_t key[16];       /* random and secret, else a sender can fill one bucket */
	size_t state_len;      /* bytes of state beside each flow; a multiple of 8, may be 0 */
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

/* Where a key's flow lies or would lie. Of a batch first all places, then all fetches, then the
 * updates: memory answers for many packets at once. Measured: bench_stages. */
struct flow_place {
	uint32_t bucket[2];
	uint8_t tag;
};

/* Fetches what flow_fetch reads. */
struct flow_place flow_place(const struct flow_table *table, const struct flow_key *key);
/* Fetches the flow and its state, or what would make way for them. */
void flow_fetch(const struct flow_table *table, const struct flow_place *place,
		const struct flow_key *key, uint64_t time_ns);

/*
 * Counts a packet of bytes in its direction (0: from a to b) and returns its flow, good until the
 * next call on this table; NULL when there is no room: n_max flows are alive or, at most once in
 * thousands below that, both buckets are full, and nobody makes way. A flow found past its idle
 * time ends and begins anew in place, so that the result does not depend on when flow_expire came
 * by. place: of the same key.
 */
struct flow *flow_update(struct flow_table *table, const struct flow_place *place,
			 const struct flow_key *key, unsigned direction, uint32_t bytes,
			 uint64_t time_ns);

/* The flow of the key, alive at time_ns, good until the next call on this table; NULL: none. */
const struct flow *flow_find(const struct flow_table *table, const struct flow_key *key,
			     uint64_t time_ns);

/* The state beside a flow, zeros when the flow began; aligned to 8. */
void *flow_state(const struct flow_table *table, const struct flow *flow);

/* Has a flow that was once returned not ended? Its place may have been given to another. */
bool flow_is_alive(const struct flow_table *table, const struct flow *flow);

/* The flow, just updated, ends after idle_s of silence instead. Holds until its next packet. */
void flow_shorten(struct flow_table *table, const struct flow *flow, uint32_t idle_s);

/* Ends flows idle at now_ns in the next max_buckets buckets, round and round. Returns their number.
 */
unsigned flow_expire(struct flow_table *table, uint64_t now_ns, unsigned max_buckets);

const struct flow_counters *flow_counters(const struct flow_table *table);

/* Shows every flow that has not ended to fn, which calls nothing of the table. */
void flow_each(const struct flow_table *table,
	       void (*fn)(void *arg, const struct flow *flow, void *state), void *arg);
