#include "kpi/udp.h"

static bool is_both(const struct flow *flow)
{
	return flow->packets[0] && flow->packets[1];
}

void udp_packet(const struct kpi_sink *sink, struct udp *udp, const struct packet *packet,
		const struct dissected *d, const struct flow *flow)
{
	if (is_both(flow))
		kpi_see(sink, KPI_GROUP_UDP_BOTH);
	quic_packet(sink, &udp->quic, packet, d, flow);
}

uint32_t udp_idle_s(const struct flow *flow)
{
	return flow->packets[0] + flow->packets[1] == 1 ? UDP_IDLE_SINGLE_S : 0;
}

void udp_ended(const struct kpi_sink *sink, const struct udp *udp, const struct flow *flow)
{
	if (!is_both(flow) && !udp->is_refused)
		kpi_count_silence(sink, KPI_GROUP_UDP_BOTH, KPI_UDP_UNANSWERED, 1);
}

void udp_refused(const struct kpi_sink *sink, struct udp *udp)
{
	/* Where one direction is mirrored no error finds the flow that it quotes: a zero there
	 * would be wrong. */
	kpi_see(sink, KPI_GROUP_UDP_REFUSED);
	kpi_count(sink, KPI_UDP_REFUSED, 1);
	udp->is_refused = true;
}
