/*
 * sctp: what is measured of SCTP associations (RFC 9260, kpis.md 1.5).
 *
 * One table per worker, called by it alone, through kpi; steering gives all paths of an association
 * to one worker. All memory is allocated at open: associations_max of them; a packet of one that
 * finds no room is counted as such, its chunks are counted all the same.
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
	uint8_t key[16]; /* of the hash: random and secret */
	const struct kpi_memory *memory;
};

struct sctp;

int sctp_open(struct sctp **out, const struct sctp_config *config, struct err *err);
/* Takes NULL. Associations that are alive do not end by it. */
void sctp_close(struct sctp *sctp);
/* Bytes that sctp_open allocates. */
size_t sctp_memory(const struct sctp_config *config);

/* A packet whose protocol is SCTP and which has a flow key, its session filled in. */
void sctp_packet(struct sctp *sctp, const struct kpi_sink *sink, const struct packet *packet,
		 const struct dissected *d);
/* An ICMP error quoted a packet with this key that went in this direction. */
void sctp_unreachable(struct sctp *sctp, const struct kpi_sink *sink, const struct flow_key *quoted,
		      unsigned direction);
/* Ends what is idle at now_ns among the next n associations, round and round. */
void sctp_expire(struct sctp *sctp, uint64_t now_ns, unsigned n);
