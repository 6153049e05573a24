#include "serve/metrics_part.h"

#include <stdio.h>
#include <string.h>

/* What a sample has besides the metric's name and a row's labels, at most: of a session; of an NF,
 * whose name may be 63 bytes that all have to be escaped. */
#define SESSION_REST                                                                               \
	"_bucket{source=\"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255\",vni=\"4294967295\","     \
	"generation=\"4294967295\",le=\"0.00025\"} 18446744073709551615\n"
#define NF_REST (sizeof("nf__bucket{nf=\"\",le=\"0.00025\"} 18446744073709551615\n") + 126)
/* What a bucket has besides. */
#define EXEMPLAR_REST                                                                              \
	" # {source=\"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255\",vni=\"4294967295\"} "        \
	"18446744073.709551615 18446744073.709551615"

static size_t longer(size_t len, const char *metric, const char *labels)
{
	const size_t n = strlen(metric) + strlen(labels);

	return n > len ? n : len;
}

size_t metrics_kpis_memory(uint32_t sessions_max, const struct view_facts *facts)
{
	const size_t rest = facts->by == VIEW_BY_SESSION || sizeof(SESSION_REST) > NF_REST
				    ? sizeof(SESSION_REST)
				    : NF_REST;
	size_t counter = 0, bucket = 0;

	for (unsigned i = 0; i < KPI_MAX; i++)
		counter = longer(counter, view_kpi_rows[i].metric, view_kpi_rows[i].labels);
	for (unsigned i = 0; i < KPI_HISTOGRAMS; i++)
		bucket = longer(bucket, view_histogram_rows[i].metric,
				view_histogram_rows[i].labels);
	counter += rest;
	bucket += rest + sizeof(EXEMPLAR_REST);
	const size_t each = (KPI_MAX + LOSS_TRANSPORTS * METRICS_LOSS_SERIES) * counter +
			    (size_t)KPI_HISTOGRAMS * METRICS_HISTOGRAM_SERIES * bucket,
		     all = sessions_max * each * (facts->by == VIEW_BY_BOTH ? 2 : 1),
		     longest = bucket > counter ? bucket : counter;
	return all < facts->series_max * longest ? all : facts->series_max * longest;
}

/* ---- families: vxprobe_NAME of sessions, vxprobe_nf_NAME of NFs ---- */

#define PREFIX "vxprobe_"

struct family {
	char name[128];
};

static struct family family_of(const struct subjects *of, const char *metric)
{
	struct family f;

	(void)snprintf(f.name, sizeof(f.name), PREFIX "%s%s", of->is_nf ? "nf_" : "",
		       metric + strlen(PREFIX));
	return f;
}

#define SUBJECT_LABELS(s, row_labels)                                                              \
	((s)->is_nf ? LABELS("nf", (s)->name, LABELS_WRITTEN, row_labels)                          \
		    : LABELS("source", (s)->name, "vni", (s)->vni.text, "generation",              \
			     (s)->generation.text, LABELS_WRITTEN, row_labels))

/* ---- counters ---- */

static void write_kpi(struct exposition *e, const struct view *v, const struct subject *s,
		      unsigned kpi)
{
	const struct view_kpi_row *row = &view_kpi_rows[kpi];
	const char *const *labels = SUBJECT_LABELS(s, row->labels);
	uint64_t sum = 0;

	for (uint32_t i = 0; i < s->n; i++)
		sum += view_kpi(v, s->ids[i], kpi);
	if (row->type == EXPOSITION_SECONDS)
		exposition_seconds(e, sum, labels);
	else
		exposition_integer(e, sum, labels);
}

/* Rows of one family, which both layers of TCP have, need not stand together. */
static bool begins_family(const struct subjects *of, unsigned kpi)
{
	for (unsigned i = 0; i < kpi; i++)
		if (!strcmp(view_kpi_rows[i].metric, view_kpi_rows[kpi].metric))
			return false;
	return of->groups >> view_kpi_rows[kpi].group & 1;
}

