/* Who makes way: all flows are given the same place, so that the two buckets hold the whole table.
 */
#include "path/flow.h"

#include <criterion/criterion.h>
#include <string.h>

#define SECOND  UINT64_C(1000000000)
#define START   (1795302174 * SECOND)
#define TICK_NS (UINT64_C(1) << 30)
#define ROOM    14

static struct flow_key in_session(uint32_t session, uint32_t number)
{
	struct flow_key key = {.session = session, .version = 4, .proto = 17};

	memcpy(key.a.byte + 12, &number, sizeof(number));
	return key;
}

static struct flow *meet(struct flow_table *t, uint32_t session, uint32_t number,
			 unsigned direction, uint64_t time_ns)
{
	const struct flow_key key = in_session(session, number);
	const struct flow_place place = {.bucket = {0, 1}, .tag = 1};

	return flow_update(t, &place, &key, direction, 100, time_ns);
}

static struct flow *meet_both(struct flow_table *t, uint32_t session, uint32_t number,
			      uint64_t time_ns)
{
	meet(t, session, number, 0, time_ns);
	return meet(t, session, number, 1, time_ns);
}

/* The same place as in meet: has the session this flow? */
static bool lives(struct flow_table *t, uint32_t session, uint32_t number)
{
	const uint64_t created = flow_counters(t)->created, full = flow_counters(t)->full;

	/* A packet of long ago changes no age. */
	meet(t, session, number, 0, START);
	return flow_counters(t)->created == created && flow_counters(t)->full == full;
}

static struct flow_table *open_crowd(uint32_t n_max)
{
	const struct flow_config config = {.n_max = n_max, .sessions_max = 8};
	struct flow_table *t;
	struct err err;

	cr_assert_eq(flow_open(&t, &config, &err), 0, "%s", err.text);
	return t;
}

Test(flow_evict, oldest_without_an_answer_makes_way)
{
	struct flow_table *t = open_crowd(ROOM);

	meet(t, 1, 1, 0, START + 2 * TICK_NS);
	meet(t, 1, 2, 0, START); /* began later, silent for longer */
	for (uint32_t i = 3; i <= ROOM; i++)
		meet_both(t, 1, i, START + 5 * TICK_NS);
	cr_assert(meet(t, 1, 100, 0, START + 6 * TICK_NS));
	cr_assert_eq(flow_counters(t)->evicted, 1);
	cr_assert(lives(t, 1, 1));
	cr_assert(lives(t, 1, 100));
	for (uint32_t i = 3; i <= ROOM; i++)
		cr_assert(lives(t, 1, i));
	cr_assert_eq(flow_counters(t)->active, ROOM);
	flow_close(t);
}

Test(flow_evict, answered_one_makes_way_only_after_its_time_of_safety)
{
	struct flow_table *t = open_crowd(ROOM);

	for (uint32_t i = 1; i <= ROOM; i++)
		meet_both(t, 1, i, i == 5 ? START : START + 20 * SECOND);
	cr_assert_null(meet(t, 1, 100, 0, START + (FLOW_SAFE_S - 2) * SECOND));
	cr_assert_eq(flow_counters(t)->full, 1);
	cr_assert_eq(flow_counters(t)->evicted, 0);
	cr_assert(meet(t, 1, 100, 0, START + (FLOW_SAFE_S + 2) * SECOND));
	cr_assert_eq(flow_counters(t)->evicted, 1);
	for (uint32_t i = 1; i <= ROOM; i++)
		cr_assert(i == 5 || lives(t, 1, i));
	flow_close(t);
}

Test(flow_evict, without_an_answer_goes_before_an_answered_one_of_long_silence)
{
	struct flow_table *t = open_crowd(ROOM);

	for (uint32_t i = 1; i <= ROOM; i++)
		(i == 5 ? meet(t, 1, i, 0, START + 50 * SECOND) : meet_both(t, 1, i, START));
	cr_assert(meet(t, 1, 100, 0, START + 51 * SECOND));
	for (uint32_t i = 1; i <= ROOM; i++)
		cr_assert(i == 5 || lives(t, 1, i));
	flow_close(t);
}

/* TCP flows have a later deadline; it is the silence that counts. */
Test(flow_evict, silence_is_since_the_last_packet_whatever_the_protocol)
{
	struct flow_table *t = open_crowd(ROOM);
	const struct flow_place place = {.bucket = {0, 1}, .tag = 1};
	struct flow_key tcp = in_session(1, 1000);

	tcp.proto = 6;
	cr_assert(flow_update(t, &place, &tcp, 0, 100, START));
	for (uint32_t i = 1; i < ROOM; i++)
		meet(t, 1, i, 0, START + 3 * TICK_NS);
	cr_assert(meet(t, 1, 100, 0, START + 5 * TICK_NS));
	for (uint32_t i = 1; i < ROOM; i++)
		cr_assert(lives(t, 1, i));
	flow_close(t);
}

