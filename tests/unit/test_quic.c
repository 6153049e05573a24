#include "kpi/quic.h"

#include <criterion/criterion.h>
#include <string.h>

#include "../support/counted.h"
#include "../support/packet.h"

#define START UINT64_C(1795302174000000000)
#define MS    UINT64_C(1000000)

#define DRAFT_29 0xff00001du
#define VERSION2 0x6b3343cfu
#define RESERVED 0x1a2a3a4au
#define MVFST    0xfaceb001u

/* First bytes, of version 1. */
#define INITIAL   0xc0
#define HANDSHAKE 0xe0
#define RETRY     0xf0
#define SHORT     0x40

enum side { CLIENT, SERVER };

static struct quic quic;
static struct flow flow;
static uint32_t cut; /* the mirror cuts packets to this length; 0: it does not */

TestSuite(quic, .init = counted_clear);

/* UDP payload of len bytes, the first six as given. */
static void take_len(uint64_t ms, enum side from, uint8_t first, uint32_t version, uint8_t id_len,
		     uint32_t len)
{
	const struct kpi_sink sink = counted_sink(START + ms * MS);
	const uint8_t head[] = {first,
				(uint8_t)(version >> 24),
				(uint8_t)(version >> 16),
				(uint8_t)(version >> 8),
				(uint8_t)version,
				id_len};
	struct build b = build_payload(len);
	struct dissected d;

	memcpy(build_data(&b), head, len < sizeof(head) ? len : sizeof(head));
	build_udp(&b, from == CLIENT ? 1000 : 443, from == CLIENT ? 443 : 1000);
	build_ipv4(&b, 17, from == CLIENT ? "10.0.0.1" : "10.0.0.2",
		   from == CLIENT ? "10.0.0.2" : "10.0.0.1");
	build_ethernet(&b, 0x0800);
	const uint32_t seen = cut && cut < b.len ? cut : b.len;
	const struct packet p = {
		.data = packet_guard(build_data(&b), seen), .len = seen, .cap_len = seen};
	dissect_frame(p.data, seen, seen, &d);
	flow.packets[d.direction]++;
	quic_packet(&sink, &quic, &p, &d, &flow);
}

static void take(uint64_t ms, enum side from, uint8_t first, uint32_t version)
{
	take_len(ms, from, first, version, 8, 1200);
}

static bool begins(uint8_t first, uint32_t version, uint8_t id_len, uint32_t len)
{
	counted_clear();
	quic = (struct quic){0};
	flow = (struct flow){0};
	take_len(0, CLIENT, first, version, id_len, len);
	cr_assert_eq(counted(KPI_QUIC_ATTEMPTED), counted_is_seen(KPI_GROUP_QUIC));
	return counted(KPI_QUIC_ATTEMPTED);
}

/* ---- what is QUIC ---- */

Test(quic, first_packet_that_is_an_initial_begins_a_connection)
{
	cr_assert(begins(INITIAL, 1, 8, 1200));
	cr_assert(begins(INITIAL, 1, 20, 1452));
	cr_assert(begins(INITIAL, DRAFT_29, 8, 1200));
	cr_assert(begins(INITIAL, RESERVED, 8, 1200));
	cr_assert(begins(INITIAL, MVFST, 8, 1200));
	cr_assert(begins(0xd0, VERSION2, 8, 1200), "its types are moved by one");
}

Test(quic, other_udp_is_not_mistaken)
{
	cr_assert_not(begins(INITIAL, 1, 8, 1199), "too short");
	cr_assert_not(begins(INITIAL, 1, 7, 1200), "connection id too short");
	cr_assert_not(begins(INITIAL, 1, 21, 1200), "connection id too long");
	cr_assert_not(begins(INITIAL, 3, 8, 1200), "version unknown");
	cr_assert_not(begins(INITIAL, 0, 8, 1200), "version negotiation");
	cr_assert_not(begins(INITIAL & ~0x40, 1, 8, 1200), "fixed bit");
	cr_assert_not(begins(SHORT, 1, 8, 1200));
	cr_assert_not(begins(HANDSHAKE, 1, 8, 1200));
	cr_assert_not(begins(INITIAL, VERSION2, 8, 1200), "Retry of version 2");
	cr_assert_not(begins(INITIAL, 1, 8, 0));
}

Test(quic, initial_behind_another_packet_does_not_begin_a_connection)
{
	take_len(0, CLIENT, 'x', 0, 0, 100);
	take(1, CLIENT, INITIAL, 1);
	take(2, SERVER, INITIAL, 1);
	cr_assert_eq(counted(KPI_QUIC_ATTEMPTED), 0);
	cr_assert_eq(counted(KPI_QUIC_VERSION_1), 0);
	cr_assert_eq(counted_samples(KPI_QUIC_HANDSHAKE_SERVER), 0);
}

Test(quic, length_is_that_of_ip_and_six_bytes_are_enough)
{
	cut = 14 + 20 + 8 + 6;
	cr_assert(begins(INITIAL, 1, 8, 1200));
	cut--;
	cr_assert_not(begins(INITIAL, 1, 8, 1200));
}

/* ---- handshake ---- */

