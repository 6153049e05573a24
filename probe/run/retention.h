/*
 * retention: deletes the oldest stored files, so that a folder stays inside what is configured and
 * its file system does not fill up.
 *
 * A turn looks at the limits in this order, and under each the oldest file goes first (by the end
 * in its name, then by sequence):
 *
 *   age            files whose last packet is older than time_ns, or than their store's
 *   session_size   all files of one NAME together, its open file included; a store's have its size
 *   size           all stored files together, and what open files may still grow by
 *   free           what is free on the file system, less what open files may still grow by
 *
 * Never deleted: what is open, what is pinned, and what catalogue does not take for a stored file.
 * Pinned files count: what they take is not there for others. When they alone are over a limit,
 * everything else under it goes as soon as it is sealed, and `exceeded` says so.
 *
 * What open files may still grow by is rotate_len for each, less what it has on the disk; but never
 * over an eighth of the limit, since a file of a quiet session ends by age long before.
 *
 * Owns a catalogue and, once run, a thread of lowest priority: a turn every second, and soon after
 * something in the folder changes. Nothing but that thread waits for the disk. After an error a
 * file stays, is counted, and is tried again in the next turn.
 */
#pragma once

#include "base/err.h"
#include "run/stats.h"

#include <stddef.h>
#include <stdint.h>

/* 120 bytes each, and 8 to sort them by NAME: 16 MiB. Of more, the newest are counted, but not by
 * NAME. */
#define RETENTION_FILES_MAX 131072u

#define RETENTION_STORES_MAX 15

/* Of the files of one NAME, in place of the limits of all. */
struct retention_store {
	char name[64];
	uint64_t size;    /* 0: as for every NAME */
	uint64_t time_ns; /* 0: no such limit */
};

/* 0: no such limit. All bytes are set: they are compared. */
struct retention_settings {
	uint64_t size, session_size; /* bytes on the disk */
	uint64_t time_ns;
	uint64_t free;       /* a value_space: bytes, or per cent of the file system */
	uint64_t rotate_len; /* bytes that an open file may come to */
	uint32_t n_stores, pad;
	struct retention_store stores[RETENTION_STORES_MAX];
};

struct retention_config {
	const char *dir;
	uint32_t files_max;
	struct retention_settings settings;
	struct stats_retention *stats; /* lasts longer */
	/* Of each deletion, after it; in the thread of the turn. NULL: not told. */
	void (*deleted)(void *arg, const char *name, uint64_t bytes, const char *reason);
	void *arg;
};

struct retention;

int retention_open(struct retention **out, const struct retention_config *config, struct err *err);
/* After its thread has ended. Takes NULL. */
void retention_close(struct retention *retention);
size_t retention_memory(uint32_t files_max);

/* Any thread, also while it runs; counts from the next turn on. */
void retention_set(struct retention *retention, const struct retention_settings *settings);
/* Any thread, does not wait: a write failed for lack of space. Where a free space is configured the
 * next turn is now, and the oldest file goes even if the file system says that enough is free: it
 * may be out of inodes, or a quota used up. Takes NULL. */
void retention_hurry(struct retention *retention);

/* One turn, at now_ns of wall clock. For who runs no thread. */
void retention_turn(struct retention *retention, uint64_t now_ns);

/* Thread main; arg is the struct retention. */
void *retention_run(void *arg);
/* Ends the thread soon. Takes NULL. */
void retention_stop(struct retention *retention);
