#define _GNU_SOURCE
#include "path/catalogue.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY    "20261121T230254Z"
#define LATER  "20261121T230754Z"
#define FIRST  "a_000001_" DAY "_" LATER ".pcapng.zst.age"
#define SECOND "b_000002_" DAY "_20261121T231754Z.pcapng.zst"
#define CUT    "a_000003_" DAY "_trunc.pcapng.zst.age"
#define OPEN   ".a_000004_" DAY ".part"

static char dir[] = "/tmp/test_catalogue_XXXXXX";
static struct catalogue *catalogue;
static struct err err;

static void reopen(uint32_t files_max)
{
	catalogue_close(catalogue);
	cr_assert_eq(catalogue_open(&catalogue, dir, files_max, &err), 0, "%s", err.text);
}

static void begin(void)
{
	cr_assert_not_null(mkdtemp(dir));
	reopen(64);
}

static void end(void)
{
	char command[64];

	catalogue_close(catalogue);
	(void)snprintf(command, sizeof(command), "rm -rf %s", dir);
	cr_assert_eq(system(command), 0);
}

TestSuite(catalogue, .init = begin, .fini = end);

static const char *path_of(const char *name)
{
	static char path[512];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void put(const char *name, size_t len)
{
	const int fd = open(path_of(name), O_CREAT | O_WRONLY, 0600);

	cr_assert_geq(fd, 0, "%s", name);
	cr_assert(!len || !posix_fallocate(fd, 0, (off_t)len));
	close(fd);
}

static bool exists(const char *name)
{
	struct stat st;

	return !lstat(path_of(name), &st);
}

static struct catalogue_file *file_at(uint32_t i)
{
	uint32_t n;
	struct catalogue_file *f = catalogue_files(catalogue, &n);

	cr_assert_lt(i, n);
	return &f[i];
}

static uint32_t count(void)
{
	uint32_t n;

	(void)catalogue_files(catalogue, &n);
	return n;
}

/* The names as they come, " " behind each, "*" behind the pinned ones. */
static const char *listing(void)
{
	static char text[65536];
	char name[NAME_MAX + 1];
	size_t len = 0;

	text[0] = 0;
	for (uint32_t i = 0; i < count(); i++) {
		catalogue_format(file_at(i), name);
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s ", name,
					file_at(i)->is_pinned ? "*" : "");
	}
	return text;
}

static void scan(void)
{
	cr_assert_eq(catalogue_scan(catalogue, &err), 0, "%s", err.text);
}

/* ---- names ---- */

Test(catalogue, reads_what_a_name_says)
{
	struct catalogue_file f;

	cr_assert(catalogue_parse(&f, "10.0.0.1-4321.2_1234567_" DAY "_" LATER ".pcapng.zst.age"));
	cr_assert_str_eq(f.name, "10.0.0.1-4321.2");
	cr_assert_eq(f.sequence, 1234567);
	cr_assert_eq(f.start_s, 1795302174);
	cr_assert_eq(f.end_s, 1795302474);
	cr_assert_eq(f.kind, CATALOGUE_SEALED);
	cr_assert_not(f.is_plain);
	cr_assert(catalogue_parse(&f, SECOND));
	cr_assert(f.is_plain);
	cr_assert(catalogue_parse(&f, CUT));
	cr_assert_eq(f.kind, CATALOGUE_TRUNC);
	cr_assert_eq(f.end_s, f.start_s);
	cr_assert(catalogue_parse(&f, OPEN));
	cr_assert_eq(f.kind, CATALOGUE_OPEN);
	cr_assert_eq(f.end_s, UINT64_MAX);
}

Test(catalogue, formats_what_it_parsed)
{
	static const char *const names[] = {FIRST, SECOND, CUT, OPEN};
	struct catalogue_file f;
	char name[NAME_MAX + 1];

	for (unsigned i = 0; i < 4; i++) {
		cr_assert(catalogue_parse(&f, names[i]));
		catalogue_format(&f, name);
		cr_assert_str_eq(name, names[i]);
	}
	cr_assert(catalogue_parse_pin(&f, "." FIRST ".pin"));
	catalogue_format_pin(&f, name);
	cr_assert_str_eq(name, "." FIRST ".pin");
}

