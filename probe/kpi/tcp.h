/*
 * tcp: what is measured of a TCP connection.
 *
 *   segment ─▶ handshake   its two halves, attempts, failures, resets
 *           ─▶ stream      data: RTT, sent again, out of order, windows, gaps of the mirror
 *           ─▶ wireshark   the same events as Wireshark would call them
 *
 * Worker, through kpi. The state lies beside its flow, zero at first.
 */
#pragma once

#include "kpi/sink.h"
#include "kpi/tcp_handshake.h"
#include "kpi/tcp_wireshark.h"
#include "path/flow.h"

#include <stdint.h>

struct tcp {
	struct tcp_handshake handshake;
	struct tcp_wireshark wireshark;
};

void tcp_packet(const struct kpi_sink *sink, struct tcp *tcp, const struct packet *packet,
		const struct dissected *d, const struct flow *flow);
/* Was there nothing but SYNs of one side so far? */
bool tcp_is_only_asked(const struct tcp *tcp);
/* How many seconds of silence end the connection; 0: those of every TCP flow. */
uint32_t tcp_idle_s(const struct tcp *tcp);
/* The connection is over; sink is of its last packet's time. */
void tcp_ended(const struct kpi_sink *sink, const struct tcp *tcp, const struct flow *flow);
/* An ICMP error quoted a segment of it that went in this direction. */
void tcp_unreachable(const struct kpi_sink *sink, struct tcp *tcp, unsigned direction);
