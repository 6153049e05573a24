#define _GNU_SOURCE /* memmem */
/*
 * pcapng blocks: what is written is read back; what is legal is read in every form; what is damaged
 * is refused. Blocks that this probe does not write are built here, byte by byte, in either order.
 */
#include "path/block_read.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct err err;

/* ---- a writer of any legal pcapng ---- */

struct bytes {
	uint8_t at[4096];
	size_t len;
	bool is_big_endian;
};

static void add(struct bytes *b, uint64_t value, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		b->at[b->len++] = (uint8_t)(value >> 8 * (b->is_big_endian ? len - 1 - i : i));
}

static void add_text(struct bytes *b, const char *text)
{
	while (*text)
		b->at[b->len++] = (uint8_t)*text++;
	while (b->len % 4)
		b->at[b->len++] = 0;
}

static size_t begin(struct bytes *b, uint32_t type)
{
	const size_t start = b->len;

	add(b, type, 4);
	add(b, 0, 4);
	return start;
}

static void end(struct bytes *b, size_t start)
{
	const size_t stop = b->len;

	add(b, stop + 4 - start, 4);
	b->len = start + 4;
	add(b, stop + 4 - start, 4);
	b->len = stop + 4;
}

static void add_section(struct bytes *b, uint32_t minor)
{
	const size_t start = begin(b, BLOCK_TYPE_SECTION);

	add(b, 0x1a2b3c4d, 4);
	add(b, 1, 2);
	add(b, minor, 2);
	add(b, UINT64_MAX, 8);
	end(b, start);
}

/* resolution 256: no if_tsresol. */
static void add_interface(struct bytes *b, uint32_t linktype, uint32_t snaplen, uint32_t resolution,
			  int64_t offset_s)
{
	const size_t start = begin(b, BLOCK_TYPE_INTERFACE);

	add(b, linktype, 2);
	add(b, 0, 2);
	add(b, snaplen, 4);
	if (resolution < 256) {
		add(b, BLOCK_IF_TSRESOL, 2);
		add(b, 1, 2);
		add(b, resolution, 1);
		add_text(b, "");
	}
	if (offset_s) {
		add(b, BLOCK_IF_TSOFFSET, 2);
		add(b, 8, 2);
		add(b, (uint64_t)offset_s, 8);
	}
	end(b, start);
}

static void add_packet(struct bytes *b, uint32_t interface, uint64_t units, const char *text)
{
	const size_t start = begin(b, BLOCK_TYPE_ENHANCED_PACKET);

	add(b, interface, 4);
	add(b, units >> 32, 4);
	add(b, units & UINT32_MAX, 4);
	add(b, strlen(text), 4);
	add(b, 100, 4);
	add_text(b, text);
	end(b, start);
}

/* ---- reading ---- */

static struct block_reader *open_reader(void)
{
	struct block_reader *reader = NULL;

	cr_assert(block_reader_open(&reader, &err) == 0);
	return reader;
}

/* Reads the blocks in memory that ends with them; *last is the last one read. */
static int read_all(struct block_reader *reader, const uint8_t *p, size_t len, struct block *last)
{
	uint8_t *copy = malloc(len ? len : 1);
	size_t at = 0, used = 0;
	int ret = 0;

	memcpy(copy, p, len);
	while (at < len && ret == 0) {
		ret = block_read(reader, copy + at, len - at, last, &used, &err);
		at += ret ? 0 : used;
	}
	if (ret == 0 && last->kind == BLOCK_PACKET)
		last->packet.data = p + (last->packet.data - copy);
	free(copy);
	return ret;
}

static int read_bytes(const struct bytes *b, struct block *last)
{
	struct block_reader *reader = open_reader();
	const int ret = read_all(reader, b->at, b->len, last);

	block_reader_close(reader);
	return ret;
}

static uint64_t time_of(uint32_t resolution, int64_t offset_s, uint64_t units)
{
	struct bytes b = {0};
	struct block block;

	add_section(&b, 0);
	add_interface(&b, 1, 0, resolution, offset_s);
	add_packet(&b, 0, units, "x");
	cr_assert(read_bytes(&b, &block) == 0, "%s", err.text);
	return block.packet.time_ns;
}

/* ---- written and read back ---- */

static size_t write_file(uint8_t *out, size_t cap)
{
	const struct block_interface i = {
		.linktype = 1, .snaplen = BLOCK_SNAPLEN, .name = "if", .description = "vni=1"};
	size_t len = block_section(out, cap, "test", "a comment");

	return len + block_interface(out + len, cap - len, &i);
}

