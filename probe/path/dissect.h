/*
 * dissect: a mirrored frame's headers, to a flow key and to what is odd about it.
 *
 * Called by the worker for every packet. Pure: no state, no allocation; the bytes are borrowed for
 * the call. Takes any bytes; reads none beyond len.
 */
#pragma once

#include "abi.h"
#include "reason.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

/* Both directions have the same key: a is the lower endpoint, address and port compared as bytes.
 * No holes: it is hashed and compared as memory. */
struct flow_key {
	uint32_t session;       /* 0 from dissect: the worker fills it in */
	uint8_t version, proto; /* IP version; protocol behind the IPv6 extension headers */
	uint16_t is_ue;         /* 1: inside GTP-U; 0 from dissect_frame */
	struct address a, b;
	uint16_t port_a, port_b; /* host order; ICMP echo: identifier in both; without ports: 0 */
};
static_assert(sizeof(struct flow_key) == 44, "no holes");

struct dissected {
	/* When has_flow; version and proto also of every other IP packet whose headers are sound.
	 */
	struct flow_key key;
	bool has_flow;
	uint8_t direction; /* 0: from a to b */
	uint32_t wire_len; /* bytes of the frame before it was cut; at least cap_len */
	uint32_t ip_len;   /* by the IP header; 0: not IP, or a header that does not tell */
	uint32_t marks;    /* 1u << MARK_... */
	uint16_t l3, l4;   /* offsets of the IP and the transport header; 0: none */
	uint16_t payload;  /* where the innermost header that was found ends; may be cut before */
};

/*
 * The inner frame: len bytes at data, in its first segment; cap_len bytes over all segments.
 *
 * wire_len is the Ethernet header and tags plus the IP packet by its own length field (RFC 791
 * section 3.1, RFC 8200 section 3), never below cap_len; cap_len where that field is 0 (TSO before
 * the NIC, jumbograms: RFC 2675).
 *
 * has_flow: TCP, UDP and SCTP whose ports are there, ICMP and ICMPv6 echo, and every other protocol
 * by addresses. Not: later fragments, other ICMP (errors belong to the flow they quote), not IP.
 */
void dissect_frame(const uint8_t *data, uint32_t len, uint32_t cap_len, struct dissected *out);

/* Where the bytes of the IP packet end among the len that are there: behind lies Ethernet padding.
 */
static inline uint32_t dissect_end(const struct dissected *d, uint32_t len)
{
	const uint32_t end = d->l3 + d->ip_len;

	return d->ip_len && end < len ? end : len;
}

/*
 * The packet that an ICMP error quotes: its flow, and its direction, which is that of its sender. A
 * quote is cut anywhere, 8 bytes behind its IP header as a rule. False: d is no ICMP error, or the
 * quote does not tell a flow.
 */
bool dissect_quoted(const uint8_t *data, uint32_t len, const struct dissected *d,
		    struct flow_key *key, unsigned *direction);

/*
 * The IP packet inside a G-PDU (TS 29.281 section 5), of which *outer are the headers outside:
 * *inner is what dissect_frame would say of it, offsets from data on, wire_len of the same frame.
 * False, and *inner untouched: not from or to UDP port 2152, not a G-PDU, its IP header is cut or
 * says more than the tunnel's packet can hold (a fragment of which holds a part).
 */
bool dissect_gtpu(const uint8_t *data, uint32_t len, const struct dissected *outer,
		  struct dissected *inner);
