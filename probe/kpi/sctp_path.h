/*
 * sctp_path: the paths of an association, each a pair of addresses: which one carries the data, and
 * do HEARTBEATs come back (RFC 9260 section 8.3)?
 *
 * Called by sctp on its worker's thread. It owns nothing, the memory is the caller's, zeros at
 * first. A side is 0 or 1. Paths beyond the first few are not followed.
 */
#pragma once

#include "kpi/sink.h"

#include <stdbool.h>
#include <stdint.h>

#define SCTP_PATHS     8u /* two hosts of two addresses have four */
#define SCTP_BEATS     6u /* HEARTBEATs under way at the same time; the oldest makes way, uncounted */
#define SCTP_PATH_NONE SCTP_PATHS

struct sctp_path {
	uint32_t id;       /* keyed hash of its addresses; 0: none */
	uint8_t missed[2]; /* HEARTBEATs in a row, by who sent them */
	uint16_t pad;
};

enum sctp_beat_state { SCTP_BEAT_NONE, SCTP_BEAT_WAITS, SCTP_BEAT_ANSWERED_EARLY };

struct sctp_beat {
	uint32_t info; /* hash of what comes back */
	uint32_t sent; /* 256 ns: wraps after 18 minutes, 5 s end it */
	uint8_t path, side, state;
	uint8_t pad;
};

struct sctp_paths {
	struct sctp_path path[SCTP_PATHS];
	struct sctp_beat beat[SCTP_BEATS];
	uint8_t carries[2]; /* path of the side's latest new data + 1; 0: none yet */
};

/* The place of the path, taken if it is new; SCTP_PATH_NONE: no room. */
unsigned sctp_path_of(struct sctp_paths *p, uint32_t id);

/* New data went over it: counts when it had gone over another before. */
void sctp_path_data(const struct kpi_sink *sink, struct sctp_paths *p, unsigned side,
		    unsigned path);

/* A HEARTBEAT; copies of one that is under way change nothing. */
void sctp_path_heartbeat(const struct kpi_sink *sink, struct sctp_paths *p, unsigned side,
			 unsigned path, uint32_t info);
/* The answer to side's HEARTBEAT with the same info, whatever way it came. One that comes before
 * it, as mirrors reorder, makes it answered, without a time. */
void sctp_path_heartbeat_ack(const struct kpi_sink *sink, struct sctp_paths *p, unsigned side,
			     uint32_t info);
/* HEARTBEATs of 5 s ago are unanswered, if the association and the session are seen in both
 * directions; five in a row are a failure of their path. */
void sctp_path_expire(const struct kpi_sink *sink, struct sctp_paths *p, bool is_answered);
/* Takes the HEARTBEATs of from, whose side from_side is this side here. */
void sctp_path_join(const struct kpi_sink *sink, struct sctp_paths *p, unsigned side,
		    const struct sctp_paths *from, unsigned from_side);
