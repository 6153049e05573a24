#include "base/clock.h"

#include <time.h>

static uint64_t now_ns(clockid_t id)
{
	struct timespec t;

	(void)clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t clock_monotonic_ns(void)
{
	return now_ns(CLOCK_MONOTONIC);
}

int64_t clock_offset_ns(uint64_t *error_ns)
{
	uint64_t narrowest = UINT64_MAX;
	int64_t offset = 0;

	/* The narrowest of five brackets: the others were interrupted. */
	for (int i = 0; i < 5; i++) {
		const uint64_t before = now_ns(CLOCK_MONOTONIC);
		const uint64_t wall = now_ns(CLOCK_REALTIME);
		const uint64_t width = now_ns(CLOCK_MONOTONIC) - before;

		if (width < narrowest) {
			narrowest = width;
			offset = (int64_t)(wall - (before + width / 2));
		}
	}
	*error_ns = narrowest / 2 + 1;
	return offset;
}

void clock_nap(uint64_t ns)
{
	const struct timespec t = {.tv_sec = (time_t)(ns / 1000000000u),
				   .tv_nsec = (long)(ns % 1000000000u)};

	(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}
