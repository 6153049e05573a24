#define _GNU_SOURCE /* unshare, O_DIRECT */
#include "path/store.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/syscalls.h"

#define SUFFIX     ".pcapng.zst.age"
#define BUFFER_LEN (4 * STORE_BLOCK)
#define START_NS   UINT64_C(1795302174123456789) /* 2026-11-21T23:02:54Z */
#define END_NS     (START_NS + UINT64_C(300000000000))

static _Atomic uint32_t highest;
static char dir[] = "/tmp/test_store_XXXXXX";

static void make_dir(void)
{
	cr_assert_not_null(mkdtemp(dir));
}

static void remove_dir(void)
{
	char command[64];

	(void)snprintf(command, sizeof(command), "rm -rf %s", dir);
	cr_assert_eq(system(command), 0);
}

TestSuite(store, .init = make_dir, .fini = remove_dir);

static struct store *open_any_store(const char *name, bool is_first)
{
	const struct store_config config = {.dir = dir,
					    .name = name,
					    .suffix = SUFFIX,
					    .highest = &highest,
					    .buffer_len = BUFFER_LEN,
					    .recover_all_names = is_first};
	struct store *store;
	struct err err;

	cr_assert_eq(store_open(&store, &config, &err), 0, "%s", err.text);
	return store;
}

static struct store *open_store(const char *name)
{
	return open_any_store(name, false);
}

static struct store *open_first_store(const char *name)
{
	return open_any_store(name, true);
}

static int try_open(const char *name, const char *folder)
{
	const struct store_config config = {.dir = folder,
					    .name = name,
					    .suffix = SUFFIX,
					    .highest = &highest,
					    .buffer_len = BUFFER_LEN};
	struct store *store = NULL;
	struct err err;
	const int ret = store_open(&store, &config, &err);

	store_close(store);
	return ret;
}

static void begin(struct store *store)
{
	struct err err;

	cr_assert_eq(store_begin(store, START_NS, &err), 0, "%s", err.text);
	cr_assert_eq(store_write(store, (const uint8_t *)"hello", 5), 0);
	cr_assert_eq(store_flush(store), 0);
	cr_assert_eq(store_written(store), 5);
}

static void commit(struct store *store)
{
	struct err err;

	cr_assert_eq(store_commit(store, START_NS, END_NS, &err), 0, "%s", err.text);
}

static bool exists(const char *name)
{
	char path[256];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return !stat(path, &st);
}

static void touch(const char *name)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	const int fd = open(path, O_CREAT | O_WRONLY, 0600);
	cr_assert_geq(fd, 0);
	close(fd);
}

static unsigned count_files(void)
{
	DIR *d = opendir(dir);
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n - 2; /* . and .. */
}

Test(store, a_file_is_hidden_until_it_is_committed)
{
	struct store *store = open_store("probe");

	begin(store);
	cr_assert(exists(".probe_000001_20261121T230254Z.part"));
	cr_assert_eq(count_files(), 1);
	commit(store);
	cr_assert(exists("probe_000001_20261121T230254Z_20261121T230754Z" SUFFIX));
	cr_assert_eq(count_files(), 1);
	store_close(store);
}

Test(store, a_committed_name_begins_with_the_earliest_packet)
{
	struct store *store = open_store("probe");
	struct err err;

	begin(store);
	cr_assert_eq(store_commit(store, START_NS - UINT64_C(2000000000), END_NS, &err), 0);
	cr_assert(exists("probe_000001_20261121T230252Z_20261121T230754Z" SUFFIX));
	store_close(store);
}

Test(store, sequence_numbers_go_on_where_the_highest_left_off)
{
	struct store *store = open_store("probe");

	begin(store);
	commit(store);
	begin(store);
	commit(store);
	store_close(store);
	touch("probe_000041_20261121T230254Z_trunc" SUFFIX);
	touch("other_000099_20261121T230254Z_trunc" SUFFIX);
	touch("other_1000000000_20261121T230254Z_trunc" SUFFIX); /* no probe comes to it */
	touch("probe_4294967294_20261121T230254Z_trunc" SUFFIX);
	touch("probe_000100_notes");
	touch("probe_99999999999999999999_x");
	touch("probe_12x_y");
	store = open_store("probe");
	begin(store);
	cr_assert(exists(".probe_000100_20261121T230254Z.part"));
	store_close(store);
}

Test(store, all_stores_of_a_folder_have_one_count)
{
	struct store *a = open_store("a"), *b = open_store("b");

	begin(a);
	begin(b);
	commit(a);
	begin(a);
	cr_expect(exists(".b_000002_20261121T230254Z.part"));
	cr_expect(exists(".a_000003_20261121T230254Z.part"));
	store_close(a);
	store_close(b);
}

