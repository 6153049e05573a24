#include "path/filter.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/packet.h"

/* ---- packets ---- */

static struct packet packet;
static struct dissected dissected;

/* The frame that was built, of which len bytes are there. */
static void take_part(struct build *b, uint32_t len)
{
	packet = (struct packet){
		.data = packet_guard(build_data(b), len), .len = len, .cap_len = len};
	dissect_frame(packet.data, len, len, &dissected);
}

static void take(struct build *b)
{
	take_part(b, b->len);
}

static void take_ipv4(struct build *b, uint8_t proto, const char *from, const char *to)
{
	build_ipv4(b, proto, from, to);
	build_ethernet(b, 0x0800);
	take(b);
}

static void udp(uint16_t from, uint16_t to)
{
	struct build b = build_payload(100);

	build_udp(&b, from, to);
	take_ipv4(&b, 17, "10.1.0.1", "10.2.0.1");
}

static void tcp(uint16_t from, uint16_t to)
{
	struct build b = build_payload(100);

	build_tcp(&b, from, to);
	take_ipv4(&b, 6, "10.1.0.1", "10.2.0.1");
}

/* UDP of a user, in a tunnel or bare. */
static struct build user_packet(uint16_t port, bool back, bool is_tunnelled)
{
	struct build b = build_payload(100);

	build_udp(&b, back ? 443 : port, back ? port : 443);
	build_ipv4(&b, 17, back ? "192.0.2.1" : "172.16.0.9", back ? "172.16.0.9" : "192.0.2.1");
	if (!is_tunnelled)
		return b;
	build_gtpu(&b, 77);
	build_udp(&b, 2152, 2152);
	build_ipv4(&b, 17, back ? "10.2.0.1" : "10.1.0.1", back ? "10.1.0.1" : "10.2.0.1");
	return b;
}

static void user(uint16_t port, bool back, bool is_tunnelled)
{
	struct build b = user_packet(port, back, is_tunnelled);

	build_ethernet(&b, 0x0800);
	take(&b);
}

#define GTPU_AT (14 + 20 + 8)

/* ---- decisions ---- */

static struct filter filter;
static struct filter_pairs pairs;
static uint32_t len;

static void begin(void)
{
	filter = filter_plain[SESSION_FULL];
	filter.sample_key = (struct siphash_key){{1, 2}};
	memset(&pairs, 0, sizeof(pairs));
}

TestSuite(filter, .init = begin);

static enum fate decide(void)
{
	len = 12345;
	filter_learn(&filter, &pairs, 5, &packet, &dissected);
	return filter_packet(&filter, &pairs, 5, &packet, &dissected, &len);
}

/* ---- what is kept ---- */

Test(filter, words_are_policies)
{
	tcp(1000, 9);
	for (unsigned i = 0; i <= SESSION_DROP; i++) {
		filter = filter_plain[i];
		cr_expect_eq(decide(), i < SESSION_COUNT ? FATE_KEPT : FATE_NOT_CAPTURED);
		cr_expect_eq(len,
			     i == SESSION_FULL      ? packet.cap_len
			     : i == SESSION_HEADERS ? 14 + 20 + 20
						    : 12345,
			     "%s", filter_words[i]);
		cr_expect(filter_is_opted_in(&filter, &packet, &dissected));
	}
}

Test(filter, headers_go_to_the_end_of_the_users_transport_header)
{
	filter = filter_plain[SESSION_HEADERS];
	user(1000, false, true);
	cr_expect_eq(decide(), FATE_KEPT);
	cr_expect_eq(len, GTPU_AT + 8 + 20 + 8);
	struct build b = user_packet(1000, false, true);
	build_ethernet(&b, 0x0800);
	take_part(&b, GTPU_AT + 8 + 10); /* its IP header is cut */
	cr_expect_eq(decide(), FATE_KEPT);
	cr_expect_eq(len, GTPU_AT);
}

Test(filter, snap_length_bounds_whatever_is_kept)
{
	filter.snap_len = 60;
	tcp(1000, 9);
	cr_expect_eq(decide(), FATE_KEPT);
	cr_expect_eq(len, 60);
	filter.keep = filter.user_plane = SESSION_HEADERS;
	cr_expect_eq(decide(), FATE_KEPT);
	cr_expect_eq(len, 54);
	filter.snap_len = 40;
	cr_expect_eq(decide(), FATE_KEPT);
	cr_expect_eq(len, 40);
}

