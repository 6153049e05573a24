/*
 * udp: what is measured of a UDP flow: whether it is answered or refused, and the handshake when it
 * is QUIC.
 *
 * Worker, through kpi. The state lies beside its flow, zero at first.
 */
#pragma once

#include "kpi/quic.h"
#include "kpi/sink.h"
#include "path/decap.h"
#include "path/flow.h"

#include <assert.h>
#include <stdbool.h>

/* A flow of one packet, as of a scan or of a lookup without answer, is soon forgotten. */
#define UDP_IDLE_SINGLE_S 10

struct udp {
	struct quic quic;
	bool is_refused;
};
static_assert(sizeof(struct udp) <= 48, "memory is promised by this size");

/* A packet of the flow, counted in *flow already. */
void udp_packet(const struct kpi_sink *sink, struct udp *udp, const struct packet *packet,
		const struct dissected *d, const struct flow *flow);
/* After so much silence the flow is over; 0: after the usual time. */
uint32_t udp_idle_s(const struct flow *flow);
/* The flow fell silent; sink is of its last packet's time. Refused is not unanswered. */
void udp_ended(const struct kpi_sink *sink, const struct udp *udp, const struct flow *flow);
/* An ICMP port unreachable quoted a packet of the flow. */
void udp_refused(const struct kpi_sink *sink, struct udp *udp);
