#include "kpi/overtaken.h"

#include <criterion/criterion.h>

#define MS    UINT64_C(1000000)
#define START (UINT64_C(1795302174000) * MS)

static struct overtaken overtaken;
static struct icmp_quote out;
static uint32_t session; /* of the next error and flow */

static struct icmp_quote quote_of(uint16_t port)
{
	return (struct icmp_quote){.key = {.session = session, .port_a = port}, .direction = 1};
}

static void put(uint16_t port, uint64_t ms)
{
	const struct icmp_quote quote = quote_of(port);

	overtaken_put(&overtaken, &quote, START + ms * MS);
}

static bool take(uint16_t port, uint64_t ms)
{
	const struct icmp_quote quote = quote_of(port);

	return overtaken_take(&overtaken, &quote.key, START + ms * MS, &out);
}

Test(overtaken, error_waits_for_its_flow)
{
	put(1, 0);
	cr_assert_not(take(2, 1));
	cr_assert(take(1, 1));
	cr_assert_eq(out.direction, 1);
	cr_assert_not(take(1, 1), "it is taken out");
}

Test(overtaken, flow_may_have_several)
{
	put(1, 0);
	put(1, 1);
	cr_assert(take(1, 2));
	cr_assert(take(1, 2));
	cr_assert_not(take(1, 2));
}

Test(overtaken, error_waits_for_5_ms)
{
	put(1, 0);
	put(2, 3);
	cr_assert_not(take(1, 6));
	cr_assert(take(2, 6));
	put(3, 100);
	cr_assert_not(take(3, 106));
	put(4, 200);
	cr_assert_not(take(4, 100), "time went back");
}

Test(overtaken, the_latest_are_remembered)
{
	for (uint16_t i = 0; i <= OVERTAKEN_MAX; i++)
		put(i, 0);
	cr_assert_not(take(0, 0));
	for (uint16_t i = 1; i <= OVERTAKEN_MAX; i++)
		cr_assert(take(i, 0));
}

static unsigned take_all(uint32_t of)
{
	unsigned n = 0;

	session = of;
	for (uint16_t i = 0; i < 100; i++)
		n += take(i, 1);
	return n;
}

Test(overtaken, flood_of_a_session_discards_none_of_another)
{
	session = 1;
	put(1, 0);
	session = 2;
	for (uint16_t i = 0; i < 100; i++)
		put(i, 1);
	cr_assert(take(99, 1), "the latest of the flood");
	cr_assert_not(take(92, 1), "its oldest");
	cr_assert_eq(take_all(1), 1);
	cr_assert_eq(take_all(2), OVERTAKEN_MAX - 2);
}

Test(overtaken, sessions_that_flood_share_the_places)
{
	for (uint16_t i = 0; i < 100; i++) {
		session = i % 2;
		put(i, 1);
	}
	cr_assert_eq(take_all(0), OVERTAKEN_MAX / 2);
	cr_assert_eq(take_all(1), OVERTAKEN_MAX / 2);
}

Test(overtaken, session_that_has_its_share_replaces_its_own)
{
	for (uint16_t i = 0; i < OVERTAKEN_MAX; i++) {
		session = i >= OVERTAKEN_MAX / 2;
		put(i, 0);
	}
	put(99, 0);
	cr_assert(take(99, 0));
	cr_assert_eq(take_all(0), OVERTAKEN_MAX / 2);
}

Test(overtaken, session_finds_a_place_among_many_others)
{
	for (session = 0; session < OVERTAKEN_MAX; session++)
		put(1, 0);
	put(1, 0);
	cr_assert(take(1, 0));
	cr_assert_eq(take_all(0), 0, "the oldest of all");
	cr_assert_eq(take_all(1), 1);
}

Test(overtaken, error_that_nothing_came_for_takes_no_place)
{
	session = 1;
	for (uint16_t i = 0; i < 3; i++)
		put(i, 0);
	session = 2;
	for (uint16_t i = 0; i < OVERTAKEN_MAX; i++)
		put(i, i < OVERTAKEN_MAX - 3 ? 4 : 7);
	for (uint16_t i = 0; i < OVERTAKEN_MAX; i++)
		cr_assert(take(i, 8));
}

Test(overtaken, none_at_first)
{
	cr_assert_not(overtaken_take(&overtaken, &(struct flow_key){0}, 0, &out));
}
