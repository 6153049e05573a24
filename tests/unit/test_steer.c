/* siphash.h, inner.h and steer.h: what the XDP program decides by, run in user space. */
#include "steer.h"

#include <criterion/criterion.h>
#include <string.h>

#include "../support/packet.h"

#define PORT    4789
#define CLIENT  "10.0.0.1"
#define SERVER  "10.0.0.2"
#define CLIENT6 "2001:db8::1"
#define SERVER6 "2001:db8::2"

static const struct siphash_key key = {{0x0706050403020100, 0x0f0e0d0c0b0a0908}};
static const struct steer_outer session = {.source.byte = {[10] = 0xff, 0xff, 10, 9, 9, 9},
					   .vni = 42};

static __u32 hash_bytes(const __u8 *p, __u32 len)
{
	return steer_hash(&key, &session, p, p + len);
}

static __u32 hash(struct build *b)
{
	return hash_bytes(build_data(b), b->len);
}

/* ---- siphash ---- */

static __u64 sip_of(const struct siphash_key *k, unsigned n_bytes)
{
	struct siphash s;

	sip_init(&s, k);
	for (unsigned i = 0; i < n_bytes; i += 8) {
		__u64 word = 0;
		for (unsigned j = 0; j < 8; j++)
			word |= (__u64)(i + j) << 8 * j;
		sip_word(&s, word);
	}
	return sip_final(&s);
}

/* CPython 3.11 hashes bytes by SipHash-1-3: PYTHONHASHSEED=0 python3 -c 'hash(bytes(range(n)))';
 * the empty input under the key 00 01 .. 0f is the first vector of Rust's core::hash. */
Test(siphash, equals_other_implementations)
{
	const struct siphash_key zero = {{0, 0}};

	cr_assert_eq(sip_of(&key, 0), 0xabac0158050fc4dc);
	cr_assert_eq(sip_of(&zero, 8), 0xead411e67ebe2eea);
	cr_assert_eq(sip_of(&zero, 16), 0x8972188433a5c5b7);
	cr_assert_eq(sip_of(&zero, 40), 0x95bc321ab41d8206);
}

/* ---- outer headers ---- */

static struct build mirrored_udp(void)
{
	struct build b = build_payload(60);

	build_vxlan(&b, 0xabcdef);
	build_udp(&b, 65500, PORT);
	return b;
}

static struct build mirrored(void)
{
	struct build b = mirrored_udp();

	build_ipv4(&b, 17, CLIENT, SERVER);
	build_ethernet(&b, 0x0800);
	return b;
}

static int parse_bytes(const __u8 *p, __u32 len, __u32 frame_len, struct steer_outer *out)
{
	return steer_outer_parse(p, p + len, frame_len, PORT, out);
}

static int parse(struct build *b, struct steer_outer *out)
{
	return parse_bytes(build_data(b), b->len, b->len, out);
}

/* Verdict after one byte of a good packet is changed. */
static int parse_changed(uint32_t at, uint8_t to)
{
	struct build b = mirrored();
	struct steer_outer out;

	build_data(&b)[at] = to;
	return parse(&b, &out);
}

Test(steer, outer_ipv4_is_ours)
{
	static const __u8 source[16] = {[10] = 0xff, 0xff, 10, 0, 0, 1};
	static const __u8 target[16] = {[10] = 0xff, 0xff, 10, 0, 0, 2};
	struct build b = mirrored();
	struct steer_outer out;

	cr_assert_eq(parse(&b, &out), STEER_OURS);
	cr_assert_arr_eq(out.source.byte, source, 16);
	cr_assert_arr_eq(out.target.byte, target, 16);
	cr_assert_eq(out.vni, 0xabcdef);
	cr_assert_eq(out.inner, 50);
	cr_assert_eq(out.inner_len, 60);
}

