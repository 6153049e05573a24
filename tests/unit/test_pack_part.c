/*
 * pack_news and unpack_open_part: an open file, cut anywhere, by the entries that say what is in it
 * and by a pass over it.
 */
#include "path/pack.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "path/block.h"
#include "path/flowid.h"
#include "path/pack_index.h"

#define FRAMES   12u
#define PACKETS  20u /* of a frame */
#define START_NS UINT64_C(1795255200000000000)

static const struct packer_config CONFIG = {.frame_len = 1u << 20,
					    .level = 1,
					    .frames_max = PACK_FRAMES_MAX,
					    .definitions_max = PACK_DEFINITIONS_MAX,
					    .filters_max = PACK_FILTERS_MAX};

struct bytes {
	uint8_t *p;
	size_t len;
};

static void append(struct bytes *b, const void *p, size_t len)
{
	b->p = realloc(b->p, b->len + len + 1);
	memcpy(b->p + b->len, p, len);
	b->len += len;
}

static void add_news(struct pack *pack, struct bytes *entries)
{
	uint8_t entry[8192];
	uint32_t le;
	size_t len;

	cr_assert_eq(pack_news(pack, entry, sizeof(entry), &len), 0);
	le = htole32((uint32_t)len);
	append(entries, &le, sizeof(le));
	append(entries, entry, len);
}

/* UDP from 10.0.0.frame. */
static void add_packet(struct pack *pack, unsigned frame, unsigned i)
{
	uint8_t block[BLOCK_PACKET_HEAD + 100 + BLOCK_PACKET_TAIL] = {0};
	uint8_t *const data = block + BLOCK_PACKET_HEAD;
	const uint64_t time_ns = START_NS + frame * UINT64_C(1000000) + i;
	const struct block_packet packet = {
		.interface = frame / 4, .time_ns = time_ns, .cap_len = 100, .wire_len = 100};

	data[12] = 8;
	memcpy(data + 14, "\x45\0\0\x56\0\0\0\0\x40\x11\0\0\x0a\0\0\0\x0a\x01\0\x01\0\x35\0\x35",
	       24);
	data[14 + 15] = (uint8_t)frame;
	data[60] = (uint8_t)(i * 7);
	const size_t len = block_packet_frame(block, &packet);
	pack_add_packet(pack, block, len, time_ns);
}

/* A new interface every four frames, padding behind every third. */
static void make(struct bytes *packed, struct bytes *entries)
{
	const struct block_interface interface = {.linktype = 1, .snaplen = 262144, .name = "a"};
	struct packer *packer;
	struct pack *pack;
	uint8_t block[512];
	const uint8_t *out;
	struct err err;
	size_t len;

	cr_assert_eq(packer_open(&packer, &CONFIG, &err), 0);
	cr_assert_eq(pack_open(&pack, packer, &err), 0);
	len = block_section(block, sizeof(block), "test", NULL);
	cr_assert_eq(pack_add_definition(pack, block, len, 0), 0);
	for (unsigned f = 0; f < FRAMES; f++) {
		len = block_interface(block, sizeof(block), &interface);
		if (f % 4 == 0)
			cr_assert_eq(pack_add_definition(pack, block, len, 0), 0);
		for (unsigned i = 0; i < PACKETS; i++)
			add_packet(pack, f, i);
		cr_assert_eq(pack_flush(pack, &out, &len), 0);
		append(packed, out, len);
		add_news(pack, entries);
		if (f % 3)
			continue;
		cr_assert_eq(pack_pad(pack, 50, &out), 0);
		append(packed, out, 50);
		add_news(pack, entries);
	}
	pack_close(pack);
	packer_close(packer);
}

static ssize_t read_bytes(void *arg, uint64_t offset, void *buf, size_t len)
{
	const struct bytes *b = arg;

	if (offset >= b->len)
		return 0;
	if (len > b->len - offset)
		len = b->len - offset;
	memcpy(buf, b->p + offset, len);
	return (ssize_t)len;
}

/* entries: the first so many bytes of them, -1: a pass. */
static int open_cut(struct unpack **out, struct bytes *file, struct bytes entries, ssize_t n)
{
	const struct unpack_source source = {.read = read_bytes, .arg = file, .size = file->len};
	struct err err;
	struct bytes own = {0};

	if (n < 0)
		return unpack_open(out, &source, &err);
	append(&own, entries.p, (size_t)n);
	return unpack_open_part(out, &source, &own.p, (size_t)n, &err);
}

static void read_all(struct unpack *unpack, struct bytes *out)
{
	struct err err;

	for (unsigned i = 0; i < unpack_frames(unpack); i++) {
		const uint32_t len = unpack_frame(unpack, i)->raw_len;
		uint8_t *frame = malloc(len);
		cr_assert_eq(unpack_read(unpack, i, frame, &err), 0, "%s", err.text);
		append(out, frame, len);
		free(frame);
	}
}

static void check_equal(struct unpack *part, struct unpack *pass)
{
	struct bytes a = {0}, b = {0};
	size_t a_len, b_len;
	struct err err;

	cr_assert_eq(unpack_settle(part, &err), 0, "%s", err.text);
	cr_assert_eq(unpack_frames(part), unpack_frames(pass));
	for (unsigned i = 0; i < unpack_frames(part); i++) {
		const struct unpack_frame *x = unpack_frame(part, i), *y = unpack_frame(pass, i);
		cr_assert(x->offset == y->offset && x->len == y->len && x->raw_len == y->raw_len &&
			  x->packets == y->packets && x->first_ns == y->first_ns &&
			  x->last_ns == y->last_ns);
	}
	const uint8_t *p = unpack_interfaces(part, &a_len), *q = unpack_interfaces(pass, &b_len);
	cr_assert(a_len == b_len && (!a_len || !memcmp(p, q, a_len)));
	read_all(part, &a);
	read_all(pass, &b);
	cr_assert(a.len == b.len && (!a.len || !memcmp(a.p, b.p, a.len)));
	free(a.p);
	free(b.p);
}

