/*
 * worker: one thread's way from capture to handoff, as one readable loop.
 */
#pragma once

#include "kpi/kpi.h"
#include "path/capture.h"
#include "path/decap.h"
#include "path/enroll.h"
#include "path/filter.h"
#include "path/handoff.h"
#include "run/stats.h"

struct worker_config {
	uint32_t number, workers;
	struct capture *capture; /* the worker's own, and so are kpi and handoffs */
	struct kpis *kpi;
	uint32_t writers;
	struct handoff *handoff[STATS_WRITERS_MAX]; /* one to each writer */
	bool split;                                 /* a file per session: see writer_of */
	struct bell
		*bell; /* where it waits: for an empty chunk, if it is lossless, and for enroll */
	struct enroll *enroll;
	uint32_t enroll_as; /* number in there: an enroll of its own has one worker */
	struct stats *stats;
	uint64_t *told_drops; /* by session: KPI_DROPPED_PACKETS, as far as packets tell; its own */
	struct filter_pairs *pairs; /* live, that of all workers */
	const struct decap_config *decap;
	const _Atomic uint64_t *stop_at; /* ends it when its source has lent so many */
	struct bell *control;            /* rung when the worker ends */
	/* Grows when sessions have other policies. */
	const _Atomic uint64_t *policies;
};

struct worker {
	struct worker_config config;
	uint64_t policies; /* as the worker has seen them */
	/* The worker uses no policy from before this value of *config.policies. */
	_Atomic uint64_t passed;
	struct stats_worker *stats;
	struct chunk *chunk[STATS_WRITERS_MAX]; /* for each writer: being filled, or NULL */
	uint64_t latest_ns;                     /* time of the latest frame so far */
	uint64_t at_ns;                         /* of those that have ended, and the one it is at */
	int error;                              /* why it ended: 0 or -errno of the source */
};

/* Thread main; arg is a struct worker whose config is set. */
void *worker_run(void *arg);
