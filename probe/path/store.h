/*
 * store: one file after the other in one folder, visible only when whole.
 *
 *   .NAME_000007_20261121T230254Z.part          while it is written
 *   .NAME_000007_20261121T230254Z.part.index    beside it: store_index.h
 *   NAME_000007_20261121T230254Z_20261121T230754Z.pcapng.zst.age     committed: synced, renamed
 *   NAME_000007_20261121T230254Z_trunc.pcapng.zst.age  left by a crash or an I/O error
 *
 * Called by one writer thread. Knows no format: bytes in, files out. Times are nanoseconds since
 * 1970; in names they are UTC seconds. All stores of a folder take their sequence numbers from one
 * count, that of the files begun in it; it goes on behind the highest that is there at the start.
 *
 * Bytes gather in a buffer of its own and go to the disk by whole buffers past the page cache
 * (O_DIRECT), into space allocated ahead; where the file system refuses either, without. The tail
 * that store_flush writes goes through the page cache, and its last block again with the next
 * buffer. So the file's size is always that of its bytes, and those are a prefix of the final file.
 */
#pragma once

#include "base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store_config {
	const char *dir;    /* must exist and be writable */
	const char *name;   /* [A-Za-z0-9.:-]+, no '_', no '.' in front, at most 64 characters */
	const char *suffix; /* ".pcapng.zst.age" or ".pcapng.zst" */
	bool recover_all_names;    /* once at start: also what runs under other NAMEs left */
	bool is_late;              /* such a one has read the folder: it is not read again */
	_Atomic uint32_t *highest; /* sequence number in the folder; of all its stores, lent */
	size_t buffer_len;         /* a multiple of STORE_BLOCK */
};

/* What O_DIRECT wants offsets, lengths and memory to be multiples of; more than most disks ask. */
#define STORE_BLOCK 4096u
/* A buffer for one busy file: 1 MiB was measured best (facts: limits.md E3). */
#define STORE_BUFFER (1u << 20)
/* Space is allocated ahead for as much as the file has, but no more than this. */
#define STORE_AHEAD_MAX (16u << 20)

struct store;

/* Unless late: raises highest to what is there; renames what an earlier run of this NAME left
 * unfinished, with the suffix that its first bytes tell; an empty file gets this store's. -EBUSY:
 * another process is writing a file of this NAME. config's strings are copied. */
int store_open(struct store **out, const struct store_config *config, struct err *err);
/* Abandons an unfinished file. Takes NULL. */
void store_close(struct store *store);

/* Bytes that a store with an open file allocates at most. */
size_t store_memory(size_t buffer_len);

/* Creates the next file. No file may be open. */
int store_begin(struct store *store, uint64_t start_ns, struct err *err);
/* Takes all bytes, and writes what fills the buffer. -ENOSPC, -EIO ...: after an error only
 * store_abandon and store_discard are allowed. */
int store_write(struct store *store, const uint8_t *data, size_t len);
/* Appends to what says of the open file what is in it. Cannot fail in a way that matters. */
void store_write_index(struct store *store, const uint8_t *data, size_t len);
/* The open file goes without it from here on. */
void store_drop_index(struct store *store);
/* Writes what was taken and is not written. Errors as above. */
int store_flush(struct store *store);
/* Makes what is written outlast a power failure, and once for each file its name. After an error
 * the file may get its last bytes, but must not be committed, and each further call fails: the
 * kernel tells once, and forgets what it could not write. */
int store_sync(struct store *store);
/* Bytes of the current file that were taken; that system calls have written; of those, that no
 * store_sync has covered. They stay until the next store_begin. */
uint64_t store_taken(const struct store *store);
uint64_t store_written(const struct store *store);
uint64_t store_unsynced(const struct store *store);
/* Flushes, syncs, renames to the final name, syncs the folder. start_ns: of the earliest packet, by
 * which the file is found; a packet that came late may be earlier than what began the file. On
 * failure the file is abandoned; when only the folder could not be synced it has its final name,
 * which a power failure may undo; all of it is then unsynced if no store_sync was before. */
int store_commit(struct store *store, uint64_t start_ns, uint64_t end_ns, struct err *err);
/* Keeps what was written under its trunc name, and syncs that name alone. Without an open file does
 * nothing. */
void store_abandon(struct store *store);
/* Name under which the last file came to lie in the folder; "": it is not there, or under its part
 * name. Lent until the next call. */
const char *store_last(const struct store *store);
/* Removes it instead: it holds nothing. */
void store_discard(struct store *store);
