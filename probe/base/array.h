/*
 * array: an array that grows. Any thread; the caller owns the memory and frees it. Not for the
 * packet path: there, sizes are fixed at start.
 */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

/* Makes room for want elements of size bytes in *array, which holds *cap of them, by doubling.
 * want * size must not overflow: callers bound want. -ENOMEM leaves both as they are. */
static inline int array_grow(void **array, size_t *cap, size_t want, size_t size)
{
	size_t new_cap = *cap ? *cap : 64;

	if (want <= *cap)
		return 0;
	while (new_cap < want)
		new_cap *= 2;
	void *bigger = realloc(*array, new_cap * size);
	if (!bigger)
		return -ENOMEM;
	*array = bigger;
	*cap = new_cap;
	return 0;
}
