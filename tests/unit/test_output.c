#define _GNU_SOURCE /* unshare, memmem */
#include "run/output.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/stored.h"
#include "../support/syscalls.h"
#include "path/block.h"
#include "path/chain.h"
#include "path/store.h"
#include "run/evidence.h"

#define SECOND_NS UINT64_C(1000000000)
/* The source's clock begins at 100 s, the wall clock at 2026-11-21T23:02:54Z. */
#define START_NS   (100 * SECOND_NS)
#define OFFSET_NS  (INT64_C(1795302174000000000) - (int64_t)START_NS)
#define SESSIONS   3
#define FILES_MAX  64
#define CAP_LEN    200
#define FRAME_LEN  4096
#define BUFFER_LEN 16384

static _Atomic uint32_t highest;
static char dir[] = "/tmp/test_output_XXXXXX";
static struct seal_recipient recipient;
static struct output_config config;
static struct stats *stats;
static _Atomic uint64_t claimed_drops[SESSIONS];
static struct output_tools *tools;
static struct output *output;
static struct stored files[FILES_MAX];
static unsigned n_files;
static uint64_t sent;

static void describe(void *arg, uint32_t session, int64_t at_ns, struct session_labels *out)
{
	(void)arg;
	(void)at_ns;
	stats_labels(stats, session, out);
	if (!*out->name)
		stats_session_name(&stats_sessions(stats)[session], out->name);
}

static struct describe_policy policy; /* of all sessions */

static void tell_policy(void *arg, uint32_t session, int64_t at_ns, struct describe_policy *out)
{
	(void)arg;
	(void)session;
	*out = policy;
	out->digest += at_ns >= policy.until_ns;
	out->until_ns = at_ns < policy.until_ns ? policy.until_ns : INT64_MAX;
}

static void prepare(void)
{
	const struct stats_config c = {.workers = 2, .sessions_max = SESSIONS, .chunks = 2};
	struct err err;
	int fd;

	cr_assert_not_null(mkdtemp(dir));
	cr_assert_eq(seal_recipient_parse(&recipient, STORED_RECIPIENT, &err), 0);
	cr_assert_eq(stats_open(&stats, &fd, &c, &err), 0);
	for (uint8_t i = 0; i < SESSIONS; i++) {
		const struct session session = {
			{{[10] = 0xff, 0xff, 10, 0, 0, i}}, 42, i + 1u, ENROLL_UNKNOWN};
		struct session_labels labels = {.policy = "full"};
		stats_session_name(&session, labels.name);
		stats_set_labels(stats, i, &labels);
		stats_sessions(stats)[i] = session;
	}
	stats->n_sessions = SESSIONS;
	config = (struct output_config){
		.dir = dir,
		.highest = &highest,
		.buffer_len = BUFFER_LEN,
		.pack = {.frame_len = FRAME_LEN,
			 .level = 1,
			 .frames_max = 1000,
			 .definitions_max = 65536},
		.settings = {{.recipients = {recipient}, .rotate_len = UINT64_MAX}},
		.describe = describe,
		.policy = tell_policy,
		.claimed_drops = claimed_drops};
	policy = (struct describe_policy){
		.name = "full", .snap_len = UINT32_MAX, .sample = 1, .until_ns = INT64_MAX};
}

static void remove_dir(void)
{
	char command[64];

	output_close(output);
	output_tools_close(tools);
	(void)snprintf(command, sizeof(command), "rm -rf %s", dir);
	cr_assert_eq(system(command), 0);
}

TestSuite(output, .init = prepare, .fini = remove_dir);

static int open_named(struct output **out, const char *name, uint32_t sessions, struct err *err)
{
	return output_open(out, tools, &(struct output_place){.name = name, .sessions = sessions},
			   err);
}

static void open_output(unsigned n_recipients)
{
	struct err err;

	config.settings[0].n_recipients = n_recipients;
	cr_assert_eq(output_tools_open(&tools, &config, stats, &err), 0, "%s", err.text);
	cr_assert_eq(open_named(&output, "probe", SESSIONS, &err), 0, "%s", err.text);
}

static uint64_t next_drops; /* drop count of the packets put */

