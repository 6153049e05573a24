#define _GNU_SOURCE /* memmem */
#include "path/chain.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct chain_signer signer;
static struct chain_entry entry, parsed;
static char line[CHAIN_LINE_MAX + 2];
static size_t len; /* without the newline */
static struct err err;

static void prepare(void)
{
	cr_assert_eq(chain_begin(&signer), 0);
	entry = (struct chain_entry){.event = CHAIN_SEALED,
				     .time_ns = 1795302174123456789,
				     .file = "vxprobe_000001_x.pcapng.zst.age",
				     .bytes = 12345,
				     .packets = 7,
				     .drops = 2,
				     .n_recipients = 1,
				     .recipients = {"0123456789abcdef"}};
	memset(entry.sha256, 0xab, sizeof(entry.sha256));
}

TestSuite(chain, .init = prepare);

static void next(enum chain_event event)
{
	entry.event = event;
	cr_assert_eq(chain_sign(&signer, &entry, line, &len), 0);
	cr_assert_eq(line[--len], '\n');
}

static int parse(void)
{
	return chain_parse(&parsed, line, len, &err);
}

static void replace(const char *what, const char *with)
{
	char *at = memmem(line, len, what, strlen(what));

	cr_assert_not_null(at, "%s", what);
	cr_assert_eq(strlen(what), strlen(with));
	memcpy(at, with, strlen(with));
}

Test(chain, reads_what_it_wrote, .init = prepare)
{
	next(CHAIN_SEALED);
	cr_assert_eq(parse(), 0, "%s", err.text);
	cr_expect_eq(memcmp(&parsed, &entry, sizeof(entry)), 0);
}

Test(chain, has_the_members_of_each_event)
{
	static const char *const member[CHAIN_EVENTS] = {
		"\"host\":",          "\"event\":\"stop\",\"sig\"",
		"\"sha256\":",        "\"step_ns\":-5",
		"\"drops\":2",        "\"packets\":7",
		"\"bytes\":12345",    "\"file\":",
		"\"reason\":\"old\"", "\"reason\":",
		"\"files\":9"};

	entry.step_ns = -5;
	entry.files = 9;
	(void)strcpy(entry.reason, "old");
	for (unsigned i = 0; i < CHAIN_EVENTS; i++) {
		next(i);
		cr_expect(memmem(line, len, member[i], strlen(member[i])), "%u", i);
		cr_expect_eq(parse(), 0, "%s: %s", chain_event_name(i), err.text);
		cr_expect_eq(parsed.event, i);
	}
}

Test(chain, binds_each_line_to_the_one_before)
{
	uint8_t hash[CHAIN_HASH], zero[CHAIN_HASH] = {0}, key[CHAIN_KEY];

	next(CHAIN_START);
	cr_expect_eq(memcmp(entry.before, zero, sizeof(zero)), 0);
	cr_expect(chain_is_signed(line, len, entry.key));
	chain_hash(line, len, hash);
	memcpy(key, entry.next, sizeof(key));
	next(CHAIN_STOP);
	cr_expect_eq(entry.sequence, 2);
	cr_expect_eq(memcmp(entry.before, hash, sizeof(hash)), 0);
	cr_expect(chain_is_signed(line, len, key));
	cr_expect_not(memmem(line, len, "\"key\":", 6));
}

Test(chain, replaces_the_secret_at_each_entry)
{
	uint8_t secret[CHAIN_KEY], public[CHAIN_KEY];

	memcpy(secret, signer.secret, sizeof(secret));
	next(CHAIN_START);
	cr_expect_neq(memcmp(signer.secret, secret, sizeof(secret)), 0);
	cr_expect_not(memmem(&signer, sizeof(signer), secret, sizeof(secret)));
	cr_assert_eq(chain_public(&signer, public), 0);
	cr_expect_eq(memcmp(public, entry.next, sizeof(public)), 0);
}

/* Given inverted, so that what is looked for is not found for that. */
static bool holds(const uint8_t *p, const uint8_t *end, const uint8_t inverted[CHAIN_KEY])
{
	while (end - p >= CHAIN_KEY &&
	       (p = memchr(p, (uint8_t)~inverted[0], (size_t)(end - p) - CHAIN_KEY + 1))) {
		unsigned n = 1;
		while (n < CHAIN_KEY && (p[n] ^ inverted[n]) == 0xff)
			n++;
		if (n == CHAIN_KEY)
			return true;
		p++;
	}
	return false;
}

static bool memory_holds(const uint8_t inverted[CHAIN_KEY])
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char text[512], mode[5];
	uintptr_t from, to;
	bool found = false;

	while (!found && fgets(text, sizeof(text), maps))
		if (sscanf(text, "%" SCNxPTR "-%" SCNxPTR " %4s", &from, &to, mode) == 3 &&
		    !strncmp(mode, "rw", 2))
			found = holds((const uint8_t *)from, (const uint8_t *)to, inverted);
	(void)fclose(maps);
	return found;
}

