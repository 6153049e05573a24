#include "path/seal_key.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "path/seal.h"

/* Bech32 (BIP 173, without its limit of length) of 32 bytes: 52 characters and 6 of checksum. */
#define BECH32_DATA       52u
#define BECH32_CHECK      6u
#define BECH32_LEN        (BECH32_DATA + BECH32_CHECK)
#define IDENTITY_FILE_MAX 65536u

static const char bech32_digits[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
static const char recipient_prefix[] = "age1";
static const char identity_prefix[] = "AGE-SECRET-KEY-1";

static uint32_t bech32_step(uint32_t sum, uint32_t digit)
{
	static const uint32_t generator[] = {0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd,
					     0x2a1462b3};
	const uint32_t top = sum >> 25;

	sum = (sum & 0x1ffffff) << 5 ^ digit;
	for (unsigned i = 0; i < 5; i++)
		sum ^= top >> i & 1 ? generator[i] : 0;
	return sum;
}

static char to_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* The prefix, without its closing '1', goes into the checksum in lower case: high bits, 0, low. */
static uint32_t bech32_start(const char *prefix)
{
	const size_t n = strlen(prefix) - 1;
	uint32_t sum = 1;

	for (size_t i = 0; i < n; i++)
		sum = bech32_step(sum, (uint32_t)to_lower(prefix[i]) >> 5);
	sum = bech32_step(sum, 0);
	for (size_t i = 0; i < n; i++)
		sum = bech32_step(sum, (uint32_t)to_lower(prefix[i]) & 31);
	return sum;
}

/* Value of a digit in the case of the prefix (mixed case is forbidden), or -1. */
static int bech32_digit(char c, bool is_upper)
{
	const char *p = NULL;

	if (c != '\0' && !(is_upper ? c >= 'a' && c <= 'z' : c >= 'A' && c <= 'Z'))
		p = strchr(bech32_digits, to_lower(c));
	return p ? (int)(p - bech32_digits) : -1;
}

/* NULL, or what is wrong with the text. Out is written in any case. */
static const char *bech32_decode(const char *text, size_t len, const char *prefix,
				 uint8_t out[static SEAL_KEY])
{
	const size_t skip = strlen(prefix);
	const bool is_upper = prefix[0] == 'A';
	uint32_t sum = bech32_start(prefix), bits = 0, n_bits = 0;

	if (len < skip || memcmp(text, prefix, skip) != 0)
		return "wrong prefix";
	if (len != skip + BECH32_LEN)
		return "wrong length";
	for (size_t i = 0; i < BECH32_LEN; i++) {
		const int digit = bech32_digit(text[skip + i], is_upper);
		if (digit < 0)
			return "wrong character";
		sum = bech32_step(sum, (uint32_t)digit);
		if (i >= BECH32_DATA)
			continue;
		bits = bits << 5 | (uint32_t)digit;
		n_bits += 5;
		if (n_bits >= 8) {
			n_bits -= 8;
			*out++ = (uint8_t)(bits >> n_bits);
		}
	}
	if (sum != 1)
		return "wrong checksum, a typing error";
	if (bits & 0xf) /* 52 digits are 260 bits: 4 too many, which must be 0 */
		return "bits left over";
	return NULL;
}

int seal_recipient_parse(struct seal_recipient *out, const char *text, struct err *err)
{
	struct seal_recipient parsed;

	/* A secret must not get into a log, so this text is not named. */
	if (strncasecmp(text, identity_prefix, strlen(identity_prefix)) == 0)
		return err_set(err, -EINVAL,
			       "a secret key was given as recipient; give the age1... text that "
			       "age-keygen -y prints for it");
	const char *wrong = bech32_decode(text, strlen(text), recipient_prefix, parsed.x25519);
	if (wrong)
		return err_set(err, -EINVAL,
			       "recipient '%.100s' is not an age X25519 recipient, age1 and %u "
			       "more characters: %s",
			       text, BECH32_LEN, wrong);
	*out = parsed;
	return 0;
}

void seal_recipient_format(const struct seal_recipient *recipient, char out[static 64])
{
	const size_t skip = strlen(recipient_prefix);
	uint32_t sum = bech32_start(recipient_prefix);

	memcpy(out, recipient_prefix, skip);
	for (unsigned i = 0; i < BECH32_DATA; i++) {
		const unsigned bit = i * 5, byte = bit / 8;
		const unsigned next = byte + 1 < SEAL_KEY ? recipient->x25519[byte + 1] : 0;
		const unsigned window = (unsigned)recipient->x25519[byte] << 8 | next;
		const unsigned digit = window >> (11 - bit % 8) & 31;
		sum = bech32_step(sum, digit);
		out[skip + i] = bech32_digits[digit];
	}
	for (unsigned i = 0; i < BECH32_CHECK; i++)
		sum = bech32_step(sum, 0);
	sum ^= 1;
	for (unsigned i = 0; i < BECH32_CHECK; i++)
		out[skip + BECH32_DATA + i] = bech32_digits[sum >> 5 * (5 - i) & 31];
	out[skip + BECH32_LEN] = '\0';
}

/* One read of the whole file, not stdio, whose buffer would keep the secrets. */
static ssize_t read_all(int fd, char *buf, size_t max)
{
	size_t len = 0;

	while (len < max) {
		const ssize_t n = read(fd, buf + len, max - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return (ssize_t)len;
		len += (size_t)n;
	}
	return -EFBIG;
}

static ssize_t read_path(const char *path, char *buf, size_t max)
{
	if (strcmp(path, "-") == 0)
		return read_all(STDIN_FILENO, buf, max);
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	const ssize_t len = read_all(fd, buf, max);
	(void)close(fd);
	return len;
}

/* Number of identities in the text. Messages name the line, never what stands in it. */
static int identities_parse(const char *p, const char *end, struct seal_identity *out, unsigned max,
			    const char *path, struct err *err)
{
	unsigned n = 0;

	for (unsigned line = 1; p < end; line++) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		const char *stop = newline ? newline : end;
		const char *next = newline ? newline + 1 : end;
		while (stop > p && (stop[-1] == '\r' || stop[-1] == ' '))
			stop--;
		const bool is_key = stop > p && *p != '#';
		if (is_key && n == max)
			return err_set(err, -E2BIG,
				       "%s holds more than %u identities; split the file", path,
				       max);
		const char *wrong = is_key ? bech32_decode(p, (size_t)(stop - p), identity_prefix,
							   out[n].secret)
					   : NULL;
		if (wrong)
			return err_set(err, -EINVAL,
				       "%s line %u is not an age X25519 identity (%s...): %s", path,
				       line, identity_prefix, wrong);
		n += is_key;
		p = next;
	}
	if (n == 0)
		return err_set(err, -EINVAL, "%s holds no identity, no line %s...", path,
			       identity_prefix);
	return (int)n;
}

int seal_identities_read(struct seal_identity *out, unsigned max, const char *path, struct err *err)
{
	char *text = seal_key_alloc(IDENTITY_FILE_MAX, IDENTITY_FILE_MAX);

	if (!text)
		return err_set(err, -ENOMEM, "out of memory");
	const ssize_t len = read_path(path, text, IDENTITY_FILE_MAX);
	const int ret = len < 0 ? err_set(err, (int)len, "cannot read the identity file %s: %s",
					  path, strerror((int)-len))
				: identities_parse(text, text + len, out, max, path, err);
	seal_key_free(text, IDENTITY_FILE_MAX);
	if (ret < 0)
		OPENSSL_cleanse(out, max * sizeof(*out));
	return ret;
}

int seal_identity_recipient(const struct seal_identity *identity, struct seal_recipient *out)
{
	return seal_key_public(identity->secret, out->x25519);
}

void *seal_key_alloc(size_t size, size_t locked)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	/* Both harden only; beyond RLIMIT_MEMLOCK or on an old kernel the keys still work. */
	(void)mlock(memory, locked);
	(void)madvise(memory, size, MADV_DONTDUMP);
	return memory;
}

