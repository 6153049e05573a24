/*
 * quic: the handshake of a QUIC connection, by its headers alone (RFC 8999, RFC 9000, RFC 9369).
 *
 * Worker, through udp. The state lies beside the UDP flow, zero at first. A flow is QUIC when the
 * first packet seen of it looks like a client's first: see quic_packet. Nothing is decrypted.
 */
#pragma once

#include "kpi/sink.h"
#include "path/decap.h"
#include "path/flow.h"

#include <assert.h>
#include <stdint.h>

enum quic_phase {
	QUIC_NONE,     /* no QUIC, or nothing seen yet */
	QUIC_ASKED,    /* the client's Initial */
	QUIC_ANSWERED, /* a packet of the server with a long header, be it Retry */
	QUIC_CONFIRMED /* a packet of the client after that */
};

struct quic {
	uint64_t since_ns;        /* when the phase was reached */
	uint8_t phase, direction; /* enum quic_phase; direction of the client's packets */
};
static_assert(sizeof(struct quic) == 16, "memory is promised by this size");

/*
 * A packet of the flow, counted in *flow already. Its first one begins a connection when it has a
 * long header of a known version, or of one reserved to provoke negotiation, is an Initial by it,
 * with the fixed bit and a connection id of 8 to 20 bytes (RFC 9000 sections 7.2, 17.2), and its
 * payload is 1200 bytes or more by IP length (section 14.1).
 */
void quic_packet(const struct kpi_sink *sink, struct quic *quic, const struct packet *packet,
		 const struct dissected *d, const struct flow *flow);
