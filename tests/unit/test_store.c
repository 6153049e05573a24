#define _GNU_SOURCE /* asprintf */
#include "path/store.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SUFFIX   ".pcapng.zst.age"
#define START_NS UINT64_C(1795302174123456789) /* 2026-11-21T23:02:54Z */
#define END_NS   (START_NS + UINT64_C(300000000000))

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
	const struct store_config config = {
		.dir = dir, .name = name, .suffix = SUFFIX, .recover_all_names = is_first};
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
	const struct store_config config = {.dir = folder, .name = name, .suffix = SUFFIX};
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
	cr_assert_eq(store_written(store), 5);
}

static void commit(struct store *store)
{
	struct err err;

	cr_assert_eq(store_commit(store, END_NS, &err), 0, "%s", err.text);
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
	touch("probe_99999999999999999999_x");
	touch("probe_12x_y");
	store = open_store("probe");
	begin(store);
	cr_assert(exists(".probe_000042_20261121T230254Z.part"));
	store_close(store);
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
	cr_assert(exists("probe_000001_20261121T230254Z_trunc" SUFFIX));
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

/* Sessions swap their NAMEs: each ends its file later. */
Test(store, a_shared_name_can_be_had_while_another_still_writes_under_it)
{
	const struct store_config config = {
		.dir = dir, .name = "amf", .suffix = SUFFIX, .is_shared = true};
	struct store *before = open_store("amf"), *store;
	struct err err;

	begin(before);
	cr_assert_eq(store_open(&store, &config, &err), 0, "%s", err.text);
	begin(store);
	cr_expect(exists(".amf_000001_20261121T230254Z.part"));
	cr_expect(exists(".amf_000002_20261121T230254Z.part"));
	commit(store);
	commit(before);
	store_close(store);
	store_close(before);
}

Test(store, what_a_killed_run_left_under_a_shared_name_is_renamed)
{
	const struct store_config config = {
		.dir = dir, .name = "amf", .suffix = SUFFIX, .is_shared = true};
	struct store *store;
	struct err err;

	touch(".amf_000001_20261121T230254Z.part");
	cr_assert_eq(store_open(&store, &config, &err), 0, "%s", err.text);
	cr_expect(exists("amf_000001_20261121T230254Z_trunc" SUFFIX));
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
	cr_assert_eq(store_write(store, (const uint8_t *)"hello", 5), -EFBIG);
	cr_assert_eq(store_written(store), 8);
	store_abandon(store);
	cr_assert(exists("probe_000001_20261121T230254Z_trunc" SUFFIX));
	store_close(store);
}
