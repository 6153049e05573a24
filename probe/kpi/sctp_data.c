#include "kpi/sctp_data.h"

#include <string.h>

#include "wire.h"

/* Of time: 256 ns. Rings of several queues drain up to 4 ms out of order. */
#define TICK_SHIFT 8
#define SETTLE     (10000000u >> TICK_SHIFT)
static_assert(SCTP_TIMED <= 32, "a bit each");
static_assert((SCTP_WINDOW & (SCTP_WINDOW - 1)) == 0, "TSNs wrap on a whole window");
static_assert(SCTP_JUMP_MAX > SCTP_WINDOW, "what is in the window is believed");

static uint32_t ticks(const struct kpi_sink *sink)
{
	return (uint32_t)(sink->time_ns >> TICK_SHIFT);
}

static bool is_after(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

static uint32_t later(uint32_t a, uint32_t b)
{
	return is_after(a, b) ? a : b;
}

static bool is_believed(const struct sctp_data *d, uint32_t tsn)
{
	const int32_t ahead = (int32_t)(tsn - d->high);

	return ahead <= SCTP_JUMP_MAX && ahead >= -SCTP_JUMP_MAX;
}

/* ---- which TSNs were seen ---- */

static bool is_seen(const struct sctp_data *d, uint32_t tsn)
{
	return d->seen[tsn / 64 % (SCTP_WINDOW / 64)] >> tsn % 64 & 1;
}

static void set_seen(struct sctp_data *d, uint32_t tsn)
{
	d->seen[tsn / 64 % (SCTP_WINDOW / 64)] |= 1ull << tsn % 64;
	d->has_seen = true;
}

/* The n behind tsn; by whole words where it can, as a hostile sender may jump with every chunk. */
static void clear_seen(struct sctp_data *d, uint32_t tsn, uint32_t n)
{
	for (uint32_t i = 1, step; i <= n; i += step) {
		const uint32_t at = tsn + i;
		uint64_t *word = &d->seen[at / 64 % (SCTP_WINDOW / 64)];
		step = at % 64 == 0 && n - i >= 63 ? 64 : 1;
		*word = step == 64 ? 0 : *word & ~(1ull << at % 64);
	}
}

/* ---- what was acknowledged ---- */

/* The one place where the loss of the mirror shows. */
static void count_loss(const struct kpi_sink *sink, uint32_t acked, uint32_t missing)
{
	kpi_see(sink, KPI_GROUP_SCTP_LOSS);
	kpi_count(sink, KPI_SCTP_ACKED_CHUNKS, acked);
	kpi_count(sink, KPI_SCTP_ACKED_MISSING_CHUNKS, missing);
	loss_add(&sink->session->loss[LOSS_SCTP], 1, acked, missing);
}

/* Everything up to last has been acknowledged. */
static void settle_to(const struct kpi_sink *sink, struct sctp_data *d, uint32_t last)
{
	if (!is_after(last, d->settled))
		return;
	const uint32_t n = last - d->settled, from = later(d->high, d->settled);
	uint32_t missing = is_after(last, from) ? last - from : 0;

	for (uint32_t tsn = d->settled + 1; !is_after(tsn, last) && !is_after(tsn, d->high); tsn++)
		missing += !is_seen(d, tsn);
	d->settled = last;
	count_loss(sink, n, missing);
}

/* What the latest SACK had above its cumulative TSN. */
static void settle_gaps(const struct kpi_sink *sink, struct sctp_data *d)
{
	for (unsigned i = 0; i < d->n_gaps; i++) {
		d->settled = later(d->settled, d->cum + d->gap[i].first - 1);
		settle_to(sink, d, d->cum + d->gap[i].last);
	}
}

void sctp_data_settle(const struct kpi_sink *sink, struct sctp_data *d, bool at_end)
{
	if (!d->is_begun || !d->has_cum)
		return;
	if (at_end) {
		settle_to(sink, d, d->cum);
		settle_gaps(sink, d);
		return;
	}
	while (d->is_marked && (int32_t)(ticks(sink) - d->mark_at) > (int32_t)SETTLE) {
		settle_to(sink, d, d->mark);
		d->is_marked = is_after(d->cum, d->mark);
		d->mark = d->cum;
		d->mark_at = d->cum_at;
	}
}

/* ---- chunks ---- */

static void anchor(struct sctp_data *d, uint32_t high)
{
	memset(d->seen, 0, sizeof(d->seen));
	d->high = d->settled = high;
	d->timed = 0;
	d->is_begun = true;
	d->is_marked = false;
}

void sctp_data_begin(struct sctp_data *d, uint32_t initial_tsn)
{
	if (d->has_seen)
		return;
	anchor(d, initial_tsn - 1);
	d->has_cum = true;
	d->cum = initial_tsn - 1;
}

/* In the middle of it: what a SACK had covered by then may have been sent before the mirror was. */
static void begin_late(struct sctp_data *d, uint32_t tsn)
{
	anchor(d, tsn - 1);
	if (d->has_cum && is_believed(d, d->cum))
		d->settled =
			later(d->settled, d->cum + (d->n_gaps ? d->gap[d->n_gaps - 1].last : 0));
	else
		d->has_cum = false;
}

static void advance(const struct kpi_sink *sink, struct sctp_data *d, uint32_t tsn)
{
	const uint32_t n = tsn - d->high, leaves = tsn - SCTP_WINDOW;

	if (is_after(leaves, d->settled)) {
		if (d->has_cum)
			settle_to(sink, d, is_after(d->cum, leaves) ? leaves : d->cum);
		/* What is left was never acknowledged: nothing is known of it. */
		d->settled = later(d->settled, leaves);
	}
	clear_seen(d, d->high, n < SCTP_WINDOW ? n : SCTP_WINDOW);
	d->high = tsn;
}

static bool is_acked(const struct sctp_data *d, uint32_t tsn)
{
	if (!d->has_cum)
		return false;
	for (unsigned i = 0; i < d->n_gaps; i++)
		if (tsn - d->cum - d->gap[i].first <= (uint32_t)(d->gap[i].last - d->gap[i].first))
			return true;
	return !is_after(tsn, d->cum);
}

static void time_chunk(const struct kpi_sink *sink, struct sctp_data *d, uint32_t tsn)
{
	const unsigned i = tsn % SCTP_TIMED;

	if (is_acked(d, tsn)) /* the answer came first */
		return;
	if (d->timed >> i & 1) {
		kpi_count(sink, KPI_SCTP_RTT_SKIPPED, 1);
		return;
	}
	d->timed |= 1u << i;
	d->time[i] = (struct sctp_timed){tsn, ticks(sink)};
}

static bool resent(const struct kpi_sink *sink, struct sctp_data *d, uint32_t tsn)
{
	const unsigned i = tsn % SCTP_TIMED;

	if (d->time[i].tsn == tsn)
		d->timed &= ~(1u << i);
	kpi_count(sink, KPI_SCTP_RETRANSMITTED, 1);
	return false;
}

bool sctp_data_sent(const struct kpi_sink *sink, struct sctp_data *d, uint32_t tsn)
{
	if (!d->is_begun || !is_believed(d, tsn))
		begin_late(d, tsn);
	if (is_after(tsn, d->high))
		advance(sink, d, tsn);
	else if (d->high - tsn >= SCTP_WINDOW || is_seen(d, tsn))
		return resent(sink, d, tsn);
	set_seen(d, tsn);
	time_chunk(sink, d, tsn);
	return true;
}

void sctp_data_forward(const struct kpi_sink *sink, struct sctp_data *d, uint32_t tsn)
{
	if (!d->is_begun || !is_believed(d, tsn))
		return;
	if (d->has_cum)
		settle_to(sink, d, is_after(d->cum, tsn) ? tsn : d->cum);
	d->settled = later(d->settled, tsn);
	for (uint32_t left = d->timed; left; left &= left - 1)
		if (!is_after(d->time[__builtin_ctz(left)].tsn, tsn))
			d->timed &= ~(left & -left);
}

/* ---- acknowledgements ---- */

/* The chunks in time from first to last. */
static void sample(const struct kpi_sink *sink, struct sctp_data *d, uint32_t first, uint32_t last)
{
	for (uint32_t left = d->timed; left; left &= left - 1) {
		const struct sctp_timed *t = &d->time[__builtin_ctz(left)];
		const int32_t age = (int32_t)(ticks(sink) - t->sent);

		if (t->tsn - first > last - first)
			continue;
		d->timed &= ~(left & -left);
		if (age >= 0)
			kpi_observe(sink, KPI_SCTP_SACK_RTT, (uint64_t)age << TICK_SHIFT);
	}
}

static struct sctp_gap gap_at(const struct sctp_sack *sack, uint32_t i)
{
	return (struct sctp_gap){wire_u16(sack->gaps + (size_t)4 * i),
				 wire_u16(sack->gaps + (size_t)4 * i + 2)};
}

static void sample_gaps(const struct kpi_sink *sink, struct sctp_data *d,
			const struct sctp_sack *sack)
{
	for (uint32_t i = 0; i < sack->n_gaps && d->timed; i++) {
		const struct sctp_gap gap = gap_at(sack, i);
		if (gap.first && gap.first <= gap.last)
			sample(sink, d, sack->cum + gap.first, sack->cum + gap.last);
	}
}

/* The first few, as far as they are what RFC 9260 section 3.3.4 wants: in order, not empty. */
static void keep_gaps(struct sctp_data *d, const struct sctp_sack *sack)
{
	uint32_t end = 0;

	d->n_gaps = 0;
	for (uint32_t i = 0; i < sack->n_gaps && i < SCTP_GAPS; i++) {
		const struct sctp_gap gap = gap_at(sack, i);
		if (gap.first <= end || gap.first > gap.last ||
		    (d->is_begun && !is_believed(d, sack->cum + gap.last)))
			return;
		d->gap[d->n_gaps++] = gap;
		end = gap.last;
	}
}

static void take_window(const struct kpi_sink *sink, struct sctp_data *d, uint32_t window)
{
	if (!window && !d->is_closed)
		kpi_count(sink, KPI_SCTP_ZERO_WINDOWS, 1);
	d->is_closed = !window;
}

void sctp_data_acked(const struct kpi_sink *sink, struct sctp_data *d, uint32_t tsn)
{
	if (d->is_begun && !is_believed(d, tsn))
		return;
	if (d->has_cum && !is_after(tsn, d->cum))
		return;
	/* The first look in the middle of it: what came before is not known. */
	if (d->is_begun && !d->has_cum)
		d->settled = later(d->settled, tsn);
	d->cum = tsn;
	d->cum_at = ticks(sink);
	d->has_cum = true;
	d->n_gaps = 0;
	if (d->is_marked)
		return;
	d->mark = tsn;
	d->mark_at = d->cum_at;
	d->is_marked = true;
}

void sctp_data_sack(const struct kpi_sink *sink, struct sctp_data *d, const struct sctp_sack *sack)
{
	if (d->is_begun && !is_believed(d, sack->cum))
		return;
	const bool is_first = !d->has_cum;

	sample(sink, d, sack->cum - INT32_MAX, sack->cum);
	sample_gaps(sink, d, sack);
	sctp_data_acked(sink, d, sack->cum);
	if (d->cum != sack->cum) /* an older one */
		return;
	keep_gaps(d, sack);
	take_window(sink, d, sack->window);
	if (is_first && d->is_begun && d->n_gaps)
		d->settled = later(d->settled, d->cum + d->gap[d->n_gaps - 1].last);
}
