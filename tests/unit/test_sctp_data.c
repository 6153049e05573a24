#include "kpi/sctp_data.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define MS    UINT64_C(1000000)
#define START (UINT64_C(1795302174) * 1000 * MS)

static struct kpi_session session;
static struct histogram histograms[KPI_HISTOGRAMS];
static uint64_t used, missed;
static const struct kpi_memory memory = {NULL, histograms, KPI_HISTOGRAMS, &used, &missed};
static struct sctp_data data;

static struct kpi_sink at(uint64_t ms)
{
	return (struct kpi_sink){
		.memory = &memory, .session = &session, .time_ns = START + ms * MS};
}

static bool sent(uint64_t ms, uint32_t tsn)
{
	const struct kpi_sink sink = at(ms);

	sctp_data_settle(&sink, &data, false);
	return sctp_data_sent(&sink, &data, tsn);
}

/* gaps: pairs, as the bytes of a SACK. */
static void sack(uint64_t ms, uint32_t cum, const char *gaps, uint32_t n_gaps)
{
	const struct kpi_sink sink = at(ms);

	sctp_data_settle(&sink, &data, false);
	sctp_data_sack(&sink, &data, &(struct sctp_sack){cum, 1000, (const uint8_t *)gaps, n_gaps});
}

static void settle(uint64_t ms, bool at_end)
{
	const struct kpi_sink sink = at(ms);

	sctp_data_settle(&sink, &data, at_end);
}

static uint64_t value(enum kpi kpi)
{
	return session.value[kpi];
}

static void assert_loss(uint64_t acked, uint64_t missing)
{
	cr_assert_eq(value(KPI_SCTP_ACKED_CHUNKS), acked, "%lu acked",
		     (unsigned long)value(KPI_SCTP_ACKED_CHUNKS));
	cr_assert_eq(value(KPI_SCTP_ACKED_MISSING_CHUNKS), missing, "%lu missing",
		     (unsigned long)value(KPI_SCTP_ACKED_MISSING_CHUNKS));
}

static void assert_rtts(uint64_t n, uint64_t sum_ms)
{
	const uint32_t place = session.histogram[KPI_SCTP_SACK_RTT];
	const uint64_t sum_ns = place ? histograms[place - 1].sum_ns : 0;

	cr_assert_eq(place ? histogram_count(&histograms[place - 1]) : 0, n);
	cr_assert_lt((uint64_t)llabs((int64_t)(sum_ns - sum_ms * MS)), 256 * n + 1);
}

/* ---- retransmission ---- */

Test(sctp_data, tsn_seen_before_is_a_retransmission)
{
	cr_assert(sent(0, 10));
	cr_assert(sent(1, 11));
	cr_assert_not(sent(2, 10));
	cr_assert_not(sent(3, 11));
	cr_assert_eq(value(KPI_SCTP_RETRANSMITTED), 2);
}

Test(sctp_data, late_one_is_none)
{
	sent(0, 10);
	sent(1, 12);
	cr_assert(sent(2, 11));
	cr_assert(sent(3, 9), "in the middle, this was not seen");
	cr_assert_eq(value(KPI_SCTP_RETRANSMITTED), 0);
}

Test(sctp_data, tsns_wrap)
{
	for (uint32_t i = 0; i < 3000; i++)
		cr_assert(sent(i, UINT32_MAX - 1500 + i));
	cr_assert_not(sent(4000, 0));
	cr_assert_not(sent(4001, UINT32_MAX));
	cr_assert_eq(value(KPI_SCTP_RETRANSMITTED), 2);
}

Test(sctp_data, window_forgets_what_leaves_it)
{
	sent(0, 100);
	sent(0, 100 + SCTP_WINDOW); /* the bit of 100 */
	cr_assert_eq(value(KPI_SCTP_RETRANSMITTED), 0);
	sent(0, 101 + SCTP_WINDOW + 700);
	for (uint32_t tsn = 101 + SCTP_WINDOW; tsn < 101 + SCTP_WINDOW + 700; tsn++)
		cr_assert(sent(0, tsn), "%u", tsn);
	cr_assert_not(sent(0, 100), "older than the window");
}

