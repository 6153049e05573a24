#include "../../tools/vxcap_flow.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "../support/packet.h"

typedef int (*add_fn)(struct vxcap_flows *flows, const char *text, struct err *err);

static int try_add(add_fn add, const char *text)
{
	struct vxcap_flows flows = {0};
	struct err err;
	const int ret = add(&flows, text, &err);

	vxcap_flows_fini(&flows);
	return ret;
}

/* Whether what one value wants is the frame. */
static bool wants(add_fn add, const char *text, struct build *b)
{
	struct vxcap_flows flows = {0};
	const struct block_packet packet = {.data = build_data(b), .cap_len = b->len};
	struct err err;

	cr_assert_eq(add(&flows, text, &err), 0, "%s", err.text);
	const bool is = vxcap_flows_packet(&flows, &packet);
	vxcap_flows_fini(&flows);
	return is;
}

static struct build tcp_frame(const char *from, uint16_t from_port, const char *to,
			      uint16_t to_port)
{
	struct build b = build_payload(10);

	build_tcp(&b, from_port, to_port);
	if (strchr(from, ':')) {
		build_ipv6(&b, 6, from, to);
		build_ethernet(&b, 0x86dd);
	} else {
		build_ipv4(&b, 6, from, to);
		build_ethernet(&b, 0x0800);
	}
	return b;
}

