/*
 * metrics_part: the parts that metrics_text puts together, a file each.
 */
#pragma once

#include "serve/exposition.h"
#include "serve/view.h"

/* A number as a label's value: number(3).text, valid to the end of the expression. */
struct number {
	char text[12];
};
struct number number(uint32_t n);

/* A family of one sample without labels. */
void metrics_single(struct exposition *e, enum exposition_type type, const char *name,
		    const char *unit, const char *help, uint64_t value);
void metrics_single_seconds(struct exposition *e, enum exposition_type type, const char *name,
			    const char *help, uint64_t ns);

/* Ledger, queues, workers, writer, reloads. */
void metrics_health(struct exposition *e, const struct view *view);
size_t metrics_health_memory(const struct stats_config *config);
/* All that has the labels of a session or an NF. -ENOMEM. */
int metrics_sessions(struct exposition *e, struct view *view, uint64_t now_ns, struct err *err);
size_t metrics_sessions_memory(uint32_t sessions_max, const struct view_facts *facts);
/* The standard process_ families, of all processes of the probe. */
void metrics_process(struct exposition *e, const struct view *view);

/* ---- of sessions and NFs ---- */

/* What has series of KPIs: a session, or an NF, which is the sum of its sessions. */
struct subject {
	bool is_nf;
	char name[SESSION_NAME_MAX]; /* the session's source; the NF's name */
	struct number vni, generation;
	uint32_t id;         /* of the session */
	const uint32_t *ids; /* sessions that are summed */
	uint32_t n;
	uint32_t groups;     /* bit per enum kpi_group: those on the page */
	uint32_t histograms; /* bit per enum kpi_histogram: those with a sample */
	/* Of a session; where there is no estimate, nothing is shown: never 0. */
	struct loss_estimate loss[LOSS_TRANSPORTS];
	bool has_loss[LOSS_TRANSPORTS];
};
static_assert(KPI_HISTOGRAMS <= 32, "a bit for each");

/* Subjects of one kind. */
struct subjects {
	struct subject *subject;
	uint32_t n;
	uint32_t groups; /* that such a subject can have */
	bool is_nf;
};

/* What is on a page: of each subject all that it has. */
struct selection {
	struct subjects sessions, nfs;
	uint32_t n_active; /* sessions */
	uint64_t series, dropped;
	/* Behind the NFs. */
	char (*nf_of)[SESSION_NAME_MAX]; /* [sessions known] */
	uint32_t *ids;                   /* of those with an NF, by its name */
};

/* -ENOMEM; out is to be released also then. */
int metrics_select(struct selection *out, const struct view *view, uint64_t now_ns,
		   struct err *err);
void metrics_release(struct selection *selection);
size_t metrics_select_memory(uint32_t sessions_max, const struct view_facts *facts);
/* Sessions on a page at most. */
uint32_t metrics_select_max(uint32_t sessions_max, uint32_t series_max);
/* Series of a session besides its KPIs: info, last packet, share of what would show if lost; and of
 * each estimate: it and its interval. */
#define METRICS_OWN_SERIES  3u
#define METRICS_LOSS_SERIES 3u

/* KPIs and histograms of all subjects. */
void metrics_kpis(struct exposition *e, const struct view *view, const struct subjects *subjects);
size_t metrics_kpis_memory(uint32_t sessions_max, const struct view_facts *facts);
/* Of a histogram: buckets, one of them without an edge, sum and count. */
#define METRICS_HISTOGRAM_SERIES (HISTOGRAM_CLASSIC + 3)
