#define _GNU_SOURCE
#include "run/retention.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "config/value.h"
#include "run/retention_part.h"

#define DAY_S     UINT64_C(1795219200) /* 2026-11-21T00:00:00Z */
#define SECOND_NS UINT64_C(1000000000)
#define FILE_LEN  (64 << 10)

static char dir[] = "/tmp/test_retention_XXXXXX";
static struct retention *retention;
static struct stats_retention stats;
static struct retention_settings settings;
static struct err err;
static char told[4096]; /* "REASON NAME " of each deletion */
static uint64_t told_bytes;

static void tell(void *arg, const char *name, uint64_t bytes, const char *reason)
{
	const size_t len = strlen(told);

	cr_assert_eq(arg, &told);
	(void)snprintf(told + len, sizeof(told) - len, "%s %.8s ", reason, name);
	told_bytes += bytes;
}

static void reopen(uint32_t files_max)
{
	const struct retention_config config = {
		.dir = dir, .files_max = files_max, .stats = &stats, .deleted = tell, .arg = &told};

	retention_close(retention);
	cr_assert_eq(retention_open(&retention, &config, &err), 0, "%s", err.text);
}

static void begin(void)
{
	cr_assert_not_null(mkdtemp(dir));
	reopen(1024);
}

static void end(void)
{
	char command[64];

	retention_close(retention);
	(void)snprintf(command, sizeof(command), "rm -rf %s", dir);
	cr_assert_eq(system(command), 0);
}

TestSuite(retention, .init = begin, .fini = end);

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

/* A sealed file whose last packet was in that minute of the day. */
static const char *name_of(const char *name, unsigned number)
{
	static char text[128];

	(void)snprintf(text, sizeof(text),
		       "%s_%06u_20261121T000000Z_20261121T00%02u00Z.pcapng.zst.age", name, number,
		       number);
	return text;
}

static void put_sealed(const char *name, unsigned first, unsigned last)
{
	for (unsigned i = first; i <= last; i++)
		put(name_of(name, i), FILE_LEN);
}

static bool exists(const char *name, unsigned number)
{
	return !access(path_of(name_of(name, number)), F_OK);
}

static void pin(const char *name, unsigned number)
{
	char text[160];

	(void)snprintf(text, sizeof(text), ".%s.pin", name_of(name, number));
	put(text, 0);
}

/* With the settings, at that minute of the day; what it deleted is told. */
static void turn(unsigned minute)
{
	told[0] = 0;
	told_bytes = 0;
	retention_set(retention, &settings);
	retention_turn(retention, (DAY_S + minute * 60) * SECOND_NS);
}

Test(retention, without_limits_deletes_nothing_and_counts)
{
	put_sealed("a", 1, 3);
	put(".a_000009_20261121T000000Z.part", FILE_LEN);
	put("notes.txt", FILE_LEN);
	pin("a", 2);
	turn(59);
	cr_assert_str_empty(told);
	cr_assert_eq(stats.files, 4);
	cr_assert_eq(stats.bytes, 4 * FILE_LEN);
	cr_assert_eq(stats.pinned_files, 1);
	cr_assert_eq(stats.pinned_bytes, FILE_LEN);
	cr_assert_eq(stats.oldest_ns, (DAY_S + 60) * SECOND_NS);
	cr_assert_gt(stats.disk_size, stats.disk_free);
	cr_assert_gt(stats.disk_free, 0);
}

Test(retention, deletes_what_is_older_than_allowed)
{
	put_sealed("a", 1, 4);
	settings.time_ns = 120 * SECOND_NS;
	turn(3); /* the first is two minutes old and perhaps not a second more */
	cr_assert_str_empty(told);
	retention_turn(retention, (DAY_S + 3 * 60 + 1) * SECOND_NS);
	cr_assert_str_eq(told, "age a_000001 ");
	turn(5);
	cr_assert_str_eq(told, "age a_000002 ");
	cr_assert(exists("a", 3) && exists("a", 4));
	cr_assert_eq(stats.deleted_files[RETENTION_AGE], 2);
	cr_assert_eq(stats.deleted_bytes[RETENTION_AGE], 2 * FILE_LEN);
}

Test(retention, forgets_an_empty_file_that_it_deleted)
{
	put(name_of("a", 1), 0);
	settings.time_ns = SECOND_NS;
	turn(59);
	cr_assert_str_eq(told, "age a_000001 ");
	cr_assert_eq(stats.files, 0);
}

