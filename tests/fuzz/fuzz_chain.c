/*
 * fuzz_chain: a chain of lines, each parsed, checked and walked. A signature "*" becomes one that
 * fits, so that the walk gets behind the signatures; they are a sum here, Ed25519 taking too long.
 * Every 64th length is hashed and written again too, with the real one.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "path/chain_walk.h"

static const char end_mark[] = ",\"sig\":\"*\"}";

/* ---- signatures as the walk sees them: OpenSSL's functions are called through these ---- */

/* FNV-1a of what is signed, then zeroes. */
static void sum(const uint8_t *data, size_t len, uint8_t out[static CHAIN_SIGNATURE])
{
	uint64_t n = 0xcbf29ce484222325;

	for (size_t i = 0; i < len; i++)
		n = (n ^ data[i]) * 0x100000001b3;
	memset(out, 0, CHAIN_SIGNATURE);
	memcpy(out, &n, sizeof(n));
}

int EVP_DigestVerifyInit(EVP_MD_CTX *context, EVP_PKEY_CTX **key_context, const EVP_MD *type,
			 ENGINE *engine, EVP_PKEY *key)
{
	(void)context;
	(void)key_context;
	(void)type;
	(void)engine;
	return key != NULL;
}

int EVP_DigestVerify(EVP_MD_CTX *context, const unsigned char *signature, size_t signature_len,
		     const unsigned char *data, size_t len)
{
	uint8_t wanted[CHAIN_SIGNATURE];

	(void)context;
	FUZZ_CHECK(signature_len == CHAIN_SIGNATURE);
	sum(data, len, wanted);
	return !memcmp(wanted, signature, sizeof(wanted));
}

/* Returns the length of the line with its signature. */
static size_t sign(char *line, size_t len)
{
	uint8_t signature[CHAIN_SIGNATURE];

	sum((uint8_t *)line, len - (sizeof(end_mark) - 1), signature);
	char *at = line + len - 3;
	chain_hex(signature, sizeof(signature), at);
	memcpy(at + 2 * sizeof(signature), "\"}", 3);
	return len - 3 + 2 * sizeof(signature) + 2;
}

/* ---- the input ---- */

static bool wants_signature(const char *line, size_t len)
{
	return len >= sizeof(end_mark) - 1 && len < CHAIN_LINE_MAX - 2 * CHAIN_SIGNATURE &&
	       !memcmp(line + len - (sizeof(end_mark) - 1), end_mark, sizeof(end_mark) - 1);
}

/* What is promised of an entry that was taken. */
static void check_entry(void *arg, const struct chain_entry *e, bool is_good)
{
	(void)arg;
	(void)is_good;
	FUZZ_CHECK(e->sequence > 0 && e->event < CHAIN_EVENTS);
	FUZZ_CHECK(!*e->file || chain_is_name(e->file));
	FUZZ_CHECK(e->bytes >= 0 && e->packets >= 0 && e->files >= 0);
	FUZZ_CHECK(e->n_recipients <= CHAIN_RECIPIENTS_MAX);
	FUZZ_CHECK(chain_event_name(e->event));
	(void)chain_has_file_hash(e->event);
	(void)chain_is_stored(e->file);
}

static void check_finding(void *arg, const struct chain_finding *f)
{
	unsigned *n = arg;

	FUZZ_CHECK(f->first <= f->last && f->why && chain_fault_name(f->fault));
	++*n;
}

/* An entry that was read can be written again, and is the same. */
static void check_again(const char *line, size_t len)
{
	struct chain_entry entry, again;
	char out[CHAIN_LINE_MAX + 1];
	struct chain_signer signer;
	struct err err;
	size_t n;

	if (chain_parse(&entry, line, len, &err))
		return;
	FUZZ_CHECK(!chain_begin(&signer));
	again = entry;
	if (chain_sign(&signer, &again, out, &n))
		return;
	const uint64_t time_ns = entry.time_ns;
	const enum chain_event event = entry.event;
	FUZZ_CHECK(!chain_parse(&entry, out, n - 1, &err));
	FUZZ_CHECK(entry.time_ns == time_ns && entry.event == event && entry.sequence == 1);
}

static void check_hash(const uint8_t *data, size_t size)
{
	const int fd = open(fuzz_file(data, size), O_RDONLY | O_CLOEXEC);
	uint8_t one[CHAIN_HASH], other[CHAIN_HASH];
	char text[17];
	uint64_t len;

	FUZZ_CHECK(!chain_hash_fd(fd, NULL, NULL, one, &len) && len == size);
	chain_hash(data, size, other);
	FUZZ_CHECK(!memcmp(one, other, sizeof(one)));
	chain_fingerprint("age1", text);
	(void)close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char line[CHAIN_LINE_MAX + 1];
	uint8_t head[CHAIN_HASH] = {0};
	FILE *file = fopen(fuzz_file(data, size), "re");
	unsigned n = 0;
	const struct chain_walk_config config = {.head = size % 2 ? head : NULL,
						 .first_key = size % 3 ? NULL : head,
						 .entry = check_entry,
						 .finding = check_finding,
						 .arg = &n};
	struct chain_walk *walk;
	struct err err;
	size_t len;
	int ret;

	FUZZ_CHECK(file && !chain_walk_open(&walk, &config, &err));
	while ((ret = chain_read_line(file, line, &len))) {
		FUZZ_CHECK(len <= CHAIN_LINE_MAX);
		if (ret == 1 && wants_signature(line, len))
			len = sign(line, len);
		chain_walk_line(walk, line, len, ret);
		if (ret == 1 && size % 64 == 0)
			check_again(line, len);
	}
	chain_walk_end(walk);
	(void)chain_walk_head(walk, head);
	(void)chain_walk_first_key(walk);
	FUZZ_CHECK(chain_walk_anchored(walk) >= 0);
	FUZZ_CHECK(size || n);
	chain_walk_close(walk);
	(void)fclose(file);
	if (size % 64 == 0)
		check_hash(data, size);
	return 0;
}
