#include "path/seal_stanza.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>

#define SHARE_LINE "-> X25519 "
#define MAC_LINE   "---"

static const uint8_t zero_iv[SEAL_IV]; /* a wrap key is used once */

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
static int wrap(const uint8_t file_key[static SEAL_FILE_KEY],
		const struct seal_recipient *recipient, seal_random_fn random,
		uint8_t share[static SEAL_KEY], uint8_t body[static SEAL_FILE_KEY + SEAL_TAG])
{
	uint8_t secret[SEAL_KEY], key[SEAL_KEY];

	random(secret, sizeof(secret));
	int ret = seal_key_public(secret, share);
	if (!ret)
		ret = seal_key_wrap(secret, recipient->x25519, share, recipient->x25519, key);
	EVP_CIPHER_CTX *cipher = ret ? NULL : seal_key_cipher(true);
	if (!ret)
		ret = cipher ? seal_key_encrypt(cipher, key, zero_iv, file_key, SEAL_FILE_KEY, body)
			     : -EIO;
	EVP_CIPHER_CTX_free(cipher);
	OPENSSL_cleanse(key, sizeof(key));
	OPENSSL_cleanse(secret, sizeof(secret));
	return ret;
}

int seal_stanza_put(uint8_t *out, const uint8_t file_key[static SEAL_FILE_KEY],
		    const struct seal_recipient *recipient, seal_random_fn random, struct err *err)
{
	uint8_t share[SEAL_KEY], body[SEAL_FILE_KEY + SEAL_TAG];
	char text[64];

	const int ret = wrap(file_key, recipient, random, share, body);
	if (ret) {
		seal_recipient_format(recipient, text);
		return err_set(err, ret == -EBADMSG ? -EINVAL : ret,
			       "cannot encrypt to recipient %s: %s", text,
			       ret == -EBADMSG ? "it is no valid key" : "OpenSSL refuses");
	}
	uint8_t *p = put_text(out, SHARE_LINE);
	p = put_base64(p, share);
	p = put_text(p, "\n");
	p = put_base64(p, body);
	(void)put_text(p, "\n");
	return 0;
}

int seal_stanza_put_mac(uint8_t *header, size_t len, const uint8_t file_key[static SEAL_FILE_KEY],
			struct err *err)
{
	uint8_t mac[SEAL_MAC], *p = put_text(header + len, MAC_LINE);

	if (seal_key_mac(file_key, header, (size_t)(p - header), mac))
		return err_set(err, -EIO, "cannot seal the file's header: OpenSSL refuses");
	p = put_text(p, " ");
	p = put_base64(p, mac);
	(void)put_text(p, "\n");
	return 0;
}

int seal_stanza_read(const struct unseal_source *source, uint8_t buf[static SEAL_PARSE_MAX],
		     struct seal_head *head, struct err *err)
{
	const size_t max = source->size < SEAL_PARSE_MAX ? (size_t)source->size : SEAL_PARSE_MAX;
	size_t len = 0;
	int ret;

	/* What is not read need not come from another host: 40 recipients fit the first step. */
	do {
		const size_t want = len + SEAL_PARSE_STEP < max ? len + SEAL_PARSE_STEP : max;
		const ssize_t n = source->read(source->arg, len, buf + len, want - len);
		if (n < 0)
			return err_set(err, (int)n, "cannot read the age header: %s",
				       strerror((int)-n));
		len += (size_t)n;
		ret = seal_parse_head(buf, len, head, err);
		if (n == 0)
			break;
	} while (ret && len < max);
	return ret;
}

int seal_stanza_unwrap(const struct seal_stanza *stanza, const struct seal_identity *identity,
		       uint8_t file_key[static SEAL_FILE_KEY])
{
	uint8_t key[SEAL_KEY];
	struct seal_recipient own;

	if (!stanza->is_x25519)
		return -EACCES;
	int ret = seal_identity_recipient(identity, &own);
	if (!ret)
		ret = seal_key_wrap(identity->secret, stanza->share, stanza->share, own.x25519,
				    key);
	if (ret)
		return ret;
	EVP_CIPHER_CTX *cipher = seal_key_cipher(false);
	ret = cipher ? seal_key_decrypt(cipher, key, zero_iv, stanza->body, SEAL_FILE_KEY, file_key)
		     : -EIO;
	EVP_CIPHER_CTX_free(cipher);
	OPENSSL_cleanse(key, sizeof(key));
	return ret == -EBADMSG ? -EACCES : ret;
}

/* The file key from the first stanza that an identity opens. */
static int try_identities(const struct seal_head *head, const struct unseal_keys *keys,
			  uint8_t file_key[static SEAL_FILE_KEY], struct err *err)
{
	const uint8_t *p = head->stanzas;
	struct seal_stanza stanza;

	while (seal_parse_stanza(&p, head->stanzas_end, &stanza)) {
		for (unsigned i = 0; i < keys->n; i++) {
			const int ret = seal_stanza_unwrap(&stanza, &keys->identities[i], file_key);
			if (ret == -EBADMSG)
				return err_set(err, ret,
					       "the age header holds a share of low order, which "
					       "no honest writer makes");
			if (ret != -EACCES)
				return ret ? err_set(err, ret, "OpenSSL refuses X25519") : 0;
		}
	}
	return err_set(err, -EACCES,
		       "none of the %u identities given opens this file, which is sealed to %u "
		       "recipients; give the key of one of them",
		       keys->n, head->n_stanzas);
}

static int check_mac(const uint8_t *buf, const struct seal_head *head,
		     const uint8_t file_key[static SEAL_FILE_KEY], struct err *err)
{
	uint8_t mac[SEAL_MAC];

	if (seal_key_mac(file_key, buf, head->mac_len, mac))
		return err_set(err, -EIO, "cannot check the age header: OpenSSL refuses");
	if (CRYPTO_memcmp(mac, head->mac, SEAL_MAC) != 0)
		return err_set(err, -EBADMSG,
			       "the age header was altered, or the key unwrapped is another "
			       "file's: its MAC does not match; restore the file from a copy");
	return 0;
}

int seal_stanza_open(const uint8_t *buf, const struct seal_head *head,
		     const struct unseal_keys *keys, uint8_t file_key[static SEAL_FILE_KEY],
		     struct err *err)
{
	const size_t stanzas_len = (size_t)(head->stanzas_end - head->stanzas);
	int ret = try_identities(head, keys, file_key, err);

	if (ret == -EACCES && keys->unwrap)
		ret = keys->unwrap(keys->arg, (const char *)head->stanzas, stanzas_len, file_key,
				   err);
	return ret ? ret : check_mac(buf, head, file_key, err);
}