Test(catalogue, takes_no_other_name_for_a_stored_file)
{
	static const char *const names[] = {
		"",
		".",
		"..",
		"_",
		"a",
		".part",
		".pin",
		"a_000001",
		".a_000001_" DAY,
		"a_00001_" DAY "_" LATER ".pcapng.zst.age",
		"a_0000001_" DAY "_" LATER ".pcapng.zst",
		"a_4294967295_" DAY "_" LATER ".pcapng.zst",
		"a_-00001_" DAY "_" LATER ".pcapng.zst",
		"a_99999999999999999999_" DAY "_" LATER ".pcapng.zst",
		"a_+00001_" DAY "_" LATER ".pcapng.zst",
		"a_ 00001_" DAY "_" LATER ".pcapng.zst",
		"a b_000001_" DAY "_" LATER ".pcapng.zst",
		"\xc3\xa4_000001_" DAY "_" LATER ".pcapng.zst",
		"_000001_" DAY "_" LATER ".pcapng.zst",
		"a__000001_" DAY "_" LATER ".pcapng.zst",
		"a/b_000001_" DAY "_" LATER ".pcapng.zst",
		"..a_000001_" DAY ".part",
		"a_000001_" DAY "_" LATER "_x.pcapng.zst",
		"a_000001_" DAY ".pcapng.zst.age",
		"a_000001_" DAY "_trunc_trunc.pcapng.zst",
		"a_000001_" DAY "_truncated.pcapng.zst",
		"a_000001_20260230T000000Z_" LATER ".pcapng.zst",
		"a_000001_" DAY "_20261121T246000Z.pcapng.zst",
		"a_000001_19691231T235959Z_" LATER ".pcapng.zst",
		"a_000001_2026112XT230254Z_" LATER ".pcapng.zst",
		"a_000001_" DAY "_" LATER ".pcapng",
		"a_000001_" DAY "_" LATER ".pcapng.zst.age.age",
		"a_000001_" DAY "_" LATER ".pcapng.zst\n",
		"a_000001_" DAY "_" LATER ".PCAPNG.zst",
		"." FIRST,
		OPEN ".part",
		".a_000001_" DAY "_" LATER ".part",
		"a1234567890123456789012345678901234567890123456789012345678901234_000001_" DAY
		"_" LATER ".pcapng.zst"};
	struct catalogue_file f;
	char longest[NAME_MAX + 100];

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		cr_expect_not(catalogue_parse(&f, names[i]), "%s", names[i]);
	memset(longest, 'a', sizeof(longest));
	longest[sizeof(longest) - 1] = 0;
	cr_expect_not(catalogue_parse(&f, longest));
	longest[0] = '.';
	cr_expect_not(catalogue_parse_pin(&f, longest));
	cr_expect_not(catalogue_parse_pin(&f, "." OPEN ".pin"));
	cr_expect_not(catalogue_parse_pin(&f, FIRST ".pin"));
}

/* ---- a folder ---- */

Test(catalogue, lists_the_oldest_first_and_open_ones_last)
{
	put(SECOND, 0);
	put(OPEN, 0);
	put(FIRST, 0);
	put(CUT, 0);
	scan();
	cr_assert_str_eq(listing(), CUT " " FIRST " " SECOND " " OPEN " ");
}

Test(catalogue, orders_by_sequence_what_ended_in_the_same_second)
{
	put("a_000010_" DAY "_" LATER ".pcapng.zst", 0);
	put("b_000009_" DAY "_" LATER ".pcapng.zst", 0);
	scan();
	cr_assert_eq(file_at(0)->sequence, 9);
}

Test(catalogue, takes_regular_files_only)
{
	cr_assert_eq(mkdir(path_of(FIRST), 0700), 0);
	cr_assert_eq(symlink("/etc/passwd", path_of(SECOND)), 0);
	cr_assert_eq(mkfifo(path_of(CUT), 0600), 0);
	put("notes.txt", 1);
	scan();
	cr_assert_eq(count(), 0);
}

Test(catalogue, counts_what_a_file_takes_on_the_disk)
{
	put(FIRST, 100000);
	put(CUT, 0);
	cr_assert_eq(truncate(path_of(CUT), 1 << 30), 0);
	scan();
	cr_assert_eq(file_at(0)->bytes, 0);
	cr_assert_geq(file_at(1)->bytes, 100000);
	cr_assert_leq(file_at(1)->bytes, 200000);
}

Test(catalogue, knows_pins_of_any_kind)
{
	put(FIRST, 0);
	put(SECOND, 0);
	put(CUT, 0);
	put("." FIRST ".pin", 0);
	cr_assert_eq(symlink("nowhere", path_of("." CUT ".pin")), 0);
	put(".x_000001_" DAY "_trunc.pcapng.zst.pin", 0);
	scan();
	cr_assert_str_eq(listing(), CUT "* " FIRST "* " SECOND " ");
}

