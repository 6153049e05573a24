#include "kpi/tcp_loss.h"

#define LATE_MAX ((uint32_t)(TCP_LATE_NS >> TCP_TICK_SHIFT))

/* What one ACK is for, RFC 5681 section 4.2: two segments, of 1,460 bytes. A receiver that merges
 * segments before TCP sees them acknowledges 64 KiB by one. */
#define ACK_BYTES 2920

/* The end of the data that ack covers: the last byte above all data seen may be a FIN. */
static uint32_t data_end(const struct tcp_way *way, uint32_t ack)
{
	return tcp_is_behind(ack, way->next) ? ack - 1 : ack;
}

static bool has_missing(const struct kpi_sink *sink, const struct tcp_way *way, uint32_t end)
{
	return tcp_is_behind(end, way->next) || tcp_gaps_below(sink->gaps, &way->gaps, end);
}

/* All data below ack is believed to have arrived. */
static void believe(const struct kpi_sink *sink, struct tcp_way *way, uint32_t ack)
{
	const uint32_t end = data_end(way, ack);

	way->is_waiting = false;
	if (!tcp_is_behind(end, way->acked))
		return;
	const uint32_t acked = end - way->acked;
	uint32_t missing = tcp_gaps_forget(sink->gaps, &way->gaps, end);
	if (tcp_is_behind(end, way->next)) {
		missing += end - way->next;
		way->next = end;
	}
	way->acked = end;
	kpi_see(sink, KPI_GROUP_TCP_LOSS);
	kpi_count(sink, KPI_TCP_ACKED_BYTES, acked);
	kpi_count(sink, KPI_TCP_ACKED_MISSING_BYTES, missing);
	loss_add(&sink->session->loss[LOSS_TCP], (acked + ACK_BYTES - 1) / ACK_BYTES, acked,
		 missing);
	/* One alone is the rest of an event before: see data_end. */
	kpi_count(sink, KPI_TCP_ACK_GAP_EVENTS, missing > 1);
}

bool tcp_loss_is_late(uint32_t since, uint32_t now)
{
	return tcp_is_past(now - since, LATE_MAX - 1);
}

void tcp_loss_count(const struct kpi_sink *sink, struct tcp_way *way, uint32_t now)
{
	if (way->is_waiting && tcp_loss_is_late(way->waiting_for, now))
		believe(sink, way, way->waiting_ack);
	const uint32_t end = data_end(way, way->ack);
	if (!tcp_is_behind(end, way->acked))
		return;
	if (!has_missing(sink, way, end) ||
	    (!way->is_waiting && tcp_loss_is_late(way->ack_at, now))) {
		believe(sink, way, way->ack);
	} else if (!way->is_waiting) {
		way->is_waiting = true;
		way->waiting_ack = way->ack;
		way->waiting_for = way->ack_at;
	}
}

void tcp_loss_settle(const struct kpi_sink *sink, struct tcp_way *way)
{
	if (way->is_waiting)
		believe(sink, way, way->waiting_ack);
	believe(sink, way, way->ack);
}
