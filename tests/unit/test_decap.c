#include "path/decap.h"

#include <criterion/criterion.h>
#include <string.h>

#include "../support/packet.h"
#include "inner.h"
#include "outer.h"
#include "steer.h"

#define VNI 0xabcdef

static const struct decap_config config = {.port = 4789, .key = {{1, 2}}};
static struct batch batch;
static struct packet packet;

static struct build inner_frame(uint32_t payload)
{
	struct build b = build_payload(payload);

	build_tcp(&b, 1000, 80);
	build_ipv4(&b, 6, "192.168.0.1", "192.168.0.2");
	build_ethernet(&b, 0x0800);
	return b;
}

static void wrap(struct build *b, uint16_t port)
{
	build_vxlan(b, VNI);
	build_udp(b, 65500, port);
	build_ipv4(b, 17, "10.0.0.1", "10.0.0.2");
	build_ethernet(b, 0x0800);
}

static struct frame frame_of(struct build *b)
{
	return (struct frame){
		.data = build_data(b), .len = b->len, .time_ns = 7000, .sequence = 41};
}

static enum fate decap(const struct frame *frame)
{
	return decap_frame(&config, &batch, frame, &packet);
}

/* ---- from a file ---- */

Test(decap, vxlan_to_the_port_becomes_its_inner_frame)
{
	const struct address source = {{[10] = 0xff, 0xff, 10, 0, 0, 1}};
	struct build inner = inner_frame(100), b = inner;

	wrap(&b, 4789);
	const struct frame f = frame_of(&b);
	cr_assert_eq(decap(&f), FATE_KEPT);
	cr_assert_eq(packet.cap_len, inner.len);
	cr_assert_eq(packet.len, inner.len);
	cr_assert_arr_eq(packet.data, build_data(&inner), inner.len);
	cr_assert_arr_eq(packet.source.byte, source.byte, sizeof(source.byte));
	cr_assert_eq(packet.vni, VNI);
	cr_assert_eq(packet.time_ns, 7000);
	cr_assert_eq(packet.sequence, 41);
	cr_assert_eq(packet.queue, 0);
}

Test(decap, hash_is_the_one_that_xdp_steers_by)
{
	struct build inner = inner_frame(100), b = inner;
	const struct steer_outer session = {.source = {{[10] = 0xff, 0xff, 10, 0, 0, 1}},
					    .vni = VNI};
	const uint8_t *p = build_data(&inner);

	wrap(&b, 4789);
	const struct frame f = frame_of(&b);
	cr_assert_eq(decap(&f), FATE_KEPT);
	cr_assert_eq(packet.hash, steer_hash(&config.key, &session, p, p + inner.len));
}

Test(decap, another_port_is_passed)
{
	struct build b = inner_frame(100);

	wrap(&b, 4790);
	const struct frame f = frame_of(&b);
	cr_assert_eq(decap(&f), FATE_PASSED);
}

Test(decap, missing_i_flag_is_bad_vxlan)
{
	struct build b = inner_frame(100);

	wrap(&b, 4789);
	build_data(&b)[14 + 20 + 8] = 0;
	const struct frame f = frame_of(&b);
	cr_assert_eq(decap(&f), FATE_BAD_VXLAN);
}

Test(decap, outer_fragment_is_told)
{
	struct build b = inner_frame(100);

	wrap(&b, 4789);
	build_data(&b)[14 + 6] = 0x20; /* more fragments */
	const struct frame f = frame_of(&b);
	cr_assert_eq(decap(&f), FATE_OUTER_FRAGMENT);
}

Test(decap, bytes_behind_the_outer_udp_datagram_are_not_the_inner_frames)
{
	struct build inner = inner_frame(2), b = build_payload(10);

	memcpy(build_front(&b, inner.len), build_data(&inner), inner.len);
	build_vxlan(&b, VNI);
	build_udp(&b, 65500, 4789);
	build_data(&b)[5] = (uint8_t)(b.len - 10); /* of all but the trailing ten */
	build_ipv4(&b, 17, "10.0.0.1", "10.0.0.2");
	build_ethernet(&b, 0x0800);
	const struct frame f = frame_of(&b);
	cr_assert_eq(decap(&f), FATE_KEPT);
	cr_assert_eq(packet.cap_len, inner.len);
}

Test(decap, cut_frame_keeps_what_is_there)
{
	struct build b = inner_frame(100);
	const uint32_t inner_len = b.len;

	wrap(&b, 4789);
	struct frame f = frame_of(&b);
	f.len -= 60;
	cr_assert_eq(decap(&f), FATE_KEPT);
	cr_assert_eq(packet.cap_len, inner_len - 60);
}

