#include "path/handoff.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <string.h>

#define CHUNKS    5
#define CHUNK_LEN 1000

static struct bell worker, writer;
static struct handoff *handoff;

static void open_handoff(void)
{
	const struct handoff_config config = {
		.chunks = CHUNKS, .chunk_len = CHUNK_LEN, .worker = &worker, .writer = &writer};
	struct err err;

	cr_assert_eq(bell_init(&worker, &err), 0);
	cr_assert_eq(bell_init(&writer, &err), 0);
	cr_assert_eq(handoff_open(&handoff, &config, &err), 0);
}

static void close_handoff(void)
{
	handoff_close(handoff);
	bell_fini(&worker);
	bell_fini(&writer);
}

TestSuite(handoff, .init = open_handoff, .fini = close_handoff);

static void assert_places(uint32_t with_worker, uint32_t full, uint32_t with_writer, uint32_t empty)
{
	const struct handoff_places p = handoff_count(handoff);

	cr_assert_eq(p.worker, with_worker);
	cr_assert_eq(p.full, full);
	cr_assert_eq(p.writer, with_writer);
	cr_assert_eq(p.empty, empty);
	cr_assert_eq(p.worker + p.full + p.writer + p.empty, CHUNKS);
}

static void give_one(void)
{
	struct chunk *chunk = handoff_take_empty(handoff);

	cr_assert_not_null(chunk);
	handoff_give(handoff, &chunk);
	cr_assert_null(chunk);
}

static bool was_rung(struct bell *bell)
{
	struct pollfd p = {.fd = bell->fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

/* ---- chunks ---- */

Test(handoff, a_chunk_is_always_in_exactly_one_of_four_places)
{
	assert_places(0, 0, 0, 5);
	struct chunk *chunk = handoff_take_empty(handoff);
	assert_places(1, 0, 0, 4);
	handoff_give(handoff, &chunk);
	assert_places(0, 1, 0, 4);
	chunk = handoff_take_full(handoff);
	assert_places(0, 0, 1, 4);
	handoff_put_back(handoff, &chunk);
	cr_assert_null(chunk);
	assert_places(0, 0, 0, 5);
}

Test(handoff, places_sum_to_all_chunks_through_many_rounds)
{
	for (unsigned i = 0; i < 1000; i++) {
		for (unsigned k = 0; k <= i % CHUNKS; k++)
			give_one();
		assert_places(0, i % CHUNKS + 1, 0, CHUNKS - i % CHUNKS - 1);
		for (struct chunk *c; (c = handoff_take_full(handoff));)
			handoff_put_back(handoff, &c);
		assert_places(0, 0, 0, CHUNKS);
	}
}

Test(handoff, there_are_as_many_chunks_as_asked_for)
{
	for (unsigned i = 0; i < CHUNKS; i++)
		cr_assert_not_null(handoff_take_empty(handoff));
	cr_assert_null(handoff_take_empty(handoff));
	assert_places(CHUNKS, 0, 0, 0);
}

Test(handoff, chunks_are_whole_apart_and_of_their_worker)
{
	for (int i = 0; i < CHUNKS; i++) {
		struct chunk *chunk = handoff_take_empty(handoff);
		cr_assert_eq(chunk->cap, CHUNK_LEN);
		memset(chunk->data, i, chunk->cap);
		handoff_give(handoff, &chunk);
	}
	for (int i = 0; i < CHUNKS; i++) {
		const struct chunk *chunk = handoff_take_full(handoff);
		cr_assert_eq(chunk->data[0], i);
		cr_assert_eq(chunk->data[CHUNK_LEN - 1], i);
	}
}

Test(handoff, chunks_come_in_the_order_in_which_they_were_given)
{
	struct chunk *first = handoff_take_empty(handoff), *second = handoff_take_empty(handoff);
	const struct chunk *const was_second = second, *const was_first = first;

	handoff_give(handoff, &second);
	handoff_give(handoff, &first);
	cr_assert_eq(handoff_take_full(handoff), was_second);
	cr_assert_eq(handoff_take_full(handoff), was_first);
	cr_assert_null(handoff_take_full(handoff));
}

Test(handoff, chunk_comes_back_empty)
{
	for (unsigned i = 0; i < 2 * CHUNKS; i++) {
		struct chunk *chunk = handoff_take_empty(handoff);
		cr_assert_eq(chunk->len, 0);
		chunk->len = 7;
		handoff_give(handoff, &chunk);
		chunk = handoff_take_full(handoff);
		cr_assert_eq(chunk->len, 7);
		handoff_put_back(handoff, &chunk);
	}
}

Test(handoff, memory_is_at_least_that_of_the_chunks)
{
	const struct handoff_config config = {.chunks = 16, .chunk_len = 1 << 20};

	cr_assert_geq(handoff_memory(&config), 16u << 20);
	cr_assert_leq(handoff_memory(&config), (16u << 20) + 4096);
}

/* ---- watermark and hunger ---- */

Test(handoff, watermark_only_rises)
{
	cr_assert_eq(handoff_watermark(handoff), 0);
	handoff_set_watermark(handoff, 100);
	handoff_set_watermark(handoff, 50);
	cr_assert_eq(handoff_watermark(handoff), 100);
	handoff_set_watermark(handoff, UINT64_MAX);
	cr_assert_eq(handoff_watermark(handoff), UINT64_MAX);
}

Test(handoff, hungry_stays_until_the_worker_gives)
{
	cr_assert_not(handoff_is_hungry(handoff));
	handoff_set_hungry(handoff);
	handoff_set_watermark(handoff, 100);
	cr_assert(handoff_is_hungry(handoff));
	give_one();
	cr_assert_not(handoff_is_hungry(handoff));
}

/* ---- bells ---- */

Test(handoff, nobody_is_rung_who_does_not_wait)
{
	give_one();
	handoff_set_watermark(handoff, 100);
	cr_assert_not(was_rung(&writer));
	struct chunk *chunk = handoff_take_full(handoff);
	handoff_put_back(handoff, &chunk);
	cr_assert_not(was_rung(&worker));
}

Test(handoff, chunk_given_rings_a_waiting_writer)
{
	bell_announce(&writer);
	give_one();
	cr_assert(was_rung(&writer));
}

Test(handoff, watermark_raised_rings_a_waiting_writer)
{
	bell_announce(&writer);
	handoff_set_watermark(handoff, 100);
	cr_assert(was_rung(&writer));
}

Test(handoff, chunk_put_back_rings_a_waiting_worker)
{
	give_one();
	struct chunk *chunk = handoff_take_full(handoff);
	bell_announce(&worker);
	handoff_put_back(handoff, &chunk);
	cr_assert(was_rung(&worker));
}

Test(handoff, who_leaves_is_not_rung_any_more)
{
	bell_announce(&writer);
	bell_leave(&writer);
	give_one();
	cr_assert_not(was_rung(&writer));
}

Test(handoff, wait_ends_by_the_bell_and_takes_the_ring_with_it)
{
	bell_announce(&writer);
	bell_ring(&writer);
	bell_wait(&writer, 10000); /* a test that hangs here has failed */
	cr_assert_not(was_rung(&writer));
	bell_ring(&writer);
	cr_assert_not(was_rung(&writer), "wait leaves");
}

Test(handoff, wait_ends_by_its_timeout)
{
	bell_announce(&writer);
	bell_wait(&writer, 1);
}