Test(retention, deletes_the_oldest_of_a_name_over_its_size)
{
	put_sealed("a", 1, 3);
	put_sealed("b", 1, 2);
	put(".a_000009_20261121T000000Z.part", FILE_LEN);
	settings.session_size = 3 * FILE_LEN;
	turn(59);
	cr_assert_str_eq(told, "session_size a_000001 ");
	cr_assert_eq(stats.exceeded[RETENTION_SESSION_SIZE], 0);
}

static void put_store(const char *name, uint64_t size, uint64_t time_s)
{
	struct retention_store *s = &settings.stores[settings.n_stores++];

	(void)snprintf(s->name, sizeof(s->name), "%s", name);
	s->size = size;
	s->time_ns = time_s * SECOND_NS;
}

Test(retention, store_has_a_time_of_its_own)
{
	put_sealed("a", 1, 4);
	put_sealed("b", 1, 4);
	put_sealed("c", 1, 4);
	settings.time_ns = 120 * SECOND_NS;
	put_store("b", 0, 60);
	put_store("c", 0, 0);
	turn(4);
	cr_assert_str_eq(told, "age a_000001 age b_000001 age b_000002 ");
}

Test(retention, time_of_a_store_counts_where_there_is_none_for_all)
{
	put_sealed("a", 1, 4);
	put_sealed("b", 1, 4);
	put_store("b", 0, 60);
	turn(4);
	cr_assert_str_eq(told, "age b_000001 age b_000002 ");
}

Test(retention, store_has_a_size_of_its_own)
{
	put_sealed("a", 1, 5);
	put_sealed("b", 1, 5);
	put_sealed("c", 1, 5);
	put_store("b", (uint64_t)3 * FILE_LEN, 0);
	turn(59);
	cr_assert_str_eq(told, "session_size b_000001 session_size b_000002 ");
	settings.session_size = (uint64_t)4 * FILE_LEN;
	turn(59);
	cr_assert_str_eq(told, "session_size a_000001 session_size c_000001 ");
}

Test(retention, deletes_the_oldest_over_the_size_of_all)
{
	put_sealed("b", 1, 2);
	put_sealed("a", 3, 4);
	settings.size = 2 * FILE_LEN;
	turn(59);
	cr_assert_str_eq(told, "size b_000001 size b_000002 ");
	cr_assert_eq(told_bytes, 2 * FILE_LEN);
	cr_assert_eq(stats.bytes, 2 * FILE_LEN);
}

Test(retention, keeps_room_for_what_open_files_may_grow_by)
{
	put_sealed("a", 1, 16);
	settings.size = 16 * FILE_LEN;
	settings.rotate_len = 2 * FILE_LEN;
	turn(59);
	cr_assert_str_empty(told);
	put(".a_000020_20261121T000000Z.part", FILE_LEN);
	turn(59); /* it may come to two, one of them is there already */
	cr_assert_str_eq(told, "size a_000001 size a_000002 ");
	settings.rotate_len = 1 << 30; /* an eighth at most */
	turn(59);
	cr_assert_str_eq(told, "size a_000003 ");
}

Test(retention, deletes_the_oldest_while_too_little_is_free)
{
	put_sealed("a", 1, 4);
	/* Others write to /tmp too, and delete. */
	for (unsigned i = 0; i < 100 && !*told; i++) {
		settings.free = 1;
		turn(59);
		settings.free = stats.disk_free + FILE_LEN / 2;
		turn(59);
	}
	cr_assert(strstr(told, "free a_000001 ") == told, "%s", told);
	settings.free = 1;
	turn(59);
	cr_assert_str_empty(told);
	settings.free = VALUE_PERCENT | 99;
	turn(59);
	cr_assert_eq(stats.files, 0);
	cr_assert_eq(stats.exceeded[RETENTION_FREE], 1);
}

Test(retention, in_a_hurry_makes_room_even_where_enough_is_free)
{
	put_sealed("a", 1, 2);
	settings.free = 1;
	retention_hurry(retention);
	turn(59);
	cr_assert_str_eq(told, "disk_full a_000001 ");
	turn(59);
	cr_assert_str_empty(told);
	settings.free = 0;
	retention_hurry(retention);
	turn(59);
	cr_assert_str_empty(told);
	retention_hurry(NULL);
}

