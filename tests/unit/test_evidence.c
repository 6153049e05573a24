#define _GNU_SOURCE /* memmem */
#include "run/evidence.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "path/chain.h"

#define RECIPIENT  "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
#define PATIENCE   10000
#define EVENTS_MAX 64

static char dir[] = "/tmp/test_evidence_XXXXXX";
static struct stats *stats;
static struct evidence *evidence;
static struct seal_recipient recipient;
static struct chain_entry entries[EVENTS_MAX];
static unsigned n_entries;
static struct err err;

static void prepare(void)
{
	const struct stats_config c = {.workers = 1, .sessions_max = 1, .chunks = 2};
	int fd;

	cr_assert_not_null(mkdtemp(dir));
	cr_assert_eq(stats_open(&stats, &fd, &c, &err), 0);
	(void)close(fd);
	cr_assert_eq(seal_recipient_parse(&recipient, RECIPIENT, &err), 0);
}

static void remove_dir(void)
{
	char command[64];

	evidence_close(evidence);
	(void)snprintf(command, sizeof(command), "rm -rf %s", dir);
	cr_assert_eq(system(command), 0);
	stats_close(stats);
}

TestSuite(evidence, .init = prepare, .fini = remove_dir);

static void open_evidence(unsigned queue)
{
	const struct evidence_config config = {dir, stats, queue};

	cr_assert_eq(evidence_open(&evidence, &config, &err), 0);
}

static void start(void)
{
	cr_assert_eq(evidence_start(evidence, &err), 0, "%s", err.text);
}

static void begin(void)
{
	open_evidence(0);
	start();
}

