/*
 * loss: how much of its traffic a mirror loses, from what receivers acknowledge, and how well that
 * is known.
 *
 * An ACK of r covers a bytes of d's data, m of which were never mirrored: the receiver had them, so
 * the mirror lost them. The estimate is the ratio of the sums, M / A. What an ACK covers is not
 * independent of what the next does, and losses come in bursts: the spread is taken from blocks of
 * LOSS_BLOCK ACKs, which hardly depend on each other (batch means; the ratio estimator's variance,
 * Cochran, Sampling Techniques, 3rd ed. 1977, section 6.4):
 *
 *   V = n / (n - 1) * sum (m - M/A a)^2     of the blocks' m and a; the variance of M
 *   D = V / M                               bytes that one event of loss takes: a segment where
 *                                           each is lost for itself, more in bursts
 *   x = M / D                               events that were seen; a Poisson number
 *
 * and the bounds are those of a Poisson mean of which x was seen (Byar's approximation: Breslow and
 * Day, Statistical Methods in Cancer Research II, 1987, section 2.3), times D / A: right at small
 * numbers, and the usual normal interval at large ones. Nothing missing gives low 0 and high
 * 4.4 D / A, a rule of three for two sides.
 *
 * D itself is known badly while few blocks have lost something: then it is taken to be no less than
 * LOSS_BURST mean ACKs. Losses that hang together for longer than a block make the interval too
 * narrow. Whole flows that are lost leave no trace.
 *
 * A struct loss lies in shared memory: one writer, the worker, adds; any thread of any process may
 * read. Nothing is allocated.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The longer, the less blocks depend on each other; the shorter, the sooner there are enough. With
 * 256 the interval was a tenth too narrow at bursts of 10 packets over 20 flows. */
#define LOSS_BLOCK 1024 /* ACKs */
/* Bursts of 10 packets, whose spread is that of lone losses of twice the mean length; an ACK in two
 * segments (RFC 5681 section 4.2). */
#define LOSS_BURST 10
#define LOSS_LOSSY 20 /* blocks; with fewer, D may be off by half */

enum loss_transport {
	LOSS_TCP,  /* bytes of data */
	LOSS_SCTP, /* DATA chunks */
	LOSS_TRANSPORTS
};

struct loss {
	/* The open block. */
	uint64_t block_acks, block_acked, block_missing;
	/* Of closed blocks; lossy: of which something was missing. */
	uint64_t acks, blocks, lossy;
	double acked, missing, acked_squared, missing_squared, product;
};

struct loss_estimate {
	double ratio, low, high; /* 0 to 1; low to high is the 95 % interval */
};

/* The worker's, per ACK that moved on: acked > 0, missing up to acked. acks: 1, or as many as an
 * ACK stands for that a receiver, or this probe, has put together from several. */
void loss_add(struct loss *loss, uint64_t acks, uint64_t acked, uint64_t missing);

/* Adds another's, whose open block counts as one of its own. Sums of sums are sums. A block that is
 * closed meanwhile may be in it twice, or not: the next look has it right. */
void loss_sum(struct loss *sum, const struct loss *one);

/* Of what loss_sum has made. False: nothing was acknowledged, so nothing is known. */
bool loss_estimate(const struct loss *sum, struct loss_estimate *out);
