#include "serve/summary.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define KPIS_MAX 6 /* of a count */

struct count_row {
	unsigned n;
	enum kpi kpi[KPIS_MAX];
};

static const struct count_row count_rows[] = {
#define COUNT(name, key, ...)                                                                      \
	[SUMMARY_##name] = {sizeof((enum kpi[]){__VA_ARGS__}) / sizeof(enum kpi), {__VA_ARGS__}},
#include "serve/summary.def"
#undef COUNT
};
static_assert(SUMMARY_SCTP_DATA - SUMMARY_TCP_DATA == 4 && SUMMARY_UE_DATA - SUMMARY_SCTP_DATA == 4,
	      "four of each transport");

/* A transport's count, told by the one of TCP. */
static uint64_t count_of(const struct summary *s, enum summary_transport transport,
			 enum summary_count of_tcp)
{
	return s->n[of_tcp + 4 * transport];
}

/* ---- counts ---- */

int summary_add_rtt(struct summary *s, enum summary_transport transport, enum summary_side side,
		    const struct histogram *samples)
{
	struct histogram **rtt = &s->rtt[transport][side];

	if (!*rtt && !(*rtt = calloc(1, sizeof(**rtt))))
		return -ENOMEM;
	histogram_merge(*rtt, samples);
	return 0;
}

static int read_rtt(const struct view *v, uint32_t session, struct summary *out)
{
	static const struct {
		enum summary_transport transport;
		enum summary_side side;
		enum kpi_histogram which;
	} rows[] = {{SUMMARY_TCP, SUMMARY_CLIENT, KPI_TCP_RTT_CLIENT},
		    {SUMMARY_TCP, SUMMARY_SERVER, KPI_TCP_RTT_SERVER},
		    {SUMMARY_SCTP, SUMMARY_BOTH, KPI_SCTP_SACK_RTT},
		    {SUMMARY_UE, SUMMARY_CLIENT, KPI_UE_TCP_RTT_CLIENT},
		    {SUMMARY_UE, SUMMARY_SERVER, KPI_UE_TCP_RTT_SERVER}};
	struct histogram one;
	int ret = 0;

	for (unsigned i = 0; !ret && i < sizeof(rows) / sizeof(rows[0]); i++)
		if (view_histogram(v, session, rows[i].which, &one))
			ret = summary_add_rtt(out, rows[i].transport, rows[i].side, &one);
	return ret;
}

int summary_read_session(struct summary *out, const struct view *v, uint32_t session)
{
	struct session_labels labels;

	stats_labels(v->ledger.stats, session, &labels);
	*out = (struct summary){.sessions = 1, .groups = view_groups(v, session)};
	memcpy(out->name, labels.name, sizeof(out->name));
	memcpy(out->nf, labels.nf, sizeof(out->nf));
	for (unsigned i = 0; i < SUMMARY_COUNTS; i++)
		for (unsigned k = 0; k < count_rows[i].n; k++)
			out->n[i] += view_kpi(v, session, count_rows[i].kpi[k]);
	for (unsigned t = 0; t < LOSS_TRANSPORTS; t++)
		for (uint32_t w = 0; w < v->ledger.stats->workers; w++)
			loss_sum(&out->loss[t], &stats_kpi(v->ledger.stats, w, session)->loss[t]);
	return read_rtt(v, session, out);
}

int summary_open(struct summary_table *out, size_t n, struct err *err)
{
	out->row = calloc(n + 1, sizeof(*out->row));
	out->n = out->row ? n : 0;
	return out->row ? 0
			: err_set(err, -ENOMEM, "out of memory for the report of %zu sessions", n);
}

static int fail_memory(struct summary_table *table, struct err *err)
{
	summary_close(table);
	return err_set(err, -ENOMEM, "out of memory for the report");
}

int summary_read(struct summary_table *out, const struct view *v, struct err *err)
{
	const uint32_t n = view_sessions(v);
	int ret = summary_open(out, n, err);

	for (uint32_t id = 0; !ret && id < n; id++)
		if (summary_read_session(&out->row[id], v, id))
			ret = fail_memory(out, err);
	return ret;
}

void summary_drop(struct summary *s)
{
	for (unsigned t = 0; t < SUMMARY_TRANSPORTS; t++)
		for (unsigned side = 0; side < SUMMARY_SIDES; side++)
			free(s->rtt[t][side]);
}

void summary_close(struct summary_table *table)
{
	for (size_t i = 0; i < table->n; i++)
		summary_drop(&table->row[i]);
	free(table->row);
	*table = (struct summary_table){0};
}

static int add_rtts(struct summary *sum, const struct summary *s)
{
	int ret = 0;

	for (unsigned t = 0; t < SUMMARY_TRANSPORTS; t++)
		for (unsigned side = 0; !ret && side < SUMMARY_SIDES; side++)
			if (s->rtt[t][side])
				ret = summary_add_rtt(sum, t, side, s->rtt[t][side]);
	return ret;
}

static int add(struct summary *sum, const struct summary *s)
{
	sum->sessions += s->sessions;
	sum->groups |= s->groups;
	for (unsigned i = 0; i < SUMMARY_COUNTS; i++)
		sum->n[i] += s->n[i];
	for (unsigned t = 0; t < LOSS_TRANSPORTS; t++)
		loss_sum(&sum->loss[t], &s->loss[t]);
	return add_rtts(sum, s);
}

int summary_copy(struct summary_table *out, const struct summary_table *from, struct err *err)
{
	int ret = summary_open(out, from->n, err);

	for (size_t i = 0; !ret && i < from->n; i++) {
		struct summary *row = &out->row[i];
		memcpy(row->name, from->row[i].name, sizeof(row->name));
		memcpy(row->nf, from->row[i].nf, sizeof(row->nf));
		if (add(row, &from->row[i]))
			ret = fail_memory(out, err);
	}
	return ret;
}

static const char *nf_of(const struct summary *s)
{
	return *s->nf ? s->nf : s->name;
}

/* An NF and a session without one may have the same name. */
static int compare_nf(const void *a, const void *b)
{
	const struct summary *x = *(const struct summary *const *)a,
			     *y = *(const struct summary *const *)b;
	const int order = strcmp(nf_of(x), nf_of(y));

	return order ? order : !*x->nf - !*y->nf;
}

static int add_in_order(struct summary_table *out, const struct summary **sorted, size_t n)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < n; i++) {
		if (!i || compare_nf(&sorted[i - 1], &sorted[i])) {
			struct summary *new = &out->row[out->n++];
			memcpy(new->name, *sorted[i]->nf ? sorted[i]->nf : sorted[i]->name,
			       sizeof(new->name));
			memcpy(new->nf, sorted[i]->nf, sizeof(new->nf));
		}
		ret = add(&out->row[out->n - 1], sorted[i]);
	}
	return ret;
}

