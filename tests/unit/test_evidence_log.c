#include "run/evidence_log.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "path/chain_walk.h"
#include "run/evidence.h"

static char dir[] = "/tmp/test_evidence_log_XXXXXX";
static int dir_fd;
static struct evidence_log evidence;
static struct err err;
static unsigned n_findings, n_entries;

static void prepare(void)
{
	cr_assert_not_null(mkdtemp(dir));
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY);
	cr_assert_eq(evidence_log_open(&evidence, dir_fd, &err), 0, "%s", err.text);
}

static void remove_dir(void)
{
	char command[64];

	evidence_log_close(&evidence);
	(void)snprintf(command, sizeof(command), "rm -rf %s", dir);
	cr_assert_eq(system(command), 0);
}

TestSuite(evidence_log, .init = prepare, .fini = remove_dir);

static void add(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct chain_entry entry = {.event = CHAIN_STOP};
		cr_assert_eq(evidence_log_add(&evidence, &entry), 0);
	}
}

static void commit(unsigned n)
{
	add(n);
	cr_assert_eq(evidence_log_commit(&evidence), 0);
}

static void reopen(void)
{
	evidence_log_close(&evidence);
	cr_assert_eq(evidence_log_open(&evidence, dir_fd, &err), 0, "%s", err.text);
}

static void take_finding(void *arg, const struct chain_finding *finding)
{
	(void)arg;
	(void)finding;
	n_findings++;
}

static void take_entry(void *arg, const struct chain_entry *entry, bool is_good)
{
	(void)arg;
	(void)entry;
	n_entries += is_good;
}

/* Good entries of the chain; -1: something is wrong with it. */
static int count(const char *name)
{
	static char line[CHAIN_LINE_MAX + 1];
	const struct chain_walk_config config = {.entry = take_entry, .finding = take_finding};
	FILE *f = fdopen(openat(dir_fd, name, O_RDONLY), "r");
	struct chain_walk *walk;
	size_t len;
	int ret;

	n_findings = n_entries = 0;
	cr_assert_eq(chain_walk_open(&walk, &config, &err), 0);
	while ((ret = chain_read_line(f, line, &len)))
		chain_walk_line(walk, line, len, ret);
	chain_walk_end(walk);
	chain_walk_close(walk);
	(void)fclose(f);
	return n_findings ? -1 : (int)n_entries;
}

static size_t size_of(const char *name)
{
	struct stat st;

	return fstatat(dir_fd, name, &st, 0) ? 0 : (size_t)st.st_size;
}

static void cut(size_t size)
{
	const int fd = openat(dir_fd, CHAIN_FILE, O_WRONLY);

	cr_assert_eq(ftruncate(fd, (off_t)size), 0);
	(void)close(fd);
}

Test(evidence_log, goes_on_where_it_was)
{
	commit(3);
	commit(1);
	reopen();
	commit(2);
	cr_expect_eq(count(CHAIN_FILE), 6);
	cr_expect_not(evidence.is_altered);
	cr_expect_str_eq(evidence.aside, "");
}

Test(evidence_log, shows_the_key_to_its_owner_alone)
{
	struct stat st;

	commit(1);
	cr_assert_eq(fstatat(dir_fd, EVIDENCE_KEY_FILE, &st, 0), 0);
	cr_expect_eq(st.st_mode & 07777, 0600);
	cr_expect_eq(size_of(EVIDENCE_KEY_FILE ".new"), 0);
}

Test(evidence_log, overwrites_the_key_before)
{
	static const char zeroes[64];
	char before[64];

	commit(1);
	const int fd = openat(dir_fd, EVIDENCE_KEY_FILE, O_RDONLY);
	cr_assert_eq(pread(fd, before, sizeof(before), 0), (ssize_t)sizeof(before));
	cr_expect_neq(memcmp(before, zeroes, sizeof(zeroes)), 0);
	commit(1);
	cr_assert_eq(pread(fd, before, sizeof(before), 0), (ssize_t)sizeof(before));
	cr_expect_eq(memcmp(before, zeroes, sizeof(zeroes)), 0);
	(void)close(fd);
}

static int put(const char *name, const char *text)
{
	const int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_EXCL, 0600);

	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	return fd;
}

