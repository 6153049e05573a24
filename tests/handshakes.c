/*
 * handshakes CAPTURE: each handshake half that kpi measures in a capture that vxmirror wrapped, as
 * "VNI FRAME server|client NS", one a line. FRAME counts from 1.
 *
 * The worker's stages, one after the other, and a look at the session's histograms after each
 * packet: what is measured needs no door for tests.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "kpi/kpi.h"
#include "path/capture.h"

/* vxmirror's first VNI, and how many it may use. */
#define VNI_FIRST    4321
#define SESSIONS_MAX 16
#define FLOWS_MAX    65536

static struct kpi_session sessions[SESSIONS_MAX];
static struct histogram histograms[SESSIONS_MAX * KPI_HISTOGRAMS];
static uint64_t used, missed;
static struct kpi_config config = {.sessions = sessions,
				   .histograms = histograms,
				   .histograms_max = SESSIONS_MAX * KPI_HISTOGRAMS,
				   .histograms_used = &used,
				   .histograms_missed = &missed};

static void die(const char *what, const char *why)
{
	fprintf(stderr, "handshakes: %s: %s\n", what, why);
	exit(1);
}

static struct histogram histogram_of(uint32_t session, enum kpi_histogram which)
{
	const uint32_t place = sessions[session].histogram[which];

	return place ? histograms[place - 1] : (struct histogram){0};
}

static void take_packet(const struct packet *p, uint32_t session)
{
	static const char *const half[] = {
		[KPI_TCP_HANDSHAKE_SERVER] = "server", [KPI_TCP_HANDSHAKE_CLIENT] = "client"};
	struct histogram before[KPI_HISTOGRAMS];
	struct dissected d;

	for (unsigned i = 0; i < KPI_HISTOGRAMS; i++)
		before[i] = histogram_of(session, i);
	dissect_frame(p->data, p->len, p->cap_len, &d);
	kpi_packet(&config, &(struct kpi_packet){p, &d, session, SESSION_UNDIRECTED});
	for (unsigned i = 0; i < KPI_HISTOGRAMS; i++) {
		const struct histogram after = histogram_of(session, i);
		if (histogram_count(&after) != histogram_count(&before[i]))
			printf("%u %" PRIu64 " %s %" PRIu64 "\n", p->vni, p->sequence + 1, half[i],
			       after.sum_ns - before[i].sum_ns);
	}
}

static void take_batch(const struct batch *batch)
{
	static const struct decap_config decap = {.port = 4789};

	for (unsigned i = 0; i < batch->n; i++) {
		struct packet p;
		if (decap_frame(&decap, batch, &batch->frame[i], &p) != FATE_KEPT)
			continue;
		if (p.vni - VNI_FIRST >= SESSIONS_MAX)
			die("capture", "not of vxmirror's VNIs");
		take_packet(&p, p.vni - VNI_FIRST);
	}
}

int main(int argc, char **argv)
{
	const struct flow_config flows = {.n_max = FLOWS_MAX,
					  .state_len = sizeof(struct kpi_flow),
					  .ended = kpi_flow_ended,
					  .ended_arg = &config};
	struct capture *capture;
	struct batch batch;
	struct err err;
	int ret;

	if (argc != 2)
		die("usage", "handshakes CAPTURE");
	if (flow_open(&config.flows, &flows, &err) ||
	    capture_pcap_open(&capture, (const char *const *)&argv[1], 1, &err))
		die(argv[1], err.text);
	while (!(ret = capture_recv(capture, &batch, 0))) {
		take_batch(&batch);
		capture_release(capture, &batch);
	}
	if (ret != -ENODATA)
		die(argv[1], capture_pcap_error(capture));
	if (missed)
		die(argv[1], "samples without a histogram");
	capture_close(capture);
	flow_close(config.flows);
	return 0;
}
