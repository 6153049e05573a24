/*
 * writer: one thread's way from handoff to store: merges the workers by time, gives each packet to
 * its output. Of several writers each has stores of its own or, with a file per session, sessions;
 * which, the worker knows (worker.c, writer_of).
 *
 * A packet goes on when no worker can still give an earlier one: each either has one here to
 * compare with or has raised its watermark past it. So a file is in time order over all workers.
 *
 * A live worker that gives no sign of life is waited for 250 ms, then the others go on. When it
 * comes back its packets are behind what is written: they are counted as late, nothing of them is
 * lost, and the file ends, so that they begin the next one and each file is in order. That is one
 * file for each time it stood still, so no more than four a second.
 */
#pragma once

#include "path/handoff.h"
#include "run/output.h"
#include "run/stats.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct writer_config {
	uint32_t workers, writers, n_stores;
	struct stats *stats;
	struct output_config output;      /* its writer: the number of this one */
	const char *const *stores;        /* their NAMEs; lent */
	bool split;                       /* an output for each session, instead of each store */
	const _Atomic int64_t *offset_ns; /* wall clock - source clock; control writes it */
	struct bell *control;             /* rung when the writer ends */
};

struct writer;

int writer_open(struct writer **out, const struct writer_config *config, struct err *err);
void writer_close(struct writer *writer);
/* Of all writers together: a session or store is one writer's. */
size_t writer_memory(const struct writer_config *config);
/* Control thread, also while the writer runs. */
void writer_set(struct writer *writer,
		const struct output_settings settings[static OUTPUT_STORES_MAX]);
/* Rung by the workers. */
struct bell *writer_bell(struct writer *writer);
/* Of a worker. It is opened with the writer's bell, so it comes after it and before writer_run. */
void writer_set_handoff(struct writer *writer, uint32_t worker, struct handoff *handoff);

/* Thread main; arg is the struct writer. Ends when all workers have. */
void *writer_run(void *arg);
bool writer_is_done(const struct writer *writer);
