/*
 * stats: every number the probe keeps, in one block of shared memory of fixed layout.
 *
 *   | stats | session[sessions_max] | labels[sessions_max] | worker[workers] |
 *   | kpi[workers][sessions_max] | histogram[workers][histograms_max] | queue[queues] |
 *
 * Each field has one writer thread at a time, named below, and any number of readers in any
 * process, which may see neighbouring fields at different moments. The memory is a memfd of the
 * starter's, so that the numbers outlive a capture process that is killed.
 */
#pragma once

#include "base/err.h"
#include "kpi/kpi.h"
#include "path/enroll.h"
#include "reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATS_VERSION     1
#define STATS_WRITERS_MAX 8

struct stats_worker {      /* the worker */
	uint64_t lent;     /* frames that the source lent; a file lends all to every worker */
	uint64_t received; /* frames of this worker's share, each once */
	uint64_t fate[FATE_MAX];
	uint64_t mark[MARK_MAX];
	uint64_t given; /* packets handed to the writer */
	uint64_t flows_active, flows_created, flows_expired;
	uint64_t histograms_used;   /* of its pool */
	uint64_t histograms_missed; /* samples that found the pool empty */
	_Alignas(64) uint8_t pad[0];
};

struct stats_writer { /* the writer */
	uint64_t fate[FATE_MAX];
	uint64_t bytes_in, bytes_out; /* of pcapng blocks; to files */
	uint64_t files;               /* sealed */
	uint64_t bytes_suspect; /* written, and then the disk failed before they were synced */
	int64_t level;          /* of zstd, of the next frame; of all: the lowest */
	uint64_t has_level, level_changes;
	uint64_t late; /* packets behind a later one of another worker */
	_Alignas(64) uint8_t pad[0];
};

struct stats_queue { /* control */
	uint64_t ring_full, rx_dropped;
	uint64_t in_fill, in_rx, in_kernel; /* chunks */
	_Alignas(64) uint8_t pad[0];
};

struct stats_chunks { /* control */
	uint32_t worker, full, writer, empty;
};

/* What a session is called. Texts are "" where nothing is known; name never is. */
struct session_labels {
	char name[64], nf[64], vrf[64], account[64], eni[64];
	char policy[64]; /* one of filter_words, or its name in the names file */
};

/* One configuration that can be loaded anew. */
struct stats_reload { /* starter */
	uint64_t successes, failures;
	uint64_t success_ns; /* wall clock of the last success; the start is one; 0: none */
	uint32_t is_ok;      /* the last one was no failure */
	uint32_t pad;
};

/* The chain of evidence. */
struct stats_evidence {    /* evidence thread; unhashed: who tells it, under its mutex */
	uint64_t entries;  /* committed */
	uint64_t waiting;  /* told and not yet entered */
	uint64_t unhashed; /* that found no room to be told */
	uint32_t sequence; /* odd while the head is written */
	uint32_t is_kept;  /* there is a chain */
	uint8_t head[32];  /* SHA-256 of the last entry */
};

/* Why a stored file was deleted. The names are retention's. */
enum retention_reason {
	RETENTION_AGE,
	RETENTION_SESSION_SIZE,
	RETENTION_SIZE,
	RETENTION_FREE,
	RETENTION_DISK_FULL, /* as FREE, after a write that failed */
	RETENTION_REASONS
};
extern const char *const retention_reasons[RETENTION_REASONS];

struct stats_retention { /* retention's thread */
	uint64_t deleted_files[RETENTION_REASONS], deleted_bytes[RETENTION_REASONS];
	uint64_t failures;                    /* files that could not be deleted, each time */
	uint64_t exceeded[RETENTION_REASONS]; /* 1: over it, and nothing more may be deleted */
	uint64_t files, bytes;                /* stored, the open ones included; on the disk */
	uint64_t pinned_files, pinned_bytes;  /* among them */
	uint64_t oldest_ns;                   /* end of the oldest that is not open; 0: none */
	uint64_t disk_free, disk_size;        /* bytes; 0, 0: not to be had */
};

