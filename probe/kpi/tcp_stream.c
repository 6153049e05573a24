#include "kpi/tcp_stream.h"

#include "kpi/tcp_loss.h"

#define JUMP_MAX (1u << 30) /* the largest window, RFC 7323 section 2.3 */
/* What 100 Gbit/s are in TCP_LATE_NS: an ACK overtakes no more. */
#define OVERTAKEN_BYTES (64u << 20)
/* Without a round trip to go by, as kpis.md 1.2. */
#define REORDER_MAX ((uint32_t)(3000000 >> TCP_TICK_SHIFT))
/* RFC 5681 asks for three; the mirror may have lost one. */
#define DUPLICATES_MIN 2

#define CONTROL (TCP_FLAG_SYN | TCP_FLAG_FIN | TCP_FLAG_RST)

/* A segment and what it says of. */
struct context {
	const struct kpi_sink *sink;
	const struct tcp_segment *s;
	struct tcp_way *way;  /* its own direction */
	struct tcp_way *back; /* whose data it acknowledges */
	uint32_t now;
	bool is_both;   /* segments of both directions were seen */
	bool to_server; /* it went there */
};

/* Ahead or behind by more. */
static bool is_far(uint32_t number, uint32_t other)
{
	return number - other + JUMP_MAX > 2 * JUMP_MAX;
}

static void begin(const struct kpi_sink *sink, struct tcp_way *way, uint32_t first)
{
	tcp_gaps_drop(sink->gaps, &way->gaps);
	*way = (struct tcp_way){.first = first,
				.next = first,
				.acked = first,
				.ack = first,
				.is_known = true,
				.window = way->window,
				.scale = way->scale,
				.has_scale = way->has_scale,
				.is_past_syn = way->is_past_syn};
}

/* ---- data ---- */

/* What is 1 GiB behind and was not acknowledged is given up: numbers farther apart than half of
 * them cannot be compared, and where one direction is mirrored nothing is ever acknowledged. */
static void advance(const struct kpi_sink *sink, struct tcp_way *way, uint32_t next)
{
	const uint32_t least = next - JUMP_MAX;

	way->next = next;
	if (next - way->acked <= JUMP_MAX)
		return;
	(void)tcp_gaps_forget(sink->gaps, &way->gaps, least);
	way->acked = least;
	way->is_waiting = false;
	if (tcp_is_behind(least, way->ack))
		way->ack = least;
}

static void add_gap(const struct context *c, uint32_t start, uint32_t end)
{
	if (!tcp_gaps_add(c->sink->gaps, &c->way->gaps, start, end, c->now))
		kpi_count(c->sink, KPI_TCP_GAPS_UNTRACKED, 1);
}

static bool is_sacked(const struct tcp_way *way, uint32_t start, uint32_t end)
{
	return way->sack_start != way->sack_end &&
	       tcp_is_within(start, way->sack_start, way->sack_end) &&
	       tcp_is_within(end, way->sack_start, way->sack_end);
}

static bool is_sacked_above(const struct tcp_way *way, uint32_t seq)
{
	return way->sack_start != way->sack_end && tcp_is_behind(way->sack_end, seq);
}

static enum kpi kind_of(const struct context *c, uint32_t seq)
{
	const struct tcp_way *way = c->way;

	if (!c->is_both)
		return KPI_TCP_RETRANSMITTED_RTO;
	if (!tcp_is_behind(c->s->end, way->ack) || is_sacked(way, seq, c->s->end))
		return KPI_TCP_RETRANSMITTED_SPURIOUS;
	if (is_sacked_above(way, seq) || (way->duplicates >= DUPLICATES_MIN && seq == way->ack))
		return KPI_TCP_RETRANSMITTED_FAST;
	return KPI_TCP_RETRANSMITTED_RTO;
}

/* len of its bytes had been sent before. */
static void count_resent(const struct context *c, enum kpi kind, uint32_t seq, uint32_t len)
{
	tcp_rtt_resent(&c->way->rtt, seq);
	kpi_count(c->sink, kind, 1);
	kpi_count(c->sink, KPI_TCP_RETRANSMITTED_BYTES, len);
}

/* The receiver must see the gap, and the sender its ACKs, before the gap is sent again. That takes
 * a round trip, of which the smallest seen may be too long: half of it is safe. */
static uint32_t reorder_max(const struct context *c)
{
	const uint32_t rtt = (uint32_t)c->way->rtt.min + c->back->rtt.min;

	return rtt ? (rtt + 1) / 2 : REORDER_MAX;
}

