/*
 * sealed seal RECIPIENT <PLAIN >FILE         our writer of age files, for the stock readers
 * sealed unseal KEY FILE >PLAIN              our reader, for what they wrote
 * sealed cuts KEY FILE PCAPNG FROM TO STEP   our reader of FILE cut to every STEPth length in
 *                                            [FROM, TO): what comes out is a prefix of PCAPNG,
 * short of the frames in whole chunks by nothing
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "path/pack.h"
#include "path/seal.h"

#define PIECE 100000u /* no divisor of a chunk */

struct mapped {
	const uint8_t *p;
	size_t len;
};

static void die(const char *what, const char *why)
{
	(void)fprintf(stderr, "sealed: %s: %s\n", what, why);
	exit(1);
}

static void put(const uint8_t *p, size_t len)
{
	if (fwrite(p, 1, len, stdout) != len)
		die("standard output", strerror(errno));
}

static void seal_input(const char *text)
{
	static uint8_t in[PIECE];
	struct seal_recipient recipient;
	struct seal *seal;
	struct err err;
	size_t n, out_len;

	if (seal_recipient_parse(&recipient, text, &err) ||
	    seal_open(&seal, &recipient, 1, seal_random, &err))
		die("seal", err.text);
	uint8_t *out = malloc(seal_bound(seal, PIECE));
	if (!out)
		die("seal", "out of memory");
	put(out, seal_header(seal, out));
	while ((n = fread(in, 1, PIECE, stdin)) > 0) {
		if (seal_update(seal, in, n, out, &out_len))
			die("seal", "OpenSSL refuses");
		put(out, out_len);
	}
	if (seal_final(seal, out, &out_len))
		die("seal", "OpenSSL refuses");
	put(out, out_len);
	if (fflush(stdout))
		die("standard output", strerror(errno));
	seal_close(seal);
	free(out);
}

static struct mapped map_file(const char *path)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		die(path, strerror(errno));
	void *p = st.st_size ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0) : "";
	if (p == MAP_FAILED)
		die(path, strerror(errno));
	(void)close(fd);
	return (struct mapped){p, (size_t)st.st_size};
}

static ssize_t read_mapped(void *arg, uint64_t offset, void *buf, size_t len)
{
	const struct mapped *file = arg;
	const size_t left = offset < file->len ? file->len - offset : 0;

	len = len < left ? len : left;
	memcpy(buf, file->p + offset, len);
	return (ssize_t)len;
}

static struct seal_identity identity_of(const char *path)
{
	struct seal_identity identity;
	struct err err;

	if (seal_identities_read(&identity, 1, path, &err) != 1)
		die(path, err.text);
	return identity;
}

static struct unseal *unseal_mapped(struct mapped *file, const struct seal_identity *identity)
{
	const struct unseal_source source = {read_mapped, file, file->len};
	const struct unseal_keys keys = {.identities = identity, .n = 1};
	struct unseal *unseal;
	struct err err;

	if (unseal_open(&unseal, &source, &keys, &err))
		die("unseal", err.text);
	return unseal;
}

static void unseal_file(const char *key, const char *path)
{
	static uint8_t buf[PIECE];
	const struct seal_identity identity = identity_of(key);
	struct mapped file = map_file(path);
	struct unseal *unseal = unseal_mapped(&file, &identity);
	uint64_t at = 0;
	ssize_t n;

	if (!unseal_is_complete(unseal))
		die(path, "it is not complete");
	while ((n = unseal_read(unseal, at, buf, PIECE)) > 0) {
		put(buf, (size_t)n);
		at += (uint64_t)n;
	}
	if (n < 0 || fflush(stdout))
		die(path, strerror(n < 0 ? (int)-n : errno));
	unseal_close(unseal);
}

/* ---- cuts ---- */

static ssize_t read_unsealed(void *arg, uint64_t offset, void *buf, size_t len)
{
	return unseal_read(arg, offset, buf, len);
}

static struct unpack *unpack_of(struct unseal *unseal)
{
	const struct unpack_source source = {read_unsealed, unseal, unseal_size(unseal)};
	struct unpack *unpack;
	struct err err;

	if (unpack_open(&unpack, &source, &err))
		die("unpack", err.text);
	return unpack;
}

