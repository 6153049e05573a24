#include "run/writer.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/stored.h"
#include "base/clock.h"
#include "path/block.h"

#define WORKERS   2
#define CHUNKS    4
#define MS        UINT64_C(1000000)
#define FILES_MAX 16

/* The test plays the workers. */
static _Atomic uint32_t highest;
static char dir[] = "/tmp/test_writer_XXXXXX";
static struct stats *stats;
static struct bell control, workers;
static _Atomic int64_t offset_ns;
static _Atomic uint64_t claimed_drops[4];
static struct writer *writer;
static struct handoff *handoffs[WORKERS];
static pthread_t thread;
static struct stored files[FILES_MAX];
static unsigned n_files, n_given;

static void tell_policy(void *arg, uint32_t session, int64_t at_ns, struct describe_policy *out)
{
	(void)arg;
	(void)session;
	(void)at_ns;
	*out = (struct describe_policy){
		.name = "full", .snap_len = UINT32_MAX, .sample = 1, .until_ns = INT64_MAX};
}

static void describe(void *arg, uint32_t session, int64_t at_ns, struct session_labels *out)
{
	(void)arg;
	(void)at_ns;
	memset(out, 0, sizeof(*out));
	(void)snprintf(out->name, sizeof(out->name), "s%u", session);
}

static void start(bool is_live)
{
	const struct stats_config c = {
		.workers = WORKERS, .sessions_max = 4, .chunks = CHUNKS, .is_live = is_live};
	struct err err;
	int fd;

	cr_assert_not_null(mkdtemp(dir));
	cr_assert_eq(stats_open(&stats, &fd, &c, &err), 0);
	close(fd);
	cr_assert_eq(bell_init(&control, &err), 0);
	const struct writer_config config = {.workers = WORKERS,
					     .writers = 1,
					     .n_stores = 1,
					     .stores = (const char *const[]){"vxprobe"},
					     .stats = stats,
					     .output = {.dir = dir,
							.highest = &highest,
							.buffer_len = 64 << 10,
							.pack = {.frame_len = 65536,
								 .level = 1,
								 .frames_max = 1000,
								 .definitions_max = 65536},
							.settings = {{.rotate_len = UINT64_MAX}},
							.describe = describe,
							.claimed_drops = claimed_drops,
							.policy = tell_policy},
					     .offset_ns = &offset_ns,
					     .control = &control};
	cr_assert_eq(writer_open(&writer, &config, &err), 0, "%s", err.text);
	cr_assert_eq(bell_init(&workers, &err), 0);
	const struct handoff_config h = {.worker = &workers,
					 .chunks = CHUNKS,
					 .chunk_len = 128 << 10,
					 .writer = writer_bell(writer)};
	for (unsigned i = 0; i < WORKERS; i++) {
		cr_assert_eq(handoff_open(&handoffs[i], &h, &err), 0);
		writer_set_handoff(writer, i, handoffs[i]);
	}
	cr_assert_eq(pthread_create(&thread, NULL, writer_run, writer), 0);
}

static void put(struct chunk *chunk, uint64_t time_ns)
{
	const struct block_packet p = {
		.time_ns = time_ns, .interface = 0, .cap_len = 60, .wire_len = 60, .id = n_given++};
	uint8_t *block = chunk->data + chunk->len;

	memset(block + BLOCK_PACKET_HEAD, 7, p.cap_len);
	chunk->len += (uint32_t)block_packet_frame(block, &p);
}

/* A chunk of packets at first_ns, first_ns + 1 ms and so on; the watermark is behind them. */
static void give(unsigned worker, uint64_t first_ns, unsigned n)
{
	struct chunk *chunk = handoff_take_empty(handoffs[worker]);

	cr_assert_not_null(chunk);
	for (unsigned i = 0; i < n; i++)
		put(chunk, first_ns + i * MS);
	handoff_give(handoffs[worker], &chunk);
	handoff_set_watermark(handoffs[worker], first_ns + n * MS);
}

static void end(unsigned worker)
{
	handoff_set_watermark(handoffs[worker], UINT64_MAX);
}

/* Whether the writer is done with all chunks of a worker. */
static bool is_written(unsigned worker)
{
	return handoff_count(handoffs[worker]).empty == CHUNKS;
}

static void await_written(unsigned worker)
{
	for (unsigned i = 0; i < 500 && !is_written(worker); i++)
		(void)usleep(10000);
	cr_assert(is_written(worker));
}

