#include "path/capture_xdp.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <xdp/xsk.h>

#include "base/clock.h"

/* Kernel 6.6; Debian 12's headers are of 6.1. */
#ifndef XDP_PKT_CONTD
#define XDP_PKT_CONTD (1 << 0)
#endif

/* Longest nap while a frame waits for its slack to pass. */
#define NAP_NS 1000000u

struct xdp_queue {
	_Alignas(64) atomic_flag fill_is_taken;
	struct xsk_ring_prod fill;
	const uint8_t *umem;
	struct xsk_ring_cons *rx[STEER_WORKERS_MAX]; /* for statistics alone */
	int socket[STEER_WORKERS_MAX];
};

struct xdp_queues {
	struct attach_facts facts;
	struct credit_taken *taken;
	atomic_bool stopping;
	struct xdp_queue queue[];
};

/*
 * One RX ring. All four are indices that run on for ever:
 *
 *   tail <= done <= head <= end
 *   [tail, done) released, its chunks not yet in the fill ring; [done, head) lent; [head, end)
 * waiting
 */
struct xdp_ring {
	struct xsk_ring_cons rx;
	struct credit_taken *taken;
	uint32_t tail, done, head, end;
};

struct capture_xdp {
	struct capture capture;
	struct xdp_queues *queues;
	uint64_t slack_ns, sequence, last_ns;
	struct pollfd poll[STEER_QUEUES_MAX];
	struct xdp_ring ring[STEER_QUEUES_MAX];
};

/* ---- rings mapped from their sockets, as libxdp would have ---- */

static void *map_ring(int socket, size_t len, off_t offset)
{
	void *p =
		mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, socket, offset);

	return p == MAP_FAILED ? NULL : p;
}

static uint32_t *at(void *map, uint64_t offset)
{
	return (uint32_t *)(void *)((uint8_t *)map + offset);
}

static int map_fill(struct xsk_ring_prod *fill, int socket, uint32_t size)
{
	struct xdp_mmap_offsets off;
	socklen_t len = sizeof(off);

	if (getsockopt(socket, SOL_XDP, XDP_MMAP_OFFSETS, &off, &len))
		return -errno;
	void *map =
		map_ring(socket, off.fr.desc + size * sizeof(uint64_t), XDP_UMEM_PGOFF_FILL_RING);
	if (!map)
		return -errno;
	*fill = (struct xsk_ring_prod){.mask = size - 1,
				       .size = size,
				       .producer = at(map, off.fr.producer),
				       .consumer = at(map, off.fr.consumer),
				       .flags = at(map, off.fr.flags),
				       .ring = at(map, off.fr.desc)};
	fill->cached_prod = *fill->producer;
	fill->cached_cons = *fill->consumer + size;
	return 0;
}

static int map_rx(struct xsk_ring_cons *rx, int socket, uint32_t size)
{
	struct xdp_mmap_offsets off;
	socklen_t len = sizeof(off);

	if (getsockopt(socket, SOL_XDP, XDP_MMAP_OFFSETS, &off, &len))
		return -errno;
	void *map =
		map_ring(socket, off.rx.desc + size * sizeof(struct xdp_desc), XDP_PGOFF_RX_RING);
	if (!map)
		return -errno;
	*rx = (struct xsk_ring_cons){.mask = size - 1,
				     .size = size,
				     .producer = at(map, off.rx.producer),
				     .consumer = at(map, off.rx.consumer),
				     .flags = at(map, off.rx.flags),
				     .ring = at(map, off.rx.desc)};
	rx->cached_prod = *rx->producer;
	rx->cached_cons = *rx->consumer;
	return 0;
}

int xdp_queues_open(struct xdp_queues **out, const struct attach_rings *rings, struct err *err)
{
	const uint32_t n = rings->facts.queues;
	struct xdp_queues *q = aligned_alloc(64, sizeof(*q) + n * sizeof(q->queue[0]));

	if (!q)
		return err_set(err, -ENOMEM, "out of memory");
	memset(q, 0, sizeof(*q) + n * sizeof(q->queue[0]));
	q->facts = rings->facts;
	q->taken = rings->taken;
	for (uint32_t i = 0; i < n; i++) {
		q->queue[i].umem = rings->queue[i].umem;
		memcpy(q->queue[i].socket, rings->queue[i].socket, sizeof(q->queue[i].socket));
		const int ret = map_fill(&q->queue[i].fill, q->queue[i].socket[0], q->facts.fill);
		if (ret) {
			free(q);
			return err_set(err, ret, "cannot map the fill ring of queue %u: %s", i,
				       strerror(-ret));
		}
	}
	*out = q;
	return 0;
}