Test(decap, inner_frame_goes_on_in_further_segments)
{
	struct build b = inner_frame(9000);
	const uint32_t inner_len = b.len;

	wrap(&b, 4789);
	struct frame f = frame_of(&b);
	f.len = 3840;
	f.n_more = 2;
	f.more = 5;
	batch.segment[5] = (struct segment){build_data(&b) + 3840, 3840};
	batch.segment[6] = (struct segment){build_data(&b) + 7680, b.len - 7680};
	cr_assert_eq(decap(&f), FATE_KEPT);
	cr_assert_eq(packet.cap_len, inner_len);
	cr_assert_eq(packet.len, 3840 - (b.len - inner_len));
	cr_assert_eq(packet.more, 5);
	cr_assert_eq(packet.n_more, 2);
}

Test(decap, frame_cut_to_any_length_is_read_to_its_end_only)
{
	struct build b = inner_frame(30);

	wrap(&b, 4789);
	for (uint32_t len = 0; len <= b.len; len++) {
		const struct frame f = {.data = packet_guard(build_data(&b), len), .len = len};
		if (decap(&f) == FATE_KEPT)
			cr_assert_eq(packet.data + packet.cap_len, f.data + len);
	}
}

/* ---- live ---- */

static struct steer_header header_for(const struct build *b)
{
	return (struct steer_header){.magic = STEER_MAGIC,
				     .hash = 0xdeadbeef,
				     .source = {{1, 2, 3}},
				     .vni = 99,
				     .frame_len = b->len,
				     .inner = 50,
				     .inner_len = b->len - 50,
				     .queue = 3};
}

static struct frame steered(struct build *b, const struct steer_header *h)
{
	struct frame f = frame_of(b);

	f.steer = h;
	return f;
}

Test(decap, steered_frame_is_what_its_header_says)
{
	struct build b = build_payload(200);
	const struct steer_header h = header_for(&b);
	const struct frame f = steered(&b, &h);

	cr_assert_eq(decap(&f), FATE_KEPT);
	cr_assert_eq(packet.data, f.data + 50);
	cr_assert_eq(packet.cap_len, 150);
	cr_assert_arr_eq(packet.source.byte, h.source.byte, sizeof(h.source.byte));
	cr_assert_eq(packet.vni, 99);
	cr_assert_eq(packet.hash, 0xdeadbeef);
	cr_assert_eq(packet.queue, 3);
	cr_assert_eq(packet.time_ns, 7000);
}

Test(decap, steered_frame_without_the_magic_is_a_bad_header)
{
	struct build b = build_payload(200);
	struct steer_header h = header_for(&b);
	const struct frame f = steered(&b, &h);

	h.magic ^= 1;
	cr_assert_eq(decap(&f), FATE_BAD_HEADER);
}

Test(decap, steered_frame_of_another_length_is_a_bad_header)
{
	struct build b = build_payload(200);
	struct steer_header h = header_for(&b);
	const struct frame f = steered(&b, &h);

	h.frame_len++;
	cr_assert_eq(decap(&f), FATE_BAD_HEADER);
}

Test(decap, steered_frame_whose_inner_frame_begins_beyond_it_is_a_bad_header)
{
	struct build b = build_payload(200);
	struct steer_header h = header_for(&b);
	const struct frame f = steered(&b, &h);

	h.inner = 201;
	cr_assert_eq(decap(&f), FATE_BAD_HEADER);
}

Test(decap, inner_length_is_never_more_than_there_is)
{
	struct build b = build_payload(200);
	struct steer_header h = header_for(&b);
	const struct frame f = steered(&b, &h);

	h.inner_len = UINT32_MAX;
	cr_assert_eq(decap(&f), FATE_KEPT);
	cr_assert_eq(packet.cap_len, 150);
}

Test(decap, inner_frame_is_never_longer_than_packet_max)
{
	static const uint8_t bytes[PACKET_MAX + 1000];
	const struct steer_header h = {
		.magic = STEER_MAGIC, .frame_len = sizeof(bytes), .inner_len = sizeof(bytes)};
	const struct frame f = {.data = bytes, .len = sizeof(bytes), .steer = &h};

	cr_assert_eq(decap(&f), FATE_KEPT);
	cr_assert_eq(packet.cap_len, PACKET_MAX);
	cr_assert_eq(packet.len, PACKET_MAX);
}