Test(steer, outer_ipv6_behind_two_tags_is_ours)
{
	struct build b = mirrored_udp();
	struct steer_outer out;

	build_ipv6(&b, 17, CLIENT6, SERVER6);
	build_vlan(&b, 0x86dd);
	build_vlan(&b, 0x8100);
	build_ethernet(&b, 0x88a8);
	cr_assert_eq(parse(&b, &out), STEER_OURS);
	cr_assert_eq(out.source.byte[0], 0x20);
	cr_assert_eq(out.target.byte[15], 2);
	cr_assert_eq(out.inner, 78);
	cr_assert_eq(out.inner_len, 60);
}

Test(steer, outer_ipv4_options_are_skipped)
{
	struct build b = mirrored_udp();
	struct steer_outer out;

	build_ipv4_options(&b, 17, CLIENT, SERVER, 40);
	build_ethernet(&b, 0x0800);
	cr_assert_eq(parse(&b, &out), STEER_OURS);
	cr_assert_eq(out.inner, 90);
}

Test(steer, passes_what_is_not_vxlan_to_the_port)
{
	cr_assert_eq(parse_changed(12, 0x07), FATE_PASSED, "EtherType");
	cr_assert_eq(parse_changed(14, 0x65), FATE_PASSED, "IP version");
	cr_assert_eq(parse_changed(14, 0x44), FATE_PASSED, "header length");
	cr_assert_eq(parse_changed(23, 6), FATE_PASSED, "protocol");
	cr_assert_eq(parse_changed(36, 0), FATE_PASSED, "destination port");
}

Test(steer, outer_ipv6_extension_headers_are_passed)
{
	struct build b = mirrored_udp();
	struct steer_outer out;

	build_extension(&b, 17, 8);
	build_ipv6(&b, 60, CLIENT6, SERVER6);
	build_ethernet(&b, 0x86dd);
	cr_assert_eq(parse(&b, &out), FATE_PASSED);
}

Test(steer, outer_ipv4_fragments_are_told)
{
	struct build b = mirrored();
	struct steer_outer out;

	cr_assert_eq(parse_changed(20, 0x40), STEER_OURS, "do not fragment");
	cr_assert_eq(parse_changed(20, 0x20), FATE_OUTER_FRAGMENT, "first");
	cr_assert_eq(parse_changed(21, 1), FATE_OUTER_FRAGMENT, "last: no port to be seen");
	build_data(&b)[20] = 0x10; /* offset 32,768 */
	build_data(&b)[36] = 0;    /* no port either */
	cr_assert_eq(parse(&b, &out), FATE_OUTER_FRAGMENT, "last, far behind");
	build_data(&b)[20] = 0x20;
	build_data(&b)[36] = 0;
	cr_assert_eq(parse(&b, &out), FATE_PASSED, "first, to another port");
}

Test(steer, outer_ipv6_fragments_are_told)
{
	for (uint16_t offset = 0; offset <= 8; offset += 8) {
		struct build b = mirrored_udp();
		struct steer_outer out;

		build_ipv6_fragment(&b, 17, offset, 1);
		build_ipv6(&b, 44, CLIENT6, SERVER6);
		build_ethernet(&b, 0x86dd);
		cr_assert_eq(parse(&b, &out), FATE_OUTER_FRAGMENT);
		cr_assert_eq(out.target.byte[15], 2);
	}
}

/* RFC 7348 section 5: the I flag must be set, reserved bits are ignored. */
Test(steer, vxlan_needs_its_i_flag_and_nothing_else)
{
	cr_assert_eq(parse_changed(42, 0xf7), FATE_BAD_VXLAN);
	cr_assert_eq(parse_changed(42, 0xff), STEER_OURS);
	cr_assert_eq(parse_changed(43, 0xff), STEER_OURS);
	cr_assert_eq(parse_changed(49, 0xff), STEER_OURS);
}

Test(steer, cut_vxlan_is_bad)
{
	struct build b = mirrored();
	struct steer_outer out;

	for (__u32 len = 42; len < 50; len++)
		cr_assert_eq(parse_bytes(build_data(&b), len, len, &out), FATE_BAD_VXLAN);
	cr_assert_eq(parse_bytes(build_data(&b), 50, 50, &out), STEER_OURS);
	cr_assert_eq(out.inner_len, 0);
	cr_assert_eq(parse_changed(39, 15), FATE_BAD_VXLAN, "UDP length without room for it");
}

