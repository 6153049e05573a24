/*
 * plan: a configuration turned into what the engine wants, and the memory that it may need.
 */
#pragma once

#include "config/config.h"
#include "run/engine.h"
#include "run/ledger.h"
#include "serve/view.h"

/* Strings stay the configuration's. -ENOMEM with a sentence when the worst case,
 * with umem_len bytes of packet memory, is over the budget. */
int plan_engine(const struct config *config, uint32_t queues, size_t umem_len,
		struct engine_config *engine, struct stats_config *stats, struct err *err);
/* What metrics are to show of what is configured. */
struct view_facts plan_facts(const struct config *config);
/* Says on standard error what memory, and what of the disk as padding, it takes at most. */
void plan_log_bounds(const struct config *config, const struct stats_config *stats,
		     size_t umem_len);
/* The part of a configuration that may change while the probe runs. */
void plan_settings(const struct config *config, struct engine_settings *settings);
/* At the start: can --metrics be written? */
int plan_check_metrics(const struct config *config, struct err *err);
/* At the end: says on standard error how every packet ended, and writes --metrics. */
int plan_report(const struct config *config, const struct ledger_source *source, struct err *err);
