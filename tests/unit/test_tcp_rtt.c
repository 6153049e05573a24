#include "kpi/tcp_rtt.h"

#include <criterion/criterion.h>

#define SECOND (1000000000u >> TCP_TICK_SHIFT)

static struct tcp_rtt rtt;
static uint32_t ticks;

Test(tcp_rtt, sample_is_of_the_segment_that_ends_at_the_ack)
{
	cr_assert(tcp_rtt_sent(&rtt, 100, 10));
	cr_assert(tcp_rtt_sent(&rtt, 200, 20));
	cr_assert(tcp_rtt_sent(&rtt, 300, 30));
	cr_assert(tcp_rtt_acked(&rtt, 200, 120, &ticks));
	cr_assert_eq(ticks, 100);
	cr_assert_not(tcp_rtt_acked(&rtt, 250, 130, &ticks));
	cr_assert(tcp_rtt_acked(&rtt, 300, 140, &ticks));
	cr_assert_eq(ticks, 110);
	cr_assert_eq(rtt.min, 100);
}

Test(tcp_rtt, what_was_sent_again_and_all_above_gives_none)
{
	tcp_rtt_sent(&rtt, 100, 10);
	tcp_rtt_sent(&rtt, 200, 20);
	tcp_rtt_sent(&rtt, 300, 30);
	tcp_rtt_resent(&rtt, 100);
	cr_assert(tcp_rtt_acked(&rtt, 100, 50, &ticks));
	cr_assert_not(tcp_rtt_acked(&rtt, 200, 60, &ticks));
	cr_assert_not(tcp_rtt_acked(&rtt, 300, 70, &ticks));
}

Test(tcp_rtt, no_more_than_four_are_kept)
{
	for (uint32_t i = 1; i <= TCP_RTT_MAX; i++)
		cr_assert(tcp_rtt_sent(&rtt, 100 * i, i));
	cr_assert_not(tcp_rtt_sent(&rtt, 500, 9));
	cr_assert_not(tcp_rtt_acked(&rtt, 500, 20, &ticks));
	cr_assert(tcp_rtt_sent(&rtt, 600, 30));
	cr_assert(tcp_rtt_acked(&rtt, 600, 31, &ticks));
}

Test(tcp_rtt, none_is_negative)
{
	tcp_rtt_sent(&rtt, 100, 10);
	cr_assert_not(tcp_rtt_acked(&rtt, 100, 9, &ticks));
	tcp_rtt_stamped(&rtt, 7, 10);
	cr_assert_not(tcp_rtt_echoed(&rtt, 7, 9, &ticks));
}

Test(tcp_rtt, data_older_than_five_minutes_is_forgotten)
{
	tcp_rtt_sent(&rtt, 100, 10);
	cr_assert(tcp_rtt_acked(&rtt, 100, 10 + 300 * SECOND, &ticks));
	tcp_rtt_sent(&rtt, 200, 10);
	cr_assert_not(tcp_rtt_acked(&rtt, 200, 11 + 300 * SECOND, &ticks));
}

Test(tcp_rtt, first_echo_of_the_first_segment_counts)
{
	tcp_rtt_stamped(&rtt, 7, 10);
	tcp_rtt_stamped(&rtt, 7, 15);
	cr_assert_not(tcp_rtt_echoed(&rtt, 6, 18, &ticks), "an earlier one");
	cr_assert(tcp_rtt_echoed(&rtt, 7, 20, &ticks));
	cr_assert_eq(ticks, 10);
	cr_assert_not(tcp_rtt_echoed(&rtt, 7, 21, &ticks), "again");
	tcp_rtt_stamped(&rtt, 7, 30);
	cr_assert_not(tcp_rtt_echoed(&rtt, 7, 40, &ticks), "not new");
}

Test(tcp_rtt, one_timestamp_is_under_way_at_a_time)
{
	tcp_rtt_stamped(&rtt, 7, 10);
	tcp_rtt_stamped(&rtt, 8, 15);
	cr_assert_not(tcp_rtt_echoed(&rtt, 8, 20, &ticks), "the echo of 7 will not come");
	tcp_rtt_stamped(&rtt, 9, 25);
	cr_assert(tcp_rtt_echoed(&rtt, 9, 30, &ticks));
	cr_assert_eq(ticks, 5);
}

Test(tcp_rtt, timestamps_are_under_way_for_ten_seconds)
{
	tcp_rtt_stamped(&rtt, 7, 10);
	cr_assert_not(tcp_rtt_echoed(&rtt, 7, 11 + 10 * SECOND, &ticks));
	tcp_rtt_stamped(&rtt, 8, 10);
	tcp_rtt_stamped(&rtt, 9, 11 + 10 * SECOND);
	cr_assert(tcp_rtt_echoed(&rtt, 9, 12 + 10 * SECOND, &ticks));
}

Test(tcp_rtt, smallest_is_learnt)
{
	tcp_rtt_learn(&rtt, 1000000);
	cr_assert_eq(rtt.min, UINT16_MAX);
	tcp_rtt_learn(&rtt, 50);
	tcp_rtt_learn(&rtt, 60);
	cr_assert_eq(rtt.min, 50);
	tcp_rtt_learn(&rtt, 0);
	cr_assert_eq(rtt.min, 1);
}

Test(tcp_rtt, timestamp_that_its_echo_overtook_gives_no_sample)
{
	cr_assert_not(tcp_rtt_echoed(&rtt, 70, 1000, &ticks));
	tcp_rtt_stamped(&rtt, 70, 1100);
	cr_assert_not(tcp_rtt_echoed(&rtt, 70, 900000, &ticks));
	tcp_rtt_stamped(&rtt, 71, 1000000);
	cr_assert(tcp_rtt_echoed(&rtt, 71, 1000010, &ticks));
	cr_assert_eq(ticks, 10);
}
