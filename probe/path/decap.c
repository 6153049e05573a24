#include "path/decap.h"

#include "steer.h"

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t whole_len(const struct batch *batch, const struct frame *frame)
{
	uint32_t len = frame->len;

	for (unsigned i = 0; i < frame->n_more; i++)
		len += batch->segment[frame->more + i].len;
	return len;
}

/* The inner frame: from offset on, inner_len bytes or as many as there are. */
static void set_inner(struct packet *out, const struct frame *frame, uint32_t whole,
		      uint32_t offset, uint32_t inner_len)
{
	out->data = frame->data + offset;
	out->cap_len = least(least(inner_len, PACKET_MAX), whole - offset);
	out->len = least(out->cap_len, frame->len - offset);
	out->more = frame->more;
	out->n_more = frame->n_more;
	out->time_ns = frame->time_ns;
	out->sequence = frame->sequence;
}

static enum fate decap_steered(const struct frame *frame, uint32_t whole, struct packet *out)
{
	const struct steer_header *h = frame->steer;

	if (h->magic != STEER_MAGIC || h->frame_len != whole || h->inner > frame->len)
		return FATE_BAD_HEADER;
	set_inner(out, frame, whole, h->inner, h->inner_len);
	out->queue = h->queue;
	out->source = h->source;
	out->vni = h->vni;
	out->hash = h->hash;
	return FATE_KEPT;
}

enum fate decap_frame(const struct decap_config *config, const struct batch *batch,
		      const struct frame *frame, struct packet *out)
{
	const uint32_t whole = whole_len(batch, frame);
	const uint8_t *end = frame->data + frame->len;
	struct steer_outer outer;

	if (frame->steer)
		return decap_steered(frame, whole, out);
	const int verdict = steer_outer_parse(frame->data, end, whole, config->port, &outer);
	if (verdict != STEER_OURS)
		return (enum fate)verdict;
	set_inner(out, frame, whole, outer.inner, outer.inner_len);
	out->queue = 0;
	out->source = outer.source;
	out->vni = outer.vni;
	out->hash = steer_hash(&config->key, &outer, out->data, out->data + out->len);
	return FATE_KEPT;
}
