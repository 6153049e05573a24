#include "kpi/tcp.h"

#include <criterion/criterion.h>
#include <string.h>

#include "../support/packet.h"

#define START UINT64_C(1795302174000000000)
#define MS    UINT64_C(1000000)

#define FIN TCP_FLAG_FIN
#define SYN TCP_FLAG_SYN
#define RST TCP_FLAG_RST
#define ACK TCP_FLAG_ACK

enum side { CLIENT, SERVER };

#define C 1000u
#define S 5000u

static struct histogram histograms[KPI_HISTOGRAMS];
static uint64_t used, missed;
static const struct kpi_memory memory = {.histograms = histograms,
					 .histograms_max = KPI_HISTOGRAMS,
					 .histograms_used = &used,
					 .histograms_missed = &missed};
static struct kpi_session session;
static struct kpi_sink sink = {.memory = &memory, .session = &session};
static struct tcp tcp;
static struct flow flow;
static uint16_t client_port = 40000;

static void prepare(void)
{
	struct err err;

	cr_assert_eq(tcp_gaps_open(&sink.gaps, 16, &err), 0);
}

static void tear_down(void)
{
	tcp_gaps_close(sink.gaps);
}

TestSuite(tcp, .init = prepare, .fini = tear_down);

static void take(uint64_t ms, enum side from, uint8_t flags, uint32_t seq, uint32_t ack)
{
	static const char *const address[] = {"10.0.0.1", "10.0.0.2"};
	const uint16_t port[] = {client_port, 8080};
	struct build b = build_payload(0);

	build_tcp(&b, port[from], port[!from]);
	build_tcp_numbers(&b, flags, seq, ack);
	build_ipv4(&b, 6, address[from], address[!from]);
	build_ethernet(&b, 0x0800);
	const struct packet p = {
		.time_ns = START + ms * MS, .data = build_data(&b), .len = b.len, .cap_len = b.len};
	struct dissected d;
	dissect_frame(p.data, p.len, p.len, &d);
	flow.key = d.key;
	flow.packets[d.direction]++;
	flow.first_ns = flow.first_ns ? flow.first_ns : p.time_ns;
	flow.last_ns = p.time_ns;
	tcp_packet(&sink, &tcp, &p, &d, &flow);
}

static void open_connection(void)
{
	take(0, CLIENT, SYN, C, 0);
	take(10, SERVER, SYN | ACK, S, C + 1);
	take(12, CLIENT, ACK, C + 1, S + 1);
}

static void end(enum flow_end why)
{
	tcp_ended(&sink, &tcp, &flow, why);
}

static void see_both_directions(void)
{
	session.value[KPI_BIDIRECTIONAL_TCP] = 1;
}

#define assert_counted(name, n) cr_assert_eq(session.value[KPI_TCP_##name], n, #name)

Test(tcp, attempt_is_established_by_the_ack_of_the_client)
{
	take(0, CLIENT, SYN, C, 0);
	take(1, CLIENT, SYN, C, 0);
	take(10, SERVER, SYN | ACK, S, C + 1);
	assert_counted(ATTEMPTED, 1);
	assert_counted(ESTABLISHED, 0);
	take(12, CLIENT, ACK, C + 1, S + 1);
	take(13, CLIENT, ACK, C + 1, S + 1);
	assert_counted(ESTABLISHED, 1);
	cr_assert(session.groups & 1u << KPI_GROUP_TCP_BOTH);
}

Test(tcp, lost_answer_of_the_mirror_is_no_failure)
{
	see_both_directions();
	take(0, CLIENT, SYN, C, 0);
	cr_assert_eq(tcp_idle_s(&tcp), 70);
	take(12, CLIENT, ACK, C + 1, S + 1);
	cr_assert_eq(tcp_idle_s(&tcp), 0);
	end(FLOW_IDLE);
	assert_counted(ESTABLISHED, 1);
	assert_counted(FAILED_TIMEOUT, 0);
}

Test(tcp, another_number_is_another_attempt_and_another_stream)
{
	open_connection();
	take(1000, CLIENT, SYN, C + 77777, 0);
	take(1010, SERVER, SYN | ACK, S + 99999, C + 77778);
	take(1012, CLIENT, ACK, C + 77778, S + 100000);
	assert_counted(ATTEMPTED, 2);
	assert_counted(ESTABLISHED, 2);
	assert_counted(ACKED_BYTES, 0);
	assert_counted(RETRANSMITTED_SYN, 0);
}

Test(tcp, reset_of_the_syn_is_a_refusal)
{
	take(0, CLIENT, SYN, C, 0);
	take(1, SERVER, RST | ACK, 0, C + 5);
	assert_counted(FAILED_REFUSED, 0);
	assert_counted(RESET_HANDSHAKE_SERVER, 1);
	take(2, CLIENT, SYN, C, 0);
	take(3, SERVER, RST | ACK, 0, C + 1);
	take(4, CLIENT, SYN, C, 0);
	take(5, SERVER, RST | ACK, 0, C + 1);
	assert_counted(FAILED_REFUSED, 1);
}

