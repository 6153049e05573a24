#include "serve/metrics_part.h"

#include <stddef.h>

#include "base/reason.h"
#include "path/chain.h"

/* Families' heads and what there is one of; a worker's samples and a queue's: 8 each of at most 70
 * bytes. */
#define ONCE_LEN   32768
#define WORKER_LEN 1024
#define QUEUE_LEN  1024

size_t metrics_health_memory(const struct stats_config *c)
{
	return ONCE_LEN + c->workers * WORKER_LEN + c->queues * QUEUE_LEN;
}

static void counter(struct exposition *e, const char *name, const char *unit, const char *help,
		    uint64_t value)
{
	metrics_single(e, EXPOSITION_COUNTER, name, unit, help, value);
}

static void gauge(struct exposition *e, const char *name, const char *unit, const char *help,
		  uint64_t value)
{
	metrics_single(e, EXPOSITION_GAUGE, name, unit, help, value);
}

/* ---- ledger ---- */

static void write_ledger(struct exposition *e, const struct view *v)
{
	struct ledger l;

	ledger_read(&v->ledger, &l);
	counter(e, "vxprobe_seen_packets", "",
		"Packets that came: live, those the XDP program ran on; else, frames of the files.",
		l.seen);
	exposition_family(e, EXPOSITION_COUNTER, "vxprobe_packets", "",
			  "Packets by how they ended: each once.");
	for (unsigned i = 0; i < FATE_MAX; i++)
		exposition_integer(e, l.fate[i], LABELS("reason", fate_text[i].label));
	exposition_family(e, EXPOSITION_COUNTER, "vxprobe_marks", "",
			  "Packets by what is odd about them: any number each.");
	for (unsigned i = 0; i < MARK_MAX; i++)
		exposition_integer(e, l.mark[i], LABELS("mark", mark_text[i].label));
	exposition_family(e, EXPOSITION_GAUGE, "vxprobe_in_flight_packets", "",
			  "Packets that have not ended yet, by where they are.");
	exposition_integer(e, l.in_rings, LABELS("at", "rings"));
	exposition_integer(e, l.at_workers, LABELS("at", "workers"));
	exposition_integer(e, l.at_writer, LABELS("at", "writer"));
}

static void write_last_run(struct exposition *e, const struct stats *stats)
{
	const struct stats_last_run *last = &stats->last_run;

	if (!last->end_ns)
		return;
	exposition_family(e, EXPOSITION_GAUGE, "vxprobe_last_run_packets", "",
			  "What the run before had counted, which did not end in order.");
	for (unsigned i = 0; i < FATE_MAX; i++)
		exposition_integer(e, last->fate[i], LABELS("reason", fate_text[i].label));
	metrics_single_seconds(e, EXPOSITION_GAUGE, "vxprobe_last_run_end_timestamp_seconds",
			       "When it had counted that, since 1970.", last->end_ns);
}

/* ---- workers ---- */

static void per_worker(struct exposition *e, const struct stats *stats, enum exposition_type type,
		       const char *name, const char *help, size_t offset)
{
	exposition_family(e, type, name, "", help);
	for (uint32_t w = 0; w < stats->workers; w++) {
		const char *worker = (const char *)stats_worker((struct stats *)stats, w);
		exposition_integer(e, stats_get((const uint64_t *)(const void *)(worker + offset)),
				   LABELS("worker", number(w).text));
	}
}

static void write_chunks(struct exposition *e, const struct stats *stats)
{
	exposition_family(e, EXPOSITION_GAUGE, "vxprobe_chunks", "",
			  "Chunks between worker and writer, by where they are.");
	for (uint32_t w = 0; w < stats->workers; w++) {
		const struct stats_chunks *p = &stats->place[w];
		const struct number worker = number(w);
		exposition_integer(e, p->worker, LABELS("worker", worker.text, "state", "worker"));
		exposition_integer(e, p->full, LABELS("worker", worker.text, "state", "full"));
		exposition_integer(e, p->writer, LABELS("worker", worker.text, "state", "writer"));
		exposition_integer(e, p->empty, LABELS("worker", worker.text, "state", "empty"));
	}
	gauge(e, "vxprobe_chunks_per_worker", "", "Chunks that each worker has.", stats->chunks);
}

