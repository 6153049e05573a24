/*
 * sink: where the numbers of one packet go: the counters and histograms of its session.
 *
 * A worker's, on its thread alone: it writes its own part of shared memory, whose layout is here;
 * any thread of any process may read. Nothing is allocated.
 *
 * Histograms are many times larger than counters and most sessions need few of them: they come out
 * of a pool of the worker's, at the first sample, and stay where they are. When the pool is empty
 * the sample is counted as missed.
 */
#pragma once

#include "kpi/histogram.h"
#include "kpi/loss.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

/* A packet that comes after one which its sender sent later, by another way through the mirror,
 * comes no later than that: the window in which a mirror doubles packets (kpis.md 1.1). */
#define KPI_LATE_NS 5000000u

enum kpi_group {
#define GROUP(name, ...) KPI_GROUP_##name,
#include "kpi/groups.def"
#undef GROUP
	KPI_GROUPS
};
static_assert(KPI_GROUPS <= 32, "a bit for each");

enum kpi {
#define KPI(name, ...) KPI_##name,
#include "kpi/kpis.def"
#undef KPI
	KPI_MAX
};

enum kpi_histogram {
#define HISTOGRAM(name, ...) KPI_##name,
#include "kpi/histograms.def"
#undef HISTOGRAM
	KPI_HISTOGRAMS
};

/* The order of the rows that have a label l4 or protocol. */
enum kpi_l4 { KPI_L4_TCP, KPI_L4_UDP, KPI_L4_SCTP, KPI_L4_ICMP, KPI_L4_OTHER, KPI_L4_UE_TCP };

struct kpi_session {                /* of one worker */
	uint64_t first_ns, last_ns; /* packets, source clock; 0: none yet */
	/* Of a gauge only the sum over all workers means something, and it may wrap on the way. */
	uint64_t value[KPI_MAX];
	struct loss loss[LOSS_TRANSPORTS];
	uint32_t histogram[KPI_HISTOGRAMS]; /* place in the worker's pool + 1; 0: no sample yet */
	uint32_t groups;                    /* bit per enum kpi_group: seen */
};

/* The worker's part of shared memory. */
struct kpi_memory {
	struct kpi_session *sessions; /* [sessions_max] */
	struct histogram *histograms; /* [histograms_max], zero */
	uint32_t histograms_max;
	uint64_t *histograms_used;   /* places given out */
	uint64_t *histograms_missed; /* samples that found none */
};

struct tcp_gaps;

struct kpi_sink {
	const struct kpi_memory *memory;
	struct tcp_gaps *gaps; /* the worker's */
	struct kpi_session *session;
	uint64_t time_ns; /* of the packet */
	/* Inside GTP-U: every TCP row is counted as the row of the same name of layer "ue". */
	bool is_ue;
	/* What kpi_sees_both says: 1 yes, -1 no; 0: as it is now. */
	int8_t sees_both;
};

/* Adds to a value of this thread's. */
static inline void kpi_add(struct kpi_session *session, enum kpi kpi, uint64_t n)
{
	__atomic_store_n(&session->value[kpi], session->value[kpi] + n, __ATOMIC_RELAXED);
}

/* From a row or group of TCP to the same of layer "ue". */
#define KPI_UE       (KPI_UE_TCP_ATTEMPTED - KPI_TCP_ATTEMPTED)
#define KPI_UE_GROUP (KPI_GROUP_UE_TCP - KPI_GROUP_TCP)

/* Of the rows of TCP give the name of layer "mirror". */
static inline void kpi_count(const struct kpi_sink *sink, enum kpi kpi, uint64_t n)
{
	kpi_add(sink->session, sink->is_ue ? kpi + KPI_UE : kpi, n);
}

/* A negative time is the caller's to refuse. */
void kpi_observe(const struct kpi_sink *sink, enum kpi_histogram which, uint64_t ns);
/* From now on the session has series of the group. */
static inline void kpi_see(const struct kpi_sink *sink, enum kpi_group group)
{
	const bool is_tcp = group >= KPI_GROUP_TCP && group <= KPI_GROUP_TCP_LOSS;
	const unsigned of_layer = sink->is_ue && is_tcp ? group + KPI_UE_GROUP : group;
	const uint32_t seen = sink->session->groups | 1u << of_layer;

	if (seen != sink->session->groups)
		__atomic_store_n(&sink->session->groups, seen, __ATOMIC_RELAXED);
}

/*
 * May silence be taken for the lack of an answer? Only where the session is known to mirror both
 * directions: more flows were seen in both than in one. Else no timeout is counted.
 */
bool kpi_sees_both(const struct kpi_sink *sink);
/* Counts n times that nothing answered, if so. From then on the session has series of the group,
 * also where nothing ever answered. */
void kpi_count_silence(const struct kpi_sink *sink, enum kpi_group group, enum kpi kpi, uint64_t n);
