/*
 * counters: a copy of the ledger in a file, which a probe that is killed leaves behind.
 *
 *   control thread --each turn--> | slot 0 | slot 1 |   mapped: the kernel keeps what was written
 *
 * A slot is written in turn and has a number and a checksum: one of the two is whole whenever the
 * writer is killed. The file is removed when a run ends in order. It is meant for a tmpfs: it need
 * not outlive the machine, and must not wait for the disk that files are written to.
 *
 * Control thread. Owns the file, locked while it is open.
 */
#pragma once

#include "base/err.h"
#include "run/ledger.h"
#include "run/stats.h"

#include <stdbool.h>
#include <stdint.h>

struct counters;

/* Fills name with the file of a probe that writes into dir: COUNTERS_DIR, made if it is not there,
 * and the folder's path with '-' for '/'. -ENAMETOOLONG, or why there is no such folder. */
#define COUNTERS_DIR "/run/vxprobe"
int counters_name(char *name, size_t cap, const char *dir, struct err *err);

/* Reads what the last run left, into *last (end_ns 0: nothing, or nothing that is whole). It stays
 * until something is written: a start that fails leaves it for the next one. -EBUSY: another probe
 * has the file; else why it cannot be had, with a sentence. */
int counters_open(struct counters **out, const char *name, struct stats_last_run *last,
		  struct err *err);
/* Leaves the file, for the next run; remove: takes it away, since this one ends in order. Takes
 * NULL. */
void counters_close(struct counters *counters, bool remove);
/* now_ns: wall clock. Costs no system call. Takes NULL. */
void counters_write(struct counters *counters, const struct ledger *ledger, uint64_t now_ns);