/* Who reads the memory of the probe at time T finds no key of an entry before T. */
Test(chain, leaves_no_secret_in_memory_that_has_signed)
{
	enum { N = 20 };
	static uint8_t inverted[N + 1][CHAIN_KEY];

#ifdef __SANITIZE_ADDRESS__
	cr_skip_test("its shadow is larger than any memory");
#endif
	for (unsigned i = 0; i <= N; i++) {
		for (unsigned j = 0; j < CHAIN_KEY; j++)
			inverted[i][j] = (uint8_t)~signer.secret[j];
		if (i < N)
			next(CHAIN_SEALED);
	}
	for (unsigned i = 0; i < N; i++)
		cr_expect_not(memory_holds(inverted[i]), "of entry %u", i + 1);
	cr_expect(memory_holds(inverted[N]));
}

Test(chain, is_not_signed_once_a_byte_differs)
{
	next(CHAIN_START);
	for (size_t i = 0; i < len; i++) {
		line[i] ^= 1;
		cr_expect_not(chain_is_signed(line, len, entry.key), "%zu", i);
		line[i] ^= 1;
	}
	cr_expect_not(chain_is_signed(line, len - 1, entry.key));
	cr_expect_not(chain_is_signed(line, 3, entry.key));
	cr_expect_not(chain_is_signed(line, len, entry.next));
	cr_expect(chain_is_signed(line, len, entry.key));
}

Test(chain, keeps_the_signer_when_an_entry_is_too_long)
{
	const struct chain_signer before = signer;

	entry.event = CHAIN_CONFIGURED;
	entry.n_recipients = CHAIN_RECIPIENTS_MAX;
	for (unsigned i = 0; i < entry.n_recipients; i++)
		memset(entry.recipients[i], 'a', 62);
	cr_expect_eq(chain_sign(&signer, &entry, line, &len), 0); /* 64 recipients fit */
	signer = before;
	/* A control character takes six in JSON, but becomes '?'; a quote takes two. */
	for (unsigned i = 0; i < entry.n_recipients; i++)
		memset(entry.recipients[i], '"', 63);
	cr_expect_eq(chain_sign(&signer, &entry, line, &len), -E2BIG);
	cr_expect_eq(memcmp(&signer, &before, sizeof(signer)), 0);
}

Test(chain, refuses_what_is_no_entry)
{
	static const char *const changes[][2] = {
		{"\"chain\":1", "\"chain\":2"},
		{"\"seq\":1", "\"seq\":0"},
		{"\"seq\":1", "\"sEq\":1"},
		{"2026-11-21T", "2026-13-21T"},
		{"2026-11-21T", "2026-11-21t"},
		{"\"sealed\"", "\"seAled\""},
		{"vxprobe_000001", "../robe_000001"},
		{"vxprobe_000001", ".xprobe_000001"},
		{"\"bytes\":12345", "\"bytes\":-2345"},
		{"\"bytes\":12345", "\"bytes\":1.345"},
		{"\"sha256\":\"ab", "\"sha256\":\"AB"},
		{"\"prev\":\"00", "\"prev\":\"0x"},
		{"[\"0123456789abcdef\"]", "{\"0123456789ab\":\"f\"}"},
		{"[\"0123456789abcdef\"]", "[\"0123456789\\u000f\"]"},
		{"\"key\"", "\"kex\""},
		{",\"drops\":2", ",\"bytes\":2"},
		{",\"sig\":\"", ",\"sIg\":\""},
		{"{\"chain\"", "[\"chain\""}};

	for (unsigned i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		prepare();
		next(CHAIN_SEALED);
		replace(changes[i][0], changes[i][1]);
		cr_expect_eq(parse(), -EBADMSG, "%s", changes[i][1]);
		cr_expect(*err.text);
	}
}

Test(chain, refuses_a_line_with_more_behind_it)
{
	next(CHAIN_STOP);
	line[len] = ' ';
	cr_expect_eq(chain_parse(&parsed, line, len + 1, &err), -EBADMSG);
	cr_expect_eq(chain_parse(&parsed, line, 0, &err), -EBADMSG);
	cr_expect_eq(chain_parse(&parsed, line, len - 1, &err), -EBADMSG);
}

Test(chain, takes_names_of_stored_files_alone)
{
	cr_expect(chain_is_stored("a_000001_b.pcapng.zst"));
	cr_expect(chain_is_stored("a.pcapng.zst.age"));
	cr_expect_not(chain_is_stored(".a.pcapng.zst"));
	cr_expect_not(chain_is_stored(".pcapng.zst"));
	cr_expect_not(chain_is_stored("a/b.pcapng.zst"));
	cr_expect_not(chain_is_stored("a b.pcapng.zst"));
	cr_expect_not(chain_is_stored("vxprobe.chain"));
	cr_expect(chain_is_name("vxprobe.chain.1"));
	cr_expect_not(chain_is_name(""));
	memset(line, 'a', CHAIN_NAME_MAX);
	line[CHAIN_NAME_MAX] = 0;
	cr_expect_not(chain_is_name(line));
	line[CHAIN_NAME_MAX - 1] = 0;
	cr_expect(chain_is_name(line));
}

