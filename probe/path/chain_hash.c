#define _GNU_SOURCE /* O_DIRECT */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "path/chain.h"

/* Read at once of a file that is hashed. */
#define PIECE (1u << 20)

void chain_hex(const uint8_t *data, size_t len, char *out)
{
	static const char digit[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		*out++ = digit[data[i] >> 4];
		*out++ = digit[data[i] & 15];
	}
	*out = 0;
}

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool chain_read_hex(const char *text, uint8_t *out, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		const int high = digit_of(text[2 * i]), low = digit_of(text[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

bool chain_unhex(const char *text, uint8_t *out, size_t len)
{
	return strlen(text) == 2 * len && chain_read_hex(text, out, len);
}

void chain_hash(const void *data, size_t len, uint8_t out[static CHAIN_HASH])
{
	if (EVP_Digest(data, len, out, NULL, EVP_sha256(), NULL) != 1)
		abort(); /* out of memory for a context of 112 bytes */
}

/* Past the page cache: half the CPU time, and the disk is asked. False: it was so before, or cannot
 * be. */
static bool set_direct(int fd, bool is_direct)
{
	const int flags = fcntl(fd, F_GETFL);
	const int wanted = is_direct ? flags | O_DIRECT : flags & ~O_DIRECT;

	return flags >= 0 && flags != wanted && !fcntl(fd, F_SETFL, wanted);
}

static int hash_pieces(int fd, EVP_MD_CTX *digest, uint8_t *piece, uint64_t at,
		       bool (*did)(void *, uint64_t), void *arg, uint64_t *len)
{
	for (;;) {
		const ssize_t n = pread(fd, piece, PIECE, (off_t)(at + *len));
		if (n < 0 && (errno == EINTR || (errno == EINVAL && set_direct(fd, false))))
			continue;
		if (n <= 0)
			return n ? -errno : 0;
		if (EVP_DigestUpdate(digest, piece, (size_t)n) != 1)
			return -EIO;
		(void)posix_fadvise(fd, (off_t)(at + *len), n, POSIX_FADV_DONTNEED);
		*len += (uint64_t)n;
		if (did && !did(arg, (uint64_t)n))
			return -ECANCELED;
	}
}

int chain_hash_behind(const void *head, size_t head_len, int fd, uint64_t from,
		      bool (*did)(void *arg, uint64_t more), void *arg,
		      uint8_t out[static CHAIN_HASH], uint64_t *len)
{
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	uint8_t *piece = aligned_alloc(4096, PIECE);
	int ret = -ENOMEM;

	*len = 0;
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	(void)set_direct(fd, true);
	if (digest && piece && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1 &&
	    EVP_DigestUpdate(digest, head, head_len) == 1)
		ret = hash_pieces(fd, digest, piece, from, did, arg, len);
	if (!ret && EVP_DigestFinal_ex(digest, out, NULL) != 1)
		ret = -EIO;
	EVP_MD_CTX_free(digest);
	free(piece);
	return ret;
}

int chain_hash_fd(int fd, bool (*did)(void *arg, uint64_t more), void *arg,
		  uint8_t out[static CHAIN_HASH], uint64_t *len)
{
	return chain_hash_behind("", 0, fd, 0, did, arg, out, len);
}

void chain_fingerprint(const char *recipient, char out[static 17])
{
	uint8_t hash[CHAIN_HASH];

	chain_hash(recipient, strlen(recipient), hash);
	chain_hex(hash, 8, out);
}
