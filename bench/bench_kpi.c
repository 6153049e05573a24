/*
 * bench_kpi [FLOWS [ROUNDS]]: what KPIs cost, against decap, dissect and the flow table alone, over
 * a TCP mix of FLOWS connections (100,000) made in memory (mix.h); and what a packet costs under a
 * flood of new flows, five to each packet of the mix. One line of JSON.
 *
 * All take their packets in the same batches, one after the other and the first in turns, so that
 * what else the machine does meets them all. Medians of the rounds (15), and of their ratios.
 */
#include "mix.h"

#include "kpi/kpi.h"
#include "path/decap.h"
#include "path/dissect.h"
#include "path/flow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Of a round: two of each connection, of what is in memory at once. */
#define PACKETS_OF_FLOW 2
#define ROUNDS_MAX      100
#define WARM            10 /* rounds until connections have come to all their phases */
#define FLOOD           5  /* packets of the flood to each of the mix */

static struct mix_frame *frames; /* of a round */
static unsigned n_frames;
static const struct decap_config config = {.port = 4789,
					   .key = {{0x0123456789abcdef, 0xfedcba9876543210}}};
static struct flow_table *flows;

/* With memory of its own for two sessions. */
struct measured {
	struct kpis *kpi;
	struct kpi_session sessions[2];
	struct histogram histograms[2 * KPI_HISTOGRAMS];
	uint64_t used, missed;
};
static struct measured calm, flooded;
static uint64_t sink; /* what is computed is used */

struct taken {
	struct packet packet[BATCH_MAX];
	struct dissected dissected[BATCH_MAX];
};

static void take(const struct mix_frame *f, unsigned n, struct taken *out)
{
	for (unsigned i = 0; i < n; i++) {
		const struct frame frame = {
			.data = f[i].data, .len = f[i].len, .time_ns = f[i].time_ns};
		if (decap_frame(&config, NULL, &frame, &out->packet[i]) != FATE_KEPT)
			abort();
		const struct packet *p = &out->packet[i];
		dissect_frame(p->data, p->len, p->cap_len, &out->dissected[i]);
	}
}

static void dissect_only(const struct mix_frame *f, unsigned n)
{
	struct taken t;

	take(f, n, &t);
	for (unsigned i = 0; i < n; i++)
		sink += t.dissected[i].key.port_a;
}

static void flow_only(const struct mix_frame *f, unsigned n)
{
	struct flow_place place[BATCH_MAX];
	struct taken t;

	take(f, n, &t);
	for (unsigned i = 0; i < n; i++)
		place[i] = flow_place(flows, &t.dissected[i].key);
	for (unsigned i = 0; i < n; i++)
		flow_fetch(flows, &place[i], &t.dissected[i].key, t.packet[i].time_ns);
	for (unsigned i = 0; i < n; i++) {
		const struct dissected *d = &t.dissected[i];
		sink += flow_update(flows, &place[i], &d->key, d->direction, d->ip_len,
				    t.packet[i].time_ns) != NULL;
	}
}

static void measure(struct kpis *kpi, const struct mix_frame *f, unsigned n)
{
	struct kpi_packet p[BATCH_MAX];
	struct taken t;

	take(f, n, &t);
	for (unsigned i = 0; i < n; i++)
		p[i] = (struct kpi_packet){&t.packet[i], &t.dissected[i], t.packet[i].vni - 1,
					   SESSION_INGRESS};
	kpi_batch(kpi, p, n);
}

static void with_kpi(const struct mix_frame *f, unsigned n)
{
	measure(calm.kpi, f, n);
}

static void under_flood(const struct mix_frame *f, unsigned n)
{
	measure(flooded.kpi, f, n);
}

static double cpu_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double run(void (*stage)(const struct mix_frame *, unsigned))
{
	const double start = cpu_ns();

	for (unsigned i = 0; i < n_frames; i += BATCH_MAX)
		stage(frames + i, n_frames - i < BATCH_MAX ? n_frames - i : BATCH_MAX);
	return (cpu_ns() - start) / n_frames;
}

