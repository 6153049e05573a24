#include "kpi/tcp_segment.h"

#include <criterion/criterion.h>
#include <string.h>

#include "../support/packet.h"

#define HEAD 20 /* of TCP without options */
#define L4   (14 + 20)

#define NO_OP      1
#define TIMESTAMPS 8, 10, 0, 0, 0, 7, 0, 0, 0, 9

static struct tcp_segment s;

/* A segment of 5 bytes whose flags, numbers and options are these. */
static struct build build_segment(uint8_t flags, const uint8_t *options, uint32_t options_len)
{
	static const uint8_t numbers[] = {1, 2, 3, 4, 5, 6, 7, 8};
	struct build b = build_payload(5);

	if (options_len)
		memcpy(build_front(&b, options_len), options, options_len);
	build_tcp(&b, 40000, 80);
	memcpy(build_data(&b) + 4, numbers, sizeof(numbers));
	build_data(&b)[12] = (uint8_t)((HEAD + options_len) / 4 << 4);
	build_data(&b)[13] = flags;
	build_data(&b)[14] = 0x12;
	build_data(&b)[15] = 0x34;
	return b;
}

static bool read_frame(struct build *b, uint32_t captured)
{
	const struct packet p = {.time_ns = 42,
				 .data = packet_guard(build_data(b), captured),
				 .len = captured,
				 .cap_len = captured};
	struct dissected d;

	dissect_frame(p.data, p.len, p.cap_len, &d);
	return d.l4 && tcp_segment_read(&s, &p, &d);
}

static bool read_segment(struct build *b, uint32_t cut)
{
	build_ipv4(b, 6, "10.0.0.1", "10.0.0.2");
	build_ethernet(b, 0x0800);
	return read_frame(b, cut ? cut : b->len);
}

static bool read_options(uint8_t flags, const uint8_t *options, uint32_t len)
{
	struct build b = build_segment(flags, options, len);

	return read_segment(&b, 0);
}

