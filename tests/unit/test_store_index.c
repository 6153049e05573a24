#include "path/store.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_NS UINT64_C(1795302174123456789) /* 2026-11-21T23:02:54Z */
#define PART     ".probe_000001_20261121T230254Z.part"
#define INDEX    PART ".index"

static _Atomic uint32_t highest;
static char dir[] = "/tmp/test_store_index_XXXXXX";

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

TestSuite(store_index, .init = make_dir, .fini = remove_dir);

static const char *path_of(const char *name)
{
	static char path[512];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static bool exists(const char *name)
{
	return !access(path_of(name), F_OK);
}

static void touch(const char *name)
{
	const int fd = open(path_of(name), O_CREAT | O_WRONLY, 0600);

	cr_assert_geq(fd, 0);
	close(fd);
}

static struct store *open_store(const char *name, bool is_first)
{
	const struct store_config config = {.dir = dir,
					    .name = name,
					    .highest = &highest,
					    .suffix = ".pcapng.zst.age",
					    .buffer_len = 4 * STORE_BLOCK,
					    .recover_all_names = is_first};
	struct store *store;
	struct err err;

	cr_assert_eq(store_open(&store, &config, &err), 0, "%s", err.text);
	return store;
}

static void write_both(struct store *store)
{
	struct err err;

	cr_assert_eq(store_begin(store, START_NS, &err), 0, "%s", err.text);
	store_write_index(store, (const uint8_t *)"one", 3);
	store_write_index(store, (const uint8_t *)"two", 3);
	cr_assert_eq(store_write(store, (const uint8_t *)"hello", 5), 0);
	cr_assert_eq(store_flush(store), 0);
}

static void commit(struct store *store)
{
	struct err err;

	cr_assert_eq(store_commit(store, START_NS, START_NS, &err), 0, "%s", err.text);
}

Test(store_index, it_is_appended_at_once_and_gone_with_the_open_file)
{
	struct store *store = open_store("probe", false);
	char text[8] = "";

	for (unsigned i = 0; i < 3; i++) {
		char index[80];
		(void)snprintf(index, sizeof(index), ".probe_%06u_20261121T230254Z.part.index",
			       i + 1);
		write_both(store);
		const int fd = open(path_of(index), O_RDONLY);
		cr_assert_eq(read(fd, text, sizeof(text)), 6);
		cr_assert_eq(memcmp(text, "onetwo", 6), 0);
		close(fd);
		if (i == 0)
			commit(store);
		else if (i == 1)
			store_abandon(store);
		else
			store_discard(store);
		cr_assert_not(exists(index));
	}
	store_close(store);
}

Test(store_index, without_a_word_of_it_there_is_none)
{
	struct store *store = open_store("probe", false);
	struct err err;

	cr_assert_eq(store_begin(store, START_NS, &err), 0);
	cr_assert(exists(PART) && !exists(INDEX));
	commit(store);
	store_close(store);
}

Test(store_index, failure_ends_it_and_nothing_else)
{
	struct store *store = open_store("probe", false);

	cr_assert_eq(mkdir(path_of(INDEX), 0700), 0); /* it cannot be created */
	write_both(store);
	commit(store);
	cr_assert(exists("probe_000001_20261121T230254Z_20261121T230254Z.pcapng.zst.age"));
	cr_assert(exists(INDEX));
	store_close(store);
}

Test(store_index, one_that_is_dropped_does_not_come_back)
{
	struct store *store = open_store("probe", false);

	write_both(store);
	store_drop_index(store);
	store_write_index(store, (const uint8_t *)"three", 5);
	cr_assert(exists(PART) && !exists(INDEX));
	commit(store);
	write_both(store);
	cr_assert(exists(".probe_000002_20261121T230254Z.part.index"));
	store_close(store);
}

Test(store_index, what_a_killed_run_left_is_cleared_away)
{
	const pid_t child = fork();

	if (child == 0) {
		write_both(open_store("probe", false));
		raise(SIGKILL);
	}
	cr_assert_eq(waitpid(child, NULL, 0), child);
	cr_assert(exists(PART) && exists(INDEX));
	store_close(open_store("probe", false));
	cr_assert(!exists(PART) && !exists(INDEX));
	cr_assert(exists("probe_000001_20261121T230254Z_trunc.pcapng.zst"));
}

Test(store_index, one_whose_file_is_gone_is_cleared_away_and_no_others)
{
	static const char OTHER[] = ".other_000001_20261121T230254Z.part.index";
	struct store *other = open_store("another", false);

	write_both(other);
	touch(INDEX);
	touch(OTHER);
	touch("notes.index");
	store_close(open_store("probe", false));
	cr_assert(!exists(INDEX) && exists(OTHER));
	store_close(open_store("probe", true));
	cr_assert(!exists(OTHER) && exists("notes.index"));
	cr_assert(exists(".another_000001_20261121T230254Z.part.index"));
	store_close(other);
}
