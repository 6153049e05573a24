#include "kpi/sctp_path.h"

#include <stddef.h>

#define TICK_SHIFT       8
#define UNANSWERED_AFTER ((uint32_t)(5000000000u >> TICK_SHIFT))
/* Association.Max.Retrans and Path.Max.Retrans have the default 5: RFC 9260 section 16. */
#define FAILED_AFTER 5

static uint32_t ticks(const struct kpi_sink *sink)
{
	return (uint32_t)(sink->time_ns >> TICK_SHIFT);
}

static int32_t age_of(const struct kpi_sink *sink, const struct sctp_beat *beat)
{
	return (int32_t)(ticks(sink) - beat->sent);
}

unsigned sctp_path_of(struct sctp_paths *p, uint32_t id)
{
	unsigned i = 0;

	while (i < SCTP_PATHS && p->path[i].id && p->path[i].id != id)
		i++;
	if (i < SCTP_PATHS)
		p->path[i].id = id;
	return i;
}

void sctp_path_data(const struct kpi_sink *sink, struct sctp_paths *p, unsigned side, unsigned path)
{
	if (path == SCTP_PATH_NONE)
		return;
	if (p->carries[side] && p->carries[side] != path + 1)
		kpi_count(sink, KPI_SCTP_PRIMARY_CHANGES, 1);
	p->carries[side] = (uint8_t)(path + 1);
}

static struct sctp_beat *beat_find(struct sctp_paths *p, unsigned side, uint32_t info)
{
	for (unsigned i = 0; i < SCTP_BEATS; i++) {
		struct sctp_beat *beat = &p->beat[i];
		if (beat->state != SCTP_BEAT_NONE && beat->side == side && beat->info == info)
			return beat;
	}
	return NULL;
}

/* A free one, or the oldest. */
static struct sctp_beat *beat_take(const struct kpi_sink *sink, struct sctp_paths *p)
{
	struct sctp_beat *oldest = &p->beat[0];

	for (unsigned i = 0; i < SCTP_BEATS; i++) {
		if (p->beat[i].state == SCTP_BEAT_NONE)
			return &p->beat[i];
		if (age_of(sink, &p->beat[i]) > age_of(sink, oldest))
			oldest = &p->beat[i];
	}
	return oldest;
}

void sctp_path_heartbeat(const struct kpi_sink *sink, struct sctp_paths *p, unsigned side,
			 unsigned path, uint32_t info)
{
	struct sctp_beat *beat = beat_find(p, side, info);

	if (path == SCTP_PATH_NONE)
		return;
	if (!beat) {
		*beat_take(sink, p) = (struct sctp_beat){.info = info,
							 .sent = ticks(sink),
							 .path = (uint8_t)path,
							 .side = (uint8_t)side,
							 .state = SCTP_BEAT_WAITS};
	} else if (beat->state == SCTP_BEAT_ANSWERED_EARLY) {
		beat->state = SCTP_BEAT_NONE;
		p->path[path].missed[side] = 0;
	}
}

void sctp_path_heartbeat_ack(const struct kpi_sink *sink, struct sctp_paths *p, unsigned side,
			     uint32_t info)
{
	struct sctp_beat *beat = beat_find(p, side, info);

	if (!beat) {
		*beat_take(sink, p) = (struct sctp_beat){.info = info,
							 .sent = ticks(sink),
							 .side = (uint8_t)side,
							 .state = SCTP_BEAT_ANSWERED_EARLY};
		return;
	}
	if (beat->state != SCTP_BEAT_WAITS)
		return;
	beat->state = SCTP_BEAT_NONE;
	p->path[beat->path].missed[side] = 0;
	if (age_of(sink, beat) >= 0)
		kpi_observe(sink, KPI_SCTP_HEARTBEAT_RTT,
			    (uint64_t)age_of(sink, beat) << TICK_SHIFT);
}

static void miss(const struct kpi_sink *sink, struct sctp_path *path, unsigned side)
{
	if (!kpi_sees_both(sink))
		return;
	kpi_count(sink, KPI_SCTP_HEARTBEATS_UNANSWERED, 1);
	if (path->missed[side] < FAILED_AFTER && ++path->missed[side] == FAILED_AFTER)
		kpi_count(sink, KPI_SCTP_PATH_FAILURES, 1);
}

void sctp_path_expire(const struct kpi_sink *sink, struct sctp_paths *p, bool is_answered)
{
	for (unsigned i = 0; i < SCTP_BEATS; i++) {
		struct sctp_beat *beat = &p->beat[i];
		if (beat->state == SCTP_BEAT_NONE || age_of(sink, beat) < (int32_t)UNANSWERED_AFTER)
			continue;
		if (beat->state == SCTP_BEAT_WAITS && is_answered)
			miss(sink, &p->path[beat->path], beat->side);
		beat->state = SCTP_BEAT_NONE;
	}
}

void sctp_path_join(const struct kpi_sink *sink, struct sctp_paths *p, unsigned side,
		    const struct sctp_paths *from, unsigned from_side)
{
	for (unsigned i = 0; i < SCTP_BEATS; i++) {
		struct sctp_beat beat = from->beat[i];
		if (beat.state == SCTP_BEAT_NONE)
			continue;
		beat.side = (uint8_t)(beat.side == from_side ? side : !side);
		struct sctp_beat *other = beat_find(p, beat.side, beat.info);
		if (other) { /* the HEARTBEAT here, its answer there */
			other->state = SCTP_BEAT_NONE;
			continue;
		}
		const unsigned path = sctp_path_of(p, from->path[beat.path].id);
		if (path == SCTP_PATH_NONE)
			continue;
		beat.path = (uint8_t)path;
		*beat_take(sink, p) = beat;
	}
}
