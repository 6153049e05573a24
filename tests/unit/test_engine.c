#define _GNU_SOURCE /* unshare */
#include "run/engine.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../support/memfile.h"
#include "../support/packet.h"
#include "../support/stored.h"
#include "base/clock.h"
#include "run/ledger.h"

#define START_NS   UINT64_C(1795302174000000000) /* 2026-11-21T23:02:54Z */
#define SECOND_NS  UINT64_C(1000000000)
#define STEP_NS    1000000
#define OUTER_LEN  50
#define FRAMES_MAX 4000
#define FILES_MAX  64

static char dir[] = "/tmp/test_engine_XXXXXX";
static struct mem_frame frames[FRAMES_MAX];
static unsigned n_frames;
static struct seal_recipient recipient;
static struct engine_config config;
static bool is_live;
static struct stats *stats;
static struct ledger ledger;
static struct stored files[FILES_MAX];
static unsigned n_files;

static void prepare(void)
{
	struct err err;

	cr_assert_not_null(mkdtemp(dir));
	cr_assert_eq(seal_recipient_parse(&recipient, STORED_RECIPIENT, &err), 0);
	config = (struct engine_config){.workers = 2,
					.writers = 1,
					.n_stores = 1,
					.stores = {"vxprobe", "a", "b", "c"},
					.sessions_max = 16,
					.sessions_room = 16,
					.flows_max = 4096,
					.associations_max = 16,
					.chunks = 4,
					.chunk_len = 128 << 10,
					.decap = {.port = 4789, .key = {{1, 2}}},
					.output = {.dir = dir,
						   .buffer_len = 64 << 10,
						   .pack = {.frame_len = 65536,
							    .level = 1,
							    .frames_max = 1000,
							    .definitions_max = 65536},
						   .settings = {{.recipients = {recipient},
								 .n_recipients = 1,
								 .rotate_len = UINT64_MAX}}}};
}

static void remove_dir(void)
{
	char command[64];

	(void)snprintf(command, sizeof(command), "rm -rf %s", dir);
	cr_assert_eq(system(command), 0);
}

TestSuite(engine, .init = prepare, .fini = remove_dir);

/* ---- frames ---- */

static uint8_t *add_frame(struct build *b)
{
	uint8_t *copy = malloc(b->len);

	cr_assert_lt(n_frames, FRAMES_MAX);
	memcpy(copy, build_data(b), b->len);
	frames[n_frames] = (struct mem_frame){copy, b->len, START_NS + n_frames * STEP_NS};
	n_frames++;
	return copy;
}

/* One packet of a flow, in either direction, mirrored by 10.0.0.<source> under VNI 42. */
static uint8_t *add_packet(unsigned source, uint16_t flow, bool back, uint32_t payload)
{
	struct build b = build_payload(payload);
	char from[16];

	build_udp(&b, back ? 9 : flow, back ? flow : 9);
	build_ipv4(&b, 17, back ? "192.168.0.2" : "192.168.0.1",
		   back ? "192.168.0.1" : "192.168.0.2");
	build_ethernet(&b, 0x0800);
	build_vxlan(&b, 42);
	build_udp(&b, 65500, 4789);
	(void)snprintf(from, sizeof(from), "10.0.0.%u", source);
	build_ipv4(&b, 17, from, "10.255.0.1");
	build_ethernet(&b, 0x0800);
	return add_frame(&b);
}

/* n packets of 100 flows and two sessions. */
static void add_packets(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		add_packet(1 + i % 2, (uint16_t)(1000 + i / 2 % 50), i % 3 == 0, 50 + i % 500);
}

/* What is no mirrored packet. */
static void add_others(void)
{
	struct build b = build_payload(100);

	add_frame(&b);
	build_udp(&b, 1000, 53);
	build_ipv4(&b, 17, "10.0.0.1", "10.0.0.2");
	build_ethernet(&b, 0x0800);
	add_frame(&b);
	add_packet(1, 1000, false, 10)[42] = 0;    /* no I flag */
	add_packet(1, 1000, false, 10)[20] = 0x20; /* outer fragment */
}

/* The inner frame's MACs: 2.0.0.0.0.<last byte>. */
static void set_macs(uint8_t *frame, uint8_t from, uint8_t to)
{
	frame[OUTER_LEN + 5] = to;
	frame[OUTER_LEN + 11] = from;
}

