#include "path/block_clock.h"

#include <criterion/criterion.h>

static uint64_t ns(uint8_t resolution, int64_t offset_s, uint64_t units)
{
	const struct block_clock clock = {.offset_s = offset_s, .resolution = resolution};

	return block_clock_ns(&clock, units);
}

Test(block_clock, units_are_powers_of_10)
{
	cr_expect_eq(ns(0, 0, 3), UINT64_C(3000000000));
	cr_expect_eq(ns(BLOCK_CLOCK_DEFAULT, 0, 3), 3000);
	cr_expect_eq(ns(9, 0, 3), 3);
	cr_expect_eq(ns(12, 0, 3999), 3);
	cr_expect_eq(ns(28, 0, UINT64_MAX), 1, "the smallest of which 64 bits hold a nanosecond");
	cr_expect_eq(ns(29, 0, UINT64_MAX), 0);
	cr_expect_eq(ns(0x7f, 0, UINT64_MAX), 0);
}

Test(block_clock, with_the_top_bit_units_are_powers_of_2)
{
	cr_expect_eq(ns(0x80, 0, 3), UINT64_C(3000000000));
	cr_expect_eq(ns(0x80 | 10, 0, 512), 500000000);
	cr_expect_eq(ns(0xff, 0, UINT64_MAX), 0);
}

Test(block_clock, offset_is_in_seconds)
{
	cr_expect_eq(ns(9, 2, 3), UINT64_C(2000000003));
	cr_expect_eq(ns(9, -2, UINT64_C(2000000003)), 3);
}

Test(block_clock, times_outside_1970_to_2262_become_the_nearer_end)
{
	cr_expect_eq(ns(9, -1, 3), 0);
	cr_expect_eq(ns(9, INT64_MIN, UINT64_MAX), 0);
	cr_expect_eq(ns(9, 0, INT64_MAX), INT64_MAX);
	cr_expect_eq(ns(9, 0, UINT64_MAX), INT64_MAX);
	cr_expect_eq(ns(0, INT64_MAX, UINT64_MAX), INT64_MAX);
	cr_expect_eq(ns(0x80, INT64_MAX, UINT64_MAX), INT64_MAX);
}
