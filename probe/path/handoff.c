#include "path/handoff.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/ring.h"

int bell_init(struct bell *bell, struct err *err)
{
	atomic_init(&bell->is_waiting, false);
	bell->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return bell->fd < 0 ? err_set(err, -errno, "cannot make an eventfd: %s", strerror(errno))
			    : 0;
}

void bell_fini(struct bell *bell)
{
	if (bell->fd >= 0)
		(void)close(bell->fd);
}

void bell_announce(struct bell *bell)
{
	/* Sequentially consistent: either the waiter sees the work, or the other side sees the
	 * waiter. Pairs with bell_ring. */
	atomic_store_explicit(&bell->is_waiting, true, memory_order_seq_cst);
	atomic_thread_fence(memory_order_seq_cst);
}

void bell_wait(struct bell *bell, int timeout_ms)
{
	struct pollfd p = {.fd = bell->fd, .events = POLLIN};
	uint64_t rung;

	if (poll(&p, 1, timeout_ms) > 0)
		(void)!read(bell->fd, &rung, sizeof(rung));
	bell_leave(bell);
}

void bell_leave(struct bell *bell)
{
	atomic_store_explicit(&bell->is_waiting, false, memory_order_relaxed);
}

void bell_ring(struct bell *bell)
{
	const uint64_t one = 1;

	atomic_thread_fence(memory_order_seq_cst); /* pairs with bell_announce */
	if (atomic_load_explicit(&bell->is_waiting, memory_order_relaxed))
		(void)!write(bell->fd, &one, sizeof(one));
}

struct handoff {
	/* const after open */
	struct handoff_config config;
	struct chunk *chunks;
	uint8_t *memory;
	void **slots;
	struct ring full, empty;
	/* worker */
	_Alignas(64) _Atomic uint64_t watermark;
	_Atomic uint32_t with_worker; /* worker alone writes */
	/* writer */
	_Alignas(64) _Atomic bool hungry; /* both write */
	_Atomic uint32_t with_writer;     /* writer alone writes */
};

static uint32_t slots_for(uint32_t chunks)
{
	uint32_t n = 1;

	while (n < chunks)
		n *= 2;
	return n;
}

size_t handoff_memory(const struct handoff_config *config)
{
	return sizeof(struct handoff) +
	       config->chunks * (config->chunk_len + sizeof(struct chunk)) +
	       2 * slots_for(config->chunks) * sizeof(void *);
}

int handoff_open(struct handoff **out, const struct handoff_config *config, struct err *err)
{
	const uint32_t n_slots = slots_for(config->chunks);
	struct handoff *h = aligned_alloc(64, sizeof(*h));

	if (!h)
		return err_set(err, -ENOMEM, "out of memory");
	memset(h, 0, sizeof(*h));
	h->config = *config;
	h->chunks = calloc(config->chunks, sizeof(*h->chunks));
	h->slots = calloc(2 * n_slots, sizeof(*h->slots));
	h->memory = malloc((size_t)config->chunks * config->chunk_len);
	if (!h->chunks || !h->slots || !h->memory) {
		handoff_close(h);
		return err_set(err, -ENOMEM, "out of memory for %u chunks of %u bytes",
			       config->chunks, config->chunk_len);
	}
	ring_init(&h->full, h->slots, n_slots);
	ring_init(&h->empty, h->slots + n_slots, n_slots);
	for (uint32_t i = 0; i < config->chunks; i++) {
		h->chunks[i] = (struct chunk){.data = h->memory + (size_t)i * config->chunk_len,
					      .cap = config->chunk_len};
		(void)ring_push(&h->empty, &h->chunks[i]);
	}
	*out = h;
	return 0;
}

void handoff_close(struct handoff *h)
{
	if (!h)
		return;
	free(h->chunks);
	free(h->slots);
	free(h->memory);
	free(h);
}

static void add(_Atomic uint32_t *count, int n)
{
	const uint32_t now = atomic_load_explicit(count, memory_order_relaxed);

	atomic_store_explicit(count, now + (uint32_t)n, memory_order_relaxed); /* one writer */
}

/* A ring has a place for every chunk there is. */
static void push(struct ring *ring, struct chunk **chunk)
{
	const bool ok = ring_push(ring, *chunk);

	assert(ok);
	(void)ok;
	*chunk = NULL;
}

struct chunk *handoff_take_empty(struct handoff *h)
{
	struct chunk *chunk = ring_pop(&h->empty);

	if (chunk) {
		chunk->len = 0;
		add(&h->with_worker, 1);
	}
	return chunk;
}

void handoff_give(struct handoff *h, struct chunk **chunk)
{
	add(&h->with_worker, -1);
	push(&h->full, chunk);
	atomic_store_explicit(&h->hungry, false, memory_order_relaxed);
	bell_ring(h->config.writer);
}

bool handoff_is_hungry(const struct handoff *h)
{
	return atomic_load_explicit(&h->hungry, memory_order_relaxed);
}

void handoff_set_watermark(struct handoff *h, uint64_t time_ns)
{
	if (time_ns <= atomic_load_explicit(&h->watermark, memory_order_relaxed))
		return;
	/* Release: chunks given before are found; pairs with handoff_watermark. */
	atomic_store_explicit(&h->watermark, time_ns, memory_order_release);
	bell_ring(h->config.writer);
}

uint64_t handoff_watermark(const struct handoff *h)
{
	return atomic_load_explicit(&h->watermark,
				    memory_order_acquire); /* pairs with the setter */
}

struct chunk *handoff_take_full(struct handoff *h)
{
	struct chunk *chunk = ring_pop(&h->full);

	if (chunk)
		add(&h->with_writer, 1);
	return chunk;
}

void handoff_put_back(struct handoff *h, struct chunk **chunk)
{
	add(&h->with_writer, -1);
	push(&h->empty, chunk);
	bell_ring(h->config.worker);
}

void handoff_set_hungry(struct handoff *h)
{
	atomic_store_explicit(&h->hungry, true, memory_order_relaxed);
}

struct handoff_places handoff_count(const struct handoff *h)
{
	return (struct handoff_places){
		.worker = atomic_load_explicit(&h->with_worker, memory_order_relaxed),
		.full = ring_count(&h->full),
		.writer = atomic_load_explicit(&h->with_writer, memory_order_relaxed),
		.empty = ring_count(&h->empty)};
}