Test(filter, no_more_is_kept_than_there_is)
{
	struct build b = build_payload(0);

	build_udp(&b, 1, 2);
	build_ipv4(&b, 17, "10.1.0.1", "10.2.0.1");
	build_ethernet(&b, 0x0800);
	take_part(&b, 36);
	filter = filter_plain[SESSION_HEADERS];
	cr_expect_eq(decide(), FATE_KEPT);
	cr_expect_eq(len, 36);
}

/* ---- user plane ---- */

static void full_signalling_headers_only_user_plane(void)
{
	filter.user_plane = SESSION_HEADERS;
}

Test(filter, user_plane_is_what_gtpu_carries)
{
	full_signalling_headers_only_user_plane();
	user(1000, false, true);
	cr_expect_eq(decide(), FATE_KEPT);
	cr_expect_eq(len, GTPU_AT + 8 + 20 + 8);
	user(1000, false, false);
	cr_expect_eq(decide(), FATE_KEPT);
	cr_expect_eq(len, packet.cap_len, "nothing says that it is a user's");
	filter.user_plane = SESSION_COUNT;
	cr_expect_eq(decide(), FATE_KEPT);
	user(1000, false, true);
	cr_expect_eq(decide(), FATE_NOT_CAPTURED);
}

Test(filter, other_messages_of_gtpu_are_no_user_plane)
{
	static const uint8_t types[] = {1, 2, 26, 31, 254}; /* echo, error indication, ... */

	full_signalling_headers_only_user_plane();
	for (size_t i = 0; i < sizeof(types); i++) {
		struct build b = user_packet(1000, false, true);
		build_ethernet(&b, 0x0800);
		build_data(&b)[GTPU_AT + 1] = types[i];
		take(&b);
		cr_expect_eq(decide(), FATE_KEPT);
		cr_expect_eq(len, packet.cap_len, "%u", types[i]);
	}
}

Test(filter, what_may_be_user_plane_is)
{
	full_signalling_headers_only_user_plane();
	struct build cut = user_packet(1000, false, true);
	build_ethernet(&cut, 0x0800);
	take_part(&cut, GTPU_AT + 1); /* in front of the message type */
	cr_expect_eq(decide(), FATE_KEPT);
	cr_expect_eq(len, GTPU_AT);
	struct build odd = user_packet(1000, false, true);
	build_ethernet(&odd, 0x0800);
	build_data(&odd)[GTPU_AT] = 0x50; /* version 2, and not an echo */
	build_data(&odd)[GTPU_AT + 1] = 1;
	take(&odd);
	cr_expect_eq(decide(), FATE_KEPT);
	cr_expect_eq(len, GTPU_AT);
}

/* A fragment of UDP between two addresses, the first one with a port. How much of it is kept. */
static uint32_t fragment_kept(bool is_first, const char *from, const char *to, uint16_t port)
{
	struct build b = build_payload(100);

	if (port == 2152)
		memcpy(build_data(&b), "\x30\xff", 2);
	build_udp(&b, port, port);
	build_ipv4(&b, 17, from, to);
	build_data(&b)[6] = 0x20; /* more fragments */
	build_data(&b)[7] = is_first ? 0 : 10;
	build_ethernet(&b, 0x0800);
	take(&b);
	cr_expect_eq(decide(), FATE_KEPT);
	return len;
}

#define ALL     142 /* bytes of it */
#define IP_ONLY 34

Test(filter, later_fragment_goes_with_what_its_addresses_had_before)
{
	full_signalling_headers_only_user_plane();
	cr_expect_eq(fragment_kept(false, "10.1.0.1", "10.1.0.2", 0), IP_ONLY, "nobody knows");
	cr_expect_eq(fragment_kept(true, "10.1.0.1", "10.1.0.2", 5060), ALL);
	cr_expect_eq(fragment_kept(false, "10.1.0.1", "10.1.0.2", 0), ALL, "a SIP message's end");
	cr_expect_eq(fragment_kept(false, "10.1.0.2", "10.1.0.1", 0), ALL);
	cr_expect_eq(fragment_kept(false, "10.1.0.1", "10.1.0.3", 0), IP_ONLY, "another pair");
	cr_expect_eq(fragment_kept(true, "10.1.0.2", "10.1.0.1", 2152), IP_ONLY + 8);
	cr_expect_eq(fragment_kept(false, "10.1.0.1", "10.1.0.2", 0), IP_ONLY, "may be either");
	cr_expect_eq(fragment_kept(true, "10.1.0.1", "10.1.0.2", 5060), ALL);
	cr_expect_eq(fragment_kept(false, "10.1.0.1", "10.1.0.2", 0), IP_ONLY, "still");
}

