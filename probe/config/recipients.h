/*
 * recipients: a file with one age recipient per line, as `age -R` takes it. Blank lines and lines
 * that begin with # are skipped.
 *
 * Internal to config/. Main thread; keeps nothing open.
 */
#pragma once

#include "base/err.h"
#include "path/seal.h"

/* Adds the file's recipients behind the *n that are in out[SEAL_RECIPIENTS_MAX]. -EINVAL: a line is
 * none ("FILE:LINE: sentence"), they or the lines are too many, or there is not one; -errno: it
 * cannot be read. */
int recipients_read(struct seal_recipient *out, unsigned *n, const char *path, struct err *err);

/* How many of them differ: a key that is given twice is one. */
unsigned recipients_distinct(const struct seal_recipient *recipients, unsigned n);
