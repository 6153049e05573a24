/*
 * ring: a bounded queue of pointers between one producer and one consumer thread. Never blocks.
 *
 * The caller gives the memory of the slots; 2^n of them.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ring {
	/* const after init */
	void **slot;
	uint32_t mask;
	/* producer */
	_Alignas(64) _Atomic uint32_t head;
	uint32_t tail_seen;
	/* consumer */
	_Alignas(64) _Atomic uint32_t tail;
	uint32_t head_seen;
};

static inline void ring_init(struct ring *r, void **slots, uint32_t n)
{
	*r = (struct ring){.slot = slots, .mask = n - 1};
}

/* Producer. False: full. */
static inline bool ring_push(struct ring *r, void *item)
{
	const uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

	if (head - r->tail_seen > r->mask) {
		/* The slot is free again; pairs with ring_pop. */
		r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
		if (head - r->tail_seen > r->mask)
			return false;
	}
	r->slot[head & r->mask] = item;
	/* Publishes the slot; pairs with ring_pop. */
	atomic_store_explicit(&r->head, head + 1, memory_order_release);
	return true;
}

/* Consumer. NULL: empty. */
static inline void *ring_pop(struct ring *r)
{
	const uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	if (tail == r->head_seen) {
		/* The slot is written; pairs with ring_push. */
		r->head_seen = atomic_load_explicit(&r->head, memory_order_acquire);
		if (tail == r->head_seen)
			return NULL;
	}
	void *item = r->slot[tail & r->mask];
	/* The slot may be written again; pairs with ring_push. */
	atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
	return item;
}

/* Any thread; exact when both sides are at rest. */
static inline uint32_t ring_count(const struct ring *r)
{
	return atomic_load_explicit(&r->head, memory_order_relaxed) -
	       atomic_load_explicit(&r->tail, memory_order_relaxed);
}