/* ---- running ---- */

static int open_engine(struct engine **engine)
{
	const struct stats_config c = {.workers = config.workers,
				       .sessions_max = config.sessions_max,
				       .chunks = config.chunks,
				       .is_live = is_live};
	struct err err;
	int fd;

	cr_assert_eq(stats_open(&stats, &fd, &c, &err), 0);
	close(fd);
	const int ret = engine_open(engine, &config, stats, &err);
	if (ret)
		cr_assert(strstr(err.text, config.output.dir), "%s", err.text);
	return ret;
}

static void set_source(struct engine *engine, unsigned worker)
{
	struct capture *source;
	struct err err;

	cr_assert_eq(capture_mem_open(&source, frames, n_frames, &err), 0);
	source->is_live = is_live;
	engine_set_source(engine, worker, source);
}

static int finish(struct engine *engine)
{
	struct err err;

	cr_assert_eq(engine_start(engine, &err), 0);
	while (!engine_is_done(engine))
		engine_turn(engine, -1, 1000);
	const int ret = engine_join(engine);
	const struct ledger_source source = {.stats = stats};
	ledger_read(&source, &ledger);
	engine_close(engine);
	n_files = stored_read(files, FILES_MAX, dir);
	return ret;
}

static void run(void)
{
	struct engine *engine;

	cr_assert_eq(open_engine(&engine), 0);
	for (unsigned i = 0; i < config.workers; i++)
		set_source(engine, i);
	cr_assert_eq(finish(engine), 0);
}

/* ---- claims that several tests make ---- */

static uint64_t sum_of_fates(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < FATE_MAX; i++)
		sum += ledger.fate[i];
	return sum;
}

static void assert_law(void)
{
	cr_assert_eq(ledger.seen, n_frames);
	cr_assert_eq(sum_of_fates(), n_frames);
	cr_assert_eq(ledger.in_rings + ledger.at_workers + ledger.at_writer, 0);
}

static void assert_chunks_are_back(void)
{
	for (unsigned i = 0; i < config.workers; i++) {
		const struct stats_chunks *p = &stats->place[i];
		cr_assert_eq(p->empty, config.chunks);
		cr_assert_eq(p->worker + p->full + p->writer, 0);
	}
}

static uint64_t frame_number(const struct block_packet *p)
{
	return p->id & 0xffffffffffff;
}

static void assert_packet_is_frame(const struct block_packet *p, unsigned number)
{
	cr_assert_lt(number, n_frames);
	cr_assert_eq(p->time_ns, frames[number].time_ns);
	cr_assert_eq(p->cap_len, frames[number].len - OUTER_LEN);
	cr_assert_eq(memcmp(p->data, frames[number].data + OUTER_LEN, p->cap_len), 0);
}

/* One file after the other holds all frames in their order. */
static void assert_all_there(void)
{
	unsigned number = 0;

	for (unsigned f = 0; f < n_files; f++) {
		cr_assert(files[f].is_whole, "%s", files[f].name);
		for (unsigned i = 0; i < files[f].n; i++, number++) {
			cr_assert_eq(frame_number(&files[f].packets[i]), number);
			assert_packet_is_frame(&files[f].packets[i], number);
		}
	}
	cr_assert_eq(number, n_frames);
}

/* ---- packets ---- */

Test(engine, every_packet_is_stored_once_in_order_and_unchanged)
{
	config.workers = 1;
	add_packets(2000);
	run();
	assert_law();
	assert_all_there();
	assert_chunks_are_back();
	cr_assert_eq(ledger.fate[FATE_KEPT], n_frames);
}

Test(engine, packets_of_two_workers_come_out_in_time_order)
{
	unsigned by_worker[2] = {0};

	add_packets(3000);
	run();
	assert_law();
	assert_all_there();
	assert_chunks_are_back();
	for (unsigned i = 0; i < files[0].n; i++)
		by_worker[files[0].packets[i].id >> 48]++;
	cr_assert_gt(by_worker[0], 300);
	cr_assert_gt(by_worker[1], 300);
	cr_assert_eq(stats_writers(stats).late, 0);
}

Test(engine, packets_of_one_time_keep_the_order_in_which_they_came)
{
	config.workers = 3;
	add_packets(1000);
	for (unsigned i = 0; i < n_frames; i++)
		frames[i].time_ns = START_NS + i / 100;
	run();
	assert_all_there();
}