Test(filter, pairs_are_of_a_session)
{
	full_signalling_headers_only_user_plane();
	(void)fragment_kept(true, "10.1.0.1", "10.1.0.2", 5060);
	cr_expect_eq(fragment_kept(false, "10.1.0.1", "10.1.0.2", 0), ALL);
	(void)filter_packet(&filter, &pairs, 6, &packet, &dissected, &len);
	cr_expect_eq(len, IP_ONLY);
}

Test(filter, nothing_is_learnt_where_user_plane_is_as_the_rest)
{
	(void)fragment_kept(true, "10.1.0.1", "10.1.0.2", 5060);
	full_signalling_headers_only_user_plane();
	cr_expect_eq(fragment_kept(false, "10.1.0.1", "10.1.0.2", 0), IP_ONLY);
}

Test(filter, later_fragment_of_tcp_is_no_user_plane)
{
	struct build b = build_payload(100);

	full_signalling_headers_only_user_plane();
	build_ipv4(&b, 6, "10.1.0.1", "10.2.0.1");
	build_data(&b)[7] = 10; /* fragment offset */
	build_ethernet(&b, 0x0800);
	take(&b);
	cr_expect_eq(decide(), FATE_KEPT);
	cr_expect_eq(len, packet.cap_len);
}

/* ---- expression ---- */

Test(filter, what_the_expression_does_not_match_is_filtered)
{
	struct filter_insn code[FILTER_PROGRAM_MAX];
	uint32_t n;
	struct err err;

	cr_assert_eq(filter_compile(code, &n, "not port 22", &err), 0);
	filter.code = code;
	tcp(1000, 9);
	cr_expect_eq(decide(), FATE_KEPT);
	tcp(1000, 22);
	cr_expect_eq(decide(), FATE_FILTERED);
	filter.keep = filter.user_plane = SESSION_COUNT;
	cr_expect_eq(decide(), FATE_NOT_CAPTURED, "that was to be kept in no case");
}

/* ---- allow-list ---- */

static struct address address(const char *v4)
{
	struct build b = build_payload(0);
	struct address a = {.byte = {[10] = 0xff, 0xff}};

	build_ipv4(&b, 17, v4, v4);
	memcpy(a.byte + 12, build_data(&b) + 12, 4);
	return a;
}

static struct filter_range range(const char *first, const char *last)
{
	return (struct filter_range){address(first), address(last)};
}

static bool is_opted_in(void)
{
	return filter_is_opted_in(&filter, &packet, &dissected);
}

static bool address_is_wanted(const char *from)
{
	struct build b = build_payload(10);

	build_udp(&b, 1, 2);
	take_ipv4(&b, 17, from, "203.0.113.1");
	return is_opted_in();
}

Test(filter, either_address_on_the_list_will_do)
{
	const struct filter_range only[] = {range("10.1.0.0", "10.1.255.255"),
					    range("10.3.0.0", "10.3.0.0")};

	filter.only = only;
	filter.n_only = 2;
	cr_expect_not(address_is_wanted("10.0.255.255"));
	cr_expect(address_is_wanted("10.1.0.0"));
	cr_expect(address_is_wanted("10.1.255.255"));
	cr_expect_not(address_is_wanted("10.2.0.0"));
	cr_expect(address_is_wanted("10.3.0.0"));
	cr_expect_not(address_is_wanted("10.3.0.1"));
	tcp(1, 2);
	cr_expect(is_opted_in());
	struct build b = build_payload(10);
	build_udp(&b, 1, 2);
	take_ipv4(&b, 17, "192.0.2.1", "10.1.2.3");
	cr_expect(is_opted_in());
}

