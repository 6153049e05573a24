/*
 * later: flows to be looked at again in a while, each the same while, so in the order they came.
 *
 * Worker, through kpi. Zeroes at first; of fixed size, nothing is allocated.
 */
#pragma once

#include "kpi/tcp_stream.h"
#include "path/flow.h"

#include <stdbool.h>
#include <stdint.h>

/* 1.6 million flows a second that begin to wait TCP_LATE_NS. */
#define LATER_MAX 8192u

struct later {
	uint32_t first, n;
	struct later_flow {
		uint64_t due_ns;
		const struct flow *flow; /* may have ended meanwhile */
	} at[LATER_MAX];
};

/* False: no room; then its next packet, or its end, does what was to be done. due_ns: the time now
 * and TCP_LATE_NS. */
static inline bool later_put(struct later *later, const struct flow *flow, uint64_t due_ns)
{
	if (later->n == LATER_MAX)
		return false;
	later->at[(later->first + later->n++) % LATER_MAX] = (struct later_flow){due_ns, flow};
	return true;
}

/* The first one, if its time has come; NULL: none. Time that goes back keeps nobody waiting. */
static inline const struct flow *later_take(struct later *later, uint64_t now_ns)
{
	const struct later_flow *first = &later->at[later->first];

	if (!later->n || first->due_ns - now_ns - 1 < TCP_LATE_NS)
		return NULL;
	later->first = (later->first + 1) % LATER_MAX;
	later->n--;
	return first->flow;
}