Test(engine, both_directions_of_a_flow_are_one_workers)
{
	uint64_t worker_of[50][2];

	memset(worker_of, 0xff, sizeof(worker_of));
	add_packets(1000);
	run();
	for (unsigned i = 0; i < files[0].n; i++) {
		const uint64_t worker = files[0].packets[i].id >> 48;
		uint64_t *known = &worker_of[i / 2 % 50][i % 2];
		cr_assert(*known == UINT64_MAX || *known == worker);
		*known = worker;
	}
}

Test(engine, jumbo_frames_in_segments_are_stored_whole)
{
	for (unsigned i = 0; i < 100; i++)
		add_packet(1, (uint16_t)i, false, 8900);
	run();
	assert_law();
	assert_all_there();
}

Test(engine, few_small_chunks_are_enough_when_nobody_hurries)
{
	config.chunks = 2;
	config.chunk_len = 10000;
	add_packets(3000);
	run();
	assert_law();
	assert_all_there();
	assert_chunks_are_back();
}

Test(engine, nothing_at_all_leaves_no_file)
{
	run();
	assert_law();
	cr_assert_eq(n_files, 0);
}

Test(engine, frames_that_are_no_packets_end_once_whoever_reads_them)
{
	config.workers = 3;
	add_others();
	add_packets(10);
	add_others();
	run();
	assert_law();
	cr_assert_eq(ledger.fate[FATE_PASSED], 4);
	cr_assert_eq(ledger.fate[FATE_BAD_VXLAN], 2);
	cr_assert_eq(ledger.fate[FATE_OUTER_FRAGMENT], 2);
	cr_assert_eq(ledger.fate[FATE_KEPT], 10);
}

Test(engine, what_is_measured_is_the_packets_own_length)
{
	add_packet(1, 1000, false, 1000);
	frames[0].len -= 500; /* a mirror that cuts */
	run();
	uint64_t packets = 0, bytes = 0, captured = 0;
	for (unsigned i = 0; i < config.workers; i++) {
		packets += stats_kpi(stats, i, 0)->value[KPI_UNDIRECTED_PACKETS];
		bytes += stats_kpi(stats, i, 0)->value[KPI_UNDIRECTED_BYTES];
		captured += stats_kpi(stats, i, 0)->value[KPI_CAPTURED_BYTES];
	}
	cr_assert_eq(packets, 1);
	cr_assert_eq(bytes, 1028);
	cr_assert_eq(captured, 1042 - 500);
	cr_assert_eq(ledger.mark[MARK_TRUNCATED], 1);
	cr_assert_eq(files[0].packets[0].wire_len, 1042);
	cr_assert_eq(files[0].packets[0].cap_len, 542);
}

Test(engine, packet_behind_a_later_one_is_marked_and_kept)
{
	config.workers = 1;
	add_packets(10);
	frames[7].time_ns = frames[2].time_ns;
	run();
	assert_law();
	cr_assert_eq(ledger.mark[MARK_LATE], 1);
	cr_assert_eq(ledger.fate[FATE_KEPT], 10);
}

Test(engine, both_directions_are_one_flow)
{
	uint64_t flows = 0;

	add_packets(1000);
	run();
	for (unsigned i = 0; i < config.workers; i++)
		flows += stats_worker(stats, i)->flows_created;
	cr_assert_eq(flows, 100, "50 ports in each of two sessions");
}

/* ---- sessions ---- */

Test(engine, split_gives_each_session_its_file)
{
	config.split = true;
	add_packets(1000);
	run();
	assert_law();
	cr_assert_eq(n_files, 2);
	for (unsigned f = 0; f < 2; f++) {
		char name[32];
		(void)snprintf(name, sizeof(name), "10.0.0.%u-42_00000%u_", f + 1, f + 1);
		cr_assert(!strncmp(files[f].name, name, strlen(name)), "%s", files[f].name);
		cr_assert_eq(files[f].n, 500);
		for (unsigned i = 0; i < files[f].n; i++)
			assert_packet_is_frame(&files[f].packets[i], 2 * i + f);
	}
}

/* ---- stores ---- */