Test(filter, addresses_of_ipv6_are_listed_too)
{
	struct filter_range only = {.first = {{0x20, 1, 0xd, 0xb8}},
				    .last = {{0x20, 1, 0xd, 0xb8}}};

	memset(only.last.byte + 4, 0xff, 12);
	filter.only = &only;
	filter.n_only = 1;
	struct build b = build_payload(10);
	build_udp(&b, 1, 2);
	build_ipv6(&b, 17, "fe80::1", "2001:db8::1");
	build_ethernet(&b, 0x86dd);
	take(&b);
	cr_expect(is_opted_in());
	build_data(&b)[14 + 24 + 3] = 0xb9;
	take(&b);
	cr_expect_not(is_opted_in());
}

Test(filter, what_is_not_ip_is_on_no_list_and_wanted)
{
	const struct filter_range only = range("10.1.0.0", "10.1.255.255");
	struct build b = build_payload(46);

	filter.only = &only;
	filter.n_only = 1;
	build_ethernet(&b, 0x0806); /* ARP */
	take(&b);
	cr_expect(is_opted_in());
}

Test(filter, cut_addresses_are_not_wanted)
{
	const struct filter_range all = range("0.0.0.0", "255.255.255.255");
	struct build b = build_payload(0);

	filter.only = &all;
	filter.n_only = 1;
	build_udp(&b, 1, 2);
	build_ipv4(&b, 17, "10.1.0.1", "10.2.0.1");
	build_ethernet(&b, 0x0800);
	for (uint32_t n = 14; n < 14 + 20; n++) {
		take_part(&b, n);
		cr_expect_not(is_opted_in(), "%u", n);
	}
	take_part(&b, 14 + 20);
	cr_expect(is_opted_in());
}

Test(filter, ranges_are_sorted_and_joined)
{
	struct filter_range ranges[] = {
		range("10.5.0.0", "10.5.0.9"), range("10.0.0.0", "10.0.0.9"),
		range("10.0.0.2", "10.0.0.3"), range("10.0.0.9", "10.1.0.0"),
		range("10.5.0.0", "10.5.0.9")};
	const struct filter_range want[] = {range("10.0.0.0", "10.1.0.0"),
					    range("10.5.0.0", "10.5.0.9")};

	cr_assert_eq(filter_join_ranges(ranges, 5), 2);
	cr_expect_arr_eq(ranges, want, sizeof(want));
	cr_expect_eq(filter_join_ranges(ranges, 0), 0);
}

/* Against looking at each prefix, for random ones and random addresses. */
Test(filter, list_answers_as_each_of_its_prefixes_would)
{
	struct filter_range ranges[64], joined[64];

	srandom(1);
	for (unsigned i = 0; i < 64; i++) {
		const unsigned bits = (unsigned)random() % 17;
		ranges[i] = range("10.0.0.0", "10.0.0.0");
		for (unsigned k = 0; k < 16; k++) {
			const unsigned bit = (unsigned)random() & 1u;
			ranges[i].first.byte[14 + k / 8] |=
				(uint8_t)((k < bits && bit) << (7 - k % 8));
			ranges[i].last.byte[14 + k / 8] |=
				(uint8_t)((k < bits ? bit : 1u) << (7 - k % 8));
		}
		if (bits < 8) /* not all of them */
			ranges[i] = ranges[0];
	}
	memcpy(joined, ranges, sizeof(joined));
	filter.only = joined;
	filter.n_only = filter_join_ranges(joined, 64);
	unsigned wanted = 0;
	for (unsigned i = 0; i < 65536; i += 7) {
		char text[32];
		(void)snprintf(text, sizeof(text), "10.0.%u.%u", i >> 8, i & 255);
		const struct address a = address(text);
		bool expected = false;
		for (unsigned k = 0; k < 64; k++)
			expected |= memcmp(&a, &ranges[k].first, 16) >= 0 &&
				    memcmp(&a, &ranges[k].last, 16) <= 0;
		cr_assert_eq(address_is_wanted(text), expected, "%s", text);
		wanted += expected;
	}
	cr_expect(wanted && wanted < 65536 / 7);
}

/* ---- sample ---- */

/* Which of the users' flows by their ports are kept, a bit each. */
static uint64_t sampled(bool back, bool is_tunnelled)
{
	uint64_t kept = 0;

	for (unsigned i = 0; i < 64; i++) {
		user((uint16_t)(20000 + i), back, is_tunnelled);
		const enum fate fate = decide();
		cr_assert(fate == FATE_KEPT || fate == FATE_NOT_SAMPLED);
		kept |= (uint64_t)(fate == FATE_KEPT) << i;
	}
	return kept;
}