Test(sctp_data, absurd_jump_begins_anew)
{
	sent(0, 100);
	sack(1, 100, "", 0);
	cr_assert(sent(2, 100 + SCTP_JUMP_MAX + 1));
	cr_assert(sent(3, 50), "and back");
	sack(4, 50, "", 0);
	settle(100, true);
	assert_loss(0, 0);
	cr_assert_eq(value(KPI_SCTP_RETRANSMITTED), 0);
}

/* ---- RTT ---- */

Test(sctp_data, rtt_is_from_the_chunk_to_its_first_sack)
{
	sent(0, 10);
	sent(5, 11);
	sack(20, 10, "", 0);
	assert_rtts(1, 20);
	sack(25, 11, "", 0);
	sack(90, 11, "", 0);
	assert_rtts(2, 40);
}

Test(sctp_data, gap_block_is_an_answer)
{
	for (uint32_t i = 0; i < 5; i++)
		sent(i, 10 + i);
	sack(10, 9, "\0\2\0\3\0\5\0\5", 2); /* 11, 12, 14 */
	assert_rtts(3, 9 + 8 + 6);
	sack(30, 14, "", 0);
	assert_rtts(5, 23 + 30 + 27);
}

Test(sctp_data, retransmitted_chunk_has_no_rtt)
{
	sent(0, 10);
	sent(1, 10);
	sack(2, 10, "", 0);
	assert_rtts(0, 0);
}

Test(sctp_data, chunk_behind_its_sack_has_no_rtt)
{
	sent(0, 10);
	sack(1, 11, "\0\2\0\2", 1); /* 11 and 13 came late */
	sent(2, 11);
	sent(2, 13);
	sack(50, 13, "", 0);
	assert_rtts(1, 1);
}

Test(sctp_data, rtt_is_never_negative)
{
	sent(10, 10);
	sack(9, 10, "", 0);
	assert_rtts(0, 0);
}

Test(sctp_data, more_under_way_than_are_timed_are_skipped)
{
	for (uint32_t i = 0; i < SCTP_TIMED + 3; i++)
		sent(0, i);
	cr_assert_eq(value(KPI_SCTP_RTT_SKIPPED), 3);
	sack(1, 100, "", 0);
	assert_rtts(SCTP_TIMED, SCTP_TIMED);
}

Test(sctp_data, empty_and_reversed_gap_blocks_are_nothing)
{
	sent(0, 10);
	sack(1, 9, "\0\0\0\5\0\3\0\1", 2);
	assert_rtts(0, 0);
}

/* ---- the loss of the mirror ---- */

static void begin(uint32_t tsn)
{
	sctp_data_begin(&data, tsn);
}

Test(sctp_data, acknowledged_and_never_seen_is_missing)
{
	begin(10);
	sent(0, 10);
	sent(0, 13);
	sack(1, 14, "", 0);
	cr_assert_eq(session.groups, 0);
	settle(12, false);
	assert_loss(5, 3); /* 11, 12, 14 */
	cr_assert_eq(session.groups, 1u << KPI_GROUP_SCTP_LOSS);
	settle(100, true);
	assert_loss(5, 3);
}

Test(sctp_data, first_chunk_of_all_may_be_missing)
{
	begin(10);
	sent(0, 11);
	sack(1, 11, "", 0);
	settle(2, true);
	assert_loss(2, 1);
}

Test(sctp_data, answer_before_its_chunk_is_no_loss)
{
	begin(10);
	sack(0, 11, "", 0);
	sent(2, 10);
	sent(2, 11);
	settle(50, false);
	assert_loss(2, 0);
}

Test(sctp_data, chunk_sent_again_after_its_loss_in_the_mirror_is_still_missing)
{
	begin(10);
	sent(0, 11);
	sack(1, 11, "", 0);
	sent(50, 10);
	settle(100, true);
	assert_loss(2, 1);
}

Test(sctp_data, what_the_network_lost_is_not_missing)
{
	begin(10);
	sent(0, 10);
	sent(0, 12);
	sack(1, 10, "\0\2\0\2", 1);
	sent(200, 11);
	sack(201, 12, "", 0);
	settle(300, false);
	assert_loss(3, 0);
}

