#include "kpi/tcp_stream.h"

#include <criterion/criterion.h>
#include <string.h>

#define START UINT64_C(1795302174000000000)
#define MS    UINT64_C(1000000)

enum side { CLIENT, SERVER };

/* Numbers of the first byte of either side. */
#define C 1001u
#define S 5001u

static struct histogram histograms[KPI_HISTOGRAMS];
static uint64_t used, missed;
static const struct kpi_memory memory = {.histograms = histograms,
					 .histograms_max = KPI_HISTOGRAMS,
					 .histograms_used = &used,
					 .histograms_missed = &missed};
static struct kpi_session session;
static struct kpi_sink sink = {.memory = &memory, .session = &session};
static struct tcp_stream stream;
static struct tcp_segment next; /* what the next segment has besides */

static void prepare(void)
{
	struct err err;

	cr_assert_eq(tcp_gaps_open(&sink.gaps, 100, &err), 0);
	next = (struct tcp_segment){.window = 1000};
}

static void tear_down(void)
{
	tcp_gaps_close(sink.gaps);
}

TestSuite(tcp_stream, .init = prepare, .fini = tear_down);

static void take(uint64_t ms, enum side from, uint8_t flags, uint32_t seq, uint32_t len,
		 uint32_t ack)
{
	struct tcp_segment s = next;

	s.time_ns = START + ms * MS;
	s.seq = seq;
	s.ack = ack;
	s.len = len;
	s.ip_len = len + 40;
	s.flags = flags;
	s.direction = from;
	s.end = seq + len + !!(flags & TCP_FLAG_SYN) + !!(flags & TCP_FLAG_FIN);
	tcp_stream_segment(&sink, &stream, &s, CLIENT);
	next = (struct tcp_segment){.window = 1000};
}

/* The client sends what has this offset, the server acknowledges up to it. */
static void data(uint64_t ms, uint32_t offset, uint32_t len)
{
	take(ms, CLIENT, TCP_FLAG_ACK, C + offset, len, S);
}

static void ack(uint64_t ms, uint32_t offset)
{
	take(ms, SERVER, TCP_FLAG_ACK, S, 0, C + offset);
}

static void stamped(uint64_t ms, uint32_t offset, uint32_t len, uint32_t tsval)
{
	next.has_timestamps = true;
	next.tsval = tsval;
	data(ms, offset, len);
}

static void sacked(uint64_t ms, uint32_t up_to, uint32_t start, uint32_t end)
{
	next.n_sacks = 1;
	next.sack[0] = (struct tcp_sack){C + start, C + end};
	ack(ms, up_to);
}

static void open_connection(void)
{
	take(0, CLIENT, TCP_FLAG_SYN, C - 1, 0, 0);
	take(10, SERVER, TCP_FLAG_SYN | TCP_FLAG_ACK, S - 1, 0, C);
	data(20, 0, 0);
}

#define assert_counted(name, n) cr_assert_eq(session.value[KPI_TCP_##name], n, #name)

static uint64_t resent(void)
{
	return session.value[KPI_TCP_RETRANSMITTED_SYN] + session.value[KPI_TCP_RETRANSMITTED_RTO] +
	       session.value[KPI_TCP_RETRANSMITTED_FAST] +
	       session.value[KPI_TCP_RETRANSMITTED_SPURIOUS];
}

static const struct histogram *histogram_of(enum kpi_histogram which)
{
	static const struct histogram none;

	return session.histogram[which] ? &histograms[session.histogram[which] - 1] : &none;
}

static uint64_t samples(enum kpi_histogram which)
{
	return histogram_count(histogram_of(which));
}

/* ---- volume ---- */

Test(tcp_stream, every_byte_is_goodput_once)
{
	open_connection();
	data(30, 0, 100);
	data(31, 100, 100);
	data(300, 0, 100);
	data(301, 150, 100);
	assert_counted(DATA_PACKETS, 4);
	assert_counted(DATA_BYTES, 400);
	assert_counted(GOODPUT_BYTES, 250);
	assert_counted(RETRANSMITTED_BYTES, 150);
	cr_assert_eq(session.value[KPI_VISIBLE_BYTES], 4 * 140);
}

