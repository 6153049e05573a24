#include "kpi/kpi.h"

#include <criterion/criterion.h>
#include <string.h>

#include "../support/packet.h"

#define SECOND   UINT64_C(1000000000)
#define START    (1795302174 * SECOND)
#define SESSIONS 4
#define POOL     3

/* TCP flags. */
#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define ACK 0x10

static struct kpi_session sessions[SESSIONS];
static struct histogram histograms[POOL];
static uint64_t used, missed;
static struct kpis *kpi;
static uint32_t session; /* of the next packet */
static enum session_direction direction = SESSION_UNDIRECTED;
static uint32_t marks;          /* of the latest packet */
static uint64_t past_second_ns; /* of the next packets */

static void open_kpi(uint32_t n_max)
{
	const struct kpi_config c = {.memory = {.sessions = sessions,
						.histograms = histograms,
						.histograms_max = POOL,
						.histograms_used = &used,
						.histograms_missed = &missed},
				     .sessions_max = SESSIONS,
				     .flows_max = n_max,
				     .associations_max = 16};
	struct err err;

	cr_assert_eq(kpi_open(&kpi, &c, &err), 0, "%s", err.text);
}

static void prepare(void)
{
	open_kpi(1000);
}

static void tear_down(void)
{
	kpi_close(kpi);
}

TestSuite(kpi, .init = prepare, .fini = tear_down);

/* The frame, of which the mirror cut away all but len bytes. */
static void take_cut(struct build *b, uint32_t len, uint64_t s)
{
	const struct packet p = {.time_ns = START + s * SECOND + past_second_ns,
				 .data = build_data(b),
				 .len = len,
				 .cap_len = len};
	struct dissected d;

	dissect_frame(p.data, len, len, &d);
	kpi_packet(kpi, &(struct kpi_packet){&p, &d, session, direction});
	marks = d.marks;
}

/* An IPv4 packet around the transport part; back: the other direction. */
static void take_ip(struct build *b, uint8_t proto, bool back, uint64_t s)
{
	build_ipv4(b, proto, back ? "10.0.0.2" : "10.0.0.1", back ? "10.0.0.1" : "10.0.0.2");
	build_ethernet(b, 0x0800);
	take_cut(b, b->len, s);
}

static void take_udp(uint16_t port, bool back, uint64_t s)
{
	struct build b = build_payload(100);

	build_udp(&b, back ? 53 : port, back ? port : 53);
	take_ip(&b, 17, back, s);
}

/* Sequence numbers: both sides' SYN has 0. */
static void take_tcp(uint16_t port, bool back, uint8_t flags, uint64_t s)
{
	struct build b = build_payload(0);

	build_tcp(&b, back ? 80 : port, back ? port : 80);
	build_tcp_numbers(&b, flags, !(flags & SYN), 1);
	take_ip(&b, 6, back, s);
}

static void handshake_at(uint16_t port, uint64_t s)
{
	take_tcp(port, false, SYN, s);
	take_tcp(port, true, SYN | ACK, s + 2);
	take_tcp(port, false, ACK, s + 3);
}

static void handshake(uint16_t port)
{
	handshake_at(port, 0);
}

static uint64_t value(uint32_t of, enum kpi which)
{
	return sessions[of].value[which];
}

static void expire(uint64_t s)
{
	kpi_finish(kpi, START + s * SECOND);
}

/* ---- volume ---- */

Test(kpi, volume_is_counted_by_direction_and_ip_length)
{
	direction = SESSION_INGRESS;
	take_udp(1, false, 0);
	direction = SESSION_EGRESS;
	take_udp(1, true, 1);
	take_udp(1, true, 2);
	cr_assert_eq(value(0, KPI_INGRESS_PACKETS), 1);
	cr_assert_eq(value(0, KPI_INGRESS_BYTES), 128);
	cr_assert_eq(value(0, KPI_EGRESS_PACKETS), 2);
	cr_assert_eq(value(0, KPI_EGRESS_BYTES), 256);
	cr_assert_eq(value(0, KPI_UNDIRECTED_PACKETS), 0);
	cr_assert_eq(value(0, KPI_CAPTURED_BYTES), 3 * 142);
	cr_assert_eq(value(0, KPI_TRUNCATED_PACKETS), 0);
}

