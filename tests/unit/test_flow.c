#include "path/flow.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#define SECOND UINT64_C(1000000000)
#define START  (1795302174 * SECOND)
#define TCP    6
#define UDP    17
/* Idle times are kept to a tick of 2^30 ns. */
#define TICK_NS (UINT64_C(1) << 30)

static const struct flow_config config = {.sessions_max = 8, .key = "sixteen bytes..."};
static struct err err;

static struct flow_table *open_with(const struct flow_config *c)
{
	struct flow_table *t;

	cr_assert_eq(flow_open(&t, c, &err), 0, "%s", err.text);
	return t;
}

static struct flow_table *open_table(uint32_t n_max)
{
	struct flow_config c = config;

	c.n_max = n_max;
	return open_with(&c);
}

static struct flow_key key_of(uint32_t number, uint8_t proto)
{
	struct flow_key key = {
		.session = 1, .version = 4, .proto = proto, .port_a = 1, .port_b = 2};

	memcpy(key.a.byte + 12, &number, sizeof(number));
	return key;
}

static struct flow *update_key(struct flow_table *t, const struct flow_key *key, unsigned direction,
			       uint32_t bytes, uint64_t time_ns)
{
	const struct flow_place place = flow_place(t, key);

	return flow_update(t, &place, key, direction, bytes, time_ns);
}

static struct flow *update(struct flow_table *t, uint32_t number, uint64_t time_ns)
{
	const struct flow_key key = key_of(number, UDP);

	return update_key(t, &key, 0, 100, time_ns);
}

static unsigned expire_all(struct flow_table *t, uint64_t now_ns)
{
	return flow_expire(t, now_ns, UINT32_MAX);
}

Test(flow, both_directions_are_one_entry)
{
	struct flow_table *t = open_table(100);
	const struct flow_key key = key_of(1, TCP);
	struct flow *there = update_key(t, &key, 0, 60, START);
	struct flow *back = update_key(t, &key, 1, 1500, START + 5);

	cr_assert_eq(there, back);
	cr_assert_eq(memcmp(&there->key, &key, sizeof(key)), 0);
	cr_assert_eq(there->packets[0], 1);
	cr_assert_eq(there->bytes[0], 60);
	cr_assert_eq(there->packets[1], 1);
	cr_assert_eq(there->bytes[1], 1500);
	cr_assert_eq(there->first_ns, START);
	cr_assert_eq(there->last_ns, START + 5);
	cr_assert_eq(flow_counters(t)->created, 1);
	cr_assert_eq(flow_counters(t)->active, 1);
	flow_close(t);
}

Test(flow, sessions_keep_flows_apart)
{
	struct flow_table *t = open_table(100);
	struct flow_key one = key_of(1, UDP), other = one;

	other.session = 2;
	cr_assert_neq(update_key(t, &one, 0, 1, START), update_key(t, &other, 0, 1, START));
	cr_assert_eq(flow_counters(t)->active, 2);
	flow_close(t);
}

Test(flow, late_packet_does_not_turn_back_the_end)
{
	struct flow_table *t = open_table(100);

	update(t, 1, START);
	const struct flow *f = update(t, 1, START - 7);
	cr_assert_eq(f->first_ns, START - 7);
	cr_assert_eq(f->last_ns, START);
	flow_close(t);
}

Test(flow, table_holds_its_number_and_no_more)
{
	enum { N = 65536 };
	struct flow_table *t = open_table(N);

	for (uint32_t i = 0; i < N; i++)
		cr_assert(update(t, i, START));
	cr_assert_leq(flow_counters(t)->evicted, N / 1000, "%ju", flow_counters(t)->evicted);
	for (uint32_t i = N; i < 3 * N; i++) {
		cr_assert(update(t, i, START));
		cr_assert_leq(flow_counters(t)->active, N);
	}
	const struct flow_counters *c = flow_counters(t);
	cr_assert_eq(c->active, N);
	cr_assert_eq(c->created, 3 * N);
	cr_assert_eq(c->created, c->active + c->expired + c->evicted);
	cr_assert_eq(c->full, 0);
	flow_close(t);
}

