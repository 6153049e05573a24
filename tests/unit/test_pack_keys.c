#include "path/pack_keys.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/packet.h"
#include "path/block.h"
#include "path/flowid.h"

#define FRAME_LEN (256u << 10)

static struct pack_keys *keys;
static struct flowid_hash *hash;
static uint8_t *blocks;
static size_t blocks_len;
static uint8_t filter[1u << 20];
static size_t filter_len;

static void setup(void)
{
	struct err err;

	cr_assert_eq(pack_keys_open(&keys, FRAME_LEN, &err), 0, "%s", err.text);
	cr_assert_eq(flowid_hash_open(&hash, &err), 0, "%s", err.text);
	blocks = malloc(4u << 20);
	blocks_len = 0;
}

static void teardown(void)
{
	pack_keys_close(keys);
	flowid_hash_close(hash);
	free(blocks);
}

TestSuite(pack_keys, .init = setup, .fini = teardown);

static void add(struct build *b, uint16_t type)
{
	build_ethernet(b, type);
	const struct block_packet p = {.cap_len = b->len, .wire_len = b->len};
	memcpy(blocks + blocks_len + BLOCK_PACKET_HEAD, build_data(b), b->len);
	blocks_len += block_packet_frame(blocks + blocks_len, &p);
}

static void take(void)
{
	pack_keys_take(keys, blocks, blocks_len);
	filter_len = pack_keys_filter_len(keys);
	cr_assert_leq(filter_len, sizeof(filter));
	pack_keys_filter(keys, 7, filter, filter_len);
	blocks_len = 0;
}

static uint64_t key_of(const uint8_t *bytes, uint32_t len)
{
	uint8_t sha1[FLOWID_SHA1];

	cr_assert_eq(flowid_sha1(hash, bytes, len, sha1), 0);
	return flowid_key(sha1);
}

static bool has_address(const char *text)
{
	uint8_t address[16];
	const bool v6 = strchr(text, ':');

	cr_assert_eq(inet_pton(v6 ? AF_INET6 : AF_INET, text, address), 1);
	return pack_keys_has(filter, filter_len, 7, key_of(address, v6 ? 16 : 4));
}

static bool has_flow(uint8_t proto, const char *a, const char *b, int port_a, int port_b)
{
	const bool v6 = strchr(a, ':');
	uint8_t x[16], y[16];
	struct flowid id;

	inet_pton(v6 ? AF_INET6 : AF_INET, a, x);
	inet_pton(v6 ? AF_INET6 : AF_INET, b, y);
	flowid_set(&id, proto, x, y, v6 ? 16 : 4, port_a >= 0, (uint16_t)port_a, (uint16_t)port_b);
	return pack_keys_has(filter, filter_len, 7, key_of(id.byte, id.len));
}

static void add_udp(const char *from, const char *to, uint16_t sport, uint16_t dport)
{
	struct build b = build_payload(30);

	build_udp(&b, sport, dport);
	build_ipv4(&b, 17, from, to);
	add(&b, 0x0800);
}

Test(pack_keys, every_kind_of_packet_has_its_flow_and_addresses)
{
	struct build b;

	add_udp("10.0.0.1", "10.0.0.2", 1000, 53);
	b = build_payload(30);
	build_tcp(&b, 443, 5000);
	build_ipv6(&b, 6, "2001:db8::1", "2001:db8::2");
	add(&b, 0x86dd);
	b = build_payload(30); /* behind a VLAN tag and IP options */
	build_sctp(&b, 38412, 38412);
	build_ipv4_options(&b, 132, "10.0.1.1", "10.0.1.2", 8);
	build_vlan(&b, 0x0800);
	add(&b, 0x8100);
	b = build_payload(30);
	build_ipv4(&b, 50, "10.0.2.1", "10.0.2.2");
	add(&b, 0x0800);
	take();
	cr_assert(has_flow(17, "10.0.0.2", "10.0.0.1", 53, 1000));
	cr_assert(has_flow(6, "2001:db8::1", "2001:db8::2", 443, 5000));
	cr_assert(has_flow(132, "10.0.1.1", "10.0.1.2", 38412, 38412));
	cr_assert(has_flow(50, "10.0.2.1", "10.0.2.2", -1, -1));
	cr_assert(has_address("10.0.0.1") && has_address("10.0.0.2") &&
		  has_address("2001:db8::1") && has_address("2001:db8::2") &&
		  has_address("10.0.1.2") && has_address("10.0.2.1"));
	cr_assert_not(has_flow(17, "10.0.0.2", "10.0.0.1", 1000, 53));
	cr_assert_not(has_address("10.0.0.3"));
	cr_assert_eq(pack_keys_missing(keys), 0);
}