Test(tcp_stream, syn_sent_again_is_told_from_another_connection)
{
	take(0, CLIENT, TCP_FLAG_SYN, C - 1, 0, 0);
	take(1000, CLIENT, TCP_FLAG_SYN, C - 1, 0, 0);
	assert_counted(RETRANSMITTED_SYN, 1);
	take(2000, CLIENT, TCP_FLAG_SYN, C + 7, 0, 0);
	assert_counted(RETRANSMITTED_SYN, 1);
}

Test(tcp_stream, numbers_wrap)
{
	take(0, CLIENT, TCP_FLAG_ACK, UINT32_MAX - 49, 100, S);
	take(1, SERVER, TCP_FLAG_ACK, S, 0, 50);
	assert_counted(ACKED_BYTES, 100);
	assert_counted(GOODPUT_BYTES, 100);
	cr_assert_eq(resent(), 0);
}

/* ---- sent again ---- */

Test(tcp_stream, data_of_before_is_sent_again_by_a_timeout)
{
	open_connection();
	data(30, 0, 100);
	data(300, 0, 100);
	assert_counted(RETRANSMITTED_RTO, 1);
}

Test(tcp_stream, two_duplicate_acks_make_it_fast)
{
	open_connection();
	data(30, 0, 100);
	data(31, 100, 100);
	ack(40, 100);
	data(41, 200, 100);
	data(42, 300, 100);
	ack(50, 100);
	ack(51, 100);
	data(52, 100, 100);
	assert_counted(DUPLICATE_ACKS, 2);
	assert_counted(RETRANSMITTED_FAST, 1);
	cr_assert_eq(resent(), 1);
}

Test(tcp_stream, sack_above_makes_it_fast)
{
	open_connection();
	data(30, 0, 100);
	data(31, 100, 100);
	sacked(40, 0, 100, 200);
	data(41, 0, 100);
	assert_counted(RETRANSMITTED_FAST, 1);
}

Test(tcp_stream, acknowledged_data_is_sent_again_without_need)
{
	open_connection();
	data(30, 0, 100);
	data(31, 100, 100);
	ack(40, 100);
	data(300, 0, 100);
	sacked(301, 100, 150, 200);
	data(302, 150, 50);
	assert_counted(RETRANSMITTED_SPURIOUS, 2);
	cr_assert_eq(resent(), 2);
}

Test(tcp_stream, fin_sent_again_counts)
{
	open_connection();
	take(30, CLIENT, TCP_FLAG_FIN | TCP_FLAG_ACK, C, 0, S);
	cr_assert_eq(resent(), 0);
	take(300, CLIENT, TCP_FLAG_FIN | TCP_FLAG_ACK, C, 0, S);
	assert_counted(RETRANSMITTED_RTO, 1);
}

Test(tcp_stream, dsack_is_counted_by_itself)
{
	open_connection();
	data(30, 0, 100);
	data(300, 0, 100);
	sacked(310, 100, 0, 100);
	assert_counted(DSACKS, 1);
	assert_counted(RETRANSMITTED_RTO, 1);
	assert_counted(RETRANSMITTED_SPURIOUS, 0);
}

Test(tcp_stream, dsack_may_lie_in_the_second_block)
{
	open_connection();
	data(30, 0, 100);
	data(31, 200, 100);
	next.sack[1] = (struct tcp_sack){C + 200, C + 300};
	next.n_sacks = 2;
	next.sack[0] = (struct tcp_sack){C + 250, C + 300};
	ack(40, 100);
	assert_counted(DSACKS, 1);
	sacked(41, 100, 200, 300);
	assert_counted(DSACKS, 1);
}

Test(tcp_stream, keep_alive_is_nothing_sent_again)
{
	open_connection();
	data(30, 0, 100);
	ack(40, 100);
	data(1000, 99, 1);
	ack(1010, 100);
	data(2000, 99, 0);
	ack(2010, 100);
	assert_counted(KEEP_ALIVES, 2);
	assert_counted(DUPLICATE_ACKS, 0);
	cr_assert_eq(resent(), 0);
}

/* ---- out of order ---- */

