/*
 * output_effort: how hard the writer compresses: less when it falls behind, as it was when it has
 * caught up.
 *
 *   configured level > 1 > -1 > -20 > -50 > stored       a step at a frame; levels above are left
 * out
 *
 * Cheaper frames are larger. So a step down is taken only while compressing takes longer than
 * writing; where the disk is what is slow, steps go back up: it gets fewer bytes. Only when that
 * does not help are packets dropped, by the workers, who find no empty chunk.
 *
 * Pure; the writer thread's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define OUTPUT_EFFORT_LEVELS 6

struct output_effort {
	int level[OUTPUT_EFFORT_LEVELS]; /* the configured one first */
	unsigned n, step;
	unsigned calm;              /* frames in a row without pressure */
	uint64_t pack_ns, write_ns; /* of the last frames, the latest counting most */
};

void output_effort_init(struct output_effort *effort, int level);
int output_effort_level(const struct output_effort *effort);
/* Before a frame: the last one took so long (0: there was none). pressure: how full the way to the
 * writer is, in per cent. True: the frame gets another level. */
bool output_effort_follow(struct output_effort *effort, unsigned pressure, uint64_t pack_ns,
			  uint64_t write_ns);
