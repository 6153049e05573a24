/*
 * tcp_handshake: how long a TCP handshake takes on either side of the tap, what becomes of the
 * attempt, and how a connection ends.
 *
 *   client          tap          server
 *      ──── SYN ─────┼───────────▶        server half: SYN to SYN-ACK
 *      ◀─────────────┼── SYN-ACK ──       client half: SYN-ACK to ACK
 *      ──── ACK ─────┼───────────▶
 *
 * A half is measured where it cannot be mistaken: the server's of an attempt with one SYN so far,
 * the client's with one SYN and one SYN-ACK, in whichever order the mirror gave them. What comes
 * later does not take back what was right: a SYN seen again behind its SYN-ACK leaves the server
 * half and costs the client half. Nothing is measured
 *
 *   that would be negative, the answer being earlier than its question or in front of it
 *   of the client when an ACK came too early: the next one may be seconds later
 *   of a simultaneous open, in which nobody is the server (RFC 9293 section 3.5)
 *   of a handshake that a RST ends
 *
 * A SYN with another sequence number is a new attempt, whatever the state. An answer may
 * acknowledge any part of the data that a SYN or SYN-ACK brought along (RFC 7413 section 4.2).
 * tshark differs: it takes the time from the oldest SYN, and sees no answer to a part of its data.
 *
 * An attempt is established by the first ACK of the client behind its SYN, for which it must have
 * had the SYN-ACK, mirrored or not. It fails once: by a RST that acknowledges its SYN, even if the
 * mirror puts it in front, by an ICMP error, or by silence.
 *
 * Worker, through tcp. Pure but for the state, which is zero at first.
 */
#pragma once

#include "kpi/tcp_segment.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

enum tcp_phase {
	TCP_UNKNOWN, /* no SYN yet, perhaps never: it began before we looked */
	TCP_EARLY,   /* a SYN-ACK or a RST, not yet its SYN */
	TCP_ASKED,
	TCP_ANSWERED,
	TCP_OPEN,
};

/* Kept beside each flow. */
struct tcp_handshake {
	uint64_t asked_ns;         /* when the SYN came; from its SYN-ACK on, when that came */
	uint32_t syn_seq, syn_end; /* of the first byte, and of the first one behind its data */
	uint32_t answer_seq, answer_end;
	uint8_t phase;       /* enum tcp_phase */
	uint8_t client;      /* direction of its packets */
	bool is_ambiguous;   /* from now on no half can be told */
	bool is_acked_early; /* the client half cannot be told */
	bool is_reset : 1;
	bool is_attempt : 1; /* its SYN was seen */
	bool is_established : 1;
	bool has_failed : 1;
	uint8_t fins : 2; /* bit set of directions */
};
static_assert(sizeof(struct tcp_handshake) == 32, "memory is promised by this size");

/* What a segment does; any number of them, but one half. */
enum tcp_event {
	TCP_SERVER_HALF = 1 << 0, /* ends this half */
	TCP_CLIENT_HALF = 1 << 1,
	TCP_ATTEMPTED = 1 << 2,
	TCP_ESTABLISHED = 1 << 3,
	TCP_REFUSED = 1 << 4,
	TCP_RESET = 1 << 5, /* the first RST, at the phase that the connection has now */
};
enum tcp_end { TCP_ALIVE, TCP_FIN, TCP_RST };

/* Returns the bit set of events, and sets *ns to the length of a half that ends. */
unsigned tcp_handshake_segment(struct tcp_handshake *handshake, const struct tcp_segment *s,
			       uint64_t *ns);
/* Asked for, and nothing of either side speaks of an answer or of a failure. */
bool tcp_handshake_is_unanswered(const struct tcp_handshake *handshake);
/* FIN: from both sides, in front of a RST or behind it. A new attempt is alive again. */
enum tcp_end tcp_handshake_end(const struct tcp_handshake *handshake);
