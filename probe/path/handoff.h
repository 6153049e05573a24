/*
 * handoff: the only place where packets change threads.
 *
 *   worker --full--> writer      A chunk is always in exactly one of four places:
 *   worker <--empty-- writer     worker, full, writer, empty.
 *
 * One handoff per worker and writer. Neither side ever blocks here; who has nothing to do waits at
 * its bell, one for all its handoffs, and the other side rings it only if somebody waits.
 *
 * The watermark says how far the worker has come: every packet that it will give later is as late
 * or later. It is raised only when nothing is held back in a half-full chunk. A writer that cannot
 * go on without this worker says so by `hungry`, and the worker then gives what it has.
 */
#pragma once

#include "base/err.h"
#include "path/gather.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- bell: wakes one thread ---- */

struct bell {
	int fd; /* eventfd */
	_Atomic bool is_waiting;
};

int bell_init(struct bell *bell, struct err *err);
void bell_fini(struct bell *bell);
/* The waiter: say that you wait, look once more for work, then wait or leave. */
void bell_announce(struct bell *bell);
void bell_wait(struct bell *bell, int timeout_ms);
void bell_leave(struct bell *bell);
/* The other side, after it made work visible. A system call only if somebody waits. */
void bell_ring(struct bell *bell);

/* ---- handoff ---- */

struct handoff;

struct handoff_config {
	uint32_t chunks;     /* 2 to HANDOFF_CHUNKS_MAX */
	uint32_t chunk_len;  /* bytes; at least one block of the largest packet */
	struct bell *worker; /* rung by the writer; shared by the worker's handoffs */
	struct bell *writer; /* rung by the worker; shared by the writer's handoffs */
};

#define HANDOFF_CHUNKS_MAX 4096

int handoff_open(struct handoff **out, const struct handoff_config *config, struct err *err);
void handoff_close(struct handoff *handoff);
size_t handoff_memory(const struct handoff_config *config);

/* Worker. */
struct chunk *handoff_take_empty(struct handoff *handoff); /* NULL: none */
void handoff_give(struct handoff *handoff, struct chunk **chunk);
bool handoff_is_hungry(const struct handoff *handoff);
/* After handoff_give, or when no chunk is held back. UINT64_MAX: nothing more will come. */
void handoff_set_watermark(struct handoff *handoff, uint64_t time_ns);

/* Writer. Ask for the watermark first, then for a chunk: none then means that nothing earlier than
 * the watermark is left. */
uint64_t handoff_watermark(const struct handoff *handoff);
struct chunk *handoff_take_full(struct handoff *handoff); /* NULL: none */
void handoff_put_back(struct handoff *handoff, struct chunk **chunk);
void handoff_set_hungry(struct handoff *handoff);

/* Any thread: the four places, by their own counts. */
struct handoff_places {
	uint32_t worker, full, writer, empty;
};
struct handoff_places handoff_count(const struct handoff *handoff);