/* Source n has its packets in the store of this number; the others' are in the default one. */
static const char NAMES[] = "sessions:\n"
			    "  - {source: 10.0.0.1, vni: 42, store: a}\n"
			    "  - {source: 10.0.0.2, vni: 42, store: b}\n"
			    "  - {source: 10.0.0.3, vni: 42, store: c}\n";
static const char *const STORES[] = {"vxprobe", "a", "b", "c"};
#define N_STORES 4

static void run_stores(uint32_t workers, uint32_t writers)
{
	struct engine_settings settings = {.sessions_max = config.sessions_max};
	const int fd = memfile(NAMES, sizeof(NAMES) - 1);
	struct engine *engine;
	struct names *names;
	char path[MEMFILE_PATH];
	struct err err;

	config.workers = workers;
	config.writers = writers;
	config.n_stores = N_STORES;
	for (unsigned i = 0; i < N_STORES; i++)
		settings.stores[i] = config.output.settings[i] = config.output.settings[0];
	memfile_path(path, fd);
	cr_assert_eq(names_load(&names, path, &err), 0, "%s", err.text);
	cr_assert_eq(open_engine(&engine), 0);
	engine_set(engine, &settings, names);
	for (unsigned i = 0; i < config.workers; i++)
		set_source(engine, i);
	cr_assert_eq(finish(engine), 0);
	assert_law();
	for (unsigned i = 0; i < config.workers; i++)
		cr_assert_eq(stats->place[i].empty, config.chunks * writers, "the chunk law");
}

/* Frames are of sources 1 to 8 in turn: packets of one session, by their number. */
static unsigned source_of(const struct block_packet *p)
{
	return 1 + (unsigned)(frame_number(p) % 8);
}

/* Each file has packets of its store alone, in the order of their times; all are there. */
static void assert_stores(bool ties_in_order)
{
	unsigned n[N_STORES] = {0};

	for (unsigned f = 0; f < n_files; f++) {
		const struct stored *file = &files[f];
		cr_assert(file->is_whole, "%s", file->name);
		for (unsigned i = 0; i < file->n; i++) {
			const struct block_packet *p = &file->packets[i];
			const unsigned source = source_of(p), store = source < 4 ? source : 0;
			const size_t len = strlen(STORES[store]);
			assert_packet_is_frame(p, (unsigned)frame_number(p));
			cr_assert(!strncmp(file->name, STORES[store], len) &&
					  file->name[len] == '_',
				  "a packet of source %u is in %s", source, file->name);
			cr_assert(!i || p->time_ns >= p[-1].time_ns);
			cr_assert(!i || !ties_in_order || frame_number(p) > frame_number(p - 1));
			n[store]++;
		}
	}
	for (unsigned i = 0; i < N_STORES; i++)
		cr_assert_eq(n[i], (i ? 1 : 5) * n_frames / 8);
}

static void add_packets_of_8(unsigned n, uint32_t payload)
{
	for (unsigned i = 0; i < n; i++)
		add_packet(1 + i % 8, (uint16_t)(1000 + i / 8 % 50), i % 3 == 0, payload);
}

Test(engine, packets_go_to_the_store_of_their_session)
{
	add_packets_of_8(2000, 100);
	run_stores(1, 1);
	cr_assert_eq(n_files, N_STORES);
	assert_stores(true);
}

Test(engine, stores_are_spread_over_writers)
{
	add_packets_of_8(4000, 100);
	run_stores(4, 2);
	cr_assert_eq(n_files, N_STORES);
	assert_stores(true);
	cr_assert_eq(stats->writer[0].fate[FATE_KEPT], 3000, "the default store and b");
	cr_assert_eq(stats->writer[1].fate[FATE_KEPT], 1000, "a and c");
	cr_assert_eq(stats_writers(stats).late, 0);
}

/* Each new session is asked for, and answered at once: nobody waits, and nobody gives way. */
Test(engine, new_sessions_leave_packets_of_one_time_in_order)
{
	for (unsigned i = 0; i < FRAMES_MAX; i++) {
		const unsigned source = i % 4 ? 1 + 2 * (i % 2) : 4 + i / 4 % 200;
		add_packet(source, (uint16_t)(1000 + i % 50), false, 10);
		frames[i].time_ns = START_NS;
	}
	config.sessions_max = config.sessions_room = 250;
	config.chunks = 64;
	run_stores(4, 2);
	for (unsigned f = 0; f < n_files; f++)
		for (unsigned i = 1; i < files[f].n; i++)
			cr_assert_gt(frame_number(&files[f].packets[i]),
				     frame_number(&files[f].packets[i - 1]), "%s", files[f].name);
}