/* Was a segment, none of it beyond next, only late? Without timestamps that can be told alone of
 * one that fills a gap. */
static bool is_reordered(const struct context *c, struct tcp_gaps_filled filled)
{
	const struct tcp_rtt *rtt = &c->way->rtt;

	if (c->s->has_timestamps && rtt->has_tsval_max && c->s->tsval != rtt->tsval_max)
		return tcp_is_behind(rtt->tsval_max, c->s->tsval);
	return filled.len && c->now - filled.since < reorder_max(c);
}

/* Bytes from seq to end, of which none is beyond next. */
static void take_seen(const struct context *c, uint32_t seq, uint32_t end)
{
	const struct tcp_gaps_filled filled = tcp_gaps_fill(c->sink->gaps, &c->way->gaps, seq, end);

	kpi_count(c->sink, KPI_TCP_GOODPUT_BYTES, filled.len);
	kpi_count(c->sink, KPI_TCP_GAPS_UNTRACKED, filled.is_trimmed);
	if (c->s->flags & TCP_FLAG_SYN)
		return;
	if (is_reordered(c, filled))
		kpi_count(c->sink, KPI_TCP_OUT_OF_ORDER, 1);
	else
		count_resent(c, kind_of(c, seq), seq, end - seq);
}

/* Bytes from seq to end, none of them before next. */
static void take_new(const struct context *c, uint32_t seq, uint32_t end)
{
	struct tcp_way *way = c->way;

	if (seq != way->next)
		add_gap(c, way->next, seq);
	kpi_count(c->sink, KPI_TCP_GOODPUT_BYTES, end - seq);
	advance(c->sink, way, end);
	way->has_untold = c->s->is_fragment;
}

static void time_new(const struct context *c)
{
	/* An ACK or SACK that overtook its data cannot be told from the next one. */
	if (!c->is_both || !c->s->len || c->s->is_fragment ||
	    !tcp_is_behind(c->s->end, c->way->ack) || is_sacked(c->way, c->s->seq, c->s->end))
		return;
	if (!tcp_rtt_sent(&c->way->rtt, c->s->end, c->now))
		kpi_count(c->sink, KPI_TCP_RTT_SKIPPED, 1);
}

/* What follows is at number: so much more had been sent than could be told before. */
static void take_untold(const struct kpi_sink *sink, struct tcp_way *way, uint32_t number)
{
	if (!way->has_untold || !tcp_is_behind(number, way->next))
		return;
	kpi_count(sink, KPI_TCP_GOODPUT_BYTES, number - way->next);
	advance(sink, way, number);
	way->has_untold = false;
}

/* Data, a FIN, or both. */
static void take_data(const struct context *c, uint32_t seq)
{
	struct tcp_way *way = c->way;
	const uint32_t end = seq + c->s->len;

	take_untold(c->sink, way, seq);
	if (!way->has_syn && way->next == way->first && seq == way->next + 1)
		begin(c->sink, way, seq); /* what was seen first was a keep-alive */
	if (way->has_fin && tcp_is_behind(seq, way->next))
		return; /* nothing comes behind a FIN; some number it anew when they send it again
			 */
	if (!tcp_is_behind(way->next, seq)) {
		const bool is_again = c->s->len == 0 && way->has_fin;
		take_new(c, seq, end);
		if (is_again)
			count_resent(c, kind_of(c, seq), seq, 0);
		else if (!(c->s->flags & TCP_FLAG_SYN))
			time_new(c);
	} else if (tcp_is_behind(end, way->next)) {
		const uint32_t next = way->next;
		take_seen(c, seq, next);
		take_new(c, next, end);
	} else if (c->s->len) {
		take_seen(c, seq, end);
	}
	way->has_fin |= (c->s->flags & TCP_FLAG_FIN) != 0;
}

static void take_syn(const struct context *c)
{
	struct tcp_way *way = c->way;
	const uint32_t first = c->s->seq + 1;

	if (!way->is_known || way->first != first)
		begin(c->sink, way, first);
	else if (way->has_syn)
		count_resent(c, KPI_TCP_RETRANSMITTED_SYN, first, c->s->len);
	way->has_syn = true;
	way->has_scale = c->s->has_scale;
	way->scale = c->s->scale & 15;
}

/* RFC 9293 section 3.8.4: in front of the next one, which the other side has. */
static bool is_keep_alive(const struct context *c)
{
	return c->s->len <= 1 && !(c->s->flags & CONTROL) &&
	       c->s->seq + 1 == c->way->next + c->way->has_fin;
}

