/*
 * tcp_handshake: how long a TCP handshake takes on either side of the tap, and how a connection
 * ends.
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
 * Worker, through tcp. Pure but for the state, which is zero at first.
 */
#pragma once

#include "kpi/tcp_segment.h"

#include <stdbool.h>
#include <stdint.h>

enum tcp_phase {
	TCP_UNKNOWN, /* no SYN yet, perhaps never: it began before we looked */
	TCP_EARLY,   /* a SYN-ACK, not yet its SYN */
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
	bool is_reset;
	uint8_t fins; /* bit set of directions */
};

enum tcp_half { TCP_NEITHER, TCP_SERVER_HALF, TCP_CLIENT_HALF };
enum tcp_end { TCP_ALIVE, TCP_FIN, TCP_RST };

/* Returns which half the segment ends, if one, and sets *ns to its length. */
enum tcp_half tcp_handshake_segment(struct tcp_handshake *handshake, const struct tcp_segment *s,
				    uint64_t *ns);
/* FIN: from both sides; then a RST does not matter any more. A new attempt is alive again. */
enum tcp_end tcp_handshake_end(const struct tcp_handshake *handshake);