static __u32 inner_len_of(int ip_len, int udp_len, __u32 frame_len)
{
	struct build b = mirrored();
	struct steer_outer out = {0};
	__u8 *p = build_data(&b);

	p[16] = (__u8)(ip_len >> 8);
	p[17] = (__u8)ip_len;
	p[38] = (__u8)(udp_len >> 8);
	p[39] = (__u8)udp_len;
	cr_assert_eq(parse_bytes(p, b.len, frame_len, &out), STEER_OURS);
	return out.inner_len;
}

/* Whole: 110 bytes of frame, 96 of IP, 76 of UDP, 60 of inner frame. */
Test(steer, inner_length_is_the_udp_lengths_within_ip_within_the_frame)
{
	cr_assert_eq(inner_len_of(96, 76, 110), 60);
	cr_assert_eq(inner_len_of(96, 76, 128), 60, "Ethernet padding");
	cr_assert_eq(inner_len_of(96, 56, 110), 40, "UDP shorter than IP");
	cr_assert_eq(inner_len_of(96, 0, 128), 60, "no UDP length: IP's");
	cr_assert_eq(inner_len_of(96, 9000, 128), 60, "UDP longer than IP: IP's");
	cr_assert_eq(inner_len_of(0, 76, 110), 60, "no IP length: the frame's");
	cr_assert_eq(inner_len_of(9000, 8986, 110), 60, "both longer than the frame");
	cr_assert_eq(inner_len_of(9000, 8980, 9014), 8964, "further buffers");
}

/* ---- the hash: what is equal ---- */

typedef void (*transport_fn)(struct build *b, uint16_t from, uint16_t to);

static __u32 hash_flow(transport_fn transport, __u8 proto, const char *from, uint16_t from_port,
		       const char *to, uint16_t to_port)
{
	struct build b = build_payload(20);

	transport(&b, from_port, to_port);
	if (strchr(from, ':'))
		build_ipv6(&b, proto, from, to);
	else
		build_ipv4(&b, proto, from, to);
	build_ethernet(&b, strchr(from, ':') ? 0x86dd : 0x0800);
	return hash(&b);
}

#define HASH_UDP(from, from_port, to, to_port)                                                     \
	hash_flow(build_udp, 17, from, from_port, to, to_port)

Test(steer, both_directions_are_equal)
{
	cr_assert_eq(HASH_UDP(CLIENT, 1000, SERVER, 53), HASH_UDP(SERVER, 53, CLIENT, 1000));
	cr_assert_eq(HASH_UDP(CLIENT6, 1000, SERVER6, 53), HASH_UDP(SERVER6, 53, CLIENT6, 1000));
	cr_assert_eq(HASH_UDP(CLIENT, 1000, CLIENT, 53), HASH_UDP(CLIENT, 53, CLIENT, 1000));
}

Test(steer, each_endpoint_counts)
{
	const __u32 h = HASH_UDP(CLIENT, 1000, SERVER, 53);

	cr_assert_neq(h, HASH_UDP(CLIENT, 1001, SERVER, 53));
	cr_assert_neq(h, HASH_UDP(CLIENT, 1000, SERVER, 54));
	cr_assert_neq(h, HASH_UDP("10.0.0.3", 1000, SERVER, 53));
	cr_assert_neq(h, HASH_UDP(CLIENT, 1000, "10.0.0.3", 53));
	cr_assert_neq(h, HASH_UDP(CLIENT, 53, SERVER, 1000), "ports change sides");
	cr_assert_neq(HASH_UDP(CLIENT6, 1000, SERVER6, 53), HASH_UDP(CLIENT6, 1000, "::2", 53));
}

Test(steer, session_and_key_count)
{
	const struct siphash_key other_key = {{key.word[0], key.word[1] ^ 1}};
	struct steer_outer other_vni = session, other_source = session;
	struct build b = build_payload(20);
	const __u8 *end = b.room + BUILD_ROOM;

	build_udp(&b, 1, 2);
	build_ipv4(&b, 17, CLIENT, SERVER);
	build_ethernet(&b, 0x0800);
	other_vni.vni++;
	other_source.source.byte[15]++;
	cr_assert_neq(hash(&b), steer_hash(&other_key, &session, build_data(&b), end));
	cr_assert_neq(hash(&b), steer_hash(&key, &other_vni, build_data(&b), end));
	cr_assert_neq(hash(&b), steer_hash(&key, &other_source, build_data(&b), end));
}