Test(filter, flow_is_in_the_sample_in_both_directions_and_in_tunnels)
{
	filter.sample_max = filter_sample_max(4);
	const uint64_t kept = sampled(false, false);
	cr_expect(kept && ~kept);
	cr_expect_eq(sampled(true, false), kept);
	cr_expect_eq(sampled(false, true), kept);
	cr_expect_eq(sampled(true, true), kept);
}

Test(filter, key_decides_which_flows_are_in_the_sample)
{
	filter.sample_max = filter_sample_max(4);
	const uint64_t kept = sampled(false, false);
	filter.sample_key.word[1]++;
	cr_expect_neq(sampled(false, false), kept);
	filter.sample_key.word[1]--;
	cr_expect_eq(sampled(false, false), kept);
}

Test(filter, smaller_sample_is_a_part_of_the_larger)
{
	uint64_t larger = UINT64_MAX;

	for (uint32_t n = 1; n < 20; n++) {
		filter.sample_max = filter_sample_max(n);
		const uint64_t kept = sampled(false, false);
		cr_expect_eq(kept & ~larger, 0, "%u", n);
		larger = kept;
	}
}

Test(filter, sample_is_as_large_as_it_says)
{
	unsigned kept = 0;

	filter.sample_max = filter_sample_max(16);
	for (unsigned i = 0; i < 60000; i++) {
		tcp((uint16_t)(i + 1000), 9);
		kept += decide() == FATE_KEPT;
	}
	/* 3750, give or take five standard deviations of 59. */
	cr_expect(kept > 3450 && kept < 4050, "%u", kept);
}

/* Nothing but signalling is kept: no hash is 0. */
static void sample_nothing(void)
{
	filter.sample_max = 0;
}

Test(filter, signalling_is_never_sampled)
{
	static const uint16_t udp_ports[] = {53, 1812, 2123, 3799, 5060, 8805, 3386},
			      tcp_ports[] = {53,   80,   443,  3868, 5060,
					     5061, 5658, 7777, 8080, 14001};

	sample_nothing();
	for (size_t i = 0; i < sizeof(udp_ports) / sizeof(udp_ports[0]); i++) {
		udp(udp_ports[i], 40000);
		cr_expect_eq(decide(), FATE_KEPT, "%u", udp_ports[i]);
		udp(40000, udp_ports[i]);
		cr_expect_eq(decide(), FATE_KEPT, "%u", udp_ports[i]);
	}
	for (size_t i = 0; i < sizeof(tcp_ports) / sizeof(tcp_ports[0]); i++) {
		tcp(40000, tcp_ports[i]);
		cr_expect_eq(decide(), FATE_KEPT, "%u", tcp_ports[i]);
	}
	struct build b = build_payload(16);
	build_sctp(&b, 1, 2);
	take_ipv4(&b, 132, "10.1.0.1", "10.2.0.1");
	cr_expect_eq(decide(), FATE_KEPT);
	udp(40000, 8080);
	cr_expect_eq(decide(), FATE_NOT_SAMPLED);
	tcp(40000, 2123);
	cr_expect_eq(decide(), FATE_NOT_SAMPLED);
}

/* vxprobe.yaml(5) names every port of the table. */
Test(filter, manual_has_the_signalling_ports)
{
	static char page[65536];
	FILE *f = fopen("probe/vxprobe.yaml.5", "re");
	unsigned n = 0;

	cr_assert_not_null(f);
	page[fread(page, 1, sizeof(page) - 1, f)] = 0;
	(void)fclose(f);
	const char *from = strstr(page, "\n.It Ic sample :"),
		   *to = from ? strstr(from, "\n.It Ic snap-length") : NULL;
	cr_assert(from && to);
	sample_nothing();
	for (uint32_t port = 1; port < 40000; port++) {
		bool is_signalling = false, is_told = false;
		char number[8];
		tcp(50000, (uint16_t)port);
		is_signalling |= decide() == FATE_KEPT;
		udp(50000, (uint16_t)port);
		is_signalling |= decide() == FATE_KEPT;
		(void)snprintf(number, sizeof(number), "%u", port);
		for (const char *p = from; (p = strstr(p, number)) && p < to; p++)
			is_told |= (p[-1] < '0' || p[-1] > '9') &&
				   (p[strlen(number)] < '0' || p[strlen(number)] > '9');
		if (is_signalling) {
			n++;
			cr_expect(is_told, "%u", port);
		}
	}
	cr_expect_gt(n, 20);
}

