/*
 * tcp_stream: the data of a TCP connection: how much, sent how often, acknowledged, missing.
 *
 *      first             acked       ack    next
 *   ─────┼── seen ─────────┼───░░░────┼──░░──┼────▶   ░ skipped, and not seen since
 *        where knowledge   counted    of the behind the
 *        begins            so far     other  highest data
 *
 * What a segment skips beyond next is a gap. One that lies before next was out of order when it
 * carries an older timestamp than the latest; or, with the same or none, when it fills a gap less
 * than half a round trip (3 ms, if none is known) behind it. Else it was sent again.
 *
 * Sent again is spurious when all of it had been acknowledged, by number or by SACK; fast at the
 * number of two duplicate ACKs or below what was SACKed; else by a timeout. A keep-alive and a
 * probe of a closed window are none of it. What D-SACKs report later is counted by itself: a
 * retransmission is counted once, by what was known when it was sent.
 *
 * Missing is what the other side acknowledged and nobody mirrored. An ACK may overtake its data on
 * the way through the mirror: it is believed at once where nothing is missing, else 5 ms later, or
 * at the end. Of what lies above all data seen the last byte may be a FIN: it is counted once more
 * data comes. A number more than 1 GiB ahead is not believed, a RST not at all. Data 1 GiB behind
 * the highest is not waited for any more.
 *
 * Knowledge of a direction begins at its first segment, or at the first ACK of the other unless
 * that overtook the segment. Spurious, fast, RTT and all that is acknowledged need both directions
 * of the connection.
 *
 * Worker, through tcp. The state is zero at first.
 */
#pragma once

#include "kpi/sink.h"
#include "kpi/tcp_gaps.h"
#include "kpi/tcp_rtt.h"
#include "kpi/tcp_segment.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

/* For so long data may come behind its ACK. */
#define TCP_LATE_NS KPI_LATE_NS

/* What one side sent, and what the other acknowledged of it. Without the number of a FIN. */
struct tcp_way {
	struct tcp_rtt rtt;
	uint32_t first, next, acked, ack;  /* see above; ack: with the number of a FIN */
	uint32_t sack_start, sack_end;     /* highest range that was SACKed; the same: none */
	uint32_t ack_at;                   /* when ack came */
	uint32_t waiting_ack, waiting_for; /* is_waiting: this ACK is not yet believed; since */
	uint32_t closed;                   /* is_closed: since when, or counted up to when */
	struct tcp_gap_list gaps;
	uint16_t window; /* that this side gave last, as it stands in the header */
	uint16_t scale : 4;
	uint16_t duplicates : 2; /* ACKs of ack, 2 at most */
	bool is_known : 1;       /* first is */
	bool is_seen : 1;        /* by a segment of its own */
	bool has_syn : 1;
	bool has_scale : 1;
	bool has_fin : 1;
	bool is_past_syn : 1; /* the latest segment was none: scale counts, and the ACK */
	bool is_waiting : 1;
	bool is_closed : 1;
	bool has_untold : 1; /* more was sent behind next: a window probe, the rest of a fragment */
	bool is_keep_alive : 1; /* the latest segment */
};
static_assert(sizeof(struct tcp_way) == 100, "memory is promised by this size");

struct tcp_stream {
	struct tcp_way way[2]; /* by direction of the data */
};

/* client: the direction of the client's segments. */
void tcp_stream_segment(const struct kpi_sink *sink, struct tcp_stream *stream,
			const struct tcp_segment *s, unsigned client);
/* TCP_LATE_NS after an ACK began to wait for data: counts what may be believed now. */
void tcp_stream_look_again(const struct kpi_sink *sink, struct tcp_stream *stream);
/* Nothing more is to be waited for: counts what was not yet believed. */
void tcp_stream_settle(const struct kpi_sink *sink, struct tcp_stream *stream);
/* Settles and gives all gaps back; the state is as at first. */
void tcp_stream_end(const struct kpi_sink *sink, struct tcp_stream *stream);
