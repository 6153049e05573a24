/*
 * sctp: what is measured of SCTP associations (RFC 9260, kpis.md 1.5).
 *
 *   ASKED ──COOKIE ACK, or what only comes behind it──▶ UP ──SHUTDOWN COMPLETE, ABORT, restart──▶
 * OVER └──ABORT, unreachable──▶ OVER         any ──90 s of silence, eviction──▶ gone
 *
 * One table per worker, called by it alone, through kpi; steering gives all paths of an association
 * to one worker. The packets of an association are found by their ports and verification tag,
 * whatever their addresses; where its set-up was not seen, both directions are paired once by their
 * addresses. All memory is allocated at open: associations_max of them. Chunks are counted whether
 * or not there is room for their association.
 *
 * When the table is full, a new one takes the place of one that is over, was never answered or is
 * silent for a minute, fairly between sessions (sctp_table_victim); else its packets are counted as
 * such.
 */
#pragma once

#include "base/err.h"
#include "kpi/sink.h"
#include "path/decap.h"
#include "path/dissect.h"

#include <stddef.h>
#include <stdint.h>

struct sctp_config {
	uint32_t associations_max;
	uint32_t sessions_max; /* key.session is below */
	uint8_t key[16];       /* of the hash: random and secret */
	const struct kpi_memory *memory;
};

struct sctp;

int sctp_open(struct sctp **out, const struct sctp_config *config, struct err *err);
/* Takes NULL. Associations that are alive do not end by it. */
void sctp_close(struct sctp *sctp);
/* Bytes that sctp_open allocates. */
size_t sctp_memory(const struct sctp_config *config);

/*
 * A packet whose protocol is SCTP and which has a flow key, its session filled in. All its chunks
 * are taken, as far as its bytes go; no length in it is trusted.
 *
 * An INIT on the addresses of an association ends it only when the new one is up: anybody can send
 * an INIT. A failed attempt is known until it is silent, so that an INIT sent again is none anew.
 */
void sctp_packet(struct sctp *sctp, const struct kpi_sink *sink, const struct packet *packet,
		 const struct dissected *d);
/* An ICMP error quoted a packet with this key that went in this direction. */
void sctp_unreachable(struct sctp *sctp, const struct kpi_sink *sink, const struct flow_key *quoted,
		      unsigned direction);
/* Ends what is idle at now_ns among the next n associations, round and round; what was asked for
 * and not answered is counted there. */
void sctp_expire(struct sctp *sctp, uint64_t now_ns, unsigned n);
/* Nothing comes any more: as sctp_expire of all, and what was acknowledged is counted at once. */
void sctp_finish(struct sctp *sctp, uint64_t now_ns);