void xdp_queues_close(struct xdp_queues *queues)
{
	free(queues);
}

void xdp_queues_stop(struct xdp_queues *queues)
{
	atomic_store_explicit(&queues->stopping, true,
			      memory_order_release); /* pairs with xdp_recv */
}

/* ---- lending ---- */

static const struct xdp_desc *desc(const struct xdp_ring *ring, uint32_t index)
{
	return xsk_ring_cons__rx_desc(&ring->rx, index);
}

static bool is_continued(const struct xdp_desc *d)
{
	return d->options & XDP_PKT_CONTD;
}

static const struct steer_header *header_at(const struct capture_xdp *c, unsigned queue)
{
	const struct xdp_ring *ring = &c->ring[queue];

	return (const void *)(c->queues->queue[queue].umem + desc(ring, ring->head)->addr);
}

static bool has_waiting(const struct xdp_ring *ring)
{
	return ring->head != ring->end;
}

static void peek_all(struct capture_xdp *c)
{
	for (unsigned q = 0; q < c->queues->facts.queues; q++) {
		struct xdp_ring *ring = &c->ring[q];
		uint32_t index;
		ring->end += xsk_ring_cons__peek(&ring->rx, ring->rx.size, &index);
	}
}

/* Descriptors of the packet at head, which the kernel publishes together. */
static uint32_t packet_descs(const struct xdp_ring *ring)
{
	uint32_t n = 1;

	while (ring->head + n != ring->end && is_continued(desc(ring, ring->head + n - 1)))
		n++;
	return n;
}

static void lend(struct capture_xdp *c, unsigned queue, uint32_t n, struct batch *batch)
{
	struct xdp_ring *ring = &c->ring[queue];
	const struct steer_header *header = header_at(c, queue);
	const uint8_t *umem = c->queues->queue[queue].umem;
	const uint32_t len = desc(ring, ring->head)->len;
	struct frame *f = &batch->frame[batch->n++];

	*f = (struct frame){.data = (const uint8_t *)(header + 1),
			    .steer = header,
			    .len = len > sizeof(*header) ? len - (uint32_t)sizeof(*header) : 0,
			    .more = (uint16_t)batch->n_segments,
			    .n_more = (uint16_t)(n - 1),
			    .time_ns = header->time_ns,
			    .sequence = c->sequence++};
	for (uint32_t i = 1; i < n; i++) {
		const struct xdp_desc *d = desc(ring, ring->head + i);
		batch->segment[batch->n_segments++] = (struct segment){umem + d->addr, d->len};
	}
	ring->head += n;
	if (f->time_ns > c->last_ns)
		c->last_ns = f->time_ns;
}

/* The queue whose next frame is the earliest, or -1. *all_have: no queue is without one. */
static int earliest(const struct capture_xdp *c, bool *all_have)
{
	uint64_t least = UINT64_MAX;
	int queue = -1;

	*all_have = true;
	for (unsigned q = 0; q < c->queues->facts.queues; q++) {
		if (!has_waiting(&c->ring[q])) {
			*all_have = false;
			continue;
		}
		const uint64_t time_ns = header_at(c, q)->time_ns;
		if (time_ns < least) {
			least = time_ns;
			queue = (int)q;
		}
	}
	return queue;
}

/* A ring more than half full is not kept waiting: order is worth less than the packets. */
static bool is_pressed(const struct capture_xdp *c)
{
	for (unsigned q = 0; q < c->queues->facts.queues; q++)
		if (c->ring[q].end - c->ring[q].tail > c->ring[q].rx.size / 2)
			return true;
	return false;
}

static void lend_in_order(struct capture_xdp *c, struct batch *batch, uint64_t now_ns)
{
	const bool pressed = is_pressed(c);
	bool all_have;
	int queue;

	while (batch->n < BATCH_MAX && (queue = earliest(c, &all_have)) >= 0) {
		const struct xdp_ring *ring = &c->ring[queue];
		const uint32_t n = packet_descs(ring);
		if (!all_have && !pressed &&
		    header_at(c, (unsigned)queue)->time_ns + c->slack_ns > now_ns)
			return;
		if (batch->n_segments + n - 1 > BATCH_SEGMENTS)
			return;
		lend(c, (unsigned)queue, n, batch);
	}
}

