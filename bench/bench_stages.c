/*
 * bench_stages [CAPTURE]: CPU ns per packet of the worker's pure stages, over the frames of a
 * capture of VXLAN packets ('vxmirror wrap' makes one). One line of JSON each; medians of 9 rounds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kpi/kpi.h"
#include "path/capfile.h"
#include "path/decap.h"
#include "path/dissect.h"
#include "path/filter.h"
#include "path/flow.h"
#include "steer.h"

#define FRAMES_MAX 100000
#define ROUNDS     9
#define FLOWS      65536

static struct frame frames[FRAMES_MAX];
static unsigned n_frames;
static struct decap_config config = {.port = 4789,
				     .key = {{0x0123456789abcdef, 0xfedcba9876543210}}};
static struct flow_table *flows;
static struct kpi_session session;
static struct histogram histograms[KPI_HISTOGRAMS];
static uint64_t histograms_used, histograms_missed;
static struct kpis *kpi;
static volatile uint32_t sink; /* what is computed is used */

static void read_frames(const char *path)
{
	struct capfile *file;
	struct capfile_packet p;
	struct err err;

	if (capfile_open(&file, path, &err)) {
		fprintf(stderr, "bench_stages: %s\n", err.text);
		exit(1);
	}
	while (n_frames < FRAMES_MAX && !capfile_next(file, &p, &err)) {
		uint8_t *copy = malloc(p.cap_len ? p.cap_len : 1);
		if (!copy)
			exit(1);
		memcpy(copy, p.data, p.cap_len);
		frames[n_frames++] =
			(struct frame){.data = copy, .len = p.cap_len, .time_ns = p.time_ns};
	}
	capfile_close(file);
}

static void outer_only(const struct frame *f)
{
	struct steer_outer outer;

	sink += (uint32_t)steer_outer_parse(f->data, f->data + f->len, f->len, 4789, &outer);
}

static void outer_and_hash(const struct frame *f)
{
	struct steer_outer outer;

	if (steer_outer_parse(f->data, f->data + f->len, f->len, 4789, &outer) == STEER_OURS)
		sink += steer_hash(&config.key, &outer, f->data + outer.inner, f->data + f->len);
}

static void decap_dissect(const struct frame *f)
{
	struct packet p;
	struct dissected d;

	if (decap_frame(&config, NULL, f, &p) != FATE_KEPT)
		return;
	dissect_frame(p.data, p.len, p.cap_len, &d);
	sink += d.wire_len;
}

static void decap_dissect_flow(const struct frame *f)
{
	struct packet p;
	struct dissected d;

	if (decap_frame(&config, NULL, f, &p) != FATE_KEPT)
		return;
	dissect_frame(p.data, p.len, p.cap_len, &d);
	if (d.has_flow) {
		const struct flow_place place = flow_place(flows, &d.key);
		sink += flow_update(flows, &place, &d.key, d.direction, d.ip_len, p.time_ns) !=
			NULL;
	}
}

static void decap_dissect_kpi(const struct frame *f)
{
	struct packet p;
	struct dissected d;

	if (decap_frame(&config, NULL, f, &p) != FATE_KEPT)
		return;
	dissect_frame(p.data, p.len, p.cap_len, &d);
	kpi_packet(kpi, &(struct kpi_packet){&p, &d, 0, SESSION_INGRESS});
	sink += d.marks;
}

static struct filter policy;
static struct filter_pairs pairs;

static void decap_dissect_filter(const struct frame *f)
{
	struct packet p;
	struct dissected d;
	uint32_t len = 0;

	if (decap_frame(&config, NULL, f, &p) != FATE_KEPT)
		return;
	dissect_frame(p.data, p.len, p.cap_len, &d);
	if (!filter_is_opted_in(&policy, &p, &d))
		return;
	filter_learn(&policy, &pairs, 0, &p, &d);
	sink += filter_packet(&policy, &pairs, 0, &p, &d, &len) + len;
}

static double cpu_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(const char *name, void (*stage)(const struct frame *))
{
	double ns[ROUNDS];

	for (unsigned round = 0; round < ROUNDS; round++) {
		const double start = cpu_ns();
		for (unsigned i = 0; i < n_frames; i++)
			stage(&frames[i]);
		ns[round] = (cpu_ns() - start) / n_frames;
	}
	qsort(ns, ROUNDS, sizeof(ns[0]), compare);
	printf("{\"stage\": \"%s\", \"packets\": %u, \"ns_per_packet\": %.1f, \"least\": %.1f, "
	       "\"most\": %.1f}\n",
	       name, n_frames, ns[ROUNDS / 2], ns[0], ns[ROUNDS - 1]);
}

/* Policies of one word, then of more. */
static void measure_filters(void)
{
	static struct filter_insn code[FILTER_PROGRAM_MAX];
	static struct filter_range only[256];
	struct err err;
	uint32_t n;

	policy = filter_plain[SESSION_FULL];
	measure("decap, dissect, filter: full", decap_dissect_filter);
	policy.user_plane = SESSION_HEADERS;
	measure("decap, dissect, filter: headers of user plane", decap_dissect_filter);
	policy = filter_plain[SESSION_FULL];
	policy.sample_max = filter_sample_max(16);
	measure("decap, dissect, filter: sample", decap_dissect_filter);
	policy = filter_plain[SESSION_FULL];
	if (filter_compile(code, &n, "not (tcp port 22 or udp port 514 or icmp)", &err))
		exit(1);
	policy.code = code;
	measure("decap, dissect, filter: expression", decap_dissect_filter);
	policy = filter_plain[SESSION_FULL];
	for (unsigned i = 0; i < 256; i++) /* most addresses are on none */
		memset(&only[i], (int)i, sizeof(only[i]));
	policy.only = only;
	policy.n_only = 256;
	measure("decap, dissect, filter: list of 256", decap_dissect_filter);
}

int main(int argc, char **argv)
{
	const struct kpi_config measured = {.memory = {.sessions = &session,
						       .histograms = histograms,
						       .histograms_max = KPI_HISTOGRAMS,
						       .histograms_used = &histograms_used,
						       .histograms_missed = &histograms_missed},
					    .sessions_max = 1,
					    .flows_max = FLOWS,
					    .associations_max = 64};
	const struct flow_config without = {.n_max = FLOWS, .sessions_max = 1};
	struct err err;

	read_frames(argc > 1 ? argv[1] : "-");
	if (!n_frames || flow_open(&flows, &without, &err) || kpi_open(&kpi, &measured, &err))
		return 1;
	measure("outer headers", outer_only);
	measure("outer headers, inner hash (what XDP does)", outer_and_hash);
	measure("decap, dissect", decap_dissect);
	measure_filters();
	measure("decap, dissect, flow", decap_dissect_flow);
	measure("decap, dissect, kpi (flow and what is measured)", decap_dissect_kpi);
	flow_close(flows);
	kpi_close(kpi);
	return 0;
}