void seal_key_free(void *memory, size_t size)
{
	if (!memory)
		return;
	OPENSSL_cleanse(memory, size);
	(void)munmap(memory, size);
}

void seal_protect_process(void)
{
	const struct rlimit none = {0};

	/* The limit also for what this process starts; a pipe in core_pattern knows no limit, and
	 * for it a process that is not dumpable is not there. */
	(void)setrlimit(RLIMIT_CORE, &none);
	(void)prctl(PR_SET_DUMPABLE, 0);
}

int seal_key_public(const uint8_t secret[static SEAL_KEY], uint8_t out[static SEAL_KEY])
{
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, secret, SEAL_KEY);
	size_t len = SEAL_KEY;
	const bool ok = key && EVP_PKEY_get_raw_public_key(key, out, &len) == 1;

	EVP_PKEY_free(key);
	return ok ? 0 : -EIO;
}

/* RFC 7748 section 6.1. OpenSSL refuses a result that is all zero, as age demands. */
static int x25519(const uint8_t secret[static SEAL_KEY], const uint8_t peer[static SEAL_KEY],
		  uint8_t out[static SEAL_KEY])
{
	EVP_PKEY *ours = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, secret, SEAL_KEY);
	EVP_PKEY *theirs = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, peer, SEAL_KEY);
	EVP_PKEY_CTX *ctx = ours ? EVP_PKEY_CTX_new(ours, NULL) : NULL;
	size_t len = SEAL_KEY;
	int ret = -EIO;

	if (ctx && theirs && EVP_PKEY_derive_init(ctx) == 1 &&
	    EVP_PKEY_derive_set_peer(ctx, theirs) == 1)
		ret = EVP_PKEY_derive(ctx, out, &len) == 1 ? 0 : -EBADMSG;
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(theirs);
	EVP_PKEY_free(ours);
	return ret;
}