static int compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *x, unsigned n)
{
	qsort(x, n, sizeof(x[0]), compare);
	return x[n / 2];
}

enum { DISSECT, FLOW, KPI, STAGES };
static void (*const stages[STAGES])(const struct mix_frame *, unsigned) = {dissect_only, flow_only,
									   with_kpi};

struct rounds {
	double ns[STAGES][ROUNDS_MAX], flood_ns[ROUNDS_MAX];
	double kpi[ROUNDS_MAX], flood[ROUNDS_MAX]; /* ratios: KPI to FLOW, flood to KPI */
};

/* The n-th packet of the flood is the n-th of all that is not the mix's. */
static void make_flooded(struct mix *mix, uint64_t *flood)
{
	for (unsigned i = 0; i < n_frames; i++) {
		if (i % (FLOOD + 1))
			mix_flood(mix, (*flood)++, 2, &frames[i]);
		else
			mix_next(mix, &frames[i]);
	}
}

static void run_rounds(struct mix *mixes[2], int n, struct rounds *out)
{
	uint64_t flood = 0;

	for (int round = -WARM; round < n; round++) {
		/* What warms up is overwritten by the first round that counts. */
		const int at = round < 0 ? 0 : round;
		for (unsigned i = 0; i < n_frames; i++)
			mix_next(mixes[0], &frames[i]);
		for (unsigned i = 0; i < STAGES; i++) {
			const unsigned stage = (unsigned)(round + WARM + (int)i) % STAGES;
			out->ns[stage][at] = run(stages[stage]);
		}
		make_flooded(mixes[1], &flood);
		out->flood_ns[at] = run(under_flood);
		out->kpi[at] = out->ns[KPI][at] / out->ns[FLOW][at];
		out->flood[at] = out->flood_ns[at] / out->ns[KPI][at];
	}
}

static void print(struct rounds *r, unsigned n)
{
	printf("{\"dissect_ns\": %.1f, \"flow_ns\": %.1f, \"kpi_ns\": %.1f, \"ratio\": %.3f, "
	       "\"flood_ns\": %.1f, \"flood_ratio\": %.3f, \"state\": %zu, \"flows\": %ju, "
	       "\"evicted\": %ju}\n",
	       median(r->ns[DISSECT], n), median(r->ns[FLOW], n), median(r->ns[KPI], n),
	       median(r->kpi, n), median(r->flood_ns, n), median(r->flood, n),
	       sizeof(struct kpi_flow), (uintmax_t)kpi_flows(calm.kpi)->active,
	       (uintmax_t)kpi_flows(flooded.kpi)->evicted);
}

static int open_measured(struct measured *m, uint32_t flows_max, struct err *err)
{
	const struct kpi_config c = {.memory = {.sessions = m->sessions,
						.histograms = m->histograms,
						.histograms_max = 2 * KPI_HISTOGRAMS,
						.histograms_used = &m->used,
						.histograms_missed = &m->missed},
				     .sessions_max = 2,
				     .flows_max = flows_max,
				     .associations_max = 64};

	return kpi_open(&m->kpi, &c, err);
}

int main(int argc, char **argv)
{
	static struct rounds rounds;
	const uint32_t n = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 100000;
	const unsigned n_rounds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 15;
	const struct flow_config without = {.n_max = 2 * n, .sessions_max = 2};
	const struct mix_config c = {.seed = 1, .flows = n, .vni = 1, .talk = 60, .step_ns = 10000};
	struct mix *mixes[2] = {mix_open(&c), mix_open(&c)};
	struct err err;

	n_frames = PACKETS_OF_FLOW * n;
	frames = calloc(n_frames, sizeof(*frames));
	if (n_rounds < 1 || n_rounds > ROUNDS_MAX || !mixes[0] || !mixes[1] || !frames ||
	    flow_open(&flows, &without, &err) || open_measured(&calm, 2 * n, &err) ||
	    open_measured(&flooded, 2 * n, &err))
		return 1;
	run_rounds(mixes, (int)n_rounds, &rounds);
	print(&rounds, n_rounds);
	return 0;
}
