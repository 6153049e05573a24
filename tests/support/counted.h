/*
 * counted: the numbers of one session, for tests of what counts them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kpi/sink.h"

/* Everything to zero. */
void counted_clear(void);
/* For packets of this time. */
struct kpi_sink counted_sink(uint64_t time_ns);
/* From now on the session is known to mirror both directions. */
void counted_sees_both(void);

uint64_t counted(enum kpi kpi);
uint64_t counted_samples(enum kpi_histogram which);
/* Of all samples, in ns. */
uint64_t counted_sum(enum kpi_histogram which);
bool counted_is_seen(enum kpi_group group);
