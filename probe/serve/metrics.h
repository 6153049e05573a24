/*
 * metrics: all numbers in Prometheus text format 0.0.4.
 *
 * Exporter process, and at the end of a run whoever writes --metrics. Reads shared memory only.
 */
#pragma once

#include "run/ledger.h"

/* *text is the caller's to free. */
int metrics_text(const struct ledger_source *source, char **text, size_t *len, struct err *err);
/* Bytes that a text of so many sessions takes while it is made, at most. */
size_t metrics_memory(uint32_t sessions_max);