/* What the run before had counted when it was killed. */
struct stats_last_run {  /* control, before packets flow */
	uint64_t end_ns; /* wall clock, of the last count; 0: there is none */
	uint64_t seen, fate[FATE_MAX];
};

struct stats {
	/* const after open */
	uint32_t version, workers, queues, sessions_max, histograms_max;
	uint32_t chunks; /* of a worker, to all writers */
	uint32_t is_live;
	uint64_t memory_bound;   /* bytes, as printed at start */
	uint32_t n_sessions;     /* control; of files, the workers under the engine's mutex */
	uint64_t clock_error_ns; /* control: of wall clock made from the source's, live */
	uint32_t clock_steps;    /* control */
	struct stats_chunks place[STEER_WORKERS_MAX];
	int64_t offset_ns;     /* control: wall clock - source's; 0 of files */
	uint64_t heartbeat_ns; /* control: CLOCK_MONOTONIC of its latest turn */

	uint32_t is_capturing, n_names; /* starter: packets flow; entries of the names file */
	struct stats_reload config, names;
	struct stats_evidence evidence;
	struct stats_retention retention;
	struct stats_last_run last_run;

	struct stats_writer writer[STATS_WRITERS_MAX];
};

/* Adds to a field of this thread's. */
static inline void stats_add(uint64_t *field, uint64_t n)
{
	__atomic_store_n(field, *field + n, __ATOMIC_RELAXED);
}

static inline void stats_set(uint64_t *field, uint64_t value)
{
	__atomic_store_n(field, value, __ATOMIC_RELAXED);
}

/* Writer. */
static inline void stats_set_level(struct stats_writer *writer, int level)
{
	__atomic_store_n(&writer->level, level, __ATOMIC_RELAXED);
	/* Release: the level is there; pairs with stats_writers. */
	__atomic_store_n(&writer->has_level, 1, __ATOMIC_RELEASE);
}

static inline uint64_t stats_get(const uint64_t *field)
{
	return __atomic_load_n(field, __ATOMIC_RELAXED);
}

struct stats_config {
	uint32_t workers, queues, sessions_max, chunks;
	uint32_t histograms_max; /* per worker */
	bool is_live;
	uint64_t memory_bound;
};

size_t stats_memory(const struct stats_config *config);
/* Makes the block; *fd is its memfd. */
int stats_open(struct stats **out, int *fd, const struct stats_config *config, struct err *err);
/* Unmaps; the memfd is the caller's. */
void stats_close(struct stats *stats);
/* Maps a block that came by handover; fd stays the caller's. */
int stats_map(struct stats **out, int fd, bool may_write, struct err *err);

/* Evidence thread, and control before it starts. */
void stats_set_head(struct stats *stats, const uint8_t head[static 32]);
/* Any thread of any process: the head of one moment; false: no chain is kept. */
bool stats_head(const struct stats *stats, uint8_t head[static 32]);

/* Of all writers together. */
struct stats_writer stats_writers(const struct stats *stats);
struct session *stats_sessions(struct stats *stats);
/* Control; of files, the workers under the engine's mutex. */
void stats_set_labels(struct stats *stats, uint32_t session, const struct session_labels *labels);
/* Any thread of any process: a copy of one moment. */
void stats_labels(struct stats *stats, uint32_t session, struct session_labels *out);
struct stats_worker *stats_worker(struct stats *stats, unsigned worker);
struct kpi_session *stats_kpi(struct stats *stats, unsigned worker, uint32_t session);
/* All of a worker's pool. */
struct histogram *stats_histograms(struct stats *stats, unsigned worker);
/* The worker's histogram of a session; NULL: no sample yet. */
const struct histogram *stats_histogram(struct stats *stats, unsigned worker, uint32_t session,
					enum kpi_histogram which);
struct stats_queue *stats_queue(struct stats *stats, unsigned queue);

/* "10.0.0.1-4321", a later generation "10.0.0.1-4321.2"; at most 63 characters and NUL. */
#define SESSION_NAME_MAX 64
void stats_session_name(const struct session *session, char out[static SESSION_NAME_MAX]);
/* "10.0.0.1" or IPv6 text. */
void stats_address(const struct address *address, char out[static SESSION_NAME_MAX]);
