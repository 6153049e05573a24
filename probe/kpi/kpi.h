/*
 * kpi: what is measured of a session's packets, whatever becomes of their bytes.
 *
 * A worker calls it for every packet that has a session. It writes the worker's own part of shared
 * memory, whose layout is here; any process may read. Nothing is allocated.
 */
#pragma once

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

struct kpi_session {      /* of one worker */
	uint64_t last_ns; /* latest packet, source clock; 0: none yet */
	uint64_t value[KPI_MAX];
};

struct kpi_config {
	struct kpi_session *sessions; /* [sessions_max] of this worker */
	struct flow_table *flows;     /* the worker's */
};

/* One packet as far as it is known. */
struct kpi_packet {
	const struct packet *packet;
	struct dissected *dissected; /* marks are added: FLOW_FULL */
	uint32_t session;
	enum session_direction direction;
};

void kpi_packet(const struct kpi_config *config, const struct kpi_packet *p);

/* Adds to a value of this thread's. */
static inline void kpi_add(struct kpi_session *session, enum kpi kpi, uint64_t n)
{
	__atomic_store_n(&session->value[kpi], session->value[kpi] + n, __ATOMIC_RELAXED);
}
