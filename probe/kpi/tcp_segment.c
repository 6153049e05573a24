#include "kpi/tcp_segment.h"

#include "wire.h"

#define HEADER_LEN 20

/* Kinds of options. */
#define END        0
#define NO_OP      1
#define SCALE      3
#define SACK       5
#define TIMESTAMPS 8

#define SCALE_MAX 14 /* RFC 7323 section 2.3 */

/* Bytes of the segment by the IP header, captured or not. */
static uint32_t segment_len(const struct dissected *d)
{
	const uint32_t head = (uint32_t)d->l4 - d->l3;

	if (!d->ip_len)
		return d->wire_len - d->l4;
	return d->ip_len > head ? d->ip_len - head : 0;
}

static void read_sacks(struct tcp_segment *out, const uint8_t *block, const uint8_t *end)
{
	for (; end - block >= 8 && out->n_sacks < TCP_SACKS_MAX; block += 8)
		out->sack[out->n_sacks++] = (struct tcp_sack){wire_u32(block), wire_u32(block + 4)};
}

/* A whole option of len bytes at o. */
static void read_option(struct tcp_segment *out, const uint8_t *o, uint8_t len)
{
	if (o[0] == SCALE && len == 3 && out->flags & TCP_FLAG_SYN) {
		out->has_scale = true;
		out->scale = o[2] < SCALE_MAX ? o[2] : SCALE_MAX;
	} else if (o[0] == TIMESTAMPS && len == 10) {
		out->has_timestamps = true;
		out->tsval = wire_u32(o + 2);
		out->tsecr = wire_u32(o + 6);
	} else if (o[0] == SACK) {
		read_sacks(out, o + 2, o + len);
	}
}

/* Timestamps alone, as RFC 7323 appendix A lays them out: nearly all segments. */
#define ONLY_TIMESTAMPS     0x0101080au
#define ONLY_TIMESTAMPS_LEN 12

static void read_options(struct tcp_segment *out, const uint8_t *o, const uint8_t *end)
{
	if (end - o == ONLY_TIMESTAMPS_LEN && wire_u32(o) == ONLY_TIMESTAMPS) {
		read_option(out, o + 2, 10);
		return;
	}
	while (o < end && *o != END) {
		if (*o == NO_OP) {
			o++;
			continue;
		}
		if (end - o < 2 || o[1] < 2 || end - o < o[1])
			return;
		read_option(out, o, o[1]);
		o += o[1];
	}
}

bool tcp_segment_read(struct tcp_segment *out, const struct packet *p, const struct dissected *d)
{
	const uint8_t *t = p->data + d->l4;
	const uint32_t len = segment_len(d);

	if (p->len < (uint32_t)d->l4 + HEADER_LEN)
		return false;
	const uint32_t captured = p->len - d->l4, head = (t[12] >> 4) * 4u;
	if (head < HEADER_LEN || head > len)
		return false;
	*out = (struct tcp_segment){.time_ns = p->time_ns,
				    .seq = wire_u32(t + 4),
				    .ack = wire_u32(t + 8),
				    .len = len - head,
				    .ip_len = len + d->l4 - d->l3,
				    .window = wire_u16(t + 14),
				    .flags = t[13],
				    .direction = d->direction,
				    .is_fragment = d->marks >> MARK_FIRST_FRAGMENT & 1};
	out->end =
		out->seq + out->len + !!(out->flags & TCP_FLAG_SYN) + !!(out->flags & TCP_FLAG_FIN);
	read_options(out, t + HEADER_LEN, t + (head < captured ? head : captured));
	return true;
}
