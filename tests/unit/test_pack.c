#define _GNU_SOURCE /* mkstemp, popen */
#include "path/pack.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "path/block_read.h"
#include "path/flowid.h"
#include "path/pack_index.h"

#define FRAME_LEN 4096u
#define PACKETS   2000u
#define START_NS  UINT64_C(1795255200000000000)

#define INDEX                                                                                      \
	.frames_max = PACK_FRAMES_MAX, .definitions_max = PACK_DEFINITIONS_MAX,                    \
	.filters_max = PACK_FILTERS_MAX

static const struct packer_config CONFIG = {.frame_len = FRAME_LEN, .level = 1, INDEX};

struct bytes {
	uint8_t *p;
	size_t len;
};

static void append(struct bytes *b, const uint8_t *p, size_t len)
{
	b->p = realloc(b->p, b->len + len + 1);
	memcpy(b->p + b->len, p, len);
	b->len += len;
}

/* Packet i: every seventh is earlier than the one before it. */
static uint64_t time_of(unsigned i)
{
	return START_NS + i * 1000u - (i % 7 ? 0 : 5000u);
}

static size_t make_packet(uint8_t *block, unsigned i)
{
	const uint32_t len = 60 + i % 97;
	const struct block_packet packet = {
		.time_ns = time_of(i), .cap_len = len, .wire_len = len, .id = i, .queue = 1};

	for (uint32_t k = 0; k < len; k++)
		block[BLOCK_PACKET_HEAD + k] = (uint8_t)(i * 31 + k * k);
	return block_packet_frame(block, &packet);
}

static size_t pad_len; /* of padding behind each frame */

static void flush(struct pack *pack, struct bytes *packed)
{
	const uint8_t *out;
	size_t len;

	cr_assert_eq(pack_flush(pack, &out, &len), 0);
	append(packed, out, len);
	if (!pad_len)
		return;
	cr_assert_eq(pack_pad(pack, pad_len, &out), 0);
	append(packed, out, pad_len);
}

static void add_definition(struct pack *pack, struct bytes *raw, const uint8_t *block, size_t len)
{
	cr_assert_gt(len, 0);
	cr_assert_eq(pack_add_definition(pack, block, len, 0), 0);
	append(raw, block, len);
}

