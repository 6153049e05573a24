#include "kpi/sctp_life.h"

#include <criterion/criterion.h>

#include "../support/association.h"

TestSuite(sctp_life, .init = prepare_association, .fini = tear_down_association);

Test(sctp_life, shutdown_ends_it)
{
	set_up(0);
	from_a(100, SHUTDOWN(499));
	from_b(101, SHUTDOWN_ACK);
	from_a(102, SHUTDOWN_COMPLETE(0));
	assert_ended(KPI_SCTP_ENDED_SHUTDOWN, 0);
	from_b(103, SHUTDOWN_ACK);
	from_a(104, DATA(100));
	assert_ended(KPI_SCTP_ENDED_SHUTDOWN, 0);
}

Test(sctp_life, shutdown_whose_last_word_is_lost_is_one)
{
	set_up(0);
	from_b(101, SHUTDOWN_ACK);
	expire_associations(100000);
	assert_ended(KPI_SCTP_ENDED_SHUTDOWN, 0);
}

Test(sctp_life, abort_ends_it)
{
	set_up(0);
	from_a(100, ABORT(0, 12));
	assert_ended(KPI_SCTP_ENDED_ABORT, 0);
	cr_assert_eq(value(KPI_SCTP_ABORT_USER_INITIATED), 1);
	from_b(101, DATA(500)); /* was on its way */
	cr_assert_eq(value(KPI_SCTP_ASSOCIATIONS), 0);
}

Test(sctp_life, reflected_tag_is_that_of_the_other_direction)
{
	set_up(0);
	take(100, B1, A1, TAG_B, ABORT(1, 0));
	assert_ended(KPI_SCTP_ENDED_ABORT, 0);
}

Test(sctp_life, abort_with_a_tag_of_nobody_ends_nothing)
{
	set_up(0);
	take(100, A1, B1, 0x1234, ABORT(0, 0));
	take(101, A1, B1, 0x1234, ABORT(1, 0));
	cr_assert_eq(ended_in_all(), 0);
	cr_assert_eq(value(KPI_SCTP_ASSOCIATIONS), 1);
	cr_assert_eq(value(KPI_SCTP_CHUNK_ABORT), 2);
}

Test(sctp_life, silence_of_90_seconds_ends_it)
{
	set_up(0);
	expire_associations(90059);
	cr_assert_eq(value(KPI_SCTP_ASSOCIATIONS), 1);
	expire_associations(90060);
	assert_ended(KPI_SCTP_ENDED_IDLE, 0);
}

Test(sctp_life, silence_ends_it_whoever_notices)
{
	set_up(0);
	from_a(91000, DATA(100));
	assert_ended(KPI_SCTP_ENDED_IDLE, 1);
}

Test(sctp_life, restart_ends_it_when_the_new_one_is_up)
{
	set_up(0);
	take(1000, A1, B1, 0, INIT(0xa2a2, 1));
	cr_assert_eq(ended_in_all(), 0, "anybody can send an INIT");
	take(1001, B1, A1, 0xa2a2, INIT_ACK(0xb2b2, 2));
	take(1002, A1, B1, 0xb2b2, COOKIE_ECHO);
	cr_assert_eq(ended_in_all(), 0);
	take(1003, B1, A1, 0xa2a2, COOKIE_ACK);
	assert_ended(KPI_SCTP_ENDED_RESTART, 1);
	cr_assert_eq(value(KPI_SCTP_ATTEMPTED), 2);
	cr_assert_eq(value(KPI_SCTP_ESTABLISHED), 2);
}

/* With or without a look in between. */
Test(sctp_life, silence_is_no_restart)
{
	set_up(0);
	take(200000, A1, B1, 0, INIT(0xa1, 100));
	take(200010, B1, A1, 0xa1, INIT_ACK(0xb1, 500));
	take(200020, A1, B1, 0xb1, COOKIE_ECHO);
	take(200030, B1, A1, 0xa1, COOKIE_ACK);
	assert_ended(KPI_SCTP_ENDED_IDLE, 1);
}
