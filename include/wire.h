/*
 * wire: big-endian fields of a packet, read byte by byte: no alignment, no cast.
 *
 * The caller has checked that the bytes are there.
 */
#pragma once

#include <linux/types.h>

#define WIRE_INLINE static inline __attribute__((always_inline, unused))

WIRE_INLINE __u16 wire_u16(const __u8 *p)
{
	return (__u16)(p[0] << 8 | p[1]);
}

WIRE_INLINE __u32 wire_u24(const __u8 *p)
{
	return (__u32)p[0] << 16 | (__u32)p[1] << 8 | p[2];
}

WIRE_INLINE __u32 wire_u32(const __u8 *p)
{
	return (__u32)p[0] << 24 | (__u32)p[1] << 16 | (__u32)p[2] << 8 | p[3];
}
