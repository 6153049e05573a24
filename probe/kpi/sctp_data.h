/*
 * sctp_data: the DATA chunks that one side of an association sends, and what its peer acknowledges.
 *
 *            settled            cum             high
 *   ───────────┼─────────────────┼───────────────┼──────▶ TSN (RFC 1982 serial numbers)
 *    counted as acked / missing  │  under way    │
 *                    │◀──── seen: a bit each ───▶│
 *
 * Called by sctp on its worker's thread. It owns nothing, the memory is the caller's, zeros at
 * first. What was acknowledged is counted 10 to 20 ms later, as missing if it did not come until
 * then: the mirror may deliver an answer before what it answers.
 */
#pragma once

#include "kpi/sink.h"

#include <stdbool.h>
#include <stdint.h>

/* How far a chunk may be behind the highest and still be known. At 10,000 messages a second it is
 * a tenth of a second; more is under way only where nobody answers. */
#define SCTP_WINDOW 1024u
/* Chunks under way whose RTT is measured. */
#define SCTP_TIMED 28u
/* Farther from what was seen no TSN is believed: another association's, or a reset. */
#define SCTP_JUMP_MAX 16384
#define SCTP_GAPS     3u

struct sctp_timed {
	uint32_t tsn, sent; /* sent wraps after 18 minutes */
};

struct sctp_gap {
	uint16_t first, last; /* behind cum */
};

struct sctp_data {
	uint32_t high;    /* latest TSN seen; before the first: initial TSN - 1 */
	uint32_t settled; /* up to here all is counted */
	uint32_t cum;     /* acknowledged in full, if has_cum */
	uint32_t cum_at;  /* when it got there; in 256 ns as all times here */
	uint32_t mark;    /* cum as it was at mark_at, if is_marked: counted next */
	uint32_t mark_at;
	uint32_t timed; /* bit per chunk in time */
	uint8_t n_gaps;
	bool is_begun, has_seen, has_cum, is_marked;
	bool is_closed; /* the peer's window */
	struct sctp_gap gap[SCTP_GAPS];
	uint64_t seen[SCTP_WINDOW / 64];
	struct sctp_timed time[SCTP_TIMED];
};

struct sctp_sack {
	uint32_t cum, window;
	const uint8_t *gaps; /* n_gaps pairs of 16 bits */
	uint32_t n_gaps;
};

/* INIT or INIT ACK gave its first TSN. Nothing happens once a chunk was seen. */
void sctp_data_begin(struct sctp_data *d, uint32_t initial_tsn);

/*
 * A chunk was sent: true: for the first time. One that was seen before, or is older than the
 * window, is a retransmission and has no RTT. Without sctp_data_begin what was sent before the
 * first chunk or acknowledged before the second look is not known and not counted.
 */
bool sctp_data_sent(const struct kpi_sink *sink, struct sctp_data *d, uint32_t tsn);

/* The peer sent a SACK: RTTs, the window, what is acknowledged. */
void sctp_data_sack(const struct kpi_sink *sink, struct sctp_data *d, const struct sctp_sack *sack);
/* The peer acknowledged up to tsn without a SACK (SHUTDOWN). */
void sctp_data_acked(const struct kpi_sink *sink, struct sctp_data *d, uint32_t tsn);
/* Its sender gave up what it sent up to tsn (FORWARD TSN): nobody has to have it. */
void sctp_data_forward(const struct kpi_sink *sink, struct sctp_data *d, uint32_t tsn);

/* Counts what was acknowledged 10 ms or longer before the sink's time; at_end: all that was. */
void sctp_data_settle(const struct kpi_sink *sink, struct sctp_data *d, bool at_end);