Test(block, packet_is_read_back_as_it_was_written)
{
	for (uint32_t cap_len = 0; cap_len < 9; cap_len++) {
		struct block_reader *reader = open_reader();
		const struct block_packet p = {.time_ns = 1795302000123456789,
					       .cap_len = cap_len,
					       .wire_len = 99,
					       .id = 1ull << 48 | 7,
					       .queue = 3,
					       .flags = BLOCK_OUTBOUND,
					       .drops = 1ull << 40};
		uint8_t file[512];
		size_t len = write_file(file, sizeof(file));
		struct block got;

		memset(file + len, 0xee, sizeof(file) - len);
		memcpy(file + len + BLOCK_PACKET_HEAD, "abcdefgh", cap_len);
		cr_assert_eq(block_packet_frame(file + len, &p), block_packet_len(cap_len));
		len += block_packet_len(cap_len);
		cr_assert(read_all(reader, file, len, &got) == 0, "%s", err.text);
		cr_assert_eq(got.kind, BLOCK_PACKET);
		cr_assert_eq(got.packet.time_ns, p.time_ns);
		cr_assert_eq(got.packet.cap_len, cap_len);
		cr_assert_eq(got.packet.wire_len, 99);
		cr_assert_eq(got.packet.id, p.id);
		cr_assert_eq(got.packet.queue, 3);
		cr_assert_eq(got.packet.flags, BLOCK_OUTBOUND);
		cr_assert_eq(got.packet.drops, 1ull << 40);
		cr_assert(memcmp(got.packet.data, "abcdefgh", cap_len) == 0);
		cr_assert_eq(block_reader_linktype(reader, 0), 1);
		block_reader_close(reader);
	}
}

Test(block, packet_fields_are_changed_in_place)
{
	const struct block_packet p = {.time_ns = 5, .cap_len = 3, .wire_len = 3, .id = 77};
	uint8_t block[128] = {0};

	(void)block_packet_frame(block, &p);
	block_packet_set(block, 9, UINT64_C(0x123456789abcdef0));
	cr_assert_eq(block_packet_total(block), block_packet_len(3));
	cr_assert_eq(block_packet_time(block), UINT64_C(0x123456789abcdef0));
	cr_assert_eq(block_packet_interface(block), 9);
	cr_assert_eq(block_packet_id(block), 77);
	cr_assert_eq(block_packet_drops(block), 0);
	block_packet_set_drops(block, 1ull << 33);
	cr_assert_eq(block_packet_drops(block), 1ull << 33);
	cr_assert_eq(block_packet_id(block), 77);
}

/* What was in *out before is of no account: its texts go into other files. */
Test(block, comment_of_an_interface_is_read_back_and_without_one_empty)
{
	struct block_interface i = {.name = "if"};
	uint8_t file[1024];
	struct block got;

	memset(i.comment, 'c', sizeof(i.comment) - 1);
	for (int has_comment = 1; has_comment >= 0; has_comment--) {
		struct block_reader *reader = open_reader();
		size_t len = block_section(file, sizeof(file), "test", NULL);

		memset(&got, 'x', sizeof(got));
		i.comment[has_comment ? sizeof(i.comment) - 1 : 0] = '\0';
		len += block_interface(file + len, sizeof(file) - len, &i);
		cr_assert(read_all(reader, file, len, &got) == 0, "%s", err.text);
		cr_assert_str_eq(got.interface.comment, i.comment);
		block_reader_close(reader);
	}
}

Test(block, interface_and_statistics_are_read_back)
{
	const struct block_statistics s = {.time_ns = 3,
					   .start_ns = 1,
					   .end_ns = 1ull << 40,
					   .received = 10,
					   .dropped = 4,
					   .os_dropped = 5,
					   .delivered = 6,
					   .comment = "io_error=5"};
	struct block_reader *reader = open_reader();
	uint8_t file[512];
	size_t len = write_file(file, sizeof(file));
	struct block got;

	cr_assert(read_all(reader, file, len, &got) == 0, "%s", err.text);
	cr_assert_eq(got.kind, BLOCK_INTERFACE);
	cr_assert_str_eq(got.interface.name, "if");
	cr_assert_str_eq(got.interface.description, "vni=1");
	cr_assert_eq(got.interface.snaplen, BLOCK_SNAPLEN);
	len = block_statistics(file, sizeof(file), &s);
	cr_assert(read_all(reader, file, len, &got) == 0, "%s", err.text);
	cr_assert_eq(got.kind, BLOCK_STATISTICS);
	cr_assert_eq(got.statistics.time_ns, 3);
	cr_assert_eq(got.statistics.start_ns, 1);
	cr_assert_eq(got.statistics.end_ns, 1ull << 40);
	cr_assert_eq(got.statistics.received, 10);
	cr_assert_eq(got.statistics.dropped, 4);
	cr_assert_eq(got.statistics.os_dropped, 5);
	cr_assert_eq(got.statistics.delivered, 6);
	cr_assert(memmem(file, len, "io_error=5", 10));
	block_reader_close(reader);
}