static void ends_after(uint8_t proto, unsigned idle_s)
{
	struct flow_table *t = open_table(100);
	const struct flow_key key = key_of(1, proto);

	update_key(t, &key, 0, 1, START);
	cr_assert_eq(expire_all(t, START + idle_s * SECOND - TICK_NS), 0);
	cr_assert_eq(expire_all(t, START + idle_s * SECOND + 2 * TICK_NS), 1);
	cr_assert_eq(flow_counters(t)->expired, 1);
	cr_assert_eq(flow_counters(t)->active, 0);
	flow_close(t);
}

Test(flow, idle_flows_end)
{
	ends_after(TCP, FLOW_IDLE_TCP_S);
	ends_after(UDP, FLOW_IDLE_S);
	ends_after(132, FLOW_IDLE_S);
}

Test(flow, packets_keep_a_flow_alive)
{
	struct flow_table *t = open_table(100);

	for (unsigned i = 0; i < 50; i++)
		update(t, 1, START + i * 100 * SECOND);
	cr_assert_eq(expire_all(t, START + 5000 * SECOND), 0);
	cr_assert_eq(flow_counters(t)->created, 1);
	flow_close(t);
}

Test(flow, packet_after_the_idle_time_begins_a_new_flow)
{
	struct flow_table *t = open_table(100);

	update(t, 1, START);
	const struct flow *f = update(t, 1, START + 200 * SECOND);
	cr_assert_eq(f->packets[0], 1);
	cr_assert_eq(f->first_ns, START + 200 * SECOND);
	cr_assert_eq(flow_counters(t)->created, 2);
	cr_assert_eq(flow_counters(t)->expired, 1);
	cr_assert_eq(flow_counters(t)->active, 1);
	flow_close(t);
}

Test(flow, idle_flows_make_way_without_a_sweep_and_are_not_evicted)
{
	struct flow_table *t = open_table(4);

	for (uint32_t i = 0; i < 4; i++)
		cr_assert(update(t, i, START));
	for (uint32_t i = 4; i < 40; i++)
		update(t, i, START + 200 * SECOND);
	cr_assert_eq(flow_counters(t)->active, 4);
	cr_assert_geq(flow_counters(t)->expired, 1);
	cr_assert_eq(flow_counters(t)->expired + flow_counters(t)->evicted, 36);
	flow_close(t);
}

Test(flow, place_and_fetch_change_nothing)
{
	struct flow_table *t = open_table(100);
	const struct flow_key known = key_of(1, UDP), unknown = key_of(2, UDP);
	const struct flow_key *keys[] = {&known, &unknown};

	const struct flow before = *update(t, 1, START);
	for (unsigned i = 0; i < 2; i++) {
		const struct flow_place place = flow_place(t, keys[i]);
		flow_fetch(t, &place, keys[i], START);
	}
	cr_assert_eq(flow_counters(t)->created, 1);
	cr_assert_eq(memcmp(flow_find(t, &known, START), &before, sizeof(before)), 0);
	flow_close(t);
}

Test(flow, found_is_what_is_alive)
{
	struct flow_table *t = open_table(100);
	const struct flow_key known = key_of(1, UDP), unknown = key_of(2, UDP);
	struct flow_key elsewhere = known;

	elsewhere.session = 2;
	const struct flow *f = update(t, 1, START);
	cr_assert_eq(flow_find(t, &known, START + 100 * SECOND), f);
	cr_assert_null(flow_find(t, &unknown, START));
	cr_assert_null(flow_find(t, &elsewhere, START));
	cr_assert_null(flow_find(t, &known, START + 200 * SECOND), "past its idle time");
	cr_assert_eq(flow_counters(t)->active, 1, "looking ends nothing");
	flow_close(t);
}

