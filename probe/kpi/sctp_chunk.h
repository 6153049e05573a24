/*
 * sctp_chunk: the chunks of an SCTP packet, one after the other (RFC 9260 section 3.2).
 *
 * Called by sctp; pure: no state but the caller's place, no byte read behind end. Takes any bytes.
 */
#pragma once

#include "kpi/sink.h"

#include <stdbool.h>
#include <stdint.h>

#define SCTP_HEADER_LEN 12u

/* RFC 9260 section 3.2, RFC 8260 (I-DATA, I-FORWARD-TSN), RFC 3758, RFC 5061, RFC 6525. */
enum sctp_type {
	SCTP_DATA = 0,
	SCTP_INIT = 1,
	SCTP_INIT_ACK = 2,
	SCTP_SACK = 3,
	SCTP_HEARTBEAT = 4,
	SCTP_HEARTBEAT_ACK = 5,
	SCTP_ABORT = 6,
	SCTP_SHUTDOWN = 7,
	SCTP_SHUTDOWN_ACK = 8,
	SCTP_ERROR = 9,
	SCTP_COOKIE_ECHO = 10,
	SCTP_COOKIE_ACK = 11,
	SCTP_SHUTDOWN_COMPLETE = 14,
	SCTP_I_DATA = 64,
	SCTP_ASCONF_ACK = 128,
	SCTP_RECONFIG = 130,
	SCTP_FORWARD_TSN = 192,
	SCTP_ASCONF = 193,
	SCTP_I_FORWARD_TSN = 194
};

struct sctp_walk {
	const uint8_t *at, *end;
};

struct sctp_chunk {
	uint8_t type, flags;
	uint32_t len; /* by its length field, header included, padding not; at least 4 */
	const uint8_t *data;
	uint32_t there; /* bytes of it at data: at least 4, at most len */
};

/* False: no header of a chunk is left, or one whose length is not even that of its header. */
bool sctp_chunk_next(struct sctp_walk *walk, struct sctp_chunk *chunk);

/* Is it DATA or I-DATA? */
bool sctp_chunk_is_data(const struct sctp_chunk *chunk);
/* The T bit of ABORT and SHUTDOWN COMPLETE: its sender knew but the tag of its peer's packets. */
bool sctp_chunk_reflects_tag(const struct sctp_chunk *chunk);

/* Counts it by its type; an ABORT by its first cause, a part of a message as one, too. */
void sctp_chunk_count(const struct kpi_sink *sink, const struct sctp_chunk *chunk);
