#include "path/gather.h"

#include <assert.h>
#include <string.h>

static void copy_inner(uint8_t *out, const struct batch *batch, const struct packet *packet)
{
	uint32_t left = packet->cap_len - packet->len;

	memcpy(out, packet->data, packet->len);
	out += packet->len;
	for (unsigned i = 0; left; i++) {
		const struct segment *s = &batch->segment[packet->more + i];
		const uint32_t n = s->len < left ? s->len : left;
		memcpy(out, s->data, n);
		out += n;
		left -= n;
	}
}

void gather_packet(struct chunk *chunk, const struct batch *batch, const struct packet *packet,
		   const struct gathered *as)
{
	static const uint32_t flags[] = {[SESSION_INGRESS] = BLOCK_INBOUND,
					 [SESSION_EGRESS] = BLOCK_OUTBOUND,
					 [SESSION_UNDIRECTED] = 0};
	const struct block_packet block = {.time_ns = packet->time_ns,
					   .interface = as->place,
					   .cap_len = packet->cap_len,
					   .wire_len = as->wire_len,
					   .id = as->id,
					   .queue = packet->queue,
					   .flags = flags[as->direction],
					   .drops = as->drops};
	uint8_t *out = chunk->data + chunk->len;

	assert(gather_has_room(chunk, packet));
	copy_inner(out + BLOCK_PACKET_HEAD, batch, packet);
	chunk->len += (uint32_t)block_packet_frame(out, &block);
}

uint32_t gather_move(struct chunk *chunk, uint64_t since, uint32_t from, uint32_t place)
{
	uint32_t n = 0;

	for (uint32_t at = 0; at < chunk->len; at += block_packet_total(chunk->data + at)) {
		uint8_t *block = chunk->data + at;
		if (place_session(block_packet_interface(block)) != from ||
		    (block_packet_id(block) & PACKET_SEQUENCE) < since)
			continue;
		block_packet_set(block, place, block_packet_time(block));
		n++;
	}
	return n;
}
