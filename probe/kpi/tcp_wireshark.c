#include "kpi/tcp_wireshark.h"

#define FAST_NS         (20 * UINT64_C(1000000))
#define OUT_OF_ORDER_NS (3 * UINT64_C(1000000)) /* where no handshake was seen */

#define CLASS(name) (1u << TCP_WIRESHARK_##name)
#define SYN_FIN     (TCP_FLAG_SYN | TCP_FLAG_FIN)
#define SYN_ACK     (TCP_FLAG_SYN | TCP_FLAG_ACK)

#define ACKED_UNSEEN UINT8_MAX /* in place of a number of duplicates; as good as many */

enum scaling { SCALING_UNKNOWN, SCALING_NONE, SCALED };

/* A segment between its sender's side and the other one, and what was found of it so far. */
struct step {
	struct tcp_wireshark *all;
	struct tcp_wireshark_side *from, *to;
	const struct tcp_segment *s;
	uint32_t classes;
};

/* ---- which conversation ---- */

static void take_attempt(const struct step *t)
{
	if (!t->from->has_base)
		return;
	if (t->s->seq != t->from->base)
		*t->all = (struct tcp_wireshark){.syn_ns = 0};
	else
		t->from->next = t->from->contiguous; /* a RST may have moved it */
}

static void set_bases(const struct step *t)
{
	const struct tcp_segment *s = t->s;

	if (!t->from->has_base || (s->flags & SYN_ACK) == SYN_ACK)
		t->from->base = s->flags & TCP_FLAG_SYN ? s->seq : s->seq - 1;
	t->from->has_base = true;
	if (t->to->has_base || !(s->flags & TCP_FLAG_ACK))
		return;
	t->to->base = s->ack - 1;
	t->to->has_base = true;
}

/* ---- windows, keep-alives, what repeats ---- */

/* Neither opens nor closes, and so may be a keep-alive, fill a window or close it. */
static bool is_plain(const struct tcp_segment *s)
{
	return !(s->flags & (SYN_FIN | TCP_FLAG_RST));
}

static bool is_probe(const struct step *t)
{
	return t->s->len == 1 && t->s->seq == t->from->next && t->to->is_seen && !t->to->window;
}

static bool fills_window(const struct step *t)
{
	const struct tcp_wireshark_side *to = t->to;
	const bool is_scaled = to->scaling >= SCALED && !to->is_unscaled;
	const uint32_t window = to->is_seen ? to->window : UINT32_MAX;

	if (!t->s->len || to->scaling == SCALING_UNKNOWN)
		return false;
	return t->s->seq + t->s->len ==
	       to->ack + (window << (is_scaled ? to->scaling - SCALED : 0));
}

/* An ACK that says nothing but what the one before it said. */
static bool repeats(const struct step *t)
{
	const struct tcp_wireshark_side *from = t->from;
	const struct tcp_segment *s = t->s;

	return !s->len && is_plain(s) && from->is_seen && s->window == from->window &&
	       s->seq == from->next && s->ack == from->ack;
}

static void count_duplicate(struct step *t)
{
	uint8_t *n = &t->from->duplicates;

	if (!t->s->window || t->to->was_keep_alive) /* which it answers */
		return;
	t->classes |= CLASS(DUPLICATE_ACK);
	if (*n == ACKED_UNSEEN)
		*n = 1;
	else if (*n < ACKED_UNSEEN - 1)
		(*n)++;
}

static void judge_window(struct step *t)
{
	const struct tcp_segment *s = t->s;
	const struct tcp_wireshark_side *from = t->from;

	if (is_probe(t)) {
		t->classes |= CLASS(ZERO_WINDOW_PROBE);
		return;
	}
	if (from->next && tcp_is_behind(s->seq, from->next) && !(s->flags & TCP_FLAG_RST))
		t->classes |= CLASS(LOST_SEGMENT);
	if (!is_plain(s))
		return;
	if (!s->window)
		t->classes |= CLASS(ZERO_WINDOW);
	if (s->len <= 1 && s->seq == from->next - 1)
		t->classes |= CLASS(KEEP_ALIVE);
	if (fills_window(t))
		t->classes |= CLASS(WINDOW_FULL);
	if (repeats(t))
		count_duplicate(t);
}

/* ---- what was acknowledged and not seen ---- */

static void judge_ack(struct step *t)
{
	struct tcp_wireshark_side *to = t->to;

	if (t->s->ack != t->from->ack)
		t->from->duplicates = 0;
	if (!to->contiguous || !tcp_is_behind(t->s->ack, to->contiguous) ||
	    !(t->s->flags & TCP_FLAG_ACK))
		return;
	if (tcp_is_behind(to->next, to->contiguous)) {
		to->contiguous = to->next; /* once is enough */
		t->classes |= CLASS(ACK_LOST_SEGMENT);
		return;
	}
	if (!to->duplicates)
		t->classes |= CLASS(ACK_LOST_SEGMENT);
	to->duplicates = ACKED_UNSEEN;
}