static void limit_file_size(uint64_t len)
{
	const struct rlimit limit = {len, RLIM_INFINITY};

	(void)signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static uint8_t byte_of(uint64_t id, unsigned i)
{
	return (uint8_t)((id * 2654435761u + i * i * 40503u) >> 7); /* hardly to be compressed */
}

static void put_to(struct output *o, uint64_t time_ns, uint32_t session, int64_t offset_ns)
{
	uint8_t block[BLOCK_PACKET_HEAD + CAP_LEN + BLOCK_PACKET_TAIL];
	const struct block_packet p = {.time_ns = time_ns,
				       .interface = session,
				       .cap_len = CAP_LEN,
				       .wire_len = 1500,
				       .drops = next_drops,
				       .id = sent++};

	for (unsigned i = 0; i < CAP_LEN; i++)
		block[BLOCK_PACKET_HEAD + i] = byte_of(p.id, i);
	const size_t len = block_packet_frame(block, &p);
	output_packet(o, block, len, session, offset_ns);
}

static void put_at(uint64_t time_ns, uint32_t session, int64_t offset_ns)
{
	put_to(output, time_ns, session, offset_ns);
}

/* n packets, a millisecond apart, of all sessions in turn. */
static void put(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		put_at(START_NS + sent * 1000000, sent % SESSIONS, OFFSET_NS);
}

static uint64_t fate(enum fate f)
{
	return stats_get(&stats->writer[0].fate[f]);
}

static void read_back(void)
{
	n_files = stored_read(files, FILES_MAX, dir);
}

/* All files are whole and hold the packets, in order and unchanged, that were sent. */
static void assert_all_there(void)
{
	uint64_t id = 0;

	read_back();
	for (unsigned f = 0; f < n_files; f++) {
		cr_assert(files[f].is_whole, "%s", files[f].name);
		for (unsigned i = 0; i < files[f].n; i++, id++) {
			const struct block_packet *p = &files[f].packets[i];
			cr_assert_eq(p->id, id);
			cr_assert_eq(p->cap_len, CAP_LEN);
			for (unsigned k = 0; k < CAP_LEN; k++)
				cr_assert_eq(p->data[k], byte_of(id, k));
		}
	}
	cr_assert_eq(id, sent);
	cr_assert_eq(fate(FATE_KEPT), sent);
	cr_assert_eq(stats->writer[0].files, n_files);
}

/* ---- what is in a file ---- */

Test(output, without_recipients_files_are_plain_zstd)
{
	open_output(0);
	put(1000);
	output_end_file(output);
	assert_all_there();
	cr_assert_eq(n_files, 1);
	cr_assert_str_eq(files[0].name,
			 "probe_000001_20261121T230254Z_20261121T230254Z.pcapng.zst");
}

Test(output, with_a_recipient_files_are_opened_by_its_identity)
{
	open_output(1);
	put(1000);
	output_end_file(output);
	assert_all_there();
	cr_assert_eq(n_files, 1);
	cr_assert_str_eq(files[0].name,
			 "probe_000001_20261121T230254Z_20261121T230254Z.pcapng.zst.age");
}

Test(output, packet_has_wall_clock_time_and_its_sessions_interface)
{
	open_output(0);
	put(2 * SESSIONS);
	output_end_file(output);
	read_back();
	cr_assert_eq(files[0].n_interfaces, SESSIONS);
	for (unsigned i = 0; i < files[0].n; i++) {
		const struct block_packet *p = &files[0].packets[i];
		cr_assert_eq(p->time_ns, (uint64_t)OFFSET_NS + START_NS + i * 1000000);
		cr_assert_eq(p->interface, i % SESSIONS);
		cr_assert_eq(p->wire_len, 1500);
	}
}

Test(output, interface_says_which_session_it_is)
{
	open_output(0);
	put(2);
	output_end_file(output);
	read_back();
	cr_assert_eq(files[0].n_interfaces, 2, "only sessions with packets");
	cr_assert_str_eq(files[0].interfaces[0].name, "10.0.0.0-42");
	cr_assert_str_eq(files[0].interfaces[1].name, "10.0.0.1-42.2");
	cr_assert_str_eq(files[0].interfaces[1].description, "vni=42 source=10.0.0.1");
	cr_assert_eq(files[0].interfaces[1].linktype, BLOCK_LINKTYPE_ETHERNET);
}

Test(output, interface_says_what_the_session_is_called)
{
	struct session_labels labels = {.name = "amf-1", .nf = "AMF 1", .eni = "eni-0a"};

	stats_set_labels(stats, 0, &labels);
	memset(labels.nf, 'n', 63);
	memset(labels.vrf, 'v', 63);
	memset(labels.account, 'a', 63);
	memset(labels.eni, 'e', 63);
	stats_set_labels(stats, 1, &labels);
	open_output(0);
	put(2);
	output_end_file(output);
	read_back();
	cr_assert_str_eq(files[0].interfaces[0].name, "amf-1");
	cr_assert_str_eq(files[0].interfaces[0].description,
			 "vni=42 source=10.0.0.0 nf=AMF 1 eni=eni-0a");
	const char *end = files[0].interfaces[1].description;
	end += strlen(end) - 4 - 63;
	cr_assert_eq(strncmp(end, "eni=eee", 7), 0, "the longest labels fit: %s", end);
}

Test(output, memory_has_all_that_an_open_file_takes)
{
	cr_assert_geq(output_memory(&config, 1),
		      pack_memory(&config.pack) + seal_memory() + store_memory(BUFFER_LEN));
}

/* ---- names of addresses ---- */

#define NAMES_MAX 512 /* as a names file may have of a session */

static unsigned n_names = 1;
static int64_t asked_at_ns;

/* In session i the address 10.1.0.j is "i-j". */
static size_t write_names(void *arg, uint32_t session, int64_t at_ns, uint8_t *out, size_t cap)
{
	static char text[NAMES_MAX][BLOCK_NAME_MAX + 1];
	static struct block_name names[NAMES_MAX];

	cr_assert_eq(arg, &n_names);
	asked_at_ns = at_ns;
	for (unsigned i = 0; i < n_names; i++) {
		(void)snprintf(text[i], sizeof(text[i]), "%u-%u%050d", session, i, 0);
		names[i] = (struct block_name){
			{{[10] = 0xff, 0xff, 10, 1, (uint8_t)(i >> 8), (uint8_t)i}}, text[i]};
	}
	const size_t len = n_names ? block_names(out, cap, names, n_names) : 0;
	cr_assert(len || !n_names);
	return len;
}

static void open_named_output(unsigned n)
{
	n_names = n;
	config.names = write_names;
	config.arg = &n_names;
	open_output(0);
}

Test(output, names_of_a_session_are_behind_its_interface)
{
	open_named_output(2);
	put(2 * SESSIONS);
	cr_assert_eq(asked_at_ns, OFFSET_NS + (int64_t)START_NS + 2000000, "once a session");
	output_end_file(output);
	assert_all_there();
	cr_assert_eq(files[0].n_names, 2 * SESSIONS);
	for (unsigned i = 0; i < files[0].n_names; i++) {
		const struct stored_name *n = &files[0].names[i];
		char want[16];
		(void)snprintf(want, sizeof(want), "%u-%u0", i / 2, i % 2);
		cr_assert_eq(strncmp(n->name.name, want, 4), 0, "%s", n->name.name);
		cr_assert_eq(n->name.address.byte[15], i % 2);
		cr_assert_eq(n->interfaces_before, i / 2 + 1);
	}
}

Test(output, every_file_has_the_names_again)
{
	open_named_output(1);
	put(SESSIONS);
	output_end_file(output);
	put(SESSIONS);
	output_end_file(output);
	read_back();
	cr_assert_eq(files[0].n_names, SESSIONS);
	cr_assert_eq(files[1].n_names, SESSIONS);
}

Test(output, session_without_names_has_no_names_block)
{
	open_named_output(0);
	put(SESSIONS);
	output_end_file(output);
	assert_all_there();
	cr_assert_eq(files[0].n_names, 0);
}

Test(output, as_many_names_as_there_may_be_do_not_end_or_fail_the_file)
{
	config.pack.definitions_max = 4096; /* far less than they are */
	open_named_output(NAMES_MAX);
	put(1000);
	output_end_file(output);
	assert_all_there();
	cr_assert_eq(n_files, 1);
	cr_assert_eq(files[0].n_names, SESSIONS * NAMES_MAX);
}

Test(output, under_pressure_frames_are_compressed_less_and_all_is_there)
{
	const unsigned frame = (256u << 10) / 276 + 1;

	config.pack.level = 19; /* takes longer than any disk */
	config.pack.frame_len = 256u << 10;
	config.buffer_len = 1u << 20;
	open_output(1);
	cr_assert_eq(stats_writers(stats).level, 19);
	output_tools_set_pressure(tools, 60);
	put(3 * frame / 2);
	cr_assert(stats_writers(stats).level == 1, "level %ld", (long)stats_writers(stats).level);
	cr_assert_eq(stats_writers(stats).level_changes, 1);
	output_tools_set_pressure(tools, 0);
	put(20 * frame);
	cr_assert_eq(stats_writers(stats).level, 19, "it resumes");
	cr_assert_eq(stats_writers(stats).level_changes, 2);
	output_end_file(output);
	assert_all_there();
}

Test(output, output_of_one_session_takes_any_id)
{
	struct err err;

	cr_assert_eq(output_tools_open(&tools, &config, stats, &err), 0);
	cr_assert_eq(open_named(&output, "10.0.0.2-42.3", 1, &err), 0);
	for (unsigned i = 0; i < 10; i++)
		put_at(START_NS, 2, OFFSET_NS);
	output_end_file(output);
	assert_all_there();
	cr_assert_eq(files[0].n_interfaces, 1);
	cr_assert_str_eq(files[0].interfaces[0].name, "10.0.0.2-42.3");
}

Test(output, statistics_say_what_came_and_what_the_workers_dropped)
{
	open_output(0);
	stats_kpi(stats, 0, 1)->value[KPI_DROPPED_PACKETS] = 100; /* before the file */
	put(9);
	stats_kpi(stats, 0, 1)->value[KPI_DROPPED_PACKETS] += 5;
	stats_kpi(stats, 1, 1)->value[KPI_DROPPED_PACKETS] += 2;
	output_end_file(output);
	read_back();
	cr_assert_eq(files[0].n_statistics, SESSIONS);
	const struct block_statistics *s = &files[0].statistics[1];
	cr_assert_eq(s->interface, 1);
	cr_assert_eq(s->delivered, 3);
	cr_assert_eq(s->dropped, 107);
	cr_assert_eq(s->received, 110);
	cr_assert_eq(s->start_ns, (uint64_t)OFFSET_NS + START_NS + 1000000);
	cr_assert_eq(s->end_ns, (uint64_t)OFFSET_NS + START_NS + 7000000);
	cr_assert_eq(files[0].statistics[0].dropped, 0);
}

Test(output, next_files_statistics_begin_anew)
{
	open_output(0);
	put(3);
	stats_kpi(stats, 0, 1)->value[KPI_DROPPED_PACKETS] = 5;
	output_end_file(output);
	put(3);
	output_end_file(output);
	read_back();
	cr_assert_eq(files[1].statistics[1].dropped, 0);
	cr_assert_eq(files[1].statistics[1].delivered, 1);
}

/* A session that another store's packets follow, and then the first one's again: what was lost is
 * told once. */
Test(output, a_loss_is_told_by_one_output_alone)
{
	struct output *second;
	struct err err;

	open_output(0);
	cr_assert_eq(open_named(&second, "second", SESSIONS, &err), 0);
	stats_kpi(stats, 0, 1)->value[KPI_DROPPED_PACKETS] = 5;
	put_at(START_NS, 1, OFFSET_NS);
	output_end_file(output);
	stats_kpi(stats, 0, 1)->value[KPI_DROPPED_PACKETS] = 7;
	put_to(second, START_NS, 1, OFFSET_NS);
	output_end_file(second);
	stats_kpi(stats, 1, 1)->value[KPI_DROPPED_PACKETS] = 1;
	put_at(START_NS, 1, OFFSET_NS);
	put_to(second, START_NS, 1, OFFSET_NS); /* both are open */
	output_end_file(output);
	output_close(second);
	read_back();
	cr_assert_eq(n_files, 4);
	cr_expect_eq(files[0].statistics[0].dropped, 5);
	cr_expect_eq(files[1].statistics[0].dropped, 1, "not those of the second output's");
	cr_expect_eq(files[2].statistics[0].dropped, 2, "not those that the first one has told");
	cr_expect_eq(files[2].statistics[0].received, 3);
	cr_expect_eq(files[3].statistics[0].dropped, 0);
}

/* ---- evidence ---- */

static struct evidence *evidence;
static struct chain_entry entry;

static void keep_evidence(void)
{
	const struct evidence_config c = {.dir = dir, .stats = stats};
	struct err err;

	cr_assert_eq(evidence_open(&evidence, &c, &err), 0);
	cr_assert_eq(evidence_start(evidence, &err), 0, "%s", err.text);
	config.evidence = evidence;
}

/* Ends the evidence; the nth entry about a file is in `entry`. */
static void find_entry(unsigned n)
{
	static char line[CHAIN_LINE_MAX + 1], path[64];
	struct err err;
	size_t len;

	evidence_close(evidence);
	evidence = NULL;
	(void)snprintf(path, sizeof(path), "%s/%s", dir, CHAIN_FILE);
	FILE *f = fopen(path, "re");
	while (n && chain_read_line(f, line, &len) == 1) {
		cr_assert_eq(chain_parse(&entry, line, len, &err), 0, "%s", err.text);
		n -= chain_has_file_hash(entry.event);
	}
	(void)fclose(f);
	cr_assert_eq(n, 0);
}

Test(output, entry_has_the_packets_and_the_drops_of_its_file)
{
	keep_evidence();
	open_output(1);
	stats_kpi(stats, 0, 1)->value[KPI_DROPPED_PACKETS] = 100; /* before the file */
	put(10);
	stats_kpi(stats, 1, 0)->value[KPI_DROPPED_PACKETS] = 7;
	output_end_file(output);
	put(4);
	stats_kpi(stats, 0, 1)->value[KPI_DROPPED_PACKETS] += 3;
	output_end_file(output);
	find_entry(1);
	cr_expect_eq(entry.event, CHAIN_SEALED);
	cr_expect_eq(entry.packets, 10);
	cr_expect_eq(entry.drops, 107);
	find_entry(2);
	cr_expect_eq(entry.packets, 4);
	cr_expect_eq(entry.drops, 3);
	cr_expect_eq(entry.n_recipients, 1);
}

/* A file that could not be ended: what is kept of it, and the rest among the drops. */
Test(output, entry_of_a_broken_file_has_what_was_kept)
{
	keep_evidence();
	open_output(0);
	put(2000);
	const uint64_t kept = fate(FATE_KEPT);
	limit_file_size(1000); /* the chain has room, the file has more than that already */
	output_end_file(output);
	limit_file_size(RLIM_INFINITY);
	find_entry(1);
	cr_expect_eq(entry.event, CHAIN_BROKEN);
	cr_expect_gt(kept, 0);
	cr_expect_eq(entry.packets, (int64_t)fate(FATE_KEPT));
	cr_expect_eq(entry.drops, 2000 - entry.packets);
}

/* The list changes while two files are open: each has the entry of those it was sealed for. */
Test(output, entry_names_whom_its_file_was_sealed_for)
{
	const struct output_place place = {.name = "other", .sessions = SESSIONS};
	struct output_settings changed[OUTPUT_STORES_MAX];
	char first[64], fingerprint[17];
	struct output *second;
	struct err err;

	keep_evidence();
	open_output(1);
	cr_assert_eq(output_open(&second, tools, &place, &err), 0);
	put(3);
	memcpy(changed, config.settings, sizeof(changed));
	changed[0].n_recipients = 2;
	changed[0].recipients[1] = recipient;
	changed[0].recipients[0].x25519[0] ^= 1;
	output_tools_set(tools, changed);
	struct output *const begun = output;
	output = second;
	put(3);
	output = begun;
	output_end_file(output);
	output_end_file(second);
	output_close(second);
	find_entry(1);
	seal_recipient_format(&recipient, first);
	chain_fingerprint(first, fingerprint);
	cr_assert_eq(entry.n_recipients, 1);
	cr_expect_str_eq(entry.recipients[0], fingerprint);
	find_entry(2);
	cr_assert_eq(entry.n_recipients, 2);
	cr_expect_str_eq(entry.recipients[1], fingerprint);
}

/* ---- kept ---- */

Test(output, packet_is_not_kept_before_its_bytes_are_written)
{
	open_output(0);
	put(5);
	cr_assert_eq(fate(FATE_KEPT), 0);
	output_end_file(output);
	cr_assert_eq(fate(FATE_KEPT), 5);
}

static void assert_kept_is_readable_all_along(void)
{
	for (unsigned round = 0; round < 6; round++) {
		put(300 + round * 37);
		read_back();
		cr_assert_leq(fate(FATE_KEPT), stored_count(files, n_files), "of %lu", sent);
	}
	cr_assert_gt(fate(FATE_KEPT), 0);
	output_end_file(output);
	assert_all_there();
}

Test(output, kept_is_never_more_than_a_plain_file_has)
{
	open_output(0);
	assert_kept_is_readable_all_along();
}

Test(output, kept_is_never_more_than_a_sealed_file_has)
{
	open_output(1);
	assert_kept_is_readable_all_along();
}

Test(output, bytes_are_those_of_blocks_and_of_files)
{
	open_output(1);
	put(1000);
	output_end_file(output);
	read_back();
	cr_assert_eq(stats->writer[0].bytes_out, files[0].file_len);
	cr_assert_eq(stats->writer[0].bytes_in, files[0].len);
}

/* ---- the session's ledger ---- */

Test(output, statistics_come_at_their_interval_while_there_is_news)
{
	config.settings[0].statistics_ns = 10 * SECOND_NS;
	open_output(0);
	put(2);
	output_tick(output, START_NS + 10 * SECOND_NS - 1);
	output_tick(output, START_NS + 10 * SECOND_NS); /* sessions 0 and 1 */
	output_tick(output, START_NS + 20 * SECOND_NS);
	stats_kpi(stats, 0, 1)->value[KPI_DROPPED_PACKETS] = 4;
	output_tick(output, START_NS + 30 * SECOND_NS);
	output_end_file(output);
	read_back();
	cr_assert_eq(files[0].n_statistics, 2 + 1 + 2);
	cr_assert_eq(files[0].statistics[0].interface, 0);
	cr_assert_eq(files[0].statistics[1].received, 1);
	cr_assert_eq(files[0].statistics[2].interface, 1);
	cr_assert_eq(files[0].statistics[2].received, 5);
	cr_assert_eq(files[0].statistics[4].dropped, 4, "of the whole file");
}

Test(output, packet_tells_what_the_worker_lost_before_it)
{
	open_output(0);
	next_drops = 7;
	put(1);
	next_drops = 0;
	put(1);
	output_end_file(output);
	read_back();
	cr_assert_eq(files[0].packets[0].drops, 7);
	cr_assert_eq(files[0].packets[1].drops, 0);
}

Test(output, what_the_disk_lost_is_told_by_the_next_packet_and_the_next_statistics)
{
	open_output(1);
	limit_file_size(100);
	next_drops = 2;
	for (unsigned i = 0; i < 5; i++)
		put_at(START_NS, 1, OFFSET_NS);
	output_end_file(output);        /* 5 are lost, and what they told */
	put_at(START_NS, 1, OFFSET_NS); /* lost at once: no new try yet */
	cr_assert_eq(fate(FATE_IO_ERROR), 6);
	limit_file_size(RLIM_INFINITY);
	put_at(START_NS + SECOND_NS, 1, OFFSET_NS);
	put_at(START_NS + SECOND_NS, 1, OFFSET_NS);
	output_end_file(output);
	read_back();
	cr_assert_eq(n_files, 1);
	cr_assert_eq(files[0].packets[0].drops, 6 + 7 * 2);
	cr_assert_eq(files[0].packets[1].drops, 2);
	cr_assert_eq(files[0].statistics[0].os_dropped, 6);
	cr_assert_eq(files[0].statistics[0].received, 8);
	cr_assert(memmem(files[0].bytes, files[0].len, "io_error=6", 10));
	put_at(START_NS + SECOND_NS, 1, OFFSET_NS);
	output_end_file(output);
	read_back();
	cr_assert_eq(files[1].statistics[0].os_dropped, 0, "told already");
}

/* ---- bounded loss ---- */

#define FLUSH_NS (2 * SECOND_NS)

static struct output *others[8];

static void close_others(void)
{
	for (unsigned i = 0; i < 8; i++)
		output_close(others[i]);
}

/* Outputs "other0", ... with an open file and a packet in it. */
static void open_others(unsigned n)
{
	struct output *const mine = output;
	struct err err;
	char name[16];

	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), "other%u", i);
		cr_assert_eq(open_named(&others[i], name, SESSIONS, &err), 0);
		output = others[i];
		put_at(START_NS, 0, OFFSET_NS);
	}
	output = mine;
}

