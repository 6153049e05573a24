/*
 * handoff: path/handoff.h between a worker and a writer thread that both sleep at their bells. Made
 * for ThreadSanitizer. A wake-up that is missed makes it slow and so fail: see PATIENCE.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "path/handoff.h"

#define CHUNKS   4
#define GIVEN    50000u
#define WAIT_MS  1000
#define PATIENCE 5 /* waits that may end by their timeout, on a machine busy with other things */

static struct bell worker, writer;
static struct handoff *handoff;
static unsigned timeouts; /* of the worker; read after its end */

static void require(bool kept, const char *claim)
{
	if (kept)
		return;
	(void)fprintf(stderr, "handoff: %s\n", claim);
	exit(1);
}

/* Returns 1 if the time ran out, else 0. */
static unsigned wait_at(struct bell *bell)
{
	const uint64_t start_ns = clock_monotonic_ns();

	bell_wait(bell, WAIT_MS);
	return clock_monotonic_ns() - start_ns >= WAIT_MS * UINT64_C(1000000);
}

/* As a lossless worker does it: announce, look once more, wait. */
static struct chunk *next_empty(void)
{
	struct bell *bell = &worker;
	struct chunk *chunk;

	while (!(chunk = handoff_take_empty(handoff))) {
		bell_announce(bell);
		chunk = handoff_take_empty(handoff);
		if (chunk) {
			bell_leave(bell);
			return chunk;
		}
		timeouts += wait_at(bell);
	}
	return chunk;
}

/* Chunk i holds i and has time i; the watermark follows. */
static void *work(void *arg)
{
	(void)arg;
	for (uint32_t i = 1; i <= GIVEN; i++) {
		struct chunk *chunk = next_empty();
		memcpy(chunk->data, &i, sizeof(i));
		chunk->len = sizeof(i);
		handoff_give(handoff, &chunk);
		if (handoff_is_hungry(handoff) || i % 3 == 0)
			handoff_set_watermark(handoff, i);
	}
	handoff_set_watermark(handoff, UINT64_MAX);
	return NULL;
}

static void check_chunk(struct chunk *chunk, uint32_t i)
{
	uint32_t value;

	memcpy(&value, chunk->data, sizeof(value));
	require(chunk->len == sizeof(value) && value == i, "each chunk once, in order, whole");
	handoff_put_back(handoff, &chunk);
}

/* Takes all there is. False: the worker has ended. */
static bool drain(uint32_t *taken)
{
	for (;;) {
		const uint64_t watermark = handoff_watermark(handoff);
		struct chunk *chunk = handoff_take_full(handoff);
		if (chunk) {
			check_chunk(chunk, ++*taken);
			continue;
		}
		require(watermark == UINT64_MAX || watermark <= *taken,
			"without a chunk nothing earlier than the watermark is left");
		return watermark != UINT64_MAX;
	}
}

int main(void)
{
	const struct handoff_config config = {
		.chunks = CHUNKS, .chunk_len = 64, .worker = &worker, .writer = &writer};
	unsigned writer_timeouts = 0;
	uint32_t taken = 0;
	pthread_t thread;
	struct err err;

	require(!bell_init(&worker, &err) && !bell_init(&writer, &err) &&
			!handoff_open(&handoff, &config, &err),
		"it opens");
	require(!pthread_create(&thread, NULL, work, NULL), "a thread starts");
	while (drain(&taken)) {
		handoff_set_hungry(handoff);
		bell_announce(&writer);
		const uint32_t before = taken;
		if (!drain(&taken) || taken != before)
			bell_leave(&writer);
		else
			writer_timeouts += wait_at(&writer);
	}
	(void)pthread_join(thread, NULL);
	const struct handoff_places p = handoff_count(handoff);
	require(taken == GIVEN, "all chunks came");
	require(p.empty == CHUNKS && !p.worker && !p.full && !p.writer, "all are empty again");
	require(timeouts + writer_timeouts < PATIENCE, "nobody sleeps while there is work");
	handoff_close(handoff);
	bell_fini(&writer);
	return 0;
}
