/*
 * engine_part: what the files of engine share.
 */
#pragma once

#include "path/enroll.h"
#include "path/handoff.h"
#include "run/engine.h"
#include "run/evidence.h"
#include "run/naming.h"
#include "run/worker.h"
#include "run/writer.h"

#include <pthread.h>
#include <stdatomic.h>

struct engine {
	struct engine_config config;
	struct stats *stats;
	struct bell bell;         /* rung by workers that ask and by threads that end */
	_Atomic uint64_t stop_at; /* frames lent after which every worker ends */
	_Atomic int64_t offset_ns;
	_Atomic uint32_t highest;  /* sequence number of a file */
	_Atomic uint64_t policies; /* how often they were set */
	bool has_old_policies;     /* which workers may use */
	/* Live: one for all workers. Of files: one each, and the mutex orders what they publish. */
	struct enroll *enroll[STEER_WORKERS_MAX];
	pthread_mutex_t publishing;
	struct filter_pairs *pairs;      /* live: one; of files: one for each worker */
	uint64_t *labels_ns;             /* [sessions_room] time of the packet that labels are of */
	_Atomic uint64_t *claimed_drops; /* [sessions_room] see output.h */
	struct naming *naming;
	struct evidence *evidence; /* NULL: none is kept */
	struct writer *writers[STATS_WRITERS_MAX];
	struct retention *retention; /* live */
	struct handoff *handoffs[STEER_WORKERS_MAX][STATS_WRITERS_MAX];
	struct bell worker_bells[STEER_WORKERS_MAX];
	struct worker workers[STEER_WORKERS_MAX];
	pthread_t worker_threads[STEER_WORKERS_MAX], writer_threads[STATS_WRITERS_MAX];
	pthread_t retention_thread;
	uint32_t n_workers, n_writers; /* started */
	bool retention_started;
};

static inline int64_t engine_offset(const struct engine *e)
{
	return atomic_load_explicit(&e->offset_ns, memory_order_relaxed);
}
