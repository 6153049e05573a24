/* The packets inside packets: quoted by ICMP errors, carried by GTP-U. */
#include "path/dissect.h"

#include <criterion/criterion.h>
#include <string.h>

#include "../support/packet.h"
#include "reason.h"

#define LOW   "10.0.0.1"
#define HIGH  "10.0.0.2"
#define LOW6  "2001:db8::1"
#define HIGH6 "2001:db8::2"
#define UE    "10.45.0.2"
#define SITE  "192.0.2.80"

#define BIT(name) (1u << MARK_##name)

#define ETHERNET_IPV4 (14 + 20)

/* ---- quoted ---- */

/* What is in b, quoted by an error of HIGH to LOW. */
static void build_error(struct build *b, uint8_t type)
{
	build_icmp(b, type, 0);
	build_ipv4(b, 1, HIGH, LOW);
	build_ethernet(b, 0x0800);
}

static bool quoted_cut(struct build *b, uint32_t len, struct flow_key *key, unsigned *direction)
{
	const uint8_t *data = packet_guard(build_data(b), len);
	struct dissected d;

	dissect_frame(data, len, len, &d);
	return dissect_quoted(data, len, &d, key, direction);
}

static struct build error_about_tcp(void)
{
	struct build b = build_payload(0);

	build_tcp(&b, 1000, 80);
	build_ipv4(&b, 6, LOW, HIGH);
	build_error(&b, 3);
	return b;
}

Test(dissect_quoted, gives_flow_and_direction_of_the_packet_that_was_sent)
{
	struct build sent = build_payload(0), b = error_about_tcp();
	struct flow_key key;
	unsigned direction;
	struct dissected d;

	build_tcp(&sent, 1000, 80);
	build_ipv4(&sent, 6, LOW, HIGH);
	build_ethernet(&sent, 0x0800);
	dissect_frame(build_data(&sent), sent.len, sent.len, &d);
	cr_assert(quoted_cut(&b, b.len, &key, &direction));
	cr_assert_eq(memcmp(&key, &d.key, sizeof(key)), 0);
	cr_assert_eq(direction, d.direction);
}

Test(dissect_quoted, eight_bytes_behind_the_ip_header_are_enough)
{
	struct build b = error_about_tcp();
	struct flow_key key;
	unsigned direction;

	cr_assert(quoted_cut(&b, ETHERNET_IPV4 + 8 + 20 + 8, &key, &direction));
	cr_assert_eq(key.port_b, 80);
	cr_assert_not(quoted_cut(&b, ETHERNET_IPV4 + 8 + 20 + 3, &key, &direction));
	cr_assert_not(quoted_cut(&b, ETHERNET_IPV4 + 8, &key, &direction));
	cr_assert_not(quoted_cut(&b, ETHERNET_IPV4, &key, &direction));
}

Test(dissect_quoted, quote_ends_with_its_error)
{
	struct build b = error_about_tcp();
	struct flow_key key;
	unsigned direction;

	build_data(&b)[14 + 3] = 20 + 8 + 20; /* what follows is padding */
	cr_assert_not(quoted_cut(&b, b.len, &key, &direction));
}

Test(dissect_quoted, icmpv6_quotes_behind_extension_headers)
{
	struct build b = build_payload(4);
	struct flow_key key;
	unsigned direction;

	build_sctp(&b, 38412, 38412);
	build_extension(&b, 132, 8);
	build_ipv6(&b, 60, HIGH6, LOW6);
	build_icmp(&b, 1, 0);
	build_ipv6(&b, 58, LOW6, HIGH6);
	build_ethernet(&b, 0x86dd);
	cr_assert(quoted_cut(&b, b.len, &key, &direction));
	cr_assert_eq(key.proto, 132);
	cr_assert_eq(direction, 1);
}

Test(dissect_quoted, what_is_no_error_or_quotes_no_flow_gives_none)
{
	struct build echo = build_payload(40), fragment = error_about_tcp(),
		     udp = build_payload(60);
	struct flow_key key;
	unsigned direction;

	build_ipv4(&echo, 6, LOW, HIGH);
	build_error(&echo, 8);
	cr_assert_not(quoted_cut(&echo, echo.len, &key, &direction));
	build_data(&fragment)[ETHERNET_IPV4 + 8 + 7] = 1; /* a later one */
	cr_assert_not(quoted_cut(&fragment, fragment.len, &key, &direction));
	memcpy(build_data(&udp), (uint8_t[]){3, 3}, 2);
	build_udp(&udp, 1, 2);
	build_ipv4(&udp, 17, LOW, HIGH);
	build_ethernet(&udp, 0x0800);
	cr_assert_not(quoted_cut(&udp, udp.len, &key, &direction));
}