#define READ(flags, ...)                                                                           \
	read_options(flags, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* ---- the fixed header ---- */

Test(tcp_segment, fields_are_those_of_the_header)
{
	cr_assert(READ(TCP_FLAG_ACK, NO_OP, NO_OP, NO_OP, NO_OP));
	cr_assert_eq(s.time_ns, 42);
	cr_assert_eq(s.seq, 0x01020304);
	cr_assert_eq(s.ack, 0x05060708);
	cr_assert_eq(s.window, 0x1234);
	cr_assert_eq(s.flags, TCP_FLAG_ACK);
	cr_assert_eq(s.len, 5);
	cr_assert_eq(s.end, s.seq + 5);
	cr_assert_eq(s.ip_len, 20 + 24 + 5);
	cr_assert_not(s.is_fragment || s.has_scale || s.has_timestamps || s.n_sacks);
}

Test(tcp_segment, end_is_behind_syn_and_fin)
{
	READ(TCP_FLAG_SYN, NO_OP, NO_OP, NO_OP, NO_OP);
	cr_assert_eq(s.end, s.seq + 6);
	READ(TCP_FLAG_FIN | TCP_FLAG_ACK, NO_OP, NO_OP, NO_OP, NO_OP);
	cr_assert_eq(s.end, s.seq + 6);
}

Test(tcp_segment, directions_differ)
{
	struct build b = build_payload(0), c = build_payload(0);

	build_tcp(&b, 40000, 80);
	read_segment(&b, 0);
	const uint8_t there = s.direction;
	build_tcp(&c, 80, 40000);
	build_ipv4(&c, 6, "10.0.0.2", "10.0.0.1");
	build_ethernet(&c, 0x0800);
	cr_assert(read_frame(&c, c.len));
	cr_assert_neq(s.direction, there);
}

Test(tcp_segment, length_is_that_of_the_ip_header)
{
	struct build b = build_segment(TCP_FLAG_ACK, NULL, 0);

	cr_assert(read_segment(&b, L4 + HEAD));
	cr_assert_eq(s.len, 5, "captured or not");
	struct build padded = build_payload(100);
	memcpy(build_data(&padded), build_data(&b), b.len);
	cr_assert(read_frame(&padded, padded.len));
	cr_assert_eq(s.len, 5, "padding is none of it");
}

Test(tcp_segment, length_of_an_ip_header_that_tells_none_is_that_of_the_frame)
{
	struct build b = build_segment(TCP_FLAG_ACK, NULL, 0);

	build_ipv4(&b, 6, "10.0.0.1", "10.0.0.2");
	memset(build_data(&b) + 2, 0, 2);
	build_ethernet(&b, 0x0800);
	cr_assert(read_frame(&b, b.len));
	cr_assert_eq(s.len, 5);
}

Test(tcp_segment, no_whole_fixed_header_is_no_segment)
{
	for (uint32_t cut = L4 + 4; cut < L4 + HEAD; cut++) {
		struct build b = build_segment(TCP_FLAG_ACK, NULL, 0);
		cr_assert_not(read_segment(&b, cut));
	}
}

Test(tcp_segment, header_that_cannot_be_one_is_no_segment)
{
	static const uint8_t words[] = {0, 4, 7, 15}; /* 25 bytes are there */

	for (unsigned i = 0; i < sizeof(words); i++) {
		struct build b = build_segment(TCP_FLAG_ACK, NULL, 0);
		build_data(&b)[12] = (uint8_t)(words[i] << 4);
		cr_assert_not(read_segment(&b, 0));
	}
}

Test(tcp_segment, first_fragment_is_told)
{
	struct build b = build_segment(TCP_FLAG_ACK, NULL, 0);

	build_ipv4(&b, 6, "10.0.0.1", "10.0.0.2");
	build_data(&b)[6] = 0x20; /* more fragments */
	build_ethernet(&b, 0x0800);
	cr_assert(read_frame(&b, b.len));
	cr_assert(s.is_fragment);
}

/* ---- options ---- */

Test(tcp_segment, scale_is_an_option_of_a_syn)
{
	READ(TCP_FLAG_SYN, 3, 3, 7, NO_OP);
	cr_assert(s.has_scale && s.scale == 7);
	READ(TCP_FLAG_ACK, 3, 3, 7, NO_OP);
	cr_assert_not(s.has_scale);
}

/* RFC 7323 section 2.3 */
Test(tcp_segment, scale_is_at_most_14)
{
	READ(TCP_FLAG_SYN, 3, 3, 15, NO_OP);
	cr_assert_eq(s.scale, 14);
}

Test(tcp_segment, timestamps)
{
	READ(TCP_FLAG_ACK, NO_OP, NO_OP, TIMESTAMPS);
	cr_assert(s.has_timestamps);
	cr_assert_eq(s.tsval, 7);
	cr_assert_eq(s.tsecr, 9);
}

Test(tcp_segment, sacks_are_as_many_as_there_are)
{
	READ(TCP_FLAG_ACK, NO_OP, NO_OP, 5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4);
	cr_assert_eq(s.n_sacks, 2);
	cr_assert(s.sack[0].start == 1 && s.sack[0].end == 2);
	cr_assert(s.sack[1].start == 3 && s.sack[1].end == 4);
}

Test(tcp_segment, half_a_sack_is_none)
{
	READ(TCP_FLAG_ACK, NO_OP, NO_OP, 5, 14, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3);
	cr_assert_eq(s.n_sacks, 1);
}

Test(tcp_segment, sacks_beyond_the_room_are_left_out)
{
	uint8_t options[40] = {5, 34, [34] = 5, 6};

	cr_assert(read_options(TCP_FLAG_ACK, options, sizeof(options)));
	cr_assert_eq(s.n_sacks, TCP_SACKS_MAX);
}

Test(tcp_segment, options_end_at_their_end)
{
	READ(TCP_FLAG_ACK, 0, NO_OP, TIMESTAMPS);
	cr_assert_not(s.has_timestamps);
}

Test(tcp_segment, broken_option_ends_them)
{
	cr_assert(READ(TCP_FLAG_ACK, 99, 0, TIMESTAMPS), "the segment is one");
	cr_assert_not(s.has_timestamps);
	READ(TCP_FLAG_ACK, 99, 1, TIMESTAMPS);
	cr_assert_not(s.has_timestamps);
	READ(TCP_FLAG_ACK, 99, 200, TIMESTAMPS);
	cr_assert_not(s.has_timestamps);
}

Test(tcp_segment, options_of_unusual_length_are_not_read)
{
	READ(TCP_FLAG_SYN, 3, 4, 7, 7);
	cr_assert_not(s.has_scale);
	READ(TCP_FLAG_ACK, 8, 8, 0, 0, 0, 7, 0, 0);
	cr_assert_not(s.has_timestamps);
}

Test(tcp_segment, options_beyond_the_cut_are_not_there)
{
	static const uint8_t options[] = {NO_OP, NO_OP, TIMESTAMPS};

	for (uint32_t there = 0; there <= sizeof(options); there++) {
		struct build b = build_segment(TCP_FLAG_ACK, options, sizeof(options));
		cr_assert(read_segment(&b, L4 + HEAD + there));
		cr_assert_eq(s.has_timestamps, there == sizeof(options));
	}
}

/* ---- sequence numbers ---- */

Test(tcp_segment, numbers_wrap)
{
	cr_assert(tcp_is_behind(0, UINT32_MAX));
	cr_assert_not(tcp_is_behind(UINT32_MAX, 0));
	cr_assert_not(tcp_is_behind(7, 7));
	cr_assert(tcp_is_within(UINT32_MAX, UINT32_MAX, 1) && tcp_is_within(1, UINT32_MAX, 1));
	cr_assert_not(tcp_is_within(2, UINT32_MAX, 1));
}
