/*
 * tcp_rtt: how long data and timestamps of one direction take to the other side and back.
 *
 * Data: from the first transmission of a segment to the ACK of exactly its end. Data that was sent
 * again, and data above it, gives no sample: nobody knows which copy was acknowledged (RFC 6298
 * section 3). Timestamps: from the first segment with a TSval to the first with it as TSecr; one is
 * under way at a time, ten seconds at most (RFC 7323).
 *
 * Worker, through tcp_stream. Pure but for the state, which is zero at first. Samples are rounded
 * by less than a tick, 256 ns; none is negative.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define TCP_RTT_MAX 4 /* segments under way whose time is kept */

/* Times in 256 ns, modulo 2^32 of them: 18 minutes. A flow ends after 10 minutes of silence, so
 * that what is older than 5 of them is always found to be so. */
#define TCP_TICK_SHIFT 8

static inline uint32_t tcp_ticks(uint64_t ns)
{
	return (uint32_t)(ns >> TCP_TICK_SHIFT);
}

/* Has more than age_max passed between two such times? What seems to be over 1,000 s is in truth a
 * little less than nothing: the packet came late. */
static inline bool tcp_is_past(uint32_t age, uint32_t age_max)
{
	return age > age_max && age < 1000 * (1000000000u >> TCP_TICK_SHIFT);
}

struct tcp_rtt {
	uint32_t end[TCP_RTT_MAX], sent[TCP_RTT_MAX]; /* of n segments, the lowest first */
	uint32_t tsval, tsval_sent; /* the timestamp under way; if none is, the latest echo */
	uint32_t tsval_max;         /* highest so far */
	uint16_t min; /* smallest of both and of what was learnt, in ticks, at most 65,535; 0: none
		       */
	uint8_t n;
	bool has_tsval : 1, has_echo : 1, has_tsval_max : 1;
};

/* A segment that ends at end was sent for the first time. False: not kept, too many are. */
bool tcp_rtt_sent(struct tcp_rtt *rtt, uint32_t end, uint32_t now);
/* What is below ack may have been sent again: no sample of it. */
void tcp_rtt_forget(struct tcp_rtt *rtt, uint32_t ack);
/* Data from seq on was sent again. */
void tcp_rtt_resent(struct tcp_rtt *rtt, uint32_t seq);
/* The first ACK of ack. True: *ticks is a sample. */
bool tcp_rtt_acked(struct tcp_rtt *rtt, uint32_t ack, uint32_t now, uint32_t *ticks);
/* A segment carried tsval. */
void tcp_rtt_stamped(struct tcp_rtt *rtt, uint32_t tsval, uint32_t now);
/* A segment of the other direction carried tsecr. True: *ticks is a sample. */
bool tcp_rtt_echoed(struct tcp_rtt *rtt, uint32_t tsecr, uint32_t now, uint32_t *ticks);
/* A round trip took so long by other evidence: a half of the handshake. */
void tcp_rtt_learn(struct tcp_rtt *rtt, uint32_t ticks);
