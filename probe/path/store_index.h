/*
 * store_index: what says of an open file what is in it, until the file itself does.
 *
 *   .NAME_000007_20261121T230254Z.part         the open file
 *   .NAME_000007_20261121T230254Z.part.index   appended beside it, removed with its end
 *
 * Internal to store*.c; its writer thread's. Bytes in, no format; never synced, since a crash makes
 * an end of it anyway. A failure here costs readers a pass over the open file, and nothing else:
 * the rest of that file goes without, which is said once.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_INDEX ".index" /* behind the name of the open file */

struct store_index {
	int fd; /* -1: nothing was appended */
	bool is_off, is_told;
	char name[NAME_MAX + 1];
};

/* Of a new file. */
void store_index_begin(struct store_index *index, const char *part);
/* One write. */
void store_index_append(struct store_index *index, int dir, const uint8_t *data, size_t len);
/* Removes it. The file is no more open, or gets none. */
void store_index_end(struct store_index *index, int dir);

/* Removes what an earlier run left beside part, if anything. */
void store_index_remove(int dir, const char *part);
/* If a name in the folder is that of an index whose open file is there no more, removes it. */
void store_index_sweep(int dir, const char *name);
