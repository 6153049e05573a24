#include "kpi/tcp_rtt.h"

#include "kpi/tcp_segment.h"

#define SECOND (1000000000u >> TCP_TICK_SHIFT)

#define AGE_MAX       (300 * SECOND)
#define TSVAL_AGE_MAX (10 * SECOND) /* as pping */
/* More than any age that tcp_is_past tells. */
#define AGE_LATE (1000 * SECOND)

static void drop_first(struct tcp_rtt *rtt, unsigned n)
{
	rtt->n = (uint8_t)(rtt->n - n);
	for (unsigned i = 0; i < rtt->n; i++) {
		rtt->end[i] = rtt->end[i + n];
		rtt->sent[i] = rtt->sent[i + n];
	}
}

static inline void drop_old(struct tcp_rtt *rtt, uint32_t now)
{
	while (rtt->n && tcp_is_past(now - rtt->sent[0], AGE_MAX))
		drop_first(rtt, 1);
	if (rtt->has_tsval && tcp_is_past(now - rtt->tsval_sent, TSVAL_AGE_MAX))
		rtt->has_tsval = false;
}

bool tcp_rtt_sent(struct tcp_rtt *rtt, uint32_t end, uint32_t now)
{
	drop_old(rtt, now);
	if (rtt->n == TCP_RTT_MAX)
		return false;
	rtt->end[rtt->n] = end;
	rtt->sent[rtt->n++] = now;
	return true;
}

void tcp_rtt_resent(struct tcp_rtt *rtt, uint32_t seq)
{
	while (rtt->n && tcp_is_behind(rtt->end[rtt->n - 1], seq))
		rtt->n--;
}

void tcp_rtt_forget(struct tcp_rtt *rtt, uint32_t ack)
{
	while (rtt->n && !tcp_is_behind(rtt->end[0], ack))
		drop_first(rtt, 1);
}

bool tcp_rtt_acked(struct tcp_rtt *rtt, uint32_t ack, uint32_t now, uint32_t *ticks)
{
	uint32_t age = AGE_LATE;
	unsigned n = 0;

	if (!rtt->n)
		return false;
	drop_old(rtt, now);
	for (; n < rtt->n && !tcp_is_behind(rtt->end[n], ack); n++)
		if (rtt->end[n] == ack)
			age = now - rtt->sent[n];
	drop_first(rtt, n);
	if (age >= AGE_LATE)
		return false;
	*ticks = age;
	tcp_rtt_learn(rtt, age);
	return true;
}

void tcp_rtt_stamped(struct tcp_rtt *rtt, uint32_t tsval, uint32_t now)
{
	drop_old(rtt, now);
	if (rtt->has_tsval_max && !tcp_is_behind(tsval, rtt->tsval_max))
		return;
	rtt->tsval_max = tsval;
	rtt->has_tsval_max = true;
	/* Its echo may have overtaken it: the next one is none. */
	if (rtt->has_tsval || (rtt->has_echo && !tcp_is_behind(tsval, rtt->tsval)))
		return;
	rtt->tsval = tsval;
	rtt->tsval_sent = now;
	rtt->has_tsval = true;
}

bool tcp_rtt_echoed(struct tcp_rtt *rtt, uint32_t tsecr, uint32_t now, uint32_t *ticks)
{
	const uint32_t age = now - rtt->tsval_sent;
	const bool is_first = rtt->has_tsval && tsecr == rtt->tsval;

	if ((rtt->has_tsval || rtt->has_echo) && !is_first && !tcp_is_behind(tsecr, rtt->tsval))
		return false;
	rtt->tsval = tsecr;
	rtt->has_echo = true;
	rtt->has_tsval = false; /* echoed, or a later one was */
	if (!is_first || age > TSVAL_AGE_MAX)
		return false;
	*ticks = age;
	tcp_rtt_learn(rtt, age);
	return true;
}

void tcp_rtt_learn(struct tcp_rtt *rtt, uint32_t ticks)
{
	const uint16_t known = (uint16_t)(ticks < UINT16_MAX ? ticks + !ticks : UINT16_MAX);

	if (!rtt->min || known < rtt->min)
		rtt->min = known;
}