Test(block, longest_statistics_block_is_as_long_as_is_said)
{
	uint8_t block[2 * BLOCK_STATISTICS_MAX];
	struct block_statistics s = {0};

	memset(s.comment, 'c', sizeof(s.comment) - 1);
	cr_assert_eq(block_statistics(block, sizeof(block), &s), BLOCK_STATISTICS_MAX);
}

Test(block, writers_return_0_for_what_does_not_fit)
{
	const struct block_interface i = {.name = "a name", .description = "a description"};
	const struct block_statistics s = {0};
	uint8_t out[256];
	const size_t section = block_section(out, sizeof(out), "application", "comment");
	const size_t interface = block_interface(out, sizeof(out), &i);
	const size_t statistics = block_statistics(out, sizeof(out), &s);

	cr_assert(section && interface && statistics);
	for (size_t cap = 0; cap < sizeof(out); cap++) {
		uint8_t *tight = malloc(cap ? cap : 1);

		cr_assert_eq(block_section(tight, cap, "application", "comment"),
			     cap < section ? 0 : section);
		cr_assert_eq(block_interface(tight, cap, &i), cap < interface ? 0 : interface);
		cr_assert_eq(block_statistics(tight, cap, &s), cap < statistics ? 0 : statistics);
		free(tight);
	}
}

/* ---- all that is legal ---- */

Test(block, either_byte_order_is_read_and_sections_start_anew)
{
	struct block_reader *reader = open_reader();
	struct block got;

	for (int i = 0; i < 4; i++) {
		struct bytes b = {.is_big_endian = i % 2};

		add_section(&b, i == 3 ? 2 : 0);
		add_interface(&b, 100u + (uint32_t)i, 0, 9, 0);
		add_packet(&b, 0, 1ull << 33 | 5, "hello");
		cr_assert(read_all(reader, b.at, b.len, &got) == 0, "%s", err.text);
		cr_assert_eq(got.packet.time_ns, 1ull << 33 | 5);
		cr_assert_eq(got.packet.cap_len, 5);
		cr_assert_eq(got.packet.wire_len, 100);
		cr_assert_eq(got.packet.id, UINT64_MAX);
		cr_assert_eq(got.packet.queue, UINT32_MAX);
		cr_assert(memcmp(got.packet.data, "hello", 5) == 0);
		cr_assert_eq(block_reader_linktype(reader, 0), 100 + i);
		b.len = 0;
		add_packet(&b, 1, 0, "interface 1 of another section");
		cr_assert_eq(read_all(reader, b.at, b.len, &got), -EBADMSG);
	}
	block_reader_close(reader);
}

Test(block, times_of_any_resolution_become_nanoseconds)
{
	cr_assert_eq(time_of(256, 0, 1500000), 1500000000);
	cr_assert_eq(time_of(0, 0, 7), 7000000000);
	cr_assert_eq(time_of(9, 0, 123), 123);
	cr_assert_eq(time_of(12, 0, 123999), 123);
	cr_assert_eq(time_of(28, 0, UINT64_MAX), 1);
	cr_assert_eq(time_of(127, 0, UINT64_MAX), 0);
	cr_assert_eq(time_of(0x80 | 1, 0, 3), 1500000000);
	cr_assert_eq(time_of(0x80 | 32, 0, 3ull << 31), 1500000000);
	cr_assert_eq(time_of(0xff, 0, UINT64_MAX), 0);
	cr_assert_eq(time_of(9, 100, 1), 100000000001);
	cr_assert_eq(time_of(9, -1, 1000000001), 1);
}