/* ---- GTP-U ---- */

static struct build ue_packet(void)
{
	struct build b = build_payload(100);

	build_tcp(&b, 50000, 443);
	build_ipv4(&b, 6, UE, SITE);
	return b;
}

static void build_tunnel(struct build *b)
{
	build_udp(b, 2152, 2152);
	build_ipv4(b, 17, HIGH, LOW);
	build_ethernet(b, 0x0800);
}

static bool gtpu_cut(struct build *b, uint32_t len, struct dissected *inner)
{
	const uint8_t *data = packet_guard(build_data(b), len);
	struct dissected outer;

	dissect_frame(data, len, len, &outer);
	return dissect_gtpu(data, len, &outer, inner);
}

static bool gtpu(struct build *b, struct dissected *inner)
{
	return gtpu_cut(b, b->len, inner);
}

/* A G-PDU with optional fields and these extension headers, up to the last byte's "none". */
static struct build extended(const uint8_t *extensions, uint32_t len)
{
	struct build b = ue_packet();

	memcpy(build_front(&b, len), extensions, len);
	build_front(&b,
		    3); /* sequence number, N-PDU number; the type that follows is in extensions */
	build_gtpu(&b, 1);
	build_data(&b)[0] |= 0x04;
	build_tunnel(&b);
	return b;
}

Test(dissect_gtpu, inner_packet_is_dissected_as_if_it_were_mirrored_itself)
{
	struct build b = ue_packet(), alone = ue_packet();
	struct dissected inner, expected;
	const uint32_t at = ETHERNET_IPV4 + 8 + 8;

	build_gtpu(&b, 1);
	build_tunnel(&b);
	build_ethernet(&alone, 0x0800);
	dissect_frame(build_data(&alone), alone.len, alone.len, &expected);
	cr_assert(gtpu(&b, &inner));
	cr_assert_eq(memcmp(&inner.key, &expected.key, sizeof(inner.key)), 0);
	cr_assert(inner.has_flow);
	cr_assert_eq(inner.direction, expected.direction);
	cr_assert_eq(inner.l3, at);
	cr_assert_eq(inner.l4, at + 20);
	cr_assert_eq(inner.payload, at + 40);
	cr_assert_eq(inner.ip_len, 140);
	cr_assert_eq(inner.marks, 0);
	cr_assert_eq(inner.wire_len, b.len);
}

Test(dissect_gtpu, lengths_are_the_headers_when_the_mirror_cuts)
{
	struct build b = ue_packet();
	struct dissected inner;

	build_gtpu(&b, 1);
	build_tunnel(&b);
	cr_assert(gtpu_cut(&b, ETHERNET_IPV4 + 16 + 40, &inner));
	cr_assert_eq(inner.ip_len, 140);
	cr_assert_eq(inner.wire_len, b.len);
	cr_assert_eq(inner.marks, BIT(TRUNCATED));
	cr_assert(inner.has_flow);
	cr_assert_not(gtpu_cut(&b, ETHERNET_IPV4 + 16 + 19, &inner), "the IP header is cut");
	cr_assert_not(gtpu_cut(&b, ETHERNET_IPV4 + 8 + 7, &inner), "the tunnel's header is");
}

Test(dissect_gtpu, pdu_session_container_and_other_extensions_are_skipped)
{
	/* TS 38.415: 0x85, one unit of 4 bytes; then one of two units. */
	const uint8_t one[] = {0x85, 1, 0x10, 9, 0};
	const uint8_t two[] = {0x85, 1, 0, 9, 0x40, 2, 0, 0, 0, 0, 0, 0, 0};
	struct build b = extended(one, sizeof(one)), c = extended(two, sizeof(two));
	struct dissected inner;

	cr_assert(gtpu(&b, &inner));
	cr_assert_eq(inner.l3, ETHERNET_IPV4 + 8 + 8 + 4 + 4);
	cr_assert(inner.has_flow);
	cr_assert(gtpu(&c, &inner));
	cr_assert_eq(inner.l3, ETHERNET_IPV4 + 8 + 8 + 4 + 12);
	cr_assert_eq(inner.key.proto, 6);
}