Test(tcp_stream, older_timestamp_is_late)
{
	open_connection();
	stamped(30, 0, 100, 7);
	stamped(31, 200, 100, 9);
	stamped(500, 100, 100, 8);
	assert_counted(OUT_OF_ORDER, 1);
	cr_assert_eq(resent(), 0);
	assert_counted(GOODPUT_BYTES, 300);
}

Test(tcp_stream, older_timestamp_behind_what_was_sent_again_is_late)
{
	open_connection();
	stamped(30, 0, 100, 7);
	stamped(31, 200, 100, 9);
	stamped(50, 100, 100, 30);
	stamped(51, 100, 100, 8);
	assert_counted(OUT_OF_ORDER, 1);
	cr_assert_eq(resent(), 1);
	assert_counted(GOODPUT_BYTES, 300);
}

Test(tcp_stream, newer_timestamp_is_sent_again)
{
	open_connection();
	stamped(30, 0, 100, 7);
	stamped(31, 200, 100, 9);
	stamped(31, 100, 100, 10);
	assert_counted(OUT_OF_ORDER, 0);
	cr_assert_eq(resent(), 1);
}

Test(tcp_stream, time_tells_where_timestamps_do_not)
{
	data(0, 0, 100);
	data(1, 200, 100);
	data(2, 100, 100); /* 1 ms behind the gap */
	assert_counted(OUT_OF_ORDER, 1);
	stamped(10, 400, 100, 9);
	stamped(14, 300, 100, 9); /* 4 ms */
	assert_counted(OUT_OF_ORDER, 1);
	cr_assert_eq(resent(), 1);
}

Test(tcp_stream, half_a_round_trip_is_the_measure_where_it_is_known)
{
	data(0, 0, 100);
	tcp_rtt_learn(&stream.way[CLIENT].rtt, tcp_ticks(12 * MS));
	data(1, 200, 100);
	data(6, 100, 100);
	assert_counted(OUT_OF_ORDER, 1);
	data(10, 400, 100);
	data(17, 300, 100);
	cr_assert_eq(resent(), 1);
}

/* ---- windows ---- */

Test(tcp_stream, closed_window_is_an_episode_of_some_length)
{
	open_connection();
	for (uint64_t ms = 100; ms <= 400; ms += 100) {
		next.window = 0;
		ack(ms, 0);
	}
	ack(600, 0);
	ack(900, 0);
	assert_counted(ZERO_WINDOWS, 1);
	cr_assert_leq(500 * MS - session.value[KPI_TCP_ZERO_WINDOW_DURATION], 2560);
}

Test(tcp_stream, probe_of_a_closed_window_is_nothing_sent_again)
{
	open_connection();
	data(30, 0, 100);
	next.window = 0;
	ack(40, 100);
	data(1000, 100, 1);
	data(2000, 100, 1);
	cr_assert_eq(resent(), 0);
	ack(2010, 101); /* it was taken */
	data(2020, 101, 99);
	ack(2030, 200);
	assert_counted(GOODPUT_BYTES, 200);
	assert_counted(ACKED_BYTES, 200);
	assert_counted(ACKED_MISSING_BYTES, 0);
}

Test(tcp_stream, window_is_full_by_its_scale)
{
	next.has_scale = true;
	next.scale = 2;
	take(0, CLIENT, TCP_FLAG_SYN, C - 1, 0, 0);
	next.has_scale = true;
	next.scale = 3;
	take(10, SERVER, TCP_FLAG_SYN | TCP_FLAG_ACK, S - 1, 0, C);
	data(20, 0, 100);
	next.window = 50;
	ack(30, 100);
	data(40, 100, 300);
	assert_counted(WINDOW_FULL, 0);
	data(41, 400, 100);
	assert_counted(WINDOW_FULL, 1);
}

/* ---- RTT ---- */

