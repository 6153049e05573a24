/*
 * seal and unseal against each other, against the stock age command, and against the C2SP test
 * vectors in tests/vectors/age. Files live in memory (memfd); age reads them as /dev/fd/N.
 */
#define _GNU_SOURCE /* memfd_create */

#include "path/seal.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#define VECTORS   "tests/vectors/age"
#define N_VECTORS 69
#define SEALED    (SEAL_CHUNK + SEAL_TAG)
#define HEADER_1  (168u + 16u) /* header with one recipient, salt: facts of the format */

/* The identity and recipient of the examples in age.md, and another pair of age-keygen. */
#define ALICE        "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
#define ALICE_PUBLIC "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
#define BOB          "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0"

static struct err err;

struct bytes {
	uint8_t *p;
	size_t len;
};

/* ---- files in memory ---- */

static int file_of(const void *data, size_t len)
{
	const int fd = memfd_create("test", 0);

	cr_assert(fd >= 0 && write(fd, data, len) == (ssize_t)len && lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

static int identity_file(const char *text)
{
	return file_of(text, strlen(text));
}

static struct seal_identity identity_of(const char *text)
{
	struct seal_identity identity;
	char path[32];
	const int fd = identity_file(text);

	snprintf(path, sizeof(path), "/dev/fd/%d", fd);
	cr_assert_eq(seal_identities_read(&identity, 1, path, &err), 1, "%s: %s", text, err.text);
	close(fd);
	return identity;
}

static struct seal_recipient recipient_of(const char *identity_text)
{
	const struct seal_identity identity = identity_of(identity_text);
	struct seal_recipient recipient;

	cr_assert_eq(seal_identity_recipient(&identity, &recipient), 0);
	return recipient;
}

/* ---- what is sealed ---- */

static struct bytes sample(size_t len)
{
	struct bytes b = {malloc(len + 1), len};
	uint32_t x = 1;

	for (size_t i = 0; i < len; i++) {
		x = x * 1664525 + 1013904223;
		b.p[i] = (uint8_t)(x >> 24);
	}
	return b;
}

static void count_up(uint8_t *buf, size_t len)
{
	static uint8_t next;

	for (size_t i = 0; i < len; i++)
		buf[i] = next++;
}

/* Seals plain in pieces of step bytes, holding every call to seal_bound. */
static struct bytes seal_all(struct bytes plain, size_t step, const struct seal_recipient *to,
			     unsigned n_to, seal_random_fn random)
{
	struct seal *seal = NULL;
	struct bytes out = {malloc(plain.len + plain.len / SEAL_CHUNK * SEAL_TAG + 8192 + SEALED),
			    0};
	size_t n = 0;

	cr_assert_eq(seal_open(&seal, to, n_to, random, &err), 0, "%s", err.text);
	out.len = seal_header(seal, out.p);
	cr_assert_leq(out.len, seal_bound(seal, 0));
	for (size_t i = 0; i < plain.len; i += step) {
		const size_t take = plain.len - i < step ? plain.len - i : step;
		cr_assert_eq(seal_update(seal, plain.p + i, take, out.p + out.len, &n), 0);
		cr_assert_leq(n, seal_bound(seal, take));
		out.len += n;
	}
	cr_assert_eq(seal_final(seal, out.p + out.len, &n), 0);
	cr_assert_leq(n, seal_bound(seal, 0));
	out.len += n;
	seal_close(seal);
	return out;
}

static struct bytes seal_to_alice(struct bytes plain)
{
	const struct seal_recipient alice = recipient_of(ALICE);

	return seal_all(plain, 10000, &alice, 1, seal_random);
}

/* unseal_open of a file. */
static int open_fd(struct unseal **out, int fd, const struct seal_identity *identities, unsigned n)
{
	const struct unseal_keys keys = {.identities = identities, .n = n};
	struct unseal_source source;

	cr_assert_eq(unseal_source_of(&source, fd), 0);
	return unseal_open(out, &source, &keys, &err);
}

static int count_recipients(int fd)
{
	struct unseal_source source;

	cr_assert_eq(unseal_source_of(&source, fd), 0);
	return unseal_count_recipients(&source, &err);
}

static struct unseal *unseal_as(const char *identity_text, int fd)
{
	const struct seal_identity identity = identity_of(identity_text);
	struct unseal *unseal = NULL;

	cr_assert_eq(open_fd(&unseal, fd, &identity, 1), 0, "%s", err.text);
	return unseal;
}

static struct unseal *unseal_bytes(struct bytes sealed)
{
	return unseal_as(ALICE, file_of(sealed.p, sealed.len));
}

/* Standard output of a shell command. */
static struct bytes output_of(const char *command)
{
	struct bytes out = {malloc(1u << 20), 0};
	FILE *pipe = popen(command, "r");

	cr_assert_not_null(pipe);
	out.len = fread(out.p, 1, 1u << 20, pipe);
	cr_assert_eq(pclose(pipe), 0, "failed (is age installed?): %s", command);
	return out;
}

static void age_opens(struct bytes sealed, const char *identity_text, struct bytes plain)
{
	char command[100];
	const int key = identity_file(identity_text), file = file_of(sealed.p, sealed.len);

	snprintf(command, sizeof(command), "age -d -i /dev/fd/%d </dev/fd/%d", key, file);
	const struct bytes out = output_of(command);
	cr_assert_eq(out.len, plain.len, "age gives %zu bytes of %zu", out.len, plain.len);
	cr_assert_arr_eq(out.p, plain.p, plain.len);
	free(out.p);
	close(key);
	close(file);
}

/* ---- keys ---- */

Test(seal, recipient_of_an_identity_is_the_one_in_the_specification)
{
	const struct seal_recipient recipient = recipient_of(ALICE);
	struct seal_recipient parsed;
	char text[64];

	seal_recipient_format(&recipient, text);
	cr_assert_str_eq(text, ALICE_PUBLIC);
	cr_assert_eq(seal_recipient_parse(&parsed, ALICE_PUBLIC, &err), 0, "%s", err.text);
	cr_assert_arr_eq(parsed.x25519, recipient.x25519, sizeof(parsed.x25519));
}

Test(seal, recipient_parse_refuses_damaged_text_and_names_it)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"", "prefix"},
		{"age1", "length"},
		{"ssh-ed25519 AAAA", "prefix"},
		{"age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujw", "length"},
		{"age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwjj", "length"},
		{"age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwq", "checksum"},
		{"age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwb", "character"},
		{"age1Zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj", "character"},
		{"AGE1ZVKYG2LQZRAA2LNJVQEJ32NKUU0UES2S82HZRYE869XEEXVN73EQUNUJWJ", "prefix"},
		{"bge1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj", "prefix"},
	};
	struct seal_recipient out = {{7}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *text = cases[i].text;
		cr_assert_eq(seal_recipient_parse(&out, text, &err), -EINVAL, "'%s'", text);
		cr_assert_not_null(strstr(err.text, text), "'%s': %s", text, err.text);
		cr_assert_not_null(strstr(err.text, cases[i].why), "'%s': %s", text, err.text);
		cr_assert_eq(out.x25519[0], 7, "'%s': output touched", text);
	}
}

