/*
 * catalogue: the stored files of a folder by their names, oldest first, and which of them are
 * pinned.
 *
 *   NAME_000007_20261121T230254Z_20261121T230754Z.pcapng.zst.age   sealed
 *   NAME_000007_20261121T230254Z_trunc.pcapng.zst.age              truncated
 *   .NAME_000007_20261121T230254Z.part                             open
 *   .<name of a sealed or truncated one>.pin                       that one is pinned
 *
 * Anyone who can write to the folder may have made what is in it: a name that is not to the letter
 * what store makes is no stored file, nor is what is no regular file. One thread. Owns a table of
 * fixed size; where there are more files than fit, it has the oldest.
 *
 * A pin is an empty file beside its own, so that one listing of the folder shows both, people see
 * it, and it works over SFTP and on file systems without links or attributes. Who pins and who
 * deletes lock the file meanwhile: a pin that was made before a deletion prevents it.
 */
#pragma once

#include "base/err.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CATALOGUE_NAME_MAX 64

enum catalogue_kind { CATALOGUE_SEALED, CATALOGUE_TRUNC, CATALOGUE_OPEN };

struct catalogue_file {
	/* Seconds since 1970. Of a truncated file the name tells no end: its start stands for it;
	 * an open one ends last of all. */
	uint64_t start_s, end_s;
	uint64_t bytes; /* that it takes on the disk */
	uint32_t sequence;
	uint8_t kind;                      /* enum catalogue_kind */
	bool is_plain;                     /* not encrypted */
	bool is_pinned;                    /* also one whose pin cannot be looked for */
	bool is_gone;                      /* until catalogue_sweep */
	bool is_pin;                       /* the catalogue's own, while it scans */
	uint8_t locked;                    /* deletions that found it locked */
	char name[CATALOGUE_NAME_MAX + 1]; /* NAME alone */
};

/* What a file's name says; bytes and the flags of the folder are 0. False: it is no stored file's.
 */
bool catalogue_parse(struct catalogue_file *out, const char *file);
/* Of .NAME.pin the file that it pins, whether that is there or not. */
bool catalogue_parse_pin(struct catalogue_file *out, const char *file);
/* The names that parse so. */
void catalogue_format(const struct catalogue_file *file, char out[static NAME_MAX + 1]);
void catalogue_format_pin(const struct catalogue_file *file, char out[static NAME_MAX + 1]);

struct catalogue;

/* An empty one, of the folder as it is called now. */
int catalogue_open(struct catalogue **out, const char *dir, uint32_t files_max, struct err *err);
/* Takes NULL. */
void catalogue_close(struct catalogue *catalogue);
/* Bytes at most, what sorting takes included: 120 for each file. */
size_t catalogue_memory(uint32_t files_max);
/* Of the folder; lent until close. */
int catalogue_fd(const struct catalogue *catalogue);

/* Reads the folder anew. On failure the catalogue is empty. */
int catalogue_scan(struct catalogue *catalogue, struct err *err);
/* Follows a change of one name in the folder: it came, went, or is pinned. */
void catalogue_look(struct catalogue *catalogue, const char *file);
/* Open files grow: their bytes as they are now. */
void catalogue_measure_open(struct catalogue *catalogue);

/* In order of end_s, then of sequence. Lent until the next scan, look or sweep. */
struct catalogue_file *catalogue_files(struct catalogue *catalogue, uint32_t *n);
/* Stored files that had no room at the last scan, newer than all that are here; *bytes: theirs. */
uint64_t catalogue_beyond(const struct catalogue *catalogue, uint64_t *bytes);
/* Some came or went that it cannot follow one by one: scan. */
bool catalogue_is_stale(const struct catalogue *catalogue);

/* Deletes a file that is not open; then, and when it was gone already (-ENOENT), it is_gone.
 * -EBUSY: it is pinned by now; -EAGAIN: locked, as by who pins it: so often at most, since whoever
 * may read a file may lock it and never let go. Else -errno: it stays. */
#define CATALOGUE_LOCKED_MAX 5
int catalogue_delete(struct catalogue *catalogue, struct catalogue_file *file);
/* Takes out what is gone. */
void catalogue_sweep(struct catalogue *catalogue);

/* ---- pins; any program ---- */

/* -EEXIST: it is pinned already; -ENOENT: deleted meanwhile; -EINVAL: no sealed or truncated file's
 * name. */
int catalogue_pin(const char *path, struct err *err);
/* -ENOENT: it is not pinned. The file need not be there. */
int catalogue_unpin(const char *path, struct err *err);
