/*
 * served: the statistics of a probe that is not there, for tests of what shows them.
 *
 * One at a time; each Criterion test is a process of its own and need not close it.
 */
#pragma once

#include "serve/view.h"

#define SERVED_WORKERS 2
#define SERVED_QUEUES  2

/* A live probe's view, with room for so many sessions: healthy and ready at now_ns = 1 h. */
struct view *served_open(uint32_t sessions_max);
#define SERVED_NOW_NS UINT64_C(3600000000000)

/* Publishes the next session, its name as it is without a names file, and packets of worker 0 to
 * the mirrored interface, the last of them at last_ns. Returns its id. */
uint32_t served_add(struct view *view, const char *source, uint32_t vni, uint64_t packets,
		    uint64_t last_ns);
/* Says of which NF a session is. */
void served_nf(struct view *view, uint32_t session, const char *nf);
/* Gives worker 0's histogram of a session a sample, taken at SERVED_NOW_NS. */
void served_time(struct view *view, uint32_t session, enum kpi_histogram which, uint64_t ns);
/* The descriptor of the statistics. */
int served_fd(void);