/* Each writer waits for a worker that waits for the other writer, unless it gives way. */
Test(engine, workers_that_wait_for_one_writer_keep_no_other_waiting, .timeout = 60)
{
	config.chunks = 2;
	config.chunk_len = 10000;
	add_packets_of_8(4000, 2000);
	for (unsigned i = 0; i < n_frames; i++)
		frames[i].time_ns = START_NS + i / 1000;
	run_stores(4, 3);
	assert_stores(false);
}

Test(engine, split_sessions_are_spread_over_writers)
{
	config.split = true;
	add_packets_of_8(4000, 100);
	run_stores(4, 3);
	cr_assert_eq(n_files, 8);
	cr_assert_eq(stored_count(files, n_files), n_frames);
	for (unsigned f = 0; f < n_files; f++) {
		cr_assert_eq(files[f].n, 500);
		for (unsigned i = 0; i < files[f].n; i++)
			assert_packet_is_frame(&files[f].packets[i], 8 * i + f);
	}
	for (unsigned i = 0; i < 3; i++)
		cr_assert_gt(stats->writer[i].files, 0);
}

Test(engine, generations_of_a_split_session_are_one_writers)
{
	const unsigned n = 100; /* the run is in one batch: its frames are with the worker */

	config.split = true;
	for (unsigned i = 0; i < n; i++)
		set_macs(add_packet(1, 1000, false, 10), 1, (uint8_t)(2 + i % 2));
	for (unsigned i = 0; i < n; i++)
		set_macs(add_packet(1, 1000, false, 10), 11, (uint8_t)(12 + i % 2));
	run_stores(1, 5);
	cr_assert_eq(n_files, 2);
	cr_assert(!strncmp(files[0].name, "10.0.0.1-42.2_", 14), "'.' sorts before '_'");
	cr_assert_eq(files[0].n, n);
	cr_assert_eq(files[1].n, n);
	assert_packet_is_frame(&files[0].packets[0], n);
}

Test(engine, without_recipients_files_are_plain)
{
	config.output.settings[0].n_recipients = 0;
	add_packets(1000);
	run();
	assert_law();
	assert_all_there();
	cr_assert(strstr(files[0].name, ".pcapng.zst"));
	cr_assert_not(strstr(files[0].name, ".age"));
}

Test(engine, sessions_beyond_the_cap_end_as_session_cap)
{
	config.sessions_max = 5;
	for (unsigned i = 0; i < 200; i++)
		add_packet(1 + i % 20, 1000, false, 10);
	run();
	assert_law();
	cr_assert_eq(stats->n_sessions, 5);
	cr_assert_eq(ledger.fate[FATE_KEPT], 50);
	cr_assert_eq(ledger.fate[FATE_SESSION_CAP], 150);
	cr_assert_eq(stored_count(files, n_files), 50);
}

/* The run's first frames move as far as they are still with the worker: enroll.h. */
Test(engine, new_eni_is_a_new_generation)
{
	const unsigned n = 100, run_end = n + ENROLL_RUN - 1;

	config.workers = 1;
	for (unsigned i = 0; i < n; i++)
		set_macs(add_packet(1, 1000, false, 10), 1, (uint8_t)(2 + i % 2));
	for (unsigned i = 0; i < n; i++)
		set_macs(add_packet(1, 1000, false, 10), 11, (uint8_t)(12 + i % 2));
	run();
	assert_law();
	assert_all_there();
	cr_assert_eq(stats->n_sessions, 2);
	cr_assert_str_eq(files[0].interfaces[1].name, "10.0.0.1-42.2");
	for (unsigned i = 0; i < 2 * n; i++) {
		const unsigned generation = files[0].packets[i].interface;
		cr_assert(i >= n || generation == 0, "packet %u", i);
		cr_assert(i < run_end || generation == 1, "packet %u", i);
	}
}

/* ---- live ---- */