static bool is_probe(const struct context *c)
{
	return c->s->len == 1 && !(c->s->flags & CONTROL) && c->s->seq == c->way->next &&
	       c->is_both && c->back->window == 0;
}

static bool fills_window(const struct context *c)
{
	const struct tcp_way *way = c->way, *back = c->back;
	const bool has_scale = way->has_scale && back->has_scale && back->is_past_syn;
	const uint32_t window = (uint32_t)back->window << (has_scale ? back->scale : 0);

	return c->is_both && way->has_syn && back->has_syn && window &&
	       c->s->seq + c->s->len == way->ack + window;
}

static void count_data(const struct context *c)
{
	kpi_count(c->sink, KPI_TCP_DATA_PACKETS, 1);
	kpi_count(c->sink, KPI_TCP_DATA_BYTES, c->s->len);
	if (c->is_both)
		kpi_add(c->sink->session, KPI_VISIBLE_BYTES, c->s->ip_len);
	if (fills_window(c))
		kpi_count(c->sink, KPI_TCP_WINDOW_FULL, 1);
}

static void take_segment(const struct context *c)
{
	const bool is_syn = c->s->flags & TCP_FLAG_SYN;

	c->way->is_keep_alive = false;
	if (is_syn)
		take_syn(c);
	if (c->s->len)
		count_data(c);
	if (is_keep_alive(c)) {
		c->way->is_keep_alive = true;
		if (c->s->len)
			tcp_rtt_resent(&c->way->rtt, c->s->seq);
		kpi_count(c->sink, KPI_TCP_KEEP_ALIVES, 1);
	} else if (is_probe(c)) {
		c->way->has_untold = true;
	} else if (c->s->len || c->s->flags & TCP_FLAG_FIN) {
		take_data(c, c->s->seq + is_syn);
	}
}

/* ---- acknowledgments ---- */

static void observe_rtt(const struct context *c, uint32_t ticks)
{
	kpi_observe(c->sink, c->to_server ? KPI_TCP_RTT_CLIENT : KPI_TCP_RTT_SERVER,
		    (uint64_t)ticks << TCP_TICK_SHIFT);
}

static bool is_duplicate(const struct context *c)
{
	/* A SYN acknowledged nothing yet. */
	return c->is_both && c->way->is_past_syn && !c->s->len && !(c->s->flags & CONTROL) &&
	       c->s->window && c->s->window == c->way->window && c->s->ack == c->back->ack &&
	       c->s->seq == c->way->next + c->way->has_fin && !c->back->is_keep_alive;
}

/* RFC 2883 section 4: below the ACK, or inside the second block. */
static bool has_dsack(const struct tcp_segment *s)
{
	const struct tcp_sack *sack = s->sack;

	return s->n_sacks && !is_far(sack[0].end, s->ack) &&
	       (!tcp_is_behind(sack[0].end, s->ack) ||
		(s->n_sacks > 1 && tcp_is_within(sack[0].start, sack[1].start, sack[1].end) &&
		 tcp_is_within(sack[0].end, sack[1].start, sack[1].end)));
}

static void take_dsack(const struct context *c)
{
	if (!c->is_both || !has_dsack(c->s))
		return;
	kpi_count(c->sink, KPI_TCP_DSACKS, 1);
	/* It may have overtaken what was sent again. */
	tcp_rtt_forget(&c->back->rtt, c->s->ack);
}

/* Keeps the highest range. */
static void take_sacks(const struct context *c)
{
	struct tcp_way *back = c->back;

	for (unsigned i = 0; i < c->s->n_sacks; i++) {
		const struct tcp_sack *sack = &c->s->sack[i];
		if (!tcp_is_behind(sack->end, sack->start) || is_far(sack->end, c->s->ack) ||
		    !tcp_is_behind(sack->start, c->s->ack) || is_sacked_above(back, sack->end))
			continue;
		back->sack_start = sack->start;
		back->sack_end = sack->end;
	}
	if (!tcp_is_behind(back->sack_end, back->ack))
		back->sack_start = back->sack_end;
}

static void take_ack(const struct context *c)
{
	struct tcp_way *back = c->back;
	uint32_t ticks;

	if (!back->is_known) {
		begin(c->sink, back, c->s->ack);
		back->ack_at = c->now;
	}
	if (is_far(c->s->ack, tcp_is_behind(back->ack, back->next) ? back->ack : back->next))
		return;
	take_dsack(c);
	if (is_duplicate(c)) {
		kpi_count(c->sink, KPI_TCP_DUPLICATE_ACKS, 1);
		back->duplicates += back->duplicates < DUPLICATES_MIN;
	}
	if (tcp_is_behind(c->s->ack, back->ack)) {
		back->ack = c->s->ack;
		back->ack_at = c->now;
		back->duplicates = 0;
		take_untold(c->sink, back, back->ack);
		if (tcp_rtt_acked(&back->rtt, back->ack, c->now, &ticks))
			observe_rtt(c, ticks);
	}
	take_sacks(c);
}

