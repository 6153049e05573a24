#include "kpi/tcp.h"

static_assert((int)KPI_TCP_WIRESHARK_ACK_LOST_SEGMENT - (int)KPI_TCP_WIRESHARK_RETRANSMISSION ==
		      (int)TCP_WIRESHARK_ACK_LOST_SEGMENT,
	      "a row for each class, in their order");

/* Last packets of a closed connection come within seconds; a new one may take its ports early. */
#define CLOSED_IDLE_S 30
/* A SYN that nothing answers for so long has failed. Linux asks up to 64 s after the last time
 * (tcp_syn_retries 6): with less, one attempt would be several. */
#define ASKED_IDLE_S 70

static void choose_client(struct tcp *tcp, const struct flow *flow, unsigned direction)
{
	const struct flow_key *key = &flow->key;

	if (flow->packets[0] + flow->packets[1] != 1)
		return;
	tcp->handshake.client =
		(uint8_t)(key->port_a == key->port_b ? direction : key->port_a < key->port_b);
}

static void count_reset(const struct kpi_sink *sink, const struct tcp_handshake *h,
			unsigned direction)
{
	static const enum kpi kpi[][2] = {
		{KPI_TCP_RESET_HANDSHAKE_SERVER, KPI_TCP_RESET_HANDSHAKE_CLIENT},
		{KPI_TCP_RESET_ESTABLISHED_SERVER, KPI_TCP_RESET_ESTABLISHED_CLIENT},
		{KPI_TCP_RESET_CLOSING_SERVER, KPI_TCP_RESET_CLOSING_CLIENT}};
	const bool is_before =
		h->phase != TCP_UNKNOWN && h->phase != TCP_OPEN && !h->is_established;
	const unsigned phase = h->fins ? 2 : !is_before;

	kpi_count(sink, kpi[phase][direction == h->client], 1);
}

static void learn_rtt(struct tcp *tcp, unsigned direction, uint64_t ns)
{
	tcp_rtt_learn(&tcp->stream.way[direction].rtt, tcp_ticks(ns));
}

static void take_handshake(const struct kpi_sink *sink, struct tcp *tcp,
			   const struct tcp_segment *s)
{
	struct tcp_handshake *h = &tcp->handshake;
	const bool was_attempt = h->is_attempt;
	uint64_t ns = 0;
	const unsigned events = tcp_handshake_segment(h, s, &ns);

	if (events & TCP_ATTEMPTED) {
		kpi_count(sink, KPI_TCP_ATTEMPTED, 1);
		if (was_attempt) /* the ports are used again */
			tcp_stream_end(sink, &tcp->stream);
	}
	if (events & TCP_SERVER_HALF) {
		kpi_observe(sink, KPI_TCP_HANDSHAKE_SERVER, ns);
		learn_rtt(tcp, h->client, ns);
	}
	if (events & TCP_CLIENT_HALF) {
		kpi_observe(sink, KPI_TCP_HANDSHAKE_CLIENT, ns);
		learn_rtt(tcp, !h->client, ns);
	}
	if (events & TCP_ESTABLISHED)
		kpi_count(sink, KPI_TCP_ESTABLISHED, 1);
	if (events & TCP_REFUSED)
		kpi_count(sink, KPI_TCP_FAILED_REFUSED, 1);
	if (events & TCP_RESET)
		count_reset(sink, h, s->direction);
}

static void take_wireshark(const struct kpi_sink *sink, struct tcp *tcp,
			   const struct tcp_segment *s)
{
	uint32_t classes = tcp_wireshark_segment(&tcp->wireshark, s);

	for (; classes; classes &= classes - 1)
		kpi_count(sink, KPI_TCP_WIRESHARK_RETRANSMISSION + (unsigned)__builtin_ctz(classes),
			  1);
}

void tcp_packet(const struct kpi_sink *sink, struct tcp *tcp, const struct packet *packet,
		const struct dissected *d, const struct flow *flow)
{
	struct tcp_segment s;

	if (flow->packets[0] && flow->packets[1])
		kpi_see(sink, KPI_GROUP_TCP_BOTH);
	choose_client(tcp, flow, d->direction);
	if (!tcp_segment_read(&s, packet, d))
		return;
	take_handshake(sink, tcp, &s);
	tcp_stream_segment(sink, &tcp->stream, &s, tcp->handshake.client);
	take_wireshark(sink, tcp, &s);
}

uint32_t tcp_idle_s(const struct tcp *tcp)
{
	if (tcp_handshake_end(&tcp->handshake) != TCP_ALIVE)
		return CLOSED_IDLE_S;
	return tcp_handshake_is_unanswered(&tcp->handshake) ? ASKED_IDLE_S : 0;
}

bool tcp_waits(const struct tcp *tcp)
{
	return tcp->stream.way[0].is_waiting || tcp->stream.way[1].is_waiting;
}

void tcp_look_again(const struct kpi_sink *sink, struct tcp *tcp)
{
	tcp_stream_look_again(sink, &tcp->stream);
}

void tcp_settle(const struct kpi_sink *sink, struct tcp *tcp)
{
	tcp_stream_settle(sink, &tcp->stream);
}

void tcp_ended(const struct kpi_sink *sink, const struct tcp *tcp, const struct flow *flow,
	       enum flow_end why)
{
	struct tcp_stream last = tcp->stream;

	tcp_stream_end(sink, &last);
	if (why != FLOW_IDLE)
		return;
	kpi_count(sink, KPI_TCP_CONNECTION_DURATION, flow->last_ns - flow->first_ns);
	if (tcp_handshake_is_unanswered(&tcp->handshake) && !tcp->handshake.is_reset)
		kpi_count_silence(sink, KPI_GROUP_TCP_BOTH, KPI_TCP_FAILED_TIMEOUT, 1);
}

void tcp_unreachable(const struct kpi_sink *sink, struct tcp *tcp, unsigned direction)
{
	if (!tcp_handshake_is_unanswered(&tcp->handshake) || direction != tcp->handshake.client)
		return;
	tcp->handshake.has_failed = true;
	kpi_see(sink, KPI_GROUP_TCP_BOTH); /* the error came the other way */
	kpi_count(sink, KPI_TCP_FAILED_UNREACHABLE, 1);
}