static void tick_all(uint64_t now_ns)
{
	output_tick(output, now_ns);
	for (unsigned i = 0; i < 8 && others[i]; i++)
		output_tick(others[i], now_ns);
}

static void assert_flushes(unsigned n_recipients)
{
	config.settings[0].flush_ns = FLUSH_NS;
	open_output(n_recipients);
	for (unsigned i = 0; i < 5; i++)
		put_at(START_NS + i * SECOND_NS / 10, 0, OFFSET_NS);
	output_tick(output, START_NS + FLUSH_NS - 1);
	cr_assert_eq(fate(FATE_KEPT), 0);
	output_tick(output, START_NS + FLUSH_NS);
	cr_assert_eq(fate(FATE_KEPT), 5);
	read_back();
	cr_assert_eq(stored_count(files, n_files), 5, "in the open file");
	put_at(START_NS + FLUSH_NS, 0, OFFSET_NS);
	output_tick(output, START_NS + 2 * FLUSH_NS);
	cr_assert_eq(fate(FATE_KEPT), 6);
	output_end_file(output);
	assert_all_there();
}

Test(output, sealed_packets_are_written_flush_ns_after_they_came)
{
	assert_flushes(1);
}

/* Stock readers of plain zstd trip over skippable frames. */
Test(output, plain_packets_are_written_flush_ns_after_they_came_without_padding)
{
	assert_flushes(0);
	cr_assert_leq(stats->writer[0].bytes_out, stats->writer[0].bytes_in);
}

