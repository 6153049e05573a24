/*
 * clock: the only place that asks what time it is. Sources and the control thread call it.
 */
#pragma once

#include <stdint.h>

/* A step of the wall clock over this is counted, noted and ends all files; what is less the next
 * file has right. */
#define CLOCK_STEP_NS 100000000

uint64_t clock_monotonic_ns(void);
/* CLOCK_REALTIME - CLOCK_MONOTONIC, to within *error_ns. Constant but for steps of the clock: NTP
 * slews both alike. */
int64_t clock_offset_ns(uint64_t *error_ns);
/* Sleeps; may end early. */
void clock_nap(uint64_t ns);