Test(tcp_stream, rtt_is_of_the_side_that_acknowledges)
{
	open_connection();
	data(30, 0, 100);
	ack(40, 100);
	take(50, SERVER, TCP_FLAG_ACK, S, 10, C + 100);
	take(52, CLIENT, TCP_FLAG_ACK, C + 100, 0, S + 10);
	cr_assert_eq(samples(KPI_TCP_RTT_SERVER), 1);
	cr_assert_eq(samples(KPI_TCP_RTT_CLIENT), 1);
	cr_assert_leq(histogram_of(KPI_TCP_RTT_SERVER)->sum_ns - (10 * MS - 256), 512);
	cr_assert_leq(histogram_of(KPI_TCP_RTT_CLIENT)->sum_ns - (2 * MS - 256), 512);
}

Test(tcp_stream, sent_again_gives_no_rtt)
{
	open_connection();
	data(30, 0, 100);
	data(31, 100, 100);
	data(300, 0, 100);
	ack(310, 200);
	cr_assert_eq(samples(KPI_TCP_RTT_SERVER), 0);
}

Test(tcp_stream, what_a_dsack_acknowledges_gives_no_rtt)
{
	open_connection();
	data(30, 0, 100);
	ack(35, 100);
	data(40, 100, 100);
	sacked(80, 200, 0, 100); /* overtakes what was sent again */
	data(81, 0, 100);
	cr_assert_eq(samples(KPI_TCP_RTT_SERVER), 1);
}

Test(tcp_stream, dsack_of_old_data_leaves_the_rtt_of_what_is_under_way)
{
	open_connection();
	data(30, 0, 100);
	ack(50, 100);
	data(85, 100, 100);
	sacked(90, 100, 0, 50);
	ack(125, 200);
	cr_assert_eq(samples(KPI_TCP_RTT_SERVER), 2);
}

Test(tcp_stream, what_is_not_timed_is_counted)
{
	open_connection();
	for (uint32_t i = 0; i < TCP_RTT_MAX + 2; i++)
		data(30, 100 * i, 100);
	assert_counted(RTT_SKIPPED, 2);
}

Test(tcp_stream, echo_of_a_timestamp_is_timed)
{
	open_connection();
	stamped(30, 0, 100, 7);
	next.has_timestamps = true;
	next.tsecr = 7;
	ack(45, 100);
	cr_assert_eq(samples(KPI_TCP_TIMESTAMP_RTT_SERVER), 1);
	cr_assert_leq(histogram_of(KPI_TCP_TIMESTAMP_RTT_SERVER)->sum_ns - (15 * MS - 256), 512);
}

/* ---- loss of the mirror ---- */

static void assert_loss(uint64_t acked, uint64_t missing, uint64_t events)
{
	assert_counted(ACKED_BYTES, acked);
	assert_counted(ACKED_MISSING_BYTES, missing);
	assert_counted(ACK_GAP_EVENTS, events);
}

Test(tcp_stream, acknowledged_and_not_seen_is_missing)
{
	open_connection();
	data(30, 0, 100);
	data(31, 300, 100);
	ack(40, 400);
	ack(50, 400);
	assert_loss(400, 200, 1);
	ack(60, 400);
	assert_loss(400, 200, 1);
	cr_assert(session.groups & 1u << KPI_GROUP_TCP_LOSS);
}

Test(tcp_stream, ack_may_overtake_its_data)
{
	open_connection();
	data(30, 0, 100);
	ack(40, 300);
	data(42, 100, 100);
	data(43, 200, 100);
	ack(60, 300);
	assert_loss(300, 0, 0);
	cr_assert_eq(resent(), 0);
	cr_assert_eq(samples(KPI_TCP_RTT_SERVER), 0);
}

Test(tcp_stream, sack_may_overtake_its_data)
{
	open_connection();
	sacked(40, 0, 100, 200);
	data(42, 100, 100);
	ack(60, 200);
	data(62, 0, 100);
	cr_assert_eq(samples(KPI_TCP_RTT_SERVER), 0);
}

Test(tcp_stream, what_waits_is_counted_at_the_end)
{
	open_connection();
	data(30, 0, 100);
	data(31, 300, 100);
	ack(40, 400);
	assert_loss(0, 0, 0);
	tcp_stream_settle(&sink, &stream);
	assert_loss(400, 200, 1);
	tcp_stream_end(&sink, &stream);
	assert_loss(400, 200, 1);
}

