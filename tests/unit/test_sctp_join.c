#include "kpi/sctp_join.h"

#include <criterion/criterion.h>

#include "../support/association.h"

TestSuite(sctp_join, .init = prepare_association, .fini = tear_down_association);

Test(sctp_join, paths_join_by_tag)
{
	set_up(0);
	from_a(100, DATA(100));
	take(110, B2, A2, TAG_A, SACK(100, 1000));
	assert_times(KPI_SCTP_SACK_RTT, 1, 10);
	take(200, A2, B2, TAG_B, DATA(100));
	cr_assert_eq(value(KPI_SCTP_RETRANSMITTED), 1);
	cr_assert_eq(value(KPI_SCTP_ASSOCIATIONS), 1);
	cr_assert_eq(value(KPI_SCTP_PRIMARY_CHANGES), 0, "sent again, not moved");
}

Test(sctp_join, failover_shows)
{
	sees_both();
	set_up(0);
	from_a(100, DATA(100));
	for (uint32_t i = 1; i <= 5; i++)
		from_a(i * 6000, HEARTBEAT(i));
	take(36000, A2, B2, TAG_B, both(DATA(101), HEARTBEAT(77)));
	take(36010, B2, A2, TAG_A, both(SACK(101, 1000), HEARTBEAT_ACK(77)));
	cr_assert_eq(value(KPI_SCTP_HEARTBEATS_UNANSWERED), 5);
	cr_assert_eq(value(KPI_SCTP_PATH_FAILURES), 1);
	cr_assert_eq(value(KPI_SCTP_PRIMARY_CHANGES), 1);
	assert_times(KPI_SCTP_HEARTBEAT_RTT, 1, 10);
}

Test(sctp_join, middle_is_paired_by_addresses)
{
	from_a(0, DATA(100));
	cr_assert_not(is_group_seen(KPI_GROUP_SCTP_BOTH));
	from_b(5, SACK(100, 1000));
	cr_assert_eq(value(KPI_SCTP_ASSOCIATIONS), 1);
	cr_assert_eq(value(KPI_SCTP_ATTEMPTED), 0);
	assert_times(KPI_SCTP_SACK_RTT, 1, 5);
	cr_assert(is_group_seen(KPI_GROUP_SCTP_BOTH));
}

Test(sctp_join, pairing_is_done_once)
{
	from_a(0, DATA(100));
	from_b(1, SACK(100, 1000));
	take(2, B1, A1, 0x999, SACK(100, 1000));
	cr_assert_eq(value(KPI_SCTP_ASSOCIATIONS), 2, "another tag is another association");
}

Test(sctp_join, halves_on_different_paths_join_later)
{
	from_a(0, DATA(100));
	take(1, B2, A2, TAG_A, DATA(500));
	cr_assert_eq(value(KPI_SCTP_ASSOCIATIONS), 2);
	from_b(8, SACK(100, 1000));
	cr_assert_eq(value(KPI_SCTP_ASSOCIATIONS), 1);
	assert_times(KPI_SCTP_SACK_RTT, 1, 8);
	take(10, A2, B2, TAG_B, SACK(500, 1000));
	assert_times(KPI_SCTP_SACK_RTT, 2, 8 + 9);
	expire_associations(200000);
	assert_ended(KPI_SCTP_ENDED_IDLE, 0);
}

Test(sctp_join, sessions_are_apart)
{
	set_up(0);
	session = 1;
	from_a(1000, DATA(100));
	cr_assert_eq(sessions[1].value[KPI_SCTP_ASSOCIATIONS], 1);
	cr_assert_eq(value(KPI_SCTP_ASSOCIATIONS), 1);
}

Test(sctp_join, what_only_ends_begins_nothing)
{
	from_a(0, ABORT(0, 1));
	from_a(1, SHUTDOWN(1));
	from_a(2, SHUTDOWN_ACK);
	from_a(3, SHUTDOWN_COMPLETE(0));
	from_a(4, EMPTY(9));
	take(5, A1, B1, 0, DATA(1)); /* no tag */
	cr_assert_eq(value(KPI_SCTP_ASSOCIATIONS), 0);
	cr_assert(is_group_seen(KPI_GROUP_SCTP));
}

Test(sctp_join, what_fell_silent_is_joined_to_nothing)
{
	from_a(0, DATA(100));
	take(80000, B2, A2, TAG_A, DATA(500));
	from_b(95000, DATA(501));
	assert_ended(KPI_SCTP_ENDED_IDLE, 1);
}
