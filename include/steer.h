/*
 * steer: which worker gets a mirrored packet: a keyed hash of what it belongs to. Both halves;
 * pure.
 */
#pragma once

#include "inner.h"
#include "outer.h"
#include "siphash.h"
#include "wire.h"

#include <linux/types.h>

/* One side of a conversation; what does not take part in the hash is 0. */
struct steer_end {
	__u64 high, low; /* address: IPv6, or IPv4 or MAC in low */
	__u16 port;
};

WIRE_INLINE __u64 steer_u64(const __u8 *p)
{
	return (__u64)wire_u32(p) << 32 | wire_u32(p + 4);
}

WIRE_INLINE __u64 steer_u48(const __u8 *p)
{
	return (__u64)wire_u16(p) << 32 | wire_u32(p + 2);
}

/* The addresses of the IP packet at offset. Returns 1, or 0 when they are not there. */
WIRE_INLINE int steer_addresses(const __u8 *p, const __u8 *end, __u32 offset, struct steer_end *a,
				struct steer_end *b)
{
	const __u8 *ip = inner_at(p, end, offset, INNER_IPV4_LEN);

	if (ip && ip[0] >> 4 == 4) {
		*a = (struct steer_end){.low = wire_u32(ip + 12)};
		*b = (struct steer_end){.low = wire_u32(ip + 16)};
		return 1;
	}
	ip = inner_at(p, end, offset, INNER_IPV6_LEN);
	if (ip && ip[0] >> 4 == 6) {
		*a = (struct steer_end){.high = steer_u64(ip + 8), .low = steer_u64(ip + 16)};
		*b = (struct steer_end){.high = steer_u64(ip + 24), .low = steer_u64(ip + 32)};
		return 1;
	}
	return 0;
}

/* No IP: by the pair of MACs. */
WIRE_INLINE void steer_macs(const __u8 *p, const __u8 *end, struct steer_end *a,
			    struct steer_end *b)
{
	const __u8 *eth = inner_at(p, end, 0, INNER_ETHERNET_LEN);

	if (!eth)
		return;
	*a = (struct steer_end){.low = steer_u48(eth)};
	*b = (struct steer_end){.low = steer_u48(eth + 6)};
}

/* An ICMP error has the packet it is about behind 8 bytes (RFC 792, RFC 4443 section 3). */
WIRE_INLINE int steer_is_icmp_error(const __u8 *p, const __u8 *end, const struct inner *in)
{
	const __u8 *icmp = in->l4 ? inner_at(p, end, in->l4, 1) : 0;

	if (!icmp)
		return 0;
	if (in->version == 4 && in->proto == INNER_ICMP)
		return icmp[0] == 3 || icmp[0] == 4 || icmp[0] == 5 || icmp[0] == 11 ||
		       icmp[0] == 12;
	return in->version == 6 && in->proto == INNER_ICMPV6 && icmp[0] >= 1 && icmp[0] <= 4;
}

/* More than the two that 3GPP TS 29.281 section 5.2 lets a T-PDU carry in practice. */
#define STEER_GTP_EXTENSIONS_MAX 4

/* Offset of the packet that the GTP-U header at gtp carries (TS 29.281 section 5.1), or 0. */
WIRE_INLINE __u32 steer_gtp_payload(const __u8 *p, const __u8 *end, __u32 gtp)
{
	const __u8 *h = inner_at(p, end, gtp, 8);

	if (!h || (h[0] & 0xf0) != 0x30 || h[1] != 255)
		return 0;
	if (!(h[0] & 0x07))
		return gtp + 8;
	const __u8 *optional = inner_at(p, end, gtp + 8, 4);
	if (!optional)
		return 0;
	__u8 next = h[0] & 0x04 ? optional[3] : 0;
	__u32 offset = gtp + 12;
	for (int i = 0; next && i < STEER_GTP_EXTENSIONS_MAX; i++) {
		const __u8 *x = inner_at(p, end, offset, 1);
		if (!x || !x[0])
			return 0;
		offset = inner_forget(offset + x[0] * 4u, p);
		const __u8 *last = inner_at(p, end, offset - 1, 1);
		if (!last)
			return 0;
		next = *last;
	}
	return next ? 0 : offset;
}

