#include "path/dissect.h"

#include <criterion/criterion.h>
#include <string.h>

#include "../support/packet.h"
#include "base/reason.h"
#include "inner.h"

#define LOW   "10.0.0.1"
#define HIGH  "10.0.0.2"
#define LOW6  "2001:db8::1"
#define HIGH6 "2001:db8::2"

#define BIT(name) (1u << MARK_##name)

static struct dissected dissect_cut(struct build *b, uint32_t len)
{
	struct dissected d;

	dissect_frame(packet_guard(build_data(b), len), len, len, &d);
	return d;
}

static struct dissected dissect(struct build *b)
{
	return dissect_cut(b, b->len);
}

static struct build udp_from(const char *from, uint16_t from_port, const char *to, uint16_t to_port)
{
	struct build b = build_payload(100);

	build_udp(&b, from_port, to_port);
	build_ipv4(&b, 17, from, to);
	build_ethernet(&b, 0x0800);
	return b;
}

static struct build udp(void)
{
	return udp_from(LOW, 1000, HIGH, 53);
}

/* Marks after one byte of a good packet is changed. */
static uint32_t marks_changed(uint32_t at, uint8_t to)
{
	struct build b = udp();

	build_data(&b)[at] = to;
	return dissect(&b).marks;
}

/* ---- flow keys ---- */

Test(dissect, both_directions_have_one_key)
{
	struct build there = udp(), back = udp_from(HIGH, 53, LOW, 1000);
	const struct dissected d = dissect(&there), e = dissect(&back);

	cr_assert(d.has_flow && e.has_flow);
	cr_assert_eq(d.direction, 0);
	cr_assert_eq(e.direction, 1);
	cr_assert_eq(memcmp(&d.key, &e.key, sizeof(d.key)), 0);
	cr_assert_eq(d.key.version, 4);
	cr_assert_eq(d.key.proto, 17);
	cr_assert_eq(d.key.a.byte[10], 0xff);
	cr_assert_eq(d.key.a.byte[15], 1);
	cr_assert_eq(d.key.b.byte[15], 2);
	cr_assert_eq(d.key.port_a, 1000);
	cr_assert_eq(d.key.port_b, 53);
	cr_assert_eq(d.marks, 0);
}

Test(dissect, equal_addresses_are_ordered_by_port)
{
	struct build b = udp_from(LOW, 1000, LOW, 53);
	const struct dissected d = dissect(&b);

	cr_assert_eq(d.direction, 1);
	cr_assert_eq(d.key.port_a, 53);
	cr_assert_eq(d.key.port_b, 1000);
}

Test(dissect, tcp_over_ipv6_extension_headers_behind_two_tags)
{
	struct build b = build_payload(10);

	build_tcp(&b, 443, 5000);
	build_ipv6_fragment(&b, 6, 0, 0); /* atomic: RFC 6946 */
	build_extension(&b, 44, 24);
	build_extension(&b, 43, 8);
	build_ipv6(&b, 0, HIGH6, LOW6);
	build_vlan(&b, 0x86dd);
	build_vlan(&b, 0x8100);
	build_ethernet(&b, 0x88a8);
	const struct dissected d = dissect(&b);

	cr_assert(d.has_flow);
	cr_assert_eq(d.marks, 0);
	cr_assert_eq(d.l3, 22);
	cr_assert_eq(d.l4, 22 + 40 + 8 + 24 + 8);
	cr_assert_eq(d.direction, 1);
	cr_assert_eq(d.key.proto, 6);
	cr_assert_eq(d.key.port_a, 5000);
	cr_assert_eq(d.key.a.byte[0], 0x20);
	cr_assert_eq(d.wire_len, b.len);
}

