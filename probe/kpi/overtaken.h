/*
 * overtaken: ICMP errors that come before the packet which they quote, as they may where the two
 * directions take different ways through the mirror.
 *
 * Worker, through kpi, which asks for them when a flow begins. The latest that found no flow are
 * remembered for KPI_LATE_NS. All sessions share the places: when there is none left, the session
 * that has the most gives its oldest, so that no session's flood discards another's. Zero at first.
 */
#pragma once

#include "path/dissect.h"

#include <stdbool.h>
#include <stdint.h>

#define OVERTAKEN_MAX 8

struct icmp_quote {
	struct flow_key key;
	unsigned direction;
};

struct overtaken {
	struct overtaken_error {
		struct icmp_quote quote;
		uint64_t time_ns; /* 0: none */
	} error[OVERTAKEN_MAX];   /* as they came */
	uint64_t latest_ns;
};

/* There is no flow that this quotes. */
void overtaken_put(struct overtaken *o, const struct icmp_quote *quote, uint64_t time_ns);
/* Takes out one that quoted this flow; false: there is none. */
bool overtaken_take(struct overtaken *o, const struct flow_key *key, uint64_t time_ns,
		    struct icmp_quote *out);
