#include "kpi/histogram.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

static const long double classic_s[HISTOGRAM_CLASSIC] = {
	.0001L, .00025L, .0005L, .001L, .0025L, .005L, .01L, .025L,
	.05L,   .1L,     .25L,   .5L,   1,      2.5L,  5,    10};

/* Upper edge of native bucket i of schema 3, in ns. */
static uint64_t native_edge(int i)
{
	return (uint64_t)floorl(exp2l(i / 8.0L) * 1e9L);
}

static bool is_native(uint64_t ns)
{
	for (int i = -160; i <= 48; i++)
		if (native_edge(i) == ns)
			return true;
	return false;
}

static bool is_classic(uint64_t ns)
{
	for (unsigned i = 0; i < HISTOGRAM_CLASSIC; i++)
		if ((uint64_t)roundl(classic_s[i] * 1e9L) == ns)
			return true;
	return false;
}

Test(histogram, edges_are_the_native_and_the_classic_ones_and_no_others)
{
	for (int i = -160; i <= 48; i++)
		cr_assert_eq(histogram_edge(histogram_bucket(native_edge(i))), native_edge(i));
	for (unsigned i = 0; i < HISTOGRAM_CLASSIC; i++) {
		const uint64_t ns = (uint64_t)roundl(classic_s[i] * 1e9L);
		cr_assert_eq(histogram_classic_edge(i), ns);
		cr_assert_eq(histogram_edge(histogram_bucket(ns)), ns);
	}
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS - 1; i++)
		cr_assert(is_native(histogram_edge(i)) || is_classic(histogram_edge(i)), "%u", i);
	cr_assert_eq(histogram_edge(HISTOGRAM_BUCKETS - 1), UINT64_MAX);
}

