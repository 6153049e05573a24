#include "kpi/duplicate.h"

#include <criterion/criterion.h>

#include "../support/packet.h"

#define MS       UINT64_C(1000000)
#define START    (UINT64_C(1795302174000) * MS)
#define SESSIONS 2

#define SYN 0x02
#define ACK 0x10

static struct duplicates *duplicates;
static uint32_t session;

static void open_for(uint32_t packets_max)
{
	static const uint8_t key[16] = {1, 2, 3};
	struct err err;

	cr_assert_eq(duplicates_open(&duplicates, packets_max, SESSIONS, key, &err), 0);
}

static void prepare(void)
{
	open_for(DUPLICATES_PACKETS);
}

static void tear_down(void)
{
	duplicates_close(duplicates);
}

TestSuite(duplicate, .init = prepare, .fini = tear_down);

static enum duplicate judge(struct build *b, uint64_t us)
{
	const struct packet p = {.time_ns = START + us * 1000,
				 .data = packet_guard(build_data(b), b->len),
				 .len = b->len,
				 .cap_len = b->len};
	struct dissected d;

	dissect_frame(p.data, p.len, p.cap_len, &d);
	return duplicates_judge(duplicates, session, duplicates_print(duplicates, session, &p, &d),
				&p, &d);
}

/* A datagram that is like no other number's. */
static struct build datagram(uint16_t number)
{
	struct build b = build_payload(100);

	build_udp(&b, 1000, 2000);
	build_ipv4(&b, 17, "10.0.0.1", "10.0.0.2");
	build_data(&b)[4] = (uint8_t)(number >> 8);
	build_data(&b)[5] = (uint8_t)number;
	build_ethernet(&b, 0x0800);
	return b;
}

static enum duplicate take(uint16_t number, uint64_t us)
{
	struct build b = datagram(number);

	return judge(&b, us);
}

static enum duplicate take_ack_of(uint32_t acked, uint16_t number, uint64_t us)
{
	struct build b = build_payload(0);

	build_tcp(&b, 1000, 80);
	build_tcp_numbers(&b, ACK, 0, acked);
	build_ipv4(&b, 6, "10.0.0.1", "10.0.0.2");
	build_data(&b)[4] = (uint8_t)(number >> 8);
	build_data(&b)[5] = (uint8_t)number;
	build_ethernet(&b, 0x0800);
	return judge(&b, us);
}

static enum duplicate take_numbered_ack(uint16_t number, uint64_t us)
{
	return take_ack_of(0, number, us);
}

static enum duplicate take_ack(uint64_t us)
{
	return take_numbered_ack(0, us);
}

static enum duplicate take_ack_v6(uint64_t us)
{
	struct build b = build_payload(0);

	build_tcp(&b, 1000, 80);
	build_tcp_numbers(&b, ACK, 0, 0);
	build_ipv6(&b, 6, "2001:db8::1", "2001:db8::2");
	build_ethernet(&b, 0x86dd);
	return judge(&b, us);
}

static enum duplicate take_arp(uint8_t number, uint64_t us)
{
	struct build b = build_payload(46);

	build_data(&b)[20] = number;
	build_ethernet(&b, 0x0806);
	return judge(&b, us);
}

static enum duplicate take_end_marker(uint64_t us)
{
	struct build b = build_payload(8);

	build_data(&b)[0] = 0x30;
	build_data(&b)[1] = 254;
	build_udp(&b, 2152, 2152);
	build_ipv4(&b, 17, "10.0.0.1", "10.0.0.2");
	build_ethernet(&b, 0x0800);
	return judge(&b, us);
}

Test(duplicate, what_a_sender_changes_makes_it_another_packet)
{
	cr_assert_eq(take(1, 0), DUPLICATE_NONE);
	cr_assert_eq(take(2, 10), DUPLICATE_NONE);
	struct build b = datagram(1);
	build_data(&b)[14 + 20 + 8] ^= 1; /* first byte behind UDP */
	cr_assert_eq(judge(&b, 20), DUPLICATE_NONE);
	cr_assert_neq(take(1, 30), DUPLICATE_NONE);
}