Test(filter, inside_tunnels_sip_alone_is_signalling)
{
	sample_nothing();
	user(5060, false, true);
	cr_expect_eq(decide(), FATE_KEPT);
	user(53, false, true);
	cr_expect_eq(decide(), FATE_NOT_SAMPLED);
	user(2123, true, true);
	cr_expect_eq(decide(), FATE_NOT_SAMPLED);
}

Test(filter, gtpu_has_signalling_of_its_own)
{
	struct build b = user_packet(1000, false, true);

	sample_nothing();
	build_ethernet(&b, 0x0800);
	build_data(&b)[GTPU_AT + 1] = 1; /* echo request */
	take(&b);
	cr_expect_eq(decide(), FATE_KEPT);
}

/* An ICMP error about a UDP packet. */
static void icmp_error(uint16_t port)
{
	struct build b = build_payload(0);

	build_udp(&b, port, 40000);
	build_ipv4(&b, 17, "10.1.0.1", "10.2.0.1");
	build_icmp(&b, 3, 0);
	take_ipv4(&b, 1, "10.2.0.1", "10.1.0.1");
}

Test(filter, icmp_error_goes_with_the_flow_that_it_quotes)
{
	filter.sample_max = filter_sample_max(4);
	for (uint16_t port = 20000; port < 20064; port++) {
		udp(port, 40000);
		const enum fate fate = decide();
		icmp_error(port);
		cr_expect_eq(decide(), fate, "%u", port);
	}
	sample_nothing();
	icmp_error(8805);
	cr_expect_eq(decide(), FATE_KEPT);
}

Test(filter, what_tells_no_flow_is_kept)
{
	sample_nothing();
	struct build arp = build_payload(46);
	build_ethernet(&arp, 0x0806);
	take(&arp);
	cr_expect_eq(decide(), FATE_KEPT);
	struct build later = build_payload(100);
	build_ipv4(&later, 6, "10.1.0.1", "10.2.0.1");
	build_data(&later)[7] = 10;
	build_ethernet(&later, 0x0800);
	take(&later);
	cr_expect_eq(decide(), FATE_KEPT);
	struct build router = build_payload(16);
	build_icmp(&router, 9, 0);
	take_ipv4(&router, 1, "10.1.0.1", "224.0.0.1");
	cr_expect_eq(decide(), FATE_KEPT);
}

/* By the words of vxprobe.yaml(5), computed by another program. */
Test(filter, hash_is_the_one_that_the_manual_describes)
{
	static const struct {
		uint16_t port;
		uint64_t hash;
	} known[] = {{1000, 0x71bbdf83c51cb7ff}, {1001, 0x6c536c6e35371901}};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		tcp(known[i].port, 9);
		filter.sample_max = known[i].hash;
		cr_expect_eq(decide(), FATE_KEPT);
		filter.sample_max = known[i].hash - 1;
		cr_expect_eq(decide(), FATE_NOT_SAMPLED);
	}
}

/* ---- bytes of others ---- */

static void decide_all(const uint8_t *data, uint32_t n, void *arg)
{
	const struct filter_range only = range("10.0.0.0", "10.255.255.255");

	(void)arg;
	begin();
	filter.only = &only;
	filter.n_only = 1;
	filter.user_plane = SESSION_HEADERS;
	filter.sample_max = filter_sample_max(2);
	for (uint32_t cut = n; cut + 40 > n && cut; cut--) {
		packet = (struct packet){
			.data = packet_guard(data, cut), .len = cut, .cap_len = cut};
		dissect_frame(packet.data, cut, cut, &dissected);
		(void)is_opted_in();
		if (decide() == FATE_KEPT)
			cr_assert_leq(len, cut);
	}
}

Test(filter, reads_no_byte_beyond_any_packet, .timeout = 60)
{
	if (!packet_each(200, decide_all, NULL))
		cr_skip_test("no captures");
}
