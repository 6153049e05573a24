/*
 * sctp_join: whose packet is it? Found by verification tag, paired by addresses, or begun.
 *
 *   INIT            addresses and its initiate tag, which the answers carry
 *   reflected tag   ABORT and SHUTDOWN COMPLETE with the T bit: by the tag of the other direction
 *   any other       its tag; else, once for each side, its addresses
 *
 * Called by sctp on its worker's thread.
 */
#pragma once

#include "kpi/sctp_chunk.h"
#include "kpi/sctp_life.h"

/* A packet on the way to its association. */
struct sctp_arrival {
	const struct kpi_sink *sink;
	struct sctp_walk chunks;
	struct sctp_chunk first; /* decides to whom it belongs */
	uint32_t session, tag, bytes;
	uint16_t from, to; /* ports */
	uint8_t direction;
	uint64_t addresses; /* id */
};

/* An association and the side of it that sent the packet. */
struct sctp_member {
	struct sctp_association *a; /* NULL: none */
	unsigned side;
};

/* Begins an association if it can; a NULL a: there is none, and no room or no reason for one. */
struct sctp_member sctp_join(struct sctp *sctp, const struct sctp_arrival *p);
