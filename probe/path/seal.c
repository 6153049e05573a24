#include "path/seal.h"

#include <assert.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "path/seal_key.h"

#define SEALED_CHUNK (SEAL_CHUNK + SEAL_TAG)
#define SHARE_LINE   "-> X25519 "
#define MAC_LINE     "---"
#define STANZA_LEN   (sizeof(SHARE_LINE) - 1 + SEAL_B64 + 1 + SEAL_B64 + 1)
#define HEADER_MAX                                                                                 \
	(sizeof(SEAL_VERSION) - 1 + SEAL_RECIPIENTS_MAX * STANZA_LEN + sizeof(MAC_LINE) - 1 + 1 +  \
	 SEAL_B64 + 1 + SEAL_SALT)

struct seal {
	EVP_CIPHER_CTX *cipher; /* holds the payload key */
	uint64_t chunk;         /* number of the next chunk; with the key it is never used twice */
	size_t header_len;
	size_t held; /* bytes of plain */
	bool is_ended;
	uint8_t file_key[SEAL_FILE_KEY]; /* zero again when seal_open returns */
	uint8_t header[HEADER_MAX];
	uint8_t plain[SEAL_CHUNK];
};

void seal_random(uint8_t *buf, size_t len)
{
	if (RAND_priv_bytes(buf, (int)len) != 1)
		abort();
}

/* Writes len bytes of ciphertext and the tag. */
static int encrypt(EVP_CIPHER_CTX *cipher, const uint8_t iv[static SEAL_IV], const uint8_t *in,
		   size_t len, uint8_t *out)
{
	int n = 0;

	/* Poly1305 alone comes of Final; a stream cipher has nothing left to give there. */
	if (EVP_EncryptInit_ex(cipher, NULL, NULL, NULL, iv) != 1 ||
	    EVP_EncryptUpdate(cipher, out, &n, in, (int)len) != 1 ||
	    EVP_EncryptFinal_ex(cipher, out + len, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, SEAL_TAG, out + len) != 1)
		return -EIO;
	return 0;
}

static uint8_t *put_text(uint8_t *p, const char *text)
{
	const size_t len = strlen(text);

	memcpy(p, text, len);
	return p + len;
}

static uint8_t *put_base64(uint8_t *p, const uint8_t bytes[static SEAL_KEY])
{
	uint8_t text[SEAL_B64 + 2]; /* OpenSSL adds one '=' and a NUL */

	(void)EVP_EncodeBlock(text, bytes, SEAL_KEY);
	memcpy(p, text, SEAL_B64);
	return p + SEAL_B64;
}

/* Wraps the file key for one recipient under an ephemeral key of its own. */
static int wrap_file_key(const struct seal *seal, const struct seal_recipient *recipient,
			 seal_random_fn random, uint8_t share[static SEAL_KEY],
			 uint8_t body[static SEAL_FILE_KEY + SEAL_TAG])
{
	static const uint8_t iv[SEAL_IV]; /* zero: the wrap key is used once */
	uint8_t secret[SEAL_KEY], key[SEAL_KEY];

	random(secret, sizeof(secret));
	int ret = seal_key_public(secret, share);
	if (!ret)
		ret = seal_key_wrap(secret, recipient->x25519, share, recipient->x25519, key);
	EVP_CIPHER_CTX *cipher = ret ? NULL : seal_key_cipher(key, true);
	if (!ret)
		ret = cipher ? encrypt(cipher, iv, seal->file_key, SEAL_FILE_KEY, body) : -EIO;
	EVP_CIPHER_CTX_free(cipher);
	OPENSSL_cleanse(key, sizeof(key));
	OPENSSL_cleanse(secret, sizeof(secret));
	return ret;
}

static int put_stanza(uint8_t **p, const struct seal *seal, const struct seal_recipient *recipient,
		      seal_random_fn random, struct err *err)
{
	uint8_t share[SEAL_KEY], body[SEAL_FILE_KEY + SEAL_TAG];
	char text[64];

	const int ret = wrap_file_key(seal, recipient, random, share, body);
	if (ret) {
		seal_recipient_format(recipient, text);
		return err_set(err, ret == -EBADMSG ? -EINVAL : ret,
			       "cannot encrypt to recipient %s: %s", text,
			       ret == -EBADMSG ? "it is no valid key" : "OpenSSL refuses");
	}
	*p = put_text(*p, SHARE_LINE);
	*p = put_base64(*p, share);
	*p = put_text(*p, "\n");
	*p = put_base64(*p, body);
	*p = put_text(*p, "\n");
	return 0;
}

static int make_header(struct seal *seal, const struct seal_recipient *recipients, unsigned n,
		       seal_random_fn random, struct err *err)
{
	uint8_t mac[SEAL_MAC], *p = put_text(seal->header, SEAL_VERSION);

	for (unsigned i = 0; i < n; i++) {
		const int ret = put_stanza(&p, seal, &recipients[i], random, err);
		if (ret)
			return ret;
	}
	p = put_text(p, MAC_LINE);
	if (seal_key_mac(seal->file_key, seal->header, (size_t)(p - seal->header), mac))
		return err_set(err, -EIO, "cannot seal the file's header: OpenSSL refuses");
	p = put_text(p, " ");
	p = put_base64(p, mac);
	p = put_text(p, "\n");
	random(p, SEAL_SALT);
	seal->cipher = seal_key_payload(seal->file_key, p, true);
	if (!seal->cipher)
		return err_set(err, -EIO, "cannot make the file's key: OpenSSL refuses");
	seal->header_len = (size_t)(p - seal->header) + SEAL_SALT;
	return 0;
}

int seal_open(struct seal **out, const struct seal_recipient *recipients, unsigned n,
	      seal_random_fn random, struct err *err)
{
	if (n == 0 || n > SEAL_RECIPIENTS_MAX)
		return err_set(err, -EINVAL, "%u recipients; a file takes 1 to %d", n,
			       SEAL_RECIPIENTS_MAX);
	struct seal *seal = seal_key_alloc(sizeof(*seal));
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
	return sizeof(struct seal);
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

/* Seals what is held and counts on, also after a failure: no IV is used twice. */
static int seal_chunk(struct seal *seal, bool is_last, uint8_t *out, size_t *out_len)
{
	uint8_t iv[SEAL_IV];

	seal_key_iv(seal->chunk++, is_last, iv);
	const int ret = encrypt(seal->cipher, iv, seal->plain, seal->held, out);
	*out_len = ret ? 0 : seal->held + SEAL_TAG;
	seal->held = 0;
	return ret;
}

int seal_update(struct seal *seal, const uint8_t *in, size_t len, uint8_t *out, size_t *out_len)
{
	size_t total = 0;

	assert(!seal->is_ended);
	while (len > 0) {
		/* A full chunk is given only now, when more follows: it is not the last. */
		if (seal->held == SEAL_CHUNK) {
			size_t n = 0;
			const int ret = seal_chunk(seal, false, out + total, &n);
			if (ret)
				return ret;
			total += n;
		}
		const size_t room = SEAL_CHUNK - seal->held;
		const size_t take = len < room ? len : room;
		memcpy(seal->plain + seal->held, in, take);
		seal->held += take;
		in += take;
		len -= take;
	}
	*out_len = total;
	return 0;
}

int seal_final(struct seal *seal, uint8_t *out, size_t *out_len)
{
	assert(!seal->is_ended);
	seal->is_ended = true;
	return seal_chunk(seal, true, out, out_len);
}
