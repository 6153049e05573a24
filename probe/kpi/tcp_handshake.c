#include "kpi/tcp_handshake.h"

/* The SYN of an answer that the mirror put in front of it. */
static bool is_late(const struct tcp_handshake *tcp, const struct tcp_segment *s)
{
	return tcp->phase == TCP_EARLY && s->direction == tcp->client &&
	       tcp_is_within(tcp->syn_end, s->seq + 1, s->end);
}

static unsigned take_syn(struct tcp_handshake *tcp, const struct tcp_segment *s)
{
	const bool from_client = s->direction == tcp->client;
	const bool is_again = tcp->phase >= TCP_ASKED && from_client && s->seq == tcp->syn_seq;
	const bool is_simultaneous = tcp->phase == TCP_ASKED && !from_client;

	if (is_again || is_simultaneous) {
		tcp->is_ambiguous = true;
		tcp->is_reset = false; /* some stacks ask again after a RST, with the same number */
		return 0;
	}
	if (is_late(tcp, s)) {
		tcp->phase = tcp->has_failed ? TCP_ASKED : TCP_ANSWERED;
		tcp->syn_seq = s->seq;
		tcp->is_attempt = true;
		return TCP_ATTEMPTED | (tcp->has_failed ? TCP_REFUSED : 0);
	}
	*tcp = (struct tcp_handshake){.phase = TCP_ASKED,
				      .client = s->direction,
				      .asked_ns = s->time_ns,
				      .syn_seq = s->seq,
				      .syn_end = s->end,
				      .is_attempt = true};
	return TCP_ATTEMPTED;
}

static void keep_answer(struct tcp_handshake *tcp, const struct tcp_segment *s,
			enum tcp_phase phase)
{
	tcp->phase = phase;
	tcp->client = !s->direction;
	tcp->syn_end = s->ack;
	tcp->asked_ns = s->time_ns;
	tcp->answer_seq = s->seq;
	tcp->answer_end = s->end;
}

static unsigned take_answer(struct tcp_handshake *tcp, const struct tcp_segment *s, uint64_t *ns)
{
	if (tcp->phase == TCP_UNKNOWN)
		keep_answer(tcp, s, TCP_EARLY);
	else if (tcp->phase != TCP_ASKED)
		tcp->is_ambiguous = true;
	if (tcp->phase != TCP_ASKED || s->direction == tcp->client ||
	    !tcp_is_within(s->ack, tcp->syn_seq + 1, tcp->syn_end))
		return 0;
	const uint64_t asked_ns = tcp->asked_ns;
	keep_answer(tcp, s, TCP_ANSWERED);
	if (tcp->is_ambiguous || s->time_ns < asked_ns)
		return 0;
	*ns = s->time_ns - asked_ns;
	return TCP_SERVER_HALF;
}

/* A segment with ACK, without SYN. */
static unsigned take_ack(struct tcp_handshake *tcp, const struct tcp_segment *s, uint64_t *ns)
{
	if (s->direction != tcp->client)
		return 0;
	/* It may answer a SYN-ACK that has yet to come; then the next one would look like it. */
	if (tcp->phase < TCP_ANSWERED)
		tcp->is_acked_early = true;
	if (tcp->phase != TCP_ANSWERED || !tcp_is_behind(s->ack, tcp->answer_seq))
		return 0;
	tcp->phase = TCP_OPEN;
	if (tcp->is_ambiguous || tcp->is_acked_early || s->time_ns < tcp->asked_ns ||
	    !tcp_is_within(s->ack, tcp->answer_seq + 1, tcp->answer_end))
		return 0;
	*ns = s->time_ns - tcp->asked_ns;
	return TCP_CLIENT_HALF;
}

static unsigned take_establishment(struct tcp_handshake *tcp, const struct tcp_segment *s)
{
	if (!tcp->is_attempt || tcp->is_established || s->direction != tcp->client ||
	    !tcp_is_behind(s->seq, tcp->syn_seq))
		return 0;
	tcp->is_established = true;
	return TCP_ESTABLISHED;
}

static bool is_refused(const struct tcp_handshake *tcp, const struct tcp_segment *s)
{
	return tcp_handshake_is_unanswered(tcp) && s->direction != tcp->client &&
	       s->flags & TCP_FLAG_ACK && tcp_is_within(s->ack, tcp->syn_seq + 1, tcp->syn_end);
}

static unsigned take_reset(struct tcp_handshake *tcp, const struct tcp_segment *s)
{
	if (tcp->is_reset)
		return 0;
	tcp->is_reset = true;
	if (is_refused(tcp, s)) {
		tcp->has_failed = true;
		return TCP_REFUSED | TCP_RESET;
	}
	/* Nothing but a SYN is answered so (RFC 9293 section 3.10.7.1); it has yet to come. */
	if (tcp->phase == TCP_UNKNOWN && !tcp->is_acked_early && !tcp->fins &&
	    s->flags & TCP_FLAG_ACK && s->seq == 0) {
		keep_answer(tcp, s, TCP_EARLY);
		tcp->has_failed = true;
	}
	return TCP_RESET;
}

unsigned tcp_handshake_segment(struct tcp_handshake *tcp, const struct tcp_segment *s, uint64_t *ns)
{
	if (s->flags & TCP_FLAG_RST)
		return take_reset(tcp, s);
	if (s->flags & TCP_FLAG_FIN)
		tcp->fins |= 1u << s->direction;
	switch (s->flags & (TCP_FLAG_SYN | TCP_FLAG_ACK)) {
	case TCP_FLAG_SYN:
		return take_syn(tcp, s);
	case TCP_FLAG_SYN | TCP_FLAG_ACK:
		return take_answer(tcp, s, ns);
	case TCP_FLAG_ACK:
		return take_establishment(tcp, s) | take_ack(tcp, s, ns);
	default:
		return 0;
	}
}

bool tcp_handshake_is_unanswered(const struct tcp_handshake *tcp)
{
	return tcp->phase == TCP_ASKED && !tcp->is_established && !tcp->has_failed;
}

enum tcp_end tcp_handshake_end(const struct tcp_handshake *tcp)
{
	if (tcp->fins == 3)
		return TCP_FIN;
	return tcp->is_reset ? TCP_RST : TCP_ALIVE;
}
