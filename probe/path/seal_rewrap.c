/*
 * What can be done with the head of a sealed file alone: see who opens it, and add recipients.
 */
#include "path/seal.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#include "path/seal_stanza.h"

/* Everything that is read or secret, in memory that is locked and wiped. */
struct opened {
	struct seal_head head;
	uint8_t file_key[SEAL_FILE_KEY];
	uint8_t buf[SEAL_PARSE_MAX];
};

/* Number of the first identity that opens the stanza, or -1. */
static int who_opens(const struct seal_stanza *stanza, const struct unseal_keys *keys,
		     uint8_t file_key[static SEAL_FILE_KEY])
{
	for (unsigned i = 0; i < keys->n; i++)
		if (!seal_stanza_unwrap(stanza, &keys->identities[i], file_key))
			return (int)i;
	return -1;
}

int unseal_stanzas(const struct unseal_source *source, const struct unseal_keys *keys,
		   unseal_stanza_fn visit, void *arg, struct err *err)
{
	struct opened *opened = seal_key_alloc(sizeof(*opened), sizeof(*opened));
	struct seal_stanza stanza;

	if (!opened)
		return err_set(err, -ENOMEM, "out of memory");
	int ret = seal_stanza_read(source, opened->buf, &opened->head, err);
	if (!ret) {
		const uint8_t *p = opened->head.stanzas;
		char kind[UNSEAL_KIND_LEN];

		while (seal_parse_stanza(&p, opened->head.stanzas_end, &stanza)) {
			(void)snprintf(kind, sizeof(kind), "%.*s", (int)stanza.kind_len,
				       stanza.kind);
			visit(arg, kind, who_opens(&stanza, keys, opened->file_key));
		}
		ret = (int)opened->head.n_stanzas;
	}
	seal_key_free(opened, sizeof(*opened));
	return ret;
}

static void ignore_stanza(void *arg, const char *kind, int identity)
{
	(void)arg, (void)kind, (void)identity;
}

int unseal_count_recipients(const struct unseal_source *source, struct err *err)
{
	const struct unseal_keys nobody = {0};

	return unseal_stanzas(source, &nobody, ignore_stanza, NULL, err);
}

/* MAC and the salt that was, behind len bytes of stanzas. */
static int write_end(const struct opened *opened, size_t len, struct seal_rewrapped *out,
		     struct err *err)
{
	const int ret = seal_stanza_put_mac(out->header, len, opened->file_key, err);

	if (ret)
		return ret;
	len += SEAL_MAC_LEN;
	memcpy(out->header + len, opened->head.salt, SEAL_SALT);
	out->len = len + SEAL_SALT;
	out->old_len = opened->head.len;
	return 0;
}

/* Old stanzas, new ones, the end. */
static int write_header(const struct opened *opened, const struct seal_recipient *recipients,
			unsigned n, seal_random_fn random, struct seal_rewrapped *out,
			struct err *err)
{
	const struct seal_head *head = &opened->head;
	size_t len = (size_t)(head->stanzas_end - opened->buf);
	struct seal_head ignored;

	if (n == 0 || n > SEAL_RECIPIENTS_MAX ||
	    len + n * SEAL_STANZA_LEN + SEAL_MAC_LEN + SEAL_SALT > SEAL_REWRAP_MAX)
		return err_set(err, -EINVAL,
			       "%u recipients more do not fit behind the %u of the header", n,
			       head->n_stanzas);
	memcpy(out->header, opened->buf, len);
	for (unsigned i = 0; i < n; i++, len += SEAL_STANZA_LEN) {
		const int ret = seal_stanza_put(out->header + len, opened->file_key, &recipients[i],
						random, err);
		if (ret)
			return ret;
	}
	const int ret = write_end(opened, len, out, err);
	if (ret)
		return ret;
	/* A passphrase, which a command may have opened, stands alone in a header. */
	if (seal_parse_head(out->header, out->len, &ignored, err))
		return err_set(err, -EINVAL,
			       "a file sealed with a passphrase takes no recipient beside it");
	return 0;
}

/* The stanzas without the last `less` bytes of them, the end. */
static int write_shorter(const struct opened *opened, uint64_t less, struct seal_rewrapped *out,
			 struct err *err)
{
	const struct seal_head *head = &opened->head;
	const uint8_t *p = head->stanzas;
	struct seal_stanza stanza;

	do {
		if (!seal_parse_stanza(&p, head->stanzas_end, &stanza) ||
		    (uint64_t)(head->stanzas_end - p) < less)
			return err_set(err, -ENOENT, "no recipients of %llu bytes were added",
				       (unsigned long long)less);
	} while ((uint64_t)(head->stanzas_end - p) > less);
	const size_t len = (size_t)(p - opened->buf);
	memcpy(out->header, opened->buf, len);
	return write_end(opened, len, out, err);
}

/* Reads the head of source and finds its file key; the caller's, locked and wiped. */
static int open_head(struct opened **out, const struct unseal_source *source,
		     const struct unseal_keys *keys, struct err *err)
{
	struct opened *opened = seal_key_alloc(sizeof(*opened), sizeof(*opened));

	if (!opened)
		return err_set(err, -ENOMEM, "out of memory");
	*out = opened;
	const int ret = seal_stanza_read(source, opened->buf, &opened->head, err);
	return ret ? ret
		   : seal_stanza_open(opened->buf, &opened->head, keys, opened->file_key, err);
}

int seal_rewrap(const struct unseal_source *source, const struct unseal_keys *keys,
		const struct seal_recipient *recipients, unsigned n, seal_random_fn random,
		struct seal_rewrapped *out, struct err *err)
{
	struct opened *opened = NULL;
	int ret = open_head(&opened, source, keys, err);

	if (!ret)
		ret = write_header(opened, recipients, n, random, out, err);
	seal_key_free(opened, sizeof(*opened));
	return ret;
}

int seal_rewrap_undo(const struct unseal_source *source, const struct unseal_keys *keys,
		     uint64_t old_size, struct seal_rewrapped *out, struct err *err)
{
	struct opened *opened = NULL;

	if (old_size >= source->size)
		return err_set(err, -ENOENT, "it has not become longer");
	int ret = open_head(&opened, source, keys, err);
	if (!ret)
		ret = write_shorter(opened, source->size - old_size, out, err);
	seal_key_free(opened, sizeof(*opened));
	return ret;
}