Test(chain, reads_hex_in_one_form_alone)
{
	uint8_t out[2];

	cr_expect(chain_unhex("00ff", out, 2));
	cr_expect_eq(out[1], 0xff);
	cr_expect_not(chain_unhex("00FF", out, 2));
	cr_expect_not(chain_unhex("00f", out, 2));
	cr_expect_not(chain_unhex("00ff0", out, 2));
}

/* ---- lines and files ---- */

static FILE *file_of(const char *text, size_t n)
{
	FILE *f = tmpfile();

	cr_assert_eq(fwrite(text, 1, n, f), n);
	rewind(f);
	return f;
}

Test(chain, tells_how_a_line_ends)
{
	FILE *f = file_of("ab\n\ncd", 6);

	cr_expect_eq(chain_read_line(f, line, &len), 1);
	cr_expect_eq(len, 2);
	cr_expect_eq(chain_read_line(f, line, &len), 1);
	cr_expect_eq(len, 0);
	cr_expect_eq(chain_read_line(f, line, &len), -ENODATA);
	cr_expect_str_eq(line, "cd");
	cr_expect_eq(chain_read_line(f, line, &len), 0);
	(void)fclose(f);
}

Test(chain, reads_what_never_ends_in_pieces)
{
	static char text[5 << 15];
	FILE *f = file_of(text, sizeof(text));

	cr_expect_eq(chain_read_line(f, line, &len), -EBADMSG);
	cr_expect_eq(ftell(f), 1 << 16);
	cr_expect_eq(chain_read_line(f, line, &len), -EBADMSG);
	cr_expect_eq(chain_read_line(f, line, &len), -EBADMSG);
	cr_expect_eq(chain_read_line(f, line, &len), 0);
	(void)fclose(f);
}

Test(chain, gives_the_beginning_of_a_line_that_is_too_long)
{
	char *text = malloc(3 * CHAIN_LINE_MAX);

	memset(text, 'x', 3 * CHAIN_LINE_MAX);
	text[CHAIN_LINE_MAX] = '\n';                          /* just fits */
	text[CHAIN_LINE_MAX + 1 + CHAIN_LINE_MAX + 1] = '\n'; /* by one too long */
	FILE *f = file_of(text, 3 * CHAIN_LINE_MAX);
	cr_expect_eq(chain_read_line(f, line, &len), 1);
	cr_expect_eq(chain_read_line(f, line, &len), -EBADMSG);
	cr_expect_eq(len, CHAIN_LINE_MAX);
	cr_expect_eq(chain_read_line(f, line, &len), -ENODATA);
	(void)fclose(f);
	free(text);
}

static uint64_t heard;

static bool hear(void *arg, uint64_t more)
{
	heard += more;
	return heard < *(const uint64_t *)arg;
}

Test(chain, hashes_a_file_as_sha256sum_does)
{
	char path[] = "/tmp/test_chain_XXXXXX", command[192], text[65];
	const int fd = mkstemp(path);
	uint8_t hash[CHAIN_HASH];
	uint64_t n, enough = UINT64_MAX;

	cr_assert_eq(ftruncate(fd, (2 << 20) + 17), 0);
	cr_assert_eq(pwrite(fd, "x", 1, 1 << 20), 1);
	heard = 0;
	cr_assert_eq(chain_hash_fd(fd, hear, &enough, hash, &n), 0);
	cr_expect_eq(n, (2 << 20) + 17);
	cr_expect_eq(heard, n);
	chain_hex(hash, sizeof(hash), text);
	(void)snprintf(command, sizeof(command), "test $(sha256sum <%s | cut -c 1-64) = %s", path,
		       text);
	cr_expect_eq(system(command), 0);
	cr_assert_eq(chain_hash_behind("abc", 3, fd, 1 << 20, NULL, NULL, hash, &n), 0);
	cr_expect_eq(n, (1 << 20) + 17);
	chain_hex(hash, sizeof(hash), text);
	(void)snprintf(
		command, sizeof(command),
		"test $({ printf abc; tail -c +1048577 %s; } | sha256sum | cut -c 1-64) = %s", path,
		text);
	cr_expect_eq(system(command), 0);
	heard = 0;
	enough = 1 << 20;
	cr_expect_eq(chain_hash_fd(fd, hear, &enough, hash, &n), -ECANCELED);
	cr_expect_eq(heard, enough);
	cr_expect_eq(chain_hash_fd(-1, NULL, NULL, hash, &n), -EBADF);
	(void)close(fd);
	(void)unlink(path);
}

Test(chain, has_fingerprints_that_sha256sum_gives)
{
	char text[17];

	chain_fingerprint("age1x", text);
	cr_expect_eq(system("test \"$(printf age1x | sha256sum | cut -c 1-16)\" = "
			    "\"$(cat /dev/null)$X\""),
		     256); /* the shell works */
	(void)setenv("X", text, 1);
	cr_expect_eq(system("test \"$(printf age1x | sha256sum | cut -c 1-16)\" = \"$X\""), 0);
}
