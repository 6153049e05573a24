#define _GNU_SOURCE /* qsort_r */
#include "serve/metrics_part.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Those that every session has. */
enum {
	SESSION_SERIES = METRICS_OWN_SERIES
#define KPI(name, group, ...) +(KPI_GROUP_##group == KPI_GROUP_FEED)
#include "kpi/kpis.def"
#undef KPI
};

uint32_t metrics_select_max(uint32_t sessions_max, uint32_t series_max)
{
	return sessions_max < series_max / SESSION_SERIES ? sessions_max
							  : series_max / SESSION_SERIES;
}

size_t metrics_select_memory(uint32_t sessions_max, const struct view_facts *facts)
{
	const size_t sessions = (metrics_select_max(sessions_max, facts->series_max) + (size_t)1) *
				sizeof(struct subject);
	const size_t nfs = facts->by == VIEW_BY_SESSION
				   ? 0
				   : sessions_max * (sizeof(struct subject) + SESSION_NAME_MAX +
						     sizeof(uint32_t));

	return sessions + nfs;
}

/* ---- what a subject has ---- */

static uint32_t histograms_of(const struct view *v, uint32_t id, uint32_t groups)
{
	struct histogram unused;
	uint32_t bits = 0;

	for (unsigned i = 0; i < KPI_HISTOGRAMS; i++)
		if (groups >> view_histogram_rows[i].group & 1 && view_histogram(v, id, i, &unused))
			bits |= 1u << i;
	return bits;
}

/* Of those groups, what the sessions have. */
static void find_series(struct subject *s, const struct view *v, uint32_t groups)
{
	for (uint32_t i = 0; i < s->n; i++) {
		s->groups |= view_groups(v, s->ids[i]) & groups;
		s->histograms |= histograms_of(v, s->ids[i], groups);
	}
}

static uint32_t series_of(const struct subject *s)
{
	uint32_t n = METRICS_HISTOGRAM_SERIES * (uint32_t)__builtin_popcount(s->histograms);

	for (unsigned kpi = 0; kpi < KPI_MAX; kpi++)
		n += s->groups >> view_kpi_rows[kpi].group & 1;
	for (unsigned t = 0; t < LOSS_TRANSPORTS; t++)
		n += s->has_loss[t] * METRICS_LOSS_SERIES;
	return n + (s->is_nf ? 0 : METRICS_OWN_SERIES);
}

/* Is there room for all of it? Behind the first that has none, there is none. */
static bool takes(struct selection *c, const struct subject *s, uint32_t series_max)
{
	const uint32_t series = series_of(s);
	const bool fits = !c->dropped && c->series + series <= series_max;

	if (fits)
		c->series += series;
	else
		c->dropped += series;
	return fits;
}

/* ---- sessions ---- */

static void begin_session(struct subject *s, const struct view *v, uint32_t id)
{
	const struct session *session = &stats_sessions(v->ledger.stats)[id];

	stats_address(&session->source, s->name);
	s->vni = number(session->vni);
	s->generation = number(session->generation);
	s->id = id;
	s->ids = &s->id;
	s->n = 1;
	for (unsigned t = 0; t < LOSS_TRANSPORTS; t++)
		s->has_loss[t] = view_loss(v, id, t, &s->loss[t]);
}

static int select_sessions(struct selection *c, const struct view *v, uint64_t now_ns)
{
	const uint32_t known = view_sessions(v);

	/* One more: that which does not fit. */
	c->sessions.subject = calloc(metrics_select_max(known, v->facts.series_max) + (size_t)1,
				     sizeof(*c->sessions.subject));
	if (!c->sessions.subject)
		return -ENOMEM;
	for (uint32_t id = 0; id < known; id++) {
		struct subject *s = &c->sessions.subject[c->sessions.n];
		if (!view_is_active(v, id, now_ns))
			continue;
		*s = (struct subject){0};
		begin_session(s, v, id);
		find_series(s, v, c->sessions.groups);
		c->n_active++;
		c->sessions.n += takes(c, s, v->facts.series_max);
	}
	return 0;
}

/* ---- NFs ---- */

static int compare(const void *a, const void *b, void *context)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	char(*const nf_of)[SESSION_NAME_MAX] = context;
	const int order = strcmp(nf_of[x], nf_of[y]);

	return order ? order : (x > y) - (x < y);
}

/* The sessions that have an NF, by its name. */
static uint32_t sort_by_nf(struct selection *c, const struct view *v, uint32_t known)
{
	uint32_t n = 0;

	for (uint32_t id = 0; id < known; id++) {
		struct session_labels l;
		stats_labels(v->ledger.stats, id, &l);
		(void)snprintf(c->nf_of[id], sizeof(c->nf_of[id]), "%s", l.nf);
		if (*l.nf)
			c->ids[n++] = id;
	}
	qsort_r(c->ids, n, sizeof(*c->ids), compare, c->nf_of);
	return n;
}

static bool is_any_active(const struct view *v, const struct subject *s, uint64_t now_ns)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (view_is_active(v, s->ids[i], now_ns))
			return true;
	return false;
}

/* Its silent sessions too are summed: a sum without them would go down. */
static int select_nfs(struct selection *c, const struct view *v, uint64_t now_ns)
{
	const uint32_t known = view_sessions(v);

	c->nfs.subject = calloc(known + (size_t)1, sizeof(*c->nfs.subject));
	c->nf_of = calloc(known + (size_t)1, sizeof(*c->nf_of));
	c->ids = calloc(known + (size_t)1, sizeof(*c->ids));
	if (!c->nfs.subject || !c->nf_of || !c->ids)
		return -ENOMEM;
	const uint32_t n = sort_by_nf(c, v, known);
	for (uint32_t first = 0, end = 0; first < n; first = end) {
		struct subject *s = &c->nfs.subject[c->nfs.n];
		while (end < n && !strcmp(c->nf_of[c->ids[end]], c->nf_of[c->ids[first]]))
			end++;
		*s = (struct subject){.is_nf = true, .ids = c->ids + first, .n = end - first};
		(void)snprintf(s->name, sizeof(s->name), "%s", c->nf_of[*s->ids]);
		if (!is_any_active(v, s, now_ns))
			continue;
		find_series(s, v, c->nfs.groups);
		c->nfs.n += takes(c, s, v->facts.series_max);
	}
	return 0;
}

int metrics_select(struct selection *out, const struct view *v, uint64_t now_ns, struct err *err)
{
	const enum view_by by = v->facts.by;

	*out = (struct selection){
		.sessions.groups = by == VIEW_BY_NF ? view_feed_groups : UINT32_MAX,
		.nfs = {.groups = by == VIEW_BY_SESSION ? 0 : ~view_feed_groups, .is_nf = true},
	};
	int ret = select_sessions(out, v, now_ns);
	if (!ret && out->nfs.groups)
		ret = select_nfs(out, v, now_ns);
	return ret ? err_set(err, ret, "out of memory for the metrics") : 0;
}

void metrics_release(struct selection *c)
{
	free(c->sessions.subject);
	free(c->nfs.subject);
	free(c->nf_of);
	free(c->ids);
}
