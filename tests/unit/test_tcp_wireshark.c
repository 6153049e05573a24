#include "kpi/tcp_wireshark.h"

#include <criterion/criterion.h>

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define ACK 0x10

#define START     UINT64_C(1795302174000000000)
#define US        UINT64_C(1000)
#define MS        (1000 * US)
#define BIT(name) (1u << TCP_WIRESHARK_##name)

enum side { CLIENT, SERVER };

/* Sequence numbers of either side's first byte of data. */
#define C 1001u
#define S 5001u

#define WINDOW 1000

static struct tcp_wireshark wireshark;
static uint64_t now_ns = START;
static uint16_t window[2] = {WINDOW, WINDOW};
static bool is_fragment;

static uint32_t take(enum side from, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len)
{
	const struct tcp_segment s = {.time_ns = now_ns,
				      .seq = seq,
				      .ack = ack,
				      .len = len,
				      .window = window[from],
				      .flags = flags,
				      .direction = from,
				      .is_fragment = is_fragment};

	return tcp_wireshark_segment(&wireshark, &s);
}

static uint32_t take_syn(enum side from, uint8_t flags, uint32_t seq, uint32_t ack, bool has_scale,
			 uint8_t scale)
{
	const struct tcp_segment s = {.time_ns = now_ns,
				      .seq = seq,
				      .ack = ack,
				      .window = window[from],
				      .flags = flags,
				      .direction = from,
				      .has_scale = has_scale,
				      .scale = scale};

	return tcp_wireshark_segment(&wireshark, &s);
}

static uint32_t data(uint32_t seq, uint32_t len)
{
	return take(CLIENT, ACK, seq, S, len);
}

static uint32_t ack(uint32_t number)
{
	return take(SERVER, ACK, S, number, 0);
}

/* A handshake of 10 ms whose windows are scaled by 0 and 2. */
static void open_connection(void)
{
	cr_assert_eq(take_syn(CLIENT, SYN, C - 1, 0, true, 0), 0);
	now_ns += 4 * MS;
	cr_assert_eq(take_syn(SERVER, SYN | ACK, S - 1, C, true, 2), 0);
	now_ns += 6 * MS;
	cr_assert_eq(take(CLIENT, ACK, C, S, 0), 0);
}

/* Both sides seen, nothing else known. */
static void join_midstream(void)
{
	cr_assert_eq(data(C, 100), 0);
	cr_assert_eq(ack(C + 100), 0);
}

/* ---- sent again, or late ---- */

Test(tcp_wireshark, healthy_connection_is_of_no_class)
{
	open_connection();
	cr_assert_eq(data(C, 100), 0);
	cr_assert_eq(ack(C + 100), 0);
	cr_assert_eq(data(C + 100, 100), 0);
	cr_assert_eq(take(CLIENT, FIN | ACK, C + 200, S, 0), 0);
	cr_assert_eq(take(SERVER, FIN | ACK, S, C + 201, 0), 0);
	cr_assert_eq(take(CLIENT, ACK, C + 201, S + 1, 0), 0);
}

Test(tcp_wireshark, data_again_is_a_retransmission)
{
	open_connection();
	data(C, 100);
	now_ns += 200 * MS;
	cr_assert_eq(data(C, 100), BIT(RETRANSMISSION));
}

Test(tcp_wireshark, syn_and_fin_again_are_retransmissions)
{
	take_syn(CLIENT, SYN, C - 1, 0, false, 0);
	now_ns += 1000 * MS;
	cr_assert_eq(take_syn(CLIENT, SYN, C - 1, 0, false, 0), BIT(RETRANSMISSION));
	take(CLIENT, FIN | ACK, C, S, 0);
	now_ns += 1000 * MS;
	cr_assert_eq(take(CLIENT, FIN | ACK, C, S, 0), BIT(RETRANSMISSION));
}

Test(tcp_wireshark, earlier_data_within_one_handshake_is_out_of_order)
{
	open_connection();
	cr_assert_eq(data(C + 100, 100), BIT(LOST_SEGMENT));
	now_ns += 10 * MS - 1;
	cr_assert_eq(data(C, 100), BIT(OUT_OF_ORDER));
	data(C + 300, 100);
	now_ns += 10 * MS;
	cr_assert_eq(data(C + 200, 100), BIT(RETRANSMISSION));
}

Test(tcp_wireshark, without_a_handshake_3_ms_count)
{
	join_midstream();
	data(C + 200, 100);
	now_ns += 3 * MS - 1;
	cr_assert_eq(data(C + 100, 50), BIT(OUT_OF_ORDER));
	now_ns++;
	cr_assert_eq(data(C + 150, 50), BIT(RETRANSMISSION));
}