/* RFC 4302 section 2.2: its length counts words of 4 bytes, less 2. */
Test(dissect, authentication_header_is_skipped)
{
	struct build b = build_payload(10);

	build_udp(&b, 1000, 53);
	memcpy(build_front(&b, 24), (uint8_t[]){17, 4}, 2);
	build_ipv6(&b, 51, LOW6, HIGH6);
	build_ethernet(&b, 0x86dd);
	cr_assert_eq(dissect(&b).l4, 14 + 40 + 24);
	cr_assert_eq(dissect(&b).key.port_b, 53);
}

Test(dissect, sctp_has_ports)
{
	struct build b = build_payload(16);

	build_sctp(&b, 2905, 3868);
	build_ipv4_options(&b, 132, LOW, HIGH, 8);
	build_ethernet(&b, 0x0800);
	const struct dissected d = dissect(&b);

	cr_assert(d.has_flow);
	cr_assert_eq(d.key.port_b, 3868);
	cr_assert_eq(d.l4, 14 + 28);
	cr_assert_eq(d.marks, 0);
}

static struct dissected dissect_icmp(uint8_t type, int v6)
{
	struct build b = build_payload(40);

	build_icmp(&b, type, 77);
	if (v6)
		build_ipv6(&b, 58, LOW6, HIGH6);
	else
		build_ipv4(&b, 1, LOW, HIGH);
	build_ethernet(&b, v6 ? 0x86dd : 0x0800);
	return dissect(&b);
}

Test(dissect, echo_has_its_identifier_as_ports_other_icmp_no_flow)
{
	const struct dissected d = dissect_icmp(8, 0), e = dissect_icmp(129, 1);

	cr_assert(d.has_flow && e.has_flow);
	cr_assert_eq(d.key.port_a, 77);
	cr_assert_eq(d.key.port_b, 77);
	cr_assert_eq(e.key.port_a, 77);
	cr_assert_not(dissect_icmp(3, 0).has_flow);
	cr_assert_not(dissect_icmp(135, 1).has_flow);
	cr_assert_eq(dissect_icmp(3, 0).marks, 0);
}

Test(dissect, other_protocols_are_flows_by_address)
{
	struct build b = build_payload(30);

	build_ipv4(&b, 47, LOW, HIGH);
	build_ethernet(&b, 0x0800);
	const struct dissected d = dissect(&b);

	cr_assert(d.has_flow);
	cr_assert_eq(d.marks, BIT(OTHER_TRANSPORT));
	cr_assert_eq(d.key.port_a, 0);
}

Test(dissect, fragments_are_marked_and_later_ones_are_no_flow)
{
	struct build b = udp();

	build_data(&b)[20] = 0x20;
	cr_assert_eq(dissect(&b).marks, BIT(FIRST_FRAGMENT));
	cr_assert(dissect(&b).has_flow);
	build_data(&b)[21] = 1;
	cr_assert_eq(dissect(&b).marks, BIT(LATER_FRAGMENT));
	cr_assert_not(dissect(&b).has_flow);
}

Test(dissect, ipv6_later_fragment_is_no_flow)
{
	struct build b = build_payload(100);

	build_ipv6_fragment(&b, 17, 1232, 0);
	build_ipv6(&b, 44, LOW6, HIGH6);
	build_ethernet(&b, 0x86dd);
	cr_assert_eq(dissect(&b).marks, BIT(LATER_FRAGMENT));
	cr_assert_not(dissect(&b).has_flow);
	cr_assert_eq(dissect(&b).l4, 0);
	cr_assert_eq(dissect(&b).key.version, 6);
	cr_assert_eq(dissect(&b).key.proto, 17, "which it is");
}

/* ---- lengths ---- */

Test(dissect, length_on_the_wire_is_that_of_the_ip_packet_when_cut)
{
	struct build b = udp();
	const struct dissected d = dissect_cut(&b, 60);

	cr_assert_eq(d.wire_len, b.len);
	cr_assert_eq(d.ip_len, b.len - 14);
	cr_assert_eq(d.marks, BIT(TRUNCATED));
	cr_assert(d.has_flow);
}

