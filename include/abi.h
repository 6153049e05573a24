/*
 * abi: what the XDP program and user space agree on. Fixed-width fields, explicit padding.
 */
#pragma once

#include <linux/types.h>

/* An IPv4 address is kept as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2), in network byte order. */
struct address {
	__u8 byte[16];
};

/* "vxpr": steer.bpf.c writes it, decap checks it; other bytes mean that the frame is not ours. */
#define STEER_MAGIC 0x76787072u

/*
 * What the XDP program puts in front of every frame that it redirects:
 *
 *   | steer_header | outer Ethernet ... VXLAN | inner frame |
 */
struct steer_header {
	__u32 magic;
	__u32 hash;            /* keyed, over the sorted inner endpoints inside the session */
	__u64 time_ns;         /* CLOCK_MONOTONIC when XDP saw the packet */
	struct address source; /* outer source address */
	__u32 vni;
	__u32 frame_len; /* bytes from the outer Ethernet header on, over all buffers */
	__u16 inner;     /* offset of the inner frame from the outer Ethernet header */
	__u16 queue;     /* RX queue */
	__u32 inner_len; /* of the inner frame, by the outer UDP length and what is there */
};
_Static_assert(sizeof(struct steer_header) == 48, "the header's layout is part of the interface");

/* Credits of one (RX queue, worker), in UMEM chunks: XDP redirects only while
 * given - taken - lost + need <= limit. A line of cache each. */
struct credit_given {
	__u64 chunks;
	__u64 packets;
	__u64 pad[6];
};
struct credit_taken {
	__u64 chunks; /* worker: back in the fill ring */
	__u64 lost; /* control: dropped by the kernel after the redirect, taken as one chunk each */
	__u64 pad[6];
};
_Static_assert(sizeof(struct credit_given) == 64 && sizeof(struct credit_taken) == 64, "one line");

/* One CPU's counters of the XDP program; fate[] as enum fate of reason.h counts them. */
#define STEER_FATES 32
struct steer_counters {
	__u64 seen; /* every packet that the program ran on */
	__u64 pad[7];
	__u64 fate[STEER_FATES];
};

#define STEER_QUEUES_MAX    64
#define STEER_WORKERS_MAX   32
#define STEER_SOCKETS_MAX   (STEER_QUEUES_MAX * STEER_WORKERS_MAX)
#define STEER_CPUS_MAX      512
#define STEER_ADDRESSES_MAX 256  /* of the interface itself */
#define STEER_ALLOWED_MAX   1024 /* prefixes of allowed sources */

/* 4096: ENA zero-copy takes no other (ena_xsk_pool_enable); the kernel keeps 256 of it as headroom.
 */
#define STEER_CHUNK      4096u
#define STEER_CHUNK_DATA (STEER_CHUNK - 256u)
/* What a frame of so many bytes costs: its chunks, with the header in front, as copy mode cuts it.
 */
static inline __attribute__((always_inline, unused)) __u64 steer_cost(__u32 frame_len)
{
	return (frame_len + sizeof(struct steer_header) + STEER_CHUNK_DATA - 1) / STEER_CHUNK_DATA;
}

/* Chunks of one packet: 64 KiB, what an IP length field can say, take 18. */
#define STEER_PACKET_CHUNKS_MAX 18
