/*
 * seal_stanza: the file key in the head of an age file: wrapped for a recipient, and got back.
 *
 *   writing   seal_stanza_put for each recipient, seal_stanza_put_mac behind them
 *   reading   seal_stanza_read, seal_stanza_open
 *
 * Internal to seal*.c. Stateless, any thread; what is secret lies in the caller's memory.
 */
#pragma once

#include "base/err.h"
#include "path/seal.h"
#include "path/seal_parse.h"

#define SEAL_STANZA_LEN (10u + SEAL_B64 + 1 + SEAL_B64 + 1) /* "-> X25519 SHARE\nBODY\n" */
#define SEAL_MAC_LEN    (4u + SEAL_B64 + 1)                 /* "--- MAC\n" */

/* Writes SEAL_STANZA_LEN bytes. -EINVAL: the recipient is no valid key; -EIO. */
int seal_stanza_put(uint8_t *out, const uint8_t file_key[static SEAL_FILE_KEY],
		    const struct seal_recipient *recipient, seal_random_fn random, struct err *err);
/* Writes SEAL_MAC_LEN bytes behind the header's first len, which are its stanzas. -EIO. */
int seal_stanza_put_mac(uint8_t *header, size_t len, const uint8_t file_key[static SEAL_FILE_KEY],
			struct err *err);

/* Reads the head of the file into buf and takes it apart; *head points into buf. -EBADMSG: no age
 * file, or a damaged one. */
int seal_stanza_read(const struct unseal_source *source, uint8_t buf[static SEAL_PARSE_MAX],
		     struct seal_head *head, struct err *err);
/* Whether an identity opens a stanza: 0 and the file key; -EACCES: it does not; -EBADMSG: no honest
 * writer made the stanza; -EIO. */
int seal_stanza_unwrap(const struct seal_stanza *stanza, const struct seal_identity *identity,
		       uint8_t file_key[static SEAL_FILE_KEY]);
/* The file key, under which the head's MAC is right: as unseal_open. */
int seal_stanza_open(const uint8_t *buf, const struct seal_head *head,
		     const struct unseal_keys *keys, uint8_t file_key[static SEAL_FILE_KEY],
		     struct err *err);
