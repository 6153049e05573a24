/*
 * worker: one thread's way from capture to handoff, as one readable loop.
 */
#pragma once

#include "path/capture.h"
#include "path/decap.h"
#include "path/enroll.h"
#include "path/flow.h"
#include "path/handoff.h"
#include "run/stats.h"

struct worker_config {
	uint32_t number, workers;
	struct capture *capture; /* the worker's own, and so are flows and handoff */
	struct flow_table *flows;
	struct handoff *handoff;
	struct enroll *enroll;
	struct stats *stats;
	const struct decap_config *decap;
	struct bell *control; /* rung when the worker ends */
};

struct worker {
	struct worker_config config;
	struct stats_worker *stats;
	struct chunk *chunk;  /* being filled, or NULL */
	uint64_t latest_ns;   /* time of the latest packet so far */
	uint64_t sequence;    /* live: of the next packet */
	int error;            /* why it ended: 0 or -errno of the source */
	_Atomic bool is_done; /* for control */
};

/* Thread main; arg is a struct worker whose config is set. */
void *worker_run(void *arg);
