/*
 * sctp_life: the beginning and the end of associations, and what time alone decides between.
 *
 * Called by sctp and sctp_join on their worker's thread. It counts how associations end and how
 * many are up.
 */
#pragma once

#include "kpi/sctp.h"
#include "kpi/sctp_table.h"

#include <stdbool.h>
#include <stdint.h>

struct sctp {
	struct sctp_config config;
	struct sctp_table *table;
	uint32_t cursor; /* place that sctp_expire looks at next */
};

/* Where the numbers of an association of the session go. */
struct kpi_sink sctp_life_sink(const struct sctp *sctp, uint32_t session, uint64_t time_ns);

/* Counts what has been decided by the sink's time: HEARTBEATs, attempts, acknowledged chunks. */
void sctp_life_tend(const struct kpi_sink *sink, struct sctp_association *a);
/* It is over, if it was up for this reason; what comes of it still is absorbed. */
void sctp_life_end(const struct kpi_sink *sink, struct sctp_association *a, enum kpi why);
/* The same, and its place is free. */
void sctp_life_drop(struct sctp *sctp, struct sctp_association *a, enum kpi why, uint64_t now_ns);
/* Was it silent for 90 s? Then it has been dropped: no result depends on when sctp_expire came. */
bool sctp_life_is_gone(struct sctp *sctp, struct sctp_association *a, uint64_t now_ns);
/* It is up. If both sides were seen to set it up, what was up on the same addresses before has been
 * restarted. */
void sctp_life_rise(struct sctp *sctp, const struct kpi_sink *sink, struct sctp_association *a);