/* It is the old key, or the new one: a secret in any case. */
Test(evidence_log, overwrites_a_key_that_a_crash_left_beside)
{
	static const char zeroes[16];
	char now[16];

	commit(1);
	const int fd = put(EVIDENCE_KEY_FILE ".new", "a secret of old!");
	commit(1);
	cr_assert_eq(pread(fd, now, sizeof(now), 0), (ssize_t)sizeof(now));
	cr_expect_arr_eq(now, zeroes, sizeof(now));
	cr_expect_eq(faccessat(dir_fd, EVIDENCE_KEY_FILE ".new", F_OK, 0), -1);
	cr_expect_eq(count(CHAIN_FILE), 2);
	(void)close(fd);
}

/* Who can write to the folder puts a second name of a file of ours where a key is overwritten. */
Test(evidence_log, leaves_other_files_alone_under_the_names_of_keys)
{
	static const char *const names[] = {EVIDENCE_KEY_FILE, EVIDENCE_KEY_FILE ".new"};
	char now[9] = "";

	const int fd = put("precious", "precious");
	for (unsigned i = 0; i < 2; i++) {
		(void)unlinkat(dir_fd, names[i], 0);
		cr_assert_eq(linkat(dir_fd, "precious", dir_fd, names[i], 0), 0);
		reopen();
		commit(2);
		cr_expect_eq(pread(fd, now, 8, 0), 8);
		cr_expect_str_eq(now, "precious", "%s", names[i]);
		cr_assert_eq(size_of("precious"), 8);
	}
	(void)close(fd);
}

Test(evidence_log, replaces_what_is_no_file_under_the_names_of_keys)
{
	commit(1);
	cr_assert_eq(mkfifoat(dir_fd, EVIDENCE_KEY_FILE ".new", 0600), 0);
	commit(1);
	cr_assert_eq(symlinkat("/etc/passwd", dir_fd, EVIDENCE_KEY_FILE ".new"), 0);
	commit(1);
	cr_expect_eq(count(CHAIN_FILE), 3);
	(void)unlinkat(dir_fd, EVIDENCE_KEY_FILE, 0);
	cr_assert_eq(symlinkat("/etc/passwd", dir_fd, EVIDENCE_KEY_FILE), 0);
	reopen();
	commit(1);
	cr_expect_str_eq(evidence.aside, CHAIN_FILE ".1");
}

/* Only a key that is not there is lost. */
Test(evidence_log, keeps_a_chain_whose_key_cannot_be_read_now)
{
	struct rlimit all, few;

	commit(2);
	evidence_log_close(&evidence);
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &all), 0);
	few = all;
	const int next = dup(dir_fd);
	few.rlim_cur = (rlim_t)next + 1; /* one for the chain, none for the key */
	(void)close(next);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	cr_expect_eq(evidence_log_open(&evidence, dir_fd, &err), -EMFILE);
	cr_expect(strstr(err.text, EVIDENCE_KEY_FILE), "%s", err.text);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &all), 0);
	cr_assert_eq(evidence_log_open(&evidence, dir_fd, &err), 0, "%s", err.text);
	commit(1);
	cr_expect_eq(count(CHAIN_FILE), 3);
}

Test(evidence_log, wants_a_file_for_a_chain)
{
	evidence_log_close(&evidence);
	cr_assert_eq(unlinkat(dir_fd, CHAIN_FILE, 0), 0);
	cr_assert_eq(mkfifoat(dir_fd, CHAIN_FILE, 0600), 0);
	cr_expect_eq(evidence_log_open(&evidence, dir_fd, &err), -EINVAL);
	cr_expect(strstr(err.text, "no regular file"), "%s", err.text);
}

/* At every byte that a crash may have kept of the lines. */
Test(evidence_log, writes_what_a_crash_kept_out_of_the_chain)
{
	commit(2);
	const size_t base = size_of(CHAIN_FILE);
	commit(2);
	const size_t whole = size_of(CHAIN_FILE);
	for (size_t size = base; size <= whole; size += 7) {
		cut(size);
		reopen();
		cr_assert_eq(size_of(CHAIN_FILE), whole);
		cr_assert_eq(count(CHAIN_FILE), 4);
	}
	commit(1);
	cr_expect_eq(count(CHAIN_FILE), 5);
}