Test(seal, recipient_parse_finds_every_single_wrong_character)
{
	struct seal_recipient out;

	for (size_t i = 0; i < strlen(ALICE_PUBLIC); i++) {
		char text[] = ALICE_PUBLIC;
		text[i] = text[i] == 'q' ? 'p' : 'q';
		cr_assert_eq(seal_recipient_parse(&out, text, &err), -EINVAL, "%s", text);
	}
}

Test(seal, recipient_parse_never_repeats_a_secret)
{
	struct seal_recipient out;

	cr_assert_eq(seal_recipient_parse(&out, ALICE, &err), -EINVAL);
	cr_assert_null(strstr(err.text, "GFPYY"), "%s", err.text);
	cr_assert_eq(seal_recipient_parse(&out, "age-secret-key-1gfpyy", &err), -EINVAL);
	cr_assert_null(strstr(err.text, "gfpyy"), "%s", err.text);
}

static int read_identities(const char *text, struct seal_identity *out, unsigned max)
{
	char path[32];
	const int fd = identity_file(text);

	snprintf(path, sizeof(path), "/dev/fd/%d", fd);
	const int ret = seal_identities_read(out, max, path, &err);
	close(fd);
	return ret;
}

Test(seal, identities_read_takes_what_age_keygen_writes)
{
	struct seal_identity out[3];

	cr_assert_eq(read_identities("# created: 2026\n# public key: " ALICE_PUBLIC "\n" ALICE "\n",
				     out, 3),
		     1, "%s", err.text);
	cr_assert_eq(read_identities(ALICE "\r\n\r\n" BOB, out, 3), 2, "%s", err.text);
	cr_assert_arr_eq(out[1].secret, identity_of(BOB).secret, 32);

	const struct bytes generated = output_of("age-keygen 2>/dev/null");
	generated.p[generated.len] = '\0';
	cr_assert_eq(read_identities((char *)generated.p, out, 3), 1, "%s", err.text);
	free(generated.p);
}

