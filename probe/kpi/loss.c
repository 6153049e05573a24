#include "kpi/loss.h"

#include <math.h>

/* Of 97.5 %, two sides, for 95 %: V is an estimate itself, and blocks that follow each other have a
 * little in common. Measured with 1.96: 93 to 98 % (200,000 segments, 300 runs each); with this,
 * test_loss.c. */
#define Z 2.24

static void set(uint64_t *field, uint64_t value)
{
	__atomic_store_n(field, value, __ATOMIC_RELAXED);
}

static void add(double *field, double n)
{
	__atomic_store(field, &(double){*field + n}, __ATOMIC_RELAXED);
}

static uint64_t get(const uint64_t *field)
{
	return __atomic_load_n(field, __ATOMIC_RELAXED);
}

static double get_real(const double *field)
{
	double value;

	__atomic_load(field, &value, __ATOMIC_RELAXED);
	return value;
}

static void add_block(struct loss *loss, uint64_t acks, uint64_t acked, uint64_t missing)
{
	const double a = (double)acked, m = (double)missing;

	set(&loss->acks, loss->acks + acks);
	set(&loss->blocks, loss->blocks + 1);
	set(&loss->lossy, loss->lossy + (missing > 0));
	add(&loss->acked, a);
	add(&loss->missing, m);
	add(&loss->acked_squared, a * a);
	add(&loss->missing_squared, m * m);
	add(&loss->product, a * m);
}

void loss_add(struct loss *loss, uint64_t acks, uint64_t acked, uint64_t missing)
{
	set(&loss->block_acks, loss->block_acks + acks);
	set(&loss->block_acked, loss->block_acked + acked);
	set(&loss->block_missing, loss->block_missing + missing);
	if (loss->block_acks < LOSS_BLOCK)
		return;
	add_block(loss, loss->block_acks, loss->block_acked, loss->block_missing);
	set(&loss->block_acks, 0);
	set(&loss->block_acked, 0);
	set(&loss->block_missing, 0);
}

void loss_sum(struct loss *sum, const struct loss *one)
{
	const uint64_t open = get(&one->block_acks);

	sum->acks += get(&one->acks);
	sum->blocks += get(&one->blocks);
	sum->lossy += get(&one->lossy);
	sum->acked += get_real(&one->acked);
	sum->missing += get_real(&one->missing);
	sum->acked_squared += get_real(&one->acked_squared);
	sum->missing_squared += get_real(&one->missing_squared);
	sum->product += get_real(&one->product);
	if (open)
		add_block(sum, open, get(&one->block_acked), get(&one->block_missing));
}

/* V of the header; 0 where one block says nothing about it. */
static double variance(const struct loss *s, double ratio)
{
	const double n = (double)s->blocks;
	const double squares =
		s->missing_squared - 2 * ratio * s->product + ratio * ratio * s->acked_squared;

	return n > 1 && squares > 0 ? n / (n - 1) * squares : 0;
}

/* D of the header. */
static double event_size(const struct loss *s, double ratio)
{
	const double least = s->lossy < LOSS_LOSSY ? LOSS_BURST * s->acked / (double)s->acks : 0;
	const double seen = s->missing > 0 ? variance(s, ratio) / s->missing : 0;

	return seen > least ? seen : least;
}

/* Byar's bound of a Poisson mean: side -1 the lower one of x, side 1 the upper one of x - 1. */
static double bound(double x, double side)
{
	const double root = 1 - 1 / (9 * x) + side * Z / (3 * sqrt(x));

	return root > 0 ? x * root * root * root : 0;
}

bool loss_estimate(const struct loss *sum, struct loss_estimate *out)
{
	if (!sum->acks || sum->acked <= 0)
		return false;
	/* Above 1 while a block is being closed. */
	const double ratio = fmin(sum->missing / sum->acked, 1);
	const double size = event_size(sum, ratio);

	*out = (struct loss_estimate){ratio, ratio, ratio};
	if (size <= 0) /* every block lost the same share, as when one direction is not mirrored */
		return true;
	const double x = sum->missing / size;
	if (x > 0)
		out->low = fmin(bound(x, -1) * size / sum->acked, ratio);
	out->high = fmin(bound(x + 1, 1) * size / sum->acked, 1);
	if (x <= 0)
		out->low = 0;
	return true;
}