Test(kpi, cut_packet_counts_its_own_length)
{
	struct build b = build_payload(1000);

	build_udp(&b, 1, 2);
	build_ipv4(&b, 17, "10.0.0.1", "10.0.0.2");
	build_ethernet(&b, 0x0800);
	take_cut(&b, 60, 0);
	cr_assert_eq(value(0, KPI_UNDIRECTED_BYTES), 1028);
	cr_assert_eq(value(0, KPI_CAPTURED_BYTES), 60);
	cr_assert_eq(value(0, KPI_TRUNCATED_PACKETS), 1);
}

Test(kpi, what_has_no_readable_header_is_told_by_reason)
{
	struct build arp = build_payload(28), ip = build_payload(0), udp = build_payload(0);

	build_ethernet(&arp, 0x0806);
	take_cut(&arp, arp.len, 0);
	take_cut(&arp, 13, 0);
	build_udp(&ip, 1, 2);
	build_ipv4(&ip, 17, "10.0.0.1", "10.0.0.2");
	build_ethernet(&ip, 0x0800);
	take_cut(&ip, 14 + 19, 0);
	build_udp(&udp, 1, 2);
	build_ipv4(&udp, 17, "10.0.0.1", "10.0.0.2");
	build_ethernet(&udp, 0x0800);
	take_cut(&udp, 14 + 20 + 3, 0);
	for (enum kpi i = KPI_UNDECODED_NOT_IP; i <= KPI_UNDECODED_BAD_TRANSPORT; i++)
		cr_assert_eq(value(0, i), 1, "%d", i - KPI_UNDECODED_NOT_IP);
	take_udp(1, false, 0);
	cr_assert_eq(value(0, KPI_UNDECODED_BAD_TRANSPORT), 1);
}

Test(kpi, last_packet_is_the_latest_not_the_last_one)
{
	take_udp(1, false, 10);
	take_udp(1, false, 9);
	cr_assert_eq(sessions[0].last_ns, START + 10 * SECOND);
	cr_assert_eq(sessions[1].last_ns, 0);
}

/* ---- flows ---- */

Test(kpi, flows_are_counted_by_session_and_transport)
{
	struct build sctp = build_payload(16), echo = build_payload(8), error = build_payload(28),
		     other = build_payload(20);

	take_udp(1, false, 0);
	take_udp(1, true, 0);
	take_udp(2, false, 0);
	session = 1;
	take_udp(1, false, 0);
	take_tcp(1, false, SYN, 0);
	build_sctp(&sctp, 1, 2);
	take_ip(&sctp, 132, false, 0);
	build_icmp(&echo, 8, 1);
	take_ip(&echo, 1, false, 0);
	build_icmp(&error, 3, 1);
	take_ip(&error, 1, false, 0); /* belongs to the flow that it quotes */
	take_ip(&other, 47, false, 0);
	cr_assert_eq(value(0, KPI_CREATED_UDP), 2);
	cr_assert_eq(value(0, KPI_FLOWS_UDP), 2);
	cr_assert_eq(value(0, KPI_CREATED_TCP), 0);
	cr_assert_eq(value(1, KPI_CREATED_UDP), 1);
	cr_assert_eq(value(1, KPI_CREATED_TCP), 1);
	cr_assert_eq(value(1, KPI_CREATED_SCTP), 1);
	cr_assert_eq(value(1, KPI_CREATED_ICMP), 1);
	cr_assert_eq(value(1, KPI_CREATED_OTHER), 1);
	expire(10000);
	cr_assert_eq(value(0, KPI_ENDED_IDLE_UDP), 2);
	cr_assert_eq(value(1, KPI_ENDED_IDLE_UDP), 1);
	cr_assert_eq(value(1, KPI_ENDED_IDLE_TCP), 1);
	cr_assert_eq(value(1, KPI_ENDED_IDLE_SCTP), 1);
	cr_assert_eq(value(1, KPI_ENDED_IDLE_ICMP), 1);
	cr_assert_eq(value(1, KPI_ENDED_IDLE_OTHER), 1);
	for (uint32_t s = 0; s < SESSIONS; s++)
		for (unsigned which = KPI_FLOWS_TCP; which <= KPI_FLOWS_OTHER; which++)
			cr_assert_eq(value(s, which), 0);
}