static void write_workers(struct exposition *e, const struct stats *stats)
{
	per_worker(e, stats, EXPOSITION_COUNTER, "vxprobe_worker_packets",
		   "Packets that a worker took.", offsetof(struct stats_worker, received));
	per_worker(e, stats, EXPOSITION_GAUGE, "vxprobe_worker_flows", "Flows in a worker's table.",
		   offsetof(struct stats_worker, flows_active));
	per_worker(e, stats, EXPOSITION_GAUGE, "vxprobe_histograms",
		   "Histograms given out of a worker's pool.",
		   offsetof(struct stats_worker, histograms_used));
	per_worker(e, stats, EXPOSITION_COUNTER, "vxprobe_histograms_missed",
		   "Samples that are in no histogram, the worker's pool being empty.",
		   offsetof(struct stats_worker, histograms_missed));
	write_chunks(e, stats);
}

/* ---- writer ---- */

static void write_writer(struct exposition *e, const struct stats *stats)
{
	const struct stats_writer w = stats_writers(stats);

	counter(e, "vxprobe_files", "", "Files sealed.", w.files);
	counter(e, "vxprobe_raw_bytes", "bytes", "Bytes of pcapng before compression.", w.bytes_in);
	counter(e, "vxprobe_written_bytes", "bytes", "Bytes written to files.", w.bytes_out);
	counter(e, "vxprobe_suspect_bytes", "bytes",
		"Bytes written to files whose sync then failed.", w.bytes_suspect);
	exposition_family(e, EXPOSITION_GAUGE, "vxprobe_zstd_level", "",
			  "Level of the next frame: lower while a writer falls behind.");
	exposition_signed(e, w.level, NULL);
	counter(e, "vxprobe_zstd_level_changes", "", "Times that a writer's level was changed.",
		w.level_changes);
	counter(e, "vxprobe_late_packets", "",
		"Packets stored behind a later one. Those of a worker that stood still begin a new "
		"file; what a source gave out of order stands so in its file.",
		w.late);
	counter(e, "vxprobe_clock_steps", "", "Steps of the wall clock over 100 ms.",
		stats->clock_steps);
	metrics_single_seconds(e, EXPOSITION_GAUGE, "vxprobe_clock_error_seconds",
			       "Error at most of wall-clock times made from the source's clock.",
			       stats_get(&stats->clock_error_ns));
	gauge(e, "vxprobe_memory_bound_bytes", "bytes", "Memory needed at most, as said at start.",
	      stats->memory_bound);
}

/* ---- evidence ---- */

static void write_evidence(struct exposition *e, const struct stats *stats)
{
	uint8_t head[32];
	char hash[2 * sizeof(head) + 1];

	if (!stats_head(stats, head))
		return;
	chain_hex(head, sizeof(head), hash);
	exposition_family(e, EXPOSITION_INFO, "vxprobe_evidence_head", "",
			  "SHA-256 of the last entry of the chain of evidence.");
	exposition_integer(e, 1, LABELS("hash", hash));
	counter(e, "vxprobe_evidence_entries", "", "Entries of the chain of evidence, ever.",
		stats_get(&stats->evidence.entries));
	counter(e, "vxprobe_evidence_unhashed", "",
		"Files and events that are in no entry, the evidence being too far behind.",
		stats_get(&stats->evidence.unhashed));
	gauge(e, "vxprobe_evidence_waiting", "", "Files and events that wait for their entry.",
	      stats_get(&stats->evidence.waiting));
}

/* ---- configuration ---- */

