/*
 * vxmirror_mishap: what goes wrong between a mirrored interface and the probe.
 *
 *   packet ─▶ its direction? ─▶ lost? ─▶ doubled? ─▶ late? ─▶ passed on in order of arrival
 *
 * One thread. All by chance, but the same with the same seed; each mishap has its own series of
 * random numbers, so that what is lost does not depend on what is doubled. A packet's time becomes
 * that of its arrival.
 */
#pragma once

#include "base/err.h"
#include "vxmirror_delay.h"

#include <stdbool.h>
#include <stdint.h>

enum mishap_direction { MISHAP_BOTH, MISHAP_EGRESS, MISHAP_INGRESS };

/* Random: each packet for itself. Burst: runs of packets, however long the mirror needs to recover
 * (Gilbert's model). Flow: all packets of a flow, both directions. */
enum mishap_loss { MISHAP_RANDOM, MISHAP_BURST, MISHAP_FLOW };

#define MISHAP_BURST_MEAN 10.0 /* packets */
/* More than that share of packets cannot be lost in runs of that mean length with gaps between. */
#define MISHAP_BURST_RATE_MAX 0.9

struct mishap_config {
	uint64_t seed;
	enum mishap_direction only; /* the others are not mirrored at all */
	bool has_loss;
	enum mishap_loss loss;
	double loss_rate, duplicate_rate; /* 0 to 1 */
	uint64_t duplicate_ns;            /* a copy comes up to this later */
	uint64_t reorder_ns;              /* a packet comes up to this late */
	enum mishap_direction reorder;    /* ... if it has this direction, in which order stays */
	bool has_both_ends;               /* every packet is mirrored at the other end too ... */
	uint64_t both_ends_ns;            /* ... from where it comes this much later */
};

struct mishap_counts {
	uint64_t packets, other_direction; /* of the inputs; of these, left out */
	uint64_t lost, lost_bytes;         /* of frames as long as they were on the wire */
	uint64_t doubled;
};

typedef int (*mishap_fn)(void *arg, const struct mirrored *mirrored, struct err *err);

struct mishap;

/* What is passed on, and what is lost, is given to these, with arg. */
int mishap_open(struct mishap **out, const struct mishap_config *config, mishap_fn pass,
		mishap_fn lose, void *arg, struct err *err);
/* Takes NULL. */
void mishap_close(struct mishap *mishap);

/* One of the functions' errors, or out of memory. */
int mishap_packet(struct mishap *mishap, const struct capfile_packet *packet, struct err *err);
/* Passes on what is still on its way, as at the end of an input. */
int mishap_flush(struct mishap *mishap, struct err *err);

struct mishap_counts mishap_counts(const struct mishap *mishap);