Test(block, times_beyond_the_years_1970_and_2262_become_the_nearer)
{
	cr_assert_eq(time_of(0, 0, UINT64_MAX), INT64_MAX);
	cr_assert_eq(time_of(9, -2, 1000000000), 0);
	cr_assert_eq(time_of(9, INT64_MAX, 0), INT64_MAX);
	cr_assert_eq(time_of(0x80, INT64_MIN, 5), 0);
}

Test(block, simple_packet_is_as_long_as_the_snap_length_lets_it)
{
	const struct {
		uint32_t snaplen, cap_len;
	} cases[] = {{0, 6}, {4, 4}, {100, 6}};

	for (size_t i = 0; i < 3; i++) {
		struct bytes b = {.is_big_endian = i == 1};
		struct block got;

		add_section(&b, 0);
		add_interface(&b, 1, cases[i].snaplen, 9, 5);
		const size_t start = begin(&b, BLOCK_TYPE_SIMPLE_PACKET);
		add(&b, 6, 4);
		add_text(&b, cases[i].cap_len == 6 ? "simple" : "simp");
		end(&b, start);
		cr_assert(read_bytes(&b, &got) == 0, "%s", err.text);
		cr_assert_eq(got.packet.cap_len, cases[i].cap_len);
		cr_assert_eq(got.packet.wire_len, 6);
		cr_assert_eq(got.packet.time_ns, 0);
		cr_assert_eq(got.packet.interface, 0);
	}
}

Test(block, obsolete_packet_is_a_packet)
{
	for (int i = 0; i < 2; i++) {
		struct bytes b = {.is_big_endian = i};
		struct block got;

		add_section(&b, 0);
		add_interface(&b, 1, 0, 9, 0);
		add_interface(&b, 2, 0, 6, 0);
		const size_t start = begin(&b, BLOCK_TYPE_OBSOLETE_PACKET);
		add(&b, 1, 2);
		add(&b, 0xffff, 2); /* drops: not known */
		add(&b, 0, 4);
		add(&b, 42, 4);
		add(&b, 3, 4);
		add(&b, 30, 4);
		add_text(&b, "old");
		end(&b, start);
		cr_assert(read_bytes(&b, &got) == 0, "%s", err.text);
		cr_assert_eq(got.packet.interface, 1);
		cr_assert_eq(got.packet.time_ns, 42000);
		cr_assert_eq(got.packet.cap_len, 3);
		cr_assert_eq(got.packet.wire_len, 30);
		cr_assert(memcmp(got.packet.data, "old", 3) == 0);
	}
}

Test(block, unknown_blocks_and_options_are_passed_over)
{
	struct bytes b = {0};
	struct block got;

	add_section(&b, 0);
	size_t start = begin(&b, 0xbad);
	add_text(&b, "custom");
	end(&b, start);
	cr_assert(read_bytes(&b, &got) == 0, "%s", err.text);
	cr_assert_eq(got.kind, BLOCK_OTHER);
	start = begin(&b, BLOCK_TYPE_INTERFACE);
	add(&b, 1, 8);
	add(&b, 2988, 2); /* a custom option */
	add(&b, 6, 2);
	add_text(&b, "option");
	add(&b, BLOCK_OPT_END, 4);
	end(&b, start);
	cr_assert(read_bytes(&b, &got) == 0, "%s", err.text);
	cr_assert_eq(got.kind, BLOCK_INTERFACE);
}

Test(block, long_names_are_cut)
{
	struct bytes b = {0};
	struct block got;
	char name[201];

	memset(name, 'n', 200);
	name[200] = '\0';
	add_section(&b, 0);
	const size_t start = begin(&b, BLOCK_TYPE_INTERFACE);
	add(&b, 1, 8);
	add(&b, BLOCK_IF_NAME, 2);
	add(&b, 200, 2);
	add_text(&b, name);
	end(&b, start);
	cr_assert(read_bytes(&b, &got) == 0, "%s", err.text);
	cr_assert_eq(strlen(got.interface.name), sizeof(got.interface.name) - 1);
}

/* ---- damage ---- */

Test(block, reading_begins_with_a_section)
{
	struct bytes b = {0};
	struct block got;

	add_interface(&b, 1, 0, 9, 0);
	cr_assert_eq(read_bytes(&b, &got), -EBADMSG);
	cr_assert_str_eq(err.text, "no section header block at the start");
}