Test(seal, identities_read_takes_standard_input)
{
	struct seal_identity out;

	cr_assert_eq(dup2(identity_file(ALICE "\n"), STDIN_FILENO), STDIN_FILENO);
	cr_assert_eq(seal_identities_read(&out, 1, "-", &err), 1, "%s", err.text);
	cr_assert_arr_eq(out.secret, identity_of(ALICE).secret, 32);
}

Test(seal, identities_read_refuses_what_is_no_identity_without_repeating_it)
{
	struct seal_identity out[2];

	cr_assert_eq(read_identities("", out, 2), -EINVAL);
	cr_assert_eq(read_identities("# nothing\n\n", out, 2), -EINVAL);
	cr_assert_eq(read_identities(ALICE "\n" ALICE "X\n", out, 2), -EINVAL);
	cr_assert_not_null(strstr(err.text, "line 2"), "%s", err.text);
	cr_assert_null(strstr(err.text, "GFPYY"), "%s", err.text);
	cr_assert_eq(read_identities(ALICE "\n" BOB "\n" ALICE "\n", out, 2), -E2BIG);
	cr_assert_eq(seal_identities_read(out, 2, "/nonexistent", &err), -ENOENT);
	cr_assert_not_null(strstr(err.text, "/nonexistent"), "%s", err.text);
	cr_assert_eq(seal_identities_read(out, 2, "/dev/zero", &err), -EFBIG);
}

/* ---- writing ---- */

Test(seal, age_opens_what_seal_wrote)
{
	static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 131072};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		const struct bytes plain = sample(sizes[i]), sealed = seal_to_alice(plain);
		const size_t chunks = sizes[i] ? (sizes[i] + SEAL_CHUNK - 1) / SEAL_CHUNK : 1;
		cr_assert_eq(sealed.len, HEADER_1 + sizes[i] + chunks * SEAL_TAG,
			     "%zu bytes: an empty chunk at the end?", sizes[i]);
		age_opens(sealed, ALICE, plain);
		free(plain.p);
		free(sealed.p);
	}
}

Test(seal, either_of_two_recipients_opens)
{
	const struct seal_recipient both[] = {recipient_of(ALICE), recipient_of(BOB)};
	const struct bytes plain = sample(100000);
	const struct bytes sealed = seal_all(plain, 4096, both, 2, seal_random);
	const int fd = file_of(sealed.p, sealed.len);
	static const char *const keys[] = {ALICE, BOB};

	cr_assert_eq(count_recipients(fd), 2, "%s", err.text);
	for (unsigned i = 0; i < 2; i++) {
		uint8_t *buf = malloc(plain.len);
		age_opens(sealed, keys[i], plain);
		struct unseal *unseal = unseal_as(keys[i], fd);
		cr_assert_eq(unseal_read(unseal, 0, buf, plain.len), (ssize_t)plain.len);
		cr_assert_arr_eq(buf, plain.p, plain.len);
		unseal_close(unseal);
		free(buf);
	}
	free(plain.p);
	free(sealed.p);
}

