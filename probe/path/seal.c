#include "path/seal.h"

#include <assert.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "path/seal_key.h"
#include "path/seal_stanza.h"

#define SEALED_CHUNK (SEAL_CHUNK + SEAL_TAG)
#define HEADER_MAX                                                                                 \
	(sizeof(SEAL_VERSION) - 1 + SEAL_RECIPIENTS_MAX * SEAL_STANZA_LEN + SEAL_MAC_LEN +         \
	 SEAL_SALT)

#define PAGE_LEN 4096u
/* Of a cipher: 1,121 bytes were measured with OpenSSL 3.0. */
#define OPENSSL_LEN 2048u

struct seal {
	uint8_t file_key[SEAL_FILE_KEY]; /* zero again when seal_open returns */
	uint8_t key[SEAL_KEY];           /* the payload's */
	uint8_t index_key[SEAL_KEY];
	/* up to here locked */
	EVP_CIPHER_CTX *cipher;
	uint64_t chunk; /* number of the next chunk; with the key it is never used twice */
	uint64_t entry; /* of the index: the same */
	size_t header_len;
	size_t held; /* bytes of plain */
	bool is_ended;
	uint8_t header[HEADER_MAX];
	uint8_t plain[SEAL_CHUNK];
};

void seal_random(uint8_t *buf, size_t len)
{
	if (RAND_priv_bytes(buf, (int)len) != 1)
		abort();
}

static int make_header(struct seal *seal, const struct seal_recipient *recipients, unsigned n,
		       seal_random_fn random, struct err *err)
{
	size_t len = sizeof(SEAL_VERSION) - 1;

	memcpy(seal->header, SEAL_VERSION, len);
	for (unsigned i = 0; i < n; i++, len += SEAL_STANZA_LEN) {
		const int ret = seal_stanza_put(seal->header + len, seal->file_key, &recipients[i],
						random, err);
		if (ret)
			return ret;
	}
	const int ret = seal_stanza_put_mac(seal->header, len, seal->file_key, err);
	if (ret)
		return ret;
	len += SEAL_MAC_LEN;
	random(seal->header + len, SEAL_SALT);
	seal->cipher = seal_key_cipher(true);
	if (!seal->cipher || seal_key_payload(seal->file_key, seal->header + len, seal->key) ||
	    seal_key_index(seal->file_key, seal->header + len, seal->index_key))
		return err_set(err, -EIO, "cannot make the file's key: OpenSSL refuses");
	seal->header_len = len + SEAL_SALT;
	return 0;
}

int seal_open(struct seal **out, const struct seal_recipient *recipients, unsigned n,
	      seal_random_fn random, struct err *err)
{
	if (n == 0 || n > SEAL_RECIPIENTS_MAX)
		return err_set(err, -EINVAL, "%u recipients; a file takes 1 to %d", n,
			       SEAL_RECIPIENTS_MAX);
	struct seal *seal = seal_key_alloc(sizeof(*seal), offsetof(struct seal, cipher));
	if (!seal)
		return err_set(err, -ENOMEM, "out of memory");
	random(seal->file_key, SEAL_FILE_KEY);
	const int ret = make_header(seal, recipients, n, random, err);
	if (ret)
		goto fail;
	OPENSSL_cleanse(seal->file_key, SEAL_FILE_KEY);
	*out = seal;
	return 0;
fail:
	seal_close(seal);
	return ret;
}

void seal_close(struct seal *seal)
{
	if (!seal)
		return;
	EVP_CIPHER_CTX_free(seal->cipher);
	seal_key_free(seal, sizeof(*seal));
}

size_t seal_memory(void)
{
	return sizeof(struct seal) + PAGE_LEN + OPENSSL_LEN;
}

size_t seal_bound(const struct seal *seal, size_t len)
{
	/* What is held can complete one chunk more than len alone. */
	const size_t chunks = (len / SEAL_CHUNK + 1) * SEALED_CHUNK;

	return chunks > seal->header_len ? chunks : seal->header_len;
}

size_t seal_header(struct seal *seal, uint8_t *out)
{
	memcpy(out, seal->header, seal->header_len);
	return seal->header_len;
}

/* Seals one chunk and counts on, also after a failure: no IV is used twice. */
static int seal_chunk(struct seal *seal, const uint8_t *in, size_t len, bool is_last, uint8_t *out,
		      size_t *out_len)
{
	uint8_t iv[SEAL_IV];

	seal_key_iv(seal->chunk++, is_last, iv);
	const int ret = seal_key_encrypt(seal->cipher, seal->key, iv, in, len, out);
	*out_len += ret ? 0 : len + SEAL_TAG;
	return ret;
}

static int seal_held(struct seal *seal, bool is_last, uint8_t *out, size_t *out_len)
{
	const size_t len = seal->held;

	seal->held = 0;
	return seal_chunk(seal, seal->plain, len, is_last, out, out_len);
}

/* Takes some of in. A full chunk is given only when more follows: it is not the last. One that is
 * whole in in is not copied first. */
static int seal_some(struct seal *seal, const uint8_t *in, size_t len, size_t *taken, uint8_t *out,
		     size_t *out_len)
{
	*taken = 0;
	if (seal->held == SEAL_CHUNK)
		return seal_held(seal, false, out, out_len);
	if (!seal->held && len > SEAL_CHUNK) {
		*taken = SEAL_CHUNK;
		return seal_chunk(seal, in, SEAL_CHUNK, false, out, out_len);
	}
	const size_t room = SEAL_CHUNK - seal->held;
	*taken = len < room ? len : room;
	memcpy(seal->plain + seal->held, in, *taken);
	seal->held += *taken;
	return 0;
}

int seal_update(struct seal *seal, const uint8_t *in, size_t len, uint8_t *out, size_t *out_len)
{
	size_t total = 0, taken;

	assert(!seal->is_ended);
	for (size_t at = 0; at < len; at += taken) {
		const int ret = seal_some(seal, in + at, len - at, &taken, out + total, &total);
		if (ret)
			return ret;
	}
	*out_len = total;
	return 0;
}

int seal_final(struct seal *seal, uint8_t *out, size_t *out_len)
{
	assert(!seal->is_ended);
	seal->is_ended = true;
	*out_len = 0;
	return seal_held(seal, true, out, out_len);
}

int seal_index_entry(struct seal *seal, const uint8_t *in, size_t len, uint8_t *out)
{
	uint8_t iv[SEAL_IV];

	seal_key_iv(seal->entry++, false, iv);
	return seal_key_encrypt(seal->cipher, seal->index_key, iv, in, len, out);
}