Test(tcp_wireshark, last_data_again_is_never_out_of_order)
{
	join_midstream();
	data(C + 100, 100);
	now_ns += 1;
	cr_assert_eq(data(C + 100, 100), BIT(RETRANSMISSION));
}

Test(tcp_wireshark, time_that_runs_back_is_long_ago)
{
	join_midstream();
	data(C + 200, 100);
	now_ns -= 1;
	cr_assert_eq(data(C + 100, 50), BIT(RETRANSMISSION));
}

Test(tcp_wireshark, within_20_ms_of_the_second_duplicate_ack_it_is_fast)
{
	join_midstream();
	data(C + 200, 100);
	cr_assert_eq(ack(C + 100), BIT(DUPLICATE_ACK));
	now_ns += 100 * MS;
	cr_assert_eq(ack(C + 100), BIT(DUPLICATE_ACK));
	now_ns += 20 * MS - 1;
	cr_assert_eq(data(C + 100, 100), BIT(FAST_RETRANSMISSION));
	now_ns++;
	cr_assert_eq(data(C + 100, 100), BIT(RETRANSMISSION));
}

Test(tcp_wireshark, after_one_duplicate_ack_it_is_not_fast)
{
	join_midstream();
	data(C + 200, 100);
	now_ns += 10 * MS;
	ack(C + 100);
	cr_assert_eq(data(C + 100, 100), BIT(RETRANSMISSION));
}

Test(tcp_wireshark, other_data_than_the_duplicates_ask_for_is_not_fast)
{
	join_midstream();
	data(C + 200, 200);
	ack(C + 100);
	ack(C + 100);
	now_ns += 10 * MS;
	cr_assert_eq(data(C + 200, 100), BIT(RETRANSMISSION));
}

Test(tcp_wireshark, what_was_acknowledged_is_spurious)
{
	join_midstream();
	cr_assert_eq(data(C, 100), BIT(SPURIOUS_RETRANSMISSION));
	data(C + 100, 100);
	now_ns += 10 * MS;
	cr_assert_eq(data(C, 150), BIT(RETRANSMISSION), "a part of it was not");
}

/* ---- ACKs ---- */

Test(tcp_wireshark, ack_that_changes_anything_is_no_duplicate)
{
	join_midstream();
	cr_assert_eq(ack(C + 100), BIT(DUPLICATE_ACK));
	window[SERVER]++;
	cr_assert_eq(ack(C + 100), 0, "an update of the window");
	cr_assert_eq(take(SERVER, FIN | ACK, S, C + 100, 0), 0);
}

Test(tcp_wireshark, ack_of_what_never_came_is_said_once)
{
	join_midstream();
	cr_assert_eq(ack(C + 300), BIT(ACK_LOST_SEGMENT));
	cr_assert_eq(ack(C + 400), 0);
	data(C + 600, 100);
	cr_assert_eq(ack(C + 700), BIT(ACK_LOST_SEGMENT), "again behind a gap");
	cr_assert_eq(ack(C + 700), BIT(DUPLICATE_ACK));
}

Test(tcp_wireshark, ack_of_a_gap_is_lost_although_data_behind_it_came)
{
	join_midstream();
	cr_assert_eq(data(C + 200, 100), BIT(LOST_SEGMENT));
	cr_assert_eq(ack(C + 300), BIT(ACK_LOST_SEGMENT));
	cr_assert_eq(ack(C + 300), BIT(DUPLICATE_ACK));
}

Test(tcp_wireshark, number_without_ack_acknowledges_nothing)
{
	join_midstream();
	cr_assert_eq(take(SERVER, 0, S, C + 300, 0), 0);
}

Test(tcp_wireshark, gap_before_a_reset_is_none)
{
	join_midstream();
	cr_assert_eq(take(CLIENT, RST, C + 500, 0, 0), 0);
	cr_assert_eq(take(CLIENT, ACK, C + 600, S, 0), BIT(LOST_SEGMENT));
}

/* ---- keep-alives ---- */

Test(tcp_wireshark, keep_alive_is_no_retransmission_and_its_answer_no_duplicate)
{
	join_midstream();
	for (uint32_t len = 0; len < 2; len++) {
		cr_assert_eq(data(C + 99, len), BIT(KEEP_ALIVE));
		cr_assert_eq(ack(C + 100), 0);
	}
	cr_assert_eq(data(C + 98, 1), BIT(SPURIOUS_RETRANSMISSION));
	cr_assert_eq(ack(C + 100), BIT(DUPLICATE_ACK));
	cr_assert_eq(take(CLIENT, RST | ACK, C + 99, S, 0), 0);
}

