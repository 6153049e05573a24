#include "kpi/tcp_gaps.h"

#include <criterion/criterion.h>

static struct tcp_gaps *gaps;
static struct tcp_gap_list list, other;

static void open_gaps(uint32_t n_max)
{
	struct err err;

	cr_assert_eq(tcp_gaps_open(&gaps, n_max, &err), 0);
	list = other = (struct tcp_gap_list){0};
}

static void prepare(void)
{
	open_gaps(1000);
}

static void tear_down(void)
{
	tcp_gaps_close(gaps);
}

TestSuite(tcp_gaps, .init = prepare, .fini = tear_down);

static void add(uint32_t start, uint32_t end)
{
	cr_assert(tcp_gaps_add(gaps, &list, start, end, start));
}

static uint32_t fill(uint32_t start, uint32_t end)
{
	return tcp_gaps_fill(gaps, &list, start, end).len;
}

static uint32_t missing(uint32_t up_to)
{
	return tcp_gaps_forget(gaps, &list, up_to);
}

Test(tcp_gaps, filled_bytes_are_counted_once)
{
	add(100, 200);
	cr_assert_eq(fill(100, 200), 100);
	cr_assert_eq(fill(100, 200), 0);
	cr_assert_eq(list.n, 0);
	cr_assert_eq(list.first, 0);
}

Test(tcp_gaps, fill_takes_either_end_or_the_middle)
{
	add(100, 200);
	cr_assert_eq(fill(50, 110), 10);
	cr_assert_eq(fill(190, 250), 10);
	cr_assert_eq(fill(140, 150), 10);
	cr_assert_eq(list.n, 2);
	cr_assert_eq(missing(1000), 70);
}

Test(tcp_gaps, fill_spans_gaps_and_tells_the_time_of_the_last)
{
	add(100, 200);
	add(300, 400);
	add(500, 600);
	const struct tcp_gaps_filled filled = tcp_gaps_fill(gaps, &list, 150, 350);
	cr_assert_eq(filled.len, 100);
	cr_assert_eq(filled.since, 300);
	cr_assert_not(filled.is_trimmed);
	cr_assert_eq(missing(1000), 200);
}

Test(tcp_gaps, forget_counts_what_is_below)
{
	add(100, 200);
	add(300, 400);
	cr_assert_not(tcp_gaps_below(gaps, &list, 100));
	cr_assert(tcp_gaps_below(gaps, &list, 101));
	cr_assert_eq(missing(100), 0);
	cr_assert_eq(missing(350), 150);
	cr_assert_eq(missing(350), 0);
	cr_assert_eq(missing(500), 50);
	cr_assert_not(tcp_gaps_below(gaps, &list, 1000));
}

Test(tcp_gaps, numbers_wrap)
{
	add(UINT32_MAX - 9, 10);
	cr_assert_eq(fill(UINT32_MAX - 4, 5), 10);
	cr_assert_eq(missing(100), 10);
}

Test(tcp_gaps, list_is_bounded)
{
	for (uint32_t i = 0; i < TCP_GAPS_LIST_MAX; i++)
		add(10 * i, 10 * i + 5);
	cr_assert_not(tcp_gaps_add(gaps, &list, 10000, 10005, 0));
	const struct tcp_gaps_filled filled = tcp_gaps_fill(gaps, &list, 2, 3);
	cr_assert_eq(filled.len, 1);
	cr_assert(filled.is_trimmed);
	cr_assert_eq(missing(20000), TCP_GAPS_LIST_MAX * 5 - 3,
		     "what is above the split is forgotten");
}

Test(tcp_gaps, pool_is_bounded_and_what_goes_back_is_given_again)
{
	tcp_gaps_close(gaps);
	open_gaps(2);
	for (unsigned i = 0; i < 3; i++) {
		add(100, 200);
		cr_assert(tcp_gaps_add(gaps, &other, 300, 400, 0));
		cr_assert_not(tcp_gaps_add(gaps, &list, 500, 600, 0));
		cr_assert_eq(list.n, 1);
		tcp_gaps_drop(gaps, &other);
		add(500, 600);
		cr_assert_eq(missing(1000), 200);
		cr_assert_eq(other.n, 0);
		cr_assert_eq(other.first, 0);
	}
}

/* As the flows of a session of which one direction is mirrored do: nothing of theirs is ever
 * acknowledged. */
Test(tcp_gaps, few_flows_do_not_take_all)
{
	struct tcp_gap_list greedy[20] = {0};

	for (uint32_t i = 0; i < TCP_GAPS_LIST_MAX; i++)
		for (unsigned k = 0; k < 20; k++)
			(void)tcp_gaps_add(gaps, &greedy[k], 10 * i, 10 * i + 5, 0);
	for (uint32_t i = 0; i < 20; i++)
		add(10 * i, 10 * i + 5);
}

Test(tcp_gaps, memory_is_what_open_allocates)
{
	cr_assert_eq(tcp_gaps_memory(11) - tcp_gaps_memory(10), 16);
	tcp_gaps_close(NULL);
}
