#include "kpi/sctp_setup.h"

#include <criterion/criterion.h>

#include "../support/association.h"
#include "../support/packet.h"
#include "inner.h"

TestSuite(sctp_setup, .init = prepare_association, .fini = tear_down_association);

Test(sctp_setup, set_up_is_counted_and_timed)
{
	set_up(0);
	cr_assert_eq(value(KPI_SCTP_ATTEMPTED), 1);
	cr_assert_eq(value(KPI_SCTP_ESTABLISHED), 1);
	cr_assert_eq(value(KPI_SCTP_ASSOCIATIONS), 1);
	assert_times(KPI_SCTP_SETUP_SERVER, 1, 10);
	assert_times(KPI_SCTP_SETUP_CLIENT, 1, 20);
	assert_times(KPI_SCTP_SETUP_COOKIE, 1, 30);
	cr_assert(is_group_seen(KPI_GROUP_SCTP_BOTH));
}

Test(sctp_setup, init_sent_again_is_the_same_attempt_without_a_time)
{
	take(0, A1, B1, 0, INIT(TAG_A, 100));
	set_up(1000);
	cr_assert_eq(value(KPI_SCTP_ATTEMPTED), 1);
	cr_assert_eq(value(KPI_SCTP_ESTABLISHED), 1);
	assert_times(KPI_SCTP_SETUP_SERVER, 0, 0);
	assert_times(KPI_SCTP_SETUP_CLIENT, 1, 20);
}

Test(sctp_setup, init_behind_its_answer_is_an_attempt_all_the_same)
{
	from_b(0, INIT_ACK(TAG_B, 500));
	take(1, A1, B1, 0, INIT(TAG_A, 100));
	from_a(2, COOKIE_ECHO);
	from_b(3, COOKIE_ACK);
	cr_assert_eq(value(KPI_SCTP_ATTEMPTED), 1);
	cr_assert_eq(value(KPI_SCTP_ESTABLISHED), 1);
	assert_times(KPI_SCTP_SETUP_SERVER, 0, 0);
}

Test(sctp_setup, both_may_ask_at_the_same_time)
{
	take(0, A1, B1, 0, INIT(TAG_A, 100));
	take(1, B1, A1, 0, INIT(TAG_B, 500));
	from_a(2, INIT_ACK(TAG_A, 100));
	from_b(3, INIT_ACK(TAG_B, 500));
	from_a(4, COOKIE_ECHO);
	from_b(5, COOKIE_ECHO);
	from_b(6, COOKIE_ACK);
	from_a(7, COOKIE_ACK);
	cr_assert_eq(value(KPI_SCTP_ATTEMPTED), 1);
	cr_assert_eq(value(KPI_SCTP_ESTABLISHED), 1);
	cr_assert_eq(value(KPI_SCTP_ASSOCIATIONS), 1);
	assert_times(KPI_SCTP_SETUP_SERVER, 0, 0);
}

Test(sctp_setup, lost_cookie_ack_is_made_up_for)
{
	take(0, A1, B1, 0, INIT(TAG_A, 100));
	from_b(1, INIT_ACK(TAG_B, 500));
	from_a(2, both(COOKIE_ECHO, DATA(100)));
	cr_assert_eq(value(KPI_SCTP_ESTABLISHED), 0);
	from_a(3, DATA(101));
	cr_assert_eq(value(KPI_SCTP_ESTABLISHED), 1);
}

Test(sctp_setup, asker_takes_one_of_two_answers)
{
	take(0, A1, B1, 0, INIT(TAG_A, 100));
	from_b(1, INIT_ACK(TAG_B, 500));
	from_b(2, INIT_ACK(0xcccc, 700));
	from_a(3, COOKIE_ECHO);
	from_b(4, COOKIE_ACK);
	cr_assert_eq(value(KPI_SCTP_ESTABLISHED), 1);
	cr_assert_eq(value(KPI_SCTP_ASSOCIATIONS), 1);
}

Test(sctp_setup, abort_of_an_attempt_is_a_failure)
{
	take(0, A1, B1, 0, INIT(TAG_A, 100));
	from_b(1, ABORT(0, 4));
	cr_assert_eq(value(KPI_SCTP_FAILED_ABORTED), 1);
	cr_assert_eq(value(KPI_SCTP_ABORT_OUT_OF_RESOURCE), 1);
	cr_assert_eq(ended_in_all(), 0, "it never was");
	take(5, A1, B1, 0, INIT(TAG_A, 100));
	cr_assert_eq(value(KPI_SCTP_ATTEMPTED), 2);
}

Test(sctp_setup, unanswered_attempt_times_out_once)
{
	sees_both();
	take(0, A1, B1, 0, INIT(TAG_A, 100));
	take(3000, A1, B1, 0, INIT(TAG_A, 100));
	expire_associations(13000);
	cr_assert_eq(value(KPI_SCTP_FAILED_TIMEOUT), 0);
	expire_associations(13001);
	cr_assert_eq(value(KPI_SCTP_FAILED_TIMEOUT), 1);
	take(31000, A1, B1, 0, INIT(TAG_A, 100));
	expire_associations(200000);
	cr_assert_eq(value(KPI_SCTP_FAILED_TIMEOUT), 1);
	cr_assert_eq(value(KPI_SCTP_ATTEMPTED), 1);
}

Test(sctp_setup, no_timeout_where_one_direction_is_mirrored)
{
	take(0, A1, B1, 0, INIT(TAG_A, 100));
	expire_associations(200000);
	cr_assert_eq(value(KPI_SCTP_FAILED_TIMEOUT), 0);
	cr_assert_not(is_group_seen(KPI_GROUP_SCTP_BOTH));
}

static void unreachable(unsigned direction)
{
	struct build b = build_payload(8);
	struct dissected d;
	const struct kpi_sink sink = {
		.memory = &memory, .session = &sessions[0], .time_ns = START + MS};

	build_sctp(&b, 3000, 3868);
	build_ipv4(&b, INNER_SCTP, A1, B1);
	build_ethernet(&b, 0x0800);
	dissect_frame(build_data(&b), b.len, b.len, &d);
	sctp_unreachable(sctp, &sink, &d.key, direction);
}

Test(sctp_setup, icmp_error_fails_an_attempt)
{
	take(0, A1, B1, 0, INIT(TAG_A, 100));
	unreachable(1);
	cr_assert_eq(value(KPI_SCTP_FAILED_UNREACHABLE), 0, "of the other direction");
	unreachable(0);
	unreachable(0);
	cr_assert_eq(value(KPI_SCTP_FAILED_UNREACHABLE), 1);
}

Test(sctp_setup, icmp_error_ends_nothing_that_is_up)
{
	set_up(0);
	unreachable(0);
	cr_assert_eq(value(KPI_SCTP_FAILED_UNREACHABLE), 0);
	cr_assert_eq(value(KPI_SCTP_ASSOCIATIONS), 1);
}
