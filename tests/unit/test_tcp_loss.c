#include "../support/conversation.h"

TestSuite(tcp_loss, .init = prepare_conversation, .fini = tear_down_conversation);

static void assert_loss(uint64_t acked, uint64_t missing, uint64_t events)
{
	assert_counted(ACKED_BYTES, acked);
	assert_counted(ACKED_MISSING_BYTES, missing);
	assert_counted(ACK_GAP_EVENTS, events);
}

Test(tcp_loss, acknowledged_and_not_seen_is_missing)
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

Test(tcp_loss, ack_may_overtake_its_data)
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

Test(tcp_loss, sack_may_overtake_its_data)
{
	open_connection();
	sacked(40, 0, 100, 200);
	data(42, 100, 100);
	ack(60, 200);
	data(62, 0, 100);
	cr_assert_eq(samples(KPI_TCP_RTT_SERVER), 0);
}

Test(tcp_loss, what_waits_is_counted_at_the_end)
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

Test(tcp_loss, last_byte_of_all_may_be_a_fin)
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

Test(tcp_loss, phantom_bytes_do_not_count)
{
	open_connection();
	data(30, 0, 100);
	take(31, CLIENT, TCP_FLAG_FIN | TCP_FLAG_ACK, C + 100, 0, S);
	ack(40, 101);
	assert_loss(100, 0, 0);
	tcp_stream_end(&sink, &stream);
	assert_loss(100, 0, 0);
}

Test(tcp_loss, fin_that_was_not_seen_is_not_missing)
{
	open_connection();
	data(30, 0, 100);
	ack(40, 101);
	tcp_stream_end(&sink, &stream);
	assert_loss(100, 0, 0);
}

Test(tcp_loss, knowledge_begins_in_the_middle)
{
	ack(0, 1000);
	ack(1, 1100);
	data(10, 1200, 100);
	ack(20, 1300);
	tcp_stream_settle(&sink, &stream);
	assert_loss(300, 200, 2);
}

Test(tcp_loss, first_ack_of_all_may_overtake_its_data)
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

Test(tcp_loss, data_5_ms_behind_the_first_ack_of_all_is_sent_again)
{
	ack(0, 1000);
	data(5, 900, 100);
	tcp_stream_settle(&sink, &stream);
	assert_counted(RETRANSMITTED_SPURIOUS, 1);
	assert_loss(0, 0, 0);
}

Test(tcp_loss, what_no_ack_can_have_overtaken_is_not_missing)
{
	ack(0, 1000);
	data(2, 1000 - (65u << 20), 100);
	tcp_stream_settle(&sink, &stream);
	assert_loss(0, 0, 0);
}

Test(tcp_loss, ack_of_ten_minutes_ago_overtook_nothing)
{
	ack(0, 10000);
	data(590000, 0, 100);
	tcp_stream_settle(&sink, &stream);
	assert_loss(0, 0, 0);
}

Test(tcp_loss, ack_of_many_segments_weighs_as_many_acks)
{
	open_connection();
	data(30, 0, 29200);
	ack(40, 29200);
	cr_assert_eq(session.loss[LOSS_TCP].block_acks, 10);
}

Test(tcp_loss, both_ways_are_looked_at_again)
{
	open_connection();
	take(30, CLIENT, TCP_FLAG_ACK, C, 0, S + 501);
	take(30, SERVER, TCP_FLAG_ACK, S + 501, 0, C + 301);
	sink.time_ns = START + 30 * MS + TCP_LATE_NS;
	tcp_stream_look_again(&sink, &stream);
	assert_loss(800, 800, 2);
}

Test(tcp_loss, number_far_from_the_first_ack_of_all_begins_nothing)
{
	ack(0, 1000);
	data(1, 1000 - (1u << 30) - 1, 0);
	tcp_stream_settle(&sink, &stream);
	assert_loss(0, 0, 0);
}

Test(tcp_loss, keep_alive_in_front_of_all_is_no_gap)
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

Test(tcp_loss, one_direction_acknowledges_nothing)
{
	for (uint32_t i = 0; i < 10; i++)
		ack(i, 100 * i);
	tcp_stream_end(&sink, &stream);
	assert_loss(0, 0, 0);
	assert_counted(DUPLICATE_ACKS, 0);
	cr_assert_not(session.groups);
}

Test(tcp_loss, absurd_numbers_and_resets_are_not_believed)
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

Test(tcp_loss, rest_of_a_fragmented_segment_is_not_missing)
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

Test(tcp_loss, gaps_that_find_no_room_are_counted_and_go_back)
{
	for (unsigned round = 0; round < 2; round++) {
		open_connection();
		for (uint32_t i = 1; i <= 102; i++)
			data(30, 200 * i, 100);
		assert_counted(GAPS_UNTRACKED, 51 * (round + 1)); /* with 51, 49 are free */
		tcp_stream_end(&sink, &stream);
	}
}

Test(tcp_loss, no_sequence_of_segments_breaks_it)
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
Test(tcp_loss, no_more_is_missing_than_was_acknowledged)
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
Test(tcp_loss, acks_that_come_after_2_gib_are_taken)
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
