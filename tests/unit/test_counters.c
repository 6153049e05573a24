#include "run/counters.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], name[96];
static struct stats_last_run last;
static struct err err;

static void setup(void)
{
	(void)strcpy(folder, "/tmp/counters.XXXXXX");
	cr_assert(mkdtemp(folder));
	(void)snprintf(name, sizeof(name), "%s/file", folder);
}

static void teardown(void)
{
	(void)unlink(name);
	(void)rmdir(folder);
}

TestSuite(counters, .init = setup, .fini = teardown);

static struct counters *opened(void)
{
	struct counters *c = NULL;

	memset(&last, 0xff, sizeof(last));
	cr_assert_eq(counters_open(&c, name, &last, &err), 0, "%s", err.text);
	return c;
}

/* A run that is killed after so many turns. */
static void run(uint64_t turns)
{
	struct counters *c = opened();

	for (uint64_t i = 1; i <= turns; i++)
		counters_write(c, &(struct ledger){.seen = 10 * i, .fate = {[FATE_KEPT] = i}},
			       1000 * i);
	counters_close(c, false);
}

static void damage(off_t at)
{
	const int fd = open(name, O_RDWR);
	uint8_t byte;

	cr_assert(fd >= 0 && pread(fd, &byte, 1, at) == 1);
	byte ^= 1;
	cr_assert_eq(pwrite(fd, &byte, 1, at), 1);
	(void)close(fd);
}

Test(counters, the_next_run_finds_the_last_counts)
{
	for (uint64_t turns = 1; turns < 5; turns++) {
		run(turns);
		counters_close(opened(), false);
		cr_assert_eq(last.end_ns, 1000 * turns);
		cr_assert_eq(last.seen, 10 * turns);
		cr_assert_eq(last.fate[FATE_KEPT], turns);
		cr_assert_eq(last.fate[FATE_DISK_FULL], 0);
	}
}

Test(counters, a_start_that_fails_leaves_the_last_counts)
{
	for (uint64_t turns = 1; turns < 5; turns++) {
		run(turns);
		for (unsigned starts = 0; starts < 3; starts++) {
			counters_close(opened(), false);
			cr_assert_eq(last.end_ns, 1000 * turns);
		}
	}
}

/* The first turn of a run is cut in the middle: the last run's counts are still there. */
Test(counters, what_is_written_first_spares_the_later_slot)
{
	struct stat st;

	for (uint64_t turns = 2; turns < 4; turns++) {
		(void)unlink(name);
		run(turns);
		run(1);
		cr_assert_eq(stat(name, &st), 0);
		damage((turns + 1) % 2 * st.st_size / 2 + 40);
		counters_close(opened(), false);
		cr_assert_eq(last.end_ns, 1000 * turns);
	}
}

Test(counters, a_first_run_and_one_behind_an_orderly_end_find_nothing)
{
	struct counters *c = opened();

	cr_assert_eq(last.end_ns, 0);
	counters_write(c, &(struct ledger){.seen = 1}, 5);
	counters_close(c, true);
	cr_assert_neq(access(name, F_OK), 0);
	counters_close(opened(), false);
	cr_assert_eq(last.end_ns, 0);
}

Test(counters, a_slot_that_was_being_written_leaves_the_one_before)
{
	struct stat st;

	run(3);
	cr_assert_eq(stat(name, &st), 0);
	damage(st.st_size / 2 + 40); /* the third is in the second slot */
	counters_close(opened(), false);
	cr_assert_eq(last.end_ns, 2000);
}

Test(counters, what_is_no_file_of_ours_is_nothing)
{
	for (size_t len = 0; len < 1000; len += 99) {
		FILE *f = fopen(name, "we");
		for (size_t i = 0; i < len; i++)
			(void)fputc('x', f);
		(void)fclose(f);
		counters_close(opened(), false);
		cr_assert_eq(last.end_ns, 0);
	}
}

Test(counters, two_probes_do_not_share_a_file)
{
	struct counters *c = opened(), *other;

	cr_assert_eq(counters_open(&other, name, &last, &err), -EBUSY);
	cr_assert(strstr(err.text, name) && strstr(err.text, "another probe"), "%s", err.text);
	counters_close(c, true);
	counters_close(NULL, true);
	counters_write(NULL, &(struct ledger){0}, 1);
}

Test(counters, a_link_is_not_followed)
{
	cr_assert_eq(symlink("elsewhere", name), 0);
	struct counters *c;
	cr_assert_eq(counters_open(&c, name, &last, &err), -ELOOP);
}

Test(counters, the_file_is_named_after_the_folder)
{
	char made[128], want[128];

	if (geteuid())
		cr_skip_test("root makes " COUNTERS_DIR);
	cr_assert_eq(counters_name(made, sizeof(made), folder, &err), 0, "%s", err.text);
	(void)snprintf(want, sizeof(want), COUNTERS_DIR "/counters-tmp-%s", folder + 5);
	cr_assert_str_eq(made, want);
	cr_assert_eq(counters_name(made, sizeof(made), "/no/such/folder", &err), -ENOENT);
	cr_assert(strstr(err.text, "/no/such/folder"));
}
