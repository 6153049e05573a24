/*
 * plan: a configuration turned into what the engine wants, and the memory that it may need.
 */
#pragma once

#include "config.h"
#include "run/engine.h"

/* Strings and recipients stay the configuration's. -ENOMEM with a sentence when the worst case,
 * with umem_len bytes of packet memory, is over the budget; else the bound is said on standard
 * error. */
int plan_engine(const struct config *config, uint32_t queues, size_t umem_len,
		struct engine_config *engine, struct stats_config *stats, struct err *err);
/* Writes the last numbers to --metrics, if that was asked for. */
int plan_write_metrics(const struct config *config, const char *text, size_t len, struct err *err);
