#include "path/flowid.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <string.h>

#include "../support/packet.h"

/* The Community ID of a frame; empty: it has none. */
static const char *community(const uint8_t *data, uint32_t len)
{
	static char text[40];
	struct flowid_hash *hash;
	uint8_t sha1[FLOWID_SHA1];
	struct dissected d;
	struct flowid id;
	struct err err;

	text[0] = '\0';
	dissect_frame(data, len, len, &d);
	if (!flowid_of(data, len, &d, &id))
		return text;
	cr_assert_eq(flowid_hash_open(&hash, &err), 0, "%s", err.text);
	cr_assert_eq(flowid_sha1(hash, id.byte, id.len, sha1), 0);
	strcpy(text, "1:");
	EVP_EncodeBlock((unsigned char *)text + 2, sha1, FLOWID_SHA1);
	flowid_hash_close(hash);
	return text;
}

static void expect(struct build *b, uint16_t type, const char *wanted)
{
	build_ethernet(b, type);
	cr_assert_str_eq(community(build_data(b), b->len), wanted);
}

/* From the baseline of corelight/community-id-spec. */
Test(flowid, ids_are_those_of_the_specification)
{
	struct build b = build_payload(10);

	build_tcp(&b, 34855, 80);
	build_ipv4(&b, 6, "128.232.110.120", "66.35.250.204");
	expect(&b, 0x0800, "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
	b = build_payload(10);
	build_tcp(&b, 80, 34855);
	build_ipv4(&b, 6, "66.35.250.204", "128.232.110.120");
	expect(&b, 0x0800, "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
	b = build_payload(10);
	build_udp(&b, 54585, 53);
	build_ipv4(&b, 17, "192.168.1.52", "8.8.8.8");
	expect(&b, 0x0800, "1:d/FP5EW3wiY1vCndhwleRRKHowQ=");
	b = build_payload(10);
	build_sctp(&b, 7, 80);
	build_ipv4(&b, 132, "192.168.170.8", "192.168.170.56");
	expect(&b, 0x0800, "1:jQgCxbku+pNGw8WPbEc/TS/uTpQ=");
}

Test(flowid, icmp_requests_and_replies_are_one_flow_and_others_one_way)
{
	struct build b = build_payload(10);

	build_icmp(&b, 8, 7);
	build_ipv4(&b, 1, "192.168.0.89", "192.168.0.1");
	expect(&b, 0x0800, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=");
	b = build_payload(10);
	build_icmp(&b, 0, 9);
	build_ipv4(&b, 1, "192.168.0.1", "192.168.0.89");
	expect(&b, 0x0800, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=");
	b = build_payload(10);
	build_icmp(&b, 135, 0);
	build_ipv6(&b, 58, "fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea");
	expect(&b, 0x86dd, "1:dGHyGvjMfljg6Bppwm3bg0LO8TY=");

	char there[40];
	b = build_payload(10);
	build_icmp(&b, 11, 0);
	build_ipv4(&b, 1, "192.168.0.89", "192.168.0.1");
	build_ethernet(&b, 0x0800);
	strcpy(there, community(build_data(&b), b.len));
	b = build_payload(10);
	build_icmp(&b, 11, 0);
	build_ipv4(&b, 1, "192.168.0.1", "192.168.0.89");
	build_ethernet(&b, 0x0800);
	cr_assert_str_neq(community(build_data(&b), b.len), there);
}

Test(flowid, without_ports_there_is_no_flow_but_addresses)
{
	struct build b = build_payload(2); /* of the ports, the first */
	const uint8_t *from, *to;
	struct dissected d;
	struct flowid id;
	uint32_t len;

	build_ipv4(&b, 6, "10.0.0.1", "10.0.0.2");
	build_ethernet(&b, 0x0800);
	dissect_frame(build_data(&b), b.len, b.len, &d);
	cr_assert_not(flowid_of(build_data(&b), b.len, &d, &id));
	cr_assert(flowid_addresses(build_data(&b), &d, &from, &to, &len));
	cr_assert_eq(len, 4);
	cr_assert_eq(from[3], 1);
	cr_assert_eq(to[3], 2);

	b = build_payload(40); /* a later fragment */
	build_ipv6_fragment(&b, 6, 8, 0);
	build_ipv6(&b, 44, "2001:db8::1", "2001:db8::2");
	build_ethernet(&b, 0x86dd);
	dissect_frame(build_data(&b), b.len, b.len, &d);
	cr_assert_not(flowid_of(build_data(&b), b.len, &d, &id));
	cr_assert(flowid_addresses(build_data(&b), &d, &from, &to, &len));
	cr_assert_eq(len, 16);

	b = build_payload(40);
	build_ethernet(&b, 0x0806);
	dissect_frame(build_data(&b), b.len, b.len, &d);
	cr_assert_not(flowid_of(build_data(&b), b.len, &d, &id));
	cr_assert_not(flowid_addresses(build_data(&b), &d, &from, &to, &len));
}

Test(flowid, parts_in_either_order_give_what_a_packet_gives)
{
	struct build b = build_payload(10);
	struct flowid of_packet, one, other;
	struct dissected d;
	uint8_t x[4], y[4];

	build_udp(&b, 9, 8);
	build_ipv4(&b, 17, "10.0.0.1", "10.0.0.1");
	build_ethernet(&b, 0x0800);
	dissect_frame(build_data(&b), b.len, b.len, &d);
	cr_assert(flowid_of(build_data(&b), b.len, &d, &of_packet));
	inet_pton(AF_INET, "10.0.0.1", x);
	memcpy(y, x, 4);
	flowid_set(&one, 17, x, y, 4, true, 8, 9);
	flowid_set(&other, 17, y, x, 4, true, 9, 8);
	cr_assert_eq(memcmp(&one, &other, sizeof(one)), 0);
	cr_assert_eq(memcmp(&one, &of_packet, sizeof(one)), 0);
	flowid_set(&one, 50, x, y, 4, false, 0, 0);
	cr_assert_eq(one.len, 12, "no ports, not ports of 0");
}