Test(duplicate, remembers_as_many_packets_as_wanted)
{
	duplicates_close(duplicates);
	open_for(4);
	for (uint16_t i = 1; i <= 4; i++)
		cr_assert_eq(take(i, i), DUPLICATE_NONE);
	cr_assert_neq(take(1, 10), DUPLICATE_NONE);
	cr_assert_eq(take(5, 20), DUPLICATE_NONE);
	cr_assert_eq(take(1, 30), DUPLICATE_NONE);
	cr_assert_lt(duplicates_memory(4, SESSIONS),
		     duplicates_memory(DUPLICATES_PACKETS, SESSIONS) / 16);
}

/* How many of the bytes behind Ethernet change the print of a datagram; the first 128 may. */
static unsigned bytes_that_count(unsigned l3_len, uint16_t type)
{
	unsigned n = 0;
	struct build b = build_payload(200);

	build_udp(&b, 1000, 2000);
	if (type == 0x0800)
		build_ipv4(&b, 17, "10.0.0.1", "10.0.0.2");
	else
		build_ipv6(&b, 17, "fd00::1", "fd00::2");
	build_ethernet(&b, type);
	struct dissected d;
	const struct packet p = {.data = build_data(&b), .len = b.len, .cap_len = b.len};
	dissect_frame(p.data, p.len, p.cap_len, &d);
	const uint64_t print = duplicates_print(duplicates, 0, &p, &d);
	for (unsigned i = 14; i < b.len; i++) {
		build_data(&b)[i] ^= 0x80;
		const bool is_header = i < 14 + l3_len;
		const bool is_other = duplicates_print(duplicates, 0, &p, &d) != print;
		n += is_other;
		cr_expect(is_header || is_other == (i < 128), "byte %u", i);
		build_data(&b)[i] ^= 0x80;
	}
	return n;
}

Test(duplicate, every_byte_that_is_compared_counts)
{
	cr_expect_eq(bytes_that_count(20, 0x0800), 4 + 1 + 8 + (128 - 34) + 1, "version too");
	cr_expect_eq(bytes_that_count(40, 0x86dd), 1 + 32 + (128 - 54));
}

Test(duplicate, what_a_router_changes_does_not)
{
	struct build b = datagram(1);

	cr_assert_eq(take(1, 0), DUPLICATE_NONE);
	build_data(&b)[14 + 8]--;      /* TTL */
	build_data(&b)[14 + 10] ^= 55; /* checksum */
	cr_assert_neq(judge(&b, 10), DUPLICATE_NONE);
}

Test(duplicate, copies_come_within_5_ms)
{
	cr_assert_eq(take(1, 0), DUPLICATE_NONE);
	cr_assert_eq(take(1, 5200), DUPLICATE_NONE);
	cr_assert_neq(take(1, 5200 + 4900), DUPLICATE_NONE);
	cr_assert_neq(take(1, 5200 - 4900), DUPLICATE_NONE, "also when it is in front");
}

Test(duplicate, sessions_are_apart)
{
	cr_assert_eq(take(1, 0), DUPLICATE_NONE);
	session = 1;
	cr_assert_eq(take(1, 10), DUPLICATE_NONE);
}

Test(duplicate, a_doubled_session_is_known_from_its_first_packet_on)
{
	for (uint16_t i = 1; i < 1000; i++) {
		cr_assert_eq(take(i, i * 100u), DUPLICATE_NONE);
		cr_assert_eq(take(i, i * 100u + 50), DUPLICATE_COPY);
	}
}

Test(duplicate, copies_that_come_in_bulk_later_are_copies)
{
	for (uint16_t burst = 0; burst < 20; burst++)
		for (unsigned copy = 0; copy < 3; copy++)
			for (uint16_t i = 0; i < 40; i++)
				cr_assert_eq(take((uint16_t)(40 * burst + i + 1),
						  10000u * burst + 1000u * copy + i),
					     copy ? DUPLICATE_COPY : DUPLICATE_NONE);
}

