/*
 * tcp_wireshark: what Wireshark 4.0 says of a TCP segment, from the same guesses.
 *
 * People compare the probe with it, so its classes are counted beside the probe's own, quirks
 * included: a segment that came less than one handshake (3 ms, if none was seen) behind the latest
 * data is out of order; one within 20 ms of the second duplicate ACK is a fast retransmission; a
 * number of 0 is one not known yet; a SYN with another number begins a new conversation. It never
 * forgets one, the probe ends a silent one: see kpi/tcp.h and path/flow.h.
 *
 *   seq   ──┬────────┬────────────┬────────▶
 *           base     contiguous   next          of one side; the other one's ack lies between
 *
 * Worker, through tcp. Pure but for the state, which is zero at first.
 */
#pragma once

#include "kpi/tcp_segment.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

/* In the order of the rows TCP_WIRESHARK_* of tcp_kpis.def. */
enum tcp_wireshark_class {
	TCP_WIRESHARK_RETRANSMISSION, /* none of the next two */
	TCP_WIRESHARK_FAST_RETRANSMISSION,
	TCP_WIRESHARK_SPURIOUS_RETRANSMISSION,
	TCP_WIRESHARK_OUT_OF_ORDER,
	TCP_WIRESHARK_DUPLICATE_ACK,
	TCP_WIRESHARK_ZERO_WINDOW,
	TCP_WIRESHARK_ZERO_WINDOW_PROBE,
	TCP_WIRESHARK_WINDOW_FULL,
	TCP_WIRESHARK_KEEP_ALIVE,
	TCP_WIRESHARK_LOST_SEGMENT,
	TCP_WIRESHARK_ACK_LOST_SEGMENT,
	TCP_WIRESHARK_CLASSES
};

/* What is known of the segments of one side. */
struct tcp_wireshark_side {
	uint64_t next_ns, last_ns; /* when next advanced; of the latest segment */
	uint32_t base;             /* sequence number of its SYN, as far as one can tell */
	uint32_t next;             /* behind the highest sequence number */
	uint32_t contiguous;       /* behind what came without a gap, or was acknowledged */
	uint32_t ack;              /* of the latest segment, like window: as it stands there */
	uint16_t window;
	uint8_t duplicates; /* ACKs in a row, or ACKED_UNSEEN */
	uint8_t scaling;    /* enum scaling, SCALED + shift */
	bool is_seen : 1;
	bool has_base : 1;
	bool is_unscaled : 1;    /* no segment but SYNs yet, whose windows are never scaled */
	bool was_keep_alive : 1; /* the latest segment */
};

/* Kept beside each flow. */
struct tcp_wireshark {
	struct tcp_wireshark_side side[2]; /* by direction */
	uint64_t syn_ns;                   /* of the latest one */
	uint64_t first_rtt_ns;             /* from it to the first segment without SYN */
};
static_assert(sizeof(struct tcp_wireshark) == 96, "memory is promised by this size");

/* Returns the bit set of its classes. */
uint32_t tcp_wireshark_segment(struct tcp_wireshark *wireshark, const struct tcp_segment *s);