Test(histogram, upper_edge_belongs_to_its_bucket)
{
	cr_assert_eq(histogram_bucket(0), 0);
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
		cr_assert_eq(histogram_bucket(histogram_edge(i)), i);
		cr_assert_eq(histogram_bucket(histogram_edge(i) + 1), i + 1);
	}
	cr_assert_eq(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

/* By asking one edge after the other. */
static unsigned bucket_by_search(uint64_t ns)
{
	unsigned i = 0;

	while (ns > histogram_edge(i))
		i++;
	return i;
}

static unsigned classic_by_search(uint64_t ns)
{
	unsigned i = 0;

	while (i < HISTOGRAM_CLASSIC && ns > histogram_classic_edge(i))
		i++;
	return i;
}

static void expect_found(uint64_t ns)
{
	struct histogram h = {0};

	histogram_add(&h, ns, 1);
	cr_expect_eq(h.bucket[bucket_by_search(ns)], 1, "%ju ns", (uintmax_t)ns);
	cr_expect_eq(h.exemplar[classic_by_search(ns)].time_ns, 1, "%ju ns", (uintmax_t)ns);
}

Test(histogram, every_sample_is_found_its_buckets)
{
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		for (int off = -1; off <= 1; off++)
			expect_found(histogram_edge(i) + (uint64_t)off);
	for (unsigned power = 0; power < 64; power++)
		for (int off = -1; off <= 1; off++)
			expect_found((UINT64_C(1) << power) + (uint64_t)off);
	srand(1);
	for (unsigned i = 0; i < 100000; i++)
		expect_found((uint64_t)exp2((double)rand() / RAND_MAX * 40));
}

Test(histogram, no_sample_is_more_than_nine_percent_below_its_edge)
{
	for (unsigned i = 1; i < HISTOGRAM_BUCKETS - 1; i++)
		cr_assert_geq((double)histogram_edge(i - 1), 0.916 * (double)histogram_edge(i));
}

/* n samples from 1 ns to about 100 s, evenly over the magnitudes; returns their sum. */
static uint64_t fill(struct histogram *h, uint64_t *samples, unsigned n)
{
	uint64_t sum = 0;

	srand(1);
	for (unsigned i = 0; i < n; i++) {
		samples[i] = (uint64_t)exp2((double)rand() / RAND_MAX * 36.6);
		histogram_add(h, samples[i], 1);
		sum += samples[i];
	}
	return sum;
}

Test(histogram, classic_buckets_count_exactly_what_is_up_to_their_edge)
{
	enum { N = 20000 };
	static uint64_t samples[N];
	struct histogram h = {0};

	cr_assert_eq(fill(&h, samples, N), h.sum_ns);
	cr_assert_eq(histogram_count(&h), N);
	for (unsigned i = 0; i < HISTOGRAM_CLASSIC; i++) {
		uint64_t n = 0;
		for (unsigned k = 0; k < N; k++)
			n += (long double)samples[k] <= classic_s[i] * 1e9L;
		cr_assert_eq(histogram_classic_count(&h, i), n, "edge %u", i);
		cr_assert(n > 0 && n < N);
	}
}

Test(histogram, native_buckets_are_sums_of_ours)
{
	enum { N = 20000 };
	static uint64_t samples[N];
	struct histogram h = {0};

	(void)fill(&h, samples, N);
	for (int i = -159; i <= 48; i++) {
		uint64_t want = 0, have = 0;
		for (unsigned k = 0; k < N; k++) {
			const long double s = (long double)samples[k] / 1e9L;
			want += s > exp2l((i - 1) / 8.0L) && s <= exp2l(i / 8.0L);
		}
		for (unsigned b = histogram_bucket(native_edge(i - 1)) + 1;
		     b <= histogram_bucket(native_edge(i)); b++)
			have += h.bucket[b];
		cr_assert_eq(have, want, "native bucket %d", i);
	}
}

Test(histogram, merged_is_the_sum)
{
	struct histogram sum = {0}, one = {0}, other = {0};

	histogram_add(&one, 1000, 1);
	histogram_add(&one, 2000000, 1);
	histogram_add(&other, 2000000, 1);
	histogram_merge(&sum, &one);
	histogram_merge(&sum, &other);
	cr_assert_eq(sum.sum_ns, 4001000);
	cr_assert_eq(histogram_count(&sum), 3);
	cr_assert_eq(sum.bucket[histogram_bucket(1000)], 1);
	cr_assert_eq(sum.bucket[histogram_bucket(2000000)], 2);
}

static int compare(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

Test(histogram, quantiles_are_off_by_less_than_the_header_says)
{
	static const double quantiles[] = {1e-9, .01, .1, .25, .5, .75, .9, .95, .99, .999, 1};
	static const unsigned sizes[] = {1, 2, 3, 19, 20, 100, 20000};
	static uint64_t samples[20000];

	for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		struct histogram h = {0};
		const unsigned n = sizes[s];

		(void)fill(&h, samples, n);
		qsort(samples, n, sizeof(samples[0]), compare);
		for (unsigned i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
			const double exact = (double)samples[(unsigned)ceil(quantiles[i] * n) - 1];
			const double have = (double)histogram_quantile(&h, quantiles[i]);
			if (exact > 64e9)
				cr_expect_eq(have, 64e9);
			else
				cr_expect_lt(fabs(have - exact), fmax(0.046 * exact, 500),
					     "%u samples, %g: %g is %g", n, quantiles[i], exact,
					     have);
		}
	}
}

Test(histogram, without_a_sample_a_quantile_is_0)
{
	const struct histogram h = {0};

	cr_expect_eq(histogram_quantile(&h, .5), 0);
	cr_expect_eq(histogram_quantile(&h, 1), 0);
}

Test(histogram, a_difference_is_what_came_between)
{
	struct histogram later = {0}, earlier = {0};

	histogram_add(&earlier, 1000, 0);
	histogram_add(&later, 1000, 0);
	histogram_add(&later, 5000000, 0);
	histogram_subtract(&later, &earlier);
	cr_expect_eq(later.sum_ns, 5000000);
	cr_expect_eq(histogram_count(&later), 1);
	cr_expect_eq(later.bucket[histogram_bucket(5000000)], 1);
	histogram_subtract(&earlier, &later); /* of a probe that began anew */
	cr_expect_eq(histogram_count(&earlier), 1);
	histogram_subtract(&later, &later);
	cr_expect_eq(histogram_count(&later), 0);
	cr_expect_eq(later.sum_ns, 0);
}

Test(histogram, keeps_the_latest_sample_of_each_classic_bucket)
{
	static struct histogram h, sum;
	const uint64_t second_ns = 1000000000;

	histogram_add(&h, 0, 5);
	histogram_add(&h, 100000, 6);
	histogram_add(&h, 100001, 7);
	histogram_add(&h, 11 * second_ns, 8);
	cr_expect_eq(h.exemplar[0].ns, 100000);
	cr_expect_eq(h.exemplar[0].time_ns, 6);
	cr_expect_eq(h.exemplar[1].ns, 100001);
	cr_expect_eq(h.exemplar[2].time_ns, 0);
	cr_expect_eq(h.exemplar[HISTOGRAM_CLASSIC].ns, 11 * second_ns);
	histogram_add(&sum, 50000, 7);
	histogram_add(&sum, 200000, 6);
	histogram_merge(&sum, &h);
	cr_expect_eq(sum.exemplar[0].ns, 50000);
	cr_expect_eq(sum.exemplar[1].ns, 100001);
	cr_expect_eq(sum.exemplar[HISTOGRAM_CLASSIC].time_ns, 8);
}
