/*
 * kpi: what is measured of a session's packets, whatever becomes of their bytes.
 *
 * A worker calls it for every packet that has a session. It writes the worker's own part of shared
 * memory, whose layout is here; any process may read. Nothing is allocated.
 *
 * Histograms are many times larger than counters and most sessions need few of them: they come out
 * of a pool of the worker's, at the first sample, and stay where they are. When the pool is empty
 * the sample is counted as missed.
 */
#pragma once

#include "kpi/histogram.h"
#include "kpi/tcp.h"
#include "path/decap.h"
#include "path/dissect.h"
#include "path/enroll.h"
#include "path/flow.h"

#include <stdint.h>

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

struct kpi_session {      /* of one worker */
	uint64_t last_ns; /* latest packet, source clock; 0: none yet */
	/* Of a gauge only the sum over all workers means something, and it may wrap on the way. */
	uint64_t value[KPI_MAX];
	uint32_t histogram[KPI_HISTOGRAMS]; /* place in the worker's pool + 1; 0: no sample yet */
};

/* State of kpi beside each flow. */
struct kpi_flow {
	struct tcp tcp;
};
static_assert(64 % sizeof(struct kpi_flow) == 0, "never two cache lines");

/* All of it is the worker's own. */
struct kpi_config {
	struct kpi_session *sessions; /* [sessions_max] */
	struct flow_table *flows;     /* with struct kpi_flow beside each, and kpi_flow_ended */
	struct histogram *histograms; /* [histograms_max], zero */
	uint32_t histograms_max;
	uint64_t *histograms_used;   /* places given out */
	uint64_t *histograms_missed; /* samples that found none */
};

/* One packet as far as it is known. */
struct kpi_packet {
	const struct packet *packet;
	struct dissected *dissected; /* marks are added: FLOW_FULL */
	uint32_t session;
	enum session_direction direction;
};

void kpi_packet(const struct kpi_config *config, const struct kpi_packet *p);

/* flow_config.ended; arg is the kpi_config. */
void kpi_flow_ended(void *arg, const struct flow *flow, const void *state);

/* Adds to a value of this thread's. */
static inline void kpi_add(struct kpi_session *session, enum kpi kpi, uint64_t n)
{
	__atomic_store_n(&session->value[kpi], session->value[kpi] + n, __ATOMIC_RELAXED);
}
