/*
 * evidence: the thread that keeps the chain of a folder: what was sealed there, deleted, found.
 *
 *   writers, retention, control --queue--> evidence thread: hashes the file, signs the entry
 *
 *   vxprobe.chain        the chain (path/chain.h), which only grows
 *   .vxprobe.chain.key   0600, replaced at every commit: the secret of the next entry, and the
 *                        entries of this commit, so that a crash between the two loses nothing
 *
 * A file is read back from the disk right behind its sealing, so that the writer has no part in it
 * and the disk shows that it gives what it took. Files that lay there at the start without an entry
 * are read when nothing else is to do, and those that were not by the stop at the next start. Who
 * tells of a file never waits: when the queue is full, only the number of what was not told is
 * entered; the next start finds those files. What cannot be written to the chain (a full disk) is
 * tried again every second.
 *
 * The teller functions may be called by any thread but a worker; they copy what they are given, and
 * take a NULL evidence, which keeps none. Not for the packet path: they lock.
 */
#pragma once

#include "base/err.h"
#include "path/seal.h"
#include "run/stats.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EVIDENCE_KEY_FILE ".vxprobe.chain.key"
/* What waits to be entered, at most. */
#define EVIDENCE_QUEUE 4096u

struct evidence_config {
	const char *dir;     /* lent until close */
	struct stats *stats; /* of which only stats->evidence is written */
	unsigned queue;      /* 0: EVIDENCE_QUEUE */
};

struct evidence;

size_t evidence_memory(void);
int evidence_open(struct evidence **out, const struct evidence_config *config, struct err *err);
/* Control thread, once, when the stores are open and nothing is written yet: finishes what a crash
 * left of the chain, lists the files of the folder, starts the thread. -EBUSY: another process
 * keeps this chain. A chain whose key is lost is put aside, and another begun that names it. */
int evidence_start(struct evidence *evidence, struct err *err);
/* When nobody tells any more: enters what waits and the stop, says the head. Takes NULL, and one
 * that does not run. */
void evidence_stop(struct evidence *evidence);
/* Stops it. Takes NULL. */
void evidence_close(struct evidence *evidence);

struct evidence_file {
	const char *name;        /* in the folder */
	uint64_t bytes;          /* that were written */
	uint64_t packets, drops; /* in it; of its sessions lost since the file before */
	const struct seal_recipient *recipients;
	unsigned n_recipients;
	bool is_broken; /* an error ended it */
};

/* A file that is complete, or that nothing more is written to. */
void evidence_sealed(struct evidence *evidence, const struct evidence_file *file);
/* Say it behind the unlink: a crash in between makes "missing" of it, never a false "deleted".
 * Waits for room in a full queue, 2 s at most, and not while the chain cannot be written. */
void evidence_deleted(struct evidence *evidence, const char *name, const char *reason);
/* In force from now on; without a change nothing is entered. sha256 is the configuration's. */
void evidence_configured(struct evidence *evidence, const uint8_t sha256[static 32],
			 const struct seal_recipient *recipients, unsigned n_recipients);
void evidence_clock(struct evidence *evidence, int64_t step_ns);
/* Waits until all that was told is entered: false after timeout_ms. For who may wait. */
bool evidence_settle(struct evidence *evidence, int timeout_ms);