Test(duplicate, copies_in_any_order_are_copies)
{
	for (uint16_t burst = 0; burst < 20; burst++) {
		for (uint16_t i = 0; i < 10; i++)
			cr_assert_eq(take((uint16_t)(10 * burst + i), 10000u * burst + i),
				     DUPLICATE_NONE);
		for (uint16_t i = 10; i > 0; i--)
			cr_assert_eq(
				take((uint16_t)(10 * burst + i - 1), 10000u * burst + 5000u - i),
				DUPLICATE_COPY);
	}
}

Test(duplicate, copies_of_one_direction_are_copies)
{
	for (uint16_t i = 1; i < 1000; i++) {
		cr_assert_eq(take(i, i * 100u), DUPLICATE_NONE);
		if (i % 2)
			cr_assert_eq(take(i, i * 100u + 50), DUPLICATE_COPY);
	}
}

Test(duplicate, what_is_honestly_sent_thrice_stays)
{
	take_ack(0);
	cr_assert_eq(take_ack(10), DUPLICATE_HONEST, "with nothing else to judge by");
	for (uint16_t i = 1; i < 10; i++)
		take(i, i * 100u);
	cr_assert_eq(take_ack(1000), DUPLICATE_HONEST);
	cr_assert_eq(take_ack(1001), DUPLICATE_HONEST);
	take_end_marker(1010);
	cr_assert_eq(take_end_marker(1020), DUPLICATE_HONEST);
	cr_assert_eq(take_end_marker(1030), DUPLICATE_HONEST);
	take(10, 20000);
	cr_assert_eq(take(10, 20040), DUPLICATE_HONEST, "one packet is not a doubled session");
}

Test(duplicate, acks_whose_identifications_change_vote)
{
	cr_assert_eq(take_numbered_ack(1, 0), DUPLICATE_NONE);
	cr_assert_eq(take_numbered_ack(1, 10), DUPLICATE_HONEST, "it may be that of all");
	for (uint16_t i = 2; i < 1000; i++) {
		cr_assert_eq(take_numbered_ack(i, i * 100u), DUPLICATE_NONE);
		cr_assert_eq(take_numbered_ack(i, i * 100u + 10), DUPLICATE_COPY);
	}
	cr_assert_eq(take_ack(100000), DUPLICATE_NONE);
	cr_assert_eq(take_ack(100010), DUPLICATE_COPY);
}

Test(duplicate, three_acks_of_one_identification_stay_in_a_session_that_begins_with_them)
{
	for (unsigned k = 0; k < 4; k++)
		cr_assert_eq(take_ack_of(0, 1, k), k ? DUPLICATE_HONEST : DUPLICATE_NONE);
	for (uint16_t i = 0; i < 200; i++) {
		cr_assert_eq(take((uint16_t)(1000 + i), 100u * i + 10), DUPLICATE_NONE);
		for (unsigned k = 0; k < 4 && i % 20 == 5; k++)
			cr_assert_eq(take_ack_of(i, 1, 100u * i + 20 + k),
				     k ? DUPLICATE_HONEST : DUPLICATE_NONE);
	}
}

Test(duplicate, three_acks_of_one_identification_stay_in_a_healthy_session)
{
	for (uint16_t i = 1; i < 50; i++)
		take(i, i * 100u);
	take_numbered_ack(7, 10100);
	cr_assert_eq(take_numbered_ack(7, 10200), DUPLICATE_HONEST);
	cr_assert_eq(take_numbered_ack(7, 10300), DUPLICATE_HONEST);
}

Test(duplicate, ack_of_ipv6_does_not_vote)
{
	take_ack_v6(0);
	cr_assert_eq(take_ack_v6(10), DUPLICATE_HONEST);
	take(1, 20);
	take(1, 30);
	cr_assert_eq(take_ack_v6(40), DUPLICATE_COPY);
}