Test(engine, live_packets_do_not_wait_for_the_writer_and_are_counted)
{
	is_live = true;
	config.workers = 1;
	config.chunks = 2;
	config.output.pack.level = 19;
	for (unsigned i = 0; i < FRAMES_MAX; i++)
		add_packet(1, (uint16_t)i, false, 1400);
	run();
	assert_law();
	assert_chunks_are_back();
	cr_assert_gt(ledger.fate[FATE_WRITER_FULL], 0);
	cr_assert_eq(ledger.fate[FATE_KEPT], stored_count(files, n_files));
	cr_assert_eq(stats_kpi(stats, 0, 0)->value[KPI_DROPPED_PACKETS],
		     ledger.fate[FATE_WRITER_FULL]);
	cr_assert_leq(files[0].statistics[0].dropped, ledger.fate[FATE_WRITER_FULL]);
	cr_assert_eq(stats_kpi(stats, 0, 0)->value[KPI_UNDIRECTED_PACKETS], FRAMES_MAX,
		     "all are measured");
}

/* ---- trouble ---- */

static void assert_missing_folder_is_refused(void)
{
	struct engine *engine;

	config.output.dir = "/tmp/test_engine_missing/folder";
	cr_assert_eq(open_engine(&engine), -ENOENT);
}

Test(engine, missing_folder_is_a_refusal_to_start)
{
	assert_missing_folder_is_refused();
}

Test(engine, missing_folder_is_a_refusal_to_start_when_split_too)
{
	config.split = true;
	assert_missing_folder_is_refused();
}

Test(engine, engine_that_was_never_started_closes)
{
	struct engine *engine;

	cr_assert_eq(open_engine(&engine), 0);
	set_source(engine, 0);
	engine_close(engine);
	engine_close(NULL);
}

/* SIGXFSZ stays at its default: the threads block it. */
Test(engine, file_over_the_limit_costs_packets_but_no_count_is_wrong)
{
	const struct rlimit limit = {100000, RLIM_INFINITY};

	for (unsigned i = 0; i < 900; i++)
		add_packet(1 + i % 2, (uint16_t)(i * 7), false, 1000 + i % 300);
	for (unsigned i = 0; i < n_frames; i++)
		for (unsigned k = 100; k < frames[i].len; k++)
			((uint8_t *)(uintptr_t)frames[i].data)[k] = (uint8_t)rand();
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	run();
	assert_law();
	assert_chunks_are_back();
	cr_assert_gt(ledger.fate[FATE_IO_ERROR], 0);
	cr_assert_eq(ledger.fate[FATE_KEPT] + ledger.fate[FATE_IO_ERROR], n_frames);
	cr_assert_geq(stored_count(files, n_files), ledger.fate[FATE_KEPT]);
	cr_assert(strstr(files[0].name, "_trunc."));
}

Test(engine, full_disk_costs_packets_but_no_count_is_wrong)
{
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", dir, "tmpfs", 0, "size=64k"))
		cr_skip_test("no mount without privilege");
	config.output.settings[0].n_recipients = 0;
	config.output.pack.frame_len = 4096;
	add_packets(3000);
	run();
	assert_law();
	assert_chunks_are_back();
	cr_assert_gt(ledger.fate[FATE_DISK_FULL], 0);
	cr_assert_eq(ledger.fate[FATE_KEPT] + ledger.fate[FATE_DISK_FULL], n_frames);
	cr_assert_geq(stored_count(files, n_files), ledger.fate[FATE_KEPT]);
	cr_assert_eq(umount2(dir, MNT_DETACH), 0);
}

/* ---- sources of our own: the packets of memory first, then something else ---- */

static struct capture *whole;
static uint64_t idle_ns;

static void own_release(struct capture *capture, const struct batch *batch)
{
	(void)capture;
	if (batch->n)
		capture_release(whole, batch);
}

static void own_close(struct capture *capture)
{
	(void)capture;
	capture_close(whole);
}

static int broken_recv(struct capture *capture, struct batch *batch, int wait_ms)
{
	(void)capture;
	const int ret = capture_recv(whole, batch, wait_ms);
	return ret == -ENODATA ? -EBADMSG : ret;
}

/* An idle link, whose clock makes a second of each hundredth, until a file is sealed, or for a
 * while. */