Test(dissect, length_on_the_wire_is_never_below_the_captured_one)
{
	struct dissected d;
	struct build b = udp();

	dissect_frame(build_data(&b), b.len, 200, &d); /* Ethernet padding, or a trailer */
	cr_assert_eq(d.wire_len, 200);
	cr_assert_eq(d.ip_len, 128);
	cr_assert_eq(d.marks, 0);
}

Test(dissect, ip_length_zero_is_the_captured_length)
{
	struct build v4 = udp(), v6 = build_payload(100);

	build_data(&v4)[16] = build_data(&v4)[17] = 0;
	build_tcp(&v6, 1, 2);
	build_ipv6(&v6, 6, LOW6, HIGH6);
	build_ethernet(&v6, 0x86dd);
	build_data(&v6)[18] = build_data(&v6)[19] = 0;
	cr_assert_eq(dissect(&v4).wire_len, v4.len);
	cr_assert_eq(dissect(&v4).ip_len, 0);
	cr_assert_eq(dissect(&v6).wire_len, v6.len);
	cr_assert_eq(dissect(&v6).ip_len, 0);
	cr_assert(dissect(&v4).has_flow && dissect(&v6).has_flow);
}

/* ---- damage ---- */

Test(dissect, malformed_headers_are_marked)
{
	cr_assert_eq(marks_changed(12, 0x07), BIT(NOT_IP));
	cr_assert_eq(marks_changed(14, 0x65), BIT(BAD_IP), "version 6 in an IPv4 frame");
	cr_assert_eq(marks_changed(14, 0x44), BIT(BAD_IP), "header of 16 bytes");
	cr_assert_eq(marks_changed(17, 19), BIT(BAD_IP), "total length below the header's");
	cr_assert_eq(marks_changed(39, 7), BIT(BAD_TRANSPORT), "UDP length below 8");
	cr_assert_eq(marks_changed(39, 0), 0, "UDP length 0: RFC 2675");
	cr_assert_eq(marks_changed(23, 6), BIT(BAD_TRANSPORT), "TCP header of 0 bytes");
}

Test(dissect, cut_headers_are_marked)
{
	struct build b = udp();

	cr_assert_eq(dissect_cut(&b, 0).marks, BIT(BAD_ETHERNET));
	cr_assert_eq(dissect_cut(&b, 13).marks, BIT(BAD_ETHERNET));
	cr_assert_eq(dissect_cut(&b, 33).marks, BIT(BAD_IP) | BIT(TRUNCATED));
	cr_assert_eq(dissect_cut(&b, 34).marks, BIT(BAD_TRANSPORT) | BIT(TRUNCATED));
	cr_assert_not(dissect_cut(&b, 37).has_flow);
	cr_assert(dissect_cut(&b, 38).has_flow, "both ports are there");
	cr_assert_eq(dissect_cut(&b, 42).marks, BIT(TRUNCATED));
}

Test(dissect, cut_vlan_tag_is_bad_ethernet)
{
	struct build b = udp();

	build_data(&b)[12] = 0x81;
	build_data(&b)[13] = 0;
	cr_assert_eq(dissect_cut(&b, 17).marks, BIT(BAD_ETHERNET));
}

Test(dissect, more_than_eight_extension_headers_are_bad_ip)
{
	for (unsigned n = 8; n <= 9; n++) {
		struct build b = build_payload(8);

		build_udp(&b, 1, 2);
		build_extension(&b, 17, 8);
		for (unsigned i = 1; i < n; i++)
			build_extension(&b, 60, 8);
		build_ipv6(&b, 60, LOW6, HIGH6);
		build_ethernet(&b, 0x86dd);
		cr_assert_eq(dissect(&b).marks, n == 8 ? 0 : BIT(BAD_IP));
		cr_assert_eq(dissect(&b).has_flow, n == 8);
	}
}