Test(store, an_abandoned_file_keeps_its_bytes_under_a_trunc_name)
{
	struct store *store = open_store("10.0.0.1-4321.2");
	struct stat st;
	char path[256];

	begin(store);
	store_abandon(store);
	store_abandon(store);
	(void)snprintf(path, sizeof(path),
		       "%s/10.0.0.1-4321.2_000001_20261121T230254Z_trunc" SUFFIX, dir);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_size, 5);
	begin(store);
	cr_assert(exists(".10.0.0.1-4321.2_000002_20261121T230254Z.part"));
	store_close(store);
	cr_assert(exists("10.0.0.1-4321.2_000002_20261121T230254Z_trunc" SUFFIX));
}

Test(store, what_a_killed_run_left_is_renamed_at_the_next_start)
{
	const pid_t child = fork();

	if (child == 0) {
		begin(open_store("probe"));
		(void)kill(getpid(), SIGKILL);
	}
	cr_assert_eq(waitpid(child, NULL, 0), child);
	cr_assert(exists(".probe_000001_20261121T230254Z.part"));
	struct store *store = open_store("probe");
	cr_assert(exists("probe_000001_20261121T230254Z_trunc.pcapng.zst"));
	begin(store);
	cr_assert(exists(".probe_000002_20261121T230254Z.part"));
	store_close(store);
}

Test(store, parts_of_another_name_are_recovered_too)
{
	touch(".other_000001_20261121T230254Z.part");
	store_close(open_store("probe"));
	cr_assert(exists(".other_000001_20261121T230254Z.part"), "not asked for");
	store_close(open_first_store("probe"));
	cr_assert_not(exists(".other_000001_20261121T230254Z.part"));
	cr_assert(exists("other_000001_20261121T230254Z_trunc" SUFFIX));
}

static void put_text(const char *name, const char *text)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "w");
	cr_assert(f && fputs(text, f) >= 0 && !fclose(f));
}

/* By its first bytes, not by whom it is found. */
Test(store, what_is_left_gets_the_suffix_of_what_it_is)
{
	const struct store_config config = {.dir = dir,
					    .name = "probe",
					    .suffix = ".pcapng.zst",
					    .highest = &highest,
					    .buffer_len = BUFFER_LEN,
					    .recover_all_names = true};
	struct store *store;
	struct err err;

	put_text(".probe_000001_20261121T230254Z.part", "age-encryption.org/v1\n-> X25519");
	put_text(".probe_000002_20261121T230254Z.part", "age-encr");
	put_text(".voice_000001_20261121T230254Z.part", "age-encryption.org/v1\n-> X25519");
	put_text(".voice_000002_20261121T230254Z.part", "\x28\xb5\x2f\xfd");
	put_text(".voice_000003_20261121T230254Z.part", "");
	cr_assert_eq(store_open(&store, &config, &err), 0, "%s", err.text);
	store_close(store);
	cr_expect(exists("probe_000001_20261121T230254Z_trunc.pcapng.zst.age"));
	cr_expect(exists("probe_000002_20261121T230254Z_trunc.pcapng.zst.age"));
	cr_expect(exists("voice_000001_20261121T230254Z_trunc.pcapng.zst.age"));
	cr_expect(exists("voice_000002_20261121T230254Z_trunc.pcapng.zst"));
	cr_expect(exists("voice_000003_20261121T230254Z_trunc.pcapng.zst"));
	put_text(".probe_000003_20261121T230254Z.part", "\x28\xb5\x2f\xfd");
	store_close(open_store("probe"));
	cr_expect(exists("probe_000003_20261121T230254Z_trunc.pcapng.zst"));
}

Test(store, parts_that_no_store_has_named_are_left_alone)
{
	touch(".download.part");
	store_close(open_first_store("probe"));
	cr_assert(exists(".download.part"));
}

Test(store, parts_that_another_probe_writes_under_another_name_are_left_alone)
{
	struct store *other = open_store("other");

	begin(other);
	store_close(open_first_store("probe"));
	cr_assert(exists(".other_000001_20261121T230254Z.part"));
	store_close(other);
}

Test(store, a_file_that_another_writer_has_open_is_not_touched)
{
	struct store *store = open_store("probe");

	begin(store);
	cr_assert_eq(try_open("probe", dir), -EBUSY);
	cr_assert(exists(".probe_000001_20261121T230254Z.part"));
	commit(store);
	cr_assert_eq(try_open("probe", dir), 0);
	store_close(store);
}

