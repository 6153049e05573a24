#include "kpi/tcp_handshake.h"

#include <criterion/criterion.h>
#include <string.h>

#include "../support/packet.h"

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define ACK 0x10

#define START UINT64_C(1795302174000000000)
#define MS    UINT64_C(1000000)

enum side { CLIENT, SERVER };

/* Sequence numbers of either side's SYN. */
#define C 1000u
#define S 5000u

static struct tcp_handshake tcp;
static uint64_t ns;       /* of the latest sample */
static uint32_t cut;      /* the mirror cuts packets to this length; 0: it does not */
static uint32_t data_len; /* of the next segment */

static struct build build_segment(enum side from, uint8_t flags, uint32_t seq, uint32_t ack)
{
	static const char *const address[] = {"10.0.0.1", "10.0.0.2"};
	static const uint16_t port[] = {40000, 80};
	struct build b = build_payload(data_len);

	build_tcp(&b, port[from], port[!from]);
	build_tcp_numbers(&b, flags, seq, ack);
	build_ipv4(&b, 6, address[from], address[!from]);
	build_ethernet(&b, 0x0800);
	return b;
}

/* Which half a segment ends, if one. */
enum half { NEITHER, SERVER_HALF = TCP_SERVER_HALF, CLIENT_HALF = TCP_CLIENT_HALF };

static unsigned events; /* of the latest segment */

static enum half take_built(struct build *b, uint64_t ms)
{
	const uint32_t len = cut ? cut : b->len;
	const struct packet p = {.time_ns = START + ms * MS,
				 .data = packet_guard(build_data(b), len),
				 .len = len,
				 .cap_len = len};
	struct tcp_segment s;
	struct dissected d;

	dissect_frame(p.data, len, len, &d);
	cr_assert(d.has_flow && d.l4);
	events = tcp_segment_read(&s, &p, &d) ? tcp_handshake_segment(&tcp, &s, &ns) : 0;
	return events & (TCP_SERVER_HALF | TCP_CLIENT_HALF);
}

static enum half take(uint64_t ms, enum side from, uint8_t flags, uint32_t seq, uint32_t ack)
{
	struct build b = build_segment(from, flags, seq, ack);

	return take_built(&b, ms);
}

/* The segments of a handshake. */
static enum half syn(uint64_t ms)
{
	return take(ms, CLIENT, SYN, C, 0);
}

static enum half syn_ack(uint64_t ms)
{
	return take(ms, SERVER, SYN | ACK, S, C + 1);
}

static enum half ack(uint64_t ms)
{
	return take(ms, CLIENT, ACK, C + 1, S + 1);
}

static void assert_server_half(enum half half, uint64_t ms)
{
	cr_assert_eq(half, SERVER_HALF);
	cr_assert_eq(ns, ms * MS);
}

static void assert_client_half(enum half half, uint64_t ms)
{
	cr_assert_eq(half, CLIENT_HALF);
	cr_assert_eq(ns, ms * MS);
}

static void open_connection(void)
{
	syn(0);
	syn_ack(10);
	ack(12);
}

/* ---- what is measured ---- */

Test(tcp_handshake, halves_are_the_way_to_the_server_and_the_way_to_the_client)
{
	cr_assert_eq(syn(0), NEITHER);
	assert_server_half(syn_ack(10), 10);
	assert_client_half(ack(12), 2);
	cr_assert_eq(ack(20), NEITHER);
}

Test(tcp_handshake, a_cut_behind_the_fixed_header_does_not_matter)
{
	cut = 14 + 20 + 20;
	data_len = 100;
	cr_assert_eq(take(0, CLIENT, SYN, C, 0), NEITHER);
	assert_server_half(take(10, SERVER, SYN | ACK, S, C + 101), 10);
	assert_client_half(take(12, CLIENT, ACK, C + 101, S + 101), 2);
}

Test(tcp_handshake, a_cut_inside_the_fixed_header_reads_nothing)
{
	for (cut = 14 + 20 + 4; cut < 14 + 20 + 20; cut++) {
		syn(0);
		syn_ack(10);
		cr_assert_eq(tcp.phase, TCP_UNKNOWN);
	}
}