WIRE_INLINE int steer_either(__u16 a, __u16 b, __u16 port)
{
	return a == port || b == port;
}

/* Completes the addresses by the ports, or replaces them, as the protocol wants it. */
WIRE_INLINE void steer_transport(const __u8 *p, const __u8 *end, const struct inner *in,
				 struct steer_end *a, struct steer_end *b)
{
	if (!in->l4 || !inner_owns(in, 4))
		return;
	if (in->proto != INNER_TCP && in->proto != INNER_UDP && in->proto != INNER_SCTP)
		return;
	const __u8 *ports = inner_at(p, end, in->l4, 4);
	if (!ports)
		return;
	const __u16 from = wire_u16(ports), to = wire_u16(ports + 2);

	/* SIP: the transactions of a call come on several connections. */
	if (steer_either(from, to, 5060) || steer_either(from, to, 5061))
		return;
	if (in->proto == INNER_UDP && steer_either(from, to, 2152)) {
		const __u32 payload = steer_gtp_payload(p, end, in->l4 + STEER_UDP_LEN);
		if (payload && steer_addresses(p, end, payload, a, b))
			return;
	}
	/* The paths of a multihomed association share their ports only (RFC 9260 section 1.3). */
	if (in->proto == INNER_SCTP)
		*a = *b = (struct steer_end){0};
	a->port = from;
	b->port = to;
}

WIRE_INLINE int steer_end_is_above(const struct steer_end *a, const struct steer_end *b)
{
	if (a->high != b->high)
		return a->high > b->high;
	if (a->low != b->low)
		return a->low > b->low;
	return a->port > b->port;
}

WIRE_INLINE __u32 steer_hash_ends(const struct siphash_key *key, const struct steer_outer *o,
				  const struct steer_end *a, const struct steer_end *b)
{
	const int swap = steer_end_is_above(a, b);
	const struct steer_end low = swap ? *b : *a, high = swap ? *a : *b;
	struct siphash s;

	sip_init(&s, key);
	sip_word(&s, steer_u64(o->source.byte));
	sip_word(&s, steer_u64(o->source.byte + 8));
	sip_word(&s, (__u64)o->vni << 32 | (__u32)low.port << 16 | high.port);
	sip_word(&s, low.low);
	sip_word(&s, high.low);
	if (low.high | high.high) {
		sip_word(&s, low.high);
		sip_word(&s, high.high);
	}
	return (__u32)(sip_final(&s) >> 32);
}

/*
 * Equal for both directions of a conversation and for what belongs to it, inside the session of o:
 *
 *   TCP, UDP          addresses and ports      ICMP errors       the packet they quote
 *   SCTP              ports                    GTP-U             the inner packet's addresses
 *   SIP, other IP     addresses                first fragments   as if whole
 *   no IP             MACs                     later fragments   addresses
 *
 * Without the bytes for its own rule a packet is steered by addresses.
 */
WIRE_INLINE __u32 steer_hash(const struct siphash_key *key, const struct steer_outer *o,
			     const __u8 *inner, const __u8 *end)
{
	struct steer_end a = {0}, b = {0};
	struct inner in;

	inner_walk(inner, end, &in);
	if (steer_is_icmp_error(inner, end, &in)) {
		struct inner quoted;
		inner_walk_ip(inner, end, in.l4 + 8u, &quoted);
		if (quoted.version)
			in = quoted;
	}
	if (in.version && steer_addresses(inner, end, in.l3, &a, &b))
		steer_transport(inner, end, &in, &a, &b);
	else
		steer_macs(inner, end, &a, &b);
	return steer_hash_ends(key, o, &a, &b);
}

WIRE_INLINE __u32 steer_worker(__u32 hash, __u32 n_workers)
{
	return (__u32)((__u64)hash * n_workers >> 32);
}
