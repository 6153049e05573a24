#include "kpi/tcp.h"

static_assert((int)KPI_TCP_WIRESHARK_ACK_LOST_SEGMENT - (int)KPI_TCP_WIRESHARK_RETRANSMISSION ==
		      (int)TCP_WIRESHARK_ACK_LOST_SEGMENT,
	      "a row for each class, in their order");

/* Last packets of a closed connection come within seconds; a new one may take its ports early. */
#define CLOSED_IDLE_S 30

void tcp_packet(const struct kpi_sink *sink, struct tcp *tcp, const struct packet *packet,
		const struct dissected *d, const struct flow *flow)
{
	struct tcp_segment s;
	uint64_t ns;

	(void)flow;
	if (!tcp_segment_read(&s, packet, d))
		return;
	const uint32_t classes = tcp_wireshark_segment(&tcp->wireshark, &s);
	for (unsigned i = 0; i < TCP_WIRESHARK_CLASSES; i++)
		if (classes >> i & 1)
			kpi_count(sink, KPI_TCP_WIRESHARK_RETRANSMISSION + i, 1);
	switch (tcp_handshake_segment(&tcp->handshake, &s, &ns)) {
	case TCP_SERVER_HALF:
		kpi_observe(sink, KPI_TCP_HANDSHAKE_SERVER, ns);
		break;
	case TCP_CLIENT_HALF:
		kpi_observe(sink, KPI_TCP_HANDSHAKE_CLIENT, ns);
		break;
	case TCP_NEITHER:
		break;
	}
}

bool tcp_is_only_asked(const struct tcp *tcp)
{
	return tcp->handshake.phase == TCP_ASKED;
}

uint32_t tcp_idle_s(const struct tcp *tcp)
{
	return tcp_handshake_end(&tcp->handshake) == TCP_ALIVE ? 0 : CLOSED_IDLE_S;
}

void tcp_ended(const struct kpi_sink *sink, const struct tcp *tcp, const struct flow *flow)
{
	(void)sink, (void)tcp, (void)flow;
}

void tcp_unreachable(const struct kpi_sink *sink, struct tcp *tcp, unsigned direction)
{
	(void)sink, (void)tcp, (void)direction;
}