/* ---- giving back ---- */

/* What XDP charged for the packets of [tail, done); zero-copy may have cut them otherwise. */
static uint64_t cost_of_done(const struct capture_xdp *c, unsigned queue)
{
	const struct xdp_ring *ring = &c->ring[queue];
	bool is_first = true;
	uint64_t cost = 0;

	for (uint32_t i = ring->tail; i != ring->done; i++) {
		const struct xdp_desc *d = desc(ring, i);
		const struct steer_header *h =
			(const void *)(c->queues->queue[queue].umem + d->addr);
		cost += is_first ? steer_cost(h->frame_len) : 0;
		is_first = !is_continued(d);
	}
	return cost;
}

/* Chunks of [tail, done) into the fill ring, unless another worker is at it. */
static void refill(struct capture_xdp *c, unsigned queue)
{
	struct xdp_queue *q = &c->queues->queue[queue];
	struct xdp_ring *ring = &c->ring[queue];
	const uint32_t n = ring->done - ring->tail;
	uint32_t index;

	if (!n || atomic_flag_test_and_set_explicit(&q->fill_is_taken, memory_order_acquire))
		return;                               /* acquire pairs with the clear below */
	const uint64_t cost = cost_of_done(c, queue); /* before the kernel writes there again */
	const uint32_t room = xsk_ring_prod__reserve(&q->fill, n, &index);
	assert(room == n); /* the fill ring has a place for every chunk of the queue */
	for (uint32_t i = 0; i < n; i++)
		*xsk_ring_prod__fill_addr(&q->fill, index + i) =
			desc(ring, ring->tail + i)->addr & ~(uint64_t)(STEER_CHUNK - 1);
	xsk_ring_prod__submit(&q->fill, n);
	atomic_flag_clear_explicit(&q->fill_is_taken, memory_order_release);
	xsk_ring_cons__release(&ring->rx, n);
	ring->tail = ring->done;
	/* Only now may XDP give as many again. Single writer; XDP reads it at any time. */
	__atomic_store_n(&ring->taken->chunks, ring->taken->chunks + cost, __ATOMIC_RELEASE);
}