Test(kpi, flow_that_begins_anew_is_counted_again)
{
	take_udp(1, false, 0);
	take_udp(1, false, 1000);
	cr_assert_eq(value(0, KPI_CREATED_UDP), 2);
	cr_assert_eq(value(0, KPI_ENDED_IDLE_UDP), 1);
	cr_assert_eq(value(0, KPI_FLOWS_UDP), 1);
}

Test(kpi, flow_without_room_is_marked_and_not_counted)
{
	tear_down();
	open_kpi(1);
	take_udp(1, false, 0);
	take_udp(1, true, 1);
	cr_assert_eq(marks & 1u << MARK_FLOW_FULL, 0);
	take_udp(2, false, 2);
	cr_assert_neq(marks & 1u << MARK_FLOW_FULL, 0);
	cr_assert_eq(value(0, KPI_CREATED_UDP), 1);
	cr_assert_eq(value(0, KPI_UNDIRECTED_PACKETS), 3);
}

Test(kpi, flow_that_made_way_is_counted_as_evicted)
{
	tear_down();
	open_kpi(1);
	take_udp(1, false, 0);
	take_udp(2, false, 1);
	cr_assert_eq(value(0, KPI_CREATED_UDP), 2);
	cr_assert_eq(value(0, KPI_ENDED_EVICTED_UDP), 1);
	cr_assert_eq(value(0, KPI_FLOWS_UDP), 1);
}

/* ---- TCP ---- */

Test(kpi, closed_connection_ends_soon_and_says_why)
{
	handshake(1);
	take_tcp(1, false, FIN | ACK, 4);
	take_tcp(1, true, FIN | ACK, 5);
	take_tcp(1, false, ACK, 6);
	handshake(2);
	take_tcp(2, true, RST, 6);
	handshake(3);
	take_tcp(3, false, FIN | ACK, 6);
	expire(6 + 28);
	cr_assert_eq(value(0, KPI_FLOWS_TCP), 3);
	expire(6 + 33);
	cr_assert_eq(value(0, KPI_ENDED_FIN_TCP), 1);
	cr_assert_eq(value(0, KPI_ENDED_RST_TCP), 1);
	cr_assert_eq(value(0, KPI_FLOWS_TCP), 1);
	expire(6 + 603);
	cr_assert_eq(value(0, KPI_ENDED_IDLE_TCP), 1, "half closed is not closed");
}

/* An ACK of the server's for data of so many bytes that were never mirrored, and a FIN. */
static void take_ack_of(uint16_t port, uint32_t lost, uint64_t s)
{
	struct build b = build_payload(0);

	build_tcp(&b, 80, port);
	build_tcp_numbers(&b, ACK, 1, 2 + lost);
	take_ip(&b, 6, true, s);
}

static void take_ack_of_lost(uint16_t port, uint64_t s)
{
	take_ack_of(port, 100, s);
}

Test(kpi, what_was_acknowledged_and_lost_is_told_without_another_packet)
{
	handshake(1);
	take_ack_of_lost(1, 4);
	kpi_expire(kpi, START + 4 * SECOND + TCP_LATE_NS - 1);
	cr_assert_eq(value(0, KPI_TCP_ACKED_MISSING_BYTES), 0, "it may come late");
	kpi_expire(kpi, START + 4 * SECOND + TCP_LATE_NS);
	cr_assert_eq(value(0, KPI_TCP_ACKED_MISSING_BYTES), 100, "the last byte may be a FIN");
	take_ack_of_lost(1, 5);
	take_tcp(1, false, RST, 6);
	expire(100);
	cr_assert_eq(value(0, KPI_TCP_ACKED_MISSING_BYTES), 100, "once");
}