/* Every field of a key tells flows apart, though tag and bucket may be the same. */
Test(flow, each_byte_of_a_key_counts)
{
	struct flow_table *t = open_table(100);
	const struct flow_key key = key_of(1, UDP);

	cr_assert(update_key(t, &key, 0, 1, START));
	for (unsigned i = offsetof(struct flow_key, version); i < sizeof(key); i++) {
		struct flow_key other = key;
		((uint8_t *)&other)[i] ^= 0x10;
		const struct flow_place place = flow_place(t, &key); /* as if all hashed alike */
		const uint64_t created = flow_counters(t)->created;
		cr_assert(flow_update(t, &place, &other, 0, 1, START));
		cr_assert_eq(flow_counters(t)->created, created + 1, "byte %u", i);
	}
	flow_close(t);
}

Test(flow, expiry_goes_round_in_bounded_steps)
{
	struct flow_table *t = open_table(1000);
	unsigned ended = 0, calls = 0;

	for (uint32_t i = 0; i < 500; i++)
		update(t, i, START);
	while (ended < 500 && calls < 1000) {
		const unsigned n = flow_expire(t, START + 1000 * SECOND, 1);
		cr_assert_leq(n, 8);
		ended += n;
		calls++;
	}
	cr_assert_eq(ended, 500);
	cr_assert_gt(calls, 500 / 8);
	flow_close(t);
}

/* 32 bits of ticks end in the year 2106; captures of 2107 exist. */
Test(flow, time_may_pass_the_end_of_the_ticks)
{
	const uint64_t end = UINT64_C(1) << 62;
	struct flow_table *t = open_table(100);

	update(t, 1, end - 50 * SECOND);
	cr_assert_eq(expire_all(t, end + 50 * SECOND), 0);
	update(t, 1, end + 50 * SECOND);
	cr_assert_eq(flow_counters(t)->created, 1);
	cr_assert_eq(expire_all(t, end + 200 * SECOND), 1);
	flow_close(t);
}

Test(flow, key_of_the_table_decides_the_place)
{
	const struct flow_config other = {
		.n_max = 2000, .sessions_max = 8, .key = "another sixteen."};
	struct flow_table *t = open_table(2000), *u = open_with(&other);
	unsigned differ = 0;

	const struct flow *t0 = update(t, 0, START), *u0 = update(u, 0, START);
	for (uint32_t i = 1; i < 50; i++)
		differ += update(t, i, START) - t0 != update(u, i, START) - u0;
	cr_assert_gt(differ, 40);
	flow_close(t);
	flow_close(u);
}

Test(flow, memory_is_told_and_refusals_name_the_number)
{
	struct flow_config c = {.n_max = 65536, .sessions_max = 8};
	struct flow_table *t;

	cr_assert_lt(flow_memory(&c), 18u << 20);
	cr_assert_gt(flow_memory(&c), 65536 * sizeof(struct flow));
	const size_t without = flow_memory(&c);
	cr_assert_lt(flow_memory(&(struct flow_config){.n_max = 8, .sessions_max = 8}), 16384);
	c.state_len = 40;
	cr_assert_geq(flow_memory(&c), without + 65536 * c.state_len);
	c.n_max = 0;
	cr_assert_eq(flow_open(&t, &c, &err), -EINVAL);
	c.n_max = UINT32_MAX;
	cr_assert_eq(flow_open(&t, &c, &err), -EINVAL);
	cr_assert(strstr(err.text, "4294967295"));
	c.n_max = 64;
	c.sessions_max = 0;
	cr_assert_eq(flow_open(&t, &c, &err), -EINVAL);
	c.sessions_max = FLOW_SESSIONS_LIMIT + 1;
	cr_assert_eq(flow_open(&t, &c, &err), -EINVAL);
	cr_assert(strstr(err.text, "4194305"));
	flow_close(NULL);
}

/* ---- state and end ---- */

struct state {
	uint64_t number; /* of the flow it is beside */
};

struct ends {
	unsigned n;
	uint64_t sum; /* of the states' numbers */
	unsigned evicted;
	bool differ; /* state and flow did not fit each other */
};