Test(tcp_handshake, header_that_cannot_be_one_is_no_segment)
{
	static const uint8_t offsets[] = {0, 4 << 4, 15 << 4};

	for (unsigned i = 0; i < sizeof(offsets); i++) {
		struct build b = build_segment(CLIENT, SYN, C, 0);
		build_data(&b)[14 + 20 + 12] = offsets[i];
		cr_assert_eq(take_built(&b, 0), NEITHER);
		cr_assert_eq(tcp.phase, TCP_UNKNOWN);
	}
}

Test(tcp_handshake, padding_is_no_data)
{
	struct build b = build_segment(CLIENT, SYN, C, 0), padded = build_payload(60);

	memcpy(build_data(&padded), build_data(&b), b.len);
	take_built(&padded, 0);
	cr_assert_eq(take(5, SERVER, SYN | ACK, S, C + 2), NEITHER, "it acknowledges nothing");
	assert_server_half(syn_ack(10), 10);
}

Test(tcp_handshake, sequence_numbers_wrap)
{
	take(0, CLIENT, SYN, UINT32_MAX, 0);
	assert_server_half(take(10, SERVER, SYN | ACK, UINT32_MAX, 0), 10);
	assert_client_half(take(12, CLIENT, ACK, 0, 0), 2);
}

Test(tcp_handshake, data_may_complete_the_handshake)
{
	syn(0);
	syn_ack(10);
	data_len = 33;
	assert_client_half(ack(12), 2);
}

/* RFC 7413 section 4.2: a server may take all data of the SYN, some, or none. */
Test(tcp_handshake, answer_acknowledges_any_part_of_the_syns_data)
{
	for (uint32_t taken = 0; taken <= 8; taken++) {
		tcp = (struct tcp_handshake){0};
		data_len = 8;
		take(0, CLIENT, SYN, C, 0);
		assert_server_half(take(10, SERVER, SYN | ACK, S, C + 1 + taken), 10);
		assert_client_half(take(12, CLIENT, ACK, C + 1, S + 1 + taken), 2);
	}
}

/* ---- what is not ---- */

Test(tcp_handshake, second_syn_costs_both_halves)
{
	syn(0);
	syn(1000);
	cr_assert_eq(syn_ack(1010), NEITHER);
	cr_assert_eq(ack(1012), NEITHER);
}

Test(tcp_handshake, second_answer_costs_the_client_half)
{
	syn(0);
	assert_server_half(syn_ack(10), 10);
	cr_assert_eq(syn_ack(1010), NEITHER);
	cr_assert_eq(ack(1012), NEITHER);
}

Test(tcp_handshake, syn_again_behind_its_answer_costs_the_client_half_alone)
{
	syn(0);
	assert_server_half(syn_ack(10), 10);
	syn(11);
	cr_assert_eq(syn_ack(20), NEITHER);
	cr_assert_eq(ack(22), NEITHER);
}

Test(tcp_handshake, nothing_is_measured_twice_of_copies_that_come_late)
{
	open_connection();
	cr_assert_eq(syn(20), NEITHER);
	cr_assert_eq(syn_ack(30), NEITHER);
	cr_assert_eq(ack(32), NEITHER);
}

Test(tcp_handshake, another_sequence_number_is_another_attempt)
{
	syn(0);
	syn(1000);
	take(2000, CLIENT, SYN, C + 500, 0);
	assert_server_half(take(2010, SERVER, SYN | ACK, S, C + 501), 10);
	assert_client_half(take(2012, CLIENT, ACK, C + 501, S + 1), 2);
	take(3000, CLIENT, SYN, C + 900, 0); /* the same ports again */
	assert_server_half(take(3020, SERVER, SYN | ACK, S + 77, C + 901), 20);
}

Test(tcp_handshake, former_server_may_be_the_next_client)
{
	open_connection();
	take(1000, SERVER, SYN, S, 0);
	assert_server_half(take(1010, CLIENT, SYN | ACK, C, S + 1), 10);
	assert_client_half(take(1013, SERVER, ACK, S + 1, C + 1), 3);
}