Test(steer, sctp_is_by_ports_only)
{
	const __u32 h = hash_flow(build_sctp, 132, CLIENT, 2905, SERVER, 3000);

	cr_assert_eq(h, hash_flow(build_sctp, 132, "10.7.7.7", 3000, "10.8.8.8", 2905));
	cr_assert_eq(h, hash_flow(build_sctp, 132, CLIENT6, 2905, SERVER6, 3000));
	cr_assert_neq(h, hash_flow(build_sctp, 132, CLIENT, 2905, SERVER, 3001));
}

Test(steer, sip_is_by_addresses_on_every_transport)
{
	const __u32 h = HASH_UDP(CLIENT, 5060, SERVER, 5060);

	cr_assert_eq(h, HASH_UDP(SERVER, 40000, CLIENT, 5060));
	cr_assert_eq(h, hash_flow(build_tcp, 6, CLIENT, 5061, SERVER, 40001));
	cr_assert_eq(h, hash_flow(build_sctp, 132, CLIENT, 40002, SERVER, 5060));
	cr_assert_neq(h, HASH_UDP(CLIENT, 5060, "10.0.0.3", 5060));
}

static __u32 hash_icmp(__u8 type, uint16_t id, const char *from, const char *to)
{
	struct build b = build_payload(8);

	build_icmp(&b, type, id);
	build_ipv4(&b, 1, from, to);
	build_ethernet(&b, 0x0800);
	return hash(&b);
}

Test(steer, icmp_other_than_errors_is_by_addresses)
{
	cr_assert_eq(hash_icmp(8, 1, CLIENT, SERVER), hash_icmp(0, 2, SERVER, CLIENT));
	cr_assert_neq(hash_icmp(8, 1, CLIENT, SERVER), hash_icmp(8, 1, CLIENT, "10.0.0.3"));
}

Test(steer, icmp_error_follows_the_packet_it_quotes)
{
	struct build b = build_payload(0);

	build_udp(&b, 1000, 53);
	build_ipv4_options(&b, 17, CLIENT, SERVER, 4);
	build_icmp(&b, 3, 0);
	build_ipv4(&b, 1, "10.0.0.254", CLIENT); /* a router on the way */
	build_ethernet(&b, 0x0800);
	cr_assert_eq(hash(&b), HASH_UDP(CLIENT, 1000, SERVER, 53));
}

Test(steer, icmpv6_error_follows_the_packet_it_quotes)
{
	struct build b = build_payload(0);

	build_tcp(&b, 1000, 443);
	build_extension(&b, 6, 16);
	build_ipv6(&b, 0, CLIENT6, SERVER6);
	build_icmp(&b, 2, 0);
	build_ipv6(&b, 58, "2001:db8::fe", CLIENT6);
	build_ethernet(&b, 0x86dd);
	cr_assert_eq(hash(&b), hash_flow(build_tcp, 6, SERVER6, 443, CLIENT6, 1000));
}

Test(steer, icmp_error_that_quotes_an_error_goes_no_deeper)
{
	struct build b = build_payload(0);

	build_udp(&b, 1000, 53);
	build_ipv4(&b, 17, CLIENT, SERVER);
	build_icmp(&b, 3, 0);
	build_ipv4(&b, 1, "10.0.0.7", "10.0.0.8");
	build_icmp(&b, 11, 0);
	build_ipv4(&b, 1, "10.0.0.9", "10.0.0.7");
	build_ethernet(&b, 0x0800);
	cr_assert_eq(hash(&b), hash_icmp(8, 1, "10.0.0.7", "10.0.0.8"));
}

