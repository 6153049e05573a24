/*
 * events CAPTURE [FLOWS_MAX]: what each packet of a capture that vxmirror wrapped changes in its
 * session's KPIs, as "VNI FRAME METRIC{LABELS} CHANGE", one a line. FRAME counts from 1; of a
 * histogram METRIC is its name and CHANGE the sample in ns (their sum, if one packet gives
 * several). What changes without a packet, or at the end, has FRAME 0.
 *
 * The worker's stages, one after the other, and a look at the counters after each packet: what is
 * measured needs no door for tests.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kpi/kpi.h"
#include "path/capture.h"
#include "serve/view.h"

/* vxmirror's first VNI, and how many it may use. */
#define VNI_FIRST    4321
#define SESSIONS_MAX 16
#define FLOWS_MAX    65536

static struct kpi_session sessions[SESSIONS_MAX], seen[SESSIONS_MAX];
static struct histogram histograms[SESSIONS_MAX * KPI_HISTOGRAMS];
static struct histogram seen_histograms[SESSIONS_MAX * KPI_HISTOGRAMS];
static uint64_t used, missed;

static void die(const char *what, const char *why)
{
	fprintf(stderr, "events: %s: %s\n", what, why);
	exit(1);
}

static void show_histogram(uint32_t session, uint64_t frame, enum kpi_histogram which)
{
	const uint32_t place = sessions[session].histogram[which];

	if (!place)
		return;
	const struct histogram *now = &histograms[place - 1];
	struct histogram *before = &seen_histograms[place - 1];
	if (histogram_count(now) == histogram_count(before))
		return;
	printf("%u %" PRIu64 " %s{%s} %" PRIu64 "\n", VNI_FIRST + session, frame,
	       view_histogram_rows[which].metric, view_histogram_rows[which].labels,
	       now->sum_ns - before->sum_ns);
	*before = *now;
}

static void show_changes(uint32_t session, uint64_t frame)
{
	struct kpi_session *now = &sessions[session], *before = &seen[session];

	for (unsigned i = 0; i < KPI_MAX; i++)
		if (now->value[i] != before->value[i])
			printf("%u %" PRIu64 " %s{%s} %" PRId64 "\n", VNI_FIRST + session, frame,
			       view_kpi_rows[i].metric, view_kpi_rows[i].labels,
			       (int64_t)(now->value[i] - before->value[i]));
	for (unsigned i = 0; i < KPI_HISTOGRAMS; i++)
		show_histogram(session, frame, i);
	*before = *now;
}

static void show_all(void)
{
	for (uint32_t i = 0; i < SESSIONS_MAX; i++)
		show_changes(i, 0);
}

static void take_packet(struct kpis *kpi, const struct packet *p)
{
	const uint32_t session = p->vni - VNI_FIRST;
	struct dissected d;

	if (session >= SESSIONS_MAX)
		die("capture", "not of vxmirror's VNIs");
	dissect_frame(p->data, p->len, p->cap_len, &d);
	kpi_packet(kpi, &(struct kpi_packet){p, &d, session, SESSION_UNDIRECTED});
	show_changes(session, p->sequence + 1);
}

static uint64_t take_batch(struct kpis *kpi, const struct batch *batch, uint64_t latest_ns)
{
	static const struct decap_config decap = {.port = 4789};

	for (unsigned i = 0; i < batch->n; i++) {
		struct packet p;
		if (decap_frame(&decap, batch, &batch->frame[i], &p) != FATE_KEPT)
			continue;
		take_packet(kpi, &p);
		latest_ns = p.time_ns > latest_ns ? p.time_ns : latest_ns;
	}
	return latest_ns;
}

int main(int argc, char **argv)
{
	const struct kpi_config config = {
		.memory = {.sessions = sessions,
			   .histograms = histograms,
			   .histograms_max = SESSIONS_MAX * KPI_HISTOGRAMS,
			   .histograms_used = &used,
			   .histograms_missed = &missed},
		.sessions_max = SESSIONS_MAX,
		.flows_max = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : FLOWS_MAX,
		.associations_max = 4096};
	struct capture *capture;
	struct batch batch;
	struct kpis *kpi;
	struct err err;
	uint64_t latest_ns = 0;
	int ret;

	if (argc < 2)
		die("usage", "events CAPTURE [FLOWS_MAX]");
	if (kpi_open(&kpi, &config, &err) ||
	    capture_pcap_open(&capture, (const char *const *)&argv[1], 1, &err))
		die(argv[1], err.text);
	while (!(ret = capture_recv(capture, &batch, 0))) {
		latest_ns = take_batch(kpi, &batch, latest_ns);
		capture_release(capture, &batch);
		kpi_expire(kpi, latest_ns);
		show_all();
	}
	if (ret != -ENODATA)
		die(argv[1], capture_pcap_error(capture));
	kpi_finish(kpi, latest_ns);
	show_all();
	if (missed)
		die(argv[1], "samples without a histogram");
	capture_close(capture);
	kpi_close(kpi);
	return 0;
}
