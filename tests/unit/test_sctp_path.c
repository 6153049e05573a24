#include "kpi/sctp_path.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define MS    UINT64_C(1000000)
#define START (UINT64_C(1795302174) * 1000 * MS)
/* Of sides. */
enum { A, B };

static struct kpi_session session;
static struct histogram histograms[KPI_HISTOGRAMS];
static uint64_t used, missed;
static const struct kpi_memory memory = {NULL, histograms, KPI_HISTOGRAMS, &used, &missed};
static struct sctp_paths paths;

static struct kpi_sink at(uint64_t ms)
{
	return (struct kpi_sink){
		.memory = &memory, .session = &session, .time_ns = START + ms * MS};
}

static void beat(uint64_t ms, unsigned side, unsigned path, uint32_t info)
{
	const struct kpi_sink sink = at(ms);

	sctp_path_expire(&sink, &paths, true);
	sctp_path_heartbeat(&sink, &paths, side, path, info);
}

static void answer(uint64_t ms, unsigned side, uint32_t info)
{
	const struct kpi_sink sink = at(ms);

	sctp_path_expire(&sink, &paths, true);
	sctp_path_heartbeat_ack(&sink, &paths, side, info);
}

static void expire(uint64_t ms, bool is_answered)
{
	const struct kpi_sink sink = at(ms);

	sctp_path_expire(&sink, &paths, is_answered);
}

static void sees_both(void)
{
	session.value[KPI_BIDIRECTIONAL_SCTP] = 1;
}

static void assert_rtts(uint64_t n, uint64_t sum_ms)
{
	const uint32_t place = session.histogram[KPI_SCTP_HEARTBEAT_RTT];
	const uint64_t sum_ns = place ? histograms[place - 1].sum_ns : 0;

	cr_assert_eq(place ? histogram_count(&histograms[place - 1]) : 0, n);
	cr_assert_lt((uint64_t)llabs((int64_t)(sum_ns - sum_ms * MS)), 256 * n + 1);
}

static void assert_unanswered(uint64_t n)
{
	cr_assert_eq(session.value[KPI_SCTP_HEARTBEATS_UNANSWERED], n);
}

TestSuite(sctp_path, .init = sees_both);

Test(sctp_path, paths_have_places_until_none_is_left)
{
	for (unsigned i = 0; i < SCTP_PATHS; i++)
		cr_assert_eq(sctp_path_of(&paths, 100 + i), i);
	cr_assert_eq(sctp_path_of(&paths, 103), 3);
	cr_assert_eq(sctp_path_of(&paths, 999), SCTP_PATH_NONE);
}

Test(sctp_path, new_data_on_another_path_is_a_change)
{
	const struct kpi_sink sink = at(0);

	sctp_path_data(&sink, &paths, A, 0);
	sctp_path_data(&sink, &paths, A, 0);
	sctp_path_data(&sink, &paths, B, 1);
	cr_assert_eq(session.value[KPI_SCTP_PRIMARY_CHANGES], 0);
	sctp_path_data(&sink, &paths, A, 1);
	sctp_path_data(&sink, &paths, A, SCTP_PATH_NONE);
	sctp_path_data(&sink, &paths, A, 1);
	cr_assert_eq(session.value[KPI_SCTP_PRIMARY_CHANGES], 1);
}

Test(sctp_path, equal_info_is_the_answer)
{
	beat(0, A, 0, 1);
	beat(1, A, 1, 2);
	answer(10, A, 2);
	assert_rtts(1, 9);
	answer(12, A, 1);
	assert_rtts(2, 21);
	answer(13, A, 1);
	assert_rtts(2, 21);
	expire(9000, true);
	assert_unanswered(0);
}

Test(sctp_path, sides_are_kept_apart)
{
	beat(0, A, 0, 1);
	answer(1, B, 1);
	assert_rtts(0, 0);
}

Test(sctp_path, copy_changes_nothing)
{
	beat(0, A, 0, 1);
	beat(3, A, 0, 1);
	answer(10, A, 1);
	assert_rtts(1, 10);
	expire(9000, true);
	assert_unanswered(0);
}

Test(sctp_path, answer_first_is_an_answer_without_a_time)
{
	answer(0, A, 1);
	beat(1, A, 0, 1);
	expire(9000, true);
	assert_rtts(0, 0);
	assert_unanswered(0);
}

Test(sctp_path, unanswered_after_five_seconds)
{
	beat(0, A, 0, 1);
	expire(4999, true);
	assert_unanswered(0);
	answer(5001, A, 1);
	assert_unanswered(1);
	assert_rtts(0, 0);
}

Test(sctp_path, unanswered_needs_both_directions)
{
	beat(0, A, 0, 1);
	expire(6000, false);
	session.value[KPI_BIDIRECTIONAL_SCTP] = 0;
	beat(7000, A, 0, 2);
	expire(14000, true);
	assert_unanswered(0);
}

Test(sctp_path, five_in_a_row_are_a_failure)
{
	for (uint32_t i = 0; i < 4; i++)
		beat(i * 6000, A, 0, i);
	beat(4 * 6000, A, 1, 100); /* of another path, and of another side */
	beat(4 * 6000, B, 0, 101);
	answer(4 * 6000, A, 100);
	expire(5 * 6000, true);
	cr_assert_eq(session.value[KPI_SCTP_PATH_FAILURES], 0);
	beat(6 * 6000, A, 0, 200);
	expire(7 * 6000, true);
	cr_assert_eq(session.value[KPI_SCTP_PATH_FAILURES], 1);
	beat(8 * 6000, A, 0, 201);
	expire(9 * 6000, true);
	cr_assert_eq(session.value[KPI_SCTP_PATH_FAILURES], 1, "it has failed already");
	assert_unanswered(7);
}

Test(sctp_path, answer_begins_the_row_anew)
{
	for (uint32_t i = 0; i < 8; i++) {
		beat(i * 6000, A, 0, i);
		if (i == 4)
			answer(i * 6000 + 1, A, i);
	}
	expire(8 * 6000, true);
	assert_unanswered(7);
	cr_assert_eq(session.value[KPI_SCTP_PATH_FAILURES], 0);
}

Test(sctp_path, oldest_makes_way_uncounted)
{
	for (uint32_t i = 0; i <= SCTP_BEATS; i++)
		beat(i, A, 0, i);
	answer(100, A, 1);
	assert_rtts(1, 99);
	answer(100, A, 0);
	assert_rtts(1, 99);
	expire(4000, true);
	assert_unanswered(0);
}

Test(sctp_path, joining_takes_what_waits)
{
	const struct kpi_sink sink = at(100);
	struct sctp_paths other = paths;

	beat(0, A, sctp_path_of(&paths, 7), 1);
	beat(0, A, 0, 2);
	paths.beat[1].state = SCTP_BEAT_WAITS;
	other.path[0].id = 9;
	sctp_path_heartbeat_ack(&sink, &other, B, 2);
	sctp_path_join(&sink, &other, B, &paths, A);
	paths = other;
	answer(110, B, 1);
	assert_rtts(1, 110);
	expire(9000, true);
	assert_unanswered(0);
	cr_assert_eq(sctp_path_of(&paths, 7), 1);
}