Test(tcp_handshake, in_a_simultaneous_open_nobody_is_the_server)
{
	take(0, CLIENT, SYN, C, 0);
	take(1, SERVER, SYN, S, 0);
	cr_assert_eq(take(10, CLIENT, SYN | ACK, C, S + 1), NEITHER);
	cr_assert_eq(take(11, SERVER, SYN | ACK, S, C + 1), NEITHER);
	cr_assert_eq(take(12, CLIENT, ACK, C + 1, S + 1), NEITHER);
	cr_assert_eq(take(13, SERVER, ACK, S + 1, C + 1), NEITHER);
}

Test(tcp_handshake, answer_must_come_from_the_other_side_and_acknowledge_the_syn)
{
	syn(0);
	cr_assert_eq(take(1, CLIENT, SYN | ACK, S, C + 1), NEITHER);
	cr_assert_eq(take(2, SERVER, SYN | ACK, S, C), NEITHER);
	cr_assert_eq(take(3, SERVER, SYN | ACK, S, C + 2), NEITHER);
	assert_server_half(syn_ack(10), 10);
	cr_assert_eq(take(11, SERVER, ACK, C + 1, S + 1), NEITHER);
	cr_assert_eq(take(12, CLIENT, ACK, C + 1, S), NEITHER, "of an earlier connection");
	assert_client_half(ack(13), 3);
}

Test(tcp_handshake, ack_of_more_than_the_answer_is_not_the_first)
{
	syn(0);
	syn_ack(10);
	cr_assert_eq(take(50, CLIENT, ACK, C + 1, S + 1000), NEITHER);
	cr_assert_eq(ack(60), NEITHER);
}

Test(tcp_handshake, reset_completes_no_handshake)
{
	syn(0);
	syn_ack(10);
	cr_assert_eq(take(12, CLIENT, RST | ACK, C + 1, S + 1), NEITHER);
}

Test(tcp_handshake, middle_of_a_connection_measures_nothing)
{
	cr_assert_eq(take(0, SERVER, ACK, S, C), NEITHER);
	cr_assert_eq(take(1, CLIENT, ACK, C, S), NEITHER);
	cr_assert_eq(take(2, SERVER, SYN | ACK, S, C + 1), NEITHER);
	cr_assert_eq(ack(3), NEITHER);
}

/* ---- out of order ---- */

Test(tcp_handshake, answer_before_its_syn_costs_the_server_half)
{
	cr_assert_eq(syn_ack(10), NEITHER);
	cr_assert_eq(syn(11), NEITHER);
	assert_client_half(ack(12), 2);
}

Test(tcp_handshake, answer_before_and_behind_its_syn_costs_both)
{
	syn_ack(10);
	syn(11);
	cr_assert_eq(syn_ack(1010), NEITHER);
	cr_assert_eq(ack(1012), NEITHER);
}

Test(tcp_handshake, early_answer_of_another_attempt_costs_nothing)
{
	take(0, SERVER, SYN | ACK, S, C + 500);
	syn(100);
	assert_server_half(syn_ack(110), 10);
	assert_client_half(ack(112), 2);
}

Test(tcp_handshake, ack_before_its_answer_costs_the_client_half)
{
	syn(0);
	ack(12);
	assert_server_half(syn_ack(13), 13);
	cr_assert_eq(ack(500), NEITHER, "this is data that looks like the first ACK");
}

Test(tcp_handshake, syn_last_of_all_costs_both)
{
	syn_ack(10);
	ack(12);
	syn(13);
	cr_assert_eq(ack(500), NEITHER);
}

Test(tcp_handshake, no_half_is_negative)
{
	syn(10);
	cr_assert_eq(syn_ack(9), NEITHER);
	cr_assert_eq(ack(8), NEITHER);
}

/* ---- end ---- */