static void count_end(void *arg, const struct flow *flow, const void *state, enum flow_end why)
{
	struct ends *ends = arg;
	const uint64_t number = ((const struct state *)state)->number;
	uint32_t of_key;

	memcpy(&of_key, flow->key.a.byte + 12, sizeof(of_key));
	ends->n++;
	ends->evicted += why == FLOW_EVICTED;
	ends->sum += number;
	ends->differ |= number != of_key;
}

static struct flow_table *open_counted(uint32_t n_max, struct ends *ends)
{
	struct flow_config c = config;

	c.n_max = n_max;
	c.state_len = sizeof(struct state);
	c.ended = count_end;
	c.ended_arg = ends;
	return open_with(&c);
}

/* A flow whose state is zero, and then its number. */
static void begin(struct flow_table *t, uint32_t number, uint64_t time_ns)
{
	struct state *state = flow_state(t, update(t, number, time_ns));

	cr_assert_eq(state->number, 0);
	state->number = number;
}

Test(flow, state_is_beside_its_flow)
{
	enum { N = 1000 };
	struct ends ends = {0};
	struct flow_table *t = open_counted(N, &ends);
	uint64_t sum = 0;

	for (uint32_t i = 1; i <= N / 2; i++) {
		begin(t, i, START);
		sum += i;
	}
	for (uint32_t i = 1; i <= N / 2; i++)
		cr_assert_eq(((struct state *)flow_state(t, update(t, i, START)))->number, i);
	cr_assert_eq(ends.n, 0);
	cr_assert_eq(expire_all(t, START + 1000 * SECOND), N / 2);
	cr_assert_eq(ends.n, N / 2);
	cr_assert_eq(ends.sum, sum);
	cr_assert_not(ends.differ);
	flow_close(t);
}

Test(flow, end_is_told_once_whoever_notices_and_the_next_state_is_zero)
{
	struct ends ends = {0};
	struct flow_table *t = open_counted(4, &ends);

	begin(t, 1, START);
	begin(t, 1, START + 200 * SECOND); /* found past its time */
	cr_assert_eq(ends.n, 1);
	cr_assert_eq(expire_all(t, START + 400 * SECOND), 1); /* by the sweep */
	cr_assert_eq(ends.n, 2);
	for (uint32_t i = 1; i <= 40; i++) /* by those that want its place */
		update(t, i, START + i * 400 * SECOND);
	cr_assert_eq(ends.n, flow_counters(t)->expired);
	cr_assert_eq(ends.evicted, 0);
	cr_assert_eq(ends.n + flow_counters(t)->active, flow_counters(t)->created);
	flow_close(t);
	cr_assert_lt(ends.n, 42, "those alive do not end by the close");
}

Test(flow, shortened_flow_ends_earlier_until_its_next_packet)
{
	struct flow_table *t = open_table(100);
	const struct flow_key key = key_of(1, TCP);

	flow_shorten(t, update_key(t, &key, 0, 1, START), 30);
	cr_assert_eq(expire_all(t, START + 30 * SECOND - TICK_NS), 0);
	update_key(t, &key, 0, 1, START + 20 * SECOND);
	cr_assert_eq(expire_all(t, START + 100 * SECOND), 0);
	flow_shorten(t, update_key(t, &key, 0, 1, START + 100 * SECOND), 30);
	cr_assert_eq(expire_all(t, START + 130 * SECOND + 2 * TICK_NS), 1);
	flow_close(t);
}

Test(flow, evicted_one_is_told_as_such_and_the_next_state_is_zero)
{
	struct ends ends = {0};
	struct flow_table *t = open_counted(64, &ends);

	for (uint32_t i = 1; i <= 1000; i++)
		begin(t, i, START);
	cr_assert_eq(ends.evicted, 1000 - 64);
	cr_assert_eq(ends.evicted, flow_counters(t)->evicted);
	cr_assert_eq(flow_counters(t)->expired, 0);
	cr_assert_not(ends.differ);
	flow_close(t);
}
