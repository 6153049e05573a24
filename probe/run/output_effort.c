#include "run/output_effort.h"

#include "path/pack.h"

/* Per cent of a worker's chunks. */
#define PRESSED 50
#define AT_EASE 25
/* Frames at ease before a step back: a burst of the next second finds the cheaper level. */
#define CALM 16

/* Measured on all captures' bytes, MB/s and ratio: 1: 481, 2.34; -1: 549, 2.28; -20: 735, 1.65;
 * -50: 1,019, 1.39; the lowest, which in effect stores: 2,913, 1.01. */
void output_effort_init(struct output_effort *e, int level)
{
	const int cheaper[] = {1, -1, -20, -50, packer_level_min()};

	*e = (struct output_effort){.level = {level}, .n = 1};
	for (unsigned i = 0; i < sizeof(cheaper) / sizeof(cheaper[0]); i++)
		if (cheaper[i] < level)
			e->level[e->n++] = cheaper[i];
}

int output_effort_level(const struct output_effort *e)
{
	return e->level[e->step];
}

bool output_effort_follow(struct output_effort *e, unsigned pressure, uint64_t pack_ns,
			  uint64_t write_ns)
{
	const unsigned before = e->step;

	/* Halved, since the store writes at every second frame or so. */
	e->pack_ns = e->pack_ns / 2 + pack_ns;
	e->write_ns = e->write_ns / 2 + write_ns;
	e->calm = pressure < AT_EASE ? e->calm + 1 : 0;
	const bool is_disk = e->write_ns > e->pack_ns;
	if (pressure >= PRESSED && !is_disk && e->step + 1 < e->n)
		e->step++;
	else if (e->step && ((pressure >= PRESSED && is_disk) || e->calm >= CALM))
		e->step--;
	if (e->step != before)
		e->calm = 0;
	return e->step != before;
}
