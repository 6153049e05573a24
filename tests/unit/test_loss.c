#include "kpi/loss.h"

#include <criterion/criterion.h>
#include <math.h>

enum { SEGMENTS = 100000, FLOWS = 20, RUNS = 100 };

/* ---- a mirror that loses ---- */

static uint64_t random_state;

/* SplitMix64; at least 0 and below 1. */
static double chance(void)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

struct mirror {
	double rate;
	double mean; /* packets in a burst; 0: no bursts */
	bool is_losing;
};

static bool loses(struct mirror *m)
{
	const double begins = m->rate / m->mean / (1 - m->rate);

	if (m->mean <= 0)
		return chance() < m->rate;
	m->is_losing = chance() < (m->is_losing ? 1 - 1 / m->mean : begins);
	return m->is_losing;
}

/* Flows that take turns; each one's receiver acknowledges every 2 to 14 segments, and of ACKs as
 * many are lost as of data. */
static struct loss mirrored(struct mirror *m, uint64_t seed)
{
	struct loss loss = {0};
	uint64_t acked[FLOWS] = {0}, missing[FLOWS] = {0};
	unsigned n[FLOWS] = {0}, f = 0;

	random_state = seed;
	for (unsigned i = 0; i < SEGMENTS; i++) {
		f = chance() < 0.3 ? (unsigned)(chance() * FLOWS) : f;
		const uint64_t len = chance() < 0.3 ? 1 + (uint64_t)(chance() * 1400) : 1448;
		acked[f] += len;
		missing[f] += loses(m) ? len : 0;
		if (++n[f] < 2 + f % 4 * 4)
			continue;
		n[f] = 0;
		if (!loses(m)) {
			loss_add(&loss, 1, acked[f], missing[f]);
			acked[f] = missing[f] = 0;
		}
	}
	return loss;
}

static struct loss_estimate estimate(const struct loss *one)
{
	struct loss sum = {0};
	struct loss_estimate e = {0};

	loss_sum(&sum, one);
	cr_assert(loss_estimate(&sum, &e));
	return e;
}

/* ---- the claims ---- */

Test(loss, nothing_acknowledged_is_no_estimate)
{
	struct loss none = {0}, sum = {0};
	struct loss_estimate e = {1, 2, 3};

	loss_sum(&sum, &none);
	cr_assert_not(loss_estimate(&sum, &e));
	cr_assert(e.ratio == 1 && e.low == 2 && e.high == 3);
}

Test(loss, one_ack_is_an_estimate_of_which_nothing_is_known)
{
	struct loss loss = {0};

	loss_add(&loss, 1, 1448, 0);
	const struct loss_estimate e = estimate(&loss);
	cr_assert(e.ratio == 0 && e.low == 0 && e.high == 1);
}

Test(loss, ratio_is_that_of_the_sums_with_the_open_block)
{
	struct loss loss = {0};

	for (unsigned i = 0; i < 5 * LOSS_BLOCK + 7; i++)
		loss_add(&loss, 1, 1000, i % 100 ? 0 : 500);
	const struct loss_estimate e = estimate(&loss);
	cr_assert_float_eq(e.ratio, 52 * 500.0 / ((5 * LOSS_BLOCK + 7) * 1000.0), 1e-12);
	cr_assert(0 < e.low && e.low < e.ratio && e.ratio < e.high && e.high < 1);
}

Test(loss, nothing_missing_leaves_an_upper_bound_that_falls_with_every_ack)
{
	double before = 2;

	for (unsigned acks = 100; acks <= 1000000; acks *= 10) {
		struct loss loss = {0};
		for (unsigned i = 0; i < acks; i++)
			loss_add(&loss, 1, 2896, 0);
		const struct loss_estimate e = estimate(&loss);
		cr_assert(e.ratio == 0 && e.low == 0 && e.high > 0 && e.high < before);
		cr_assert_float_eq(e.high, 4.38 * LOSS_BURST / acks, 0.01 * e.high);
		before = e.high;
	}
}

