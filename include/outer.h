/*
 * outer: is this frame a mirrored packet to us, and where does its inner frame lie. Both halves;
 * pure.
 *
 * The XDP program decides by it, user space does the same for capture files: what is tested without
 * root is what the kernel runs. On any doubt a frame is not ours.
 */
#pragma once

#include "abi.h"
#include "inner.h"
#include "reason.h"
#include "wire.h"

#include <linux/types.h>

/* steer_outer_parse: a mirrored packet. Every other answer is an enum fate. */
#define STEER_OURS (-1)

#define STEER_UDP_LEN   8u
#define STEER_VXLAN_LEN 8u

struct steer_outer {
	struct address source, target;
	__u32 vni;
	__u32 inner_len; /* bytes of the inner frame, over all buffers: what follows is padding */
	__u16 inner;     /* offset of the inner frame */
};

/* What the outer headers tell before UDP. */
struct steer_ip {
	__u32 udp; /* offset of the UDP header */
	__u32 end; /* offset of the end of the IP packet */
	__u8 is_udp;
	__u8 fragment;  /* any */
	__u8 has_ports; /* UDP header should be there */
};

WIRE_INLINE void steer_address_ipv4(struct address *out, const __u8 *p)
{
	*out = (struct address){.byte = {[10] = 0xff, 0xff, p[0], p[1], p[2], p[3]}};
}

WIRE_INLINE void steer_address_ipv6(struct address *out, const __u8 *p)
{
	for (int i = 0; i < 16; i++)
		out->byte[i] = p[i];
}

WIRE_INLINE void steer_outer_ipv4(const __u8 *p, const __u8 *end, __u32 l3, struct steer_ip *ip,
				  struct steer_outer *out)
{
	const __u8 *h = inner_at(p, end, l3, INNER_IPV4_LEN);

	if (!h || h[0] >> 4 != 4 || (h[0] & 0xf) < 5 || h[9] != INNER_UDP)
		return;
	const __u16 fragment = wire_u16(h + 6);

	steer_address_ipv4(&out->source, h + 12);
	steer_address_ipv4(&out->target, h + 16);
	ip->udp = l3 + (h[0] & 0xfu) * 4;
	ip->end = l3 + wire_u16(h + 2);
	ip->is_udp = 1;
	ip->fragment = (fragment & 0x3fff) != 0;
	ip->has_ports = !(fragment & 0x1fff);
}

WIRE_INLINE void steer_outer_ipv6(const __u8 *p, const __u8 *end, __u32 l3, struct steer_ip *ip,
				  struct steer_outer *out)
{
	const __u8 *h = inner_at(p, end, l3, INNER_IPV6_LEN);

	if (!h || h[0] >> 4 != 6)
		return;
	steer_address_ipv6(&out->source, h + 8);
	steer_address_ipv6(&out->target, h + 24);
	ip->udp = l3 + INNER_IPV6_LEN;
	ip->end = ip->udp + wire_u16(h + 4);
	ip->is_udp = h[6] == INNER_UDP;
	ip->has_ports = 1;
	if (h[6] != INNER_FRAGMENT)
		return;
	const __u8 *x = inner_at(p, end, ip->udp, 8);
	if (!x)
		return;
	ip->is_udp = x[0] == INNER_UDP;
	ip->fragment = 1;
	ip->has_ports = !(wire_u16(x + 2) & 0xfff8);
	ip->udp += 8;
}

/* Bytes of the UDP datagram at ip->udp: by its own length field if the IP packet holds as much,
 * else (0: a datagram too long for the field, or nonsense) to the end of the IP packet. */
WIRE_INLINE __u32 steer_udp_len(const struct steer_ip *ip, __u16 len_field, __u32 frame_len)
{
	const __u32 ip_end = ip->end <= frame_len && ip->end > ip->udp ? ip->end : frame_len;
	const __u32 room = ip_end > ip->udp ? ip_end - ip->udp : 0;

	return len_field && len_field <= room ? len_field : room;
}

/*
 * The frame at p: its first buffer ends at end, the whole frame has frame_len bytes. Returns
 * STEER_OURS with *out filled for VXLAN (RFC 7348 section 5) over UDP to port, else FATE_PASSED,
 * FATE_OUTER_FRAGMENT or FATE_BAD_VXLAN; for the latter two, source and target are filled.
 * A fragment without ports counts as one to us if it is UDP.
 */
WIRE_INLINE int steer_outer_parse(const __u8 *p, const __u8 *end, __u32 frame_len, __u16 port,
				  struct steer_outer *out)
{
	struct steer_ip ip = {0};
	__u32 l3 = INNER_ETHERNET_LEN;
	const __u8 *eth = inner_at(p, end, 0, INNER_ETHERNET_LEN);

	if (!eth)
		return FATE_PASSED;
	__u16 type = wire_u16(eth + 12);
	for (int i = 0; i < 2 && inner_is_vlan(type); i++, l3 += 4) {
		const __u8 *tag = inner_at(p, end, l3, 4);
		if (!tag)
			return FATE_PASSED;
		type = wire_u16(tag + 2);
	}
	if (type == 0x0800)
		steer_outer_ipv4(p, end, l3, &ip, out);
	else if (type == 0x86dd)
		steer_outer_ipv6(p, end, l3, &ip, out);
	if (!ip.is_udp)
		return FATE_PASSED;

	ip.udp = inner_forget(ip.udp, p);
	const __u8 *udp = ip.has_ports ? inner_at(p, end, ip.udp, STEER_UDP_LEN) : 0;
	if (ip.has_ports && (!udp || wire_u16(udp + 2) != port))
		return FATE_PASSED;
	if (ip.fragment || !udp)
		return FATE_OUTER_FRAGMENT;
	const __u32 len = steer_udp_len(&ip, wire_u16(udp + 4), frame_len);
	const __u8 *vxlan = inner_at(p, end, ip.udp + STEER_UDP_LEN, STEER_VXLAN_LEN);
	if (!vxlan || len < STEER_UDP_LEN + STEER_VXLAN_LEN || !(vxlan[0] & 0x08))
		return FATE_BAD_VXLAN;
	out->vni = wire_u24(vxlan + 4);
	out->inner = (__u16)(ip.udp + STEER_UDP_LEN + STEER_VXLAN_LEN);
	out->inner_len = len - STEER_UDP_LEN - STEER_VXLAN_LEN;
	return STEER_OURS;
}