Test(seal, pieces_do_not_matter_and_given_randomness_gives_the_same_file)
{
	static const size_t steps[] = {1000, 65535, 65536, 65537, 200000, 1u << 20};
	const struct seal_recipient alice = recipient_of(ALICE);
	const struct bytes plain = sample(3 * SEAL_CHUNK);
	uint8_t counted[256];
	const struct bytes first = seal_all(plain, 777, &alice, 1, count_up);

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		count_up(counted, 256 - (16 + 32 + 16)); /* what one file takes: back to 0 */
		const struct bytes sealed = seal_all(plain, steps[i], &alice, 1, count_up);
		cr_assert_eq(sealed.len, first.len, "steps of %zu", steps[i]);
		cr_assert_arr_eq(sealed.p, first.p, first.len, "steps of %zu", steps[i]);
		free(sealed.p);
	}
	free(plain.p);
	free(first.p);
}

Test(seal, two_files_share_no_key)
{
	const struct bytes plain = sample(5000), a = seal_to_alice(plain), b = seal_to_alice(plain);

	cr_assert_neq(memcmp(a.p + HEADER_1 - 16, b.p + HEADER_1 - 16, 16), 0, "same salt");
	cr_assert_neq(memcmp(a.p + HEADER_1, b.p + HEADER_1, plain.len), 0, "same stream");
	free(plain.p);
	free(a.p);
	free(b.p);
}

Test(seal, open_refuses_no_recipient_too_many_and_one_of_low_order)
{
	struct seal_recipient many[SEAL_RECIPIENTS_MAX + 1];
	const struct seal_recipient zero = {{0}};
	struct seal *seal = NULL;

	for (unsigned i = 0; i <= SEAL_RECIPIENTS_MAX; i++)
		many[i] = recipient_of(ALICE);
	cr_assert_eq(seal_open(&seal, many, 0, seal_random, &err), -EINVAL);
	cr_assert_eq(seal_open(&seal, many, SEAL_RECIPIENTS_MAX + 1, seal_random, &err), -EINVAL);
	cr_assert_eq(seal_open(&seal, &zero, 1, seal_random, &err), -EINVAL);
	cr_assert_not_null(strstr(err.text, "age1qqqq"), "%s", err.text);
	cr_assert_null(seal);
	seal_close(NULL);
	const struct bytes plain = sample(1);
	const struct bytes sealed = seal_all(plain, 1, many, SEAL_RECIPIENTS_MAX, seal_random);
	age_opens(sealed, ALICE, plain);
	free(plain.p);
	free(sealed.p);
}

/* ---- reading ---- */

Test(seal, unseal_opens_what_age_wrote)
{
	const struct bytes plain = sample(200000);
	const int in = file_of(plain.p, plain.len);
	char command[200];
	uint8_t *buf = malloc(plain.len);

	snprintf(command, sizeof(command), "age -r %s </dev/fd/%d", ALICE_PUBLIC, in);
	const struct bytes sealed = output_of(command);
	struct unseal *unseal = unseal_bytes(sealed);
	cr_assert(unseal_is_complete(unseal));
	cr_assert_eq(unseal_size(unseal), plain.len);
	cr_assert_eq(unseal_read(unseal, 0, buf, plain.len), (ssize_t)plain.len);
	cr_assert_arr_eq(buf, plain.p, plain.len);
	unseal_close(unseal);
	free(buf);
	free(sealed.p);
	free(plain.p);
}

Test(seal, wrong_key_gives_eacces_and_nothing)
{
	const struct seal_identity bob = identity_of(BOB);
	const struct bytes plain = sample(1000), sealed = seal_to_alice(plain);
	struct unseal *unseal = NULL;
	const int fd = file_of(sealed.p, sealed.len);

	cr_assert_eq(open_fd(&unseal, fd, &bob, 1), -EACCES);
	cr_assert_eq(open_fd(&unseal, fd, &bob, 0), -EACCES);
	cr_assert_null(unseal);
	unseal_close(NULL);
	free(plain.p);
	free(sealed.p);
}

static ssize_t refuse_read(void *arg, uint64_t offset, void *buf, size_t len)
{
	(void)arg, (void)offset, (void)buf, (void)len;
	return -EIO;
}

