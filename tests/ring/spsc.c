/*
 * spsc: base/ring.h between two threads: nothing lost, nothing twice, in order. Made for
 * ThreadSanitizer: what a push published, the pop sees whole.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/ring.h"

#define SLOTS 8 /* few, so that both ends are met often */
#define ITEMS 200000u

static struct ring ring;
static uint32_t items[ITEMS]; /* plain memory: the ring alone orders it */

static void *produce(void *arg)
{
	(void)arg;
	for (uint32_t i = 0; i < ITEMS; i++) {
		items[i] = i + 1;
		while (!ring_push(&ring, &items[i]))
			sched_yield();
	}
	return NULL;
}

static void require(bool kept, const char *claim)
{
	if (kept)
		return;
	(void)fprintf(stderr, "spsc: %s\n", claim);
	exit(1);
}

static void check_alone(void)
{
	uint32_t x[SLOTS + 1];

	require(!ring_pop(&ring), "a new ring is empty");
	for (int i = 0; i < SLOTS; i++)
		require(ring_push(&ring, &x[i]), "a ring takes as many as it has slots");
	require(!ring_push(&ring, &x[SLOTS]), "a full ring takes no more");
	require(ring_count(&ring) == SLOTS, "the count is that of the items");
	for (int i = 0; i < SLOTS; i++)
		require(ring_pop(&ring) == &x[i], "items come in order");
	require(!ring_pop(&ring) && !ring_count(&ring), "an emptied ring is empty");
}

int main(void)
{
	void *slots[SLOTS];
	pthread_t producer;

	ring_init(&ring, slots, SLOTS);
	check_alone();
	require(!pthread_create(&producer, NULL, produce, NULL), "a thread starts");
	for (uint32_t i = 0; i < ITEMS;) {
		const uint32_t *item = ring_pop(&ring);
		require(ring_count(&ring) <= SLOTS, "never more items than slots");
		if (!item) {
			sched_yield();
			continue;
		}
		require(item == &items[i] && *item == i + 1, "each item once, in order, whole");
		i++;
	}
	(void)pthread_join(producer, NULL);
	require(!ring_pop(&ring), "nothing is left");
	return 0;
}
