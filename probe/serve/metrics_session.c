#include "serve/metrics_part.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What a sample has besides the metric's name and a row's labels, at most. */
static const char sample_rest[] =
	"_bucket{source=\"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255\",vni=\"4294967295\","
	"generation=\"4294967295\",le=\"0.00025\"} 18446744073709551615\n";
/* An info: five texts of 63 bytes, each of which may have to be escaped. */
#define INFO_LEN 1024
/* Of all families' heads. */
#define HEADS_LEN 32768

/* Samples besides the counters: info, last packet. Those that every session has; at most. */
#define OWN_SAMPLES 2u
enum {
	SAMPLES = OWN_SAMPLES
#define KPI(name, group, ...) +(KPI_GROUP_##group == KPI_GROUP_FEED)
#include "kpi/kpis.def"
#undef KPI
	,
	SAMPLES_MAX = OWN_SAMPLES + KPI_MAX
};

/* Of a histogram: buckets, that without an edge, sum and count. */
#define HISTOGRAM_SAMPLES (HISTOGRAM_CLASSIC + 3)

/* A session on the page. */
struct shown {
	uint32_t id;
	char source[SESSION_NAME_MAX];
	struct number vni, generation;
	uint32_t groups;     /* bit per enum kpi_group */
	uint32_t histograms; /* bit per enum kpi_histogram: those with a sample */
};
static_assert(KPI_HISTOGRAMS <= 32, "a bit for each");

struct selection {
	struct shown *session;
	uint32_t n, n_active;
	uint64_t series, dropped;
};

static uint32_t shown_max(uint32_t sessions_max, uint32_t series_max)
{
	return sessions_max < series_max / SAMPLES ? sessions_max : series_max / SAMPLES;
}

static size_t longer(size_t len, const char *metric, const char *labels)
{
	const size_t n = strlen(metric) + strlen(labels) + sizeof(sample_rest);

	return n > len ? n : len;
}

size_t metrics_sessions_memory(uint32_t sessions_max, uint32_t series_max)
{
	const size_t all =
		sessions_max * (SAMPLES_MAX + (size_t)KPI_HISTOGRAMS * HISTOGRAM_SAMPLES);
	size_t sample_len = 0;

	for (unsigned i = 0; i < KPI_MAX; i++)
		sample_len = longer(sample_len, view_kpi_rows[i].metric, view_kpi_rows[i].labels);
	for (unsigned i = 0; i < KPI_HISTOGRAMS; i++)
		sample_len = longer(sample_len, view_histogram_rows[i].metric,
				    view_histogram_rows[i].labels);
	return HEADS_LEN + shown_max(sessions_max, series_max) * (sizeof(struct shown) + INFO_LEN) +
	       (all < series_max ? all : series_max) * sample_len;
}

static uint32_t histograms_of(const struct view *v, uint32_t id)
{
	struct histogram unused;
	uint32_t bits = 0;

	for (unsigned i = 0; i < KPI_HISTOGRAMS; i++)
		bits |= (uint32_t)view_histogram(v, id, i, &unused) << i;
	return bits;
}

static uint32_t series_of(uint32_t groups, uint32_t histograms)
{
	uint32_t n = OWN_SAMPLES + HISTOGRAM_SAMPLES * (uint32_t)__builtin_popcount(histograms);

	for (unsigned kpi = 0; kpi < KPI_MAX; kpi++)
		n += groups >> view_kpi_rows[kpi].group & 1;
	return n;
}

static void show(const struct view *v, uint32_t id, uint32_t groups, uint32_t histograms,
		 struct shown *out)
{
	const struct session *s = &stats_sessions(v->ledger.stats)[id];

	out->id = id;
	stats_address(&s->source, out->source);
	out->vni = number(s->vni);
	out->generation = number(s->generation);
	out->groups = groups;
	out->histograms = histograms;
}

/* A session is on the page as a whole or not at all; behind the first that is not, none is. */
static int choose(const struct view *v, uint64_t now_ns, struct selection *out, struct err *err)
{
	const uint32_t known = view_sessions(v);
	const uint32_t max = shown_max(known, v->facts.series_max);

	*out = (struct selection){.session = calloc((size_t)max + 1, sizeof(*out->session))};
	if (!out->session)
		return err_set(err, -ENOMEM, "out of memory for the metrics");
	for (uint32_t id = 0; id < known; id++) {
		if (!view_is_active(v, id, now_ns))
			continue;
		const uint32_t groups = view_groups(v, id), histograms = histograms_of(v, id);
		const uint32_t series = series_of(groups, histograms);
		out->n_active++;
		if (out->dropped || out->series + series > v->facts.series_max) {
			out->dropped += series;
			continue;
		}
		show(v, id, groups, histograms, &out->session[out->n++]);
		out->series += series;
	}
	return 0;
}

#define SESSION_LABELS(s)                                                                          \
	"source", (s)->source, "vni", (s)->vni.text, "generation", (s)->generation.text

static void write_info(struct exposition *e, const struct view *v, const struct selection *chosen)
{
	exposition_family(e, EXPOSITION_INFO, "vxprobe_session", "",
			  "What a session is called, and what is done with its packets.");
	for (uint32_t i = 0; i < chosen->n; i++) {
		const struct shown *s = &chosen->session[i];
		struct session_labels l;
		stats_labels(v->ledger.stats, s->id, &l);
		exposition_integer(e, 1,
				   LABELS(SESSION_LABELS(s), "name", l.name, "nf", l.nf, "vrf",
					  l.vrf, "account", l.account, "eni", l.eni, "policy",
					  view_policy_text(l.policy)));
	}
}