Test(seal, what_is_no_age_file_is_ebadmsg)
{
	const struct seal_identity alice = identity_of(ALICE);
	static const char *const texts[] = {"", "age-encryption.org/v1", "age-encryption.org/v2\n",
					    "-----BEGIN AGE ENCRYPTED FILE-----\n", "PK\3\4"};
	struct unseal *unseal = NULL;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		const int fd = file_of(texts[i], strlen(texts[i]));
		cr_assert_eq(open_fd(&unseal, fd, &alice, 1), -EBADMSG, "%s", texts[i]);
		cr_assert_eq(count_recipients(fd), -EBADMSG, "%s", texts[i]);
		close(fd);
	}
	const struct unseal_keys keys = {.identities = &alice, .n = 1};
	struct unseal_source source = {.read = refuse_read, .size = 1000};
	cr_assert_eq(unseal_open(&unseal, &source, &keys, &err), -EIO);
	cr_assert_eq(unseal_source_of(&source, -1), -EBADF);
}

/* ---- other sources, other keys ---- */

struct noted {
	struct bytes file;
	uint64_t read; /* bytes that were asked for */
};

static ssize_t read_noted(void *arg, uint64_t offset, void *buf, size_t len)
{
	struct noted *noted = arg;
	const size_t left = offset < noted->file.len ? noted->file.len - offset : 0;

	len = len < left ? len : left;
	memcpy(buf, noted->file.p + offset, len);
	noted->read += len;
	return (ssize_t)len;
}

Test(seal, source_is_read_no_further_than_its_size_and_only_where_needed)
{
	const struct seal_identity alice = identity_of(ALICE);
	const struct unseal_keys keys = {.identities = &alice, .n = 1};
	const struct bytes plain = sample(40 * SEAL_CHUNK);
	struct noted noted = {.file = seal_to_alice(plain)};
	struct unseal_source source = {read_noted, &noted, noted.file.len};
	struct unseal *unseal = NULL;
	uint8_t buf[100];

	cr_assert_eq(unseal_open(&unseal, &source, &keys, &err), 0, "%s", err.text);
	cr_assert(unseal_is_complete(unseal));
	cr_assert_eq(unseal_read(unseal, 20 * SEAL_CHUNK + 7, buf, 100), 100);
	cr_assert_arr_eq(buf, plain.p + 20 * SEAL_CHUNK + 7, 100);
	/* The head, the last chunk, the one asked for. */
	cr_assert_leq(noted.read, 3 * SEALED);
	unseal_close(unseal);

	source.size = HEADER_1 + 3 * SEALED + 5;
	cr_assert_eq(unseal_open(&unseal, &source, &keys, &err), 0, "%s", err.text);
	cr_assert_not(unseal_is_complete(unseal));
	cr_assert_eq(unseal_size(unseal), 3 * SEAL_CHUNK);
	unseal_close(unseal);
	free(plain.p);
	free(noted.file.p);
}

/* Stands for a key service. */
struct service {
	uint8_t key[SEAL_FILE_KEY];
	int result;
	unsigned asked;
	char stanzas[1000];
};

static int serve_key(void *arg, const char *stanzas, size_t len,
		     uint8_t file_key[static SEAL_FILE_KEY], struct err *why)
{
	struct service *service = arg;

	service->asked++;
	cr_assert_lt(len, sizeof(service->stanzas));
	memcpy(service->stanzas, stanzas, len);
	service->stanzas[len] = '\0';
	if (service->result)
		return err_set(why, service->result, "the service is closed");
	memcpy(file_key, service->key, SEAL_FILE_KEY);
	return 0;
}

/* Counted: the file key is the first that seal_open asks for. */
static struct bytes seal_counted(struct bytes plain, struct service *service)
{
	const struct seal_recipient alice = recipient_of(ALICE);
	uint8_t zero[256];

	count_up(zero, 256);
	memcpy(service->key, zero, SEAL_FILE_KEY);
	for (unsigned i = 0; i < SEAL_FILE_KEY; i++)
		cr_assert_eq(service->key[i], i, "the counter is not at 0");
	return seal_all(plain, 10000, &alice, 1, count_up);
}

