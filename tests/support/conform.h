/*
 * conform: the contract of path/capture.h as one suite, for every kind of source.
 *
 *   lends every frame once, whole, in order   says a clock that it keeps   ends, and stays ended
 *
 * Called by the thread that owns the source. Several may run at once over the same frames, each on
 * its worker's source: what they lend together is told by conform_all_lent.
 */
#pragma once

#include "path/capture.h"

/* Groups of frames that keep their order. */
#define CONFORM_GROUPS_MAX 8

struct conform_frame {
	const uint8_t *data; /* no two frames have the same bytes */
	uint32_t len;
	uint64_t time_ns; /* not read when the source is live: it has its own */
	unsigned group;   /* frames of a group are lent in the order of the array */
	unsigned lent;    /* how often; atomic, conform adds */
};

struct conform_expect {
	struct conform_frame *frames;
	unsigned n;
	bool is_live;     /* then every frame is in time order, and XDP's header is there */
	bool is_share;    /* the source lends some of the frames, other sources the others */
	unsigned hold_ms; /* one batch is kept so long, as a worker would that was stopped */
};

/* Takes the source to its end and closes it. 0, or -EPROTO with a sentence on the first rule that
 * was broken: then the source is left as it is. */
int conform(struct capture *source, const struct conform_expect *expect, struct err *err);

/* 0, or -EPROTO with a sentence on the first frame that was not lent. */
int conform_all_lent(const struct conform_expect *expect, struct err *err);