Test(loss, ack_that_stands_for_many_makes_blocks_as_those_would)
{
	struct loss loss = {0};

	/* 1 % of 64 KiB that came together, 4,000 times: events of one segment. */
	for (unsigned i = 0; i < 4000; i++)
		loss_add(&loss, 23, 65160, i % 5 ? 1448 / 2 : 1448 / 4);
	const struct loss_estimate e = estimate(&loss);
	cr_assert_gt(loss.blocks, 50);
	cr_assert_lt(e.high - e.low, e.ratio / 10);
}

Test(loss, everything_missing_is_one)
{
	struct loss loss = {0};

	for (unsigned i = 0; i < 100 * LOSS_BLOCK; i++)
		loss_add(&loss, 1, 100 + i % 7, 100 + i % 7);
	const struct loss_estimate e = estimate(&loss);
	cr_assert(e.ratio == 1 && e.low > 0.99 && e.low <= 1 && e.high == 1, "%g %g %g", e.ratio,
		  e.low, e.high);
}

Test(loss, workers_add_up_also_in_two_steps)
{
	struct loss worker[3] = {{0}}, all = {0}, two = {0}, three = {0};
	struct loss_estimate e = {0};
	double acked = 0, missing = 0;

	for (unsigned i = 0; i < 3; i++) {
		struct mirror m = {.rate = 0.01 * (i + 1)};
		worker[i] = mirrored(&m, i);
		loss_sum(&all, &worker[i]);
		loss_sum(i < 2 ? &two : &three, &worker[i]);
		acked += worker[i].acked + (double)worker[i].block_acked;
		missing += worker[i].missing + (double)worker[i].block_missing;
	}
	loss_sum(&two, &three);
	cr_assert_arr_eq(&two, &all, sizeof(all));
	cr_assert(loss_estimate(&all, &e));
	cr_assert_float_eq(e.ratio, missing / acked, 1e-12);
}

Test(loss, bursts_make_the_interval_as_much_wider_as_they_spread)
{
	double width[2] = {0};

	for (unsigned burst = 0; burst < 2; burst++)
		for (uint64_t seed = 0; seed < 20; seed++) {
			struct mirror m = {.rate = 0.05, .mean = burst ? 10 : 0};
			const struct loss loss = mirrored(&m, seed);
			const struct loss_estimate e = estimate(&loss);
			width[burst] += e.high - e.low;
		}
	/* Gilbert's runs of mean 10 have sqrt(19) times the spread; blocks cut some apart. */
	cr_assert_float_eq(width[1] / width[0], sqrt(19), 0.8, "%g", width[1] / width[0]);
}

Test(loss, covers_the_true_rate_in_95_of_100_runs)
{
	static const double rates[] = {0, 0.001, 0.01, 0.05};

	for (unsigned i = 0; i < 8; i++) {
		const double mean = i < 4 ? 0 : 10, rate = rates[i % 4];
		unsigned covers = 0;
		for (uint64_t run = 0; run < RUNS; run++) {
			struct mirror m = {.rate = rate, .mean = mean};
			const struct loss loss = mirrored(&m, run * 1000 + i);
			const struct loss_estimate e = estimate(&loss);
			covers += e.low <= rate && rate <= e.high;
			cr_assert(0 <= e.low && e.low <= e.ratio && e.ratio <= e.high &&
				  e.high <= 1);
		}
		cr_assert_geq(covers, 95, "rate %g, bursts of %g: %u", rate, mean, covers);
	}
}

/* A reader may meet a block that is being closed, of which missing is there and acked is not. */
Test(loss, torn_sums_are_a_ratio_all_the_same)
{
	const struct loss torn = {.acks = 1025,
				  .blocks = 1,
				  .lossy = 1,
				  .acked = 1000,
				  .missing = 2000,
				  .acked_squared = 1e6,
				  .missing_squared = 4e6,
				  .product = 2e6};
	const struct loss_estimate e = estimate(&torn);

	cr_assert(0 <= e.low && e.low <= e.ratio && e.ratio <= e.high && e.high <= 1);
}