Test(kpi, what_waits_anew_is_looked_at_anew)
{
	handshake(1);
	take_ack_of(1, 100, 4);
	past_second_ns = TCP_LATE_NS / 2;
	take_ack_of(1, 300, 4);
	kpi_expire(kpi, START + 4 * SECOND + TCP_LATE_NS);
	cr_assert_eq(value(0, KPI_TCP_ACKED_MISSING_BYTES), 100);
	kpi_expire(kpi, START + 4 * SECOND + 2 * TCP_LATE_NS);
	cr_assert_eq(value(0, KPI_TCP_ACKED_MISSING_BYTES), 300);
}

static void take_tunnelled(bool back, uint8_t flags, uint32_t seq, uint32_t ack, uint64_t s)
{
	struct build b = build_payload(0);

	build_tcp(&b, back ? 80 : 1, back ? 1 : 80);
	build_tcp_numbers(&b, flags, seq, ack);
	build_ipv4(&b, 6, back ? "10.9.0.2" : "10.9.0.1", back ? "10.9.0.1" : "10.9.0.2");
	build_gtpu(&b, 7 + back);
	build_udp(&b, 2152, 2152);
	take_ip(&b, 17, back, s);
}

Test(kpi, what_a_ue_lost_is_told_of_the_ue)
{
	take_tunnelled(false, SYN, 0, 0, 0);
	take_tunnelled(true, SYN | ACK, 0, 1, 1);
	take_tunnelled(false, ACK, 1, 1, 2);
	take_tunnelled(true, ACK, 1, 102, 3);
	kpi_expire(kpi, START + 3 * SECOND + TCP_LATE_NS);
	cr_assert_eq(value(0, KPI_UE_TCP_ACKED_MISSING_BYTES), 100);
	cr_assert_eq(value(0, KPI_TCP_ACKED_MISSING_BYTES), 0);
}

Test(kpi, flow_that_ended_is_not_looked_at_again)
{
	handshake(1);
	take_ack_of_lost(1, 4);
	expire(1000);
	cr_assert_eq(value(0, KPI_TCP_ACKED_MISSING_BYTES), 100);
	cr_assert_eq(value(0, KPI_ENDED_IDLE_TCP), 1);
	kpi_expire(kpi, START + 1000 * SECOND);
	cr_assert_eq(value(0, KPI_TCP_ACKED_MISSING_BYTES), 100);
}

Test(kpi, ports_taken_again_are_open_again)
{
	handshake(1);
	take_tcp(1, true, RST, 4);
	handshake_at(1, 5);
	cr_assert_eq(value(0, KPI_CREATED_TCP), 1, "30 s of silence have not passed");
	expire(500);
	cr_assert_eq(value(0, KPI_FLOWS_TCP), 1);
}

Test(kpi, handshake_halves_go_to_their_sessions_histograms)
{
	session = 2;
	handshake(1);
	const uint32_t *place = sessions[2].histogram;
	const struct histogram *server = &histograms[place[KPI_TCP_HANDSHAKE_SERVER] - 1];
	const struct histogram *client = &histograms[place[KPI_TCP_HANDSHAKE_CLIENT] - 1];

	cr_assert_eq(used, 2);
	cr_assert_eq(server->sum_ns, 2 * SECOND);
	cr_assert_eq(server->bucket[histogram_bucket(2 * SECOND)], 1);
	cr_assert_eq(client->sum_ns, SECOND);
	cr_assert_eq(histogram_count(client), 1);
	handshake(2);
	cr_assert_eq(used, 2, "the place stays");
	cr_assert_eq(histogram_count(server), 2);
	cr_assert_eq(sessions[0].histogram[KPI_TCP_HANDSHAKE_SERVER], 0, "no sample, no place");
}

