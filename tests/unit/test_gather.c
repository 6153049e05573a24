#include "path/gather.h"

#include <criterion/criterion.h>
#include <string.h>

#include "path/block_read.h"

static uint8_t room[4096], bytes[1000];
static struct chunk chunk;
static struct batch batch;

static void make_chunk(void)
{
	chunk = (struct chunk){.data = room, .cap = sizeof(room)};
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7);
}

TestSuite(gather, .init = make_chunk);

static struct packet packet_of(uint32_t len)
{
	return (struct packet){
		.data = bytes, .len = len, .cap_len = len, .time_ns = 5000000000, .queue = 3};
}

/* What a reader of pcapng finds in the block at offset at. Section and interface come first. */
static struct block_packet read_back(uint32_t at)
{
	const struct block_interface interface = {.linktype = 1, .snaplen = BLOCK_SNAPLEN};
	uint8_t head[256];
	struct block_reader *reader;
	struct block block;
	struct err err;
	size_t used;

	cr_assert_eq(block_reader_open(&reader, &err), 0);
	size_t len = block_section(head, sizeof(head), "test", NULL);
	cr_assert_eq(block_read(reader, head, len, &block, &used, &err), 0);
	len = block_interface(head, sizeof(head), &interface);
	for (unsigned i = 0; i < 10; i++)
		cr_assert_eq(block_read(reader, head, len, &block, &used, &err), 0);
	cr_assert_eq(block_read(reader, room + at, chunk.len - at, &block, &used, &err), 0, "%s",
		     err.text);
	block_reader_close(reader);
	return block.packet;
}

static void gather(const struct packet *p, uint32_t session, uint32_t wire_len, uint64_t id)
{
	const struct gathered as = {.place = place_of(session, 0),
				    .wire_len = wire_len,
				    .id = id,
				    .drops = 4,
				    .direction = SESSION_EGRESS};

	gather_packet(&chunk, &batch, p, &as);
}

static void gather_sessions(const char *sessions)
{
	const struct packet p = packet_of(60);

	for (uint64_t id = 0; sessions[id]; id++)
		gather(&p, (uint32_t)(sessions[id] - '0'), 60, id);
}

static void assert_sessions(const char *sessions)
{
	uint32_t at = 0;

	for (; *sessions; sessions++, at += block_packet_total(room + at))
		cr_assert_eq(block_packet_interface(room + at), (uint32_t)(*sessions - '0'));
	cr_assert_eq(at, chunk.len);
}

Test(gather, packet_becomes_a_finished_block)
{
	const struct packet p = packet_of(61);

	gather(&p, 7, 1500, 0x0002000000000005);
	cr_assert_eq(chunk.len, block_packet_len(61));
	const struct block_packet b = read_back(0);
	cr_assert_eq(b.interface, 7);
	cr_assert_eq(b.time_ns, 5000000000);
	cr_assert_eq(b.cap_len, 61);
	cr_assert_eq(b.wire_len, 1500);
	cr_assert_eq(b.id, 0x0002000000000005);
	cr_assert_eq(b.queue, 3);
	cr_assert_eq(b.drops, 4);
	cr_assert_arr_eq(b.data, bytes, 61);
}

/* draft-ietf-opsawg-pcapng 4.3.1: 01 is inbound, 10 outbound; the interface is the mirrored ENI. */
Test(gather, direction_is_seen_from_the_mirrored_eni)
{
	static const uint32_t flags[] = {1, 2, 0};
	const struct packet p = packet_of(61);

	for (enum session_direction d = SESSION_INGRESS; d <= SESSION_UNDIRECTED; d++) {
		const struct gathered as = {.direction = d};
		chunk.len = 0;
		gather_packet(&chunk, &batch, &p, &as);
		cr_assert_eq(read_back(0).flags, flags[d]);
	}
}

Test(gather, segments_are_joined)
{
	struct packet p = packet_of(100);

	p.cap_len = 250;
	p.more = 4;
	p.n_more = 2;
	batch.segment[4] = (struct segment){bytes + 100, 100};
	batch.segment[5] = (struct segment){bytes + 200, 50};
	gather(&p, 0, 250, 0);
	const struct block_packet b = read_back(0);
	cr_assert_eq(b.cap_len, 250);
	cr_assert_arr_eq(b.data, bytes, 250);
}

Test(gather, of_a_segment_no_more_is_taken_than_belongs_to_the_packet)
{
	struct packet p = packet_of(100);

	p.cap_len = 110; /* the rest is the outer frame's padding */
	p.n_more = 1;
	batch.segment[0] = (struct segment){bytes + 100, 100};
	gather(&p, 0, 110, 0);
	cr_assert_eq(chunk.len, block_packet_len(110));
	cr_assert_arr_eq(read_back(0).data, bytes, 110);
}

Test(gather, packet_without_bytes_has_its_block)
{
	const struct packet p = packet_of(0);

	gather(&p, 0, 0, 0);
	cr_assert_eq(read_back(0).cap_len, 0);
}

Test(gather, blocks_follow_one_another)
{
	const struct packet first = packet_of(61), second = packet_of(90);

	gather(&first, 0, 61, 1);
	gather(&second, 1, 90, 2);
	cr_assert_eq(read_back((uint32_t)block_packet_len(61)).id, 2);
}

Test(gather, room_is_told_to_the_byte)
{
	const struct packet p = packet_of(61);

	chunk.cap = (uint32_t)block_packet_len(61);
	cr_assert(gather_has_room(&chunk, &p));
	chunk.cap--;
	cr_assert_not(gather_has_room(&chunk, &p));
}

Test(gather, move_takes_those_of_the_session_from_a_sequence_on)
{
	gather_sessions("0010200");
	cr_assert_eq(gather_move(&chunk, 3, 0, 5), 3);
	assert_sessions("0015255");
}

Test(gather, place_has_session_and_store)
{
	const struct packet p = packet_of(61);
	const uint32_t place = place_of((1u << PLACE_SESSION_BITS) - 2, 15);

	cr_assert_eq(place_session(place), (1u << PLACE_SESSION_BITS) - 2);
	cr_assert_eq(place_store(place), 15);
	const struct gathered as = {.place = place_of(4, 2), .wire_len = 61};
	gather_packet(&chunk, &batch, &p, &as);
	cr_assert_eq(gather_move(&chunk, 0, 4, place_of(5, 3)), 1, "of whatever store");
	cr_assert_eq(block_packet_interface(chunk.data), place_of(5, 3));
}

Test(gather, move_says_how_many_were_still_there)
{
	gather_sessions("1010");
	cr_assert_eq(gather_move(&chunk, 0, 0, 5), 2);
	assert_sessions("1515");
	cr_assert_eq(gather_move(&chunk, 0, 0, 5), 0);
}

Test(gather, move_knows_the_sequence_from_the_worker)
{
	const struct packet p = packet_of(61);

	gather(&p, 0, 61, packet_id(3, 7));
	cr_assert_eq(gather_move(&chunk, 8, 0, 5), 0);
	cr_assert_eq(gather_move(&chunk, 7, 0, 5), 1);
}

Test(gather, move_changes_nothing_but_the_session)
{
	const struct packet p = packet_of(61);

	gather(&p, 0, 1500, 9);
	gather_move(&chunk, 9, 0, 5);
	const struct block_packet b = read_back(0);
	cr_assert_eq(b.interface, 5);
	cr_assert_eq(b.time_ns, 5000000000);
	cr_assert_eq(b.id, 9);
	cr_assert_arr_eq(b.data, bytes, 61);
}