static void write_reloads(struct exposition *e, const struct stats *stats)
{
	const struct stats_reload *c = &stats->config, *n = &stats->names;

	counter(e, "vxprobe_config_reloads", "",
		"Times that the configuration was to be loaded anew.",
		stats_get(&c->successes) + stats_get(&c->failures));
	counter(e, "vxprobe_config_reload_failures", "", "Times that this failed: nothing changed.",
		stats_get(&c->failures));
	gauge(e, "vxprobe_config_last_reload_successful", "",
	      "1: the configuration is as in its file; 0: the last reload failed.", c->is_ok);
	metrics_single_seconds(
		e, EXPOSITION_GAUGE, "vxprobe_config_last_reload_success_timestamp_seconds",
		"When the configuration was loaded last, since 1970.", stats_get(&c->success_ns));
	counter(e, "vxprobe_names_reloads", "", "Times that the names file was to be loaded anew.",
		stats_get(&n->successes) + stats_get(&n->failures));
	counter(e, "vxprobe_names_reload_failures", "", "Times that this failed: nothing changed.",
		stats_get(&n->failures));
	gauge(e, "vxprobe_names_last_reload_successful", "",
	      "1: names are as in their file; 0: the last reload failed.", n->is_ok);
	metrics_single_seconds(e, EXPOSITION_GAUGE,
			       "vxprobe_names_last_reload_success_timestamp_seconds",
			       "When the names file was loaded last, since 1970; 0: there is none.",
			       stats_get(&n->success_ns));
	gauge(e, "vxprobe_names_entries", "", "Sessions in the names file.", stats->n_names);
}

/* ---- retention, live ---- */

static void write_deletions(struct exposition *e, const struct stats_retention *s)
{
	exposition_family(e, EXPOSITION_COUNTER, "vxprobe_retention_deleted_files", "",
			  "Stored files deleted, by the limit that asked for it.");
	for (unsigned i = 0; i < RETENTION_REASONS; i++)
		exposition_integer(e, stats_get(&s->deleted_files[i]),
				   LABELS("reason", retention_reasons[i]));
	exposition_family(e, EXPOSITION_COUNTER, "vxprobe_retention_deleted_bytes", "bytes",
			  "What they took on the disk.");
	for (unsigned i = 0; i < RETENTION_REASONS; i++)
		exposition_integer(e, stats_get(&s->deleted_bytes[i]),
				   LABELS("reason", retention_reasons[i]));
	counter(e, "vxprobe_retention_failures", "", "Times that a file could not be deleted.",
		stats_get(&s->failures));
	exposition_family(e, EXPOSITION_GAUGE, "vxprobe_retention_exceeded", "",
			  "1: over this limit, and what is left is pinned or open.");
	for (unsigned i = RETENTION_SESSION_SIZE; i <= RETENTION_FREE; i++)
		exposition_integer(e, stats_get(&s->exceeded[i]),
				   LABELS("limit", retention_reasons[i]));
}

static void write_retention(struct exposition *e, const struct stats_retention *s)
{
	write_deletions(e, s);
	gauge(e, "vxprobe_stored_files", "", "Files in the folder, the open ones included.",
	      stats_get(&s->files));
	gauge(e, "vxprobe_stored_bytes", "bytes", "What they take on the disk.",
	      stats_get(&s->bytes));
	gauge(e, "vxprobe_pinned_files", "", "Stored files that are pinned.",
	      stats_get(&s->pinned_files));
	gauge(e, "vxprobe_pinned_bytes", "bytes", "What they take on the disk.",
	      stats_get(&s->pinned_bytes));
	metrics_single_seconds(e, EXPOSITION_GAUGE, "vxprobe_oldest_file_timestamp_seconds",
			       "End of the oldest stored file, since 1970; 0: there is none.",
			       stats_get(&s->oldest_ns));
	gauge(e, "vxprobe_disk_free_bytes", "bytes",
	      "Free on the file system of the folder, for users without privilege.",
	      stats_get(&s->disk_free));
	gauge(e, "vxprobe_disk_size_bytes", "bytes", "Size of that file system.",
	      stats_get(&s->disk_size));
}

