#include "kpi/tcp.h"

#include "wire.h"

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define ACK 0x10

#define HEADER_LEN 20

struct tcp_segment {
	uint64_t time_ns;
	uint32_t seq, ack;
	uint32_t end; /* sequence number behind SYN and data */
	uint8_t flags, direction;
};

/* Sequence numbers wrap (RFC 9293 section 3.4). */
static bool is_within(uint32_t number, uint32_t first, uint32_t last)
{
	return number - first <= last - first;
}

static bool is_behind(uint32_t number, uint32_t other)
{
	return (int32_t)(number - other) > 0;
}

/* Bytes of the segment by the IP header, captured or not. */
static uint32_t segment_len(const struct dissected *d)
{
	const uint32_t head = (uint32_t)d->l4 - d->l3;

	if (!d->ip_len)
		return d->wire_len - d->l4;
	return d->ip_len > head ? d->ip_len - head : 0;
}

/* False: no whole fixed header, or none that can be one. */
static bool read_segment(const struct packet *p, const struct dissected *d, struct tcp_segment *out)
{
	const uint8_t *t = p->data + d->l4;
	const uint32_t len = segment_len(d);

	if (p->len < (uint32_t)d->l4 + HEADER_LEN)
		return false;
	const uint32_t head = (t[12] >> 4) * 4u;
	if (head < HEADER_LEN || head > len)
		return false;
	*out = (struct tcp_segment){.time_ns = p->time_ns,
				    .seq = wire_u32(t + 4),
				    .ack = wire_u32(t + 8),
				    .flags = t[13],
				    .direction = d->direction};
	out->end = out->seq + len - head + !!(out->flags & SYN);
	return true;
}

/* The SYN of a SYN-ACK that the mirror put in front of it. */
static bool is_late(const struct tcp *tcp, const struct tcp_segment *s)
{
	return tcp->phase == TCP_EARLY && s->direction == tcp->client &&
	       is_within(tcp->syn_end, s->seq + 1, s->end);
}

static void take_syn(struct tcp *tcp, const struct tcp_segment *s)
{
	const bool from_client = s->direction == tcp->client;
	const bool is_again = tcp->phase >= TCP_ASKED && from_client && s->seq == tcp->syn_seq;
	const bool is_simultaneous = tcp->phase == TCP_ASKED && !from_client;

	if (is_again || is_simultaneous) {
		tcp->is_ambiguous = true;
		tcp->is_reset = false; /* some stacks ask again after a RST, with the same number */
		return;
	}
	if (is_late(tcp, s)) {
		tcp->phase = TCP_ANSWERED;
		tcp->syn_seq = s->seq;
		return;
	}
	*tcp = (struct tcp){.phase = TCP_ASKED,
			    .client = s->direction,
			    .asked_ns = s->time_ns,
			    .syn_seq = s->seq,
			    .syn_end = s->end};
}

static void keep_answer(struct tcp *tcp, const struct tcp_segment *s, enum tcp_phase phase)
{
	tcp->phase = phase;
	tcp->client = !s->direction;
	tcp->syn_end = s->ack;
	tcp->asked_ns = s->time_ns;
	tcp->answer_seq = s->seq;
	tcp->answer_end = s->end;
}

static enum tcp_half take_answer(struct tcp *tcp, const struct tcp_segment *s, uint64_t *ns)
{
	if (tcp->phase == TCP_UNKNOWN)
		keep_answer(tcp, s, TCP_EARLY);
	else if (tcp->phase != TCP_ASKED)
		tcp->is_ambiguous = true;
	if (tcp->phase != TCP_ASKED || s->direction == tcp->client ||
	    !is_within(s->ack, tcp->syn_seq + 1, tcp->syn_end))
		return TCP_NEITHER;
	const uint64_t asked_ns = tcp->asked_ns;
	keep_answer(tcp, s, TCP_ANSWERED);
	if (tcp->is_ambiguous || s->time_ns < asked_ns)
		return TCP_NEITHER;
	*ns = s->time_ns - asked_ns;
	return TCP_SERVER_HALF;
}

/* A segment with ACK, without SYN. */
static enum tcp_half take_ack(struct tcp *tcp, const struct tcp_segment *s, uint64_t *ns)
{
	if (s->direction != tcp->client)
		return TCP_NEITHER;
	/* It may answer a SYN-ACK that has yet to come; then the next one would look like it. */
	if (tcp->phase < TCP_ANSWERED)
		tcp->is_acked_early = true;
	if (tcp->phase != TCP_ANSWERED || !is_behind(s->ack, tcp->answer_seq))
		return TCP_NEITHER;
	tcp->phase = TCP_OPEN;
	if (tcp->is_ambiguous || tcp->is_acked_early || s->time_ns < tcp->asked_ns ||
	    !is_within(s->ack, tcp->answer_seq + 1, tcp->answer_end))
		return TCP_NEITHER;
	*ns = s->time_ns - tcp->asked_ns;
	return TCP_CLIENT_HALF;
}

enum tcp_half tcp_packet(struct tcp *tcp, const struct packet *packet, const struct dissected *d,
			 uint64_t *ns)
{
	struct tcp_segment s;

	if (!read_segment(packet, d, &s))
		return TCP_NEITHER;
	if (s.flags & RST) {
		tcp->is_reset |= tcp_end(tcp) == TCP_ALIVE;
		return TCP_NEITHER;
	}
	if (s.flags & FIN)
		tcp->fins |= (uint8_t)(1u << s.direction);
	switch (s.flags & (SYN | ACK)) {
	case SYN:
		take_syn(tcp, &s);
		return TCP_NEITHER;
	case SYN | ACK:
		return take_answer(tcp, &s, ns);
	case ACK:
		return take_ack(tcp, &s, ns);
	default:
		return TCP_NEITHER;
	}
}

enum tcp_end tcp_end(const struct tcp *tcp)
{
	if (tcp->is_reset)
		return TCP_RST;
	return tcp->fins == 3 ? TCP_FIN : TCP_ALIVE;
}