Test(catalogue, a_pin_is_of_one_file_alone)
{
	/* All of them end in the same second and have the same number. */
	put("a_000003_" DAY "_" DAY ".pcapng.zst.age", 0);
	put("a_000003_" DAY "_" DAY ".pcapng.zst", 0);
	put(CUT, 0);
	put("." CUT ".pin", 0);
	scan();
	cr_assert_str_eq(listing(), "a_000003_" DAY "_" DAY ".pcapng.zst.age a_000003_" DAY "_" DAY
				    ".pcapng.zst " CUT "* ");
}

Test(catalogue, follows_changes_one_by_one)
{
	put(SECOND, 0);
	scan();
	put(FIRST, 0);
	catalogue_look(catalogue, FIRST);
	catalogue_look(catalogue, "notes.txt");
	cr_assert_str_eq(listing(), FIRST " " SECOND " ");
	put("." SECOND ".pin", 0);
	catalogue_look(catalogue, "." SECOND ".pin");
	cr_assert_str_eq(listing(), FIRST " " SECOND "* ");
	cr_assert_eq(unlink(path_of("." SECOND ".pin")), 0);
	catalogue_look(catalogue, "." SECOND ".pin");
	cr_assert_eq(unlink(path_of(FIRST)), 0);
	catalogue_look(catalogue, FIRST);
	cr_assert_str_eq(listing(), SECOND " ");
}

Test(catalogue, a_file_that_comes_is_pinned_if_its_pin_came_before)
{
	put("." FIRST ".pin", 0);
	scan();
	put(FIRST, 0);
	catalogue_look(catalogue, FIRST);
	cr_assert_str_eq(listing(), FIRST "* ");
}

Test(catalogue, measures_open_files_as_they_grow)
{
	put(OPEN, 0);
	put(".b_000005_" DAY ".part", 0);
	scan();
	put(OPEN, 100000);
	cr_assert_eq(unlink(path_of(".b_000005_" DAY ".part")), 0);
	catalogue_measure_open(catalogue);
	cr_assert_str_eq(listing(), OPEN " ");
	cr_assert_geq(file_at(0)->bytes, 100000);
}

Test(catalogue, scan_finds_what_it_was_not_told)
{
	put(FIRST, 0);
	put(SECOND, 0);
	put("." SECOND ".pin", 0);
	scan();
	cr_assert_eq(unlink(path_of(FIRST)), 0);
	cr_assert_eq(unlink(path_of("." SECOND ".pin")), 0);
	put(CUT, 0);
	scan();
	cr_assert_str_eq(listing(), CUT " " SECOND " ");
}

Test(catalogue, keeps_the_oldest_of_more_than_fit)
{
	char name[NAME_MAX + 1];
	uint64_t bytes;

	reopen(16);
	for (unsigned i = 0; i < 100; i++) {
		/* In the folder's order, which is none. */
		(void)snprintf(name, sizeof(name), "a_%06u_" DAY "_" DAY ".pcapng.zst", i);
		put(name, 4096);
		(void)snprintf(name, sizeof(name), ".a_%06u_" DAY "_" DAY ".pcapng.zst.pin", i);
		if (i % 2)
			put(name, 0);
	}
	scan();
	cr_assert(count() > 3 && count() <= 16, "%u", count());
	for (uint32_t i = 0; i < count(); i++) {
		cr_assert_eq(file_at(i)->sequence, i);
		cr_assert_eq(file_at(i)->is_pinned, i % 2);
	}
	cr_assert_eq(catalogue_beyond(catalogue, &bytes), 100 - count());
	cr_assert_eq(bytes, (100 - count()) * file_at(0)->bytes);
	cr_assert_not(catalogue_is_stale(catalogue));
	put("b_000100_" DAY "_" LATER ".pcapng.zst", 0);
	catalogue_look(catalogue, "b_000100_" DAY "_" LATER ".pcapng.zst");
	cr_assert(catalogue_is_stale(catalogue));
}

Test(catalogue, takes_the_memory_that_it_says)
{
	cr_assert_leq(catalogue_memory(1000), 1000 * 120 + 1000);
}

/* ---- deleting ---- */

Test(catalogue, deletes_a_file)
{
	put(FIRST, 0);
	put(SECOND, 0);
	scan();
	cr_assert_eq(catalogue_delete(catalogue, file_at(0)), 0);
	cr_assert(file_at(0)->is_gone);
	cr_assert_not(exists(FIRST));
	catalogue_sweep(catalogue);
	cr_assert_str_eq(listing(), SECOND " ");
	cr_assert_eq(unlink(path_of(SECOND)), 0);
	cr_assert_eq(catalogue_delete(catalogue, file_at(0)), -ENOENT);
	cr_assert(file_at(0)->is_gone);
}

