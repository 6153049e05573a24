#include "kpi/sctp.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "../support/packet.h"
#include "inner.h"
#include "kpi/sctp_table.h"

#define MS     UINT64_C(1000000)
#define START  (UINT64_C(1795302174) * 1000 * MS)
#define PLACES 16u

/* Initiate tags: packets to a host carry its own. Addresses: two of each host, whose order differs
 * from path to path. */
#define TAG_A 0xaaaaaaaau
#define TAG_B 0xbbbbbbbbu
#define A1    "10.0.0.1"
#define B1    "10.0.0.2"
#define A2    "10.1.0.9"
#define B2    "10.1.0.3"

static struct kpi_session sessions[4];
static struct histogram histograms[4 * KPI_HISTOGRAMS];
static uint64_t used, missed;
static const struct kpi_memory memory = {sessions, histograms, 4 * KPI_HISTOGRAMS, &used, &missed};
static struct sctp *sctp;
static uint32_t session;       /* of the next packet */
static uint16_t port_a = 3000; /* B has 3868 */
static uint32_t cut;           /* bytes to leave of the next packet; 0: all */

static void prepare(void)
{
	const struct sctp_config c = {PLACES, 4, "sixteen bytes...", &memory};
	struct err err;

	cr_assert_eq(sctp_open(&sctp, &c, &err), 0, "%s", err.text);
}

static void tear_down(void)
{
	sctp_close(sctp);
}

TestSuite(sctp, .init = prepare, .fini = tear_down);

/* ---- packets ---- */

struct chunks {
	uint32_t len;
	uint8_t bytes[2000];
};