static void finish(void)
{
	char command[64];

	cr_assert_eq(pthread_join(thread, NULL), 0);
	cr_assert(writer_is_done(writer));
	writer_close(writer);
	n_files = stored_read(files, FILES_MAX, dir);
	(void)snprintf(command, sizeof(command), "rm -rf %s", dir);
	cr_assert_eq(system(command), 0);
}

/* Whatever is asked for: nothing is lost, every file is whole. */
static void assert_all_kept(void)
{
	cr_assert_eq(stored_count(files, n_files), n_given);
	cr_assert_eq(stats_writers(stats).fate[FATE_KEPT], n_given);
	for (unsigned f = 0; f < n_files; f++)
		cr_assert(files[f].is_whole, "%s", files[f].name);
}

static bool is_in_order(const struct stored *file)
{
	for (unsigned i = 1; i < file->n; i++)
		if (file->packets[i].time_ns < file->packets[i - 1].time_ns)
			return false;
	return true;
}

static void assert_files_in_order(void)
{
	for (unsigned f = 0; f < n_files; f++)
		cr_assert(is_in_order(&files[f]), "%s", files[f].name);
}

TestSuite(writer, .timeout = 20);

Test(writer, live_worker_without_a_sign_of_life_is_left_behind_and_begins_a_file_later)
{
	start(true);
	give(0, 1000 * MS, 100);
	await_written(0); /* without worker 1 */
	give(1, 1010 * MS, 50);
	give(0, 1100 * MS, 10);
	end(0);
	end(1);
	finish();
	assert_all_kept();
	assert_files_in_order();
	cr_assert_eq(n_files, 2);
	cr_assert_eq(files[1].packets[0].time_ns, 1010 * MS);
	cr_assert_eq(stats_writers(stats).late, 50);
}

Test(writer, late_packets_end_one_file_each_time_a_worker_stands_still)
{
	start(true);
	for (unsigned round = 1; round <= 2; round++) {
		give(0, round * 1000 * MS, 100);
		await_written(0);
		for (unsigned i = 0; i < 4; i++) { /* catches up in steps, and is waited for */
			give(1, (round * 1000 + i * 20) * MS, 10);
			await_written(1);
		}
		give(1, (round * 1000 + 200) * MS, 1);
	}
	end(0);
	end(1);
	finish();
	assert_all_kept();
	assert_files_in_order();
	cr_assert_eq(n_files, 3);
	cr_assert_eq(stats_writers(stats).late, 80);
}

Test(writer, worker_that_catches_up_is_waited_for_again)
{
	start(true);
	give(0, 1000 * MS, 100);
	await_written(0);
	give(1, 1050 * MS, 10);
	give(0, 1100 * MS, 10);
	const uint64_t since_ns = clock_monotonic_ns();
	(void)usleep(100000);
	const bool is_waited_for = !is_written(0);
	give(1, 1060 * MS, 100);
	/* On a busy host this thread may have slept for longer than the writer has patience. */
	const bool is_in_time = clock_monotonic_ns() - since_ns < 200 * MS;
	end(0);
	end(1);
	finish();
	assert_all_kept();
	assert_files_in_order();
	cr_assert(!is_in_time || is_waited_for);
	cr_assert(!is_in_time || n_files == 2);
}

Test(writer, end_waits_for_a_worker_that_was_left_behind)
{
	start(true);
	give(0, 1000 * MS, 10);
	end(0);
	await_written(0);
	(void)usleep(150000);
	cr_assert_not(writer_is_done(writer));
	give(1, 2000 * MS, 10);
	end(1);
	finish();
	assert_all_kept();
	cr_assert_eq(n_files, 1);
	cr_assert_eq(stats_writers(stats).late, 0);
}

Test(writer, worker_that_reads_a_file_is_waited_for_as_long_as_it_takes)
{
	start(false);
	give(0, 1000 * MS, 100);
	(void)usleep(600000);
	cr_assert_not(is_written(0));
	give(1, 1010 * MS, 50);
	end(0);
	end(1);
	finish();
	assert_all_kept();
	assert_files_in_order();
	cr_assert_eq(n_files, 1);
	cr_assert_eq(stats_writers(stats).late, 0);
}

Test(writer, what_a_source_gave_out_of_order_keeps_its_place)
{
	start(true);
	struct chunk *chunk = handoff_take_empty(handoffs[0]);
	put(chunk, 1000 * MS);
	put(chunk, 1002 * MS);
	put(chunk, 1001 * MS);
	handoff_give(handoffs[0], &chunk);
	end(0);
	end(1);
	finish();
	assert_all_kept();
	cr_assert_eq(n_files, 1);
	cr_assert_not(is_in_order(&files[0]));
	cr_assert_eq(stats_writers(stats).late, 1);
}