Test(seal, unwrap_gives_the_file_key_from_the_stanzas)
{
	const struct bytes plain = sample(100000);
	struct service service = {.result = 0};
	struct noted noted = {.file = seal_counted(plain, &service)};
	const struct unseal_source source = {read_noted, &noted, noted.file.len};
	const struct seal_identity bob = identity_of(BOB), alice = identity_of(ALICE);
	struct unseal_keys keys = {
		.identities = &bob, .n = 1, .unwrap = serve_key, .arg = &service};
	struct unseal *unseal = NULL;
	uint8_t *buf = malloc(plain.len);

	cr_assert_eq(unseal_open(&unseal, &source, &keys, &err), 0, "%s", err.text);
	cr_assert_eq(unseal_read(unseal, 0, buf, plain.len), (ssize_t)plain.len);
	cr_assert_arr_eq(buf, plain.p, plain.len);
	unseal_close(unseal);
	cr_assert_eq(strncmp(service.stanzas, "-> X25519 ", 10), 0, "%s", service.stanzas);
	cr_assert_eq(memcmp(service.stanzas, noted.file.p + 22, strlen(service.stanzas)), 0);
	cr_assert_eq(memcmp(noted.file.p + 22 + strlen(service.stanzas), "--- ", 4), 0);

	keys.identities = &alice; /* which opens it: nobody is asked */
	cr_assert_eq(unseal_open(&unseal, &source, &keys, &err), 0, "%s", err.text);
	unseal_close(unseal);
	cr_assert_eq(service.asked, 1);
	free(buf);
	free(plain.p);
	free(noted.file.p);
}

Test(seal, wrong_key_of_unwrap_is_found_and_its_error_is_given_on)
{
	const struct bytes plain = sample(1000);
	struct service service = {.result = 0};
	struct noted noted = {.file = seal_counted(plain, &service)};
	const struct unseal_source source = {read_noted, &noted, noted.file.len};
	const struct unseal_keys keys = {.unwrap = serve_key, .arg = &service};
	struct unseal *unseal = NULL;

	service.key[3] ^= 1;
	cr_assert_eq(unseal_open(&unseal, &source, &keys, &err), -EBADMSG);
	cr_assert_not_null(strstr(err.text, "another file's"), "%s", err.text);
	service.result = -ETIMEDOUT;
	cr_assert_eq(unseal_open(&unseal, &source, &keys, &err), -ETIMEDOUT);
	cr_assert_str_eq(err.text, "the service is closed");
	cr_assert_null(unseal);
	free(plain.p);
	free(noted.file.p);
}

/* ---- cut and altered files ---- */

/* Cuts the file to len bytes and holds the reader to the chunks that are whole. */
static void cut_gives_whole_chunks(struct bytes sealed, size_t len, struct bytes plain)
{
	const struct seal_identity alice = identity_of(ALICE);
	struct unseal *unseal = NULL;
	const int fd = file_of(sealed.p, len);
	const int ret = open_fd(&unseal, fd, &alice, 1);
	static uint8_t buf[4 * SEAL_CHUNK];

	if (len < HEADER_1) {
		cr_assert_eq(ret, -EBADMSG, "cut at %zu", len);
	} else {
		const size_t whole = (len - HEADER_1) / SEALED * SEAL_CHUNK;
		cr_assert_eq(ret, 0, "cut at %zu: %s", len, err.text);
		cr_assert_not(unseal_is_complete(unseal), "cut at %zu", len);
		cr_assert_eq(unseal_size(unseal), whole, "cut at %zu", len);
		cr_assert_eq(unseal_read(unseal, 0, buf, sizeof(buf)), (ssize_t)whole, "cut at %zu",
			     len);
		cr_assert_arr_eq(buf, plain.p, whole, "cut at %zu", len);
		unseal_close(unseal);
	}
	close(fd);
}

Test(seal, cut_file_gives_exactly_its_whole_chunks)
{
	const struct bytes plain = sample(2 * SEAL_CHUNK + 1000), sealed = seal_to_alice(plain);

	for (size_t len = 0; len < HEADER_1 + 20; len++)
		cut_gives_whole_chunks(sealed, len, plain);
	for (size_t i = 1; i <= 2; i++)
		for (size_t len = HEADER_1 + i * SEALED - 18; len < HEADER_1 + i * SEALED + 18;
		     len++)
			cut_gives_whole_chunks(sealed, len, plain);
	for (size_t len = HEADER_1; len < sealed.len; len += 9973)
		cut_gives_whole_chunks(sealed, len, plain);
	cut_gives_whole_chunks(sealed, sealed.len - 1, plain);
	free(plain.p);
	free(sealed.p);
}