Test(flow_evict, flood_takes_from_its_own_session_once_over_its_share)
{
	struct flow_table *t = open_crowd(ROOM);

	/* Within its share (7), the older ones and never answered. */
	for (uint32_t i = 1; i <= 5; i++)
		meet(t, 1, i, 0, START);
	for (uint32_t i = 1; i <= 1000; i++)
		cr_assert(meet(t, 2, i, 0, START + 2 * TICK_NS));
	for (uint32_t i = 1; i <= 5; i++)
		cr_assert(lives(t, 1, i));
	cr_assert_eq(flow_counters(t)->evicted, 1000 - (ROOM - 5));
	flow_close(t);
}

Test(flow_evict, without_an_answer_goes_before_an_answered_one_of_a_session_over_its_share)
{
	struct flow_table *t = open_crowd(ROOM);

	/* Two sessions have flows: a share is 7. */
	for (uint32_t i = 1; i <= 3; i++)
		meet(t, 1, i, 0, START); /* older, without an answer, but within its share */
	for (uint32_t i = 1; i <= 11; i++)
		meet_both(t, 2, i, START + TICK_NS * (i == 4 ? 1 : 3));
	cr_assert(meet(t, 1, 4, 0, START + 4 * TICK_NS), "takes one of its own");
	cr_assert(meet_both(t, 1, 5, START + 4 * TICK_NS));
	/* First those without an answer of any, so all of session 2 are left. */
	for (uint32_t i = 1; i <= 11; i++)
		cr_assert(lives(t, 2, i));
	flow_close(t);
}

Test(flow_evict, answered_ones_of_a_session_over_its_share_make_way_by_silence)
{
	struct flow_table *t = open_crowd(ROOM);

	for (uint32_t i = 1; i <= 3; i++)
		meet_both(t, 1, i, START);
	for (uint32_t i = 1; i <= 11; i++)
		meet_both(t, 2, i, START + TICK_NS * (i == 4 ? 1 : 3));
	cr_assert(meet(t, 1, 4, 0, START + 4 * TICK_NS));
	for (uint32_t i = 1; i <= 3; i++)
		cr_assert(lives(t, 1, i));
	for (uint32_t i = 1; i <= 11; i++)
		cr_assert(i == 4 || lives(t, 2, i));
	cr_assert_eq(flow_counters(t)->evicted, 1);
	flow_close(t);
}

Test(flow_evict, one_without_an_answer_of_a_session_over_its_share_goes_first)
{
	struct flow_table *t = open_crowd(ROOM);

	for (uint32_t i = 1; i <= 3; i++)
		meet(t, 1, i, 0, START);
	for (uint32_t i = 1; i <= 11; i++)
		(i == 4 ? meet(t, 2, i, 0, START + 3 * TICK_NS)
			: meet_both(t, 2, i, START + TICK_NS));
	cr_assert(meet(t, 1, 4, 0, START + 4 * TICK_NS));
	for (uint32_t i = 1; i <= 3; i++)
		cr_assert(lives(t, 1, i), "older, but within its share");
	for (uint32_t i = 1; i <= 11; i++)
		cr_assert(i == 4 || lives(t, 2, i));
	flow_close(t);
}

Test(flow_evict, session_over_its_share_does_not_take_from_one_within)
{
	struct flow_table *t = open_crowd(4 * ROOM);

	/* All of session 2 lie elsewhere: it is over its share and has none in the two buckets. */
	for (uint32_t i = 1; i <= ROOM; i++)
		meet(t, 1, i, 0, START);
	for (uint32_t i = 1; i <= 3 * ROOM; i++) {
		const struct flow_key key = in_session(2, i);
		const struct flow_place place = {.bucket = {2 + i % 8, 2 + i % 8}, .tag = 1};
		cr_assert(flow_update(t, &place, &key, 0, 1, START));
	}
	cr_assert_null(meet(t, 2, 1000, 0, START + 20 * SECOND));
	cr_assert_eq(flow_counters(t)->full, 1);
	cr_assert(meet(t, 1, 1000, 0, START + 20 * SECOND), "its own session may");
	flow_close(t);
}

Test(flow_evict, full_buckets_evict_below_the_number_too)
{
	struct flow_table *t = open_crowd(10 * ROOM);

	for (uint32_t i = 1; i <= ROOM; i++)
		cr_assert(meet(t, 1, i, 0, START + i * TICK_NS));
	cr_assert_eq(flow_counters(t)->evicted, 0);
	cr_assert(meet(t, 1, 100, 0, START + 20 * TICK_NS));
	cr_assert_eq(flow_counters(t)->evicted, 1);
	cr_assert_eq(flow_counters(t)->active, ROOM);
	cr_assert_not(lives(t, 1, 1));
	flow_close(t);
}

/* The share follows the sessions that have flows, not those that ever had. */
Test(flow_evict, session_without_flows_has_no_share)
{
	struct flow_table *t = open_crowd(ROOM);

	for (uint32_t i = 1; i <= 6; i++)
		meet(t, 2, i, 0, START);
	(void)flow_expire(t, START + 200 * SECOND, UINT32_MAX);
	for (uint32_t i = 1; i <= ROOM; i++)
		meet_both(t, 1, i, START + 200 * SECOND);
	/* Were the share still 7, session 1 would be over it and its own would make way. */
	cr_assert_null(meet(t, 1, 100, 0, START + 201 * SECOND));
	flow_close(t);
}
