#include "kpi/later.h"

#include <criterion/criterion.h>

static struct later later;
static struct flow flows[LATER_MAX];

Test(later, comes_in_order_and_not_before_its_time)
{
	cr_assert(later_put(&later, &flows[0], 100));
	cr_assert(later_put(&later, &flows[1], 200));
	cr_assert_null(later_take(&later, 99));
	cr_assert_eq(later_take(&later, 100), &flows[0]);
	cr_assert_null(later_take(&later, 199));
	cr_assert_eq(later_take(&later, 1000), &flows[1]);
	cr_assert_null(later_take(&later, 1000));
}

Test(later, time_that_goes_back_keeps_nobody_waiting)
{
	cr_assert(later_put(&later, &flows[0], 1000 * UINT64_C(1000000000)));
	cr_assert(later_put(&later, &flows[1], TCP_LATE_NS));
	cr_assert_eq(later_take(&later, 0), &flows[0]);
	cr_assert_null(later_take(&later, 0));
	cr_assert_eq(later_take(&later, TCP_LATE_NS), &flows[1]);
}

Test(later, is_bounded_and_goes_round)
{
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < LATER_MAX; i++)
			cr_assert(later_put(&later, &flows[i], i));
		cr_assert_not(later_put(&later, &flows[0], LATER_MAX));
		for (unsigned i = 0; i < LATER_MAX; i++)
			cr_assert_eq(later_take(&later, i), &flows[i]);
		cr_assert_null(later_take(&later, UINT64_MAX));
	}
}