/* ---- what was sent again ---- */

/* Wraps when time goes back: then it is long ago. */
static bool came_within(const struct step *t, uint64_t since_ns, uint64_t limit_ns)
{
	return t->s->time_ns - since_ns < limit_ns;
}

static bool is_fast(const struct step *t)
{
	return t->to->duplicates >= 2 && t->to->ack == t->s->seq &&
	       came_within(t, t->to->last_ns, FAST_NS);
}

static bool is_out_of_order(const struct step *t)
{
	const uint64_t rtt_ns = t->all->first_rtt_ns;
	const uint32_t end = t->s->seq + t->s->len + !!(t->s->flags & SYN_FIN);

	return came_within(t, t->from->next_ns, rtt_ns ? rtt_ns : OUT_OF_ORDER_NS) &&
	       end != t->from->next;
}

static void judge_sequence(struct step *t)
{
	const struct tcp_segment *s = t->s;
	const struct tcp_wireshark_side *from = t->from;

	if ((!s->len && !(s->flags & SYN_FIN)) || t->classes & CLASS(KEEP_ALIVE))
		return;
	if (s->len && t->to->ack && !tcp_is_behind(s->seq + s->len, t->to->ack)) {
		t->classes |= CLASS(SPURIOUS_RETRANSMISSION);
		return;
	}
	/* One byte less than expected, and more than that one: a probe came before. */
	const bool follows_probe = s->len > 1 && s->seq == from->next - 1;
	if (!from->next || follows_probe || !tcp_is_behind(from->next, s->seq))
		return;
	if (is_fast(t))
		t->classes |= CLASS(FAST_RETRANSMISSION);
	else if (is_out_of_order(t))
		t->classes |= CLASS(OUT_OF_ORDER);
	else
		t->classes |= CLASS(RETRANSMISSION);
}

/* ---- what is remembered ---- */

static void advance(const struct step *t)
{
	const struct tcp_segment *s = t->s;
	struct tcp_wireshark_side *from = t->from;
	const uint32_t phantom = !!(s->flags & SYN_FIN), end = s->seq + s->len + phantom;
	const bool is_probe = t->classes & CLASS(ZERO_WINDOW_PROBE);

	if (!is_probe && (!from->next || tcp_is_behind(end, from->next))) {
		from->next = end;
		from->next_ns = s->time_ns;
	}
	if (!is_probe && (!from->contiguous || s->seq == from->contiguous))
		from->contiguous = from->next;
}

static void remember(const struct step *t)
{
	struct tcp_wireshark_side *from = t->from;

	advance(t);
	from->is_seen = true;
	from->window = t->s->window;
	from->ack = t->s->ack;
	from->last_ns = t->s->time_ns;
	from->was_keep_alive = t->classes & CLASS(KEEP_ALIVE);
}

/* Windows are scaled if both sides say so. */
static void set_scaling(const struct step *t)
{
	const struct tcp_segment *s = t->s;

	t->from->is_unscaled = true;
	if (s->has_scale)
		t->from->scaling = (uint8_t)(SCALED + s->scale);
	if (t->from->scaling == SCALING_UNKNOWN)
		t->from->scaling = t->to->scaling = SCALING_NONE;
	else if (s->flags & TCP_FLAG_ACK && t->to->scaling == SCALING_NONE)
		t->from->scaling = SCALING_NONE;
}

static void take_flags(const struct step *t)
{
	const struct tcp_segment *s = t->s;
	struct tcp_wireshark *w = t->all;

	if (s->flags & TCP_FLAG_SYN)
		set_scaling(t);
	if ((s->flags & SYN_ACK) == TCP_FLAG_SYN)
		w->syn_ns = s->time_ns;
	if ((s->flags & SYN_ACK) != TCP_FLAG_ACK)
		return;
	if (w->syn_ns && !w->first_rtt_ns)
		w->first_rtt_ns = s->time_ns - w->syn_ns;
	t->from->is_unscaled = false;
}

uint32_t tcp_wireshark_segment(struct tcp_wireshark *wireshark, const struct tcp_segment *s)
{
	struct step t = {.all = wireshark,
			 .from = &wireshark->side[s->direction],
			 .to = &wireshark->side[!s->direction],
			 .s = s};

	if ((s->flags & SYN_ACK) == TCP_FLAG_SYN)
		take_attempt(&t);
	if (!s->is_fragment) { /* else it does not tell where it ends */
		set_bases(&t);
		judge_window(&t);
		judge_ack(&t);
		judge_sequence(&t);
		remember(&t);
	}
	take_flags(&t);
	return t.classes;
}