static void recover(void)
{
	char from[256], to[256];

	(void)snprintf(from, sizeof(from), "%s/.probe_000001_20261121T230254Z.part", dir);
	(void)snprintf(to, sizeof(to), "%s/probe_000001_20261121T230254Z_trunc" SUFFIX, dir);
	cr_assert_eq(rename(from, to), 0);
	syscalls.before_flock = NULL;
}

/* Another probe starts, and finds the file before it is locked. */
Test(store, a_file_that_is_renamed_before_it_is_locked_is_not_written)
{
	struct store *store = open_store("probe");
	struct err err;

	syscalls.before_flock = recover;
	cr_assert_eq(store_begin(store, START_NS, &err), -EBUSY);
	begin(store);
	commit(store);
	cr_assert(exists("probe_000002_20261121T230254Z_20261121T230754Z" SUFFIX));
	store_close(store);
}

static struct store *open_late_store(const char *name)
{
	const struct store_config config = {.dir = dir,
					    .name = name,
					    .suffix = SUFFIX,
					    .buffer_len = BUFFER_LEN,
					    .highest = &highest,
					    .is_late = true};
	struct store *store;
	struct err err;

	cr_assert_eq(store_open(&store, &config, &err), 0, "%s", err.text);
	return store;
}

/* Sessions swap their NAMEs: each ends its file later. */
Test(store, a_late_one_can_have_a_name_under_which_another_still_writes)
{
	struct store *before = open_store("amf"), *store;

	begin(before);
	store = open_late_store("amf");
	begin(store);
	cr_expect(exists(".amf_000001_20261121T230254Z.part"));
	cr_expect(exists(".amf_000002_20261121T230254Z.part"));
	commit(store);
	commit(before);
	store_close(store);
	store_close(before);
}

Test(store, a_late_one_goes_on_with_the_count_and_reads_no_folder)
{
	touch("amf_000007_20261121T230254Z_trunc" SUFFIX);
	store_close(open_first_store("probe"));
	touch(".amf_000009_20261121T230254Z.part");
	struct store *store = open_late_store("amf");
	begin(store);
	cr_expect(exists(".amf_000008_20261121T230254Z.part"));
	cr_expect(exists(".amf_000009_20261121T230254Z.part"));
	store_close(store);
}