Test(output, flush_ns_holds_while_packets_keep_coming)
{
	config.settings[0].flush_ns = FLUSH_NS;
	config.pack.frame_len = 1 << 20;
	config.buffer_len = 1 << 20;
	open_output(1);
	for (unsigned i = 0; i < 1000; i++) {
		put_at(START_NS + i * SECOND_NS / 100, 0, OFFSET_NS); /* 200 in flush_ns */
		cr_assert_geq(fate(FATE_KEPT) + 201, sent);
	}
	output_end_file(output);
	assert_all_there();
}

Test(output, nothing_is_padded_while_nothing_waits)
{
	config.settings[0].flush_ns = FLUSH_NS;
	open_output(1);
	put(1);
	output_tick(output, START_NS + FLUSH_NS);
	const uint64_t bytes = stats->writer[0].bytes_out;
	for (unsigned i = 2; i < 1000; i++)
		output_tick(output, START_NS + i * FLUSH_NS);
	cr_assert_eq(stats->writer[0].bytes_out, bytes);
	output_end_file(output);
	assert_all_there();
}

Test(output, thin_outputs_take_turns)
{
	config.settings[0].flush_ns = FLUSH_NS;
	open_output(1);
	open_others(4);
	put_at(START_NS, 0, OFFSET_NS);
	for (unsigned turn = 1; turn <= 5; turn++) {
		tick_all(START_NS + turn * FLUSH_NS - 1);
		cr_assert_eq(fate(FATE_KEPT), turn - 1, "one in flush_ns");
		tick_all(START_NS + turn * FLUSH_NS);
		tick_all(START_NS + turn * FLUSH_NS);
		cr_assert_eq(fate(FATE_KEPT), turn);
		read_back();
		cr_assert_eq(stored_count(files, n_files), turn);
	}
	close_others();
}