static int idle_recv(struct capture *capture, struct batch *batch, int wait_ms)
{
	(void)capture;
	const int ret = capture_recv(whole, batch, wait_ms);
	if (ret != -ENODATA || stats_writers(stats).files || idle_ns > 1000 * SECOND_NS)
		return ret;
	clock_nap(SECOND_NS / 100);
	idle_ns += SECOND_NS;
	batch->clock_ns = START_NS + idle_ns;
	return 0;
}

static int run_own(const struct capture_ops *ops)
{
	struct capture own = {.ops = ops};
	struct engine *engine;
	struct err err;

	config.workers = 1;
	cr_assert_eq(open_engine(&engine), 0);
	cr_assert_eq(capture_mem_open(&whole, frames, n_frames, &err), 0);
	engine_set_source(engine, 0, &own);
	return finish(engine);
}

Test(engine, join_tells_a_sources_error_and_what_came_before_is_stored)
{
	static const struct capture_ops ops = {broken_recv, own_release, own_close};

	add_packets(100);
	cr_assert_eq(run_own(&ops), -EBADMSG);
	assert_law();
	assert_all_there();
}

Test(engine, file_ends_by_its_age_on_an_idle_link)
{
	static const struct capture_ops ops = {idle_recv, own_release, own_close};

	config.output.settings[0].rotate_ns = 5 * SECOND_NS;
	add_packets(100);
	cr_assert_eq(run_own(&ops), 0);
	assert_law();
	assert_all_there();
	cr_assert_geq(idle_ns, 5 * SECOND_NS);
	cr_assert_lt(idle_ns, 500 * SECOND_NS, "it ended before the source did");
}

/* ---- policies ---- */

static struct names *named(const char *text)
{
	const int fd = memfile(text, strlen(text));
	char path[MEMFILE_PATH];
	struct names *names;
	struct err err;

	memfile_path(path, fd);
	cr_assert_eq(names_load(&names, path, &err), 0, "%s", err.text);
	close(fd);
	return names;
}

static const struct engine_settings settings = {
	.sessions_max = 16,
	.sample_key = {{3, 4}},
	.stores = {{.rotate_len = UINT64_MAX}},
};

static void set_names(struct engine *engine, const char *text)
{
	struct engine_settings s = settings;

	s.stores[0].recipients[0] = recipient;
	s.stores[0].n_recipients = 1;
	engine_set(engine, &s, named(text));
}

static void run_named(const char *text)
{
	struct engine *engine;

	cr_assert_eq(open_engine(&engine), 0);
	set_names(engine, text);
	for (unsigned i = 0; i < config.workers; i++)
		set_source(engine, i);
	cr_assert_eq(finish(engine), 0);
}

/* Of all that is measured of both sessions, a sum that tells any difference. */
static uint64_t measured(void)
{
	uint64_t sum = 0;

	for (uint32_t session = 0; session < 2; session++)
		for (unsigned k = 0; k < KPI_MAX; k++) {
			uint64_t value = 0;
			for (unsigned i = 0; i < config.workers; i++)
				value += stats_kpi(stats, i, session)->value[k];
			sum = (sum ^ value) * 0x100000001b3;
		}
	return sum;
}

#define UNKNOWN(policy) "policies: {p: {" policy "}}\nunknown-sessions: p\n"

Test(engine, what_is_measured_does_not_depend_on_what_is_kept)
{
	static const char *const policies[] = {
		UNKNOWN("keep: full"),
		UNKNOWN("keep: headers"),
		UNKNOWN("keep: count"),
		UNKNOWN("filter: \"udp port 1007\""),
		UNKNOWN("sample: 1/4"),
		UNKNOWN("only: 192.168.0.0/16"),
		UNKNOWN("snap-length: 64B, sample: 1/2, filter: \"not port 1009\""),
	};
	uint64_t of_full = 0;

	add_packets(2000);
	for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
		run_named(policies[i]);
		assert_law();
		of_full = i ? of_full : measured();
		cr_expect_eq(measured(), of_full, "%s", policies[i]);
		stats_close(stats);
		remove_dir();
		cr_assert_not_null(mkdtemp(strcpy(dir, "/tmp/test_engine_XXXXXX")));
	}
}

