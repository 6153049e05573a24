/*
 * seal: age v1 encryption (C2SP age.md) to X25519 recipients, and its undoing.
 *
 * The writer half runs on a writer thread and knows public keys only. The reader half (unseal) runs
 * in vxcap, where the identity is. OpenSSL does all cryptography.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SEAL_CHUNK          65536u
#define SEAL_TAG            16u
#define SEAL_FILE_KEY       16u
#define SEAL_RECIPIENTS_MAX 64

struct seal_recipient {
	uint8_t x25519[32];
};

/* "age1..." (Bech32). -EINVAL with a sentence that names the text. */
int seal_recipient_parse(struct seal_recipient *out, const char *text, struct err *err);

/* Fills buf with unpredictable bytes. Must not fail: abort instead. Tests pass a counter. */
typedef void (*seal_random_fn)(uint8_t *buf, size_t len);
void seal_random(uint8_t *buf, size_t len);

struct seal;

/* A new file key for one file. n is 1 to SEAL_RECIPIENTS_MAX. -EINVAL: n, or a recipient that is no
 * valid key. */
int seal_open(struct seal **out, const struct seal_recipient *recipients, unsigned n,
	      seal_random_fn random, struct err *err);
/* Wipes the keys. Takes NULL. */
void seal_close(struct seal *seal);

/* Bytes that an open seal allocates, in whole pages and in OpenSSL. */
size_t seal_memory(void);
/* Most bytes that header, update or final can give for len bytes of input. */
size_t seal_bound(const struct seal *seal, size_t len);
/* Header and payload nonce: the first bytes of the file. Returns their length. */
size_t seal_header(struct seal *seal, uint8_t *out);
/* Takes len bytes, gives the sealed chunks that are complete and known not to be the last. Up to
 * one chunk (SEAL_CHUNK bytes) stays inside. After an error (-EIO) only close is allowed. */
int seal_update(struct seal *seal, const uint8_t *in, size_t len, uint8_t *out, size_t *out_len);
/* Gives the last chunk. Nothing may follow. */
int seal_final(struct seal *seal, uint8_t *out, size_t *out_len);
/* Seals the next entry of the index beside the open file: len bytes become len + SEAL_TAG, in their
 * place or elsewhere. Their key is the file's, but not the payload's; their nonce their number,
 * which counts on also after a failure (-EIO). */
int seal_index_entry(struct seal *seal, const uint8_t *in, size_t len, uint8_t *out);

/* From here on this process leaves no core dump, and no other of its user may trace it: for whoever
 * has keys in memory. Cannot fail in a way that matters: what the kernel refuses, it leaves. */
void seal_protect_process(void);

/* ---- reading ---- */

struct seal_identity {
	uint8_t secret[32];
};

/* Reads an identity file as age-keygen writes it: comments, blank lines, AGE-SECRET-KEY-1... lines.
 * Returns the number read, 1 to max; "-" is standard input. -EINVAL: a line is none, or no line is
 * one; -E2BIG: more than max; -EFBIG: over 64 KiB; else why it cannot be read. No secret gets into
 * err. */
int seal_identities_read(struct seal_identity *out, unsigned max, const char *path,
			 struct err *err);
/* The recipient that belongs to an identity. */
int seal_identity_recipient(const struct seal_identity *identity, struct seal_recipient *out);
/* "age1..." text, 62 characters and NUL. */
void seal_recipient_format(const struct seal_recipient *recipient, char out[static 64]);

/* A file key as text: 32 hexadecimal digits, or base64 of 22 characters with or without its
 * padding. -EINVAL: it is none; out is then undefined. */
int seal_file_key_parse(uint8_t out[static SEAL_FILE_KEY], const char *text, size_t len);

/* Where a sealed file's bytes come from: here or on another host. */
struct unseal_source {
	/* Short only at the end of the file; -errno. */
	ssize_t (*read)(void *arg, uint64_t offset, void *buf, size_t len);
	void *arg;
	uint64_t size; /* of the file, or as much of it as is to be read */
};

/* A file as far as it reaches now; fd is borrowed. -errno of fstat. */
int unseal_source_of(struct unseal_source *out, int fd);

