#include "kpi/udp.h"

void udp_packet(const struct kpi_sink *sink, struct udp *udp, const struct packet *packet,
		const struct dissected *d, const struct flow *flow)
{
	(void)sink, (void)udp, (void)packet, (void)d, (void)flow;
}

void udp_ended(const struct kpi_sink *sink, const struct udp *udp, const struct flow *flow)
{
	(void)sink, (void)udp, (void)flow;
}

void udp_refused(const struct kpi_sink *sink, struct udp *udp)
{
	(void)sink, (void)udp;
}