Test(dissect_gtpu, sequence_number_alone_takes_four_bytes)
{
	struct build b = ue_packet();
	struct dissected inner;

	memcpy(build_front(&b, 4), (uint8_t[]){0, 1, 0, 0x85}, 4); /* a type without the E flag */
	build_gtpu(&b, 1);
	build_data(&b)[0] |= 0x02;
	build_tunnel(&b);
	cr_assert(gtpu(&b, &inner));
	cr_assert_eq(inner.l3, ETHERNET_IPV4 + 8 + 12);
}

Test(dissect_gtpu, hostile_chains_end)
{
	const uint8_t of_no_length[] = {0x85, 0, 0, 0, 0};
	const uint8_t beyond_the_end[] = {0x85, 255, 0, 0, 0};
	uint8_t endless[4 * 20 + 1];
	struct dissected inner;

	for (unsigned i = 0; i < sizeof(endless); i++)
		endless[i] = i % 4 == 1 ? 1 : 0x85;
	struct build b = extended(of_no_length, 5), c = extended(beyond_the_end, 5),
		     d = extended(endless, sizeof(endless));
	cr_assert_not(gtpu(&b, &inner));
	cr_assert_not(gtpu(&c, &inner));
	cr_assert_not(gtpu(&d, &inner));
}

Test(dissect_gtpu, what_is_no_gpdu_gives_none)
{
	struct build echo = ue_packet(), version2 = ue_packet(), prime = ue_packet(),
		     port = ue_packet(), ethernet = build_payload(60);
	struct dissected inner;

	build_gtpu(&echo, 1);
	build_data(&echo)[1] = 1;
	build_tunnel(&echo);
	build_gtpu(&version2, 1);
	build_data(&version2)[0] = 0x48;
	build_tunnel(&version2);
	build_gtpu(&prime, 1);
	build_data(&prime)[0] = 0x20; /* GTP' */
	build_tunnel(&prime);
	build_gtpu(&port, 1);
	build_udp(&port, 2153, 2151);
	build_ipv4(&port, 17, HIGH, LOW);
	build_ethernet(&port, 0x0800);
	build_gtpu(&ethernet, 1);
	build_tunnel(&ethernet);
	cr_assert_not(gtpu(&echo, &inner));
	cr_assert_not(gtpu(&version2, &inner));
	cr_assert_not(gtpu(&prime, &inner));
	cr_assert_not(gtpu(&port, &inner));
	cr_assert_not(gtpu(&ethernet, &inner), "no IP inside");
}

Test(dissect_gtpu, inner_packet_is_not_longer_than_the_tunnels)
{
	struct build b = ue_packet();
	struct dissected inner;

	build_data(&b)[3]++; /* 141 bytes */
	build_gtpu(&b, 1);
	build_tunnel(&b);
	cr_assert_not(gtpu(&b, &inner));
	build_data(&b)[14 + 6] = 0x20; /* more fragments: of which this holds a part */
	cr_assert(gtpu(&b, &inner));
	cr_assert_eq(inner.ip_len, 141);
}

Test(dissect_gtpu, damage_inside_is_marked)
{
	struct build b = ue_packet();
	struct dissected inner;

	build_data(&b)[0] = 0x44; /* header of 16 bytes */
	build_gtpu(&b, 1);
	build_tunnel(&b);
	cr_assert(gtpu(&b, &inner));
	cr_assert_eq(inner.marks, BIT(BAD_IP));
	cr_assert_not(inner.has_flow);
}

/* ---- properties ---- */

static void cut_everywhere(const uint8_t *data, uint32_t len, void *arg)
{
	unsigned *n = arg;

	for (uint32_t cut = 0; cut <= len && cut <= 200; cut++) {
		const uint8_t *p = packet_guard(data, cut);
		struct dissected outer, inner;
		struct flow_key key;
		unsigned direction;
		dissect_frame(p, cut, len, &outer);
		*n += dissect_quoted(p, cut, &outer, &key, &direction);
		if (!dissect_gtpu(p, cut, &outer, &inner))
			continue;
		cr_assert_gt(inner.l3, outer.l4);
		cr_assert_leq(inner.l4, cut);
		cr_assert_eq(inner.wire_len, outer.wire_len);
	}
}

/* Every read beyond the end is a fault: the copy ends at an unreadable page. */
Test(dissect_gtpu, captured_packets_cut_to_every_length_are_safe)
{
	unsigned n_quoted = 0;

	if (!packet_each(100, cut_everywhere, &n_quoted))
		cr_skip_test("no captures in $VXPROBE_CAPTURES");
	cr_assert_gt(n_quoted, 0);
}