static void write_last_packet(struct exposition *e, const struct view *v,
			      const struct selection *chosen)
{
	exposition_family(e, EXPOSITION_GAUGE, "vxprobe_session_last_packet_timestamp_seconds",
			  "seconds", "When the last packet of the session came, since 1970.");
	for (uint32_t i = 0; i < chosen->n; i++) {
		const struct shown *s = &chosen->session[i];
		exposition_seconds(e, view_last_packet_ns(v, s->id), LABELS(SESSION_LABELS(s)));
	}
}

static void write_kpi(struct exposition *e, const struct view *v, const struct shown *s,
		      unsigned kpi)
{
	const struct view_kpi_row *row = &view_kpi_rows[kpi];
	const char *const *labels = LABELS(SESSION_LABELS(s), LABELS_WRITTEN, row->labels);

	if (row->type == EXPOSITION_SECONDS)
		exposition_seconds(e, view_kpi(v, s->id, kpi), labels);
	else
		exposition_integer(e, view_kpi(v, s->id, kpi), labels);
}

/* Rows of one family, which both layers of TCP have, need not stand together. */
static bool begins_family(unsigned kpi)
{
	for (unsigned i = 0; i < kpi; i++)
		if (!strcmp(view_kpi_rows[i].metric, view_kpi_rows[kpi].metric))
			return false;
	return true;
}

static void write_family(struct exposition *e, const struct view *v, const struct selection *chosen,
			 unsigned first)
{
	const struct view_kpi_row *row = &view_kpi_rows[first];

	exposition_family(e, row->type, row->metric, row->unit, row->help);
	for (unsigned kpi = first; kpi < KPI_MAX; kpi++) {
		if (strcmp(view_kpi_rows[kpi].metric, row->metric))
			continue;
		for (uint32_t i = 0; i < chosen->n; i++)
			if (chosen->session[i].groups >> view_kpi_rows[kpi].group & 1)
				write_kpi(e, v, &chosen->session[i], kpi);
	}
}

static void write_kpis(struct exposition *e, const struct view *v, const struct selection *chosen)
{
	for (unsigned kpi = 0; kpi < KPI_MAX; kpi++)
		if (begins_family(kpi))
			write_family(e, v, chosen, kpi);
}

static void write_histogram(struct exposition *e, const struct shown *s,
			    const struct view_histogram_row *row, const struct histogram *h)
{
	uint64_t edge_ns[HISTOGRAM_CLASSIC], cumulative[HISTOGRAM_CLASSIC];

	for (unsigned i = 0; i < HISTOGRAM_CLASSIC; i++) {
		edge_ns[i] = histogram_classic_edge(i);
		cumulative[i] = histogram_classic_count(h, i);
	}
	exposition_histogram(e,
			     &(struct exposition_histogram){.edge_ns = edge_ns,
							    .cumulative = cumulative,
							    .n_edges = HISTOGRAM_CLASSIC,
							    .count = histogram_count(h),
							    .sum_ns = h->sum_ns},
			     LABELS(SESSION_LABELS(s), LABELS_WRITTEN, row->labels));
}

static bool begins_histogram(unsigned which)
{
	for (unsigned i = 0; i < which; i++)
		if (!strcmp(view_histogram_rows[i].metric, view_histogram_rows[which].metric))
			return false;
	return true;
}

static void write_histogram_family(struct exposition *e, const struct view *v,
				   const struct selection *chosen, unsigned first)
{
	const struct view_histogram_row *row = &view_histogram_rows[first];
	struct histogram h;

	exposition_family(e, EXPOSITION_HISTOGRAM, row->metric, "seconds", row->help);
	for (unsigned which = first; which < KPI_HISTOGRAMS; which++) {
		if (strcmp(view_histogram_rows[which].metric, row->metric))
			continue;
		for (uint32_t i = 0; i < chosen->n; i++) {
			const struct shown *s = &chosen->session[i];
			if (s->histograms >> which & 1 && view_histogram(v, s->id, which, &h))
				write_histogram(e, s, &view_histogram_rows[which], &h);
		}
	}
}

static void write_histograms(struct exposition *e, const struct view *v,
			     const struct selection *chosen)
{
	for (unsigned which = 0; which < KPI_HISTOGRAMS; which++)
		if (begins_histogram(which))
			write_histogram_family(e, v, chosen, which);
}

static void write_counts(struct exposition *e, const struct view *v, const struct selection *chosen)
{
	metrics_single(e, EXPOSITION_GAUGE, "vxprobe_sessions", "", "Sessions known.",
		       view_sessions(v));
	metrics_single(e, EXPOSITION_GAUGE, "vxprobe_sessions_active", "",
		       "Sessions with a packet in the last 15 minutes: those with series.",
		       chosen->n_active);
	metrics_single(e, EXPOSITION_GAUGE, "vxprobe_series", "",
		       "Series of sessions on this page.", chosen->series);
	metrics_single(e, EXPOSITION_COUNTER, "vxprobe_series_dropped", "",
		       "Series of sessions that were left out of a page, beyond series-max.",
		       v->series_dropped);
}

int metrics_sessions(struct exposition *e, struct view *v, uint64_t now_ns, struct err *err)
{
	struct selection chosen;
	const int ret = choose(v, now_ns, &chosen, err);

	if (ret)
		return ret;
	v->series_dropped += chosen.dropped;
	write_counts(e, v, &chosen);
	write_info(e, v, &chosen);
	write_last_packet(e, v, &chosen);
	write_kpis(e, v, &chosen);
	write_histograms(e, v, &chosen);
	free(chosen.session);
	return 0;
}
