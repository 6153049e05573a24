/*
 * sctp_setup: how an association comes up: INIT, INIT ACK, COOKIE ECHO, COOKIE ACK (RFC 9260
 * section 5.1): how long each step takes, and what becomes of an attempt.
 *
 * Called by sctp on its worker's thread; owns nothing. A step that came twice is not measured:
 * which one is answered is not known.
 */
#pragma once

#include "kpi/sctp_chunk.h"
#include "kpi/sctp_table.h"

#include <stdbool.h>

/* One of the four chunks, from this side. The first INIT of an association is an attempt. */
void sctp_setup_chunk(const struct kpi_sink *sink, struct sctp_association *a, unsigned side,
		      const struct sctp_chunk *chunk);

/* Is it not up, and would a packet that begins with this chunk not come unless it were? Up to the
 * COOKIE ACK nothing is sent but with a COOKIE ECHO in front (RFC 9260 section 5.1). */
bool sctp_setup_shows_up(const struct sctp_association *a, const struct sctp_chunk *first);
/* It is up now: an attempt has been established. */
void sctp_setup_up(const struct kpi_sink *sink, struct sctp_association *a);

/* An attempt of which nothing was counted yet failed like this. */
void sctp_setup_failed(const struct kpi_sink *sink, struct sctp_association *a, enum kpi how);
/* It failed if its last INIT is 10 s ago and the session sees both directions. */
void sctp_setup_expire(const struct kpi_sink *sink, struct sctp_association *a);
