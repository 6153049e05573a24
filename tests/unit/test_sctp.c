#include "kpi/sctp.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "../support/association.h"
#include "../support/packet.h"
#include "inner.h"
#include "kpi/sctp_table.h"

TestSuite(sctp, .init = prepare_association, .fini = tear_down_association);

/* ---- data ---- */

Test(sctp, all_data_chunks_of_a_packet_are_taken)
{
	set_up(0);
	from_a(100, both(DATA(100), both(DATA(101), CHUNK(64, 3, 102, 0, 0, 0, 0))));
	from_b(110, SACK(102, 1000));
	assert_times(KPI_SCTP_SACK_RTT, 3, 30);
	cr_assert_eq(value(KPI_SCTP_CHUNK_I_DATA), 1);
}

Test(sctp, acknowledged_and_never_mirrored_is_missing)
{
	set_up(0);
	from_a(100, DATA(101));
	from_b(101, SACK(102, 1000));
	finish_associations(102);
	cr_assert_eq(value(KPI_SCTP_ACKED_CHUNKS), 3);
	cr_assert_eq(value(KPI_SCTP_ACKED_MISSING_CHUNKS), 2);
	cr_assert(is_group_seen(KPI_GROUP_SCTP_LOSS));
}

Test(sctp, bytes_with_data_are_visible_once_both_sides_were_seen)
{
	from_a(0, DATA(100));
	cr_assert_eq(value(KPI_VISIBLE_BYTES), 0);
	from_b(1, SACK(100, 1000));
	from_a(2, both(DATA(101), DATA(102)));
	cr_assert_eq(value(KPI_VISIBLE_BYTES), 20 + 12 + 20 + 20);
}

Test(sctp, sack_reports_duplicates_and_a_closed_window)
{
	set_up(0);
	from_b(100, CHUNK(3, 0, 99, 0, 1 << 16 | 2, 2 << 16 | 3, 50, 51));
	cr_assert_eq(value(KPI_SCTP_DUPLICATE_TSNS), 2);
	cr_assert_eq(value(KPI_SCTP_ZERO_WINDOWS), 1);
	from_b(101, CHUNK(3, 0, 99, 0, 0xffffu << 16 | 0xffff));
	cr_assert_eq(value(KPI_SCTP_DUPLICATE_TSNS), 2, "there is no room for so many");
}

Test(sctp, heartbeat_that_is_cut_is_left_out)
{
	sees_both();
	set_up(0);
	cut = 14 + 20 + 12 + 8;
	from_a(100, HEARTBEAT(5));
	cut = 0;
	expire_associations(10000);
	cr_assert_eq(value(KPI_SCTP_HEARTBEATS_UNANSWERED), 0);
	cr_assert_eq(value(KPI_SCTP_CHUNK_HEARTBEAT), 1);
}

Test(sctp, ethernet_padding_is_no_chunk)
{
	struct build b = build_payload(4 + 6);

	memcpy(build_data(&b), COOKIE_ACK.bytes, 4);
	memset(build_data(&b) + 4, 11, 6);
	build_sctp(&b, 3000, 3868);
	build_ipv4(&b, INNER_SCTP, A1, B1);
	build_data(&b)[3] = 20 + 12 + 4;
	build_ethernet(&b, 0x0800);
	take_frame(0, &b);
	cr_assert_eq(value(KPI_SCTP_CHUNK_COOKIE_ACK), 1);
}

Test(sctp, any_bytes_are_taken)
{
	srand(1);
	set_up(0);
	for (unsigned i = 0; i < 20000; i++) {
		struct chunks c = {.len = (uint32_t)rand() % 200};
		for (uint32_t at = 0; at < c.len; at++)
			c.bytes[at] = (uint8_t)(rand() % 3 ? rand() % 16 : rand());
		take(100 + i, i % 2 ? A1 : B1, i % 2 ? B1 : A1,
		     i % 5 ? (i % 2 ? TAG_B : TAG_A) : (uint32_t)rand() % 4, c);
	}
	finish_associations(300000);
	cr_assert_leq(value(KPI_SCTP_ACKED_MISSING_CHUNKS), value(KPI_SCTP_ACKED_CHUNKS));
	cr_assert_leq(value(KPI_SCTP_ASSOCIATIONS), PLACES);
}

Test(sctp, every_cut_of_every_chunk_is_taken)
{
	const struct chunks all[] = {
		INIT(TAG_A, 100),   INIT_ACK(TAG_B, 500), COOKIE_ECHO,  COOKIE_ACK,
		DATA(100),          SACK(100, 0),         HEARTBEAT(1), HEARTBEAT_ACK(1),
		CHUNK(192, 0, 100), CHUNK(64, 3, 1, 2),   SHUTDOWN(1),  ABORT(0, 1)};

	for (unsigned i = 0; i < sizeof(all) / sizeof(*all); i++)
		for (cut = 14 + 20 + 12; cut <= 14 + 20 + 12 + all[i].len; cut++)
			take(i, i % 2 ? B1 : A1, i % 2 ? A1 : B1, i ? (i % 2 ? TAG_A : TAG_B) : 0,
			     all[i]);
}

/* ---- room ---- */

Test(sctp, flood_of_attempts_takes_no_live_association)
{
	set_up(0);
	for (uint32_t i = 1; i <= 1000; i++) {
		port_a = (uint16_t)(10000 + i);
		take(1000 + i, A1, B1, 0, INIT(i, 1));
	}
	port_a = 3000;
	from_a(3000, DATA(100));
	from_b(3010, SACK(100, 1000));
	assert_times(KPI_SCTP_SACK_RTT, 1, 10);
	cr_assert_eq(value(KPI_SCTP_ATTEMPTED), 1001);
	cr_assert_eq(value(KPI_SCTP_ASSOCIATION_FULL), 0);
	cr_assert_eq(ended_in_all(), 0);
}

Test(sctp, packet_of_one_without_room_is_counted)
{
	for (uint32_t i = 0; i <= PLACES; i++) {
		port_a = (uint16_t)(3000 + i);
		set_up(0);
	}
	cr_assert_eq(value(KPI_SCTP_ASSOCIATION_FULL), 4);
	cr_assert_eq(value(KPI_SCTP_ESTABLISHED), PLACES);
	cr_assert_eq(value(KPI_SCTP_CHUNK_INIT), PLACES + 1);
}

Test(sctp, eviction_is_an_end)
{
	for (uint32_t i = 0; i <= PLACES; i++) {
		port_a = (uint16_t)(3000 + i);
		from_a(i, DATA(1)); /* never answered */
	}
	assert_ended(KPI_SCTP_ENDED_EVICTED, PLACES);
}

Test(sctp, memory_is_what_was_said)
{
	const struct sctp_config c = {1000, 10, "", &memory};

	cr_assert_geq(sctp_memory(&c), sctp_table_memory(1000, 10));
}
