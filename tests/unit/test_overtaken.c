#include "kpi/overtaken.h"

#include <criterion/criterion.h>

#define MS    UINT64_C(1000000)
#define START (UINT64_C(1795302174000) * MS)

static struct overtaken overtaken;
static struct icmp_quote out;

static struct icmp_quote quote_of(uint16_t port)
{
	return (struct icmp_quote){
		.key = {.port_a = port}, .direction = 1, .verdict = ICMP_PORT_UNREACHABLE};
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
	cr_assert_eq(out.verdict, ICMP_PORT_UNREACHABLE);
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

Test(overtaken, none_at_first)
{
	cr_assert_not(overtaken_take(&overtaken, &(struct flow_key){0}, 0, &out));
}