/* ---- interface and queues, live ---- */

static uint64_t given_on(const struct ledger_source *s, uint32_t queue)
{
	uint64_t n = 0;

	for (uint32_t w = 0; w < s->facts->workers; w++)
		n += ledger_given(s, queue, w);
	return n;
}

static void write_interface(struct exposition *e, const struct view *v)
{
	const struct attach_facts *f = v->ledger.facts;

	exposition_family(e, EXPOSITION_INFO, "vxprobe_interface", "", "How packets come.");
	exposition_integer(e, 1,
			   LABELS("device", v->facts.interface, "driver", v->facts.driver,
				  "xdp_mode", f->native ? "native" : "generic", "zerocopy",
				  f->zero_copy ? "true" : "false", "multi_buffer",
				  f->multi_buffer ? "true" : "false", "timestamp_source",
				  "xdp_monotonic"));
	exposition_family(e, EXPOSITION_GAUGE, "vxprobe_mtu_bytes", "bytes",
			  "MTU of the interface, at the start.");
	exposition_integer(e, f->mtu, LABELS("device", v->facts.interface));
}

static void write_frames(struct exposition *e, const struct ledger_source *s)
{
	exposition_family(e, EXPOSITION_GAUGE, "vxprobe_umem_frames", "",
			  "UMEM chunks of an RX queue, by where they are.");
	for (uint32_t q = 0; q < s->facts->queues; q++) {
		const struct stats_queue *queue = stats_queue(s->stats, q);
		const struct number n = number(q);
		exposition_integer(e, stats_get(&queue->in_fill),
				   LABELS("queue", n.text, "state", "fill"));
		exposition_integer(e, stats_get(&queue->in_rx),
				   LABELS("queue", n.text, "state", "rx"));
		exposition_integer(e, stats_get(&queue->in_kernel),
				   LABELS("queue", n.text, "state", "kernel"));
	}
	gauge(e, "vxprobe_umem_frames_limit", "", "UMEM chunks that each RX queue has.",
	      s->facts->chunks);
}

static void write_queues(struct exposition *e, const struct ledger_source *s)
{
	exposition_family(e, EXPOSITION_COUNTER, "vxprobe_rx_packets", "",
			  "Packets redirected from an RX queue to workers.");
	for (uint32_t q = 0; q < s->facts->queues; q++)
		exposition_integer(e, given_on(s, q), LABELS("queue", number(q).text));
	exposition_family(e, EXPOSITION_COUNTER, "vxprobe_rx_dropped", "",
			  "Packets that the kernel dropped behind the redirect, by RX queue; they "
			  "are among vxprobe_packets_total too.");
	for (uint32_t q = 0; q < s->facts->queues; q++) {
		const struct stats_queue *queue = stats_queue(s->stats, q);
		exposition_integer(
			e, stats_get(&queue->ring_full),
			LABELS("queue", number(q).text, "reason", fate_text[FATE_RING_FULL].label));
		exposition_integer(e, stats_get(&queue->rx_dropped),
				   LABELS("queue", number(q).text, "reason",
					  fate_text[FATE_RX_DROPPED].label));
	}
	write_frames(e, s);
}

void metrics_health(struct exposition *e, const struct view *v)
{
	write_ledger(e, v);
	write_workers(e, v->ledger.stats);
	write_last_run(e, v->ledger.stats);
	write_writer(e, v->ledger.stats);
	write_evidence(e, v->ledger.stats);
	if (!v->ledger.maps)
		return;
	write_reloads(e, v->ledger.stats);
	write_retention(e, &v->ledger.stats->retention);
	write_interface(e, v);
	write_queues(e, &v->ledger);
}
