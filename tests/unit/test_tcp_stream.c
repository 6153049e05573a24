#include "../support/conversation.h"

TestSuite(tcp_stream, .init = prepare_conversation, .fini = tear_down_conversation);

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
