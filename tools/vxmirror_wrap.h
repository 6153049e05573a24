/*
 * vxmirror_wrap: one inner frame into the packet that VPC Traffic Mirroring makes of it.
 *
 *   Ethernet 14 | IPv4 20: TOS 0, ID 0, no DF, TTL 254 | UDP 8: to 4789, no checksum | VXLAN 8 |
 * inner
 *
 * Pure. The outer fields are those seen on mirrors of 2019 and 2025.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MIRROR_OVERHEAD 50u
/* IPv4's total length holds 65,535 bytes, outer IPv4, UDP and VXLAN among them. */
#define MIRROR_INNER_MAX (65535u - 20 - 8 - 8)
#define MIRROR_FRAME_MAX (MIRROR_OVERHEAD + MIRROR_INNER_MAX)

struct mirror {
	uint32_t vni;      /* of session 0; session k has vni + k */
	uint8_t source[4]; /* of session 0; session k has another last byte, see mirror_wrap */
	uint8_t target[4];
	uint8_t source_mac[6], target_mac[6];
	uint32_t sessions;      /* at least 1 */
	uint32_t packet_length; /* bytes kept of each inner frame; UINT32_MAX: all */
	bool is_asymmetric;     /* the two directions of a flow get different source ports */
	uint64_t seed;
};

/* Bytes of an inner frame of len that are mirrored; more than MIRROR_INNER_MAX cannot be wrapped.
 */
uint32_t mirror_cut(const struct mirror *m, uint32_t len);

/* Writes MIRROR_OVERHEAD + len bytes to out and returns their number. The flow's session k is a
 * hash of its endpoints; k mod 250 is added to the last byte of the source address, which wraps
 * from 254 to 1. At the far end of its connection the flow is in session k + sessions. Source
 * port: 65408 plus 7 bits of the hash. */
size_t mirror_wrap(uint8_t *out, const struct mirror *m, const uint8_t *inner, uint32_t len,
		   bool is_far_end);
