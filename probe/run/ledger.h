/*
 * ledger: how every packet ended, each number from where it was counted.
 *
 *   seen = sum of fates + in flight;  in flight = 0 once all has stopped
 *
 * Any process that has the mappings; any thread. Numbers of a running probe are not of one moment.
 */
#pragma once

#include "path/attach.h"
#include "run/stats.h"

/* Where the numbers are; facts and maps are NULL for capture files. */
struct ledger_source {
	struct stats *stats;
	const struct attach_facts *facts;
	const struct attach_maps *maps;
};

struct ledger {
	uint64_t seen; /* live: packets that the XDP program ran on; else frames of the files */
	uint64_t fate[FATE_MAX];
	uint64_t mark[MARK_MAX];
	uint64_t in_rings;   /* given by XDP, not yet lent to a worker nor dropped by the kernel */
	uint64_t at_workers; /* lent, not yet ended or given */
	uint64_t at_writer;  /* given, not yet ended */
};

void ledger_read(const struct ledger_source *source, struct ledger *out);
/* Packets that XDP gave to a worker from a queue. */
uint64_t ledger_given(const struct ledger_source *source, unsigned queue, unsigned worker);
/* Says on standard error how it all ended. */
void ledger_log(const struct ledger_source *source);
/* The same of a run that was killed. */
void ledger_log_last(const struct stats_last_run *last);
