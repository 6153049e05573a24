/*
 * inner: from the start of a mirrored frame to its transport header. Both halves; pure.
 *
 * One walk for the XDP program, which steers by what it finds, and for dissect, which keys flows by
 * it: the two cannot disagree about where a header is.
 */
#pragma once

#include "wire.h"

#include <linux/types.h>

/* Nothing beyond is looked at. A first buffer holds 3,840 bytes (STEER_CHUNK_DATA), and the
 * kernel's verifier wants a bound below 65,535 on what is added to a packet pointer. */
#define INNER_REACH 0xfffu

/* More headers than an honest sender chains: RFC 8200 section 4.1 lists seven in all. */
#define INNER_EXTENSIONS_MAX 8

#define INNER_ETHERNET_LEN 14
#define INNER_IPV4_LEN     20
#define INNER_IPV6_LEN     40

enum inner_fault {
	INNER_OK,
	INNER_NOT_IP,       /* neither IPv4 nor IPv6 by its EtherType */
	INNER_BAD_ETHERNET, /* ends inside the Ethernet header or a VLAN tag */
	INNER_BAD_IP,       /* IP header malformed or cut */
};

enum inner_fragment {
	INNER_WHOLE,
	INNER_FIRST_FRAGMENT,
	INNER_LATER_FRAGMENT,
};

enum inner_protocol {
	INNER_HOP_BY_HOP = 0,
	INNER_ICMP = 1,
	INNER_TCP = 6,
	INNER_UDP = 17,
	INNER_ROUTING = 43,
	INNER_FRAGMENT = 44,
	INNER_AH = 51,
	INNER_ICMPV6 = 58,
	INNER_DESTINATION = 60,
	INNER_SCTP = 132,
};

struct inner {
	__u16 l3;      /* offset of the IP header; 0: none */
	__u16 l4;      /* offset of the transport header; 0: none, or a later fragment */
	__u8 version;  /* 4 or 6: the fixed IP header, and so both addresses, are there; else 0 */
	__u8 proto;    /* IP protocol behind the extension headers; valid when fault is INNER_OK */
	__u8 n_vlan;   /* VLAN tags */
	__u8 fragment; /* enum inner_fragment */
	__u8 fault;    /* enum inner_fault */
	__u32 ip_len;  /* by the IP header and with it; 0: not to be had (TSO, jumbogram) */
};

/* Clang must neither compute x anew nor drop a check on it that only the verifier needs. */
#ifdef __bpf__
#define INNER_HIDE(x) __asm__ volatile("" : "+r"(x))
#else
#define INNER_HIDE(x) (void)(x)
#endif

/*
 * x, of which the verifier knows nothing: it follows every path with every range that it has proved
 * of an offset, and tags times extension headers times a quoted packet are more than its million
 * steps. The difference of two packet pointers is unknown to it, also when both are p.
 */
WIRE_INLINE __u32 inner_forget(__u32 x, const __u8 *p)
{
#ifdef __bpf__
	const __u8 *zero = p;

	__asm__ volatile("%0 -= %1" : "+r"(zero) : "r"(p));
	x += (__u32)(unsigned long)zero;
#endif
	(void)p;
	return x;
}

/* The n bytes at offset, or NULL when they do not all lie before end. */
WIRE_INLINE const __u8 *inner_at(const __u8 *p, const __u8 *end, __u32 offset, __u32 n)
{
	INNER_HIDE(offset);
	if (offset > INNER_REACH)
		return 0;
	const __u8 *at = p + offset;
	INNER_HIDE(at);
	return at + n <= end ? at : 0;
}

/* True when the n bytes at l4 belong to the packet by its own length: what lies behind is Ethernet
 * padding. They may still be cut off. */
WIRE_INLINE int inner_owns(const struct inner *in, __u32 n)
{
	return !in->ip_len || (__u32)in->l4 - in->l3 + n <= in->ip_len;
}

WIRE_INLINE int inner_is_vlan(__u16 type)
{
	return type == 0x8100 || type == 0x88a8 || type == 0x9100;
}

/* A bit set, not five comparisons: each would be a path for the verifier. */
WIRE_INLINE int inner_is_extension(__u8 proto)
{
	const __u64 extensions = 1ull << INNER_HOP_BY_HOP | 1ull << INNER_ROUTING |
				 1ull << INNER_FRAGMENT | 1ull << INNER_AH |
				 1ull << INNER_DESTINATION;

	return proto < 64 && extensions >> proto & 1;
}

/* RFC 8200 section 4, RFC 4302 section 2.2. */
WIRE_INLINE __u32 inner_extension_len(__u8 proto, __u8 len)
{
	if (proto == INNER_FRAGMENT)
		return 8;
	if (proto == INNER_AH)
		return (len + 2u) * 4;
	return (len + 1u) * 8;
}