Test(retention, looks_at_age_then_name_then_size)
{
	put_sealed("a", 1, 4);
	put_sealed("b", 5, 6);
	settings = (struct retention_settings){
		.time_ns = 58 * 60 * SECOND_NS, .session_size = 2 * FILE_LEN, .size = 3 * FILE_LEN};
	turn(60);
	cr_assert_str_eq(told, "age a_000001 session_size a_000002 size a_000003 ");
}

Test(retention, counts_pinned_files_and_never_deletes_them)
{
	put_sealed("a", 1, 4);
	pin("a", 1);
	pin("a", 2);
	settings.size = 3 * FILE_LEN;
	settings.time_ns = SECOND_NS;
	turn(4);
	cr_assert_str_eq(told, "age a_000003 ");
	settings.time_ns = 0;
	settings.size = FILE_LEN;
	turn(4);
	cr_assert_str_eq(told, "size a_000004 ");
	cr_assert_eq(stats.exceeded[RETENTION_SIZE], 1);
	cr_assert(exists("a", 1) && exists("a", 2));
	settings.session_size = FILE_LEN;
	turn(4);
	cr_assert_eq(stats.exceeded[RETENTION_SESSION_SIZE], 1);
	settings.size = settings.session_size = 2 * FILE_LEN;
	turn(4);
	cr_assert_eq(stats.exceeded[RETENTION_SIZE], 0);
	cr_assert_eq(stats.exceeded[RETENTION_SESSION_SIZE], 0);
}

Test(retention, never_deletes_what_is_open_or_not_named_exactly_so)
{
	static const char *const names[] = {".a_000001_20201121T000000Z.part",
					    "a_1_20201121T000000Z_20201121T000000Z.pcapng.zst.age",
					    "a_000001_20201121T000000Z_20201121T000000Z.pcapng.gz",
					    "notes.txt"};

	for (unsigned i = 0; i < 4; i++)
		put(names[i], FILE_LEN);
	settings = (struct retention_settings){
		.time_ns = 1, .size = 1, .session_size = 1, .free = VALUE_PERCENT | 99};
	retention_hurry(retention);
	turn(59);
	cr_assert_str_empty(told);
	for (unsigned i = 0; i < 4; i++)
		cr_assert_eq(access(path_of(names[i]), F_OK), 0);
}

Test(retention, truncated_files_go_by_their_start)
{
	put_sealed("a", 1, 1);
	put("a_000007_20261121T000000Z_trunc.pcapng.zst.age", FILE_LEN);
	settings.size = FILE_LEN;
	turn(59);
	cr_assert_str_eq(told, "size a_000007 ");
}

Test(retention, follows_the_folder_from_turn_to_turn)
{
	put_sealed("a", 1, 2);
	settings.size = 2 * FILE_LEN;
	turn(59);
	put(".a_000003_20261121T000000Z.part", FILE_LEN);
	char part[512];
	(void)snprintf(part, sizeof(part), "%s", path_of(".a_000003_20261121T000000Z.part"));
	cr_assert_eq(rename(part, path_of(name_of("a", 3))), 0);
	pin("a", 1);
	turn(59);
	cr_assert_str_eq(told, "size a_000002 ");
}

Test(retention, follows_more_changes_than_the_kernel_tells)
{
	char name[128];

	turn(59);
	for (unsigned i = 0; i < 20000; i++) { /* fs.inotify.max_queued_events is 16384 */
		(void)snprintf(name, sizeof(name), "notes-%u", i);
		put(name, 0);
		cr_assert_eq(unlink(path_of(name)), 0);
	}
	put_sealed("a", 1, 2);
	turn(59);
	cr_assert_eq(stats.files, 2);
}

Test(retention, of_more_files_than_it_can_hold_the_oldest_go)
{
	reopen(16);
	put_sealed("a", 1, 50);
	settings.size = 45 * FILE_LEN;
	turn(59);
	cr_assert_str_eq(told, "size a_000001 size a_000002 size a_000003 size a_000004 "
			       "size a_000005 ");
	cr_assert_eq(stats.files, 45);
	cr_assert_eq(stats.bytes, 45 * FILE_LEN);
}

