/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * steer: picks the mirrored packets out of an interface's traffic and gives each to its worker.
 *
 * Anything that is not plainly ours goes on to the kernel's stack untouched. Ours is VXLAN to one
 * of the interface's own addresses from an allowed source. Every packet is counted as seen, and as
 * its fate unless a worker gets it.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "abi.h"
#include "reason.h"
#include "steer.h"

_Static_assert(FATE_MAX <= STEER_FATES, "counters have room for every fate");

const volatile __u16 port;
const volatile __u32 queues, workers;
const volatile __u64 credit;        /* chunks that one (queue, worker) may hold */
const volatile __u64 packet_chunks; /* of one packet, at most: 1 without multi-buffer sockets */
const volatile __u8 allow_every_source;
const volatile struct siphash_key key;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, STEER_CPUS_MAX);
	__type(key, __u32);
	__type(value, struct steer_counters);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, STEER_SOCKETS_MAX);
	__type(key, __u32);
	__type(value, struct credit_given);
} given SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, STEER_SOCKETS_MAX);
	__type(key, __u32);
	__type(value, struct credit_taken);
} taken SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, STEER_SOCKETS_MAX);
	__type(key, __u32);
	__type(value, __u32);
} sockets SEC(".maps");

/* The interface's own addresses; user space follows them by netlink. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, STEER_ADDRESSES_MAX);
	__type(key, struct address);
	__type(value, __u8);
} own SEC(".maps");

struct prefix {
	__u32 len;
	struct address address;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, STEER_ALLOWED_MAX);
	__type(key, struct prefix);
	__type(value, __u8);
} allowed SEC(".maps");

static __always_inline int source_is_allowed(const struct steer_outer *outer)
{
	struct prefix source = {.len = 128, .address = outer->source};

	return allow_every_source || bpf_map_lookup_elem(&allowed, &source);
}

/* STEER_OURS, or the fate of a packet that stays with the kernel. */
static __always_inline int judge(const __u8 *p, const __u8 *end, __u32 frame_len,
				 struct steer_outer *outer)
{
	int verdict = steer_outer_parse(p, end, frame_len, port, outer);

	if (verdict == FATE_PASSED || !bpf_map_lookup_elem(&own, &outer->target))
		return FATE_PASSED;
	if (verdict == STEER_OURS && !source_is_allowed(outer))
		return FATE_NOT_ALLOWED;
	return verdict;
}

/* Takes the chunks that frame_len needs from the worker's credit, before the kernel copies a byte.
 * The add is atomic because generic mode runs the program on several CPUs for one queue. */
static __always_inline int credit_take(__u32 socket, __u64 chunks)
{
	struct credit_given *g = bpf_map_lookup_elem(&given, &socket);
	const volatile struct credit_taken *t = bpf_map_lookup_elem(&taken, &socket);
	__u64 before;

	if (!g || !t)
		return 0;
	before = __sync_fetch_and_add(&g->chunks, chunks);
	if (before + chunks - t->chunks - t->lost > credit) {
		__sync_fetch_and_add(&g->chunks, -chunks);
		return 0;
	}
	__sync_fetch_and_add(&g->packets, 1);
	return 1;
}

static __always_inline void credit_return(__u32 socket, __u64 chunks)
{
	struct credit_given *g = bpf_map_lookup_elem(&given, &socket);

	if (!g)
		return;
	__sync_fetch_and_add(&g->chunks, -chunks);
	__sync_fetch_and_add(&g->packets, -1);
}

/* Grows the frame at its head and fills in what every worker would otherwise find out again. */
static __always_inline int header_push(struct xdp_md *ctx, const struct steer_header *header)
{
	struct steer_header *h;

	if (bpf_xdp_adjust_head(ctx, -(int)sizeof(*h)))
		return 0;
	h = (void *)(long)ctx->data;
	if ((void *)(h + 1) > (void *)(long)ctx->data_end)
		return 0;
	*h = *header;
	return 1;
}

SEC("xdp.frags")
int steer(struct xdp_md *ctx)
{
	const __u8 *p = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 cpu = bpf_get_smp_processor_id(), queue = ctx->rx_queue_index;
	struct steer_counters *c = bpf_map_lookup_elem(&counters, &cpu);
	struct steer_header header = {.magic = STEER_MAGIC, .queue = queue};
	struct steer_outer outer = {};
	struct siphash_key k = {{key.word[0], key.word[1]}};
	__u64 chunks;
	__u32 socket;
	int verdict;

	if (!c)
		return XDP_PASS;
	c->seen++;
	header.frame_len = bpf_xdp_get_buff_len(ctx);
	verdict = judge(p, end, header.frame_len, &outer);
	if (verdict != STEER_OURS) {
		c->fate[verdict & (STEER_FATES - 1)]++;
		return XDP_PASS;
	}

	header.hash = steer_hash(&k, &outer, p + (outer.inner & 0x1ff), end);
	socket = queue * workers + steer_worker(header.hash, workers);
	/* Looked up before anything is changed, so that what goes to the kernel is untouched. */
	if (queue >= queues || bpf_redirect_map(&sockets, socket, XDP_PASS) != XDP_REDIRECT) {
		c->fate[FATE_NO_SOCKET]++;
		return XDP_PASS;
	}
	chunks = steer_cost(header.frame_len);
	if (chunks > packet_chunks) {
		c->fate[FATE_TOO_LARGE]++;
		return XDP_PASS;
	}
	if (!credit_take(socket, chunks)) {
		c->fate[FATE_WORKER_FULL]++;
		return XDP_DROP;
	}
	header.time_ns = bpf_ktime_get_ns();
	header.source = outer.source;
	header.vni = outer.vni;
	header.inner = outer.inner;
	header.inner_len = outer.inner_len;
	if (!header_push(ctx, &header)) {
		credit_return(socket, chunks);
		c->fate[FATE_NO_SOCKET]++;
		return XDP_PASS;
	}
	return XDP_REDIRECT;
}

char _license[] SEC("license") = "Dual BSD/GPL";
