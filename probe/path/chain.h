/*
 * chain: one line of text for each thing that happened to the files of a folder, each bound to the
 * one before it and signed with a key that is used once.
 *
 *   {"chain":1,"seq":7,"time":"2026-11-22T10:00:00.123456789Z","prev":HASH,"next":KEY,
 *    "event":"sealed","file":"vxprobe_000004_...","bytes":..., ... ,"sig":SIGNATURE}
 *
 *   signed   the bytes of the line in front of ,"sig":" as they are; Ed25519 (RFC 8032)
 *   prev     SHA-256 of the line before, with its signature, without its newline; of the first: 0
 *   next     the public key that signs the next line; the first also has its own, as "key"
 *
 * The secret of a line is wiped when it is signed, so who takes the probe can add lines but alter
 * none. The page of the format is vxprobe-files(7).
 *
 * Evidence thread and vxcap; stateless but for struct chain_signer, the caller's. Lines may be an
 * attacker's. Never allocates more than a line needs.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CHAIN_FILE "vxprobe.chain"
/* Longest line, without its newline: 64 recipients of 62 characters are 4 KiB. */
#define CHAIN_LINE_MAX       8192u
#define CHAIN_HASH           32u
#define CHAIN_KEY            32u
#define CHAIN_SIGNATURE      64u
#define CHAIN_RECIPIENTS_MAX 64u
#define CHAIN_NAME_MAX       256u
#define CHAIN_TEXT_MAX       128u

enum chain_event {
	CHAIN_START,      /* version, host */
	CHAIN_STOP,       /* nothing */
	CHAIN_CONFIGURED, /* sha256 of the configuration, recipients as age1... */
	CHAIN_CLOCK,      /* step_ns */
	CHAIN_SEALED,     /* file, bytes, sha256, packets, drops, fingerprints of recipients */
	CHAIN_BROKEN,     /* the same: an error ended the file */
	CHAIN_FOUND,      /* file, bytes, sha256: lay there at a start without an entry */
	CHAIN_RECOVERED,  /* the same: a crash left it */
	CHAIN_DELETED,    /* file, reason */
	CHAIN_UNREADABLE, /* file, bytes that were written, reason */
	CHAIN_UNHASHED,   /* files: so many more than could be remembered */
	CHAIN_EVENTS
};

struct chain_entry {
	int64_t sequence; /* from 1 */
	uint64_t time_ns; /* since 1970 */
	uint8_t before[CHAIN_HASH];
	uint8_t key[CHAIN_KEY]; /* of sequence 1 alone */
	uint8_t next[CHAIN_KEY];
	enum chain_event event;
	/* what the event has, as above */
	char file[CHAIN_NAME_MAX];
	uint8_t sha256[CHAIN_HASH];
	int64_t bytes, packets, drops, files, step_ns;
	char version[CHAIN_TEXT_MAX], host[CHAIN_TEXT_MAX], reason[CHAIN_TEXT_MAX];
	unsigned n_recipients;
	char recipients[CHAIN_RECIPIENTS_MAX][64];
};

const char *chain_event_name(enum chain_event event);
/* Events that say what a file is: its bytes and SHA-256. */
bool chain_has_file_hash(enum chain_event event);
/* [A-Za-z0-9._:-]+, no '.' in front, short enough: what entries may name. */
bool chain_is_name(const char *name);
/* Whether a folder's file is one that the chain vouches for: NAME.pcapng.zst, .pcapng.zst.age. */
bool chain_is_stored(const char *name);

/* ---- writing ---- */

/* Of the next entry. Zero but for a secret: a new chain. */
struct chain_signer {
	int64_t sequence; /* of the last entry */
	uint8_t hash[CHAIN_HASH];
	uint8_t secret[CHAIN_KEY];
};

/* A new chain with a new secret. -EIO: OpenSSL refuses. */
int chain_begin(struct chain_signer *signer);
/* The public key of signer's secret. */
int chain_public(const struct chain_signer *signer, uint8_t out[static CHAIN_KEY]);
/* Makes entry the next line: fills in sequence, before, key and next, signs, replaces the secret.
 * out has room for CHAIN_LINE_MAX + 1 bytes; *len counts the newline. On failure the signer stays
 * as it was. -E2BIG: longer than CHAIN_LINE_MAX; -EIO. */
int chain_sign(struct chain_signer *signer, struct chain_entry *entry, char *out, size_t *len);

/* ---- reading ---- */

/* Next line without its newline. 1: a whole one; 0: the end; -EBADMSG: longer than CHAIN_LINE_MAX,
 * out has its beginning (of 64 KiB of it: what follows is the next line); -ENODATA: the last
 * one, without a newline; -EIO. */
int chain_read_line(FILE *file, char out[static CHAIN_LINE_MAX + 1], size_t *len);
/* -EBADMSG: no entry, with why. Does not look at the signature. *out is undefined then. */
int chain_parse(struct chain_entry *out, const char *line, size_t len, struct err *err);
/* A line that chain_parse took: is its signature made with this key? */
bool chain_is_signed(const char *line, size_t len, const uint8_t key[static CHAIN_KEY]);

/* ---- hashes ---- */

void chain_hash(const void *data, size_t len, uint8_t out[static CHAIN_HASH]);
/* SHA-256 of a file from its first byte, past the page cache where the file system can (O_DIRECT,
 * which fd then keeps); else what was cached is dropped before and behind it. did (may be NULL)
 * hears of each piece; when it returns false, that is all: -ECANCELED. *len: bytes read. -errno. */
int chain_hash_fd(int fd, bool (*did)(void *arg, uint64_t more), void *arg,
		  uint8_t out[static CHAIN_HASH], uint64_t *len);
/* The same of head and, behind it, what the file has from there on. */
int chain_hash_behind(const void *head, size_t head_len, int fd, uint64_t from,
		      bool (*did)(void *arg, uint64_t more), void *arg,
		      uint8_t out[static CHAIN_HASH], uint64_t *len);
/* First 16 hex digits of SHA-256 of the recipient's text, age1... */
void chain_fingerprint(const char *recipient, char out[static 17]);
void chain_hex(const uint8_t *data, size_t len, char *out);
/* The next 2 * len characters, which are there: lower-case digits alone, else a line had more than
 * one form. */
bool chain_read_hex(const char *text, uint8_t *out, size_t len);
/* A text of exactly so many. */
bool chain_unhex(const char *text, uint8_t *out, size_t len);
