#include "kpi/sctp_table.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#define SECOND   UINT64_C(1000000000)
#define NOW      (UINT64_C(1795302174) * SECOND)
#define PLACES   16u /* as many as are looked at for a victim */
#define SESSIONS 4

static const uint8_t key[16] = "sixteen bytes...";
static struct sctp_table *table;
static struct sctp_association *all[PLACES];

static void prepare(void)
{
	struct err err;

	cr_assert_eq(sctp_table_open(&table, PLACES, SESSIONS, key, &err), 0, "%s", err.text);
}

static void tear_down(void)
{
	sctp_table_close(table);
}

TestSuite(sctp_table, .init = prepare, .fini = tear_down);

static struct sctp_association *find(uint64_t id, unsigned kinds)
{
	enum sctp_id kind;

	return sctp_table_find(table, id, kinds, NULL, &kind);
}

/* Established and heard a second ago, i in session i % of the first n. */
static void fill(unsigned n)
{
	for (uint32_t i = 0; i < PLACES; i++) {
		all[i] = sctp_table_add(table, i % n);
		all[i]->state = SCTP_UP;
		all[i]->is_seen[0] = all[i]->is_seen[1] = true;
		all[i]->last_ns = NOW - SECOND;
	}
}

static struct sctp_association *victim(uint32_t session)
{
	return sctp_table_victim(table, session, UINT64_C(0x123456789abcdef), NOW);
}

/* ---- ids ---- */

Test(sctp_table, id_of_a_tag_is_of_session_ports_in_order_and_tag)
{
	const uint64_t id = sctp_id_of_tag(table, 1, 2, 3, 4);

	cr_assert_eq(id, sctp_id_of_tag(table, 1, 2, 3, 4));
	cr_assert_neq(id, sctp_id_of_tag(table, 2, 2, 3, 4));
	cr_assert_neq(id, sctp_id_of_tag(table, 1, 3, 2, 4));
	cr_assert_neq(id, sctp_id_of_tag(table, 1, 2, 3, 5));
}

Test(sctp_table, hash_is_of_all_bytes_and_their_number)
{
	const uint8_t bytes[20] = {1};
	uint8_t other[20] = {1};

	cr_assert_eq(sctp_hash(table, bytes, 20), sctp_hash(table, other, 20));
	other[19] = 1;
	cr_assert_neq(sctp_hash(table, bytes, 20), sctp_hash(table, other, 20));
	cr_assert_neq(sctp_hash(table, bytes, 19), sctp_hash(table, bytes, 20));
}

/* ---- finding ---- */

Test(sctp_table, found_by_every_id_that_it_was_given)
{
	struct sctp_association *a = sctp_table_add(table, 0), *b = sctp_table_add(table, 0);
	enum sctp_id kind;

	for (enum sctp_id k = 0; k < SCTP_IDS; k++) {
		sctp_table_name(table, a, k, 100 + k);
		sctp_table_name(table, b, k, 200 + k);
	}
	for (enum sctp_id k = 0; k < SCTP_IDS; k++) {
		cr_assert_eq(sctp_table_find(table, 100 + k, 7, NULL, &kind), a);
		cr_assert_eq(kind, k);
		cr_assert_eq(find(200 + k, 7), b);
	}
	cr_assert_null(find(100, SCTP_ADDRESSES));
	cr_assert_null(find(300, 7));
}

Test(sctp_table, new_name_replaces_the_old_one)
{
	struct sctp_association *a = sctp_table_add(table, 0);

	sctp_table_name(table, a, SCTP_ID_TAG_0, 100);
	sctp_table_name(table, a, SCTP_ID_TAG_0, 132); /* of the same chain */
	cr_assert_null(find(100, 7));
	cr_assert_eq(find(132, 7), a);
	sctp_table_name(table, a, SCTP_ID_TAG_0, 0);
	cr_assert_null(find(132, 7));
}