Test(seal, tail_of_zeros_is_not_counted)
{
	const struct bytes plain = sample(2 * SEAL_CHUNK), sealed = seal_to_alice(plain);
	uint8_t *file = calloc(1, 10 * SEALED);
	uint8_t buf[100];

	memcpy(file, sealed.p, HEADER_1 + SEALED + 5000);
	struct unseal *unseal = unseal_bytes((struct bytes){file, 9 * SEALED});
	cr_assert_not(unseal_is_complete(unseal));
	cr_assert_eq(unseal_size(unseal), SEAL_CHUNK);
	cr_assert_eq(unseal_read(unseal, SEAL_CHUNK - 10, buf, 100), 10);
	cr_assert_eq(unseal_read(unseal, SEAL_CHUNK, buf, 100), 0);
	cr_assert_arr_eq(buf, plain.p + SEAL_CHUNK - 10, 10);
	unseal_close(unseal);
	free(file);
	free(plain.p);
	free(sealed.p);
}

Test(seal, random_access_equals_sequential)
{
	const struct bytes plain = sample(5 * SEAL_CHUNK + 321), sealed = seal_to_alice(plain);
	struct unseal *unseal = unseal_bytes(sealed);
	uint8_t *buf = malloc(3 * SEAL_CHUNK);
	uint32_t x = 7;

	for (unsigned i = 0; i < 300; i++) {
		x = x * 1664525 + 1013904223;
		const size_t offset = x % (plain.len + 1000);
		const size_t len = (x >> 8) % (i % 2 ? 3 * SEAL_CHUNK : 300);
		const size_t left = offset < plain.len ? plain.len - offset : 0;
		const size_t want = len < left ? len : left;
		cr_assert_eq(unseal_read(unseal, offset, buf, len), (ssize_t)want, "at %zu, %zu",
			     offset, len);
		if (want)
			cr_assert_arr_eq(buf, plain.p + offset, want, "at %zu, %zu", offset, len);
	}
	cr_assert_eq(unseal_read(unseal, UINT64_MAX, buf, 1), 0);
	unseal_close(unseal);
	free(buf);
	free(plain.p);
	free(sealed.p);
}

Test(seal, altered_chunk_is_refused_and_the_others_are_not)
{
	const struct bytes plain = sample(3 * SEAL_CHUNK), sealed = seal_to_alice(plain);
	uint8_t buf[10];

	sealed.p[HEADER_1 + SEALED + 12345] ^= 1;
	struct unseal *unseal = unseal_bytes(sealed);
	cr_assert_eq(unseal_read(unseal, SEAL_CHUNK, buf, 10), -EBADMSG);
	cr_assert_eq(unseal_read(unseal, SEAL_CHUNK - 5, buf, 10), -EBADMSG);
	cr_assert_eq(unseal_read(unseal, 0, buf, 10), 10);
	cr_assert_arr_eq(buf, plain.p, 10);
	cr_assert_eq(unseal_read(unseal, 2 * SEAL_CHUNK, buf, 10), 10);
	cr_assert_arr_eq(buf, plain.p + 2 * SEAL_CHUNK, 10);
	unseal_close(unseal);
	free(plain.p);
	free(sealed.p);
}

Test(seal, any_altered_header_byte_is_refused)
{
	const struct seal_identity alice = identity_of(ALICE);
	const struct bytes plain = sample(100), sealed = seal_to_alice(plain);
	struct unseal *unseal = NULL;

	for (size_t i = 0; i < HEADER_1 - 16; i++) {
		sealed.p[i] ^= 1;
		const int fd = file_of(sealed.p, sealed.len);
		const int ret = open_fd(&unseal, fd, &alice, 1);
		cr_assert(ret == -EBADMSG || ret == -EACCES, "byte %zu: %d", i, ret);
		close(fd);
		sealed.p[i] ^= 1;
	}
	free(plain.p);
	free(sealed.p);
}

/* ---- the C2SP vectors ---- */

struct vector {
	char expect[20], payload[65];
	struct seal_identity identities[2];
	unsigned n_identities;
	bool is_compressed, is_readable;
	struct bytes file;
};