Test(tcp_handshake, fin_from_both_sides_ends_it)
{
	open_connection();
	cr_assert_eq(tcp_handshake_end(&tcp), TCP_ALIVE);
	take(20, CLIENT, FIN | ACK, C + 1, S + 1);
	take(21, CLIENT, FIN | ACK, C + 1, S + 1);
	cr_assert_eq(tcp_handshake_end(&tcp), TCP_ALIVE);
	take(22, SERVER, FIN | ACK, S + 1, C + 2);
	cr_assert_eq(tcp_handshake_end(&tcp), TCP_FIN);
	take(23, CLIENT, RST, C + 2, 0);
	cr_assert_eq(tcp_handshake_end(&tcp), TCP_FIN);
}

Test(tcp_handshake, reset_ends_it)
{
	open_connection();
	take(20, CLIENT, FIN | ACK, C + 1, S + 1);
	take(21, SERVER, RST, S + 1, 0);
	cr_assert_eq(tcp_handshake_end(&tcp), TCP_RST);
}

Test(tcp_handshake, fins_in_front_of_a_reset_or_behind_it_are_the_same)
{
	open_connection();
	take(20, CLIENT, FIN | ACK, C + 1, S + 1);
	take(21, CLIENT, RST, C + 2, 0);
	cr_assert(events & TCP_RESET);
	take(22, SERVER, FIN | ACK, S + 1, C + 2);
	cr_assert_eq(tcp_handshake_end(&tcp), TCP_FIN);
	tcp = (struct tcp_handshake){0};
	open_connection();
	take(20, CLIENT, FIN | ACK, C + 1, S + 1);
	take(21, SERVER, FIN | ACK, S + 1, C + 2);
	take(22, CLIENT, RST, C + 2, 0);
	cr_assert(events & TCP_RESET);
	cr_assert_eq(tcp_handshake_end(&tcp), TCP_FIN);
}

Test(tcp_handshake, refusal_may_overtake_its_syn)
{
	take(0, SERVER, RST | ACK, 0, C + 1);
	cr_assert_eq(events, TCP_RESET, "of whose attempt we know nothing yet");
	syn(1);
	cr_assert_eq(events, TCP_ATTEMPTED | TCP_REFUSED);
	cr_assert_eq(tcp.phase, TCP_ASKED);
	cr_assert_eq(tcp_handshake_end(&tcp), TCP_RST);
	syn(500);
	cr_assert_eq(events, 0, "asks again");
	cr_assert_eq(syn_ack(510), NEITHER);
}

Test(tcp_handshake, reset_of_something_else_refuses_no_syn_to_come)
{
	take(0, SERVER, RST | ACK, S, C + 1);
	syn(1);
	cr_assert_eq(events, TCP_ATTEMPTED);
	tcp = (struct tcp_handshake){0};
	take(0, SERVER, RST, 0, 0);
	syn(1);
	cr_assert_eq(events, TCP_ATTEMPTED);
	tcp = (struct tcp_handshake){0};
	take(0, SERVER, RST | ACK, 0, C + 500);
	syn(1);
	cr_assert_eq(events, TCP_ATTEMPTED);
}

Test(tcp_handshake, reset_with_number_0_is_of_the_connection_that_was_seen_before_it)
{
	take(0, CLIENT, ACK, C + 5, S + 5);
	take(1, SERVER, ACK, S + 5, C + 5);
	take(2, SERVER, RST | ACK, 0, C + 5);
	cr_assert_eq(tcp.phase, TCP_UNKNOWN);
	cr_assert_not(tcp.has_failed);
}

Test(tcp_handshake, new_attempt_is_alive_again)
{
	syn(0);
	take(1, SERVER, RST | ACK, 0, C + 1);
	cr_assert_eq(tcp_handshake_end(&tcp), TCP_RST);
	syn(500); /* the same number, as some stacks ask again */
	cr_assert_eq(tcp_handshake_end(&tcp), TCP_ALIVE);
	take(501, SERVER, RST | ACK, 0, C + 1);
	take(1000, CLIENT, SYN, C + 7, 0);
	cr_assert_eq(tcp_handshake_end(&tcp), TCP_ALIVE);
	assert_server_half(take(1010, SERVER, SYN | ACK, S, C + 8), 10);
}
