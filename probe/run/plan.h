/*
 * plan: a configuration turned into what the engine wants, and the memory that it may need.
 */
#pragma once

#include "config/config.h"
#include "run/engine.h"
#include "run/ledger.h"

/* Strings and recipients stay the configuration's. -ENOMEM with a sentence when the worst case,
 * with umem_len bytes of packet memory, is over the budget; else the bound is said on standard
 * error. */
int plan_engine(const struct config *config, uint32_t queues, size_t umem_len,
		struct engine_config *engine, struct stats_config *stats, struct err *err);
/* At the start: can --metrics be written? */
int plan_check_metrics(const struct config *config, struct err *err);
/* At the end: says on standard error how every packet ended, and writes --metrics. */
int plan_report(const struct config *config, const struct ledger_source *source, struct err *err);