static void refill_all(struct capture_xdp *c)
{
	for (unsigned q = 0; q < c->queues->facts.queues; q++) {
		refill(c, q);
		/* Zero-copy: the driver found the fill ring empty and waits to be told. */
		if (xsk_ring_prod__needs_wakeup(&c->queues->queue[q].fill))
			(void)recvfrom(c->poll[q].fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
	}
}

static void xdp_release(struct capture *capture, const struct batch *batch)
{
	struct capture_xdp *c = (struct capture_xdp *)capture;

	(void)batch; /* all of the one batch that is out */
	for (unsigned q = 0; q < c->queues->facts.queues; q++)
		c->ring[q].done = c->ring[q].head;
	refill_all(c);
}

/* ---- waiting ---- */

/* poll returns at once while a ring holds anything, even what waits for its slack: nap then. */
static void wait_for_more(struct capture_xdp *c, uint64_t now_ns, int wait_ms)
{
	bool all_have;
	const int queue = earliest(c, &all_have);

	if (queue < 0) {
		(void)poll(c->poll, c->queues->facts.queues, wait_ms);
		return;
	}
	const uint64_t ready_ns = header_at(c, (unsigned)queue)->time_ns + c->slack_ns;
	const uint64_t left_ns = ready_ns > now_ns ? ready_ns - now_ns : 0;
	clock_nap(left_ns < NAP_NS ? left_ns : NAP_NS);
}

static bool is_over(const struct capture_xdp *c)
{
	for (unsigned q = 0; q < c->queues->facts.queues; q++)
		if (has_waiting(&c->ring[q]))
			return false;
	return true;
}

/* No frame that is lent later is earlier than this: neither one that waits in a ring because the
 * batch is full, nor one that is still to come. */
static uint64_t watermark(const struct capture_xdp *c, uint64_t now_ns)
{
	uint64_t horizon_ns = now_ns > c->slack_ns ? now_ns - c->slack_ns : 0;
	bool all_have;
	const int queue = earliest(c, &all_have);

	if (queue >= 0 && header_at(c, (unsigned)queue)->time_ns < horizon_ns)
		horizon_ns = header_at(c, (unsigned)queue)->time_ns;
	return c->last_ns > horizon_ns ? c->last_ns : horizon_ns;
}

static void fill_batch(struct capture_xdp *c, struct batch *batch, uint64_t now_ns)
{
	peek_all(c);
	lend_in_order(c, batch, now_ns);
	batch->clock_ns = watermark(c, now_ns);
}

static int xdp_recv(struct capture *capture, struct batch *batch, int wait_ms)
{
	struct capture_xdp *c = (struct capture_xdp *)capture;
	/* Asked before the rings are: what came before the stop is then seen. Pairs with the stop.
	 */
	const bool stopping = atomic_load_explicit(&c->queues->stopping, memory_order_acquire);
	uint64_t now_ns = clock_monotonic_ns();

	batch->n = batch->n_segments = 0;
	refill_all(c);
	fill_batch(c, batch, now_ns);
	if (batch->n)
		return 0;
	if (stopping && is_over(c))
		return -ENODATA;
	wait_for_more(c, now_ns, wait_ms);
	fill_batch(c, batch, clock_monotonic_ns());
	return 0;
}

static void xdp_close(struct capture *capture)
{
	free(capture);
}

int capture_xdp_open(struct capture **out, struct xdp_queues *queues, unsigned worker,
		     uint64_t slack_ns, struct err *err)
{
	static const struct capture_ops ops = {xdp_recv, xdp_release, xdp_close};
	struct capture_xdp *c = calloc(1, sizeof(*c));

	if (!c)
		return err_set(err, -ENOMEM, "out of memory");
	c->capture = (struct capture){.ops = &ops, .is_live = true};
	c->queues = queues;
	c->slack_ns = slack_ns;
	for (unsigned q = 0; q < queues->facts.queues; q++) {
		struct xdp_ring *ring = &c->ring[q];
		const int socket = queues->queue[q].socket[worker];
		const int ret = map_rx(&ring->rx, socket, queues->facts.ring);
		if (ret) {
			free(c);
			return err_set(err, ret, "cannot map the RX ring of queue %u: %s", q,
				       strerror(-ret));
		}
		ring->tail = ring->done = ring->head = ring->end = ring->rx.cached_cons;
		ring->taken = &queues->taken[q * queues->facts.workers + worker];
		c->poll[q] = (struct pollfd){.fd = socket, .events = POLLIN};
		queues->queue[q].rx[worker] = &ring->rx;
	}
	*out = &c->capture;
	return 0;
}

/* ---- statistics ---- */

static uint32_t load(const uint32_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE); /* pairs with the ring's other side */
}

void xdp_queue_settle(struct xdp_queues *queues, unsigned queue, struct xdp_queue_stats *out)
{
	const struct xdp_queue *q = &queues->queue[queue];
	uint32_t received = 0;

	*out = (struct xdp_queue_stats){0};
	for (unsigned w = 0; w < queues->facts.workers; w++) {
		struct xdp_statistics s = {0};
		socklen_t len = sizeof(s);
		if (!getsockopt(q->socket[w], SOL_XDP, XDP_STATISTICS, &s, &len)) {
			out->ring_full += s.rx_ring_full;
			out->rx_dropped += s.rx_dropped;
			/* This thread alone writes it; XDP reads it at any time. */
			__atomic_store_n(&queues->taken[queue * queues->facts.workers + w].lost,
					 s.rx_ring_full + s.rx_dropped, __ATOMIC_RELEASE);
		}
		const uint32_t produced = load(q->rx[w]->producer);
		received += produced;
		out->in_rx += produced - load(q->rx[w]->consumer);
	}
	/* Read last: the kernel shows what it took from the fill ring after what it put into the RX
	 * rings, so that for a moment it seems to have put more than it took. */
	const uint32_t consumed = load(q->fill.consumer);
	const int32_t in_kernel = (int32_t)(consumed - received);
	out->in_kernel = in_kernel > 0 ? (uint32_t)in_kernel : 0;
	out->in_fill = load(q->fill.producer) - consumed;
}
