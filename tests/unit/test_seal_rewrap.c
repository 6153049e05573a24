/*
 * The head of a sealed file: who opens it, recipients added, judged by the stock age command; and
 * where keys lie in memory.
 */
#define _GNU_SOURCE /* memfd_create */

#include "path/seal.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "path/seal_key.h"

#define ALICE "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
#define BOB   "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0"

#define PLAIN_LEN 150000u
#define FILE_MAX  (PLAIN_LEN + 70000u)

static struct err err;
static uint8_t plain[PLAIN_LEN];

struct file {
	size_t len;
	uint8_t bytes[FILE_MAX];
};

static int fd_of(const void *data, size_t len)
{
	const int fd = memfd_create("test", 0);

	cr_assert(fd >= 0 && write(fd, data, len) == (ssize_t)len && lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

static struct seal_identity identity_of(const char *text)
{
	struct seal_identity identity;
	char path[32];
	const int fd = fd_of(text, strlen(text));

	(void)snprintf(path, sizeof(path), "/dev/fd/%d", fd);
	cr_assert_eq(seal_identities_read(&identity, 1, path, &err), 1, "%s", err.text);
	(void)close(fd);
	return identity;
}

static struct seal_recipient recipient_of(const char *text)
{
	const struct seal_identity identity = identity_of(text);
	struct seal_recipient recipient;

	cr_assert_eq(seal_identity_recipient(&identity, &recipient), 0);
	return recipient;
}

static struct file *seal_plain(const struct seal_recipient *to, unsigned n, seal_random_fn random)
{
	struct file *file = calloc(1, sizeof(*file));
	struct seal *seal;
	size_t more;

	for (size_t i = 0; i < PLAIN_LEN; i++)
		plain[i] = (uint8_t)(i * i >> 7);
	cr_assert_eq(seal_open(&seal, to, n, random, &err), 0, "%s", err.text);
	file->len = seal_header(seal, file->bytes);
	cr_assert_eq(seal_update(seal, plain, PLAIN_LEN, file->bytes + file->len, &more), 0);
	file->len += more;
	cr_assert_eq(seal_final(seal, file->bytes + file->len, &more), 0);
	file->len += more;
	seal_close(seal);
	return file;
}

static struct file *seal_to_alice(void)
{
	const struct seal_recipient alice = recipient_of(ALICE);

	return seal_plain(&alice, 1, seal_random);
}

static ssize_t read_file(void *arg, uint64_t offset, void *buf, size_t len)
{
	const struct file *file = arg;
	const size_t left = offset < file->len ? file->len - offset : 0;

	len = len < left ? len : left;
	memcpy(buf, file->bytes + offset, len);
	return (ssize_t)len;
}

static struct unseal_source source_of(struct file *file)
{
	return (struct unseal_source){read_file, file, file->len};
}

static int rewrap(struct file *file, const char *with, const struct seal_recipient *to, unsigned n,
		  struct seal_rewrapped *out)
{
	const struct seal_identity identity = identity_of(with);
	const struct unseal_keys keys = {.identities = &identity, .n = 1};
	const struct unseal_source source = source_of(file);

	return seal_rewrap(&source, &keys, to, n, seal_random, out, &err);
}

/* The file with the new head; frees the old one. */
static struct file *with_head(struct file *old, const struct seal_rewrapped *head)
{
	struct file *file = calloc(1, sizeof(*file));

	file->len = head->len + old->len - head->old_len;
	cr_assert_leq(file->len, FILE_MAX);
	memcpy(file->bytes, head->header, head->len);
	memcpy(file->bytes + head->len, old->bytes + head->old_len, old->len - head->old_len);
	free(old);
	return file;
}

static void age_opens(const struct file *file, const char *identity)
{
	static uint8_t out[PLAIN_LEN + 1];
	char command[100];
	const int key = fd_of(identity, strlen(identity)), in = fd_of(file->bytes, file->len);

	(void)snprintf(command, sizeof(command), "age -d -i /dev/fd/%d </dev/fd/%d", key, in);
	FILE *pipe = popen(command, "r");
	cr_assert_not_null(pipe);
	cr_assert_eq(fread(out, 1, sizeof(out), pipe), PLAIN_LEN);
	cr_assert_eq(pclose(pipe), 0);
	cr_assert_arr_eq(out, plain, PLAIN_LEN);
	(void)close(key);
	(void)close(in);
}

/* ---- adding recipients ---- */

Test(seal_rewrap, age_opens_with_the_new_key_and_with_the_old)
{
	static struct seal_rewrapped head;
	const struct seal_recipient bob = recipient_of(BOB);
	struct file *file = seal_to_alice();

	cr_assert_eq(rewrap(file, ALICE, &bob, 1, &head), 0, "%s", err.text);
	cr_assert_eq(head.len, head.old_len + 98); /* a stanza: facts of the format */
	file = with_head(file, &head);
	age_opens(file, BOB);
	age_opens(file, ALICE);
	/* Again, by the key that was added. */
	cr_assert_eq(rewrap(file, BOB, &bob, 1, &head), 0, "%s", err.text);
	file = with_head(file, &head);
	age_opens(file, ALICE);
	free(file);
}

Test(seal_rewrap, is_undone_to_the_bytes_that_were)
{
	const struct seal_recipient two[] = {recipient_of(BOB), recipient_of(ALICE)};
	const struct seal_identity alice = identity_of(ALICE);
	const struct unseal_keys keys = {.identities = &alice, .n = 1};
	static struct seal_rewrapped head, before;
	static struct file was;

	struct file *file = seal_to_alice();
	was = *file;
	cr_assert_eq(rewrap(file, ALICE, two, 2, &head), 0, "%s", err.text);
	file = with_head(file, &head);
	const struct unseal_source source = source_of(file);
	for (size_t size = was.len - 100; size < file->len + 10; size++) {
		const int ret = seal_rewrap_undo(&source, &keys, size, &before, &err);
		const bool is_edge = size == was.len || size == was.len + (file->len - was.len) / 2;
		cr_assert_eq(ret, is_edge ? 0 : -ENOENT, "%zu", size);
		if (size == was.len) {
			cr_expect_arr_eq(before.header, was.bytes, before.len);
			cr_expect_eq(before.old_len, head.len);
		}
	}
	file->bytes[40] ^= 1;
	cr_expect_eq(seal_rewrap_undo(&source, &keys, was.len, &before, &err), -EBADMSG);
	free(file);
}

Test(seal_rewrap, refuses_who_cannot_open_and_recipients_that_are_none)
{
	static struct seal_rewrapped head;
	struct seal_recipient many[SEAL_RECIPIENTS_MAX + 1] = {recipient_of(BOB)};
	const struct seal_recipient zero = {{0}};
	struct file *file = seal_to_alice();

	cr_assert_eq(rewrap(file, BOB, many, 1, &head), -EACCES);
	cr_assert_eq(rewrap(file, ALICE, many, 0, &head), -EINVAL);
	cr_assert_eq(rewrap(file, ALICE, many, SEAL_RECIPIENTS_MAX + 1, &head), -EINVAL);
	cr_assert_eq(rewrap(file, ALICE, &zero, 1, &head), -EINVAL);
	file->bytes[30] ^= 1;
	cr_assert_neq(rewrap(file, ALICE, many, 1, &head), 0);
	free(file);
}

Test(seal_rewrap, header_grows_to_its_bound_and_no_further)
{
	static struct seal_rewrapped head;
	struct seal_recipient many[SEAL_RECIPIENTS_MAX];
	struct file *file = seal_to_alice();
	unsigned n = 0;
	int ret;

	for (unsigned i = 0; i < SEAL_RECIPIENTS_MAX; i++)
		many[i] = recipient_of(BOB);
	/* The identity stands first: nothing is slow. */
	while ((ret = rewrap(file, ALICE, many, SEAL_RECIPIENTS_MAX, &head)) == 0) {
		file = with_head(file, &head);
		n++;
	}
	cr_assert_eq(ret, -EINVAL);
	cr_assert_eq(n, (SEAL_REWRAP_MAX - 200) / (98 * SEAL_RECIPIENTS_MAX));
	age_opens(file, ALICE);
	free(file);
}

static int give_counted(void *arg, const char *stanzas, size_t len,
			uint8_t file_key[static SEAL_FILE_KEY], struct err *why)
{
	(void)arg, (void)why;
	cr_assert_eq(strncmp(stanzas, "-> scrypt ", 10), 0, "%.*s", (int)len, stanzas);
	for (unsigned i = 0; i < SEAL_FILE_KEY; i++)
		file_key[i] = (uint8_t)i;
	return 0;
}

/* A file whose only stanza is a passphrase's, under a right MAC. */
static struct file *file_with_passphrase(void)
{
	static const char text[] = "age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA 18\n"
				   "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n---";
	struct file *file = calloc(1, sizeof(*file));
	uint8_t key[SEAL_FILE_KEY], mac[SEAL_MAC], encoded[64];

	for (unsigned i = 0; i < SEAL_FILE_KEY; i++)
		key[i] = (uint8_t)i;
	cr_assert_eq(seal_key_mac(key, (const uint8_t *)text, strlen(text), mac), 0);
	(void)EVP_EncodeBlock(encoded, mac, SEAL_MAC);
	file->len = (size_t)snprintf((char *)file->bytes, FILE_MAX, "%s %.43s\n", text,
				     (char *)encoded) +
		    SEAL_SALT;
	return file;
}

Test(seal_rewrap, passphrase_stays_alone)
{
	static struct seal_rewrapped head;
	const struct unseal_keys keys = {.unwrap = give_counted};
	const struct seal_recipient bob = recipient_of(BOB);
	struct file *file = file_with_passphrase();
	const struct unseal_source source = source_of(file);

	cr_assert_eq(seal_rewrap(&source, &keys, &bob, 1, seal_random, &head, &err), -EINVAL);
	cr_assert_not_null(strstr(err.text, "passphrase"), "%s", err.text);
	free(file);
}

/* ---- stanzas ---- */

struct seen {
	unsigned n;
	int identity[4];
	char kind[4][UNSEAL_KIND_LEN];
};

static void see(void *arg, const char *kind, int identity)
{
	struct seen *seen = arg;

	cr_assert_lt(seen->n, 4);
	seen->identity[seen->n] = identity;
	(void)snprintf(seen->kind[seen->n++], UNSEAL_KIND_LEN, "%s", kind);
}

Test(seal_rewrap, stanzas_are_shown_with_kind_and_opener)
{
	const struct seal_recipient both[] = {recipient_of(ALICE), recipient_of(BOB)};
	const struct seal_identity bob = identity_of(BOB);
	const struct unseal_keys keys = {.identities = &bob, .n = 1};
	struct file *file = seal_plain(both, 2, seal_random);
	struct unseal_source source = source_of(file);
	struct seen seen = {0}, other = {0};

	cr_assert_eq(unseal_stanzas(&source, &keys, see, &seen, &err), 2, "%s", err.text);
	cr_assert_eq(seen.n, 2);
	cr_assert_str_eq(seen.kind[0], "X25519");
	cr_assert_eq(seen.identity[0], -1);
	cr_assert_eq(seen.identity[1], 0);
	free(file);

	file = file_with_passphrase();
	source = source_of(file);
	cr_assert_eq(unseal_stanzas(&source, &keys, see, &other, &err), 1, "%s", err.text);
	cr_assert_str_eq(other.kind[0], "scrypt");
	file->len = 40;
	source = source_of(file);
	cr_assert_eq(unseal_stanzas(&source, &keys, see, &other, &err), -EBADMSG);
	cr_assert_eq(other.n, 1);
	free(file);
}

Test(seal_rewrap, long_kind_is_cut)
{
	static const char text[] =
		"age-encryption.org/v1\n-> a-kind-of-more-than-23-characters\n\n"
		"--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n0123456789abcdef";
	const struct unseal_keys nobody = {0};
	struct file *file = calloc(1, sizeof(*file));
	struct seen seen = {0};

	file->len = strlen(text);
	memcpy(file->bytes, text, file->len);
	const struct unseal_source source = source_of(file);
	cr_assert_eq(unseal_stanzas(&source, &nobody, see, &seen, &err), 1, "%s", err.text);
	cr_assert_str_eq(seen.kind[0], "a-kind-of-more-than-23-");
	free(file);
}

/* ---- file keys as text ---- */

Test(seal_rewrap, file_key_is_read_from_hex_and_base64_and_nothing_else)
{
	static const char *const good[] = {"000102030405060708090a0b0c0d0e0f",
					   "000102030405060708090A0B0C0D0E0F",
					   "AAECAwQFBgcICQoLDA0ODw==", "AAECAwQFBgcICQoLDA0ODw"};
	static const char *const bad[] = {"",
					  "00",
					  "000102030405060708090a0b0c0d0e0g",
					  "000102030405060708090a0b0c0d0e0f0",
					  "AAECAwQFBgcICQoLDA0ODx", /* bits left over */
					  "AAECAwQFBgcICQoLDA0ODw=",
					  "AAECAwQFBgcICQoLDA0ODw=A",
					  "AAECAwQFBgcICQoLDA0OD "};
	uint8_t out[SEAL_FILE_KEY];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		cr_assert_eq(seal_file_key_parse(out, good[i], strlen(good[i])), 0, "%s", good[i]);
		for (unsigned j = 0; j < SEAL_FILE_KEY; j++)
			cr_assert_eq(out[j], j, "%s", good[i]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(seal_file_key_parse(out, bad[i], strlen(bad[i])), -EINVAL, "%s",
			     bad[i]);
}

/* ---- keys in memory ---- */

static void count_up(uint8_t *buf, size_t len)
{
	static uint8_t next;

	for (size_t i = 0; i < len; i++)
		buf[i] = next++;
}

/* The key of the payload of the next file by count_up, inverted: so that this is no copy of it. */
static void payload_key(const struct file *file, uint8_t inverted[static SEAL_KEY])
{
	uint8_t file_key[SEAL_FILE_KEY];

	for (unsigned i = 0; i < SEAL_FILE_KEY; i++)
		file_key[i] = (uint8_t)i;
	const uint8_t *salt = file->bytes + 168; /* behind a header of one recipient */
	cr_assert_eq(seal_key_payload(file_key, salt, inverted), 0);
	for (unsigned i = 0; i < SEAL_KEY; i++)
		inverted[i] ^= 0xff;
}

static bool is_key(const uint8_t *p, const uint8_t inverted[static SEAL_KEY])
{
	for (unsigned i = 0; i < 16; i++)
		if ((p[i] ^ inverted[i]) != 0xff)
			return false;
	return true;
}

struct copies {
	unsigned locked, others;
};

/* Looks for the key in all memory that can be written, but the stack of this function. */
static struct copies find_key(const uint8_t inverted[static SEAL_KEY])
{
	struct copies copies = {0};
	FILE *smaps = fopen("/proc/self/smaps", "r");
	char line[512], perms[5] = "";
	uint8_t *from = NULL, *to = NULL;
	unsigned n = 0;

	cr_assert_not_null(smaps);
	while (fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%p-%p %4s", (void **)&from, (void **)&to, perms) == 3 &&
		    perms[0] == 'r' && perms[1] == 'w') {
			n = 0;
			for (const uint8_t *p = from; p + 16 <= to; p++)
				n += is_key(p, inverted);
		}
		if (!strncmp(line, "VmFlags:", 8) && n) {
			const bool is_locked = strstr(line, " lo") && strstr(line, " dd");
			*(is_locked ? &copies.locked : &copies.others) += n;
			n = 0;
		}
	}
	(void)fclose(smaps);
	return copies;
}

#if defined(__SANITIZE_ADDRESS__)
#define MEMORY_TEST .disabled = true /* shadow memory of terabytes */
#else
#define MEMORY_TEST .disabled = false
#endif

Test(seal_rewrap, payload_key_lies_in_locked_memory_alone_and_is_wiped, MEMORY_TEST)
{
	static uint8_t out[2 * SEAL_CHUNK + 1000], more[SEAL_CHUNK + 1];
	const struct seal_recipient alice = recipient_of(ALICE);
	struct file *file = calloc(1, sizeof(*file));
	uint8_t inverted[SEAL_KEY];
	struct seal *seal;
	size_t n;

	cr_assert_eq(seal_open(&seal, &alice, 1, count_up, &err), 0, "%s", err.text);
	file->len = seal_header(seal, file->bytes);
	cr_assert_eq(seal_update(seal, more, sizeof(more), out, &n), 0);
	cr_assert_gt(n, 0);
	payload_key(file, inverted);
	const struct copies open = find_key(inverted);
	cr_assert_eq(open.locked, 1, "%u copies are locked", open.locked);
	cr_assert_eq(open.others, 0, "%u copies are not", open.others);
	seal_close(seal);
	const struct copies closed = find_key(inverted);
	cr_assert_eq(closed.locked + closed.others, 0);
	free(file);
}

Test(seal_rewrap, protected_process_leaves_no_core)
{
	struct rlimit limit;

	seal_protect_process();
	cr_assert_eq(prctl(PR_GET_DUMPABLE), 0);
	cr_assert_eq(getrlimit(RLIMIT_CORE, &limit), 0);
	cr_assert_eq(limit.rlim_max, 0);
}