WIRE_INLINE __u8 inner_fragment_kind(__u32 offset, __u32 more)
{
	if (offset)
		return INNER_LATER_FRAGMENT;
	return more ? INNER_FIRST_FRAGMENT : INNER_WHOLE;
}

WIRE_INLINE void inner_ipv4(const __u8 *p, const __u8 *end, struct inner *in)
{
	const __u8 *ip = inner_at(p, end, in->l3, 4);

	in->fault = INNER_BAD_IP;
	if (!ip || ip[0] >> 4 != 4)
		return;
	const __u32 head = (ip[0] & 0xfu) * 4, len = wire_u16(ip + 2);

	in->ip_len = len; /* told even by a header that is cut behind it */
	ip = inner_at(p, end, in->l3, INNER_IPV4_LEN);
	if (!ip)
		return;
	const __u32 fragment = wire_u16(ip + 6);
	in->version = 4;
	if (head < INNER_IPV4_LEN || (len && len < head))
		return;
	in->proto = ip[9];
	in->fragment = inner_fragment_kind(fragment & 0x1fff, fragment & 0x2000);
	const __u32 l4 = inner_forget(in->l3 + head, p);
	if (!inner_at(p, end, l4, 0))
		return;
	in->fault = INNER_OK;
	if (in->fragment != INNER_LATER_FRAGMENT)
		in->l4 = (__u16)l4;
}

/* Follows the extension headers from offset on; the first is of type in->proto. */
WIRE_INLINE void inner_extensions(const __u8 *p, const __u8 *end, __u32 offset, struct inner *in)
{
	for (int i = 0; i <= INNER_EXTENSIONS_MAX; i++) {
		if (!inner_is_extension(in->proto)) {
			if (!inner_at(p, end, offset, 0))
				return;
			in->fault = INNER_OK;
			in->l4 = (__u16)offset;
			return;
		}
		const __u8 *x = inner_at(p, end, offset, 8);
		if (!x)
			return;
		offset = inner_forget(offset + inner_extension_len(in->proto, x[1]), p);
		const __u8 is_fragment = in->proto == INNER_FRAGMENT;
		in->proto = x[0];
		if (!is_fragment)
			continue;
		in->fragment = inner_fragment_kind(wire_u16(x + 2) & 0xfff8, x[3] & 1);
		if (in->fragment == INNER_LATER_FRAGMENT) {
			in->fault = INNER_OK;
			return;
		}
	}
}

WIRE_INLINE void inner_ipv6(const __u8 *p, const __u8 *end, struct inner *in)
{
	const __u8 *ip = inner_at(p, end, in->l3, 6);

	in->fault = INNER_BAD_IP;
	if (!ip || ip[0] >> 4 != 6)
		return;
	const __u32 payload = wire_u16(ip + 4);

	in->ip_len = payload ? INNER_IPV6_LEN + payload : 0;
	ip = inner_at(p, end, in->l3, INNER_IPV6_LEN);
	if (!ip)
		return;
	in->version = 6;
	in->proto = ip[6];
	inner_extensions(p, end, in->l3 + (__u32)INNER_IPV6_LEN, in);
}

/* The IP packet at offset, whose version its first byte tells: one that an ICMP error quotes. */
WIRE_INLINE void inner_walk_ip(const __u8 *p, const __u8 *end, __u32 offset, struct inner *in)
{
	const __u8 *ip = inner_at(p, end, offset, 1);

	*in = (struct inner){.l3 = (__u16)offset, .fault = INNER_BAD_IP};
	if (ip && ip[0] >> 4 == 4)
		inner_ipv4(p, end, in);
	else if (ip && ip[0] >> 4 == 6)
		inner_ipv6(p, end, in);
}

/* The frame at p. Fills *in whatever the bytes are; in->fault says how far it came. */
WIRE_INLINE void inner_walk(const __u8 *p, const __u8 *end, struct inner *in)
{
	__u32 offset = INNER_ETHERNET_LEN;
	const __u8 *eth = inner_at(p, end, 0, INNER_ETHERNET_LEN);

	*in = (struct inner){.fault = INNER_BAD_ETHERNET};
	if (!eth)
		return;
	__u16 type = wire_u16(eth + 12);
	for (int i = 0; i < 2 && inner_is_vlan(type); i++) {
		const __u8 *tag = inner_at(p, end, offset, 4);
		if (!tag)
			return;
		type = wire_u16(tag + 2);
		offset += 4;
		in->n_vlan++;
	}
	in->fault = INNER_NOT_IP;
	if (type != 0x0800 && type != 0x86dd)
		return;
	in->l3 = (__u16)inner_forget(offset, p);
	if (type == 0x0800)
		inner_ipv4(p, end, in);
	else
		inner_ipv6(p, end, in);
}