Test(duplicate, in_a_doubled_session_they_are_copies)
{
	take(1, 0);
	take(1, 10);
	take_ack(20);
	cr_assert_eq(take_ack(30), DUPLICATE_COPY);
}

Test(duplicate, a_session_that_is_no_longer_doubled_is_healthy_soon)
{
	for (uint16_t i = 1; i < 100; i++) {
		take(i, i * 100u);
		take(i, i * 100u + 50);
	}
	for (uint16_t i = 100; i < 500; i++)
		take(i, i * 100u);
	cr_assert_eq(take(499, 50000), DUPLICATE_HONEST);
}

Test(duplicate, no_cut_reads_beyond_the_packet)
{
	struct build b = datagram(1);
	const uint32_t len = b.len;

	for (uint32_t n = 0; n <= len; n++) {
		const struct packet p = {
			.data = packet_guard(build_data(&b), n), .len = n, .cap_len = n};
		struct dissected d;
		dissect_frame(p.data, n, n, &d);
		(void)duplicates_judge(duplicates, 0, duplicates_print(duplicates, 0, &p, &d), &p,
				       &d);
	}
}

Test(duplicate, what_is_not_ip_is_judged_by_its_bytes)
{
	take(1, 0);
	take(1, 1);
	for (uint8_t i = 0; i < 100; i++) {
		cr_assert_eq(take_arp(i, 10u + 10u * i), DUPLICATE_NONE);
		cr_assert_eq(take_arp(i, 10u + 10u * i + 1), DUPLICATE_COPY);
	}
}

Test(duplicate, what_is_not_ip_does_not_vote)
{
	for (unsigned k = 0; k < 5; k++)
		for (uint8_t i = 0; i < 3; i++)
			cr_assert_eq(take_arp(i, 10u * k + i),
				     k ? DUPLICATE_HONEST : DUPLICATE_NONE);
	take_ack(100);
	cr_assert_eq(take_ack(101), DUPLICATE_HONEST);
	cr_assert_eq(take_arp(0, 102), DUPLICATE_HONEST);
	take(2, 110);
	take(2, 111);
	cr_assert_eq(take_arp(1, 120), DUPLICATE_COPY);
}

static enum duplicate take_tunnelled(uint8_t number, bool has_ipv6, uint64_t us)
{
	struct build b = build_payload(1000);

	build_data(&b)[1] = number;
	build_udp(&b, 443, 40000);
	if (has_ipv6)
		build_ipv6(&b, 17, "2001:db8::1", "2001:db8::2");
	else
		build_ipv4(&b, 17, "192.0.2.1", "192.0.2.2");
	uint8_t *extension = build_front(&b, 8);
	extension[3] = 0x85;
	extension[4] = 1;
	build_gtpu(&b, 1);
	build_data(&b)[0] |= 4;
	build_udp(&b, 2152, 2152);
	build_ipv4(&b, 17, "10.0.0.1", "10.0.0.2");
	build_ethernet(&b, 0x0800);
	return judge(&b, us);
}

Test(duplicate, packets_in_a_tunnel_are_told_apart_by_what_is_in_them)
{
	for (unsigned v6 = 0; v6 < 2; v6++)
		for (uint8_t i = 0; i < 100; i++)
			cr_assert_eq(take_tunnelled(i, v6, 10u * i), DUPLICATE_NONE);
	cr_assert_neq(take_tunnelled(99, true, 1000), DUPLICATE_NONE);
}

Test(duplicate, later_fragments_of_ipv6_are_told_apart_by_their_offset)
{
	for (uint16_t i = 1; i < 100; i++) {
		struct build b = build_payload(512);
		build_ipv6_fragment(&b, 17, (uint16_t)(512 * i), 1);
		build_ipv6(&b, 44, "2001:db8::1", "2001:db8::2");
		build_ethernet(&b, 0x86dd);
		cr_assert_eq(judge(&b, 10u * i), DUPLICATE_NONE);
	}
}