Test(sctp_table, several_of_one_id_are_all_found)
{
	struct sctp_association *a = sctp_table_add(table, 0), *b = sctp_table_add(table, 0);
	struct sctp_association *next;
	enum sctp_id kind;

	sctp_table_name(table, a, SCTP_ID_ADDRESSES, 5);
	sctp_table_name(table, b, SCTP_ID_ADDRESSES, 5);
	next = sctp_table_find(table, 5, SCTP_ADDRESSES, NULL, &kind);
	cr_assert_eq(next, b);
	next = sctp_table_find(table, 5, SCTP_ADDRESSES, next, &kind);
	cr_assert_eq(next, a);
	cr_assert_null(sctp_table_find(table, 5, SCTP_ADDRESSES, next, &kind));
}

Test(sctp_table, dropped_one_is_found_no_more_and_its_place_is_free)
{
	fill(1);
	cr_assert_null(sctp_table_add(table, 0));
	sctp_table_name(table, all[3], SCTP_ID_TAG_1, 7);
	sctp_table_drop(table, all[3]);
	cr_assert_null(find(7, 7));
	cr_assert_null(sctp_table_at(table, 3));
	cr_assert_eq(sctp_table_add(table, 1), all[3]);
	cr_assert_eq(sctp_table_at(table, 3), all[3]);
	cr_assert_eq(all[3]->session, 1);
	cr_assert_eq(all[3]->state, SCTP_ASKED);
}

/* ---- making way ---- */

Test(sctp_table, live_ones_make_no_way)
{
	fill(1);
	cr_assert_null(victim(0));
	cr_assert_null(victim(1), "though its session is above its share");
}

Test(sctp_table, one_that_was_never_answered_makes_way)
{
	fill(1);
	all[5]->is_seen[1] = false;
	cr_assert_eq(victim(0), all[5]);
}

Test(sctp_table, one_that_is_over_makes_way)
{
	fill(1);
	all[6]->state = SCTP_OVER;
	cr_assert_eq(victim(0), all[6]);
}

Test(sctp_table, longest_silent_makes_way_first)
{
	fill(1);
	for (unsigned i = 2; i < 9; i++)
		all[i]->is_seen[0] = false;
	all[7]->last_ns -= 1;
	all[9]->last_ns = NOW - SCTP_STALE_NS; /* answered */
	cr_assert_eq(victim(0), all[7]);
}

Test(sctp_table, silent_for_a_minute_makes_way)
{
	fill(1);
	all[4]->last_ns = NOW - SCTP_STALE_NS + 1;
	cr_assert_null(victim(0));
	all[4]->last_ns = NOW - SCTP_STALE_NS;
	cr_assert_eq(victim(0), all[4]);
}

Test(sctp_table, session_above_its_share_loses_first)
{
	fill(1);
	for (unsigned i = 0; i < 4; i++) {
		sctp_table_drop(table, all[i]);
		all[i] = sctp_table_add(table, 1);
		all[i]->last_ns = NOW - 50 * SECOND; /* older */
	}
	all[10]->is_seen[0] = false;
	cr_assert_eq(victim(1), all[10]);
	cr_assert_eq(victim(2), all[10]);
}

Test(sctp_table, flood_of_a_session_takes_nothing_from_those_below_their_share)
{
	fill(1);
	for (unsigned i = 0; i < 4; i++) {
		sctp_table_drop(table, all[i]);
		all[i] = sctp_table_add(table, 1);
		all[i]->last_ns = NOW;
	}
	cr_assert_null(victim(0));
	cr_assert_not_null(victim(1), "its own");
}

Test(sctp_table, memory_is_what_was_said)
{
	cr_assert_geq(sctp_table_memory(1000, 10), 1000 * sizeof(struct sctp_association));
	cr_assert_leq(sctp_table_memory(1000, 10), 1000 * (sizeof(struct sctp_association) + 40));
}

Test(sctp_table, size_is_checked)
{
	struct sctp_table *t = NULL;
	struct err err;

	cr_assert_eq(sctp_table_open(&t, 0, 1, key, &err), -EINVAL);
	cr_assert_null(t);
	cr_assert_eq(sctp_table_open(&t, UINT32_MAX, 1, key, &err), -EINVAL);
	cr_assert_not_null(strstr(err.text, "associations"));
	sctp_table_close(NULL);
}
