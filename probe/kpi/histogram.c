#include "kpi/histogram.h"

#include <math.h>

/* A row is an octave: floor(2^(i/8) * 10^9) for eight i, and the classic edges among them. A whole
 * number of ns is at most 2^(i/8) s when it is at most that floor. */
/* clang-format off */
static const uint64_t edges[] = {
	953, 1039, 1134, 1236, 1348, 1470, 1603, 1749,
	1907, 2079, 2268, 2473, 2697, 2941, 3207, 3498,
	3814, 4159, 4536, 4947, 5394, 5883, 6415, 6996,
	7629, 8319, 9072, 9894, 10789, 11766, 12831, 13992,
	15258, 16639, 18145, 19788, 21579, 23532, 25662, 27984,
	30517, 33279, 36291, 39576, 43158, 47064, 51324, 55969,
	61035, 66559, 72583, 79152, 86316, 94129, 100000, 102648, 111938,
	122070, 133118, 145166, 158305, 172633, 188258, 205296, 223877,
	244140, 250000, 266237, 290333, 316611, 345266, 376516, 410593, 447755,
	488281, 500000, 532474, 580667, 633222, 690533, 753032, 821187, 895511,
	976562, 1000000, 1064948, 1161335, 1266444, 1381067, 1506065, 1642375, 1791023,
	1953125, 2129897, 2322670, 2500000, 2532889, 2762135, 3012130, 3284751, 3582047,
	3906250, 4259795, 4645340, 5000000, 5065779, 5524271, 6024261, 6569503, 7164094,
	7812500, 8519591, 9290680, 10000000, 10131559, 11048543, 12048522, 13139006, 14328188,
	15625000, 17039183, 18581361, 20263118, 22097086, 24097044, 25000000, 26278012, 28656376,
	31250000, 34078366, 37162722, 40526236, 44194173, 48194088, 50000000, 52556025, 57312752,
	62500000, 68156733, 74325444, 81052472, 88388347, 96388176, 100000000, 105112051, 114625505,
	125000000, 136313466, 148650889, 162104944, 176776695, 192776353, 210224103, 229251010,
	250000000, 272626933, 297301778, 324209888, 353553390, 385552706, 420448207, 458502021,
	500000000, 545253866, 594603557, 648419777, 707106781, 771105412, 840896415, 917004043,
	1000000000, 1090507732, 1189207115, 1296839554, 1414213562, 1542210825, 1681792830, 1834008086,
	2000000000, 2181015465, 2378414230, 2500000000, 2593679109, 2828427124, 3084421650, 3363585661, 3668016172,
	4000000000, 4362030930, 4756828460, 5000000000, 5187358218, 5656854249, 6168843301, 6727171322, 7336032345,
	8000000000, 8724061861, 9513656920, 10000000000, 10374716437, 11313708498, 12337686603, 13454342644, 14672064691,
	16000000000, 17448123722, 19027313840, 20749432874, 22627416997, 24675373206, 26908685288, 29344129382,
	32000000000, 34896247445, 38054627680, 41498865748, 45254833995, 49350746413, 53817370576, 58688258765,
	64000000000, UINT64_MAX,
};
static const uint64_t classic_edges[] = {
	100000, 250000, 500000,
	1000000, 2500000, 5000000,
	10000000, 25000000, 50000000,
	100000000, 250000000, 500000000,
	1000000000, 2500000000, 5000000000,
	10000000000, UINT64_MAX,
};

/* Numbers of the first edges that are not below 2^i ns. */
static const struct {
	uint8_t edge, classic;
} of_power[] = {
	{0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0},
	{1, 0}, {9, 0}, {17, 0}, {25, 0}, {33, 0}, {41, 0}, {49, 0}, {58, 1}, {67, 2}, {76, 3},
	{85, 4}, {93, 4}, {102, 5}, {111, 6}, {120, 7}, {129, 8}, {138, 9}, {147, 10}, {155, 11}, {163, 12},
	{171, 13}, {179, 13}, {188, 14}, {197, 15}, {206, 16}, {214, 16},
};
/* clang-format on */

/* The last bucket has no edge, nor has the last classic one. */
#define EDGES (HISTOGRAM_BUCKETS - 1)
static_assert(sizeof(edges) / sizeof(edges[0]) == HISTOGRAM_BUCKETS, "all of them");
static_assert(sizeof(classic_edges) / sizeof(classic_edges[0]) == HISTOGRAM_CLASSIC + 1, "all");