Test(block, too_few_bytes_say_how_many_are_needed)
{
	struct block_reader *reader = open_reader();
	struct bytes b = {0};
	struct block got;
	size_t used;

	add_section(&b, 0);
	for (size_t len = 0; len < b.len; len++) {
		cr_assert_eq(block_read(reader, b.at, len, &got, &used, &err), -EAGAIN);
		cr_assert_eq(used, len < 12 ? 12 : b.len);
	}
	cr_assert_eq(block_read(reader, b.at, b.len, &got, &used, &err), 0);
	cr_assert_eq(used, b.len);
	block_reader_close(reader);
}

/* A section, an interface and a packet; the byte at offset in the packet block becomes value. */
static int read_with(size_t offset, uint8_t value)
{
	struct bytes b = {0};
	struct block got;

	add_section(&b, 0);
	add_interface(&b, 1, 0, 9, 0);
	const size_t packet = b.len;
	add_packet(&b, 0, 0, "12345678");
	b.at[packet + offset] = value;
	return read_bytes(&b, &got);
}

Test(block, damaged_lengths_and_numbers_are_refused)
{
	cr_assert_eq(read_with(4, 39), -EBADMSG, "total length is no multiple of 4");
	cr_assert_eq(read_with(4, 8), -EBADMSG, "total length below the least");
	cr_assert_eq(read_with(7, 2), -EBADMSG, "total length above BLOCK_MAX");
	cr_assert_eq(read_with(8, 1), -EBADMSG, "interface that is not there");
	cr_assert_eq(read_with(20, 9), -EBADMSG, "captured length beyond the block");
	cr_assert_eq(read_with(23, 255), -EBADMSG, "captured length of 4 GB");
	cr_assert_eq(read_with(20, 4), -EBADMSG, "option beyond the block");
	cr_assert_eq(read_with(36, 44), -EBADMSG, "second total length differs");
	cr_assert_eq(read_with(28, 0), 0);
}

Test(block, unknown_version_is_refused)
{
	struct bytes b = {0};
	struct block got;

	add_section(&b, 1);
	cr_assert_eq(read_bytes(&b, &got), -EBADMSG);
	cr_assert_str_eq(err.text, "pcapng version 1.1 is not known, only 1.0");
}

Test(block, interfaces_are_bounded)
{
	struct block_reader *reader = open_reader();
	struct bytes b = {0};
	struct block got;

	add_section(&b, 0);
	cr_assert_eq(read_all(reader, b.at, b.len, &got), 0);
	b.len = 0;
	add_interface(&b, 1, 0, 256, 0);
	size_t used;
	for (uint32_t i = 0; i < BLOCK_INTERFACES_MAX; i++)
		cr_assert_eq(block_read(reader, b.at, b.len, &got, &used, &err), 0);
	cr_assert_eq(block_read(reader, b.at, b.len, &got, &used, &err), -EBADMSG);
	cr_assert_eq(block_reader_linktype(reader, BLOCK_INTERFACES_MAX - 1), 1);
	block_reader_close(reader);
}

/* Every byte takes every value of one bit flipped, and 0, 0x7f, 0xff: only for the sanitizers. */
Test(block, no_damage_is_read_past_the_end)
{
	struct bytes b = {0};
	struct block got;

	add_section(&b, 0);
	add_interface(&b, 1, 0, 9, 1);
	add_packet(&b, 0, 1, "12345");
	b.len +=
		block_statistics(b.at + b.len, sizeof(b.at) - b.len, &(struct block_statistics){0});
	for (size_t i = 0; i < b.len; i++) {
		const uint8_t was = b.at[i];

		for (unsigned k = 0; k < 11; k++) {
			static const uint8_t ends[] = {0, 0x7f, 0xff};

			b.at[i] = k < 8 ? (uint8_t)(was ^ 1u << k) : ends[k - 8];
			const int ret = read_bytes(&b, &got);
			cr_assert(ret == 0 || ret == -EBADMSG || ret == -EAGAIN);
		}
		b.at[i] = was;
	}
}

/* ---- names ---- */

static const struct block_name NAMES[] = {
	{{{[10] = 0xff, 0xff, 10, 1, 0, 1}}, "amf-1"},
	{{{0x20, 0x01, 0x0d, 0xb8, [15] = 1}}, "upf-user-plane.example"},
	{{{[10] = 0xff, 0xff, 10, 1, 0, 2}}, "smf"},
};