static void take_timestamps(const struct context *c)
{
	uint32_t ticks;

	if (!c->s->has_timestamps)
		return;
	tcp_rtt_stamped(&c->way->rtt, c->s->tsval, c->now);
	if (c->s->flags & TCP_FLAG_ACK &&
	    tcp_rtt_echoed(&c->back->rtt, c->s->tsecr, c->now, &ticks))
		kpi_observe(c->sink,
			    c->to_server ? KPI_TCP_TIMESTAMP_RTT_CLIENT
					 : KPI_TCP_TIMESTAMP_RTT_SERVER,
			    (uint64_t)ticks << TCP_TICK_SHIFT);
}

static void take_window(const struct context *c)
{
	struct tcp_way *way = c->way;
	const bool is_syn = c->s->flags & TCP_FLAG_SYN;
	const int32_t ticks = (int32_t)(c->now - way->closed);

	way->window = c->s->window;
	way->is_past_syn = !is_syn;
	if (way->is_closed && ticks > 0) {
		kpi_count(c->sink, KPI_TCP_ZERO_WINDOW_DURATION, (uint64_t)ticks << TCP_TICK_SHIFT);
		way->closed = c->now;
	}
	if (c->s->window) {
		way->is_closed = false;
	} else if (!way->is_closed && !(c->s->flags & CONTROL)) {
		kpi_count(c->sink, KPI_TCP_ZERO_WINDOWS, 1);
		way->is_closed = true;
		way->closed = c->now;
	}
}

/* A segment of the way itself tells where it stands, when nothing else does. */
static void find_place(const struct context *c)
{
	struct tcp_way *way = c->way;
	const uint32_t seq = c->s->seq;

	if (c->s->flags & TCP_FLAG_SYN)
		return;
	if (!way->is_known || (is_far(seq, way->next) && c->s->len))
		begin(c->sink, way, seq);
	else if (!way->is_seen && way->next - seq <= OVERTAKEN_BYTES &&
		 !tcp_loss_is_late(way->ack_at, c->now)) /* an ACK overtook it */
		way->first = way->next = way->acked = seq;
}

static void count_loss(const struct context *c)
{
	tcp_loss_count(c->sink, c->way, c->now);
	tcp_loss_count(c->sink, c->back, c->now);
}

void tcp_stream_segment(const struct kpi_sink *sink, struct tcp_stream *stream,
			const struct tcp_segment *s, unsigned client)
{
	struct tcp_way *way = &stream->way[s->direction], *back = &stream->way[!s->direction];
	struct context c = {.sink = sink,
			    .s = s,
			    .way = way,
			    .back = back,
			    .now = tcp_ticks(s->time_ns),
			    .is_both = back->is_seen,
			    .to_server = s->direction == client};

	if (s->flags & TCP_FLAG_RST)
		return;
	/* First of all: what comes later than it may fills no gap that was acknowledged. */
	if (c.is_both)
		count_loss(&c);
	find_place(&c);
	take_segment(&c);
	way->is_seen = true;
	if (s->flags & TCP_FLAG_ACK)
		take_ack(&c);
	take_timestamps(&c);
	take_window(&c);
	if (c.is_both)
		count_loss(&c);
}

void tcp_stream_look_again(const struct kpi_sink *sink, struct tcp_stream *stream)
{
	const uint32_t now = tcp_ticks(sink->time_ns);

	tcp_loss_count(sink, &stream->way[0], now);
	tcp_loss_count(sink, &stream->way[1], now);
}

void tcp_stream_settle(const struct kpi_sink *sink, struct tcp_stream *stream)
{
	if (!stream->way[0].is_seen || !stream->way[1].is_seen)
		return;
	tcp_loss_settle(sink, &stream->way[0]);
	tcp_loss_settle(sink, &stream->way[1]);
}

void tcp_stream_end(const struct kpi_sink *sink, struct tcp_stream *stream)
{
	tcp_stream_settle(sink, stream);
	tcp_gaps_drop(sink->gaps, &stream->way[0].gaps);
	tcp_gaps_drop(sink->gaps, &stream->way[1].gaps);
	*stream = (struct tcp_stream){0};
}
