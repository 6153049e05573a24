#include "kpi/icmp.h"

void icmp_packet(const struct kpi_sink *sink, struct icmp *icmp, const struct packet *packet,
		 const struct dissected *d)
{
	(void)sink, (void)icmp, (void)packet, (void)d;
}

void icmp_ended(const struct kpi_sink *sink, const struct icmp *icmp, const struct flow *flow)
{
	(void)sink, (void)icmp, (void)flow;
}

enum icmp_verdict icmp_error(const struct kpi_sink *sink, const struct packet *packet,
			     const struct dissected *d, struct flow_key *quoted,
			     unsigned *direction)
{
	(void)sink, (void)packet, (void)d, (void)quoted, (void)direction;
	return ICMP_NO_ERROR;
}