Test(output, there_are_no_turns_where_files_end_sooner)
{
	config.settings[0].flush_ns = FLUSH_NS;
	config.settings[0].rotate_ns = 5 * FLUSH_NS - 1;
	open_output(1);
	open_others(4);
	put_at(START_NS, 0, OFFSET_NS);
	tick_all(START_NS + 4 * FLUSH_NS);
	cr_assert_eq(fate(FATE_KEPT), 0);
	output_end_file(others[3]);
	tick_all(START_NS + 4 * FLUSH_NS);
	cr_assert_eq(fate(FATE_KEPT), 2);
	close_others();
}

Test(output, half_a_chunk_waits_for_no_turn)
{
	config.settings[0].flush_ns = FLUSH_NS;
	open_output(1);
	open_others(7);
	for (unsigned i = 0; i < 250; i++) /* about 50 kB, hardly to be compressed */
		put_at(START_NS, 0, OFFSET_NS);
	output_tick(output, START_NS + FLUSH_NS);
	cr_assert_eq(fate(FATE_KEPT), 250);
	close_others();
}

Test(output, padding_is_no_more_than_is_said)
{
	config.settings[0].flush_ns = FLUSH_NS;
	open_output(1);
	for (unsigned i = 0; i < 3600; i++)
		put_at(START_NS + i * SECOND_NS, 0, OFFSET_NS);
	output_end_file(output);
	assert_all_there();
	const uint64_t hour = output_padding_a_day(&config.settings[0]) / 24;
	cr_assert_leq(stats->writer[0].bytes_out, hour + hour / 1000 + stats->writer[0].bytes_in);
	cr_assert_gt(stats->writer[0].bytes_out, hour / 4, "else this tells nothing");
}

Test(output, padding_a_day_is_0_where_there_is_none)
{
	config.settings[0].flush_ns = FLUSH_NS;
	cr_assert_eq(output_padding_a_day(&config.settings[0]), 0, "not sealed");
	config.settings[0].n_recipients = 1;
	cr_assert_eq(output_padding_a_day(&config.settings[0]), UINT64_C(43200) * (65536 + 8));
	config.settings[0].flush_ns = 0;
	cr_assert_eq(output_padding_a_day(&config.settings[0]), 0);
}

static void open_syncing(void)
{
	config.settings[0].flush_ns = SECOND_NS;
	config.settings[0].sync_ns = 5 * SECOND_NS;
	open_output(1);
}

Test(output, what_is_written_is_synced_after_sync_ns)
{
	open_syncing();
	put(1);
	for (unsigned i = 1; i < 6; i++)
		output_tick(output, START_NS + i * SECOND_NS);
	cr_assert_eq(syscalls.n_fdatasync, 0);
	output_tick(output, START_NS + 6 * SECOND_NS); /* written at 1 s */
	cr_assert_eq(syscalls.n_fdatasync, 1);
	for (unsigned i = 7; i < 60; i++)
		output_tick(output, START_NS + i * SECOND_NS);
	cr_assert_eq(syscalls.n_fdatasync, 1, "nothing new");
	output_end_file(output);
	assert_all_there();
}

Test(output, file_that_cannot_be_synced_is_suspect_and_another_begun)
{
	open_syncing();
	syscalls.fdatasync_error = EIO;
	put(10);
	for (unsigned i = 1; i < 7; i++)
		output_tick(output, START_NS + i * SECOND_NS);
	cr_assert_eq(syscalls.n_fdatasync, 1, "never again");
	cr_assert_gt(stats->writer[0].bytes_suspect, 65536);
	cr_assert_eq(stats->writer[0].bytes_suspect, stats->writer[0].bytes_out, "with its end");
	syscalls.fdatasync_error = 0;
	for (unsigned i = 0; i < 10; i++)
		put_at(START_NS + 7 * SECOND_NS, 0, OFFSET_NS);
	output_end_file(output);
	read_back();
	cr_assert_eq(fate(FATE_KEPT), 20, "written they are");
	cr_assert_eq(fate(FATE_IO_ERROR), 0);
	cr_assert_eq(n_files, 2);
	cr_assert(strstr(files[0].name, "_trunc."), "%s", files[0].name);
	cr_assert_eq(files[0].n, 10);
	cr_assert_eq(files[1].n, 10);
	cr_assert_eq(stats->writer[0].files, 1);
}