Test(quic, halves_are_measured_between_first_packets)
{
	take(0, CLIENT, INITIAL, 1);
	take(1, CLIENT, INITIAL, 1);
	cr_assert_not(counted_is_seen(KPI_GROUP_QUIC_BOTH));
	take(20, SERVER, INITIAL, 1);
	take(21, SERVER, HANDSHAKE, 1);
	take(25, CLIENT, SHORT, 0);
	take(26, CLIENT, HANDSHAKE, 1);
	cr_assert(counted_is_seen(KPI_GROUP_QUIC_BOTH));
	cr_assert_eq(counted(KPI_QUIC_ATTEMPTED), 1);
	cr_assert_eq(counted_samples(KPI_QUIC_HANDSHAKE_SERVER), 1);
	cr_assert_eq(counted_sum(KPI_QUIC_HANDSHAKE_SERVER), 20 * MS);
	cr_assert_eq(counted_samples(KPI_QUIC_HANDSHAKE_CLIENT), 1);
	cr_assert_eq(counted_sum(KPI_QUIC_HANDSHAKE_CLIENT), 5 * MS);
	cr_assert_eq(counted(KPI_QUIC_VERSION_1), 5, "long headers only");
}

Test(quic, packet_of_the_server_with_a_short_header_is_no_answer)
{
	take(0, CLIENT, INITIAL, 1);
	take(20, SERVER, SHORT, 1);
	take(30, SERVER, HANDSHAKE, 1);
	cr_assert_eq(counted_sum(KPI_QUIC_HANDSHAKE_SERVER), 30 * MS);
}

Test(quic, packets_out_of_order_give_no_negative_time)
{
	take(10, CLIENT, INITIAL, 1);
	take(9, SERVER, INITIAL, 1);
	take(8, CLIENT, HANDSHAKE, 1);
	cr_assert_eq(counted_samples(KPI_QUIC_HANDSHAKE_SERVER), 0);
	cr_assert_eq(counted_samples(KPI_QUIC_HANDSHAKE_CLIENT), 0);
}

Test(quic, retry_is_counted_and_answers)
{
	take(0, CLIENT, INITIAL, 1);
	take_len(4, SERVER, RETRY, 1, 0, 100);
	take(9, CLIENT, INITIAL, 1);
	cr_assert_eq(counted(KPI_QUIC_RETRIES), 1);
	cr_assert_eq(counted_sum(KPI_QUIC_HANDSHAKE_SERVER), 4 * MS);
	cr_assert_eq(counted_sum(KPI_QUIC_HANDSHAKE_CLIENT), 5 * MS);
	cr_assert_eq(counted(KPI_QUIC_ATTEMPTED), 1);
}

Test(quic, retry_of_version_2_has_its_own_type)
{
	take(0, CLIENT, 0xd0, VERSION2);
	take_len(4, SERVER, 0xc0, VERSION2, 0, 100);
	take_len(5, SERVER, 0xf0, VERSION2, 0, 100);
	cr_assert_eq(counted(KPI_QUIC_RETRIES), 1);
	cr_assert_eq(counted(KPI_QUIC_VERSION_2), 3);
}

Test(quic, only_a_server_sends_retry_and_negotiation)
{
	take(0, CLIENT, INITIAL, 1);
	take(1, CLIENT, RETRY, 1);
	take(2, CLIENT, 0x80, 0);
	cr_assert_eq(counted(KPI_QUIC_RETRIES), 0);
	cr_assert_eq(counted(KPI_QUIC_NEGOTIATIONS), 0);
}

Test(quic, negotiation_leads_to_another_version)
{
	take(0, CLIENT, INITIAL, RESERVED);
	take_len(3, SERVER, 0x80, 0, 0, 40);
	take(5, CLIENT, INITIAL, DRAFT_29);
	cr_assert_eq(counted(KPI_QUIC_NEGOTIATIONS), 1);
	cr_assert_eq(counted(KPI_QUIC_VERSION_OTHER), 1);
	cr_assert_eq(counted(KPI_QUIC_VERSION_DRAFT), 1);
	cr_assert_eq(counted_sum(KPI_QUIC_HANDSHAKE_SERVER), 3 * MS);
	cr_assert_eq(counted_sum(KPI_QUIC_HANDSHAKE_CLIENT), 2 * MS);
}

static void cut_everywhere(const uint8_t *data, uint32_t len, void *arg)
{
	const struct kpi_sink sink = counted_sink(START);

	(void)arg;
	for (uint32_t n = 0; n <= len && n <= 100; n++) {
		const struct packet p = {.data = packet_guard(data, n), .len = n, .cap_len = n};
		struct dissected d;
		dissect_frame(p.data, n, n, &d);
		if (!d.has_flow || d.key.proto != 17)
			continue;
		quic = (struct quic){.phase = (uint8_t)(n % 4)};
		quic_packet(&sink, &quic, &p, &d, &(struct flow){.packets = {1, n & 1}});
	}
}

/* Every read beyond the end is a fault. */
Test(quic, captured_packets_cut_to_every_length_are_safe)
{
	if (!packet_each(20, cut_everywhere, NULL))
		cr_skip_test("no captures in $VXPROBE_CAPTURES");
}
