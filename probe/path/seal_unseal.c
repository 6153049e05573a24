#include "path/seal.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "path/seal_key.h"
#include "path/seal_stanza.h"

#define SEALED_CHUNK (SEAL_CHUNK + SEAL_TAG)
#define NO_CHUNK     UINT64_MAX

struct unseal {
	uint8_t file_key[SEAL_FILE_KEY]; /* zero again when unseal_open returns */
	uint8_t key[SEAL_KEY];           /* the payload's */
	uint8_t index_key[SEAL_KEY];
	/* up to here locked */
	struct unseal_source source;
	bool is_complete;
	EVP_CIPHER_CTX *cipher;
	uint64_t payload; /* file offset of chunk 0 */
	uint64_t stored;  /* bytes from there to the end of the file */
	uint64_t size;
	uint64_t chunk;               /* the one in plain, or NO_CHUNK */
	uint8_t sealed[SEALED_CHUNK]; /* while opening: the file's head */
	uint8_t plain[SEAL_CHUNK];
};

static ssize_t read_fd(void *arg, uint64_t offset, void *buf, size_t len)
{
	return io_read_at((int)(intptr_t)arg, buf, len, offset);
}

int unseal_source_of(struct unseal_source *out, int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	*out = (struct unseal_source){
		.read = read_fd, .arg = (void *)(intptr_t)fd, .size = (uint64_t)st.st_size};
	return 0;
}

/* Ciphertext of chunk i without its tag; 0 also when not even the tag is there. */
static size_t chunk_len(const struct unseal *unseal, uint64_t i)
{
	const uint64_t left = unseal->stored - i * SEALED_CHUNK;
	const uint64_t len = left < SEALED_CHUNK ? left : SEALED_CHUNK;

	return len > SEAL_TAG ? (size_t)len - SEAL_TAG : 0;
}

static uint64_t n_chunks(const struct unseal *unseal)
{
	return (unseal->stored + SEALED_CHUNK - 1) / SEALED_CHUNK;
}

/* Brings the ciphertext of chunk i, whose number is below n_chunks. */
static int fetch(struct unseal *unseal, uint64_t i)
{
	const size_t len = chunk_len(unseal, i) + SEAL_TAG;
	const ssize_t n = unseal->source.read(
		unseal->source.arg, unseal->payload + i * SEALED_CHUNK, unseal->sealed, len);

	if (n < 0)
		return (int)n;
	return (size_t)n == len ? 0 : -EBADMSG;
}

/* Decrypts the chunk fetched, as the last one or as one that others follow. */
static int decrypt_chunk(struct unseal *unseal, uint64_t i, bool is_last)
{
	uint8_t iv[SEAL_IV];

	seal_key_iv(i, is_last, iv);
	unseal->chunk = NO_CHUNK;
	const int ret = seal_key_decrypt(unseal->cipher, unseal->key, iv, unseal->sealed,
					 chunk_len(unseal, i), unseal->plain);
	if (!ret)
		unseal->chunk = i;
	return ret;
}

/* Loads a full chunk that is not known to be the last. One that was sealed as the last, yet has
 * bytes behind it, is authentic, but nothing behind it is: the file ends there, incomplete. */
static int load_full(struct unseal *unseal, uint64_t i)
{
	int ret = fetch(unseal, i);

	if (ret)
		return ret;
	if (decrypt_chunk(unseal, i, false) == 0)
		return 0;
	ret = decrypt_chunk(unseal, i, true);
	if (!ret) {
		unseal->is_complete = false;
		unseal->size = (i + 1) * SEAL_CHUNK;
	}
	return ret;
}

/* True when the file ends with an authentic last chunk. It is empty only as the only one. */
static int find_last(struct unseal *unseal)
{
	const uint64_t n = n_chunks(unseal);
	int ret;

	if (n == 0 || (n > 1 && chunk_len(unseal, n - 1) == 0))
		return -EBADMSG;
	ret = fetch(unseal, n - 1);
	if (!ret)
		ret = decrypt_chunk(unseal, n - 1, true);
	if (!ret) {
		unseal->is_complete = true;
		unseal->size = unseal->stored - n * SEAL_TAG;
	}
	return ret;
}

/* Of a cut file: back to the last authentic chunk, since a crash can leave a tail of zeros. */
static int find_last_whole(struct unseal *unseal)
{
	for (uint64_t n = unseal->stored / SEALED_CHUNK; n > 0; n--) {
		unseal->size = n * SEAL_CHUNK;
		const int ret = load_full(unseal, n - 1);
		if (ret != -EBADMSG)
			return ret;
	}
	unseal->size = 0;
	return 0;
}