int summary_by_nf(struct summary_table *out, const struct summary_table *sessions, struct err *err)
{
	const struct summary **sorted = calloc(sessions->n + 1, sizeof(*sorted));
	const int ret = summary_open(out, sessions->n, err);

	if (ret) {
		free(sorted);
		return ret;
	}
	out->n = 0;
	for (size_t i = 0; sorted && i < sessions->n; i++)
		sorted[i] = &sessions->row[i];
	if (sorted)
		qsort(sorted, sessions->n, sizeof(*sorted), compare_nf);
	const bool is_whole = sorted && !add_in_order(out, sorted, sessions->n);
	free(sorted);
	return is_whole ? 0 : fail_memory(out, err);
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static void subtract_loss(struct loss *l, const struct loss *e)
{
	l->acks = less(l->acks, e->acks);
	l->blocks = less(l->blocks, e->blocks);
	l->lossy = less(l->lossy, e->lossy);
	l->acked = fmax(l->acked - e->acked, 0);
	l->missing = fmax(l->missing - e->missing, 0);
	l->acked_squared = fmax(l->acked_squared - e->acked_squared, 0);
	l->missing_squared = fmax(l->missing_squared - e->missing_squared, 0);
	l->product = fmax(l->product - e->product, 0);
}

static void subtract_rtts(struct summary *l, const struct summary *e)
{
	for (unsigned t = 0; t < SUMMARY_TRANSPORTS; t++)
		for (unsigned side = 0; side < SUMMARY_SIDES; side++)
			if (l->rtt[t][side] && e->rtt[t][side])
				histogram_subtract(l->rtt[t][side], e->rtt[t][side]);
}

void summary_subtract(struct summary_table *later, const struct summary_table *earlier)
{
	for (size_t i = 0; i < later->n && i < earlier->n; i++) {
		struct summary *l = &later->row[i];
		const struct summary *e = &earlier->row[i];
		for (unsigned k = 0; k < SUMMARY_COUNTS; k++)
			l->n[k] = less(l->n[k], e->n[k]);
		for (unsigned t = 0; t < LOSS_TRANSPORTS; t++)
			subtract_loss(&l->loss[t], &e->loss[t]);
		subtract_rtts(l, e);
	}
}

/* ---- figures ---- */

static double share(uint64_t part, uint64_t whole)
{
	return whole ? fmin((double)part / (double)whole, 1) : NAN;
}

static void tell_loss(struct summary_figures *f, const struct summary *s)
{
	const bool is_sctp = s->loss[LOSS_SCTP].acks > s->loss[LOSS_TCP].acks;
	struct loss_estimate e = {NAN, NAN, NAN};

	(void)loss_estimate(&s->loss[is_sctp ? LOSS_SCTP : LOSS_TCP], &e);
	f->lost = e.ratio;
	f->lost_low = e.low;
	f->lost_high = e.high;
	f->visible = share(s->n[SUMMARY_VISIBLE_BYTES], s->n[SUMMARY_BYTES]);
}

static struct summary_rtt tell_rtt(const struct histogram *h)
{
	if (!h || !histogram_count(h))
		return (struct summary_rtt){0, NAN, NAN, NAN};
	return (struct summary_rtt){.samples = (double)histogram_count(h),
				    .p50 = (double)histogram_quantile(h, .5) / 1e9,
				    .p95 = (double)histogram_quantile(h, .95) / 1e9,
				    .p99 = (double)histogram_quantile(h, .99) / 1e9};
}

static enum summary_side farthest(const struct summary_rtt rtt[static SUMMARY_SIDES])
{
	enum summary_side far = 0;

	for (unsigned side = 1; side < SUMMARY_SIDES; side++)
		if (rtt[side].samples && !(rtt[far].p50 >= rtt[side].p50)) /* that may be NAN */
			far = side;
	return far;
}

static void tell_transport(const struct summary *s, enum summary_transport t,
			   struct summary_transport_figures *out)
{
	static const enum kpi_group seen[] = {KPI_GROUP_TCP, KPI_GROUP_SCTP, KPI_GROUP_UE_TCP},
				    both[] = {KPI_GROUP_TCP_BOTH, KPI_GROUP_SCTP_BOTH,
					      KPI_GROUP_UE_TCP_BOTH};
	const bool sees_both = s->groups >> both[t] & 1;
	const uint64_t data = count_of(s, t, SUMMARY_TCP_DATA);

	*out = (struct summary_transport_figures){
		.is_seen = s->groups >> seen[t] & 1,
		.data = (double)data,
		.resent = share(count_of(s, t, SUMMARY_TCP_RESENT), data),
		.attempted = (double)count_of(s, t, SUMMARY_TCP_ATTEMPTED),
		.failed = sees_both ? (double)count_of(s, t, SUMMARY_TCP_FAILED) : NAN};
	for (unsigned side = 0; side < SUMMARY_SIDES; side++)
		out->rtt[side] = tell_rtt(s->rtt[t][side]);
	out->far = farthest(out->rtt);
}

void summary_figures(struct summary_figures *out, const struct summary *s,
		     const struct summary *rate, double seconds)
{
	const uint64_t *n = s->n;
	const uint64_t came = n[SUMMARY_PACKETS] + n[SUMMARY_EXCLUDED];
	const double per_second = seconds > 0 ? 1 / seconds : NAN;

	*out = (struct summary_figures){
		.of = s,
		.packets = (double)n[SUMMARY_PACKETS],
		.bytes = (double)n[SUMMARY_BYTES],
		.packets_per_second = (double)rate->n[SUMMARY_PACKETS] * per_second,
		.bits_per_second = 8 * (double)rate->n[SUMMARY_BYTES] * per_second,
		.truncated = share(n[SUMMARY_TRUNCATED], n[SUMMARY_PACKETS]),
		.duplicates = share(n[SUMMARY_DUPLICATES], came),
		.one_way = share(n[SUMMARY_ONE_WAY], n[SUMMARY_ONE_WAY] + n[SUMMARY_BOTH_WAYS])};
	tell_loss(out, s);
	for (unsigned t = 0; t < SUMMARY_TRANSPORTS; t++) {
		tell_transport(s, t, &out->transport[t]);
		if (out->transport[t].data > out->transport[out->main].data)
			out->main = t;
	}
}