Test(evidence_log, goes_on_behind_what_was_altered)
{
	commit(2);
	const size_t base = size_of(CHAIN_FILE);
	commit(2);
	cut(base - 10);
	reopen();
	cr_expect(evidence.is_altered);
	commit(2);
	cr_expect_eq(count(CHAIN_FILE), -1);
	cr_expect_eq(n_entries, 1 + 2);
}

Test(evidence_log, does_not_write_over_what_was_added_meanwhile)
{
	const int fd = openat(dir_fd, CHAIN_FILE, O_WRONLY | O_CREAT, 0600);

	commit(2);
	cr_assert_eq(pwrite(fd, "foreign", 7, (off_t)size_of(CHAIN_FILE)), 7);
	commit(2);
	reopen();
	commit(1);
	cr_expect_eq(count(CHAIN_FILE), -1);
	cr_expect_eq(n_findings, 1);
	cr_expect_eq(n_entries, 5);
	(void)close(fd);
}

Test(evidence_log, puts_a_chain_without_its_key_aside)
{
	commit(3);
	cr_assert_eq(unlinkat(dir_fd, EVIDENCE_KEY_FILE, 0), 0);
	reopen();
	cr_expect_str_eq(evidence.aside, CHAIN_FILE ".1");
	commit(1);
	cr_expect_eq(count(CHAIN_FILE ".1"), 3);
	cr_expect_eq(count(CHAIN_FILE), 1);
	cr_assert_eq(unlinkat(dir_fd, EVIDENCE_KEY_FILE, 0), 0);
	reopen();
	cr_expect_str_eq(evidence.aside, CHAIN_FILE ".2");
}

Test(evidence_log, takes_no_key_file_that_is_none)
{
	static const char *const bad[] = {"", "x\n", "vxprobe-chain-key 1 00 5\n",
					  "vxprobe-chain-key 1 "
					  "00000000000000000000000000000000"
					  "00000000000000000000000000000000 0\n",
					  "vxprobe-chain-key 1 "
					  "00000000000000000000000000000000"
					  "00000000000000000000000000000000 0\n{}\n"};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const int fd =
			openat(dir_fd, EVIDENCE_KEY_FILE, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		cr_assert_eq(write(fd, bad[i], strlen(bad[i])), (ssize_t)strlen(bad[i]));
		(void)close(fd);
		reopen();
		cr_expect_eq(evidence.signer.sequence, 0, "%u", i);
		commit(1);
		cr_expect_eq(count(CHAIN_FILE), 1, "%u", i);
	}
}

Test(evidence_log, is_one_process_alone)
{
	static struct evidence_log second;

	cr_expect_eq(evidence_log_open(&second, dir_fd, &err), -EBUSY);
	cr_expect(strstr(err.text, "another process"), "%s", err.text);
}

Test(evidence_log, wants_a_commit_when_it_is_full)
{
	struct chain_entry entry = {.event = CHAIN_STOP};
	unsigned n = 0;

	while (!evidence_log_is_full(&evidence)) {
		add(1);
		n++;
	}
	cr_expect_eq(evidence_log_add(&evidence, &entry), -ENOBUFS);
	commit(0);
	cr_expect_eq(count(CHAIN_FILE), (int)n);
}

static void limit_files(rlim_t len)
{
	const struct rlimit limit = {len, RLIM_INFINITY};

	(void)signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* No file may grow past so many bytes, as on a full disk; then it may. */
Test(evidence_log, can_commit_again_what_failed)
{
	commit(5);
	const size_t before = size_of(CHAIN_FILE);
	add(2);
	limit_files(before + 100); /* the key file has room, the chain has not */
	cr_expect_eq(evidence_log_commit(&evidence), -EFBIG);
	cr_expect_eq(size_of(CHAIN_FILE), before);
	limit_files(10); /* nor has the key file */
	cr_expect_eq(evidence_log_commit(&evidence), -EFBIG);
	limit_files(RLIM_INFINITY);
	commit(1);
	cr_expect_eq(count(CHAIN_FILE), 8);
	reopen();
	commit(1);
	cr_expect_eq(count(CHAIN_FILE), 9);
}
