/*
 * icmp: echo RTT and errors, of ICMP and ICMPv6 (RFC 792, RFC 4443).
 *
 * Worker, through kpi. The state lies beside the flow of an echo (addresses and identifier), zero
 * at first.
 */
#pragma once

#include "kpi/sink.h"
#include "path/decap.h"
#include "path/flow.h"

#include <stdbool.h>

struct icmp {
	uint64_t pad;
};

/* What an ICMP error says of the packet that it quotes. */
enum icmp_verdict { ICMP_NO_ERROR, ICMP_UNREACHABLE, ICMP_PORT_UNREACHABLE, ICMP_OTHER_ERROR };

/* An echo, with its flow's state. */
void icmp_packet(const struct kpi_sink *sink, struct icmp *icmp, const struct packet *packet,
		 const struct dissected *d);
/* The flow is over; sink is of its last packet's time. */
void icmp_ended(const struct kpi_sink *sink, const struct icmp *icmp, const struct flow *flow);
/* Counts any other ICMP packet. When it is an error, *quoted and *direction are of the packet that
 * it quotes, session still 0; a quote without ports gives ICMP_NO_ERROR. */
enum icmp_verdict icmp_error(const struct kpi_sink *sink, const struct packet *packet,
			     const struct dissected *d, struct flow_key *quoted,
			     unsigned *direction);