Test(retention, what_cannot_be_deleted_is_counted_and_tried_again)
{
	const uid_t user = geteuid();

	put_sealed("a", 1, 1);
	cr_assert_eq(chmod(path_of(name_of("a", 1)), 0644), 0);
	cr_assert_eq(chmod(dir, 0555), 0);
	settings.size = 1;
	cr_assert_eq(seteuid(user ? user : 65534), 0);
	turn(59);
	cr_assert_eq(seteuid(user), 0);
	cr_assert_str_empty(told);
	cr_assert_eq(stats.failures, 1);
	cr_assert_eq(stats.bytes, FILE_LEN);
	cr_assert_eq(chmod(dir, 0755), 0);
	turn(59);
	cr_assert_str_eq(told, "size a_000001 ");
	cr_assert_eq(stats.failures, 1);
}

Test(retention, what_somebody_else_deleted_is_not_told)
{
	put_sealed("a", 1, 2);
	turn(59);
	cr_assert_eq(unlink(path_of(name_of("a", 1))), 0);
	settings.size = FILE_LEN;
	turn(59);
	cr_assert_str_empty(told);
	cr_assert_eq(stats.failures, 0);
}

/* ---- what is said ---- */

Test(retention, limits_of_all_stores_are_said_whole)
{
	char expected[8192] = "";

	settings = (struct retention_settings){.size = UINT64_MAX,
					       .session_size = UINT64_MAX,
					       .time_ns = UINT64_MAX,
					       .free = VALUE_PERCENT - 1,
					       .n_stores = RETENTION_STORES_MAX};
	for (unsigned i = 0; i < RETENTION_STORES_MAX; i++) {
		struct retention_store *s = &settings.stores[i];
		(void)snprintf(s->name, sizeof(s->name), "%063u", i);
		s->size = s->time_ns = UINT64_MAX;
		const size_t len = strlen(expected);
		(void)snprintf(expected + len, sizeof(expected) - len,
			       "vxprobe: retention: the oldest files of %s are deleted: over "
			       "18446744073709551615 bytes, after 18446744073 s\n",
			       s->name);
	}
	const size_t len = strlen(expected);
	(void)snprintf(expected + len, sizeof(expected) - len,
		       "vxprobe: retention: the oldest files are deleted: "
		       "over 18446744073709551615 bytes, "
		       "of one NAME over 18446744073709551615 bytes, after 18446744073 s, "
		       "when free space is under %llu bytes; 'vxcap pin' keeps a file\n",
		       (unsigned long long)(VALUE_PERCENT - 1));
	cr_redirect_stderr();
	retention_say_settings(&settings);
	(void)fflush(stderr);
	cr_assert_stderr_eq_str(expected);
}

/* ---- as a thread ---- */

static bool is_gone_within(const char *name, unsigned number, unsigned seconds)
{
	for (unsigned i = 0; i < seconds * 100 && exists(name, number); i++)
		clock_nap(10000000);
	return !exists(name, number);
}

Test(retention, its_thread_follows_changes_and_new_settings_and_ends)
{
	pthread_t thread;

	put_sealed("a", 1, 3);
	settings.size = 2 * FILE_LEN;
	retention_set(retention, &settings);
	cr_assert_eq(pthread_create(&thread, NULL, retention_run, retention), 0);
	cr_assert(is_gone_within("a", 1, 5));
	put_sealed("a", 4, 4);
	cr_assert(is_gone_within("a", 2, 5));
	settings.size = FILE_LEN;
	retention_set(retention, &settings);
	cr_assert(is_gone_within("a", 3, 5));
	settings = (struct retention_settings){.free = 1};
	retention_set(retention, &settings);
	retention_hurry(retention);
	cr_assert(is_gone_within("a", 4, 5));
	retention_stop(retention);
	cr_assert_eq(pthread_join(thread, NULL), 0);
	retention_stop(NULL);
}

Test(retention, takes_the_memory_that_it_says)
{
	cr_assert_leq(retention_memory(RETENTION_FILES_MAX),
		      RETENTION_FILES_MAX * UINT64_C(128) + (128 << 10));
}

Test(retention, refuses_a_folder_that_is_not_there)
{
	const struct retention_config config = {.dir = "/nowhere", .files_max = 4, .stats = &stats};
	struct retention *none = NULL;

	cr_assert_eq(retention_open(&none, &config, &err), -ENOENT);
	cr_assert_str_eq(err.text, "cannot open the folder /nowhere: No such file or directory");
}