/* ---- when a file ends ---- */

Test(output, file_ends_after_rotate_len_bytes)
{
	config.settings[0].rotate_len = 20000;
	open_output(1);
	put(1000);
	output_end_file(output);
	assert_all_there();
	cr_assert_gt(n_files, 2);
	for (unsigned i = 0; i < n_files; i++) {
		char start[32];
		(void)snprintf(start, sizeof(start), "probe_%06u_", i + 1);
		cr_assert(!strncmp(files[i].name, start, strlen(start)), "%s", files[i].name);
		cr_assert(files[i].file_len >= 20000 || i == n_files - 1);
		/* what seal holds back, and one frame */
		cr_assert_leq(files[i].file_len, 20000 + 2 * SEAL_CHUNK + 2 * FRAME_LEN);
	}
}

Test(output, file_ends_after_rotate_ns_of_packet_time)
{
	config.settings[0].rotate_ns = 10 * SECOND_NS;
	open_output(0);
	for (unsigned i = 0; i < 35; i++)
		put_at(START_NS + i * SECOND_NS, 0, OFFSET_NS);
	output_end_file(output);
	assert_all_there();
	cr_assert_eq(n_files, 4);
	cr_assert_eq(files[0].n, 10);
	cr_assert_eq(files[3].n, 5);
	cr_assert_str_eq(files[1].name,
			 "probe_000002_20261121T230304Z_20261121T230313Z.pcapng.zst");
}

/* ---- another policy ---- */

Test(output, interface_says_by_what_packets_are_kept)
{
	policy = (struct describe_policy){.name = "thin",
					  .user_plane = SESSION_HEADERS,
					  .snap_len = 256,
					  .sample = 16,
					  .n_only = 2,
					  .filter = "not port 22",
					  .until_ns = INT64_MAX};
	open_output(0);
	put(1);
	output_end_file(output);
	read_back();
	cr_expect_str_eq(files[0].interfaces[0].description,
			 "vni=42 source=10.0.0.0 policy=thin user-plane=headers "
			 "snap-length=256 sample=1/16 only=2");
	cr_expect_str_eq(files[0].interfaces[0].filter, "not port 22");
}

static void use_longest_texts(void)
{
	struct session_labels labels;

	memset(&labels, 'x', sizeof(labels));
	labels.name[63] = labels.nf[63] = labels.vrf[63] = labels.account[63] = labels.eni[63] = 0;
	for (uint8_t i = 0; i < SESSIONS; i++) {
		stats_sessions(stats)[i].vni = 0xffffff;
		memset(&stats_sessions(stats)[i].source, 0xff, 16);
		stats_set_labels(stats, i, &labels);
	}
	policy = (struct describe_policy){.keep = SESSION_HEADERS,
					  .user_plane = SESSION_COUNT,
					  .snap_len = 65536,
					  .sample = 1000000,
					  .n_only = 256,
					  .until_ns = INT64_MAX};
	memset(policy.name, 'p', 48);
	memset(policy.filter, 'f', FILTER_TEXT_MAX);
}

Test(output, longest_description_fits)
{
	use_longest_texts();
	open_output(0);
	put_at(START_NS, 0, 0);
	output_end_file(output);
	read_back();
	const char *end = strstr(files[0].interfaces[0].description, " sample=1/1000000 only=256");
	cr_assert_not_null(end, "%s", files[0].interfaces[0].description);
	cr_expect_str_eq(files[0].interfaces[0].filter, policy.filter);
}

Test(output, file_ends_when_a_session_is_kept_by_another_policy)
{
	open_output(0);
	put(10);
	output_tools_judged(tools, 1);
	put(10);
	policy.digest++;
	put(10); /* judged before */
	output_tools_judged(tools, 2);
	output_tools_judged(tools, 1); /* another worker's rest */
	put(10);
	output_end_file(output);
	read_back();
	assert_all_there();
	cr_assert_eq(n_files, 2);
	cr_assert_eq(files[0].n, 30);
	cr_assert_eq(files[1].n, 10);
}

Test(output, file_ends_when_a_policy_runs_out)
{
	policy.until_ns = (int64_t)START_NS + 25 * 1000000 + OFFSET_NS;
	open_output(0);
	put(40);
	output_end_file(output);
	read_back();
	assert_all_there();
	cr_assert_eq(n_files, 2);
	cr_assert_eq(files[0].n, 25);
}

Test(output, rotate_ns_of_0_is_never)
{
	open_output(0);
	put_at(START_NS, 0, OFFSET_NS);
	put_at(START_NS + 1000000 * SECOND_NS, 0, OFFSET_NS);
	output_tick(output, START_NS + 2000000 * SECOND_NS);
	output_end_file(output);
	assert_all_there();
	cr_assert_eq(n_files, 1);
}

Test(output, file_ends_by_a_tick_when_nothing_comes)
{
	config.settings[0].rotate_ns = 10 * SECOND_NS;
	open_output(0);
	put(1);
	output_tick(output, START_NS + 10 * SECOND_NS - 1);
	cr_assert_eq(stats->writer[0].files, 0);
	output_tick(output, START_NS + 10 * SECOND_NS);
	cr_assert_eq(stats->writer[0].files, 1);
	output_tick(output, START_NS + 100 * SECOND_NS);
	assert_all_there();
	cr_assert_eq(n_files, 1, "no empty files");
}

Test(output, session_for_which_the_index_has_no_room_begins_the_next_file)
{
	use_longest_texts();
	stats->is_live = true; /* with a comment */
	config.pack.definitions_max = 1700;
	open_output(1);
	for (size_t len = 0; len <= FILTER_TEXT_MAX; len += 15) {
		memset(policy.filter, 0, sizeof(policy.filter));
		memset(policy.filter, 'f', len);
		put(SESSIONS);
		output_end_file(output);
		cr_assert_eq(fate(FATE_KEPT), sent, "a filter of %zu", len);
	}
	assert_all_there();
	cr_assert_eq(files[0].n_interfaces, 2, "with the shortest filter");
	cr_assert_eq(files[n_files - 1].n_interfaces, 1, "with the longest");
	cr_assert_eq(files[n_files - 1].n_statistics, 1);
	cr_assert_eq(fate(FATE_IO_ERROR), 0);
}

Test(output, session_longer_than_the_index_is_an_io_error)
{
	use_longest_texts();
	config.pack.definitions_max = 600;
	open_output(1);
	put(4);
	cr_assert_eq(fate(FATE_IO_ERROR), 4);
	output_end_file(output);
	read_back();
	cr_assert_eq(n_files, 0);
}

