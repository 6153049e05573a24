#include "run/output_effort.h"

#include <criterion/criterion.h>
#include <zstd.h>

static struct output_effort e;

/* So many frames that are compressed in 3 ms and written in write_ms. Times that the level changed.
 */
static unsigned frames(unsigned n, unsigned pressure, uint64_t write_ms)
{
	unsigned changes = 0;

	for (unsigned i = 0; i < n; i++)
		changes += output_effort_follow(&e, pressure, 3000000, write_ms * 1000000);
	return changes;
}

Test(output_effort, levels_go_down_in_order_to_stored_and_stay_there)
{
	const int want[] = {19, 1, -1, -20, -50, ZSTD_minCLevel(), ZSTD_minCLevel()};

	output_effort_init(&e, 19);
	for (unsigned i = 0; i < 7; i++) {
		cr_assert_eq(output_effort_level(&e), want[i], "step %u: %d", i,
			     output_effort_level(&e));
		cr_assert_eq(frames(1, 80, 1), i < 5);
	}
}

Test(output_effort, levels_above_the_configured_one_are_never_taken)
{
	const int configured[] = {1, 0, -1, -20, -30, -50, ZSTD_minCLevel()};

	for (unsigned i = 0; i < sizeof(configured) / sizeof(configured[0]); i++) {
		output_effort_init(&e, configured[i]);
		cr_assert_eq(output_effort_level(&e), configured[i]);
		for (unsigned k = 0; k < 9; k++) {
			const int before = output_effort_level(&e);
			const unsigned changes = frames(1, 100, 0);
			cr_assert_eq(changes, before > output_effort_level(&e));
		}
		cr_assert_eq(output_effort_level(&e), ZSTD_minCLevel());
	}
}

Test(output_effort, without_pressure_nothing_changes)
{
	output_effort_init(&e, 3);
	cr_assert_eq(frames(1000, 49, 1), 0);
	cr_assert_eq(frames(1000, 0, 100), 0);
	cr_assert_eq(output_effort_level(&e), 3);
}

Test(output_effort, it_resumes_step_by_step_once_at_ease_for_a_while)
{
	output_effort_init(&e, 3);
	frames(9, 90, 1);
	cr_assert_eq(output_effort_level(&e), ZSTD_minCLevel());
	cr_assert_eq(frames(100, 30, 1), 0, "neither pressed nor at ease");
	cr_assert_eq(frames(15, 10, 1), 0);
	cr_assert_eq(frames(1, 30, 1), 0, "counted anew");
	cr_assert_eq(frames(15, 10, 1), 0);
	cr_assert_eq(frames(1, 10, 1), 1);
	cr_assert_eq(output_effort_level(&e), -50);
	cr_assert_eq(frames(4 * 16, 0, 1), 4);
	cr_assert_eq(output_effort_level(&e), 3);
}

Test(output_effort, a_slow_disk_gets_fewer_bytes)
{
	output_effort_init(&e, 1);
	cr_assert_eq(frames(100, 100, 9), 0, "cheaper frames are larger");
	cr_assert_eq(output_effort_level(&e), 1);
	frames(99, 100, 1);
	cr_assert_eq(output_effort_level(&e), ZSTD_minCLevel());
	frames(9, 100, 9);
	cr_assert_eq(output_effort_level(&e), 1, "back while it is still behind");
}
