/*
 * mix: mirrored packets made in memory, for benches: TCP connections as they are, and floods.
 *
 * Each connection shakes hands, sends data both ways with ACKs and timestamps, sends one segment in
 * 100 again, closes with FIN and comes back with another port. Whose turn it is, is random by the
 * seed. Frames are cut as a mirror would cut them: headers and the first bytes of the payload.
 */
#pragma once

#include <stdint.h>

#define MIX_FRAME_MAX 128

struct mix_frame {
	uint64_t time_ns;
	uint32_t len;
	uint8_t data[MIX_FRAME_MAX]; /* outer Ethernet header and on */
};

struct mix_config {
	uint64_t seed;
	uint32_t flows; /* at the same time */
	uint32_t vni;
	uint32_t talk; /* packets of a connection between handshake and FIN: so many or up to twice
			*/
	uint64_t step_ns; /* from packet to packet */
};

struct mix;

/* NULL: out of memory. */
struct mix *mix_open(const struct mix_config *config);
void mix_close(struct mix *mix);
/* The next packet of a connection. */
void mix_next(struct mix *mix, struct mix_frame *out);
/* A SYN of a flow that never was and never comes again, number below 2^40, of session vni, at the
 * time of the last packet. */
void mix_flood(const struct mix *mix, uint64_t number, uint32_t vni, struct mix_frame *out);