Test(sctp_data, gap_blocks_count_at_the_end)
{
	begin(10);
	sent(0, 10);
	sent(0, 12);
	sack(1, 10, "\0\2\0\3", 1);
	settle(300, false);
	assert_loss(1, 0);
	settle(300, true);
	assert_loss(3, 1); /* 10; 12, 13 */
}

Test(sctp_data, every_chunk_counts_once)
{
	begin(0);
	for (uint32_t i = 0; i < 5000; i++) {
		if (i % 10 != 3)
			sent(i, i);
		if (i % 7 == 0)
			sack(i, i, "", 0);
	}
	settle(6000, false);
	assert_loss(4999, 500); /* the latest SACK has 4998 */
}

Test(sctp_data, in_the_middle_nothing_counts_before_the_first_look)
{
	sent(0, 10); /* sent again, maybe: 11 to 20 were before the mirror */
	sack(1, 9, "\0\2\0\13", 1);
	sent(2, 21);
	sack(3, 21, "", 0);
	sent(4, 23);
	sack(5, 23, "", 0);
	settle(6, true);
	assert_loss(3, 1); /* 21, 22, 23 */
}

Test(sctp_data, in_the_middle_a_sack_may_be_first)
{
	sack(0, 20, "", 0);
	sent(1, 15);
	sent(1, 22);
	sack(2, 22, "", 0);
	settle(3, true);
	assert_loss(2, 1);
}

Test(sctp_data, absurd_acknowledgement_is_not_believed)
{
	begin(10);
	sent(0, 10);
	sack(1, 11 + SCTP_JUMP_MAX, "", 0);
	sack(2, 10 - SCTP_JUMP_MAX - 1, "", 0);
	settle(100, true);
	assert_loss(0, 0);
	sack(101, 10, "", 0);
	settle(102, true);
	assert_loss(1, 0);
}

Test(sctp_data, old_sack_takes_nothing_back)
{
	begin(10);
	sent(0, 10);
	sent(0, 11);
	sack(1, 11, "", 0);
	sack(2, 10, "", 0);
	settle(50, false);
	assert_loss(2, 0);
}

Test(sctp_data, what_was_given_up_need_not_arrive)
{
	const struct kpi_sink sink = at(1);

	begin(10);
	sent(0, 10);
	sack(0, 10, "", 0);
	sctp_data_forward(&sink, &data, 14);
	sack(2, 14, "", 0);
	settle(100, true);
	assert_loss(1, 0);
}

Test(sctp_data, shutdown_acknowledges)
{
	const struct kpi_sink sink = at(1);

	begin(10);
	sent(0, 10);
	sctp_data_acked(&sink, &data, 11);
	settle(100, true);
	assert_loss(2, 1);
	assert_rtts(0, 0);
}

Test(sctp_data, much_unacknowledged_is_not_counted_as_missing)
{
	begin(0);
	for (uint32_t i = 0; i < 3 * SCTP_WINDOW; i += 2)
		sent(0, i);
	sack(1, 3 * SCTP_WINDOW - 1, "", 0);
	settle(100, true);
	cr_assert_leq(value(KPI_SCTP_ACKED_CHUNKS), SCTP_WINDOW + 1);
	cr_assert_eq(value(KPI_SCTP_ACKED_MISSING_CHUNKS), value(KPI_SCTP_ACKED_CHUNKS) / 2 + 1);
}

/* ---- the window ---- */

Test(sctp_data, zero_window_is_counted_once_until_it_opens)
{
	const uint32_t windows[] = {1000, 0, 0, 1, 0};
	const struct kpi_sink sink = at(0);

	for (unsigned i = 0; i < 5; i++)
		sctp_data_sack(&sink, &data, &(struct sctp_sack){10, windows[i], NULL, 0});
	cr_assert_eq(value(KPI_SCTP_ZERO_WINDOWS), 2);
}

Test(sctp_data, start_is_not_moved_by_a_second_one)
{
	begin(10);
	sent(0, 10);
	begin(500);
	cr_assert_not(sent(1, 10));
}