Test(tcp_stream, last_byte_of_all_may_be_a_fin)
{
	open_connection();
	data(30, 0, 100);
	ack(40, 201);
	tcp_stream_settle(&sink, &stream);
	assert_loss(200, 100, 1);
	data(50, 201, 9); /* it was none */
	tcp_stream_settle(&sink, &stream);
	assert_loss(201, 101, 1);
}

Test(tcp_stream, phantom_bytes_do_not_count)
{
	open_connection();
	data(30, 0, 100);
	take(31, CLIENT, TCP_FLAG_FIN | TCP_FLAG_ACK, C + 100, 0, S);
	ack(40, 101);
	assert_loss(100, 0, 0);
	tcp_stream_end(&sink, &stream);
	assert_loss(100, 0, 0);
}

Test(tcp_stream, fin_that_was_not_seen_is_not_missing)
{
	open_connection();
	data(30, 0, 100);
	ack(40, 101);
	tcp_stream_end(&sink, &stream);
	assert_loss(100, 0, 0);
}

Test(tcp_stream, knowledge_begins_in_the_middle)
{
	ack(0, 1000);
	ack(1, 1100);
	data(10, 1200, 100);
	ack(20, 1300);
	tcp_stream_settle(&sink, &stream);
	assert_loss(300, 200, 2);
}

Test(tcp_stream, first_ack_of_all_may_overtake_its_data)
{
	ack(0, 1000);
	ack(1, 1200);
	data(2, 700, 100);
	data(3, 800, 100);
	data(4, 1000, 200);
	tcp_stream_settle(&sink, &stream);
	assert_counted(GOODPUT_BYTES, 400);
	cr_assert_eq(resent(), 0);
	assert_loss(500, 100, 1);
}

Test(tcp_stream, data_5_ms_behind_the_first_ack_of_all_is_sent_again)
{
	ack(0, 1000);
	data(5, 900, 100);
	tcp_stream_settle(&sink, &stream);
	assert_counted(RETRANSMITTED_SPURIOUS, 1);
	assert_loss(0, 0, 0);
}

Test(tcp_stream, what_no_ack_can_have_overtaken_is_not_missing)
{
	ack(0, 1000);
	data(2, 1000 - (65u << 20), 100);
	tcp_stream_settle(&sink, &stream);
	assert_loss(0, 0, 0);
}

Test(tcp_stream, ack_of_ten_minutes_ago_overtook_nothing)
{
	ack(0, 10000);
	data(590000, 0, 100);
	tcp_stream_settle(&sink, &stream);
	assert_loss(0, 0, 0);
}

Test(tcp_stream, ack_of_many_segments_weighs_as_many_acks)
{
	open_connection();
	data(30, 0, 29200);
	ack(40, 29200);
	cr_assert_eq(session.loss[LOSS_TCP].block_acks, 10);
}

Test(tcp_stream, both_ways_are_looked_at_again)
{
	open_connection();
	take(30, CLIENT, TCP_FLAG_ACK, C, 0, S + 501);
	take(30, SERVER, TCP_FLAG_ACK, S + 501, 0, C + 301);
	sink.time_ns = START + 30 * MS + TCP_LATE_NS;
	tcp_stream_look_again(&sink, &stream);
	assert_loss(800, 800, 2);
}

Test(tcp_stream, number_far_from_the_first_ack_of_all_begins_nothing)
{
	ack(0, 1000);
	data(1, 1000 - (1u << 30) - 1, 0);
	tcp_stream_settle(&sink, &stream);
	assert_loss(0, 0, 0);
}

Test(tcp_stream, keep_alive_in_front_of_all_is_no_gap)
{
	ack(0, 0);
	stream = (struct tcp_stream){0};
	data(1, 99, 0);
	ack(2, 100);
	data(10, 100, 50);
	ack(20, 150);
	tcp_stream_settle(&sink, &stream);
	assert_loss(50, 0, 0);
}

Test(tcp_stream, one_direction_acknowledges_nothing)
{
	for (uint32_t i = 0; i < 10; i++)
		ack(i, 100 * i);
	tcp_stream_end(&sink, &stream);
	assert_loss(0, 0, 0);
	assert_counted(DUPLICATE_ACKS, 0);
	cr_assert_not(session.groups);
}