static int find_end(struct unseal *unseal, struct err *err)
{
	const uint64_t end = unseal->source.size;

	unseal->stored = end > unseal->payload ? end - unseal->payload : 0;
	int ret = find_last(unseal);
	if (ret == -EBADMSG)
		ret = find_last_whole(unseal);
	return ret ? err_set(err, ret, "cannot read the sealed chunks: %s", strerror(-ret)) : 0;
}

static int unlock(struct unseal *unseal, const struct unseal_keys *keys, struct err *err)
{
	struct seal_head head;

	int ret = seal_stanza_read(&unseal->source, unseal->sealed, &head, err);
	if (!ret)
		ret = seal_stanza_open(unseal->sealed, &head, keys, unseal->file_key, err);
	if (ret)
		return ret;
	unseal->payload = head.len;
	unseal->cipher = seal_key_cipher(false);
	ret = seal_key_payload(unseal->file_key, head.salt, unseal->key);
	if (!ret)
		ret = seal_key_index(unseal->file_key, head.salt, unseal->index_key);
	OPENSSL_cleanse(unseal->file_key, SEAL_FILE_KEY);
	return !ret && unseal->cipher ? 0 : err_set(err, -EIO, "OpenSSL refuses the file's key");
}

int unseal_open(struct unseal **out, const struct unseal_source *source,
		const struct unseal_keys *keys, struct err *err)
{
	struct unseal *unseal = seal_key_alloc(sizeof(*unseal), offsetof(struct unseal, source));

	if (!unseal)
		return err_set(err, -ENOMEM, "out of memory");
	unseal->source = *source;
	unseal->chunk = NO_CHUNK;
	int ret = unlock(unseal, keys, err);
	if (!ret)
		ret = find_end(unseal, err);
	if (ret)
		goto fail;
	*out = unseal;
	return 0;
fail:
	unseal_close(unseal);
	return ret;
}

void unseal_close(struct unseal *unseal)
{
	if (!unseal)
		return;
	EVP_CIPHER_CTX_free(unseal->cipher);
	seal_key_free(unseal, sizeof(*unseal));
}

bool unseal_is_complete(const struct unseal *unseal)
{
	return unseal->is_complete;
}

uint64_t unseal_size(const struct unseal *unseal)
{
	return unseal->size;
}

uint64_t unseal_stored(const struct unseal *unseal, uint64_t size)
{
	return unseal->payload + size + (size + SEAL_CHUNK - 1) / SEAL_CHUNK * SEAL_TAG;
}

/* Brings chunk i, which begins below size, into plain. */
static int load(struct unseal *unseal, uint64_t i)
{
	if (unseal->chunk == i)
		return 0;
	if (!unseal->is_complete || i + 1 < n_chunks(unseal))
		return load_full(unseal, i);
	const int ret = fetch(unseal, i);
	return ret ? ret : decrypt_chunk(unseal, i, true);
}

ssize_t unseal_read(struct unseal *unseal, uint64_t offset, void *buf, size_t len)
{
	size_t done = 0;

	while (done < len && offset < unseal->size) {
		const int ret = load(unseal, offset / SEAL_CHUNK);
		if (ret)
			return ret;
		/* Loading can have found an earlier end, but never before this chunk's. */
		const size_t from = offset % SEAL_CHUNK;
		const uint64_t left = unseal->size - offset;
		size_t take = SEAL_CHUNK - from < len - done ? SEAL_CHUNK - from : len - done;
		if (take > left)
			take = (size_t)left;
		memcpy((uint8_t *)buf + done, unseal->plain + from, take);
		done += take;
		offset += take;
	}
	return (ssize_t)done;
}

bool unseal_is_kept(const struct unseal *unseal, uint64_t offset)
{
	return unseal->chunk == offset / SEAL_CHUNK;
}

int unseal_index_entry(struct unseal *unseal, uint64_t i, const uint8_t *in, size_t len,
		       uint8_t *out)
{
	uint8_t iv[SEAL_IV];

	if (len < SEAL_TAG)
		return -EBADMSG;
	seal_key_iv(i, false, iv);
	return seal_key_decrypt(unseal->cipher, unseal->index_key, iv, in, len - SEAL_TAG, out);
}