/* ---- windows ---- */

Test(tcp_wireshark, closed_window_and_its_probe)
{
	join_midstream();
	window[SERVER] = 0;
	cr_assert_eq(ack(C + 100), BIT(ZERO_WINDOW));
	cr_assert_eq(data(C + 100, 1), BIT(ZERO_WINDOW_PROBE));
	cr_assert_eq(ack(C + 100), BIT(ZERO_WINDOW), "an answer to the probe");
	cr_assert_eq(data(C + 100, 1), BIT(ZERO_WINDOW_PROBE), "the first did not advance");
	window[SERVER] = WINDOW;
	cr_assert_eq(ack(C + 101), BIT(ACK_LOST_SEGMENT));
}

Test(tcp_wireshark, data_that_contains_a_probed_byte_is_new)
{
	join_midstream();
	cr_assert_eq(data(C + 99, 50), 0);
}

Test(tcp_wireshark, window_of_zero_in_syn_fin_and_rst_is_none)
{
	window[CLIENT] = 0;
	cr_assert_eq(take_syn(CLIENT, SYN, C - 1, 0, false, 0), 0);
	cr_assert_eq(take(CLIENT, FIN | ACK, C, S, 0), 0);
	cr_assert_eq(take(CLIENT, RST | ACK, C + 1, S, 0), 0);
	cr_assert_eq(take(CLIENT, ACK, C + 1, S, 0), BIT(ZERO_WINDOW));
}

Test(tcp_wireshark, window_is_full_to_its_scaled_edge)
{
	open_connection();
	window[SERVER] = 2 * WINDOW;
	cr_assert_eq(ack(C), 0);
	cr_assert_eq(data(C, 2 * WINDOW), 0);
	cr_assert_eq(data(C + 2 * WINDOW, 6 * WINDOW), BIT(WINDOW_FULL));
}

Test(tcp_wireshark, window_of_a_syn_is_not_scaled)
{
	open_connection();
	cr_assert_eq(data(C, WINDOW), BIT(WINDOW_FULL));
}

Test(tcp_wireshark, window_is_scaled_if_both_sides_say_so)
{
	take_syn(CLIENT, SYN, C - 1, 0, false, 0);
	take_syn(SERVER, SYN | ACK, S - 1, C, true, 2);
	take(CLIENT, ACK, C, S, 0);
	ack(C);
	cr_assert_eq(data(C, WINDOW), BIT(WINDOW_FULL));
}

Test(tcp_wireshark, window_of_unknown_scale_is_never_full)
{
	join_midstream();
	cr_assert_eq(data(C + 100, WINDOW), 0);
}

/* ---- conversations ---- */

Test(tcp_wireshark, syn_with_another_number_begins_a_new_conversation)
{
	open_connection();
	data(C, 100);
	cr_assert_eq(take_syn(CLIENT, SYN, C + 50000, 0, false, 0), 0);
	cr_assert_eq(take_syn(SERVER, SYN | ACK, S + 70000, C + 50001, false, 0), 0);
	cr_assert_eq(take(CLIENT, ACK, C + 50001, S + 70001, 10), 0);
}

/* RFC 9293 section 3.5.2: the number of a RST may be any. */
Test(tcp_wireshark, syn_with_the_same_number_tries_again)
{
	take_syn(CLIENT, SYN, C - 1, 0, false, 0);
	take(CLIENT, RST, C + 70000, 0, 0);
	now_ns += 1000 * MS;
	cr_assert_eq(take_syn(CLIENT, SYN, C - 1, 0, false, 0), BIT(RETRANSMISSION));
	cr_assert_eq(take(CLIENT, ACK, C, S, 10), 0, "new, whatever the RST said");
}

Test(tcp_wireshark, first_fragment_counts_for_nothing)
{
	join_midstream();
	is_fragment = true;
	cr_assert_eq(data(C + 500, 100), 0);
	is_fragment = false;
	cr_assert_eq(data(C + 100, 100), 0);
}

Test(tcp_wireshark, numbers_wrap)
{
	cr_assert_eq(data(UINT32_MAX - 49, 100), 0);
	cr_assert_eq(ack(50), 0);
	cr_assert_eq(data(150, 10), BIT(LOST_SEGMENT));
	cr_assert_eq(data(UINT32_MAX - 49, 100), BIT(SPURIOUS_RETRANSMISSION));
}

Test(tcp_wireshark, number_of_zero_is_one_not_known)
{
	cr_assert_eq(data(UINT32_MAX - 99, 100), 0);
	cr_assert_eq(data(500, 100), 0, "else a segment would be lost");
}