Test(vxcap_flow, every_spelling_of_a_flow_is_taken)
{
	static const char *const texts[] = {
		"tcp 10.0.0.1:80 10.0.0.2:1234",
		"  udp\t10.0.0.1  10.0.0.2:0 ",
		"sctp [2001:db8::1]:38412 2001:db8::2",
		"sctp [::1] [::2]:65535",
		"icmp 10.0.0.1 10.0.0.2",
		"icmp6 ::1 fe80::1",
		"47 10.0.0.1 10.0.0.2",
		"6 10.0.0.1:1 10.0.0.1:1",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		cr_assert_eq(try_add(vxcap_flows_add, texts[i]), 0, "%s", texts[i]);
}

Test(vxcap_flow, what_is_no_flow_is_refused)
{
	static const char *const texts[] = {
		"",
		"tcp",
		"tcp 10.0.0.1:80",
		"tcp 10.0.0.1:80 10.0.0.2:1 x",
		"tcp 10.0.0.1:80 ::1",
		"tcp 10.0.0.1:65536 10.0.0.2",
		"tcp 10.0.0.1: 10.0.0.2",
		"tcp 10.0.0.1:-1 10.0.0.2",
		"tcp 10.0.0.1:1:1 10.0.0.2",
		"tcp [10.0.0.1 10.0.0.2",
		"tcp [::1]80 ::2",
		"tcp [::1]: ::2",
		"tcp ] ::2",
		"icmp 10.0.0.1:8 10.0.0.2",
		"47 10.0.0.1:1 10.0.0.2",
		"256 10.0.0.1 10.0.0.2",
		"tcpp 10.0.0.1 10.0.0.2",
		"tcp 10.0.0.256 10.0.0.2",
		"tcp 0000000000000000000000000000000000000000000000000000000000000000000001 ::1",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		cr_assert_eq(try_add(vxcap_flows_add, texts[i]), -EINVAL, "%s", texts[i]);
}

Test(vxcap_flow, community_ids_and_hosts_are_taken_in_one_spelling)
{
	static const char *const ids[] = {
		"",
		"1:",
		"2:LQU9qZlK+B5F3KDmev6m5PMibrg=",
		"LQU9qZlK+B5F3KDmev6m5PMibrg=",
		"1:LQU9qZlK+B5F3KDmev6m5PMibrg",
		"1:LQU9qZlK+B5F3KDmev6m5PMibrh=", /* bits left over */
		"1:LQU9qZlK-B5F3KDmev6m5PMibrg=",
		"1:LQU9qZlK+B5F3KDmev6m5PMibrg==",
		"1:=QU9qZlK+B5F3KDmev6m5PMibrg=",
	};

	cr_assert_eq(try_add(vxcap_flows_add_community, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="), 0);
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		cr_assert_eq(try_add(vxcap_flows_add_community, ids[i]), -EINVAL, "%s", ids[i]);
	cr_assert_eq(try_add(vxcap_flows_add_host, "10.0.0.1"), 0);
	cr_assert_eq(try_add(vxcap_flows_add_host, "2001:db8::1"), 0);
	cr_assert_eq(try_add(vxcap_flows_add_host, "10.0.0.1:80"), -EINVAL);
	cr_assert_eq(try_add(vxcap_flows_add_host, "10.0.0"), -EINVAL);
	cr_assert_eq(try_add(vxcap_flows_add_host, "amf"), -EINVAL);
}

Test(vxcap_flow, a_flow_is_both_directions_and_only_what_it_says)
{
	struct build there = tcp_frame("10.0.0.1", 80, "10.0.0.2", 1234);
	struct build back = tcp_frame("10.0.0.2", 1234, "10.0.0.1", 80);
	struct build other = tcp_frame("10.0.0.1", 1234, "10.0.0.2", 80);

	for (unsigned i = 0; i < 2; i++) {
		struct build *b = i ? &back : &there;
		cr_assert(wants(vxcap_flows_add, "tcp 10.0.0.1:80 10.0.0.2:1234", b));
		cr_assert(wants(vxcap_flows_add, "tcp 10.0.0.2:1234 10.0.0.1:80", b));
		cr_assert(wants(vxcap_flows_add, "6 10.0.0.2 10.0.0.1:80", b));
		cr_assert(wants(vxcap_flows_add, "tcp 10.0.0.1 10.0.0.2", b));
		cr_assert_not(wants(vxcap_flows_add, "tcp 10.0.0.1:1234 10.0.0.2:80", b));
		cr_assert_not(wants(vxcap_flows_add, "tcp 10.0.0.1:80 10.0.0.2:80", b));
		cr_assert_not(wants(vxcap_flows_add, "udp 10.0.0.1:80 10.0.0.2:1234", b));
		cr_assert_not(wants(vxcap_flows_add, "tcp 10.0.0.1 10.0.0.3", b));
		cr_assert(wants(vxcap_flows_add_host, "10.0.0.2", b));
		cr_assert_not(wants(vxcap_flows_add_host, "10.0.0.3", b));
	}
	cr_assert_not(wants(vxcap_flows_add, "tcp 10.0.0.1:80 10.0.0.2:1234", &other));
}

/* An address of IPv4 is not one of IPv6 with the same bytes in front. */
Test(vxcap_flow, families_are_kept_apart)
{
	struct build six = tcp_frame("a00:1::", 80, "a00:2::", 1234);

	cr_assert(wants(vxcap_flows_add, "tcp [a00:1::]:80 [a00:2::]:1234", &six));
	cr_assert(wants(vxcap_flows_add_host, "a00:2::", &six));
	cr_assert_not(wants(vxcap_flows_add, "tcp 10.0.0.1:80 10.0.0.2:1234", &six));
	cr_assert_not(wants(vxcap_flows_add_host, "10.0.0.1", &six));
}

Test(vxcap_flow, community_id_is_that_of_the_specification)
{
	struct build b = tcp_frame("128.232.110.120", 34855, "66.35.250.204", 80);
	struct build other = tcp_frame("128.232.110.120", 34855, "66.35.250.204", 81);

	cr_assert(wants(vxcap_flows_add_community, "1:LQU9qZlK+B5F3KDmev6m5PMibrg=", &b));
	cr_assert_not(wants(vxcap_flows_add_community, "1:LQU9qZlK+B5F3KDmev6m5PMibrg=", &other));
}

Test(vxcap_flow, what_travels_in_a_tunnel_counts)
{
	struct build b = build_payload(10);

	build_udp(&b, 53, 999);
	build_ipv4(&b, 17, "10.45.0.2", "8.8.8.8");
	build_gtpu(&b, 7);
	build_udp(&b, 2152, 2152);
	build_ipv4(&b, 17, "10.0.0.1", "10.0.0.2");
	build_ethernet(&b, 0x0800);
	cr_assert(wants(vxcap_flows_add, "udp 10.45.0.2:53 8.8.8.8:999", &b));
	cr_assert(wants(vxcap_flows_add, "udp 10.0.0.1:2152 10.0.0.2", &b));
	cr_assert(wants(vxcap_flows_add_host, "8.8.8.8", &b));
	cr_assert_not(wants(vxcap_flows_add, "udp 10.45.0.2 10.0.0.1", &b));
}

Test(vxcap_flow, values_of_a_kind_are_alternatives_and_every_kind_must_hold)
{
	struct vxcap_flows flows = {0};
	struct build b = tcp_frame("10.0.0.1", 80, "10.0.0.2", 1234);
	const struct block_packet packet = {.data = build_data(&b), .cap_len = b.len};
	struct err err;

	cr_assert(vxcap_flows_packet(&flows, &packet), "nothing was given");
	cr_assert_eq(vxcap_flows_add(&flows, "udp 1.1.1.1 2.2.2.2", &err), 0);
	cr_assert_not(vxcap_flows_packet(&flows, &packet));
	cr_assert_eq(vxcap_flows_add(&flows, "tcp 10.0.0.1 10.0.0.2", &err), 0);
	cr_assert(vxcap_flows_packet(&flows, &packet));
	cr_assert_eq(vxcap_flows_add_host(&flows, "10.0.0.9", &err), 0);
	cr_assert_not(vxcap_flows_packet(&flows, &packet));
	vxcap_flows_fini(&flows);
}

Test(vxcap_flow, more_values_than_there_is_room_for_are_refused)
{
	static struct vxcap_flows flows;
	struct err err;

	for (unsigned i = 0; i < VXCAP_WANTED_MAX; i++) {
		cr_assert_eq(vxcap_flows_add(&flows, "tcp 1.1.1.1 2.2.2.2", &err), 0);
		cr_assert_eq(vxcap_flows_add_host(&flows, "1.1.1.1", &err), 0);
		cr_assert_eq(
			vxcap_flows_add_community(&flows, "1:LQU9qZlK+B5F3KDmev6m5PMibrg=", &err),
			0);
	}
	cr_assert_eq(vxcap_flows_add(&flows, "tcp 1.1.1.1 2.2.2.2", &err), -EINVAL);
	cr_assert_eq(vxcap_flows_add_host(&flows, "1.1.1.1", &err), -EINVAL);
	cr_assert_eq(vxcap_flows_add_community(&flows, "1:LQU9qZlK+B5F3KDmev6m5PMibrg=", &err),
		     -EINVAL);
	vxcap_flows_fini(&flows);
}

/* A packet cut anywhere is read no further. */
Test(vxcap_flow, a_cut_packet_is_read_to_its_end)
{
	struct build b = tcp_frame("10.0.0.1", 80, "10.0.0.2", 1234);
	struct vxcap_flows flows = {0};
	struct err err;

	cr_assert_eq(vxcap_flows_add(&flows, "tcp 10.0.0.1:80 10.0.0.2:1234", &err), 0);
	for (uint32_t len = 0; len <= b.len; len++) {
		const struct block_packet packet = {.data = packet_guard(build_data(&b), len),
						    .cap_len = len};
		cr_assert_eq(vxcap_flows_packet(&flows, &packet), len >= 14 + 20 + 4, "%u", len);
	}
	vxcap_flows_fini(&flows);
}