Test(pack_part, a_file_cut_anywhere_is_what_a_pass_finds)
{
	struct bytes file = {0}, entries = {0};
	struct unpack *part, *pass;

	make(&file, &entries);
	for (size_t len = 0; len <= file.len; len++) {
		struct bytes cut = {file.p, len};
		cr_assert_eq(open_cut(&part, &cut, entries, (ssize_t)entries.len), 0);
		cr_assert_eq(open_cut(&pass, &cut, entries, -1), 0);
		check_equal(part, pass);
		unpack_close(part);
		unpack_close(pass);
	}
	free(file.p);
	free(entries.p);
}

Test(pack_part, entries_cut_anywhere_leave_a_tail_that_is_read)
{
	struct bytes file = {0}, entries = {0};
	struct unpack *part, *pass;

	make(&file, &entries);
	file.len -= 100; /* the last frame is cut */
	cr_assert_eq(open_cut(&pass, &file, entries, -1), 0);
	for (size_t n = 0; n <= entries.len; n += 3) {
		cr_assert_eq(open_cut(&part, &file, entries, (ssize_t)n), 0);
		check_equal(part, pass);
		unpack_close(part);
	}
	unpack_close(pass);
	free(file.p);
	free(entries.p);
}

Test(pack_part, frame_that_is_not_all_there_counts_without_packets_until_it_is_settled)
{
	struct bytes file = {0}, entries = {0};
	struct unpack *part;
	struct err err;

	make(&file, &entries);
	file.len -= 60; /* 10 bytes of the last frame, behind which padding is not */
	cr_assert_eq(open_cut(&part, &file, entries, (ssize_t)entries.len), 0);
	cr_assert_eq(unpack_frames(part), FRAMES);
	const struct unpack_frame *last = unpack_frame(part, FRAMES - 1);
	cr_assert(unpack_is_unsettled(part, FRAMES - 1) && !unpack_is_unsettled(part, 0));
	cr_assert(unpack_is_cut(part) && !unpack_is_indexed(part));
	cr_assert(last->packets == 0 && last->first_ns == START_NS + (FRAMES - 1) * 1000000u);
	cr_assert_eq(unpack_settle(part, &err), 0);
	for (unsigned i = 0; i < unpack_frames(part); i++)
		cr_assert_not(unpack_is_unsettled(part, i));
	unpack_close(part);
	free(file.p);
	free(entries.p);
}

Test(pack_part, entries_rule_out_addresses_and_interfaces)
{
	struct bytes file = {0}, entries = {0};
	uint8_t address[4] = {10, 0, 0, 0}, sha1[FLOWID_SHA1];
	struct flowid_hash *hash;
	unsigned n = 0;
	struct unpack *part;
	struct err err;

	make(&file, &entries);
	cr_assert_eq(open_cut(&part, &file, entries, (ssize_t)entries.len), 0);
	cr_assert_eq(flowid_hash_open(&hash, &err), 0);
	for (unsigned f = 0; f < FRAMES; f++) {
		address[3] = (uint8_t)f;
		cr_assert_eq(flowid_sha1(hash, address, sizeof(address), sha1), 0);
		const uint64_t key = flowid_key(sha1);
		cr_assert(unpack_may_have_address(part, f, key));
		for (unsigned i = 0; i < FRAMES; i++)
			n += unpack_may_have_address(part, i, key);
		for (unsigned i = 0; i < FRAMES; i++)
			cr_assert_eq(unpack_may_have_interface(part, i, f / 4), i / 4 == f / 4);
	}
	cr_assert_lt(n, FRAMES + 12, "filters of three keys err, but not so"); /* of 144 */
	flowid_hash_close(hash);
	unpack_close(part);
	free(file.p);
	free(entries.p);
}

Test(pack_part, altered_entries_do_no_harm)
{
	struct bytes file = {0}, entries = {0};
	struct unpack *part;
	struct err err;

	make(&file, &entries);
	for (size_t i = 0; i < entries.len; i++) {
		entries.p[i] ^= 0x81;
		if (!open_cut(&part, &file, entries, (ssize_t)entries.len)) {
			(void)unpack_settle(part, &err);
			for (unsigned f = 0; f < unpack_frames(part); f++) {
				const uint32_t len = unpack_frame(part, f)->raw_len;
				cr_assert_leq(len, PACK_FRAME_MAX);
				uint8_t *frame = malloc(len);
				(void)unpack_read(part, f, frame, &err);
				free(frame);
			}
			unpack_close(part);
		}
		entries.p[i] ^= 0x81;
	}
	free(file.p);
	free(entries.p);
}

Test(pack_part, news_that_do_not_fit_are_refused)
{
	struct packer *packer;
	struct pack *pack;
	const uint8_t *out;
	uint8_t entry[40];
	struct err err;
	size_t len;

	cr_assert_eq(packer_open(&packer, &CONFIG, &err), 0);
	cr_assert_eq(pack_open(&pack, packer, &err), 0);
	cr_assert_eq(pack_pad(pack, 50, &out), 0);
	cr_assert_eq(pack_news(pack, entry, sizeof(entry) - 1, &len), -ENOBUFS);
	cr_assert_eq(pack_news(pack, entry, sizeof(entry), &len), 0);
	cr_assert_eq(len, sizeof(entry));
	pack_close(pack);
	packer_close(packer);
}
