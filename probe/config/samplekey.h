/*
 * samplekey: the key by which flows are chosen for samples, from a file that all probes have.
 *
 * Internal to config/. Main thread; keeps nothing open.
 */
#pragma once

#include "base/err.h"
#include "siphash.h"

#define SAMPLEKEY_MIN 16   /* bytes; who guesses the key knows what is left out */
#define SAMPLEKEY_MAX 4096 /* a device such as /dev/zero has no end */

/* The first 16 bytes of the SHA-256 of what is in the file, white space at its end left out, as two
 * words, big endian. -EINVAL: shorter or longer than above; -errno: it cannot be read. */
int samplekey_read(struct siphash_key *out, const char *path, struct err *err);