/* Who can give a file key. All is borrowed. */
struct unseal_keys {
	const struct seal_identity *identities; /* each is tried on each stanza */
	unsigned n;
	/* Asked for the file key when no identity opens the file; NULL: nobody is. Gets the len
	 * bytes of the header's stanzas, checked for their form, "-> X25519 ..." to the last
	 * newline; no NUL. Returns 0 or -errno and err; a key that is not the file's is found. */
	int (*unwrap)(void *arg, const char *stanzas, size_t len,
		      uint8_t file_key[static SEAL_FILE_KEY], struct err *err);
	void *arg;
};

struct unseal;

/* Reads the header of source (copied; what is behind arg is borrowed) and finds the file key.
 * -EACCES: no identity opens it; -EBADMSG: not an age file, or damaged; else what source or unwrap
 * says; err says which. */
int unseal_open(struct unseal **out, const struct unseal_source *source,
		const struct unseal_keys *keys, struct err *err);
/* Wipes the keys. Takes NULL; source stays open. */
void unseal_close(struct unseal *unseal);

/* Number of recipients of any kind in the header, without any key. -EBADMSG: not an age file. */
int unseal_count_recipients(const struct unseal_source *source, struct err *err);
/* Shows visit every stanza of the header: its kind, visible characters only and cut to
 * UNSEAL_KIND_LEN - 1; number of the first identity that opens it, or -1. unwrap is not asked, and
 * the MAC not checked. Returns the number of stanzas; -EBADMSG: not an age file. */
#define UNSEAL_KIND_LEN 24
typedef void (*unseal_stanza_fn)(void *arg, const char *kind, int identity);
int unseal_stanzas(const struct unseal_source *source, const struct unseal_keys *keys,
		   unseal_stanza_fn visit, void *arg, struct err *err);

/* The head of a file with recipients added: the same file key and salt, every old stanza, a new
 * MAC. len bytes take the place of the file's first old_len; the payload stays as it is. */
#define SEAL_REWRAP_MAX 65536u
struct seal_rewrapped {
	size_t len, old_len;
	uint8_t header[SEAL_REWRAP_MAX];
};

/* -EINVAL: the recipients are none, too many for a head of SEAL_REWRAP_MAX bytes, no valid keys, or
 * would stand beside a passphrase; else as unseal_open. */
int seal_rewrap(const struct unseal_source *source, const struct unseal_keys *keys,
		const struct seal_recipient *recipients, unsigned n, seal_random_fn random,
		struct seal_rewrapped *out, struct err *err);

/* The head that a file of old_size bytes had before recipients were added behind its own. -ENOENT:
 * it has no such; else as unseal_open. */
int seal_rewrap_undo(const struct unseal_source *source, const struct unseal_keys *keys,
		     uint64_t old_size, struct seal_rewrapped *out, struct err *err);

/* True when the last chunk is there and authentic: the file is as its writer closed it. Becomes
 * false, and size less, when a read finds a last chunk before the end. */
bool unseal_is_complete(const struct unseal *unseal);
/* Plaintext bytes that can be read: of a cut file, those of the whole authentic chunks. */
uint64_t unseal_size(const struct unseal *unseal);
/* Bytes of the file, from its first, that size bytes of plaintext take. */
uint64_t unseal_stored(const struct unseal *unseal, uint64_t size);
/* Reads authenticated plaintext at any offset. Short only at the end. -EBADMSG: a chunk was
 * altered. Keeps the last chunk, so that sequential small reads decrypt each once. */
ssize_t unseal_read(struct unseal *unseal, uint64_t offset, void *buf, size_t len);
/* True when reading there needs nothing of the source: its chunk is the one kept. */
bool unseal_is_kept(const struct unseal *unseal, uint64_t offset);
/* Opens entry number i, from 0, of the index beside the open file: its len bytes, tag counted,
 * become len - SEAL_TAG, in their place or elsewhere. -EBADMSG: too short, or not authentic. */
int unseal_index_entry(struct unseal *unseal, uint64_t i, const uint8_t *in, size_t len,
		       uint8_t *out);