Test(catalogue, deletes_neither_open_nor_pinned_nor_locked_files)
{
	put(FIRST, 0);
	put(SECOND, 0);
	put(OPEN, 0);
	scan();
	put("." FIRST ".pin", 0); /* after the scan */
	cr_assert_eq(catalogue_delete(catalogue, file_at(0)), -EBUSY);
	cr_assert(file_at(0)->is_pinned);
	const int fd = open(path_of(SECOND), O_RDONLY);
	cr_assert_eq(flock(fd, LOCK_SH), 0);
	cr_assert_eq(catalogue_delete(catalogue, file_at(1)), -EAGAIN);
	close(fd);
	cr_assert_eq(catalogue_delete(catalogue, file_at(2)), -EBUSY);
	cr_assert(exists(FIRST) && exists(SECOND) && exists(OPEN));
	cr_assert_eq(catalogue_delete(catalogue, file_at(1)), 0);
}

/* Else whoever may read could fill the disk. */
Test(catalogue, deletes_what_somebody_holds_locked_in_the_end)
{
	put(FIRST, 0);
	scan();
	const int fd = open(path_of(FIRST), O_RDONLY);
	cr_assert_eq(flock(fd, LOCK_EX), 0);
	for (unsigned i = 0; i < CATALOGUE_LOCKED_MAX; i++)
		cr_expect_eq(catalogue_delete(catalogue, file_at(0)), -EAGAIN);
	put("." FIRST ".pin", 0);
	cr_expect_eq(catalogue_delete(catalogue, file_at(0)), -EBUSY);
	cr_assert_eq(catalogue_unpin(path_of(FIRST), &err), 0);
	cr_expect_eq(catalogue_delete(catalogue, file_at(0)), 0);
	close(fd);
}

Test(catalogue, deletes_nothing_that_took_a_file_s_place)
{
	put(FIRST, 0);
	put(SECOND, 0);
	scan();
	cr_assert_eq(unlink(path_of(FIRST)), 0);
	cr_assert_eq(mkfifo(path_of(FIRST), 0600), 0);
	cr_assert_eq(unlink(path_of(SECOND)), 0);
	cr_assert_eq(symlink("/etc/passwd", path_of(SECOND)), 0);
	cr_assert_eq(catalogue_delete(catalogue, file_at(0)), -EINVAL);
	cr_assert_eq(catalogue_delete(catalogue, file_at(1)), -ELOOP);
	cr_assert(exists(FIRST) && exists(SECOND));
}

/* ---- pins ---- */

Test(catalogue, pins_and_unpins)
{
	put(FIRST, 0);
	cr_assert_eq(catalogue_pin(path_of(FIRST), &err), 0, "%s", err.text);
	cr_assert(exists("." FIRST ".pin"));
	cr_assert_eq(catalogue_pin(path_of(FIRST), &err), -EEXIST);
	cr_assert_eq(catalogue_unpin(path_of(FIRST), &err), 0);
	cr_assert_not(exists("." FIRST ".pin"));
	cr_assert_eq(catalogue_unpin(path_of(FIRST), &err), -ENOENT);
}

Test(catalogue, pins_only_what_is_there_and_may_be_deleted)
{
	put(OPEN, 0);
	put("notes.txt", 0);
	cr_assert_eq(mkdir(path_of(CUT), 0700), 0);
	cr_assert_eq(catalogue_pin(path_of(OPEN), &err), -EINVAL);
	cr_assert_eq(catalogue_pin(path_of("notes.txt"), &err), -EINVAL);
	cr_assert_eq(catalogue_pin(path_of(CUT), &err), -EINVAL);
	cr_assert_eq(catalogue_pin(path_of(FIRST), &err), -ENOENT);
	cr_assert_eq(catalogue_pin("/nowhere/" FIRST, &err), -ENOENT);
	cr_assert_not(exists("." FIRST ".pin"));
}

Test(catalogue, unpins_what_is_no_longer_there)
{
	put("." FIRST ".pin", 0);
	cr_assert_eq(catalogue_unpin(path_of(FIRST), &err), 0);
}

Test(catalogue, pins_in_the_current_folder)
{
	put(FIRST, 0);
	cr_assert_eq(chdir(dir), 0);
	cr_assert_eq(catalogue_pin(FIRST, &err), 0, "%s", err.text);
	cr_assert(exists("." FIRST ".pin"));
}

Test(catalogue, says_which_folder_cannot_be_opened)
{
	struct catalogue *none = NULL;

	cr_assert_eq(catalogue_open(&none, "/nowhere", 4, &err), -ENOENT);
	cr_assert_str_eq(err.text, "cannot open the folder /nowhere: No such file or directory");
	catalogue_close(NULL);
}