/* HKDF-SHA-256 (RFC 5869) to 32 bytes. OSSL_PARAM takes away const and only reads. */
static int hkdf(const uint8_t *ikm, size_t ikm_len, const uint8_t *salt, size_t salt_len,
		const char *info, uint8_t out[static SEAL_KEY])
{
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)ikm, ikm_len),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)salt, salt_len),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)info, strlen(info)),
		OSSL_PARAM_construct_end(),
	};
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
	const bool ok = ctx && EVP_KDF_derive(ctx, out, SEAL_KEY, params) == 1;

	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return ok ? 0 : -EIO;
}

int seal_key_wrap(const uint8_t secret[static SEAL_KEY], const uint8_t peer[static SEAL_KEY],
		  const uint8_t share[static SEAL_KEY], const uint8_t recipient[static SEAL_KEY],
		  uint8_t out[static SEAL_KEY])
{
	uint8_t shared[SEAL_KEY], salt[2 * SEAL_KEY];
	int ret = x25519(secret, peer, shared);

	memcpy(salt, share, SEAL_KEY);
	memcpy(salt + SEAL_KEY, recipient, SEAL_KEY);
	if (!ret)
		ret = hkdf(shared, sizeof(shared), salt, sizeof(salt),
			   "age-encryption.org/v1/X25519", out);
	OPENSSL_cleanse(shared, sizeof(shared));
	return ret;
}

int seal_key_mac(const uint8_t file_key[static SEAL_FILE_KEY], const uint8_t *header, size_t len,
		 uint8_t out[static SEAL_MAC])
{
	uint8_t key[SEAL_KEY];
	size_t out_len = 0;
	static const uint8_t no_salt[1]; /* of length 0; OpenSSL takes no NULL */
	int ret = hkdf(file_key, SEAL_FILE_KEY, no_salt, 0, "header", key);

	if (!ret && !EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key, sizeof(key), header, len,
			       out, SEAL_MAC, &out_len))
		ret = -EIO;
	OPENSSL_cleanse(key, sizeof(key));
	return ret;
}

int seal_key_payload(const uint8_t file_key[static SEAL_FILE_KEY],
		     const uint8_t salt[static SEAL_SALT], uint8_t out[static SEAL_KEY])
{
	return hkdf(file_key, SEAL_FILE_KEY, salt, SEAL_SALT, "payload", out);
}

int seal_key_index(const uint8_t file_key[static SEAL_FILE_KEY],
		   const uint8_t salt[static SEAL_SALT], uint8_t out[static SEAL_KEY])
{
	return hkdf(file_key, SEAL_FILE_KEY, salt, SEAL_SALT, "vxprobe index", out);
}

EVP_CIPHER_CTX *seal_key_cipher(bool encrypt)
{
	EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();

	if (cipher &&
	    EVP_CipherInit_ex(cipher, EVP_chacha20_poly1305(), NULL, NULL, NULL, encrypt) == 1)
		return cipher;
	EVP_CIPHER_CTX_free(cipher);
	return NULL;
}

/* Takes the key's place in the context. */
static void forget_key(EVP_CIPHER_CTX *cipher)
{
	static const uint8_t none[SEAL_KEY];

	(void)EVP_CipherInit_ex(cipher, NULL, NULL, none, NULL, -1);
}

void seal_key_iv(uint64_t i, bool is_last, uint8_t out[static SEAL_IV])
{
	memset(out, 0, SEAL_IV);
	for (unsigned byte = 0; byte < 8; byte++)
		out[10 - byte] = (uint8_t)(i >> 8 * byte);
	out[11] = is_last;
}

int seal_key_encrypt(EVP_CIPHER_CTX *cipher, const uint8_t key[static SEAL_KEY],
		     const uint8_t iv[static SEAL_IV], const uint8_t *in, size_t len, uint8_t *out)
{
	int n = 0;

	/* Poly1305 alone comes of Final; a stream cipher has nothing left to give there. */
	const bool is_done =
		EVP_EncryptInit_ex(cipher, NULL, NULL, key, iv) == 1 &&
		EVP_EncryptUpdate(cipher, out, &n, in, (int)len) == 1 &&
		EVP_EncryptFinal_ex(cipher, out + len, &n) == 1 &&
		EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, SEAL_TAG, out + len) == 1;
	forget_key(cipher);
	return is_done ? 0 : -EIO;
}

int seal_key_decrypt(EVP_CIPHER_CTX *cipher, const uint8_t key[static SEAL_KEY],
		     const uint8_t iv[static SEAL_IV], const uint8_t *in, size_t len, uint8_t *out)
{
	int n = 0;

	const bool is_authentic = EVP_DecryptInit_ex(cipher, NULL, NULL, key, iv) == 1 &&
				  EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, SEAL_TAG,
						      (void *)(in + len)) == 1 &&
				  EVP_DecryptUpdate(cipher, out, &n, in, (int)len) == 1 &&
				  EVP_DecryptFinal_ex(cipher, out + len, &n) == 1;
	forget_key(cipher);
	if (is_authentic)
		return 0;
	OPENSSL_cleanse(out, len);
	return -EBADMSG;
}