static void put32(uint8_t *p, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* A chunk of words behind its header. */
static struct chunks chunk(uint8_t type, uint8_t flags, unsigned n, const uint32_t *words)
{
	struct chunks c = {.len = 4 + 4 * n};

	put32(c.bytes, (uint32_t)type << 24 | (uint32_t)flags << 16 | c.len);
	for (unsigned i = 0; i < n; i++)
		put32(c.bytes + 4 + 4 * (size_t)i, words[i]);
	return c;
}

#define CHUNK(type, flags, ...)                                                                    \
	chunk(type, flags, sizeof((const uint32_t[]){__VA_ARGS__}) / 4,                            \
	      (const uint32_t[]){__VA_ARGS__})
#define INIT(tag, tsn)       CHUNK(1, 0, tag, 65536, 10 << 16 | 10, tsn)
#define INIT_ACK(tag, tsn)   CHUNK(2, 0, tag, 65536, 10 << 16 | 10, tsn)
#define DATA(tsn)            CHUNK(0, 3, tsn, 0, 46, 0)
#define SACK(cum, window)    CHUNK(3, 0, cum, window, 0)
#define HEARTBEAT(info)      CHUNK(4, 0, 1 << 16 | 8, info)
#define HEARTBEAT_ACK(info)  CHUNK(5, 0, 1 << 16 | 8, info)
#define EMPTY(type)          chunk(type, 0, 0, NULL)
#define COOKIE_ECHO          EMPTY(10)
#define COOKIE_ACK           EMPTY(11)
#define ABORT(flags, cause)  CHUNK(6, flags, (cause) << 16 | 4)
#define SHUTDOWN(cum)        CHUNK(7, 0, cum)
#define SHUTDOWN_ACK         EMPTY(8)
#define SHUTDOWN_COMPLETE(t) chunk(14, t, 0, NULL)

static struct chunks both(struct chunks a, struct chunks b)
{
	memcpy(a.bytes + a.len, b.bytes, b.len);
	a.len += b.len;
	return a;
}

static void take_frame(uint64_t ms, struct build *b)
{
	const uint32_t len = cut ? cut : b->len;
	const struct packet p = {.time_ns = START + ms * MS,
				 .data = packet_guard(build_data(b), len),
				 .len = len,
				 .cap_len = len};
	const struct kpi_sink sink = {
		.memory = &memory, .session = &sessions[session], .time_ns = p.time_ns};
	struct dissected d;

	dissect_frame(p.data, len, len, &d);
	d.key.session = session;
	cr_assert(d.has_flow);
	sctp_packet(sctp, &sink, &p, &d);
}

static void take(uint64_t ms, const char *from, const char *to, uint32_t tag, struct chunks c)
{
	struct build b = build_payload(c.len);
	const bool is_a = !strcmp(from, A1) || !strcmp(from, A2);

	memcpy(build_data(&b), c.bytes, c.len);
	build_sctp(&b, is_a ? port_a : 3868, is_a ? 3868 : port_a);
	put32(build_data(&b) + 4, tag);
	build_ipv4(&b, INNER_SCTP, from, to);
	build_ethernet(&b, 0x0800);
	take_frame(ms, &b);
}

static void from_a(uint64_t ms, struct chunks c)
{
	take(ms, A1, B1, TAG_B, c);
}

static void from_b(uint64_t ms, struct chunks c)
{
	take(ms, B1, A1, TAG_A, c);
}

/* Up at 60 ms after ms: 10 + 20 + 30. First TSNs: 100 of A, 500 of B. */
static void set_up(uint64_t ms)
{
	take(ms, A1, B1, 0, INIT(TAG_A, 100));
	from_b(ms + 10, INIT_ACK(TAG_B, 500));
	from_a(ms + 30, COOKIE_ECHO);
	from_b(ms + 60, COOKIE_ACK);
}

static void expire(uint64_t ms)
{
	sctp_expire(sctp, START + ms * MS, UINT32_MAX);
}

static void finish(uint64_t ms)
{
	sctp_finish(sctp, START + ms * MS);
}

static void sees_both(void)
{
	sessions[0].value[KPI_BIDIRECTIONAL_TCP] = 1;
}

static uint64_t value(enum kpi kpi)
{
	return sessions[0].value[kpi];
}

static void assert_times(enum kpi_histogram which, uint64_t n, uint64_t sum_ms)
{
	const uint32_t place = sessions[0].histogram[which];
	const uint64_t sum_ns = place ? histograms[place - 1].sum_ns : 0;

	cr_assert_eq(place ? histogram_count(&histograms[place - 1]) : 0, n);
	cr_assert_lt((uint64_t)llabs((int64_t)(sum_ns - sum_ms * MS)), 256 * n + 1);
}

static bool is_group_seen(enum kpi_group group)
{
	return sessions[0].groups >> group & 1;
}

#define ENDED_SUM                                                                                  \
	(value(KPI_SCTP_ENDED_SHUTDOWN) + value(KPI_SCTP_ENDED_ABORT) +                            \
	 value(KPI_SCTP_ENDED_RESTART) + value(KPI_SCTP_ENDED_IDLE) +                              \
	 value(KPI_SCTP_ENDED_EVICTED))

static void assert_ended(enum kpi how, uint64_t alive)
{
	cr_assert_eq(value(how), 1);
	cr_assert_eq(ENDED_SUM, 1);
	cr_assert_eq(value(KPI_SCTP_ASSOCIATIONS), alive);
}

/* ---- set-up ---- */

Test(sctp, set_up_is_counted_and_timed)
{
	set_up(0);
	cr_assert_eq(value(KPI_SCTP_ATTEMPTED), 1);
	cr_assert_eq(value(KPI_SCTP_ESTABLISHED), 1);
	cr_assert_eq(value(KPI_SCTP_ASSOCIATIONS), 1);
	assert_times(KPI_SCTP_SETUP_SERVER, 1, 10);
	assert_times(KPI_SCTP_SETUP_CLIENT, 1, 20);
	assert_times(KPI_SCTP_SETUP_COOKIE, 1, 30);
	cr_assert(is_group_seen(KPI_GROUP_SCTP_BOTH));
}

Test(sctp, init_sent_again_is_the_same_attempt_without_a_time)
{
	take(0, A1, B1, 0, INIT(TAG_A, 100));
	set_up(1000);
	cr_assert_eq(value(KPI_SCTP_ATTEMPTED), 1);
	cr_assert_eq(value(KPI_SCTP_ESTABLISHED), 1);
	assert_times(KPI_SCTP_SETUP_SERVER, 0, 0);
	assert_times(KPI_SCTP_SETUP_CLIENT, 1, 20);
}

Test(sctp, init_behind_its_answer_is_an_attempt_all_the_same)
{
	from_b(0, INIT_ACK(TAG_B, 500));
	take(1, A1, B1, 0, INIT(TAG_A, 100));
	from_a(2, COOKIE_ECHO);
	from_b(3, COOKIE_ACK);
	cr_assert_eq(value(KPI_SCTP_ATTEMPTED), 1);
	cr_assert_eq(value(KPI_SCTP_ESTABLISHED), 1);
	assert_times(KPI_SCTP_SETUP_SERVER, 0, 0);
}

Test(sctp, both_may_ask_at_the_same_time)
{
	take(0, A1, B1, 0, INIT(TAG_A, 100));
	take(1, B1, A1, 0, INIT(TAG_B, 500));
	from_a(2, INIT_ACK(TAG_A, 100));
	from_b(3, INIT_ACK(TAG_B, 500));
	from_a(4, COOKIE_ECHO);
	from_b(5, COOKIE_ECHO);
	from_b(6, COOKIE_ACK);
	from_a(7, COOKIE_ACK);
	cr_assert_eq(value(KPI_SCTP_ATTEMPTED), 1);
	cr_assert_eq(value(KPI_SCTP_ESTABLISHED), 1);
	cr_assert_eq(value(KPI_SCTP_ASSOCIATIONS), 1);
	assert_times(KPI_SCTP_SETUP_SERVER, 0, 0);
}

Test(sctp, lost_cookie_ack_is_made_up_for)
{
	take(0, A1, B1, 0, INIT(TAG_A, 100));
	from_b(1, INIT_ACK(TAG_B, 500));
	from_a(2, both(COOKIE_ECHO, DATA(100)));
	cr_assert_eq(value(KPI_SCTP_ESTABLISHED), 0);
	from_a(3, DATA(101));
	cr_assert_eq(value(KPI_SCTP_ESTABLISHED), 1);
}

Test(sctp, asker_takes_one_of_two_answers)
{
	take(0, A1, B1, 0, INIT(TAG_A, 100));
	from_b(1, INIT_ACK(TAG_B, 500));
	from_b(2, INIT_ACK(0xcccc, 700));
	from_a(3, COOKIE_ECHO);
	from_b(4, COOKIE_ACK);
	cr_assert_eq(value(KPI_SCTP_ESTABLISHED), 1);
	cr_assert_eq(value(KPI_SCTP_ASSOCIATIONS), 1);
}

Test(sctp, abort_of_an_attempt_is_a_failure)
{
	take(0, A1, B1, 0, INIT(TAG_A, 100));
	from_b(1, ABORT(0, 4));
	cr_assert_eq(value(KPI_SCTP_FAILED_ABORTED), 1);
	cr_assert_eq(value(KPI_SCTP_ABORT_OUT_OF_RESOURCE), 1);
	cr_assert_eq(ENDED_SUM, 0, "it never was");
	take(5, A1, B1, 0, INIT(TAG_A, 100));
	cr_assert_eq(value(KPI_SCTP_ATTEMPTED), 2);
}

Test(sctp, unanswered_attempt_times_out_once)
{
	sees_both();
	take(0, A1, B1, 0, INIT(TAG_A, 100));
	take(3000, A1, B1, 0, INIT(TAG_A, 100));
	expire(13000);
	cr_assert_eq(value(KPI_SCTP_FAILED_TIMEOUT), 0);
	expire(13001);
	cr_assert_eq(value(KPI_SCTP_FAILED_TIMEOUT), 1);
	take(31000, A1, B1, 0, INIT(TAG_A, 100));
	expire(200000);
	cr_assert_eq(value(KPI_SCTP_FAILED_TIMEOUT), 1);
	cr_assert_eq(value(KPI_SCTP_ATTEMPTED), 1);
}

Test(sctp, no_timeout_where_one_direction_is_mirrored)
{
	take(0, A1, B1, 0, INIT(TAG_A, 100));
	expire(200000);
	cr_assert_eq(value(KPI_SCTP_FAILED_TIMEOUT), 0);
	cr_assert_not(is_group_seen(KPI_GROUP_SCTP_BOTH));
}

static void unreachable(unsigned direction)
{
	struct build b = build_payload(8);
	struct dissected d;
	const struct kpi_sink sink = {
		.memory = &memory, .session = &sessions[0], .time_ns = START + MS};

	build_sctp(&b, 3000, 3868);
	build_ipv4(&b, INNER_SCTP, A1, B1);
	build_ethernet(&b, 0x0800);
	dissect_frame(build_data(&b), b.len, b.len, &d);
	sctp_unreachable(sctp, &sink, &d.key, direction);
}

Test(sctp, icmp_error_fails_an_attempt)
{
	take(0, A1, B1, 0, INIT(TAG_A, 100));
	unreachable(1);
	cr_assert_eq(value(KPI_SCTP_FAILED_UNREACHABLE), 0, "of the other direction");
	unreachable(0);
	unreachable(0);
	cr_assert_eq(value(KPI_SCTP_FAILED_UNREACHABLE), 1);
}

Test(sctp, icmp_error_ends_nothing_that_is_up)
{
	set_up(0);
	unreachable(0);
	cr_assert_eq(value(KPI_SCTP_FAILED_UNREACHABLE), 0);
	cr_assert_eq(value(KPI_SCTP_ASSOCIATIONS), 1);
}

/* ---- ends ---- */

Test(sctp, shutdown_ends_it)
{
	set_up(0);
	from_a(100, SHUTDOWN(499));
	from_b(101, SHUTDOWN_ACK);
	from_a(102, SHUTDOWN_COMPLETE(0));
	assert_ended(KPI_SCTP_ENDED_SHUTDOWN, 0);
	from_b(103, SHUTDOWN_ACK);
	from_a(104, DATA(100));
	assert_ended(KPI_SCTP_ENDED_SHUTDOWN, 0);
}

Test(sctp, shutdown_whose_last_word_is_lost_is_one)
{
	set_up(0);
	from_b(101, SHUTDOWN_ACK);
	expire(100000);
	assert_ended(KPI_SCTP_ENDED_SHUTDOWN, 0);
}

Test(sctp, abort_ends_it)
{
	set_up(0);
	from_a(100, ABORT(0, 12));
	assert_ended(KPI_SCTP_ENDED_ABORT, 0);
	cr_assert_eq(value(KPI_SCTP_ABORT_USER_INITIATED), 1);
	from_b(101, DATA(500)); /* was on its way */
	cr_assert_eq(value(KPI_SCTP_ASSOCIATIONS), 0);
}

Test(sctp, reflected_tag_is_that_of_the_other_direction)
{
	set_up(0);
	take(100, B1, A1, TAG_B, ABORT(1, 0));
	assert_ended(KPI_SCTP_ENDED_ABORT, 0);
}

Test(sctp, abort_with_a_tag_of_nobody_ends_nothing)
{
	set_up(0);
	take(100, A1, B1, 0x1234, ABORT(0, 0));
	take(101, A1, B1, 0x1234, ABORT(1, 0));
	cr_assert_eq(ENDED_SUM, 0);
	cr_assert_eq(value(KPI_SCTP_ASSOCIATIONS), 1);
	cr_assert_eq(value(KPI_SCTP_CHUNK_ABORT), 2);
}

Test(sctp, silence_of_90_seconds_ends_it)
{
	set_up(0);
	expire(90059);
	cr_assert_eq(value(KPI_SCTP_ASSOCIATIONS), 1);
	expire(90060);
	assert_ended(KPI_SCTP_ENDED_IDLE, 0);
}

Test(sctp, silence_ends_it_whoever_notices)
{
	set_up(0);
	from_a(91000, DATA(100));
	assert_ended(KPI_SCTP_ENDED_IDLE, 1);
}

Test(sctp, restart_ends_it_when_the_new_one_is_up)
{
	set_up(0);
	take(1000, A1, B1, 0, INIT(0xa2a2, 1));
	cr_assert_eq(ENDED_SUM, 0, "anybody can send an INIT");
	take(1001, B1, A1, 0xa2a2, INIT_ACK(0xb2b2, 2));
	take(1002, A1, B1, 0xb2b2, COOKIE_ECHO);
	cr_assert_eq(ENDED_SUM, 0);
	take(1003, B1, A1, 0xa2a2, COOKIE_ACK);
	assert_ended(KPI_SCTP_ENDED_RESTART, 1);
	cr_assert_eq(value(KPI_SCTP_ATTEMPTED), 2);
	cr_assert_eq(value(KPI_SCTP_ESTABLISHED), 2);
}

/* ---- joining ---- */

Test(sctp, paths_join_by_tag)
{
	set_up(0);
	from_a(100, DATA(100));
	take(110, B2, A2, TAG_A, SACK(100, 1000));
	assert_times(KPI_SCTP_SACK_RTT, 1, 10);
	take(200, A2, B2, TAG_B, DATA(100));
	cr_assert_eq(value(KPI_SCTP_RETRANSMITTED), 1);
	cr_assert_eq(value(KPI_SCTP_ASSOCIATIONS), 1);
	cr_assert_eq(value(KPI_SCTP_PRIMARY_CHANGES), 0, "sent again, not moved");
}

Test(sctp, failover_shows)
{
	sees_both();
	set_up(0);
	from_a(100, DATA(100));
	for (uint32_t i = 1; i <= 5; i++)
		from_a(i * 6000, HEARTBEAT(i));
	take(36000, A2, B2, TAG_B, both(DATA(101), HEARTBEAT(77)));
	take(36010, B2, A2, TAG_A, both(SACK(101, 1000), HEARTBEAT_ACK(77)));
	cr_assert_eq(value(KPI_SCTP_HEARTBEATS_UNANSWERED), 5);
	cr_assert_eq(value(KPI_SCTP_PATH_FAILURES), 1);
	cr_assert_eq(value(KPI_SCTP_PRIMARY_CHANGES), 1);
	assert_times(KPI_SCTP_HEARTBEAT_RTT, 1, 10);
}

Test(sctp, middle_is_paired_by_addresses)
{
	from_a(0, DATA(100));
	cr_assert_not(is_group_seen(KPI_GROUP_SCTP_BOTH));
	from_b(5, SACK(100, 1000));
	cr_assert_eq(value(KPI_SCTP_ASSOCIATIONS), 1);
	cr_assert_eq(value(KPI_SCTP_ATTEMPTED), 0);
	assert_times(KPI_SCTP_SACK_RTT, 1, 5);
	cr_assert(is_group_seen(KPI_GROUP_SCTP_BOTH));
}

Test(sctp, pairing_is_done_once)
{
	from_a(0, DATA(100));
	from_b(1, SACK(100, 1000));
	take(2, B1, A1, 0x999, SACK(100, 1000));
	cr_assert_eq(value(KPI_SCTP_ASSOCIATIONS), 2, "another tag is another association");
}

Test(sctp, halves_on_different_paths_join_later)
{
	from_a(0, DATA(100));
	take(1, B2, A2, TAG_A, DATA(500));
	cr_assert_eq(value(KPI_SCTP_ASSOCIATIONS), 2);
	from_b(8, SACK(100, 1000));
	cr_assert_eq(value(KPI_SCTP_ASSOCIATIONS), 1);
	assert_times(KPI_SCTP_SACK_RTT, 1, 8);
	take(10, A2, B2, TAG_B, SACK(500, 1000));
	assert_times(KPI_SCTP_SACK_RTT, 2, 8 + 9);
	expire(200000);
	assert_ended(KPI_SCTP_ENDED_IDLE, 0);
}

Test(sctp, sessions_are_apart)
{
	set_up(0);
	session = 1;
	from_a(1000, DATA(100));
	cr_assert_eq(sessions[1].value[KPI_SCTP_ASSOCIATIONS], 1);
	cr_assert_eq(value(KPI_SCTP_ASSOCIATIONS), 1);
}

Test(sctp, what_only_ends_begins_nothing)
{
	from_a(0, ABORT(0, 1));
	from_a(1, SHUTDOWN(1));
	from_a(2, SHUTDOWN_ACK);
	from_a(3, SHUTDOWN_COMPLETE(0));
	from_a(4, EMPTY(9));
	take(5, A1, B1, 0, DATA(1)); /* no tag */
	cr_assert_eq(value(KPI_SCTP_ASSOCIATIONS), 0);
	cr_assert(is_group_seen(KPI_GROUP_SCTP));
}

/* ---- data ---- */

Test(sctp, all_data_chunks_of_a_packet_are_taken)
{
	set_up(0);
	from_a(100, both(DATA(100), both(DATA(101), CHUNK(64, 3, 102, 0, 0, 0, 0))));
	from_b(110, SACK(102, 1000));
	assert_times(KPI_SCTP_SACK_RTT, 3, 30);
	cr_assert_eq(value(KPI_SCTP_CHUNK_I_DATA), 1);
}

Test(sctp, acknowledged_and_never_mirrored_is_missing)
{
	set_up(0);
	from_a(100, DATA(101));
	from_b(101, SACK(102, 1000));
	finish(102);
	cr_assert_eq(value(KPI_SCTP_ACKED_CHUNKS), 3);
	cr_assert_eq(value(KPI_SCTP_ACKED_MISSING_CHUNKS), 2);
	cr_assert(is_group_seen(KPI_GROUP_SCTP_LOSS));
}

Test(sctp, bytes_with_data_are_visible_once_both_sides_were_seen)
{
	from_a(0, DATA(100));
	cr_assert_eq(value(KPI_VISIBLE_BYTES), 0);
	from_b(1, SACK(100, 1000));
	from_a(2, both(DATA(101), DATA(102)));
	cr_assert_eq(value(KPI_VISIBLE_BYTES), 20 + 12 + 20 + 20);
}

Test(sctp, sack_reports_duplicates_and_a_closed_window)
{
	set_up(0);
	from_b(100, CHUNK(3, 0, 99, 0, 1 << 16 | 2, 2 << 16 | 3, 50, 51));
	cr_assert_eq(value(KPI_SCTP_DUPLICATE_TSNS), 2);
	cr_assert_eq(value(KPI_SCTP_ZERO_WINDOWS), 1);
	from_b(101, CHUNK(3, 0, 99, 0, 0xffff << 16 | 0xffff));
	cr_assert_eq(value(KPI_SCTP_DUPLICATE_TSNS), 2, "there is no room for so many");
}

Test(sctp, heartbeat_that_is_cut_is_left_out)
{
	sees_both();
	set_up(0);
	cut = 14 + 20 + 12 + 8;
	from_a(100, HEARTBEAT(5));
	cut = 0;
	expire(10000);
	cr_assert_eq(value(KPI_SCTP_HEARTBEATS_UNANSWERED), 0);
	cr_assert_eq(value(KPI_SCTP_CHUNK_HEARTBEAT), 1);
}

Test(sctp, ethernet_padding_is_no_chunk)
{
	struct build b = build_payload(4 + 6);

	memcpy(build_data(&b), COOKIE_ACK.bytes, 4);
	memset(build_data(&b) + 4, 11, 6);
	build_sctp(&b, 3000, 3868);
	build_ipv4(&b, INNER_SCTP, A1, B1);
	build_data(&b)[3] = 20 + 12 + 4;
	build_ethernet(&b, 0x0800);
	take_frame(0, &b);
	cr_assert_eq(value(KPI_SCTP_CHUNK_COOKIE_ACK), 1);
}

Test(sctp, any_bytes_are_taken)
{
	srand(1);
	set_up(0);
	for (unsigned i = 0; i < 20000; i++) {
		struct chunks c = {.len = (uint32_t)rand() % 200};
		for (uint32_t at = 0; at < c.len; at++)
			c.bytes[at] = (uint8_t)(rand() % 3 ? rand() % 16 : rand());
		take(100 + i, i % 2 ? A1 : B1, i % 2 ? B1 : A1,
		     i % 5 ? (i % 2 ? TAG_B : TAG_A) : (uint32_t)rand() % 4, c);
	}
	finish(300000);
	cr_assert_leq(value(KPI_SCTP_ACKED_MISSING_CHUNKS), value(KPI_SCTP_ACKED_CHUNKS));
	cr_assert_leq(value(KPI_SCTP_ASSOCIATIONS), PLACES);
}

Test(sctp, every_cut_of_every_chunk_is_taken)
{
	const struct chunks all[] = {
		INIT(TAG_A, 100),   INIT_ACK(TAG_B, 500), COOKIE_ECHO,  COOKIE_ACK,
		DATA(100),          SACK(100, 0),         HEARTBEAT(1), HEARTBEAT_ACK(1),
		CHUNK(192, 0, 100), CHUNK(64, 3, 1, 2),   SHUTDOWN(1),  ABORT(0, 1)};

	for (unsigned i = 0; i < sizeof(all) / sizeof(*all); i++)
		for (cut = 14 + 20 + 12; cut <= 14 + 20 + 12 + all[i].len; cut++)
			take(i, i % 2 ? B1 : A1, i % 2 ? A1 : B1, i ? (i % 2 ? TAG_A : TAG_B) : 0,
			     all[i]);
}

/* ---- room ---- */

Test(sctp, flood_of_attempts_takes_no_live_association)
{
	set_up(0);
	for (uint32_t i = 1; i <= 1000; i++) {
		port_a = (uint16_t)(10000 + i);
		take(1000 + i, A1, B1, 0, INIT(i, 1));
	}
	port_a = 3000;
	from_a(3000, DATA(100));
	from_b(3010, SACK(100, 1000));
	assert_times(KPI_SCTP_SACK_RTT, 1, 10);
	cr_assert_eq(value(KPI_SCTP_ATTEMPTED), 1001);
	cr_assert_eq(value(KPI_SCTP_ASSOCIATION_FULL), 0);
	cr_assert_eq(ENDED_SUM, 0);
}

Test(sctp, packet_of_one_without_room_is_counted)
{
	for (uint32_t i = 0; i <= PLACES; i++) {
		port_a = (uint16_t)(3000 + i);
		set_up(0);
	}
	cr_assert_eq(value(KPI_SCTP_ASSOCIATION_FULL), 4);
	cr_assert_eq(value(KPI_SCTP_ESTABLISHED), PLACES);
	cr_assert_eq(value(KPI_SCTP_CHUNK_INIT), PLACES + 1);
}

Test(sctp, eviction_is_an_end)
{
	for (uint32_t i = 0; i <= PLACES; i++) {
		port_a = (uint16_t)(3000 + i);
		from_a(i, DATA(1)); /* never answered */
	}
	assert_ended(KPI_SCTP_ENDED_EVICTED, PLACES);
}

Test(sctp, memory_is_what_was_said)
{
	const struct sctp_config c = {1000, 10, "", &memory};

	cr_assert_geq(sctp_memory(&c), sctp_table_memory(1000, 10));
}
