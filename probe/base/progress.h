/*
 * progress: how far a long work has come, on one line of standard error.
 *
 *   reading: 45 %, 123 MiB of 270 MiB, 12 s left        reading: 123 MiB
 *
 * Shows nothing in the first second; then it redraws the line at most five times a second, and
 * erases it at the end. Shows nothing at all unless standard error is a terminal, or when standard
 * output is a pipe, since who reads it may be writing to the same terminal.
 *
 * One work at a time: one thread begins, shows and ends it. Any thread may hide the line.
 */
#pragma once

#include <stdint.h>

/* doing is lent until the end; total in bytes, 0: not known. */
void progress_begin(const char *doing, uint64_t total);
/* So many bytes are done, or so many more. Nothing happens outside of begin and end. */
void progress_show(uint64_t done);
void progress_add(uint64_t more);
/* Before any other line on the terminal; the next show draws again. */
void progress_hide(void);
void progress_end(void);

/* The size of all files; 0 when one of them has none, as a pipe. */
uint64_t progress_size(char *const *paths, unsigned n);