Test(dissect, padding_behind_the_ip_packet_is_not_its_transport)
{
	struct build b = udp();

	build_data(&b)[17] = 22; /* two bytes of UDP */
	cr_assert_eq(dissect(&b).marks, BIT(BAD_TRANSPORT));
	cr_assert_not(dissect(&b).has_flow);
}

/* ---- properties ---- */

/* ---- where the headers end ---- */

static uint16_t payload_behind(void (*transport)(struct build *, uint16_t, uint16_t), uint8_t proto)
{
	struct build b = build_payload(100);

	transport(&b, 1000, 2000);
	build_ipv4(&b, proto, LOW, HIGH);
	build_ethernet(&b, 0x0800);
	return dissect(&b).payload;
}

Test(dissect, payload_begins_behind_the_transport_header)
{
	cr_assert_eq(payload_behind(build_udp, 17), 14 + 20 + 8);
	cr_assert_eq(payload_behind(build_tcp, 6), 14 + 20 + 20);
	cr_assert_eq(payload_behind(build_sctp, 132), 14 + 20 + 12);
}

Test(dissect, payload_begins_behind_tcp_options_also_when_they_are_cut)
{
	struct build b = build_payload(100);

	build_tcp(&b, 1000, 2000);
	build_data(&b)[12] = 0xf0; /* 60 bytes */
	build_ipv4(&b, 6, LOW, HIGH);
	build_ethernet(&b, 0x0800);
	cr_assert_eq(dissect(&b).payload, 14 + 20 + 60);
	cr_assert_eq(dissect_cut(&b, 14 + 20 + 24).payload, 14 + 20 + 60);
	cr_assert_eq(dissect_cut(&b, 14 + 20 + 8).payload, 14 + 20 + 20);
}

Test(dissect, payload_without_a_transport_header_begins_behind_the_last_one)
{
	struct build arp = build_payload(28), fragment = build_payload(100), other = fragment;

	build_ethernet(&arp, 0x0806);
	cr_assert_eq(dissect(&arp).payload, 14);
	build_ipv6_fragment(&fragment, 17, 1232, 0);
	build_ipv6(&fragment, 44, LOW6, HIGH6);
	build_ethernet(&fragment, 0x86dd);
	cr_assert_eq(dissect(&fragment).payload, 14 + 40 + 8);
	build_ipv4_options(&other, 89, LOW, HIGH, 8);
	build_vlan(&other, 0x0800);
	build_ethernet(&other, 0x8100);
	cr_assert_eq(dissect(&other).payload, 14 + 4 + 28);
}

static void cut_everywhere(const uint8_t *data, uint32_t len, void *arg)
{
	struct dissected d;

	(void)arg;
	for (uint32_t cut = 0; cut <= len && cut <= 300; cut++) {
		dissect_frame(packet_guard(data, cut), cut, len, &d);
		cr_assert_geq(d.wire_len, len);
		cr_assert(!d.has_flow || d.l4);
		cr_assert_leq(d.l4, cut);
		cr_assert_geq(d.payload, d.l4 ? d.l4 : INNER_ETHERNET_LEN);
		cr_assert_eq(d.key.is_ue, 0);
		cr_assert(memcmp(&d.key.a, &d.key.b, sizeof(d.key.a)) <= 0);
	}
}

/* Every read beyond the end is a fault: the copy ends at an unreadable page. */
Test(dissect, captured_packets_cut_to_every_length_are_safe)
{
	if (!packet_each(20, cut_everywhere, NULL))
		cr_skip_test("no captures in $VXPROBE_CAPTURES");
}

Test(reason, every_fate_and_mark_has_its_texts)
{
	for (unsigned i = 0; i < FATE_MAX; i++)
		cr_assert(fate_text[i].label && fate_text[i].counted_by && fate_text[i].help);
	for (unsigned i = 0; i < MARK_MAX; i++)
		cr_assert(mark_text[i].label && mark_text[i].help);
	cr_assert_str_eq(fate_text[FATE_KEPT].label, "kept");
	cr_assert_str_eq(mark_text[MARK_LATE].label, "late");
}