static void write_family(struct exposition *e, const struct view *v, const struct subjects *of,
			 unsigned first)
{
	const struct view_kpi_row *row = &view_kpi_rows[first];
	const struct family family = family_of(of, row->metric);

	exposition_family(e, row->type, family.name, row->unit, row->help);
	for (unsigned kpi = first; kpi < KPI_MAX; kpi++) {
		if (strcmp(view_kpi_rows[kpi].metric, row->metric))
			continue;
		for (uint32_t i = 0; i < of->n; i++)
			if (of->subject[i].groups >> view_kpi_rows[kpi].group & 1)
				write_kpi(e, v, &of->subject[i], kpi);
	}
}

/* ---- histograms ---- */

/* Of all sessions of a subject, and the session that each exemplar is of. */
struct summed {
	struct histogram histogram;
	uint32_t session[HISTOGRAM_CLASSIC + 1];
};

static void sum_up(struct summed *out, const struct view *v, const struct subject *s,
		   enum kpi_histogram which)
{
	struct histogram *sum = &out->histogram, h;

	*out = (struct summed){0};
	for (uint32_t i = 0; i < s->n; i++) {
		if (!view_histogram(v, s->ids[i], which, &h))
			continue;
		for (unsigned b = 0; b <= HISTOGRAM_CLASSIC; b++)
			if (h.exemplar[b].time_ns > sum->exemplar[b].time_ns)
				out->session[b] = s->ids[i];
		histogram_merge(sum, &h);
	}
}

static void write_buckets(struct exposition *e, const struct summed *summed,
			  const struct exposition_exemplar *exemplars, const char *const *labels)
{
	const struct histogram *h = &summed->histogram;
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
							    .sum_ns = h->sum_ns,
							    .exemplar = exemplars},
			     labels);
}

static void write_histogram(struct exposition *e, const struct view *v, const struct subject *s,
			    enum kpi_histogram which)
{
	struct exposition_exemplar exemplars[HISTOGRAM_CLASSIC + 1];
	struct {
		char source[SESSION_NAME_MAX];
		struct number vni;
		const char *labels[5];
	} of[HISTOGRAM_CLASSIC + 1];
	struct summed summed;

	sum_up(&summed, v, s, which);
	for (unsigned i = 0; i <= HISTOGRAM_CLASSIC; i++) {
		const struct histogram_exemplar *x = &summed.histogram.exemplar[i];
		const struct session *session = &stats_sessions(v->ledger.stats)[summed.session[i]];
		stats_address(&session->source, of[i].source);
		of[i].vni = number(session->vni);
		const char *const labels[] = {"source", of[i].source, "vni", of[i].vni.text, NULL};
		memcpy(of[i].labels, labels, sizeof(labels));
		exemplars[i] = (struct exposition_exemplar){x->ns, view_wall_ns(v, x->time_ns),
							    of[i].labels};
	}
	write_buckets(e, &summed, exemplars, SUBJECT_LABELS(s, view_histogram_rows[which].labels));
}

static bool begins_histogram(const struct subjects *of, unsigned which)
{
	for (unsigned i = 0; i < which; i++)
		if (!strcmp(view_histogram_rows[i].metric, view_histogram_rows[which].metric))
			return false;
	return of->groups >> view_histogram_rows[which].group & 1;
}

static void write_histogram_family(struct exposition *e, const struct view *v,
				   const struct subjects *of, unsigned first)
{
	const struct view_histogram_row *row = &view_histogram_rows[first];
	const struct family family = family_of(of, row->metric);

	exposition_family(e, EXPOSITION_HISTOGRAM, family.name, "seconds", row->help);
	for (unsigned which = first; which < KPI_HISTOGRAMS; which++) {
		if (strcmp(view_histogram_rows[which].metric, row->metric))
			continue;
		for (uint32_t i = 0; i < of->n; i++)
			if (of->subject[i].histograms >> which & 1)
				write_histogram(e, v, &of->subject[i], which);
	}
}

void metrics_kpis(struct exposition *e, const struct view *v, const struct subjects *of)
{
	for (unsigned kpi = 0; kpi < KPI_MAX; kpi++)
		if (begins_family(of, kpi))
			write_family(e, v, of, kpi);
	for (unsigned which = 0; which < KPI_HISTOGRAMS; which++)
		if (begins_histogram(of, which))
			write_histogram_family(e, v, of, which);
}
