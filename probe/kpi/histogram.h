/*
 * histogram: how long things took, in buckets whose upper edges belong to them ("le").
 *
 * The edges are the base-2 exponential ones with eight steps per octave (Prometheus' native schema
 * 3: no sample is more than 9 % below its edge) from 2^-20 s, about 1 us, to 64 s, and the 16
 * classic ones of the metrics. So both kinds of buckets are exact sums of ours. The last bucket has
 * no edge.
 *
 * A worker adds to its own; any thread of any process may read meanwhile. A histogram of zeros is
 * an empty one. Nothing is allocated.
 */
#pragma once

#include <assert.h>
#include <stdint.h>

#define HISTOGRAM_BUCKETS 223
#define HISTOGRAM_CLASSIC 16

/* One sample of a classic bucket. A reader may see the value of one and the time of another: both
 * are of the bucket. */
struct histogram_exemplar {
	uint64_t ns;
	uint64_t time_ns; /* when it was taken; 0: there is none */
};

struct histogram {
	uint64_t sum_ns;
	uint64_t bucket[HISTOGRAM_BUCKETS];
	/* The latest of each classic bucket, the last of them without an edge. */
	struct histogram_exemplar exemplar[HISTOGRAM_CLASSIC + 1];
	_Alignas(64) uint8_t pad[0];
};
static_assert(sizeof(struct histogram) % 64 == 0, "whole cache lines");

/* Number of the bucket that counts ns. */
unsigned histogram_bucket(uint64_t ns);
/* Upper edge of a bucket in ns, rounded down; of the last one UINT64_MAX. */
uint64_t histogram_edge(unsigned bucket);
/* The i-th classic edge in ns, the least first. */
uint64_t histogram_classic_edge(unsigned i);

/* ---- worker ---- */

/* time_ns: when the sample was taken, by the source's clock. */
void histogram_add(struct histogram *histogram, uint64_t ns, uint64_t time_ns);

/* ---- reader ---- */

/* Adds what from holds at this moment; of exemplars the later one stays. */
void histogram_merge(struct histogram *sum, const struct histogram *from);
/* Takes away what an earlier copy had; what is less now than then becomes 0. */
void histogram_subtract(struct histogram *later, const struct histogram *earlier);
uint64_t histogram_count(const struct histogram *histogram);
/* Of n samples in order that of number ceil(quantile * n), in ns, as the middle of its bucket: off
 * by less than 4.6 %, below 1 us by less than 0.5 us; above 64 s it is 64 s. No sample: 0. */
uint64_t histogram_quantile(const struct histogram *histogram, double quantile);
/* Samples up to the i-th classic edge. */
uint64_t histogram_classic_count(const struct histogram *histogram, unsigned i);
