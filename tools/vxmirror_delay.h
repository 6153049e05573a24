/*
 * vxmirror_delay: packets that are on their way, given out in the order of their arrival.
 *
 * One thread. Owns copies of the packets. Of two that arrive at the same time, the one that was put
 * first comes first, so that a run can be repeated.
 */
#pragma once

#include "base/err.h"
#include "path/capfile.h"

#include <stdbool.h>
#include <stdint.h>

/* A packet as a mirror passes it on. */
struct mirrored {
	struct capfile_packet packet; /* its time is that of arrival */
	uint64_t id;     /* place among the packets of the inputs; a copy has the same */
	bool is_far_end; /* mirrored at the other end of its connection */
};

struct delay;

int delay_open(struct delay **out, struct err *err);
/* Takes NULL. */
void delay_close(struct delay *delay);

/* Copies it. */
int delay_put(struct delay *delay, const struct mirrored *mirrored, struct err *err);
/* The first to arrive, if it does until then; lent until the next call. NULL: none does. */
const struct mirrored *delay_take(struct delay *delay, uint64_t until_ns);