Test(steer, icmp_error_without_a_whole_quotation_is_by_addresses)
{
	struct build b = build_payload(0);

	memset(build_front(&b, 19), 0x45, 1);
	build_icmp(&b, 3, 0);
	build_ipv4(&b, 1, CLIENT, SERVER);
	build_ethernet(&b, 0x0800);
	cr_assert_eq(hash(&b), hash_icmp(8, 1, CLIENT, SERVER));
}

static struct build user_packet(const char *from, const char *to)
{
	struct build b = build_payload(10);

	build_udp(&b, 7, 8);
	build_ipv4(&b, 17, from, to);
	return b;
}

static __u32 hash_gtpu(struct build b, const char *from, const char *to)
{
	build_udp(&b, 2152, 2152);
	build_ipv4(&b, 17, from, to);
	build_ethernet(&b, 0x0800);
	return hash(&b);
}

Test(steer, gtpu_is_by_the_addresses_of_the_inner_packet)
{
	struct build up = user_packet("100.64.0.1", "8.8.8.8");
	struct build down = user_packet("8.8.8.8", "100.64.0.1");

	build_gtpu(&up, 1);
	build_gtpu(&down, 2);
	cr_assert_eq(hash_gtpu(up, CLIENT, SERVER), hash_gtpu(down, "10.3.3.3", CLIENT));
	cr_assert_neq(hash_gtpu(up, CLIENT, SERVER), HASH_UDP(CLIENT, 2152, SERVER, 2152));
}

/* 5G: sequence field and a PDU session container (type 0x85, 3GPP TS 38.415). */
Test(steer, gtpu_extension_headers_are_skipped)
{
	struct build plain = user_packet("100.64.0.1", "8.8.8.8"), extended = plain;

	build_gtpu(&plain, 1);
	memcpy(build_front(&extended, 8), (__u8[]){2, 0, 9, 0, 0, 0, 0, 0}, 8);
	memcpy(build_front(&extended, 4), (__u8[]){1, 0, 9, 0x40}, 4);
	memcpy(build_front(&extended, 4), (__u8[]){0, 0, 0, 0x85}, 4);
	build_gtpu(&extended, 1);
	build_data(&extended)[0] |= 0x04;
	cr_assert_eq(hash_gtpu(plain, CLIENT, SERVER), hash_gtpu(extended, SERVER, CLIENT));
}

Test(steer, gtpu_without_a_user_packet_is_plain_udp)
{
	const __u32 plain = HASH_UDP(CLIENT, 2152, SERVER, 2152);
	struct build echo = build_payload(4), endless = build_payload(0);

	build_gtpu(&echo, 0);
	build_data(&echo)[1] = 1; /* echo request */
	cr_assert_eq(hash_gtpu(echo, CLIENT, SERVER), plain);
	for (unsigned i = 0; i < 2 * STEER_GTP_EXTENSIONS_MAX; i++)
		memcpy(build_front(&endless, 4), (__u8[]){1, 0, 0, 0x85}, 4);
	memcpy(build_front(&endless, 4), (__u8[]){0, 0, 0, 0x85}, 4);
	build_gtpu(&endless, 0);
	build_data(&endless)[0] |= 0x04;
	cr_assert_eq(hash_gtpu(endless, CLIENT, SERVER), plain);
}

Test(steer, first_fragment_is_as_if_whole_later_by_addresses)
{
	struct build b = build_payload(24);

	build_udp(&b, 1000, 53);
	build_ipv4(&b, 17, CLIENT, SERVER);
	build_ethernet(&b, 0x0800);
	const __u32 whole = hash(&b);
	build_data(&b)[20] = 0x20;
	cr_assert_eq(hash(&b), whole);
	build_data(&b)[21] = 4;
	cr_assert_eq(hash(&b), hash_icmp(8, 1, CLIENT, SERVER));
}

Test(steer, ports_that_are_cut_or_padding_do_not_count)
{
	struct build b = build_payload(0);

	build_udp(&b, 1000, 53);
	build_ipv4(&b, 17, CLIENT, SERVER);
	build_ethernet(&b, 0x0800);
	const __u8 *p = build_data(&b);
	const __u32 by_addresses = hash_icmp(8, 1, CLIENT, SERVER);

	cr_assert_eq(hash_bytes(p, 37), by_addresses);
	cr_assert_eq(hash_bytes(p, 38), HASH_UDP(CLIENT, 1000, SERVER, 53));
	build_data(&b)[17] = 20; /* the IP packet ends before them */
	cr_assert_eq(hash(&b), by_addresses);
}