/* Bytes of the PCAPNG that the frames whole within len packed bytes hold. */
static size_t owed(const struct unpack *whole, uint64_t len)
{
	size_t sum = 0;

	for (unsigned i = 0; i < unpack_frames(whole); i++) {
		const struct unpack_frame *frame = unpack_frame(whole, i);
		if (frame->offset + frame->len <= len)
			sum += frame->raw_len;
	}
	return sum;
}

/* Length of what the cut file gives, which must be how pcapng begins. */
static size_t read_cut(struct unpack *cut, struct mapped pcapng)
{
	static uint8_t *raw;
	size_t at = 0;
	struct err err;

	if (!raw)
		raw = malloc(PACK_FRAME_MAX);
	for (unsigned i = 0; i < unpack_frames(cut); i++) {
		const size_t len = unpack_frame(cut, i)->raw_len;
		if (unpack_read(cut, i, raw, &err))
			die("unpack", err.text);
		if (at + len > pcapng.len || memcmp(raw, pcapng.p + at, len) != 0)
			die("cut", "what comes out is not what went in");
		at += len;
	}
	return at;
}

/* All that can be read of what is sealed, which must be how packed begins. */
static uint64_t compare_packed(struct unseal *unseal, struct mapped packed)
{
	static uint8_t buf[PIECE];
	uint64_t at = 0;
	ssize_t n;

	for (; (n = unseal_read(unseal, at, buf, PIECE)) > 0; at += (uint64_t)n)
		if (at + (uint64_t)n > packed.len || memcmp(buf, packed.p + at, (size_t)n) != 0)
			die("cut", "what is unsealed is not what was sealed");
	if (n < 0 || at != unseal_size(unseal))
		die("cut", "what is there cannot be read");
	return at;
}

static struct mapped read_packed(struct unseal *unseal)
{
	uint8_t *p = malloc(unseal_size(unseal) + 1);

	if (!p || unseal_read(unseal, 0, p, unseal_size(unseal)) != (ssize_t)unseal_size(unseal))
		die("unseal", "the whole file cannot be read");
	return (struct mapped){p, unseal_size(unseal)};
}

/* Bytes of pcapng that one cut gives. */
static size_t check_cut(struct unseal *unseal, const struct unpack *index, struct mapped pcapng)
{
	struct unpack *unpack = unpack_of(unseal);
	const size_t got = read_cut(unpack, pcapng);

	if (got < owed(index, unseal_size(unseal)))
		die("cut", "a frame in whole chunks is missing");
	unpack_close(unpack);
	return got;
}

static void cut_file(const struct seal_identity *identity, const char *path, struct mapped pcapng,
		     size_t from, size_t to, size_t step)
{
	struct mapped file = map_file(path);
	struct unseal *whole = unseal_mapped(&file, identity);
	const struct unpack *index = unpack_of(whole);
	const struct mapped packed = read_packed(whole);
	const size_t head = unseal_stored(whole, 0);
	uint64_t last = UINT64_MAX;
	size_t n = 0, least = pcapng.len;

	for (size_t len = from; len < to && len < file.len; len += step, n++) {
		struct mapped part = {file.p, len};
		struct unseal *unseal = unseal_mapped(&part, identity);
		const uint64_t size = compare_packed(unseal, packed);

		if (unseal_is_complete(unseal) ||
		    size != (len - head) / (SEAL_CHUNK + SEAL_TAG) * SEAL_CHUNK)
			die("cut", "not the whole chunks, all of them and no more");
		if (size != last) {
			const size_t got = check_cut(unseal, index, pcapng);
			least = got < least ? got : least;
		}
		last = size;
		unseal_close(unseal);
	}
	printf("%zu cuts, at least %zu of %zu bytes\n", n, least, pcapng.len);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "seal")) {
		seal_input(argv[2]);
	} else if (argc == 4 && !strcmp(argv[1], "unseal")) {
		unseal_file(argv[2], argv[3]);
	} else if (argc == 8 && !strcmp(argv[1], "cuts")) {
		const struct seal_identity identity = identity_of(argv[2]);
		cut_file(&identity, argv[3], map_file(argv[4]), strtoul(argv[5], NULL, 10),
			 strtoul(argv[6], NULL, 10), strtoul(argv[7], NULL, 10));
	} else {
		die("usage",
		    "seal RECIPIENT | unseal KEY FILE | cuts KEY FILE PCAPNG FROM TO STEP");
	}
	return 0;
}