/* From a power of two to the next there are at most so many, and one classic one. */
#define EDGES_OF_POWER 9

static unsigned log2_of(uint64_t ns)
{
	return 63 - (unsigned)__builtin_clzll(ns | 1);
}

/* Asks all edges that may be its own instead of searching: a search is a branch guessed wrong. */
unsigned histogram_bucket(uint64_t ns)
{
	if (ns > edges[EDGES - 1])
		return EDGES;
	const unsigned first = of_power[log2_of(ns)].edge;
	unsigned bucket = first;

	for (unsigned i = 0; i < EDGES_OF_POWER; i++)
		bucket += ns > edges[first + i];
	return bucket;
}

uint64_t histogram_edge(unsigned bucket)
{
	return edges[bucket < EDGES ? bucket : EDGES];
}

uint64_t histogram_classic_edge(unsigned i)
{
	return classic_edges[i];
}

/* One writer; pairs with histogram_merge. */
static void add(uint64_t *field, uint64_t n)
{
	__atomic_store_n(field, *field + n, __ATOMIC_RELAXED);
}

static unsigned classic_bucket(uint64_t ns)
{
	if (ns > classic_edges[HISTOGRAM_CLASSIC - 1])
		return HISTOGRAM_CLASSIC;
	const unsigned first = of_power[log2_of(ns)].classic;

	return first + (ns > classic_edges[first]);
}

void histogram_add(struct histogram *histogram, uint64_t ns, uint64_t time_ns)
{
	struct histogram_exemplar *exemplar = &histogram->exemplar[classic_bucket(ns)];

	add(&histogram->sum_ns, ns);
	add(&histogram->bucket[histogram_bucket(ns)], 1);
	__atomic_store_n(&exemplar->ns, ns, __ATOMIC_RELAXED);
	/* Release: whoever sees a time sees a value; pairs with merge_exemplar. */
	__atomic_store_n(&exemplar->time_ns, time_ns, __ATOMIC_RELEASE);
}

static void merge_exemplar(struct histogram_exemplar *latest, const struct histogram_exemplar *from)
{
	/* Acquire: pairs with histogram_add. */
	const uint64_t time_ns = __atomic_load_n(&from->time_ns, __ATOMIC_ACQUIRE);

	if (time_ns > latest->time_ns)
		*latest = (struct histogram_exemplar){__atomic_load_n(&from->ns, __ATOMIC_RELAXED),
						      time_ns};
}

void histogram_merge(struct histogram *sum, const struct histogram *from)
{
	sum->sum_ns += __atomic_load_n(&from->sum_ns, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		sum->bucket[i] += __atomic_load_n(&from->bucket[i], __ATOMIC_RELAXED);
	for (unsigned i = 0; i <= HISTOGRAM_CLASSIC; i++)
		merge_exemplar(&sum->exemplar[i], &from->exemplar[i]);
}

static uint64_t difference(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

void histogram_subtract(struct histogram *later, const struct histogram *earlier)
{
	later->sum_ns = difference(later->sum_ns, earlier->sum_ns);
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		later->bucket[i] = difference(later->bucket[i], earlier->bucket[i]);
}

static uint64_t count_up_to(const struct histogram *histogram, unsigned last)
{
	uint64_t n = 0;

	for (unsigned i = 0; i <= last; i++)
		n += __atomic_load_n(&histogram->bucket[i], __ATOMIC_RELAXED);
	return n;
}

uint64_t histogram_count(const struct histogram *histogram)
{
	return count_up_to(histogram, HISTOGRAM_BUCKETS - 1);
}

uint64_t histogram_classic_count(const struct histogram *histogram, unsigned i)
{
	return count_up_to(histogram, histogram_bucket(classic_edges[i]));
}

static uint64_t middle_of(unsigned bucket)
{
	if (bucket == HISTOGRAM_BUCKETS - 1)
		return edges[EDGES - 1];
	return ((bucket ? edges[bucket - 1] : 0) + edges[bucket]) / 2;
}

uint64_t histogram_quantile(const struct histogram *histogram, double quantile)
{
	const uint64_t count = histogram_count(histogram);
	const uint64_t wanted = (uint64_t)ceil(quantile * (double)count);
	uint64_t n = 0;

	for (unsigned i = 0; count && i < HISTOGRAM_BUCKETS; i++) {
		n += __atomic_load_n(&histogram->bucket[i], __ATOMIC_RELAXED);
		if (n && n >= wanted)
			return middle_of(i);
	}
	/* Samples were added meanwhile, or there is none. */
	return 0;
}