Test(steer, no_ip_is_by_the_pair_of_macs)
{
	struct build b = build_payload(28);

	build_ethernet(&b, 0x0806);
	const __u32 h = hash(&b);
	__u8 *p = build_data(&b), mac[6];
	memcpy(mac, p, 6);
	memmove(p, p + 6, 6);
	memcpy(p + 6, mac, 6);
	cr_assert_eq(hash(&b), h);
	p[0] ^= 4;
	cr_assert_neq(hash(&b), h);
}

/* ---- properties ---- */

static void swap_bytes(__u8 *a, __u8 *b, unsigned len)
{
	for (unsigned i = 0; i < len; i++) {
		const __u8 byte = a[i];
		a[i] = b[i];
		b[i] = byte;
	}
}

/* Turns the packet at l3 around: addresses and ports. */
static void turn_ip(__u8 *p, const struct inner *in)
{
	if (in->version == 4)
		swap_bytes(p + in->l3 + 12, p + in->l3 + 16, 4);
	else if (in->version == 6)
		swap_bytes(p + in->l3 + 8, p + in->l3 + 24, 16);
}

static void turn_ports(__u8 *p, __u32 len, const struct inner *in)
{
	if ((in->proto == 6 || in->proto == 17 || in->proto == 132) && in->l4 && in->l4 + 4u <= len)
		swap_bytes(p + in->l4, p + in->l4 + 2, 2);
}

static void hash_is_symmetric(const uint8_t *data, uint32_t len, void *arg)
{
	static __u8 p[BUILD_ROOM];
	struct inner in;

	(void)arg;
	memcpy(p, data, len);
	inner_walk(p, p + len, &in);
	if (len >= 12)
		swap_bytes(p, p + 6, 6);
	turn_ip(p, &in);
	turn_ports(p, len, &in);
	cr_assert_eq(hash_bytes(data, len), hash_bytes(p, len));
}

Test(steer, captured_packets_turned_around_are_equal)
{
	if (!packet_each(2000, hash_is_symmetric, NULL))
		cr_skip_test("no captures in $VXPROBE_CAPTURES");
}

static void reads_nothing_beyond(const uint8_t *data, uint32_t len, void *arg)
{
	struct steer_outer out;

	(void)arg;
	for (uint32_t cut = 0; cut <= len && cut <= 300; cut++) {
		const uint8_t *p = packet_guard(data, cut);
		(void)parse_bytes(p, cut, len, &out);
		(void)hash_bytes(p, cut);
	}
}

/* Every read beyond the end is a fault: the copy ends at an unreadable page. */
Test(steer, captured_packets_cut_to_every_length_are_safe)
{
	if (!packet_each(20, reads_nothing_beyond, NULL))
		cr_skip_test("no captures in $VXPROBE_CAPTURES");
}

Test(steer, spreads_flows_evenly)
{
	enum { WORKERS = 4, FLOWS = 40000 };
	unsigned flows[WORKERS] = {0};
	double chi_square = 0;

	for (uint16_t port = 0; port < FLOWS; port++)
		flows[steer_worker(HASH_UDP(CLIENT, (uint16_t)(port + 6000), SERVER, 53),
				   WORKERS)]++;
	for (unsigned i = 0; i < WORKERS; i++) {
		const double off = flows[i] - (double)FLOWS / WORKERS;
		chi_square += off * off / ((double)FLOWS / WORKERS);
	}
	cr_assert_lt(chi_square, 16.27, "%f: 3 degrees of freedom, p = 0.001", chi_square);
}

Test(steer, worker_is_below_their_number)
{
	cr_assert_eq(steer_worker(0, 3), 0);
	cr_assert_eq(steer_worker(0xffffffff, 3), 2);
	cr_assert_eq(steer_worker(0xffffffff, 1), 0);
}
