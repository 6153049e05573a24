#include "serve/metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/reason.h"
#include "version.h"

static void family(FILE *f, const char *name, const char *type, const char *help)
{
	fprintf(f, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void single(FILE *f, const char *name, const char *type, const char *help, uint64_t value)
{
	family(f, name, type, help);
	fprintf(f, "%s %" PRIu64 "\n", name, value);
}

static void write_ledger(FILE *f, const struct ledger_source *s)
{
	struct ledger l;

	ledger_read(s, &l);
	single(f, "vxprobe_seen_packets_total", "counter",
	       "Packets that came: live, those the XDP program ran on; else, frames of the files.",
	       l.seen);
	family(f, "vxprobe_packets_total", "counter", "Packets by how they ended: each once.");
	for (unsigned i = 0; i < FATE_MAX; i++)
		fprintf(f, "vxprobe_packets_total{reason=\"%s\"} %" PRIu64 "\n", fate_text[i].label,
			l.fate[i]);
	family(f, "vxprobe_marks_total", "counter",
	       "Packets by what is odd about them: any number each.");
	for (unsigned i = 0; i < MARK_MAX; i++)
		fprintf(f, "vxprobe_marks_total{mark=\"%s\"} %" PRIu64 "\n", mark_text[i].label,
			l.mark[i]);
	family(f, "vxprobe_in_flight_packets", "gauge",
	       "Packets that have not ended yet, by where they are.");
	fprintf(f,
		"vxprobe_in_flight_packets{at=\"rings\"} %" PRIu64 "\n"
		"vxprobe_in_flight_packets{at=\"workers\"} %" PRIu64 "\n"
		"vxprobe_in_flight_packets{at=\"writer\"} %" PRIu64 "\n",
		l.in_rings, l.at_workers, l.at_writer);
}

static uint64_t sum(const struct ledger_source *s, uint32_t session, enum kpi kpi)
{
	uint64_t n = 0;

	for (uint32_t w = 0; w < s->stats->workers; w++)
		n += stats_get(&stats_kpi(s->stats, w, session)->value[kpi]);
	return n;
}

/* Sessions that have had a packet. */
static uint32_t sessions(const struct ledger_source *s)
{
	/* Acquire: sessions below the count are written; pairs with publish_session. */
	return __atomic_load_n(&s->stats->n_sessions, __ATOMIC_ACQUIRE);
}

static void per_session(FILE *f, const struct ledger_source *s, const char *name,
			const char *labels, enum kpi kpi)
{
	for (uint32_t i = 0; i < sessions(s); i++) {
		const struct session *session = &stats_sessions(s->stats)[i];
		char label[SESSION_NAME_MAX];
		stats_session_name(session, label);
		fprintf(f, "%s{session=\"%s\",vni=\"%u\"%s%s} %" PRIu64 "\n", name, label,
			session->vni, *labels ? "," : "", labels, sum(s, i, kpi));
	}
}

/* False: no worker has a sample. */
static bool merge(const struct ledger_source *s, uint32_t session, enum kpi_histogram which,
		  struct histogram *out)
{
	bool any = false;

	*out = (struct histogram){0};
	for (uint32_t w = 0; w < s->stats->workers; w++) {
		const struct histogram *h = stats_histogram(s->stats, w, session, which);
		if (h)
			histogram_merge(out, h);
		any |= h != NULL;
	}
	return any;
}

static void write_histogram(FILE *f, const char *name, const char *labels,
			    const struct histogram *h)
{
	for (unsigned i = 0; i < HISTOGRAM_CLASSIC; i++)
		fprintf(f, "%s_bucket{%s,le=\"%g\"} %" PRIu64 "\n", name, labels,
			(double)histogram_classic_edge(i) / 1e9, histogram_classic_count(h, i));
	fprintf(f,
		"%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n%s_sum{%s} %.9f\n%s_count{%s} %" PRIu64
		"\n",
		name, labels, histogram_count(h), name, labels, (double)h->sum_ns / 1e9, name,
		labels, histogram_count(h));
}

static void histogram_per_session(FILE *f, const struct ledger_source *s, const char *name,
				  const char *help, enum kpi_histogram which)
{
	family(f, name, "histogram", help);
	for (uint32_t i = 0; i < sessions(s); i++) {
		const struct session *session = &stats_sessions(s->stats)[i];
		struct histogram h;
		char text[SESSION_NAME_MAX], labels[SESSION_NAME_MAX + 40];
		stats_session_name(session, text);
		(void)snprintf(labels, sizeof(labels), "session=\"%s\",vni=\"%u\"", text,
			       session->vni);
		if (merge(s, i, which, &h))
			write_histogram(f, name, labels, &h);
	}
}

static void write_sessions(FILE *f, const struct ledger_source *s)
{
	static const struct {
		const char *metric, *type, *labels, *help;
	} rows[] = {
#define COUNTER(name)                               "vxprobe_" name "_total", "counter"
#define GAUGE(name)                                 "vxprobe_" name, "gauge"
#define KPI(name, type, family, unit, labels, help) {type(family), labels, help},
#include "kpi/kpis.def"
#undef KPI
	};

	single(f, "vxprobe_sessions", "gauge", "Sessions known.", sessions(s));
	for (unsigned i = 0; i < KPI_MAX; i++) {
		if (!i || strcmp(rows[i].metric, rows[i - 1].metric))
			family(f, rows[i].metric, rows[i].type, rows[i].help);
		per_session(f, s, rows[i].metric, rows[i].labels, i);
	}
#define HISTOGRAM(name, family, help)                                                              \
	histogram_per_session(f, s, "vxprobe_" family "_seconds", help, KPI_##name);
#include "kpi/histograms.def"
#undef HISTOGRAM
}

static void per_worker(FILE *f, const struct ledger_source *s, const char *name, const char *type,
		       const char *help, size_t offset)
{
	family(f, name, type, help);
	for (uint32_t w = 0; w < s->stats->workers; w++) {
		const char *worker = (const char *)stats_worker(s->stats, w);
		fprintf(f, "%s{worker=\"%u\"} %" PRIu64 "\n", name, w,
			stats_get((const uint64_t *)(const void *)(worker + offset)));
	}
}

static void write_workers(FILE *f, const struct ledger_source *s)
{
	per_worker(f, s, "vxprobe_worker_packets_total", "counter", "Packets that a worker took.",
		   offsetof(struct stats_worker, received));
	per_worker(f, s, "vxprobe_histograms", "gauge", "Histograms given out of a worker's pool.",
		   offsetof(struct stats_worker, histograms_used));
	per_worker(f, s, "vxprobe_histograms_missed_total", "counter",
		   "Samples in no histogram, the worker's pool being empty.",
		   offsetof(struct stats_worker, histograms_missed));
	family(f, "vxprobe_chunks", "gauge",
	       "Chunks between worker and writer, by where they are.");
	for (uint32_t w = 0; w < s->stats->workers; w++) {
		const struct stats_chunks *p = &s->stats->place[w];
		fprintf(f,
			"vxprobe_chunks{worker=\"%u\",state=\"worker\"} %u\n"
			"vxprobe_chunks{worker=\"%u\",state=\"full\"} %u\n"
			"vxprobe_chunks{worker=\"%u\",state=\"writer\"} %u\n"
			"vxprobe_chunks{worker=\"%u\",state=\"empty\"} %u\n",
			w, p->worker, w, p->full, w, p->writer, w, p->empty);
	}
	single(f, "vxprobe_chunks_per_worker", "gauge", "Chunks that each worker has.",
	       s->stats->chunks);
}

static void write_writer(FILE *f, const struct ledger_source *s)
{
	single(f, "vxprobe_files_total", "counter", "Files sealed.", stats_get(&s->stats->files));
	single(f, "vxprobe_raw_bytes_total", "counter", "Bytes of pcapng before compression.",
	       stats_get(&s->stats->bytes_in));
	single(f, "vxprobe_written_bytes_total", "counter", "Bytes written to files.",
	       stats_get(&s->stats->bytes_out));
	single(f, "vxprobe_late_packets_total", "counter",
	       "Packets stored behind a later one: a file that has some is not in strict time "
	       "order.",
	       stats_get(&s->stats->late));
	single(f, "vxprobe_clock_steps_total", "counter", "Steps of the wall clock over 100 ms.",
	       s->stats->clock_steps);
	family(f, "vxprobe_clock_error_seconds", "gauge",
	       "Error at most of wall-clock times made from the source's clock.");
	fprintf(f, "vxprobe_clock_error_seconds %.9f\n",
		(double)stats_get(&s->stats->clock_error_ns) / 1e9);
	single(f, "vxprobe_memory_bound_bytes", "gauge", "Memory needed at most, as said at start.",
	       s->stats->memory_bound);
}

static uint64_t given_on(const struct ledger_source *s, uint32_t queue)
{
	uint64_t n = 0;

	for (uint32_t w = 0; w < s->facts->workers; w++)
		n += ledger_given(s, queue, w);
	return n;
}

static void write_queues(FILE *f, const struct ledger_source *s)
{
	family(f, "vxprobe_queue_packets_total", "counter", "Packets redirected from an RX queue.");
	for (uint32_t q = 0; q < s->facts->queues; q++)
		fprintf(f, "vxprobe_queue_packets_total{queue=\"%u\"} %" PRIu64 "\n", q,
			given_on(s, q));
	family(f, "vxprobe_frames", "gauge", "UMEM chunks of an RX queue, by where they are.");
	for (uint32_t q = 0; q < s->facts->queues; q++) {
		const struct stats_queue *queue = stats_queue(s->stats, q);
		fprintf(f,
			"vxprobe_frames{queue=\"%u\",state=\"fill\"} %" PRIu64 "\n"
			"vxprobe_frames{queue=\"%u\",state=\"rx\"} %" PRIu64 "\n"
			"vxprobe_frames{queue=\"%u\",state=\"kernel\"} %" PRIu64 "\n",
			q, stats_get(&queue->in_fill), q, stats_get(&queue->in_rx), q,
			stats_get(&queue->in_kernel));
	}
	single(f, "vxprobe_frames_per_queue", "gauge", "UMEM chunks that each RX queue has.",
	       s->facts->chunks);
	family(f, "vxprobe_capture_info", "gauge", "How packets come.");
	fprintf(f,
		"vxprobe_capture_info{mode=\"%s\",copy=\"%s\",buffers=\"%s\",time_source=\"xdp_"
		"monotonic\"} 1\n",
		s->facts->native ? "native" : "generic", s->facts->zero_copy ? "zero" : "copy",
		s->facts->multi_buffer ? "several" : "one");
}

size_t metrics_memory(uint32_t sessions_max)
{
	/* Four lines of at most 160 bytes per session; the stream grows by doubling. */
	return 2 * (32768 + 4 * 160 * (size_t)sessions_max);
}

int metrics_text(const struct ledger_source *source, char **text, size_t *len, struct err *err)
{
	FILE *f = open_memstream(text, len);

	if (!f)
		return err_set(err, -ENOMEM, "out of memory for the metrics");
	family(f, "vxprobe_build_info", "gauge", "Version of vxprobe.");
	fprintf(f, "vxprobe_build_info{version=\"%s\"} 1\n", VERSION);
	write_ledger(f, source);
	write_sessions(f, source);
	write_workers(f, source);
	write_writer(f, source);
	if (source->maps)
		write_queues(f, source);
	return fclose(f) ? err_set(err, -ENOMEM, "out of memory for the metrics") : 0;
}