Test(output, file_ends_when_its_index_is_full)
{
	config.pack.definitions_max = 1024; /* statistics fill two frames at most */
	config.pack.frames_max = 32;
	open_output(1);
	put(2000); /* 125 frames */
	output_end_file(output);
	assert_all_there();
	cr_assert_gt(n_files, 3);
}

/* A full frame at a time, then silence in which a tick tells, writes and pads it. */
Test(output, index_has_room_for_what_a_tick_and_the_end_add)
{
	config.pack.definitions_max = 350; /* of one session: statistics fill no frame */
	config.settings[0].flush_ns = 2 * SECOND_NS;
	config.settings[0].statistics_ns = 2 * SECOND_NS;
	for (config.pack.frames_max = 12; config.pack.frames_max < 15; config.pack.frames_max++) {
		open_output(1);
		for (unsigned i = 0; i < 12 * 15; i++) {
			put_at(START_NS + sent / 15 * 10 * SECOND_NS, 0, OFFSET_NS);
			if (sent % 15 == 0)
				output_tick(output, START_NS + (sent / 15 * 10 - 7) * SECOND_NS);
		}
		output_close(output);
		output_tools_close(tools);
		output = NULL;
		tools = NULL;
	}
	assert_all_there();
	cr_assert_gt(n_files, 9);
}

Test(output, end_before_ends_a_file_that_has_a_later_packet)
{
	open_output(0);
	put_at(START_NS, 0, OFFSET_NS);
	output_end_before(output, START_NS);
	cr_assert_eq(stats->writer[0].files, 0);
	output_end_before(output, START_NS - 1);
	cr_assert_eq(stats->writer[0].files, 1);
	output_end_before(output, START_NS - 1); /* none is open */
	put_at(START_NS - 1, 0, OFFSET_NS);
	output_end_file(output);
	assert_all_there();
	cr_assert_eq(n_files, 2);
}

Test(output, late_packet_does_not_end_a_file)
{
	config.settings[0].rotate_ns = 10 * SECOND_NS;
	open_output(0);
	put_at(START_NS, 0, OFFSET_NS);
	put_at(START_NS - 50 * SECOND_NS, 0, OFFSET_NS);
	put_at(START_NS + 1, 0, OFFSET_NS);
	output_end_file(output);
	assert_all_there();
	cr_assert_eq(n_files, 1);
}

Test(output, new_settings_hold_from_the_next_file_of_each_output)
{
	struct output *other;
	struct err err;

	config.settings[0].rotate_ns = 10 * SECOND_NS;
	open_output(0);
	put_at(START_NS, 0, OFFSET_NS);
	config.settings[0].rotate_ns = SECOND_NS;
	output_tools_set(tools, config.settings);
	cr_assert_eq(open_named(&other, "other", SESSIONS, &err), 0);
	put_to(other, START_NS, 0, OFFSET_NS);
	output_tick(output, START_NS + 2 * SECOND_NS);
	output_tick(other, START_NS + 2 * SECOND_NS);
	read_back();
	cr_assert_eq(stats->writer[0].files, 1, "the other one's");
	output_tick(output, START_NS + 10 * SECOND_NS);
	cr_assert_eq(stats->writer[0].files, 2);
	output_close(other);
}

Test(output, each_store_has_its_settings)
{
	config.settings[1] = config.settings[0];
	config.settings[1].n_recipients = 1;
	open_output(0);
	put_at(START_NS, 0, OFFSET_NS);
	output_set_store(output, 0);
	cr_assert_eq(stats->writer[0].files, 0);
	output_set_store(output, 1);
	cr_assert_eq(stats->writer[0].files, 1, "what follows is for others");
	output_close(output);
	cr_assert_eq(output_open(&output, tools, &(struct output_place){.store = 1, .sessions = 1},
				 &(struct err){}),
		     0);
	put_at(START_NS + 1, 0, OFFSET_NS);
	output_end_file(output);
	output_set_store(output, 0);
	put_at(START_NS + 2, 0, OFFSET_NS);
	output_end_file(output);
	read_back();
	cr_assert_eq(n_files, 3);
	cr_assert(strstr(files[0].name, "10.0.0.0-42_000002") && strstr(files[0].name, ".age"));
	cr_assert(strstr(files[1].name, "10.0.0.0-42_000003") && !strstr(files[1].name, ".age"));
	cr_assert(strstr(files[2].name, "probe_000001") && !strstr(files[2].name, ".age"));
}

Test(output, file_keeps_the_offset_it_began_with)
{
	open_output(0);
	put_at(START_NS, 0, OFFSET_NS);
	put_at(START_NS + 1, 0, OFFSET_NS - 77);
	output_end_file(output);
	put_at(START_NS + 2, 0, OFFSET_NS - 77);
	output_end_file(output);
	assert_all_there();
	cr_assert_eq(files[0].packets[1].time_ns, (uint64_t)OFFSET_NS + START_NS + 1);
	cr_assert_eq(files[1].packets[0].time_ns, (uint64_t)OFFSET_NS + START_NS + 2 - 77);
}

Test(output, close_seals_an_open_file)
{
	open_output(1);
	put(10);
	output_close(output);
	output = NULL;
	assert_all_there();
	cr_assert_eq(n_files, 1);
}

/* ---- when it cannot be written ---- */

static int try_open(const char *folder)
{
	struct err err = {""};

	config.dir = folder;
	cr_assert_eq(output_tools_open(&tools, &config, stats, &err), 0);
	const int ret = open_named(&output, "probe", SESSIONS, &err);
	if (ret)
		cr_assert(strstr(err.text, folder), "'%s' names no %s", err.text, folder);
	return ret;
}

Test(output, missing_folder_is_refused)
{
	cr_assert_lt(try_open("/tmp/test_output_missing/folder"), 0);
}

Test(output, file_instead_of_a_folder_is_refused)
{
	cr_assert_lt(try_open("/dev/null"), 0);
}

Test(output, folder_without_write_permission_is_refused)
{
	cr_assert_eq(chmod(dir, 0555), 0);
	const uid_t uid = geteuid();
	if (!uid)
		cr_assert_eq(seteuid(65534), 0);
	const int ret = try_open(dir);
	if (!uid)
		cr_assert_eq(seteuid(0), 0);
	cr_assert_lt(ret, 0);
}

/* The first failure: every packet has a fate, and what is called kept can be read. */
static void assert_failed_in_order(enum fate expected)
{
	cr_assert_gt(fate(expected), 0);
	cr_assert_gt(fate(FATE_KEPT), 0);
	cr_assert_eq(fate(FATE_KEPT) + fate(expected), sent);
	read_back();
	cr_assert_geq(stored_count(files, n_files), fate(FATE_KEPT));
	cr_assert(strstr(files[0].name, "_trunc."), "%s", files[0].name);
	for (unsigned i = 0; i < files[0].n; i++)
		cr_assert_eq(files[0].packets[i].id, i);
}