static void assert_next_name(const struct block_reader *reader, struct block_names *names,
			     const struct block_name *want)
{
	struct block_name got;

	cr_assert(block_names_next(reader, names, &got));
	cr_assert_eq(memcmp(&got.address, &want->address, sizeof(got.address)), 0);
	cr_assert_str_eq(got.name, want->name);
}

/* Reads a section and the names block behind it. */
static struct block_reader *read_names(const struct bytes *b, struct block *last)
{
	struct block_reader *reader = open_reader();

	for (size_t at = 0, used; at < b->len; at += used)
		cr_assert_eq(block_read(reader, b->at + at, b->len - at, last, &used, &err), 0,
			     "%s", err.text);
	cr_assert_eq(last->kind, BLOCK_NAMES);
	return reader;
}

Test(block, names_written_are_read_back)
{
	struct bytes b = {.len = 0};
	struct block block;
	struct block_name none;

	add_section(&b, 0);
	b.len += block_names(b.at + b.len, sizeof(b.at) - b.len, NAMES, 3);
	struct block_reader *reader = read_names(&b, &block);
	for (unsigned i = 0; i < 3; i++)
		assert_next_name(reader, &block.names, &NAMES[i]);
	cr_assert_not(block_names_next(reader, &block.names, &none));
	block_reader_close(reader);
}

Test(block, names_that_do_not_fit_are_not_written)
{
	uint8_t out[256];
	const size_t len = block_names(out, sizeof(out), NAMES, 3);

	cr_assert_gt(len, 0);
	cr_assert_eq(block_names(out, len, NAMES, 3), len);
	cr_assert_eq(block_names(out, len - 1, NAMES, 3), 0);
}

static void add_record(struct bytes *b, uint32_t type, const uint8_t *value, uint32_t len)
{
	add(b, type, 2);
	add(b, len, 2);
	for (uint32_t i = 0; i < len; i++)
		add(b, value[i], 1);
	add_text(b, "");
}

static struct bytes names_block(bool is_big_endian, uint32_t type, const char *value, uint32_t len)
{
	struct bytes b = {.is_big_endian = is_big_endian};

	add_section(&b, 0);
	const size_t start = begin(&b, BLOCK_TYPE_NAMES);
	add_record(&b, type, (const uint8_t *)value, len);
	add_record(&b, BLOCK_RECORD_IPV4, (const uint8_t *)"\x0a\x01\x00\x02smf", 8);
	add(&b, BLOCK_RECORD_END, 4);
	end(&b, start);
	return b;
}

Test(block, record_of_several_names_gives_each_in_either_byte_order)
{
	for (unsigned big = 0; big < 2; big++) {
		const struct bytes b =
			names_block(big, BLOCK_RECORD_IPV4, "\x0a\x01\x00\x01one\0two", 12);
		struct block_name want = NAMES[0];
		struct block block;
		struct block_reader *reader = read_names(&b, &block);

		want.name = "one";
		assert_next_name(reader, &block.names, &want);
		want.name = "two";
		assert_next_name(reader, &block.names, &want);
		assert_next_name(reader, &block.names, &NAMES[2]);
		block_reader_close(reader);
	}
}

Test(block, records_of_other_kinds_and_unended_names_are_passed_over)
{
	static const struct {
		uint32_t type, len;
		const char *value;
	} odd[] = {
		{3, 12, "\x01\x02\x03\x04\x05\x06\x07\x08mac"}, /* nrb_record_eui48 and later */
		{BLOCK_RECORD_IPV4, 7, "\x0a\x01\x00\x01one"},
		{BLOCK_RECORD_IPV4, 4, "\x0a\x01\x00\x01"},
		{BLOCK_RECORD_IPV4, 2, "\x0a\x01"},
		{BLOCK_RECORD_IPV6, 8, "\x0a\x01\x00\x01one"},
	};

	for (unsigned i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		const struct bytes b = names_block(false, odd[i].type, odd[i].value, odd[i].len);
		struct block block;
		struct block_reader *reader = read_names(&b, &block);

		assert_next_name(reader, &block.names, &NAMES[2]);
		block_reader_close(reader);
	}
}

Test(block, record_past_the_end_of_its_block_is_damage)
{
	struct bytes b = {.len = 0};
	struct block block;

	add_section(&b, 0);
	const size_t start = begin(&b, BLOCK_TYPE_NAMES);
	add(&b, BLOCK_RECORD_IPV4, 2);
	add(&b, 200, 2);
	end(&b, start);
	cr_assert_eq(read_bytes(&b, &block), -EBADMSG);
}