Test(kpi, sample_that_finds_the_pool_empty_is_counted_as_missed)
{
	handshake(1);
	session = 1;
	handshake(1);
	cr_assert_eq(used, POOL);
	cr_assert_eq(missed, 1);
	cr_assert_eq(sessions[1].histogram[KPI_TCP_HANDSHAKE_SERVER], 3);
	cr_assert_eq(sessions[1].histogram[KPI_TCP_HANDSHAKE_CLIENT], 0);
	handshake(2);
	cr_assert_eq(missed, 2);
	cr_assert_eq(histogram_count(&histograms[2]), 2);
}

/* Of what goes from 10.0.0.1 to 10.0.0.2. */
static void take_error(struct build *b, uint8_t proto, uint8_t code)
{
	build_ipv4(b, proto, "10.0.0.1", "10.0.0.2");
	build_icmp(b, 3, 0);
	build_data(b)[1] = code;
	take_ip(b, 1, true, 0);
}

static void take_udp_error(uint16_t port, uint8_t code)
{
	struct build b = build_payload(0);

	build_udp(&b, port, 53);
	take_error(&b, 17, code);
}

/* Port unreachable, for the datagram that take_udp(port, false) sends. */
static void take_refusal(uint16_t port)
{
	take_udp_error(port, 3);
}

Test(kpi, error_counts_for_its_flow_whichever_comes_first)
{
	take_udp(1000, false, 0);
	take_refusal(1000);
	cr_assert_eq(value(0, KPI_UDP_REFUSED), 1);
	take_refusal(2000);
	cr_assert_eq(value(0, KPI_UDP_REFUSED), 1, "no flow yet");
	take_udp(2000, false, 0);
	cr_assert_eq(value(0, KPI_UDP_REFUSED), 2);
	take_udp(2000, false, 0);
	cr_assert_eq(value(0, KPI_UDP_REFUSED), 2);
}

Test(kpi, early_error_is_of_its_session_and_others_discard_none)
{
	session = 1;
	take_refusal(1000);
	session = 2;
	for (uint16_t port = 1; port <= 20; port++)
		take_refusal(port);
	take_udp(1000, false, 0);
	cr_assert_eq(value(2, KPI_UDP_REFUSED), 0, "it is another session's");
	session = 1;
	take_udp(1000, false, 0);
	cr_assert_eq(value(1, KPI_UDP_REFUSED), 1);
}

Test(kpi, early_error_that_tells_nothing_takes_no_place)
{
	take_refusal(1000);
	for (uint16_t port = 1; port <= 20; port++)
		take_udp_error(port, 1);
	take_udp(1000, false, 0);
	take_udp(1, false, 0);
	cr_assert_eq(value(0, KPI_UDP_REFUSED), 1);
}

Test(kpi, error_of_a_connection_request_counts_whichever_comes_first)
{
	for (uint16_t port = 1; port <= 2; port++) {
		struct build b = build_payload(0);
		build_tcp(&b, port, 80);
		if (port == 1)
			take_tcp(port, false, SYN, 0);
		take_error(&b, 6, 1);
		if (port == 2)
			take_tcp(port, false, SYN, 0);
		cr_assert_eq(value(0, KPI_TCP_FAILED_UNREACHABLE), port);
	}
}

static struct build sctp_init(uint16_t port)
{
	struct build b = build_payload(20);
	static const uint8_t chunk[20] = {1, 0, 0, 20, 0, 0, 0, 7, 0, 1, 0, 0, 0, 1, 0, 1};

	memcpy(build_data(&b), chunk, sizeof(chunk));
	build_sctp(&b, port, 3868);
	return b;
}

Test(kpi, error_of_an_init_counts_whichever_comes_first)
{
	for (uint16_t port = 1; port <= 2; port++) {
		struct build init = sctp_init(port), quoted = sctp_init(port);
		if (port == 1)
			take_ip(&init, 132, false, 0);
		take_error(&quoted, 132, 2);
		if (port == 2)
			take_ip(&init, 132, false, 0);
		cr_assert_eq(value(0, KPI_SCTP_FAILED_UNREACHABLE), port);
	}
}