/* Which frames are stored, a bit each, and their fates are right. */
static uint64_t stored_of(const char *policy, enum fate other)
{
	uint64_t all = 0;

	run_named(policy);
	assert_law();
	assert_chunks_are_back();
	for (unsigned f = 0; f < n_files; f++)
		for (unsigned i = 0; i < files[f].n; i++)
			all |= UINT64_C(1) << frame_number(&files[f].packets[i]);
	cr_expect_eq(ledger.fate[FATE_KEPT], (unsigned)__builtin_popcountll(all));
	cr_expect_eq(ledger.fate[FATE_KEPT] + ledger.fate[other], n_frames, "%s", policy);
	return all;
}

Test(engine, what_the_expression_does_not_match_ends_as_filtered)
{
	add_packets(60);
	const uint64_t all = stored_of(UNKNOWN("filter: \"udp port 1002\""), FATE_FILTERED);
	for (unsigned i = 0; i < 60; i++)
		cr_expect_eq(all >> i & 1, i / 2 % 50 == 2, "%u", i);
}

Test(engine, flows_outside_the_sample_end_as_not_sampled)
{
	uint64_t flow[2] = {0}; /* seen kept, seen left out */

	for (unsigned i = 0; i < 60; i++) /* 20 flows in both directions */
		add_packet(1 + i % 2, (uint16_t)(1000 + i / 3), i % 3 == 1, 50);
	const uint64_t all = stored_of(UNKNOWN("sample: 1/2"), FATE_NOT_SAMPLED);
	for (unsigned i = 0; i < 60; i++)
		flow[~all >> i & 1] |= UINT64_C(1) << i / 3;
	cr_expect_eq(flow[0] & flow[1], 0, "a flow is kept whole or not at all");
	cr_expect(flow[0] && flow[1]);
	config.workers = 1;
	stats_close(stats);
	remove_dir();
	cr_assert_not_null(mkdtemp(strcpy(dir, "/tmp/test_engine_XXXXXX")));
	cr_expect_eq(stored_of(UNKNOWN("sample: 1/2"), FATE_NOT_SAMPLED), all,
		     "whatever the number of workers");
}

Test(engine, other_addresses_end_as_not_opted_in_and_are_not_measured)
{
	add_packets(60);
	cr_expect_eq(stored_of(UNKNOWN("only: 10.0.0.0/8"), FATE_NOT_OPTED_IN), 0);
	for (uint32_t session = 0; session < 2; session++)
		for (unsigned i = 0; i < config.workers; i++)
			cr_expect_eq(stats_kpi(stats, i, session)->value[KPI_UNDIRECTED_PACKETS],
				     0);
}

/* Sets other names while workers use those before: who uses freed ones crashes. */
static struct engine *changed;
static unsigned n_changes;

static int steady_recv(struct capture *capture, struct batch *batch, int wait_ms)
{
	(void)capture;
	clock_nap(SECOND_NS / 5000);
	return capture_recv(whole, batch, wait_ms);
}

Test(engine, policies_change_while_packets_flow)
{
	static const struct capture_ops ops = {steady_recv, own_release, own_close};
	struct capture own = {.ops = &ops, .is_live = true};
	struct err err;

	is_live = true;
	config.workers = 1;
	add_packets(FRAMES_MAX);
	cr_assert_eq(open_engine(&changed), 0);
	set_names(changed, UNKNOWN("filter: \"udp port 1002\""));
	cr_assert_eq(capture_mem_open(&whole, frames, n_frames, &err), 0);
	engine_set_source(changed, 0, &own);
	cr_assert_eq(engine_start(changed, &err), 0);
	while (!engine_is_done(changed)) {
		set_names(changed,
			  n_changes++ % 2
				  ? UNKNOWN("filter: \"udp port 1002\", only: 192.168.0.0/16")
				  : UNKNOWN("keep: count"));
		engine_turn(changed, -1, 1);
	}
	cr_assert_eq(engine_join(changed), 0);
	const struct ledger_source source = {.stats = stats};
	ledger_read(&source, &ledger);
	engine_close(changed);
	assert_law();
	cr_expect_gt(n_changes, 3, "%u", n_changes);
	cr_expect_gt(ledger.fate[FATE_FILTERED], 0);
	cr_expect_gt(ledger.fate[FATE_NOT_CAPTURED], 0);
}

Test(engine, memory_counts_chunks_of_every_worker)
{
	const size_t with_two = engine_memory(&config);

	config.workers = 4;
	cr_assert_geq(engine_memory(&config),
		      with_two + 2 * (size_t)config.chunks * config.chunk_len);
}