/* Packs a file of n packets; raw becomes what the frames must hold, packed the file. */
static void make_file(unsigned n, bool finish, struct bytes *raw, struct bytes *packed)
{
	const struct block_interface interface = {.linktype = 1, .snaplen = 262144, .name = "a"};
	uint8_t block[BLOCK_PACKET_HEAD + 256 + BLOCK_PACKET_TAIL];
	struct packer *packer;
	struct pack *pack;
	struct err err;

	cr_assert_eq(packer_open(&packer, &CONFIG, &err), 0);
	cr_assert_eq(pack_open(&pack, packer, &err), 0);
	add_definition(pack, raw, block, block_section(block, sizeof(block), "test", NULL));
	for (unsigned i = 0; i < n; i++) {
		if (i % 1000 == 0)
			add_definition(pack, raw, block,
				       block_interface(block, sizeof(block), &interface));
		const size_t len = make_packet(block, i);

		pack_add_packet(pack, block, len, time_of(i));
		append(raw, block, len);
		if (pack_is_full(pack))
			flush(pack, packed);
	}
	flush(pack, packed);
	if (finish) {
		const uint8_t *out;
		size_t len;

		cr_assert_eq(pack_finish(pack, &out, &len), 0);
		append(packed, out, len);
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

static int open_bytes(struct unpack **out, struct bytes *b, struct err *err)
{
	const struct unpack_source source = {.read = read_bytes, .arg = b, .size = b->len};

	return unpack_open(out, &source, err);
}

/* All frames, one behind the other. */
static int read_all(struct unpack *unpack, struct bytes *out, struct err *err)
{
	for (unsigned i = 0; i < unpack_frames(unpack); i++) {
		const uint32_t len = unpack_frame(unpack, i)->raw_len;
		uint8_t *frame = malloc(len);
		const int ret = unpack_read(unpack, i, frame, err);

		if (!ret)
			append(out, frame, len);
		free(frame);
		if (ret)
			return ret;
	}
	return 0;
}

static void expect_same(const struct bytes *a, const struct bytes *b)
{
	cr_assert_eq(a->len, b->len);
	cr_assert_eq(memcmp(a->p, b->p, a->len), 0);
}

/* What index and scan say of the packets must be what was packed. */
static void expect_ranges(const struct unpack *unpack)
{
	unsigned packet = 0;

	for (unsigned i = 0; i < unpack_frames(unpack); i++) {
		const struct unpack_frame *frame = unpack_frame(unpack, i);
		uint64_t first = UINT64_MAX, last = 0;

		for (uint32_t k = 0; k < frame->packets; k++, packet++) {
			first = time_of(packet) < first ? time_of(packet) : first;
			last = time_of(packet) > last ? time_of(packet) : last;
		}
		cr_assert_eq(frame->first_ns, first);
		cr_assert_eq(frame->last_ns, last);
	}
	cr_assert_eq(packet, PACKETS);
}

static void expect_two_interfaces(const struct unpack *unpack)
{
	struct block_reader *reader;
	struct block block;
	struct err err;
	size_t len, used;
	unsigned n = 0;

	const uint8_t *p = unpack_interfaces(unpack, &len);
	cr_assert_eq(block_reader_open(&reader, &err), 0);
	for (; len > 0; p += used, len -= used) {
		cr_assert_eq(block_read(reader, p, len, &block, &used, &err), 0);
		cr_assert_eq(block.kind, n++ == 0 ? BLOCK_SECTION : BLOCK_INTERFACE);
	}
	cr_assert_eq(n, 3);
	block_reader_close(reader);
}

static void assert_unpacked_by_index_and_by_scan(void)
{
	for (int finish = 0; finish < 2; finish++) {
		struct bytes raw = {0}, packed = {0}, again = {0};
		struct unpack *unpack;
		struct err err;

		make_file(PACKETS, finish, &raw, &packed);
		cr_assert_eq(open_bytes(&unpack, &packed, &err), 0, "%s", err.text);
		cr_assert_eq(unpack_is_indexed(unpack), finish == 1);
		cr_assert(!unpack_is_cut(unpack));
		cr_assert_gt(unpack_frames(unpack), 50);
		expect_ranges(unpack);
		expect_two_interfaces(unpack);
		cr_assert_eq(read_all(unpack, &again, &err), 0, "%s", err.text);
		expect_same(&raw, &again);
		unpack_close(unpack);
		free(raw.p);
		free(packed.p);
		free(again.p);
	}
}

#define PACK_LEVEL_FRAME (64u << 10)

Test(pack, every_level_below_the_configured_one_works_in_its_memory)
{
	const int levels[] = {19, 1, -1, -20, -50, ZSTD_minCLevel(), 3};
	static uint8_t block[1024], back[PACK_LEVEL_FRAME];
	const struct block_packet p = {.cap_len = 900, .wire_len = 900};
	const size_t len = block_packet_frame(block, &p);
	const struct packer_config c = {
		.frame_len = PACK_LEVEL_FRAME, .level = 19, .frames_max = 9, .filters_max = 1000};
	struct packer *packer;
	struct pack *pack;
	const uint8_t *out;
	struct err err;
	size_t n;

	cr_assert_eq(packer_open(&packer, &c, &err), 0);
	cr_assert_eq(pack_open(&pack, packer, &err), 0);
	for (unsigned i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		packer_set_level(packer, levels[i]);
		for (size_t k = 0; k < PACK_LEVEL_FRAME / len; k++)
			pack_add_packet(pack, block, len, 1);
		const size_t raw = pack_pending(pack);
		cr_assert_eq(pack_flush(pack, &out, &n), 0, "level %d", levels[i]);
		cr_assert_eq(ZSTD_decompress(back, sizeof(back), out, n), raw);
		cr_assert_eq(memcmp(back, block, len), 0);
	}
	pack_close(pack);
	packer_close(packer);
}

Test(pack, what_is_packed_is_unpacked_by_index_and_by_scan)
{
	assert_unpacked_by_index_and_by_scan();
}

Test(pack, padding_is_skipped_by_index_and_by_scan)
{
	pad_len = PACK_PADDING_MIN;
	assert_unpacked_by_index_and_by_scan();
	pad_len = PACK_PADDING_MAX;
	assert_unpacked_by_index_and_by_scan();
}

static void assert_zstd_reads_it(void)
{
	struct bytes raw = {0}, packed = {0}, again = {0};
	char path[] = "/tmp/test_pack_XXXXXX", command[64];
	uint8_t piece[4096];
	size_t n;

	make_file(PACKETS, true, &raw, &packed);
	const int fd = mkstemp(path);
	cr_assert_eq(write(fd, packed.p, packed.len), (ssize_t)packed.len);
	close(fd);
	(void)snprintf(command, sizeof(command), "zstd -dcq < %s", path);
	FILE *zstd = popen(command, "r");
	cr_assert_not_null(zstd);
	while ((n = fread(piece, 1, sizeof(piece), zstd)) > 0)
		append(&again, piece, n);
	cr_expect_eq(pclose(zstd), 0);
	(void)unlink(path);
	expect_same(&raw, &again);
	free(raw.p);
	free(packed.p);
	free(again.p);
}

Test(pack, stock_zstd_reads_it)
{
	assert_zstd_reads_it();
	pad_len = 1000;
	assert_zstd_reads_it();
}

Test(pack, an_empty_file_has_no_frames)
{
	const struct packer_config config = CONFIG;
	struct packer *packer;
	struct pack *pack;
	struct unpack *unpack;
	struct bytes none = {0}, packed = {0};
	const uint8_t *out;
	struct err err;
	size_t len;

	cr_assert_eq(packer_open(&packer, &config, &err), 0);
	cr_assert_eq(pack_open(&pack, packer, &err), 0);
	cr_assert_eq(pack_flush(pack, &out, &len), 0);
	cr_assert_eq(len, 0);
	cr_assert_eq(pack_finish(pack, &out, &len), 0);
	append(&packed, out, len);
	for (struct bytes *b = &none;; b = &packed) {
		cr_assert_eq(open_bytes(&unpack, b, &err), 0);
		cr_assert_eq(unpack_frames(unpack), 0);
		unpack_close(unpack);
		if (b == &packed)
			break;
	}
	pack_close(pack);
	packer_close(packer);
	free(packed.p);
}

/* Opens and reads what may be damaged; anything but a crash is right. Returns the bytes that came.
 */
static size_t survive(struct bytes *packed)
{
	struct bytes out = {0};
	struct unpack *unpack;
	struct err err;

	if (open_bytes(&unpack, packed, &err))
		return 0;
	(void)read_all(unpack, &out, &err);
	unpack_close(unpack);
	free(out.p);
	return out.len;
}

Test(pack, a_flipped_bit_in_the_last_200_bytes_does_no_harm)
{
	struct bytes raw = {0}, packed = {0};

	make_file(100, true, &raw, &packed);
	cr_assert_gt(packed.len, 200);
	for (size_t bit = 0; bit < 200 * 8; bit++) {
		uint8_t *byte = &packed.p[packed.len - 200 + bit / 8];
		const uint8_t mask = (uint8_t)(1u << bit % 8);

		*byte ^= mask;
		const size_t len = survive(&packed);
		cr_assert_leq(len, raw.len);
		*byte ^= mask;
	}
	free(raw.p);
	free(packed.p);
}

Test(pack, an_index_that_does_not_fit_the_file_is_not_used)
{
	struct bytes raw = {0}, packed = {0}, again = {0};
	struct unpack *unpack;
	struct err err;

	make_file(PACKETS, true, &raw, &packed);
	/* the compressed length of the last frame, one byte longer: the index begins elsewhere */
	packed.p[packed.len - PACK_SEEK_END - PACK_SEEK_ENTRY]++;
	cr_assert_eq(open_bytes(&unpack, &packed, &err), 0, "%s", err.text);
	cr_assert(!unpack_is_indexed(unpack));
	cr_assert_eq(read_all(unpack, &again, &err), 0);
	expect_same(&raw, &again);
	unpack_close(unpack);
	free(raw.p);
	free(packed.p);
	free(again.p);
}

/* A frame for each of three interfaces, with a UDP packet from 10.0.0.N, and padding behind each.
 */
static void make_searchable(const struct packer_config *config, bool finish, struct bytes *packed)
{
	const struct block_interface interface = {.linktype = 1, .snaplen = 262144, .name = "a"};
	uint8_t block[BLOCK_PACKET_HEAD + 64 + BLOCK_PACKET_TAIL];
	struct bytes raw = {0};
	struct packer *packer;
	struct pack *pack;
	struct err err;
	const uint8_t *out;
	size_t len;

	cr_assert_eq(packer_open(&packer, config, &err), 0, "%s", err.text);
	cr_assert_eq(pack_open(&pack, packer, &err), 0);
	add_definition(pack, &raw, block, block_section(block, sizeof(block), "t", NULL));
	for (unsigned i = 0; i < 30; i++)
		add_definition(pack, &raw, block,
			       block_interface(block, sizeof(block), &interface));
	for (unsigned i = 0; i < 3; i++) {
		const struct block_packet p = {.interface = 10 * i, .cap_len = 60, .wire_len = 60};
		uint8_t *const data = block + BLOCK_PACKET_HEAD;

		memset(data, 0, 60);
		memcpy(data + 12, "\x08\x00\x45\x00\x00\x2e\x00\x00\x00\x00\x40\x11", 12);
		memcpy(data + 26, (uint8_t[]){10, 0, 0, (uint8_t)i, 10, 9, 9, 9, 0, 7, 0, 53}, 12);
		pack_add_packet(pack, block, block_packet_frame(block, &p), 5 + i);
		flush(pack, packed);
		cr_assert_eq(pack_pad(pack, PACK_PADDING_MIN, &out), 0);
		append(packed, out, PACK_PADDING_MIN);
	}
	cr_assert_eq(pack_finish(pack, &out, &len), 0);
	if (finish)
		append(packed, out, len);
	pack_close(pack);
	packer_close(packer);
	free(raw.p);
}

static uint64_t address_key(uint8_t last)
{
	const uint8_t address[4] = {10, 0, 0, last};
	struct flowid_hash *hash;
	uint8_t sha1[FLOWID_SHA1];
	struct err err;

	cr_assert_eq(flowid_hash_open(&hash, &err), 0);
	cr_assert_eq(flowid_sha1(hash, address, 4, sha1), 0);
	flowid_hash_close(hash);
	return flowid_key(sha1);
}

Test(pack, index_says_which_frames_cannot_hold_an_interface_or_an_address)
{
	struct bytes packed = {0};
	struct unpack *unpack;
	struct err err;

	make_searchable(&CONFIG, true, &packed);
	cr_assert_eq(open_bytes(&unpack, &packed, &err), 0, "%s", err.text);
	cr_assert(unpack_is_indexed(unpack));
	cr_assert_eq(unpack_frames(unpack), 3);
	for (unsigned i = 0; i < 3; i++)
		for (unsigned k = 0; k < 40; k++)
			cr_assert_eq(unpack_may_have_interface(unpack, i, k), k == 10 * i);
	for (unsigned i = 0; i < 3; i++)
		for (uint8_t k = 0; k < 3; k++)
			cr_assert_eq(unpack_may_have_address(unpack, i, address_key(k)), k == i,
				     "%u %u", i, k);
	cr_assert_not(unpack_may_have_flow(unpack, 0, address_key(77)));
	unpack_close(unpack);
	free(packed.p);
}

Test(pack, nothing_is_ruled_out_without_an_index_or_beyond_its_room)
{
	struct packer_config narrow = CONFIG;
	struct bytes packed = {0};
	struct unpack *unpack;
	struct err err;

	narrow.filters_max = 2; /* the first frame's list of interfaces, and no filter */
	for (unsigned round = 0; round < 2; round++) {
		make_searchable(round ? &narrow : &CONFIG, round, &packed);
		cr_assert_eq(open_bytes(&unpack, &packed, &err), 0, "%s", err.text);
		cr_assert_eq(unpack_is_indexed(unpack), round == 1);
		cr_assert(unpack_may_have_address(unpack, 0, address_key(9)));
		cr_assert(unpack_may_have_flow(unpack, 0, address_key(9)));
		cr_assert_eq(unpack_may_have_interface(unpack, 0, 5), round == 0);
		cr_assert(unpack_may_have_interface(unpack, 2, 5));
		unpack_close(unpack);
		free(packed.p);
		packed = (struct bytes){0};
	}
}

Test(pack, of_a_cut_file_a_prefix_of_whole_blocks_is_read)
{
	struct bytes raw = {0}, packed = {0};

	make_file(200, true, &raw, &packed);
	const size_t all = packed.len;
	for (packed.len = 0; packed.len < all; packed.len++) {
		struct bytes out = {0};
		struct unpack *unpack;
		struct err err;

		cr_assert_eq(open_bytes(&unpack, &packed, &err), 0, "%zu: %s", packed.len,
			     err.text);
		cr_assert_eq(read_all(unpack, &out, &err), 0, "%zu: %s", packed.len, err.text);
		cr_assert_leq(out.len, raw.len);
		cr_assert(out.len == 0 || !memcmp(out.p, raw.p, out.len));
		unpack_close(unpack);
		free(out.p);
	}
	free(raw.p);
	free(packed.p);
}

Test(pack, damage_is_reported)
{
	struct bytes raw = {0}, packed = {0}, out = {0};
	struct unpack *unpack;
	struct err err;

	make_file(PACKETS, true, &raw, &packed);
	packed.p[packed.len / 3] ^= 0x10;
	cr_assert_eq(open_bytes(&unpack, &packed, &err), 0);
	cr_assert_eq(read_all(unpack, &out, &err), -EBADMSG);
	unpack_close(unpack);
	free(raw.p);
	free(packed.p);
	free(out.p);
}

Test(pack, what_is_no_zstd_is_refused)
{
	uint8_t text[] = "this is not a compressed file";
	struct bytes b = {.p = text, .len = sizeof(text)};
	struct unpack *unpack;
	struct err err;

	cr_assert_eq(open_bytes(&unpack, &b, &err), -EBADMSG);
}

Test(pack, impossible_settings_are_refused)
{
	const struct packer_config none = {.frame_len = 0, .level = 1, INDEX};
	const struct packer_config huge = {.frame_len = PACK_FRAME_MAX, .level = 1, INDEX};
	const struct packer_config level = {.frame_len = FRAME_LEN, .level = 99, INDEX};
	struct packer *packer;
	struct err err;

	cr_assert_eq(packer_open(&packer, &none, &err), -EINVAL);
	cr_assert_eq(packer_open(&packer, &huge, &err), -EINVAL);
	cr_assert_eq(packer_open(&packer, &level, &err), -EINVAL);
}

Test(pack, every_level_works_in_the_memory_that_it_names)
{
	static uint8_t block[PACK_BLOCK_MAX];
	const int levels[] = {-5, -1, 1, 3, 9, 12};

	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		const struct packer_config config = {
			.frame_len = 1u << 20, .level = levels[i], INDEX};
		struct packer *packer;
		struct pack *pack;
		const uint8_t *out;
		struct err err;
		size_t len;

		cr_assert_eq(packer_open(&packer, &config, &err), 0, "%s", err.text);
		cr_assert_eq(pack_open(&pack, packer, &err), 0);
		for (unsigned k = 0; !pack_is_full(pack); k++) {
			for (size_t b = 0; b < sizeof(block); b++)
				block[b] = (uint8_t)(rand() >> (k % 8));
			pack_add_other(pack, block, sizeof(block));
		}
		cr_assert_eq(pack_flush(pack, &out, &len), 0, "level %d", levels[i]);
		pack_close(pack);
		packer_close(packer);
	}
}

Test(pack, definitions_beyond_the_index_bound_are_refused)
{
	static uint8_t block[PACK_BLOCK_MAX];
	const struct packer_config config = {.frame_len = 8u << 20, .level = 1, INDEX};
	struct packer *packer;
	struct pack *pack;
	struct err err;
	size_t n = 0;

	cr_assert_eq(packer_open(&packer, &config, &err), 0);
	cr_assert_eq(pack_open(&pack, packer, &err), 0);
	while (pack_add_definition(pack, block, sizeof(block), 0) == 0)
		n += sizeof(block);
	cr_assert_eq(pack_add_definition(pack, block, sizeof(block), 0), -ENOBUFS);
	cr_assert_leq(n, PACK_DEFINITIONS_MAX);
	pack_close(pack);
	packer_close(packer);
}

/* A file of one packet, with n interfaces that have a names block each; raw as in make_file. */
static void make_named_file(const struct packer_config *config, unsigned n, bool finish,
			    struct bytes *raw, struct bytes *packed)
{
	const struct block_interface interface = {.linktype = 1, .snaplen = 262144, .name = "a"};
	const struct block_name name = {{{[10] = 0xff, 0xff, 10, 0, 0, 1}}, "amf-1"};
	uint8_t block[1024];
	struct packer *packer;
	struct pack *pack;
	struct err err;
	const uint8_t *out;
	size_t len;

	cr_assert_eq(packer_open(&packer, config, &err), 0, "%s", err.text);
	cr_assert_eq(pack_open(&pack, packer, &err), 0);
	add_definition(pack, raw, block, block_section(block, sizeof(block), "test", NULL));
	for (unsigned i = 0; i < n; i++) {
		len = block_interface(block, sizeof(block), &interface);
		const size_t names_len = block_names(block + len, sizeof(block) - len, &name, 1);
		cr_assert_eq(pack_add_definition(pack, block, len + names_len, names_len), 0);
		append(raw, block, len + names_len);
	}
	pack_add_packet(pack, block, make_packet(block, 0), time_of(0));
	append(raw, block, block_packet_len(60));
	flush(pack, packed);
	cr_assert_eq(pack_finish(pack, &out, &len), 0);
	if (finish)
		append(packed, out, len);
	pack_close(pack);
	packer_close(packer);
}

static unsigned count_blocks(struct unpack *unpack, enum block_kind kind)
{
	struct block_reader *reader;
	struct block block;
	struct err err;
	size_t len, used;
	unsigned n = 0;

	cr_assert_eq(block_reader_open(&reader, &err), 0);
	for (const uint8_t *p = unpack_interfaces(unpack, &len); len; p += used, len -= used) {
		cr_assert_eq(block_read(reader, p, len, &block, &used, &err), 0);
		n += block.kind == kind;
	}
	block_reader_close(reader);
	return n;
}

Test(pack, index_repeats_names_and_a_pass_finds_them)
{
	for (unsigned finish = 0; finish < 2; finish++) {
		struct bytes raw = {0}, packed = {0}, got = {0};
		struct unpack *unpack;
		struct err err;

		make_named_file(&CONFIG, 3, finish, &raw, &packed);
		cr_assert_eq(open_bytes(&unpack, &packed, &err), 0, "%s", err.text);
		cr_assert_eq(unpack_is_indexed(unpack), finish);
		cr_assert_eq(count_blocks(unpack, BLOCK_INTERFACE), 3);
		cr_assert_eq(count_blocks(unpack, BLOCK_NAMES), 3);
		cr_assert_eq(read_all(unpack, &got, &err), 0);
		expect_same(&raw, &got);
		unpack_close(unpack);
		free(raw.p), free(packed.p), free(got.p);
	}
}

Test(pack, names_take_at_most_half_of_the_index_and_stay_in_the_frame)
{
	const struct packer_config config = {
		.frame_len = 8u << 20, .level = 1, .frames_max = 10, .definitions_max = 2048};
	struct bytes raw = {0}, packed = {0}, got = {0};
	struct unpack *unpack;
	struct err err;

	make_named_file(&config, 25, true, &raw, &packed);
	cr_assert_eq(open_bytes(&unpack, &packed, &err), 0, "%s", err.text);
	cr_assert(unpack_is_indexed(unpack));
	cr_assert_eq(count_blocks(unpack, BLOCK_INTERFACE), 25);
	/* Section of 48 bytes; 40 + 32 bytes a session fit 13 times into 1024 with it. */
	cr_assert_eq(count_blocks(unpack, BLOCK_NAMES), 13);
	cr_assert_eq(read_all(unpack, &got, &err), 0);
	expect_same(&raw, &got);
	unpack_close(unpack);
	free(raw.p), free(packed.p), free(got.p);
}
