/*
 * block_clock: what a time in a pcapng block means, by its interface's if_tsresol and if_tsoffset
 * (section 4.2).
 *
 * A pure function; any thread. Whatever a file says, it has an answer.
 */
#pragma once

#include <stdint.h>

#define BLOCK_CLOCK_DEFAULT 6 /* microseconds, where there is no if_tsresol */

struct block_clock {
	int64_t offset_s;   /* if_tsoffset */
	uint8_t resolution; /* if_tsresol as it is written: a power of 10, with the top bit of 2 */
};

/* Nanoseconds since 1970. Times outside 1970 to 2262 (INT64_MAX) become the nearer end. */
uint64_t block_clock_ns(const struct block_clock *clock, uint64_t units);