Test(pack_keys, many_packets_at_once_are_all_there)
{
	char from[16];

	for (unsigned i = 0; i < 200; i++) {
		(void)snprintf(from, sizeof(from), "10.1.0.%u", i % 100);
		add_udp(from, "10.0.0.2", (uint16_t)(1000 + i), 53);
	}
	take();
	for (unsigned i = 0; i < 200; i++) {
		(void)snprintf(from, sizeof(from), "10.1.0.%u", i % 100);
		cr_assert(has_flow(17, "10.0.0.2", from, 53, 1000 + (int)i), "flow %u", i);
		cr_assert(has_address(from), "address %u", i);
	}
	cr_assert_eq(filter_len, (200 + 101) * PACK_KEYS_BITS / 8 + 1);
}

Test(pack_keys, what_travels_inside_gtpu_is_there_as_well)
{
	struct build b = build_payload(30);

	build_tcp(&b, 443, 5000);
	build_ipv4(&b, 6, "172.16.0.1", "8.8.8.8");
	build_gtpu(&b, 1);
	build_udp(&b, 2152, 2152);
	build_ipv4(&b, 17, "10.0.0.1", "10.0.0.2");
	add(&b, 0x0800);
	take();
	cr_assert(has_flow(6, "172.16.0.1", "8.8.8.8", 443, 5000));
	cr_assert(has_flow(17, "10.0.0.1", "10.0.0.2", 2152, 2152));
	cr_assert(has_address("172.16.0.1") && has_address("10.0.0.2"));
}

Test(pack_keys, packets_without_a_flow_have_addresses_alone)
{
	struct build b = build_payload(40);

	build_ipv6_fragment(&b, 17, 8, 0);
	build_ipv6(&b, 44, "2001:db8::1", "2001:db8::2");
	add(&b, 0x86dd);
	b = build_payload(40);
	add(&b, 0x0806);
	take();
	cr_assert(has_address("2001:db8::1") && has_address("2001:db8::2"));
	cr_assert_eq(filter_len, 3, "two keys of 12 bits");
}

Test(pack_keys, a_frame_has_its_own_keys_each_once)
{
	for (unsigned i = 0; i < 100; i++)
		add_udp(i % 2 ? "10.0.0.1" : "10.0.0.2", i % 2 ? "10.0.0.2" : "10.0.0.1",
			i % 2 ? 5 : 53, i % 2 ? 53 : 5);
	take();
	cr_assert_eq(filter_len, 5, "three keys of 12 bits");
	add_udp("10.0.0.3", "10.0.0.2", 5, 53);
	take();
	cr_assert_not(has_address("10.0.0.1"));
	cr_assert(has_address("10.0.0.2"), "its key is known, and noted again");
	add_udp("10.0.0.1", "10.0.0.2", 5, 53);
	take();
	cr_assert(has_flow(17, "10.0.0.1", "10.0.0.2", 5, 53));
	cr_assert(has_address("10.0.0.1"));
	take();
	cr_assert_eq(filter_len, 0, "no packet");
	cr_assert_not(has_address("10.0.0.1"));
}

Test(pack_keys, few_things_that_are_not_there_seem_to_be)
{
	unsigned seem = 0;
	char text[20];

	for (unsigned i = 0; i < 500; i++) {
		snprintf(text, sizeof(text), "10.1.%u.%u", i / 250, i % 250);
		add_udp(text, "10.2.0.1", (uint16_t)(i + 1), 53);
	}
	take();
	for (unsigned i = 0; i < 10000; i++)
		seem += has_flow(17, "10.9.0.1", "10.2.0.1", (int)i, 53);
	cr_assert_leq(seem, 100, "%u of 10,000", seem);
}

Test(pack_keys, what_seems_to_be_in_one_frame_does_not_seem_to_be_in_the_next)
{
	unsigned seem = 0, both = 0;

	for (unsigned i = 0; i < 500; i++)
		add_udp("10.1.0.1", "10.2.0.1", (uint16_t)(i + 1), 53);
	take();
	uint8_t *const next = malloc(filter_len);
	pack_keys_filter(keys, 8, next, filter_len);
	for (uint64_t key = 1; key < 100000; key++)
		if (pack_keys_has(filter, filter_len, 7, key * 0x9e3779b97f4a7c15u)) {
			seem++;
			both += pack_keys_has(next, filter_len, 8, key * 0x9e3779b97f4a7c15u);
		}
	cr_assert_gt(seem, 0);
	cr_assert_leq(both * 10, seem, "%u of %u", both, seem);
	free(next);
}

Test(pack_keys, what_does_not_fit_is_said_and_never_denied)
{
	char text[20];

	for (unsigned i = 0; i < 3000; i++) {
		snprintf(text, sizeof(text), "10.1.%u.%u", i / 250, i % 250);
		add_udp(text, "10.2.0.1", (uint16_t)(i + 1), 53);
	}
	take();
	cr_assert_eq(pack_keys_missing(keys), PACK_KEYS_NO_FLOWS | PACK_KEYS_NO_ADDRESSES);
	cr_assert_leq(filter_len, (FRAME_LEN / 256 + 1 + FRAME_LEN / 512 + 2) * 12 / 8 + 1);
	add_udp("10.0.0.1", "10.0.0.2", 5, 53);
	take();
	cr_assert_eq(pack_keys_missing(keys), 0, "the next frame begins anew");
}
