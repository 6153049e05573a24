/*
 * seal_parse: the text at the head of an age file, taken apart without any key.
 *
 *   age-encryption.org/v1
 *   -> X25519 SHARE                    a stanza per recipient; other kinds are allowed, and skipped
 *   BODY                               lines of 64 characters, then a shorter one
 *   --- MAC
 *   16 bytes of salt, then the payload
 *
 * Internal to seal*.c. Stateless, allocates nothing. As strict as age.md asks and its test
 * vectors check; every length is bounded by the buffer's.
 */
#pragma once

#include "base/err.h"
#include "path/seal.h"
#include "path/seal_key.h"

/* Bytes of the file's head to read: room for 600 recipients. The format itself has no bound. */
#define SEAL_PARSE_MAX 65536u
/* As much of it is read at a time. */
#define SEAL_PARSE_STEP 4096u

struct seal_stanza {
	const char *kind; /* kind_len visible characters in the buffer parsed */
	size_t kind_len;
	bool is_x25519; /* else the rest is zero */
	uint8_t share[SEAL_KEY];
	uint8_t body[SEAL_FILE_KEY + SEAL_TAG]; /* the file key, wrapped */
};

struct seal_head {
	const uint8_t *stanzas, *stanzas_end; /* in the buffer parsed */
	unsigned n_stanzas;
	size_t mac_len; /* the first so many bytes are under the MAC */
	size_t len;     /* with the salt: offset of the payload */
	uint8_t mac[SEAL_MAC];
	uint8_t salt[SEAL_SALT];
};

/* Checks the whole head. -EBADMSG: not an age file, or damaged. */
int seal_parse_head(const uint8_t *buf, size_t len, struct seal_head *out, struct err *err);
/* The stanza at *p of a head that was parsed; moves *p behind it. False at the end. */
bool seal_parse_stanza(const uint8_t **p, const uint8_t *end, struct seal_stanza *out);
