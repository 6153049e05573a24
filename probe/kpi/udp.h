/*
 * udp: what is measured of a UDP flow: whether it is answered or refused, and the handshake when it
 * is QUIC.
 *
 * Worker, through kpi. The state lies beside its flow, zero at first.
 */
#pragma once

#include "kpi/sink.h"
#include "path/decap.h"
#include "path/flow.h"

struct udp {
	uint64_t pad;
};

void udp_packet(const struct kpi_sink *sink, struct udp *udp, const struct packet *packet,
		const struct dissected *d, const struct flow *flow);
/* The flow is over; sink is of its last packet's time. */
void udp_ended(const struct kpi_sink *sink, const struct udp *udp, const struct flow *flow);
/* An ICMP port unreachable quoted a packet of the flow. */
void udp_refused(const struct kpi_sink *sink, struct udp *udp);
