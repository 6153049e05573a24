/*
 * naming: which names and policies are in force, for those who ask while they change.
 *
 * Control sets them; control, the writer and, of files, the workers ask, all of them when a session
 * or a file begins, never per packet: a mutex is enough. Workers keep what they were told of a
 * policy until they are told anew: those before stay until naming_forget. Instants are wall clock.
 */
#pragma once

#include "base/err.h"
#include "config/names.h"
#include "path/enroll.h"
#include "path/filter.h"
#include "run/describe.h"
#include "run/stats.h"

#include <stddef.h>
#include <stdint.h>

struct naming;

int naming_open(struct naming **out, struct err *err);
/* Takes NULL. Closes its names. */
void naming_close(struct naming *naming);
/* Before any names: what stores are called, from number 0, the default one. Lent. */
void naming_set_stores(struct naming *naming, const char *const *stores, uint32_t n_stores);
/* names (NULL: none) is the naming's from now on. unknown: of sessions that it does not have,
 * unless it says so itself; key: of samples. What was set before the last time is forgotten. */
void naming_set(struct naming *naming, struct names *names, enum session_policy unknown,
		const struct siphash_key *key);
/* No filter is in use that naming_identify told before the last naming_set. */
void naming_forget(struct naming *naming);

/* until_ns of the answer is wall clock too. */
void naming_identify(struct naming *naming, const struct address *source, uint32_t vni,
		     int64_t at_ns, struct enroll_identity *out);
/* The NAME of a later generation ends in its number: amf-eu1.2. */
void naming_labels(struct naming *naming, const struct session *session, int64_t at_ns,
		   struct session_labels *out);
/* By what the session's packets are kept at an instant. */
void naming_policy(struct naming *naming, const struct session *session, int64_t at_ns,
		   struct describe_policy *out);
/* A pcapng block with the names of addresses inside the session. Returns its length, 0: none. */
size_t naming_block(struct naming *naming, const struct session *session, int64_t at_ns,
		    uint8_t *out, size_t cap);