static void fill_limited_file(unsigned n_recipients)
{
	open_output(n_recipients);
	limit_file_size(100000);
	put(900); /* 0.9 s: no second try */
	output_end_file(output);
	assert_failed_in_order(FATE_IO_ERROR);
	cr_assert_eq(n_files, 1);
}

Test(output, plain_file_over_the_limit_is_an_io_error_and_what_was_kept_is_readable)
{
	fill_limited_file(0);
}

Test(output, sealed_file_over_the_limit_is_an_io_error_and_what_was_kept_is_readable)
{
	fill_limited_file(1);
}

Test(output, what_a_write_error_leaves_is_synced)
{
	fill_limited_file(0);
	cr_assert_eq(syscalls.n_fdatasync, 1);
	cr_assert_geq(syscalls.n_folder, 2, "its part name and its trunc name");
	cr_assert_eq(stats->writer[0].bytes_suspect, 0);
}

Test(output, what_a_write_error_leaves_unsynced_is_suspect)
{
	syscalls.fdatasync_error = EIO;
	fill_limited_file(0);
	cr_assert_eq(stats->writer[0].bytes_suspect, stats->writer[0].bytes_out);
	cr_assert_gt(stats->writer[0].bytes_suspect, 0);
}

/* An end that fails is called what it is, with where the file lies and what of it may be lost. */
static void assert_end_says(const char *wanted, bool all_suspect)
{
	char path[64], text[1024];

	(void)snprintf(path, sizeof(path), "%s/.said", dir);
	FILE *const said = freopen(path, "w+", stderr);
	cr_assert_not_null(said);
	output_end_file(output);
	rewind(said);
	cr_assert(fgets(text, sizeof(text), said) && strstr(text, wanted), "%s", text);
	cr_assert_eq(stats->writer[0].bytes_suspect, all_suspect ? stats->writer[0].bytes_out : 0);
	cr_assert_eq(stats->writer[0].files, 0);
	cr_assert_eq(fate(FATE_KEPT), sent);
}

#define PART_OF_1 ".probe_000001_20261121T230254Z.part"
#define NAME_OF_1 "probe_000001_20261121T230254Z_20261121T230254Z.pcapng.zst"

Test(output, end_that_cannot_be_synced_is_said)
{
	char wanted[256];

	open_output(0);
	put(10);
	syscalls.fsync_error = EIO;
	(void)snprintf(wanted, sizeof(wanted), "cannot complete " PART_OF_1 ": %s in %s; ",
		       strerror(EIO), dir);
	assert_end_says(wanted, true);
}

Test(output, end_that_cannot_be_renamed_is_said)
{
	char path[256];

	open_output(0);
	put(10);
	(void)snprintf(path, sizeof(path), "%s/" NAME_OF_1, dir);
	FILE *const other = fopen(path, "w");
	cr_assert(other && !fclose(other));
	assert_end_says("; 0 of its bytes may be lost; it lies there as "
			"probe_000001_20261121T230254Z_trunc.pcapng.zst",
			false);
}

Test(output, end_whose_name_cannot_be_synced_is_said)
{
	open_output(0);
	put(10);
	syscalls.folder_error = EIO;
	assert_end_says("cannot sync the folder of " PART_OF_1, true);
}

Test(output, after_a_failure_a_new_file_is_tried_after_a_second)
{
	open_output(1);
	limit_file_size(100);
	put(1);
	output_end_file(output);
	cr_assert_eq(fate(FATE_IO_ERROR), 1);
	limit_file_size(RLIM_INFINITY);
	put_at(START_NS + SECOND_NS - 1, 0, OFFSET_NS);
	cr_assert_eq(fate(FATE_IO_ERROR), 2);
	put_at(START_NS + SECOND_NS, 0, OFFSET_NS);
	output_end_file(output);
	cr_assert_eq(fate(FATE_KEPT), 1);
	read_back();
	cr_assert_eq(n_files, 1, "the one that held nothing is gone");
	cr_assert_eq(files[0].n, 1);
	cr_assert(files[0].is_whole);
}

Test(output, file_that_cannot_be_finished_loses_only_what_was_not_written)
{
	open_output(1);
	put(800); /* about 160 kB: one chunk of seal's is written, the rest not */
	const uint64_t kept = fate(FATE_KEPT);
	limit_file_size(1);
	output_end_file(output);
	cr_assert_gt(kept, 0);
	cr_assert_eq(fate(FATE_KEPT), kept);
	assert_failed_in_order(FATE_IO_ERROR);
}

/* A file system of 256 KiB of its own; the mount is gone with this process. */
static bool mount_small_disk(void)
{
	return !unshare(CLONE_NEWNS) && !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	       !mount("none", dir, "tmpfs", 0, "size=256k");
}

static void leave_small_disk(void)
{
	output_close(output);
	output = NULL;
	cr_assert_eq(umount2(dir, MNT_DETACH), 0);
}

static void fill_disk(unsigned n_recipients)
{
	if (!mount_small_disk())
		cr_skip_test("no mount without privilege");
	open_output(n_recipients);
	put(1900);
	output_end_file(output);
	assert_failed_in_order(FATE_DISK_FULL);
	leave_small_disk();
}

Test(output, full_disk_under_a_plain_file_is_disk_full_and_what_was_kept_is_readable)
{
	fill_disk(0);
}

Test(output, full_disk_under_a_sealed_file_is_disk_full_and_what_was_kept_is_readable)
{
	fill_disk(1);
}

Test(output, goes_on_when_the_disk_has_room_again)
{
	char command[64];

	if (!mount_small_disk())
		cr_skip_test("no mount without privilege");
	open_output(1);
	put(1900);
	const uint64_t lost = fate(FATE_DISK_FULL), kept = fate(FATE_KEPT);
	cr_assert_gt(lost, 0);
	(void)snprintf(command, sizeof(command), "rm %s/*", dir);
	cr_assert_eq(system(command), 0);
	for (unsigned i = 0; i < 100; i++)
		put_at(START_NS + 60 * SECOND_NS + i, 0, OFFSET_NS);
	output_end_file(output);
	cr_assert_eq(fate(FATE_DISK_FULL), lost);
	cr_assert_eq(fate(FATE_KEPT), kept + 100);
	read_back();
	cr_assert_eq(n_files, 1);
	cr_assert(files[0].is_whole);
	cr_assert_eq(files[0].n, 100);
	leave_small_disk();
}
