/*
 * engine: workers, writers and the control thread's duties, in the order in which they start and
 * stop.
 *
 * The control thread, which is the caller's, opens and starts an engine, then gives it turns until
 * it is done. Threads block all signals. Sources come from the caller and are the engine's from
 * then on.
 */
#pragma once

#include "config/names.h"
#include "path/capture.h"
#include "path/decap.h"
#include "run/output.h"
#include "run/retention.h"
#include "run/stats.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct engine_config {
	uint32_t workers, writers;
	uint32_t sessions_max;                /* cap at start, at most sessions_room */
	uint32_t sessions_room;               /* that memory is laid out for */
	uint32_t flows_max, associations_max; /* per worker */
	uint32_t chunks, chunk_len;           /* per worker and writer; bytes */
	bool split;                           /* a file per session */
	bool evidence;                        /* the folder has a chain (run/evidence.h) */
	struct decap_config decap;
	uint32_t n_stores;                     /* 1 at least: the default one */
	const char *stores[OUTPUT_STORES_MAX]; /* NAMEs of their files; lent until close */
	struct output_config output;           /* its functions are the engine's to set */
};

/* What may change while an engine runs. */
struct engine_settings {
	uint32_t sessions_max;       /* a lower one than before is not taken */
	enum session_policy unknown; /* of sessions without a name */
	struct siphash_key sample_key;
	struct output_settings stores[OUTPUT_STORES_MAX];
	uint8_t sha256[32];                  /* of the configuration, for the chain */
	struct retention_settings retention; /* live */
};

struct engine;

/* Bytes that an engine allocates at most, its statistics apart. */
size_t engine_memory(const struct engine_config *config);

/* Makes everything but sources and threads. stats is the caller's and lasts longer. */
int engine_open(struct engine **out, const struct engine_config *config, struct stats *stats,
		struct err *err);
/* Closes what is left, sources too; the threads have ended or were never started. Takes NULL. */
void engine_close(struct engine *engine);

/* Gives worker its source. */
void engine_set_source(struct engine *engine, unsigned worker, struct capture *source);
/* After a failure some threads may run: the process has to end without engine_close. */
int engine_start(struct engine *engine, struct err *err);

/* Control thread; once before engine_start, later at any time. names may be NULL and is the
 * engine's from now on. Waits, with turns, while a worker still uses policies from before the last
 * time. */
void engine_set(struct engine *engine, const struct engine_settings *settings, struct names *names);

/* One turn of control: waits until a worker asks, a thread ends, fd (-1: none) is readable or
 * timeout_ms are over; answers; brings the control thread's statistics up to date. */
void engine_turn(struct engine *engine, int fd, int timeout_ms);
/* Ends the workers soon, all at the same frame, as if their files ended there. Not for live ones.
 */
void engine_stop(struct engine *engine);
bool engine_is_done(const struct engine *engine);
/* Joins the threads; the chain has its last entry then. Returns the first worker's error, if one
 * ended with one. */
int engine_join(struct engine *engine);