Test(store, names_that_would_be_ambiguous_are_refused)
{
	const char *const bad[] = {"", "a_b", ".a", "a/b", "a b", "\xc3\xa4"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(try_open(bad[i], dir), -EINVAL, "%s", bad[i]);
	cr_assert_eq(try_open("2001:db8::1-4321.2", dir), 0);
}

Test(store, a_missing_folder_is_an_error)
{
	cr_assert_eq(try_open("probe", "/nonexistent"), -ENOENT);
}

Test(store, a_write_that_is_refused_halfway_is_an_error)
{
	const struct rlimit limit = {.rlim_cur = 8, .rlim_max = 8};
	struct store *store = open_store("probe");

	(void)signal(SIGXFSZ, SIG_IGN);
	begin(store);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	cr_assert_eq(store_write(store, (const uint8_t *)"hello", 5), 0);
	cr_assert_eq(store_flush(store), -EFBIG);
	cr_assert_eq(store_written(store), 8);
	store_abandon(store);
	cr_assert(exists("probe_000001_20261121T230254Z_trunc" SUFFIX));
	store_close(store);
}

/* ---- how bytes are written ---- */

#define LEN (10 * BUFFER_LEN + 777)

static uint8_t given[LEN];

static void fill_given(void)
{
	for (size_t i = 0; i < LEN; i++)
		given[i] = (uint8_t)(i * 2654435761u >> 13);
}

static void begin_empty(struct store *store)
{
	struct err err;

	cr_assert_eq(store_begin(store, START_NS, &err), 0, "%s", err.text);
}

/* The one file in the folder is the first len bytes of what was given. */
static void assert_file_is(const char *name, size_t len)
{
	static uint8_t got[LEN + 1];
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	const int fd = open(path, O_RDONLY);
	cr_assert_geq(fd, 0, "%s", path);
	cr_assert_eq(read(fd, got, sizeof(got)), (ssize_t)len);
	cr_assert(!memcmp(got, given, len));
	close(fd);
}

#define PART_NAME   "." NAME_START ".part"
#define NAME_START  "probe_000001_20261121T230254Z"
#define SEALED_NAME NAME_START "_20261121T230754Z" SUFFIX

/* Gives all that was not given, in pieces of many lengths; flushes every third time. */
static void write_in_pieces(struct store *store)
{
	size_t at = 0;

	for (unsigned i = 0; at < LEN; i++) {
		size_t n = i % 5 == 4 ? 3 * BUFFER_LEN : 1 + i * 997 % STORE_BLOCK * 2;
		n = n < LEN - at ? n : LEN - at;
		cr_assert_eq(store_write(store, given + at, n), 0);
		at += n;
		if (i % 3 == 2)
			cr_assert_eq(store_flush(store), 0);
		cr_assert_eq(store_taken(store), at);
		cr_assert(i % 3 == 2 ? store_written(store) == at
				     : store_written(store) >= at - at % BUFFER_LEN);
		assert_file_is(PART_NAME, store_written(store));
	}
}

Test(store, file_has_at_any_moment_the_first_bytes_of_what_it_will_be)
{
	struct store *store = open_store("probe");

	fill_given();
	begin_empty(store);
	write_in_pieces(store);
	commit(store);
	assert_file_is(SEALED_NAME, LEN);
	store_close(store);
}

Test(store, bytes_count_as_written_by_whole_buffers_or_a_flush)
{
	struct store *store = open_store("probe");

	begin_empty(store);
	cr_assert_eq(store_write(store, given, BUFFER_LEN - 1), 0);
	cr_assert_eq(store_taken(store), BUFFER_LEN - 1);
	cr_assert_eq(store_written(store), 0);
	cr_assert_eq(store_write(store, given, 2), 0);
	cr_assert_eq(store_written(store), BUFFER_LEN);
	cr_assert_eq(store_flush(store), 0);
	cr_assert_eq(store_written(store), BUFFER_LEN + 1);
	cr_assert_eq(store_flush(store), 0);
	store_close(store);
}

/* Flags of the open .part, as fdinfo has them. */
static unsigned long part_flags(void)
{
	unsigned long flags = 0;

	for (int fd = 0; fd < 64; fd++) {
		char path[64], to[256], line[256];
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		const ssize_t n = readlink(path, to, sizeof(to) - 1);
		if (n < 5 || memcmp(to + n - 5, ".part", 5))
			continue;
		(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
		FILE *f = fopen(path, "r");
		while (f && fgets(line, sizeof(line), f))
			(void)sscanf(line, "flags: %lo", &flags);
		cr_assert(f && !fclose(f));
	}
	return flags;
}

static long blocks_of(const char *name)
{
	char path[256];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	cr_assert_eq(stat(path, &st), 0);
	return (long)st.st_blocks * 512;
}

Test(store, whole_buffers_go_past_the_page_cache_and_tails_through_it)
{
	struct store *store = open_store("probe");

	begin_empty(store);
	cr_assert_eq(store_write(store, given, BUFFER_LEN), 0);
	cr_assert(part_flags() & O_DIRECT, "or /tmp is a file system that refuses it");
	cr_assert_eq(store_write(store, given, 5), 0);
	cr_assert_eq(store_flush(store), 0);
	cr_assert_not(part_flags() & O_DIRECT);
	cr_assert_eq(store_write(store, given, BUFFER_LEN), 0);
	cr_assert(part_flags() & O_DIRECT);
	store_close(store);
}

Test(store, space_is_allocated_ahead_and_given_back)
{
	struct store *store = open_store("probe");

	begin_empty(store);
	cr_assert_eq(store_write(store, given, BUFFER_LEN - 1), 0);
	cr_assert_eq(store_flush(store), 0);
	cr_assert_leq(blocks_of(PART_NAME), BUFFER_LEN, "a thin file has none");
	cr_assert_eq(store_write(store, given, 9 * BUFFER_LEN), 0);
	cr_assert_geq(blocks_of(PART_NAME), 11 * BUFFER_LEN);
	cr_assert_leq(blocks_of(PART_NAME), 19 * BUFFER_LEN, "as much as the file has");
	commit(store);
	cr_assert_leq(blocks_of(SEALED_NAME), 10 * BUFFER_LEN);
	store_close(store);
}

Test(store, space_that_a_killed_run_had_allocated_is_given_back)
{
	const pid_t child = fork();

	if (child == 0) {
		struct store *store = open_store("probe");
		begin_empty(store);
		(void)store_write(store, given, 8 * BUFFER_LEN);
		(void)kill(getpid(), SIGKILL);
	}
	cr_assert_eq(waitpid(child, NULL, 0), child);
	cr_assert_geq(blocks_of(PART_NAME), 9 * BUFFER_LEN);
	store_close(open_store("probe"));
	cr_assert_leq(blocks_of(NAME_START "_trunc.pcapng.zst"), 8 * BUFFER_LEN);
}

/* ramfs knows neither O_DIRECT nor fallocate. */
Test(store, file_system_that_refuses_both_is_written_without)
{
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", dir, "ramfs", 0, NULL))
		cr_skip_test("no mount without privilege");
	struct store *store = open_store("probe");
	fill_given();
	begin_empty(store);
	write_in_pieces(store);
	cr_assert_not(part_flags() & O_DIRECT);
	commit(store);
	assert_file_is(SEALED_NAME, LEN);
	store_close(store);
	cr_assert_eq(umount2(dir, MNT_DETACH), 0);
}

Test(store, what_is_written_is_unsynced_until_a_sync)
{
	struct store *store = open_store("probe");

	begin_empty(store);
	cr_assert_eq(store_write(store, given, BUFFER_LEN + 5), 0);
	cr_assert_eq(store_unsynced(store), BUFFER_LEN);
	cr_assert_eq(store_sync(store), 0);
	cr_assert_eq(store_unsynced(store), 0);
	commit(store);
	cr_assert_eq(store_unsynced(store), 0);
	store_close(store);
}

/* A new file's name is the folder's, which a power failure may have without it. */
Test(store, first_sync_of_a_file_is_of_its_name_too)
{
	struct store *store = open_store("probe");

	for (unsigned i = 0; i < 2; i++) {
		syscalls.n_folder = 0;
		begin(store);
		cr_assert_eq(syscalls.n_folder, 0);
		cr_assert_eq(store_sync(store), 0);
		cr_assert_eq(syscalls.n_folder, 1);
		cr_assert_eq(store_write(store, given, BUFFER_LEN), 0);
		cr_assert_eq(store_sync(store), 0);
		cr_assert_eq(syscalls.n_folder, 1);
		commit(store);
		cr_assert_eq(syscalls.n_folder, 2);
	}
	store_close(store);
}

Test(store, what_has_no_synced_name_is_not_synced)
{
	struct store *store = open_store("probe");

	begin(store);
	syscalls.folder_error = EIO;
	cr_assert_eq(store_sync(store), -EIO);
	cr_assert_eq(store_unsynced(store), 5);
	store_close(store);
}

Test(store, a_sync_that_failed_is_not_tried_again)
{
	struct store *store = open_store("probe");

	begin(store);
	syscalls.fdatasync_error = EIO;
	cr_assert_eq(store_sync(store), -EIO);
	syscalls.fdatasync_error = 0;
	cr_assert_eq(store_sync(store), -EIO);
	cr_assert_eq(store_unsynced(store), 5);
	cr_assert_eq(syscalls.n_fdatasync, 1);
	store_abandon(store);
	begin(store);
	cr_assert_eq(store_sync(store), 0, "another file");
	store_close(store);
}

Test(store, tells_under_which_name_the_last_file_lies)
{
	struct store *store = open_store("probe");

	cr_expect_str_eq(store_last(store), "");
	begin(store);
	commit(store);
	cr_expect(exists(store_last(store)), "%s", store_last(store));
	begin(store);
	store_abandon(store);
	cr_expect(strstr(store_last(store), "_trunc") && exists(store_last(store)));
	begin(store);
	store_discard(store);
	cr_expect_str_eq(store_last(store), "");
	store_close(store);
}

/* ---- memory ---- */

Test(store, open_file_takes_no_more_memory_than_is_said)
{
	enum { STORES = 16, BUFFER = 4 * STORE_BLOCK };
	struct store *stores[STORES + 1];

	size_t before = 0;
	for (unsigned i = 0; i <= STORES; i++) {
		char name[8];
		struct err err;

		(void)snprintf(name, sizeof(name), "p%u", i);
		const struct store_config config = {.dir = dir,
						    .name = name,
						    .suffix = ".pcapng.zst",
						    .buffer_len = BUFFER,
						    .highest = &highest};
		cr_assert_eq(store_open(&stores[i], &config, &err), 0, "%s", err.text);
		cr_assert_eq(store_begin(stores[i], 0, &err), 0, "%s", err.text);
		if (i == 0) /* what libraries take once is taken */
			before = mallinfo2().uordblks;
	}
	const size_t taken = (mallinfo2().uordblks - before) / STORES;
	for (unsigned i = 0; i <= STORES; i++)
		store_close(stores[i]);
	cr_assert_leq(taken, store_memory(BUFFER));
	cr_assert_leq(store_memory(BUFFER), BUFFER + 2 * STORE_BLOCK);
}