Test(tcp, icmp_error_of_the_syn_is_a_failure)
{
	take(0, CLIENT, SYN, C, 0);
	tcp_unreachable(&sink, &tcp, !tcp.handshake.client);
	assert_counted(FAILED_UNREACHABLE, 0);
	tcp_unreachable(&sink, &tcp, tcp.handshake.client);
	tcp_unreachable(&sink, &tcp, tcp.handshake.client);
	assert_counted(FAILED_UNREACHABLE, 1);
	cr_assert(session.groups & 1u << KPI_GROUP_TCP_BOTH);
	see_both_directions();
	end(FLOW_IDLE);
	assert_counted(FAILED_TIMEOUT, 0);
}

Test(tcp, icmp_error_of_a_connection_is_none)
{
	open_connection();
	tcp_unreachable(&sink, &tcp, tcp.handshake.client);
	assert_counted(FAILED_UNREACHABLE, 0);
}

Test(tcp, silence_is_a_failure_where_both_directions_are_seen)
{
	take(0, CLIENT, SYN, C, 0);
	end(FLOW_IDLE);
	assert_counted(FAILED_TIMEOUT, 0);
	see_both_directions();
	end(FLOW_EVICTED);
	assert_counted(FAILED_TIMEOUT, 0);
	cr_assert_not(session.groups & 1u << KPI_GROUP_TCP_BOTH);
	end(FLOW_IDLE);
	assert_counted(FAILED_TIMEOUT, 1);
	cr_assert(session.groups & 1u << KPI_GROUP_TCP_BOTH, "also where none was ever answered");
}

Test(tcp, resets_are_told_by_phase_and_sender)
{
	take(0, CLIENT, SYN, C, 0);
	take(1, SERVER, SYN | ACK, S, C + 1);
	take(2, CLIENT, RST, C + 1, 0);
	take(3, CLIENT, RST, C + 1, 0);
	assert_counted(RESET_HANDSHAKE_CLIENT, 1);
	tcp = (struct tcp){0};
	open_connection();
	take(20, SERVER, RST | ACK, S + 1, C + 1);
	assert_counted(RESET_ESTABLISHED_SERVER, 1);
	tcp = (struct tcp){0};
	open_connection();
	take(20, SERVER, FIN | ACK, S + 1, C + 1);
	take(21, CLIENT, RST | ACK, C + 1, S + 2);
	assert_counted(RESET_CLOSING_CLIENT, 1);
	assert_counted(FAILED_REFUSED, 0);
	tcp = (struct tcp){0};
	take(20, SERVER, RST | ACK, 0, C + 1); /* overtakes its SYN */
	assert_counted(RESET_HANDSHAKE_SERVER, 1);
	take(21, CLIENT, SYN, C, 0);
	assert_counted(FAILED_REFUSED, 1);
}

Test(tcp, without_a_syn_the_higher_port_is_the_client)
{
	take(0, SERVER, ACK, S, C);
	take(1, CLIENT, RST, C, 0);
	assert_counted(RESET_ESTABLISHED_CLIENT, 1);
}

Test(tcp, of_equal_ports_the_first_is_the_client)
{
	client_port = 8080;
	take(0, SERVER, ACK, S, C);
	take(1, SERVER, RST, S, 0);
	assert_counted(RESET_ESTABLISHED_CLIENT, 1);
}

Test(tcp, duration_is_from_first_to_last_packet)
{
	open_connection();
	take(500, CLIENT, FIN | ACK, C + 1, S + 1);
	cr_assert_eq(tcp_idle_s(&tcp), 0);
	take(510, SERVER, FIN | ACK, S + 1, C + 2);
	cr_assert_eq(tcp_idle_s(&tcp), 30);
	end(FLOW_IDLE);
	cr_assert_eq(session.value[KPI_TCP_CONNECTION_DURATION], 510 * MS);
}

Test(tcp, gaps_of_an_ended_connection_go_back)
{
	for (unsigned round = 0; round < 20; round++) {
		tcp = (struct tcp){0};
		open_connection();
		for (unsigned i = 1; i <= 8;
		     i++) /* a FIN above a gap, a number further each time */
			take(20, CLIENT, FIN | ACK, C + 1 + 100 * i, S + 1);
		end(FLOW_IDLE);
	}
	assert_counted(GAPS_UNTRACKED, 0);
}

Test(tcp, what_wireshark_says_is_counted_beside)
{
	open_connection();
	take(20, CLIENT, SYN, C, 0);
	cr_assert_eq(session.value[KPI_TCP_WIRESHARK_RETRANSMISSION], 1);
}

Test(tcp, settle_leaves_the_connection_alive)
{
	open_connection();
	take(20, SERVER, ACK, S + 1, C + 102);
	assert_counted(ACKED_MISSING_BYTES, 0);
	tcp_settle(&sink, &tcp);
	assert_counted(ACKED_MISSING_BYTES, 100);
	tcp_settle(&sink, &tcp);
	assert_counted(ACKED_MISSING_BYTES, 100);
}
