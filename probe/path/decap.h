/*
 * decap: the outer headers off. A frame becomes a packet: session, inner frame, hash.
 *
 * Worker thread; pure. Live, XDP has parsed already and wrote its header in front of the frame;
 * from a file the same steer.h does it here.
 */
#pragma once

#include "path/capture.h"
#include "reason.h"
#include "siphash.h"

/* Longest inner frame that is kept; a file may hold longer ones, the wire may not (16-bit UDP
 * length, RFC 768). */
#define PACKET_MAX 65535u

struct decap_config {
	uint16_t port;          /* of VXLAN; 4789 (RFC 7348 section 5) */
	struct siphash_key key; /* the XDP program's */
};

struct packet {
	uint64_t time_ns, sequence; /* the frame's */
	const uint8_t *data;        /* inner frame; lent as long as its batch */
	uint32_t len;               /* bytes at data */
	uint32_t cap_len;           /* of the inner frame, with what lies in further segments */
	uint16_t more, n_more;      /* the frame's */
	uint16_t queue;
	struct address source;
	uint32_t vni;
	uint32_t hash;
};

/* FATE_KEPT: *out is a packet that may go on. Any other fate is how the frame ends. */
enum fate decap_frame(const struct decap_config *config, const struct batch *batch,
		      const struct frame *frame, struct packet *out);