static const char *path_of(const char *name)
{
	static char path[512];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void put(const char *name, const char *text)
{
	FILE *f = fopen(path_of(name), "we");

	cr_assert(f && fputs(text, f) >= 0 && !fclose(f));
}

/* Closes the evidence, reads what it has written. */
static void finish(void)
{
	static char line[CHAIN_LINE_MAX + 1];
	size_t len;

	evidence_close(evidence);
	evidence = NULL;
	FILE *f = fopen(path_of(CHAIN_FILE), "re");
	cr_assert_not_null(f);
	for (n_entries = 0; chain_read_line(f, line, &len) == 1; n_entries++) {
		cr_assert_lt(n_entries, EVENTS_MAX);
		cr_assert_eq(chain_parse(&entries[n_entries], line, len, &err), 0, "%s", err.text);
	}
	(void)fclose(f);
}

/* The only entry of this event, or NULL. */
static const struct chain_entry *only(enum chain_event event)
{
	const struct chain_entry *found = NULL;

	for (unsigned i = 0; i < n_entries; i++)
		if (entries[i].event == event) {
			cr_assert_null(found, "two of %s", chain_event_name(event));
			found = &entries[i];
		}
	return found;
}

static unsigned count(enum chain_event event)
{
	unsigned n = 0;

	for (unsigned i = 0; i < n_entries; i++)
		n += entries[i].event == event;
	return n;
}

static void tell_sealed(const char *name, uint64_t bytes)
{
	evidence_sealed(evidence, &(struct evidence_file){.name = name,
							  .bytes = bytes,
							  .packets = 3,
							  .drops = 1,
							  .recipients = &recipient,
							  .n_recipients = 1});
}

Test(evidence, enters_start_and_stop)
{
	char host[64] = "";

	begin();
	finish();
	cr_expect_eq(n_entries, 2);
	(void)gethostname(host, sizeof(host) - 1);
	cr_expect_str_eq(entries[0].host, host);
	cr_expect_eq(entries[1].event, CHAIN_STOP);
	begin();
	finish();
	cr_expect_eq(n_entries, 4);
	cr_expect_eq(entries[2].event, CHAIN_START);
}

Test(evidence, enters_a_file_as_it_lies_on_the_disk)
{
	uint8_t hash[CHAIN_HASH];
	char fingerprint[17];

	begin();
	put("a_000001_x.pcapng.zst.age", "content");
	tell_sealed("a_000001_x.pcapng.zst.age", 7);
	finish();
	const struct chain_entry *e = only(CHAIN_SEALED);
	cr_assert_not_null(e);
	chain_hash("content", 7, hash);
	cr_expect_eq(memcmp(e->sha256, hash, sizeof(hash)), 0);
	cr_expect_str_eq(e->file, "a_000001_x.pcapng.zst.age");
	cr_expect_eq(e->bytes, 7);
	cr_expect_eq(e->packets, 3);
	cr_expect_eq(e->drops, 1);
	chain_fingerprint(RECIPIENT, fingerprint);
	cr_expect_eq(e->n_recipients, 1);
	cr_expect_str_eq(e->recipients[0], fingerprint);
	cr_expect_null(only(CHAIN_FOUND));
}

Test(evidence, says_when_the_disk_does_not_give_what_it_took)
{
	begin();
	put("a_000001_x.pcapng.zst", "content");
	tell_sealed("a_000001_x.pcapng.zst", 8);
	finish();
	const struct chain_entry *e = only(CHAIN_UNREADABLE);
	cr_assert_not_null(e);
	cr_expect_eq(e->bytes, 8);
	cr_expect_str_eq(e->reason, "it gives 7 bytes");
	cr_expect_null(only(CHAIN_SEALED));
}

Test(evidence, enters_no_pipe_no_link_and_no_absence_as_content)
{
	begin();
	cr_assert_eq(mkfifo(path_of("a_000001_x.pcapng.zst"), 0600), 0);
	cr_assert_eq(symlink("/etc/passwd", path_of("a_000002_x.pcapng.zst")), 0);
	tell_sealed("a_000001_x.pcapng.zst", 8);
	tell_sealed("a_000002_x.pcapng.zst", 8);
	tell_sealed("a_000003_x.pcapng.zst", 8);
	finish();
	cr_expect_eq(count(CHAIN_UNREADABLE), 3);
}

Test(evidence, enters_a_file_that_an_error_ended_as_broken)
{
	begin();
	put("a_000001_x_trunc.pcapng.zst", "conten");
	evidence_sealed(evidence, &(struct evidence_file){.name = "a_000001_x_trunc.pcapng.zst",
							  .bytes = 6,
							  .is_broken = true});
	finish();
	cr_expect_not_null(only(CHAIN_BROKEN));
}

Test(evidence, enters_deletions_and_clock_steps)
{
	begin();
	evidence_deleted(evidence, "a_000001_x.pcapng.zst", "older than 30d");
	evidence_clock(evidence, -3600000000000);
	finish();
	const struct chain_entry *deleted = only(CHAIN_DELETED), *clock = only(CHAIN_CLOCK);
	cr_assert(deleted && clock);
	cr_expect_str_eq(deleted->file, "a_000001_x.pcapng.zst");
	cr_expect_str_eq(deleted->reason, "older than 30d");
	cr_expect_eq(clock->step_ns, -3600000000000);
}

Test(evidence, enters_a_configuration_when_it_changes)
{
	uint8_t one[32] = {1}, two[32] = {2};

	begin();
	evidence_configured(evidence, one, &recipient, 1);
	evidence_configured(evidence, one, &recipient, 1);
	evidence_configured(evidence, two, &recipient, 1);
	evidence_configured(evidence, one, &recipient, 1);
	finish();
	cr_expect_eq(count(CHAIN_CONFIGURED), 3);
	cr_expect_str_eq(entries[1].recipients[0], RECIPIENT);
	cr_expect_eq(entries[1].sha256[0], 1);
}

Test(evidence, enters_what_lies_there_without_an_entry_once)
{
	put("a_000001_x.pcapng.zst", "one");
	put("a_000002_x_trunc.pcapng.zst.age", "two");
	put("notes.txt", "not ours");
	put("a b.pcapng.zst", "not ours either");
	put(".a_000003_x.part", "being written");
	begin();
	finish();
	cr_expect_str_eq(only(CHAIN_FOUND)->file, "a_000001_x.pcapng.zst");
	cr_expect_str_eq(only(CHAIN_RECOVERED)->file, "a_000002_x_trunc.pcapng.zst.age");
	begin();
	finish();
	cr_expect_eq(n_entries, 6);
}

/* Somebody puts a file of a terabyte of holes there, or a folder is large: what is told of does not
 * wait behind it, nor does who stops the probe. */
Test(evidence, serves_and_ends_while_it_reads_what_lay_there)
{
	struct timespec from, to;

	put("a_000001_x.pcapng.zst", "");
	cr_assert_eq(truncate(path_of("a_000001_x.pcapng.zst"), (off_t)1 << 40), 0);
	begin();
	put("a_000002_x.pcapng.zst", "content");
	tell_sealed("a_000002_x.pcapng.zst", 7);
	cr_expect(evidence_settle(evidence, PATIENCE));
	(void)clock_gettime(CLOCK_MONOTONIC, &from);
	finish();
	(void)clock_gettime(CLOCK_MONOTONIC, &to);
	cr_expect_lt(to.tv_sec - from.tv_sec, 10);
	cr_expect_str_eq(only(CHAIN_SEALED)->file, "a_000002_x.pcapng.zst");
	cr_expect_null(only(CHAIN_FOUND));
	cr_expect_not_null(only(CHAIN_STOP));
}

/* As above, of the chain. */
Test(evidence, serves_and_ends_while_it_reads_a_chain_of_holes)
{
	struct timespec from, to;

	begin();
	finish();
	put("a_000001_x.pcapng.zst", "lay there");
	cr_assert_eq(truncate(path_of(CHAIN_FILE), (off_t)1 << 40), 0);
	begin();
	put("a_000002_x.pcapng.zst", "content");
	tell_sealed("a_000002_x.pcapng.zst", 7);
	cr_expect(evidence_settle(evidence, PATIENCE));
	(void)clock_gettime(CLOCK_MONOTONIC, &from);
	evidence_close(evidence);
	evidence = NULL;
	(void)clock_gettime(CLOCK_MONOTONIC, &to);
	cr_expect_lt(to.tv_sec - from.tv_sec, 10);
	cr_expect_eq(stats->evidence.entries, 2 + 3);
}

/* Its size tells that it is not what was written. */
Test(evidence, does_not_read_a_file_of_another_size)
{
	begin();
	put("a_000001_x.pcapng.zst", "");
	cr_assert_eq(truncate(path_of("a_000001_x.pcapng.zst"), (off_t)1 << 40), 0);
	tell_sealed("a_000001_x.pcapng.zst", 7);
	cr_expect(evidence_settle(evidence, PATIENCE));
	finish();
	cr_expect_str_eq(only(CHAIN_UNREADABLE)->reason, "it gives 1099511627776 bytes");
}

/* What is told of must not be found too. */
Test(evidence, finds_no_file_that_came_after_the_start)
{
	for (unsigned i = 0; i < 20; i++) {
		char name[64];
		(void)snprintf(name, sizeof(name), "a_%06u_x.pcapng.zst", i);
		if (i == 10)
			begin();
		put(name, name);
		if (i >= 10)
			tell_sealed(name, strlen(name));
	}
	finish();
	cr_expect_eq(count(CHAIN_FOUND), 10);
	cr_expect_eq(count(CHAIN_SEALED), 10);
}

/* Not started, it takes nothing out of the queue. */
Test(evidence, counts_what_finds_the_queue_full)
{
	open_evidence(4);
	for (unsigned i = 0; i < 10; i++)
		evidence_deleted(evidence, "a_000001_x.pcapng.zst", "x");
	cr_expect_eq(stats->evidence.unhashed, 6);
	start();
	finish();
	cr_expect_eq(count(CHAIN_DELETED), 4);
	cr_expect_eq(only(CHAIN_UNHASHED)->files, 6);
}

Test(evidence, enters_a_burst_of_deletions_whole)
{
	static char line[CHAIN_LINE_MAX + 1];
	unsigned n = 0;
	size_t len;

	open_evidence(4);
	start();
	for (unsigned i = 0; i < 500; i++)
		evidence_deleted(evidence, "a_000001_x.pcapng.zst", "x");
	cr_expect(evidence_settle(evidence, PATIENCE));
	cr_expect_eq(stats->evidence.unhashed, 0);
	FILE *f = fopen(path_of(CHAIN_FILE), "re");
	while (chain_read_line(f, line, &len) == 1)
		n += memmem(line, len, "\"deleted\"", 9) != NULL;
	(void)fclose(f);
	cr_expect_eq(n, 500);
}

Test(evidence, settles_when_all_is_entered)
{
	open_evidence(0);
	evidence_deleted(evidence, "a_000001_x.pcapng.zst", "x");
	cr_expect_not(evidence_settle(evidence, 50));
	start();
	cr_expect(evidence_settle(evidence, PATIENCE));
	const uint64_t entered = stats->evidence.entries;
	cr_expect_geq(entered, 2);
	evidence_deleted(evidence, "a_000002_x.pcapng.zst", "x");
	cr_expect(evidence_settle(evidence, PATIENCE));
	cr_expect_eq(stats->evidence.entries, entered + 1);
}

Test(evidence, shows_its_head)
{
	uint8_t head[32], hash[CHAIN_HASH];
	static char line[CHAIN_LINE_MAX + 1];
	size_t len;

	cr_expect_not(stats_head(stats, head));
	begin();
	finish();
	cr_expect(stats_head(stats, head));
	FILE *f = fopen(path_of(CHAIN_FILE), "re");
	while (chain_read_line(f, line, &len) == 1)
		chain_hash(line, len, hash);
	(void)fclose(f);
	cr_expect_eq(memcmp(head, hash, sizeof(head)), 0);
	cr_expect_eq(stats->evidence.entries, 2);
}

Test(evidence, enters_a_chain_that_lost_its_key_as_a_file)
{
	begin();
	finish();
	cr_assert_eq(unlink(path_of(EVIDENCE_KEY_FILE)), 0);
	begin();
	finish();
	cr_expect_eq(n_entries, 3);
	cr_expect_str_eq(only(CHAIN_FOUND)->file, CHAIN_FILE ".1");
}

Test(evidence, is_kept_by_one_process)
{
	struct evidence *second;
	const struct evidence_config config = {dir, stats, 0};

	begin();
	cr_assert_eq(evidence_open(&second, &config, &err), 0);
	cr_expect_eq(evidence_start(second, &err), -EBUSY);
	cr_expect(strstr(err.text, dir), "%s", err.text);
	evidence_close(second);
}

Test(evidence, leaves_nothing_where_it_did_not_start)
{
	open_evidence(0);
	evidence_close(evidence);
	evidence = NULL;
	cr_expect_eq(access(path_of(CHAIN_FILE), F_OK), -1);
	evidence_close(NULL);
}

Test(evidence, does_nothing_where_none_is_kept)
{
	uint8_t hash[32] = {0};

	tell_sealed("a", 1);
	evidence_deleted(NULL, "a", "b");
	evidence_configured(NULL, hash, NULL, 0);
	evidence_clock(NULL, 1);
	cr_expect(evidence_settle(NULL, 0));
}
