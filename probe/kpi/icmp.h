/*
 * icmp: echo RTT and errors, of ICMP and ICMPv6 (RFC 792, RFC 4443).
 *
 * Worker, through kpi. The state lies beside the flow of an echo (addresses and identifier), zero
 * at first: the requests that wait for their reply. A request sent again under the same number
 * takes the place of the one before. One that finds all places taken takes that of the oldest, of
 * which no more is said than that it was skipped. Late replies, 5 s and more, are no answer. A
 * reply up to 5 ms before its request, which came through the mirror another way, answers it
 * without RTT, if there was a free place for it.
 */
#pragma once

#include "kpi/sink.h"
#include "path/decap.h"
#include "path/flow.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#define ICMP_UNANSWERED_S 5
/* A flow with a request that waits ends so soon, or the request would be told minutes later. */
#define ICMP_IDLE_WAITING_S 10

/* Requests of 5 s at two a second, and some. */
#define ICMP_PLACES 12

struct icmp {
	uint64_t time_ns[ICMP_PLACES];
	uint16_t sequence[ICMP_PLACES];
	/* Bit per place: a request waits there; or its reply, early; direction of the request. */
	uint16_t taken, early, direction;
};
static_assert(sizeof(struct icmp) <= 128, "memory is promised by this size");

/* What an ICMP error says of the packet that it quotes. */
enum icmp_verdict { ICMP_NO_ERROR, ICMP_UNREACHABLE, ICMP_PORT_UNREACHABLE, ICMP_OTHER_ERROR };

/* An echo, with its flow's state. */
void icmp_packet(const struct kpi_sink *sink, struct icmp *icmp, const struct packet *packet,
		 const struct dissected *d);
/* After so much silence the flow is over; 0: after the usual time. */
uint32_t icmp_idle_s(const struct icmp *icmp);
/* The flow fell silent; sink is of its last packet's time. */
void icmp_ended(const struct kpi_sink *sink, const struct icmp *icmp);
/*
 * Any packet without a flow; counts it if it is an ICMP error. Then *quoted and *direction are of
 * the packet that it quotes, session still 0. ICMP_NO_ERROR, and both untouched: it is none, or its
 * quote does not tell a flow.
 */
enum icmp_verdict icmp_error(const struct kpi_sink *sink, const struct packet *packet,
			     const struct dissected *d, struct flow_key *quoted,
			     unsigned *direction);
/* Does a flow of that protocol learn anything of such an error about one of its packets? */
bool icmp_tells(enum icmp_verdict verdict, uint8_t proto);
