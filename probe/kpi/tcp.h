/*
 * tcp: what is measured of a TCP connection.
 *
 *   segment ─▶ handshake   its two halves, attempts, failures, resets
 *           ─▶ stream      data: RTT, sent again, out of order, windows, gaps of the mirror
 *           ─▶ wireshark   the same events as Wireshark would call them
 *
 * The client is who sent the SYN; where none was seen, the side with the higher port, or, the ports
 * being the same, who was seen first.
 *
 * Worker, through kpi. The state lies beside its flow, zero at first.
 */
#pragma once

#include "kpi/sink.h"
#include "kpi/tcp_handshake.h"
#include "kpi/tcp_stream.h"
#include "kpi/tcp_wireshark.h"
#include "path/flow.h"

#include <assert.h>
#include <stdint.h>

struct tcp {
	struct tcp_handshake handshake;
	struct tcp_stream stream;
	struct tcp_wireshark wireshark;
};
static_assert(sizeof(struct tcp) == 328, "memory is promised by this size");

void tcp_packet(const struct kpi_sink *sink, struct tcp *tcp, const struct packet *packet,
		const struct dissected *d, const struct flow *flow);
/* How many seconds of silence end the connection; 0: those of every TCP flow. */
uint32_t tcp_idle_s(const struct tcp *tcp);
/* Does an ACK wait for data that may come late? Then tcp_look_again is called in TCP_LATE_NS. */
bool tcp_waits(const struct tcp *tcp);
void tcp_look_again(const struct kpi_sink *sink, struct tcp *tcp);
/* Nothing comes any more, though the connection may be alive: counts what waits to be believed. */
void tcp_settle(const struct kpi_sink *sink, struct tcp *tcp);
/* The connection is over; sink is of its last packet's time. Its gaps go back. */
void tcp_ended(const struct kpi_sink *sink, const struct tcp *tcp, const struct flow *flow,
	       enum flow_end why);
/* An ICMP error quoted a segment of it that went in this direction. */
void tcp_unreachable(const struct kpi_sink *sink, struct tcp *tcp, unsigned direction);