static void vector_line(struct vector *v, const char *line)
{
	if (sscanf(line, "expect: %19[^\n]", v->expect) == 1 ||
	    sscanf(line, "payload: %64s", v->payload) == 1)
		return;
	if (strncmp(line, "compressed: zlib", 16) == 0)
		v->is_compressed = true;
	/* Other kinds of identity are not ours to read: see the folder's README. */
	if (strncmp(line, "identity: AGE-SECRET-KEY-1", 26) == 0)
		v->identities[v->n_identities++] = identity_of(line + 10);
	if (strncmp(line, "armored: ", 9) == 0)
		v->is_readable = false;
}

static struct bytes inflated(struct bytes in)
{
	uLongf len = 20u << 20; /* the longest has 258 chunks, 17 MB */
	struct bytes out = {malloc(len), 0};

	cr_assert_eq(uncompress(out.p, &len, in.p, in.len), Z_OK);
	out.len = len;
	free(in.p);
	return out;
}

static struct vector vector_read(const char *path)
{
	struct vector v = {.is_readable = true};
	FILE *f = fopen(path, "rb");
	char line[4096];

	cr_assert_not_null(f, "%s", path);
	while (fgets(line, sizeof(line), f) && line[0] != '\n')
		vector_line(&v, line);
	v.file.p = malloc(1u << 16);
	v.file.len = fread(v.file.p, 1, 1u << 16, f);
	fclose(f);
	if (v.is_compressed)
		v.file = inflated(v.file);
	return v;
}

/* Reads to the end or the first error, in odd steps; gives SHA-256 of what came out, in hex. */
static int read_to_end(struct unseal *unseal, char hex[static 65])
{
	static uint8_t buf[30011];
	uint8_t hash[32];
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint64_t offset = 0;
	ssize_t n;

	EVP_DigestInit_ex(md, EVP_sha256(), NULL);
	/* Up to a chunk's end only: a read that meets an altered chunk gives nothing. */
	for (;;) {
		const size_t room = SEAL_CHUNK - offset % SEAL_CHUNK;
		n = unseal_read(unseal, offset, buf, room < sizeof(buf) ? room : sizeof(buf));
		if (n <= 0)
			break;
		EVP_DigestUpdate(md, buf, (size_t)n);
		offset += (uint64_t)n;
	}
	EVP_DigestFinal_ex(md, hash, NULL);
	EVP_MD_CTX_free(md);
	for (unsigned i = 0; i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", hash[i]);
	return (int)n;
}

/* What our reader makes of the vector, in the vector's own words. */
static const char *verdict(const struct vector *v, char payload[static 65])
{
	struct unseal *unseal = NULL;
	const int fd = file_of(v->file.p, v->file.len);
	int ret = open_fd(&unseal, fd, v->identities, v->n_identities);
	const char *word = "success";

	if (ret == -EACCES)
		word = "no match";
	else if (ret == -EBADMSG)
		word = strstr(err.text, "MAC") ? "HMAC failure" : "header failure";
	else if (ret)
		word = "unexpected error";
	else if (read_to_end(unseal, payload) || !unseal_is_complete(unseal))
		word = "payload failure";
	unseal_close(unseal);
	close(fd);
	return word;
}

Test(seal, c2sp_vectors_pass, .timeout = 60)
{
	unsigned ran = 0, skipped = 0;
	DIR *dir = opendir(VECTORS);

	cr_assert_not_null(dir, "run from the repository root: no " VECTORS);
	for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
		char path[400], payload[65] = "";
		if (e->d_name[0] == '.' || strcmp(e->d_name, "README") == 0)
			continue;
		snprintf(path, sizeof(path), VECTORS "/%s", e->d_name);
		struct vector v = vector_read(path);
		if (v.is_readable) {
			cr_assert_str_eq(verdict(&v, payload), v.expect, "%s: expect %s: %s",
					 e->d_name, v.expect, err.text);
			cr_assert_str_eq(payload, v.payload, "%s: payload", e->d_name);
			ran++;
		} else {
			skipped++;
		}
		free(v.file.p);
	}
	closedir(dir);
	printf("age vectors: %u passed, %u skipped\n", ran, skipped);
	cr_assert_eq(ran, N_VECTORS);
}
