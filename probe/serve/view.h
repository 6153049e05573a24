/*
 * view: what the exporter can see of the probe: its counters, and what the starter said of it.
 *
 * Exporter process, any thread, but for series_dropped; at the end of a run whoever writes
 * --metrics. Reads shared memory only.
 */
#pragma once

#include "run/ledger.h"
#include "serve/exposition.h"

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

/* Of what the KPIs of class SERVICE are told (kpi/groups.def); those of FEED: of sessions always.
 */
enum view_by { VIEW_BY_SESSION, VIEW_BY_NF, VIEW_BY_BOTH };

/* Of the starter; the first message of the exporter's handover. */
struct view_facts {
	char interface[IF_NAMESIZE];
	char driver[32];     /* "" when the interface does not tell */
	uint32_t series_max; /* of sessions and NFs, on a page */
	enum view_by by;
	int32_t starter, capture; /* processes; 0: there is none to tell of */
};

struct view {
	struct ledger_source ledger;
	struct view_facts facts;
	uint64_t started_ns;     /* CLOCK_MONOTONIC */
	uint64_t series_dropped; /* by metrics_text */
};

/* ---- sessions: ids from 0 ---- */

uint32_t view_sessions(const struct view *view);
/* Has it had a measured packet? Live: within 15 minutes before now_ns, of CLOCK_MONOTONIC? */
bool view_is_active(const struct view *view, uint32_t session, uint64_t now_ns);
/* Wall clock of a time of the source's; of 0, 0. */
uint64_t view_wall_ns(const struct view *view, uint64_t time_ns);
/* Wall clock of its first and of its last measured packet; 0: it had none. */
uint64_t view_first_packet_ns(const struct view *view, uint32_t session);
uint64_t view_last_packet_ns(const struct view *view, uint32_t session);
/* The groups of class FEED, a bit for each. */
extern const uint32_t view_feed_groups;
/* Bit per enum kpi_group: FEED, and those that any worker has seen. */
uint32_t view_groups(const struct view *view, uint32_t session);
/* Sum over the workers. */
uint64_t view_kpi(const struct view *view, uint32_t session, enum kpi kpi);
/* The same of a histogram. False: it has no sample. */
bool view_histogram(const struct view *view, uint32_t session, enum kpi_histogram which,
		    struct histogram *out);
/* How much of it the mirror loses, as far as acknowledgements tell. False: they tell nothing. */
bool view_loss(const struct view *view, uint32_t session, enum loss_transport transport,
	       struct loss_estimate *out);
/* Share of its bytes whose loss would show. */
double view_loss_visible(const struct view *view, uint32_t session);

/* kpis.def as a table. */
struct view_kpi_row {
	const char *metric; /* without _total */
	enum kpi_group group;
	enum exposition_type type;
	const char *unit, *labels, *help;
};
extern const struct view_kpi_row view_kpi_rows[KPI_MAX];
/* And histograms.def. */
struct view_histogram_row {
	const char *metric;
	enum kpi_group group;
	const char *labels, *help;
};
extern const struct view_histogram_row view_histogram_rows[KPI_HISTOGRAMS];

/* ---- health ---- */

/* Has the control thread made a turn within 5 s before now_ns? -ETIMEDOUT with a sentence if not.
 */
int view_check_healthy(const struct view *view, uint64_t now_ns, struct err *err);
/* Do packets flow? -EAGAIN with a sentence if not. */
int view_check_ready(const struct view *view, struct err *err);