Test(tcp_stream, absurd_numbers_and_resets_are_not_believed)
{
	open_connection();
	data(30, 0, 100);
	ack(40, 100 + (1u << 30) + 1);
	take(50, SERVER, TCP_FLAG_RST | TCP_FLAG_ACK, S, 0, C + 5000);
	tcp_stream_settle(&sink, &stream);
	assert_loss(0, 0, 0);
	ack(60, 100);
	assert_loss(100, 0, 0);
}

Test(tcp_stream, rest_of_a_fragmented_segment_is_not_missing)
{
	open_connection();
	next.is_fragment = true;
	data(30, 0, 100);
	data(31, 250, 50);
	next.is_fragment = true;
	data(32, 300, 100);
	ack(40, 500);
	tcp_stream_settle(&sink, &stream);
	assert_loss(500, 0, 0);
	assert_counted(GOODPUT_BYTES, 500);
}

Test(tcp_stream, gaps_that_find_no_room_are_counted_and_go_back)
{
	for (unsigned round = 0; round < 2; round++) {
		open_connection();
		for (uint32_t i = 1; i <= 102; i++)
			data(30, 200 * i, 100);
		assert_counted(GAPS_UNTRACKED, 51 * (round + 1)); /* with 51, 49 are free */
		tcp_stream_end(&sink, &stream);
	}
}

Test(tcp_stream, no_sequence_of_segments_breaks_it)
{
	uint32_t seed = 1;

	for (unsigned i = 0; i < 300000; i++) {
		seed = seed * 1664525 + 1013904223;
		const uint32_t r = seed >> 8, far = r % 97 ? 0 : seed;
		next.window = (uint16_t)(r % 3);
		next.has_timestamps = r % 5;
		next.tsval = r % 7;
		next.n_sacks = r % 4;
		for (unsigned k = 0; k < next.n_sacks; k++)
			next.sack[k] =
				(struct tcp_sack){C + (r >> k) % 900, C + (r >> 2 * k) % 900};
		take(i + r % 9, r >> 3 & 1, (uint8_t)(r % 19 ? TCP_FLAG_ACK : r >> 5),
		     C + r % 1000 + far, r % 11 * 10, C + (r >> 4) % 1000 + far);
	}
	tcp_stream_end(&sink, &stream);
	cr_assert_leq(session.value[KPI_TCP_ACKED_MISSING_BYTES],
		      session.value[KPI_TCP_ACKED_BYTES]);
	cr_assert_eq(missed, 0);
}

/* ---- lies ---- */

/* Jumps behind a probe of a closed window leave no gap, and each may be as wide as the widest
 * window: the data is farther ahead of its ACKs than numbers can be compared. */
Test(tcp_stream, no_more_is_missing_than_was_acknowledged)
{
	uint32_t offset = 0;

	open_connection();
	data(30, 0, 100);
	ack(31, 100);
	offset = 100;
	for (unsigned i = 0; i < 3; i++) {
		next.window = 0;
		ack(32 + i, 100);
		data(32 + i, offset, 1); /* a probe */
		offset += (1u << 30) - 1000;
		data(32 + i, offset, 100);
		offset += 100;
	}
	data(40, offset + 900000000, 100);
	ack(41, 300000000);
	data(100, offset + 900000100, 100);
	tcp_stream_settle(&sink, &stream);
	cr_assert_leq(session.value[KPI_TCP_ACKED_MISSING_BYTES],
		      session.value[KPI_TCP_ACKED_BYTES]);
}

/* The mirror of the other direction begins when more than half of all numbers have been used. */
Test(tcp_stream, acks_that_come_after_2_gib_are_taken)
{
	uint32_t offset = 0;

	data(0, 0, 1000);
	for (unsigned i = 0; i < 3 * 1024; i++, offset += 1u << 20)
		data(1 + i, offset, 1u << 20);
	ack(4000, offset);
	data(4010, offset, 1000);
	ack(4020, offset + 1000);
	assert_counted(ACKED_BYTES, (1u << 30) + 1000);
	assert_counted(ACKED_MISSING_BYTES, 0);
	cr_assert_neq(session.histogram[KPI_TCP_RTT_SERVER], 0);
}
