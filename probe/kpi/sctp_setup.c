#include "kpi/sctp_setup.h"

#include "wire.h"

#define TIMEOUT_NS UINT64_C(10000000000)

static void step(const struct kpi_sink *sink, struct sctp_association *a, enum sctp_step now,
		 enum kpi_histogram from_last)
{
	if (a->step == now)
		a->is_step_unclear = true;
	if (a->step >= now)
		return;
	if (now > SCTP_STEP_INIT && a->step == now - 1 && !a->is_step_unclear &&
	    sink->time_ns >= a->step_ns)
		kpi_observe(sink, from_last, sink->time_ns - a->step_ns);
	a->step = now;
	a->step_ns = sink->time_ns;
	a->is_step_unclear = false;
}

/* Of INIT and INIT ACK: the first TSN of who sends it. */
static void begin_data(struct sctp_association *a, unsigned side, const struct sctp_chunk *chunk)
{
	if (chunk->there >= 20)
		sctp_data_begin(&a->data[side], wire_u32(chunk->data + 16));
}

static void take_init(const struct kpi_sink *sink, struct sctp_association *a, unsigned side)
{
	a->asked_ns = sink->time_ns;
	if (a->has_init && a->asker != side) { /* both ask: whose answer is whose? */
		a->step = SCTP_STEP_DONE;
		return;
	}
	step(sink, a, SCTP_STEP_INIT, KPI_SCTP_SETUP_SERVER);
	if (a->has_init)
		return;
	a->has_init = true;
	a->asker = (uint8_t)side;
	kpi_count(sink, KPI_SCTP_ATTEMPTED, 1);
	if (a->state == SCTP_UP) /* the mirror delivered it last of all */
		kpi_count(sink, KPI_SCTP_ESTABLISHED, 1);
	else
		a->is_asked = true;
}

void sctp_setup_chunk(const struct kpi_sink *sink, struct sctp_association *a, unsigned side,
		      const struct sctp_chunk *chunk)
{
	const bool is_askers = chunk->type == SCTP_INIT || chunk->type == SCTP_COOKIE_ECHO;

	if (a->step == SCTP_NO_STEP)
		a->asker = (uint8_t)(is_askers ? side : !side);
	if (chunk->type == SCTP_INIT)
		take_init(sink, a, side);
	if (chunk->type == SCTP_INIT || chunk->type == SCTP_INIT_ACK)
		begin_data(a, side, chunk);
	if ((a->asker == side) != is_askers)
		return;
	if (chunk->type == SCTP_INIT_ACK)
		step(sink, a, SCTP_STEP_INIT_ACK, KPI_SCTP_SETUP_SERVER);
	else if (chunk->type == SCTP_COOKIE_ECHO)
		step(sink, a, SCTP_STEP_ECHO, KPI_SCTP_SETUP_CLIENT);
	else if (chunk->type == SCTP_COOKIE_ACK)
		step(sink, a, SCTP_STEP_DONE, KPI_SCTP_SETUP_COOKIE);
}

bool sctp_setup_shows_up(const struct sctp_association *a, const struct sctp_chunk *first)
{
	if (a->state != SCTP_ASKED)
		return false;
	switch (first->type) {
	case SCTP_INIT:
	case SCTP_INIT_ACK:
	case SCTP_COOKIE_ECHO:
	case SCTP_ABORT:
	case SCTP_ERROR:
	case SCTP_SHUTDOWN_COMPLETE:
		return false;
	default:
		return true;
	}
}

void sctp_setup_up(const struct kpi_sink *sink, struct sctp_association *a)
{
	a->state = SCTP_UP;
	kpi_count(sink, KPI_SCTP_ASSOCIATIONS, 1);
	if (a->has_init) /* also what was counted as failed, and came up when it was asked again */
		kpi_count(sink, KPI_SCTP_ESTABLISHED, 1);
	a->is_asked = false;
}

void sctp_setup_failed(const struct kpi_sink *sink, struct sctp_association *a, enum kpi how)
{
	if (!a->is_asked)
		return;
	kpi_see(sink, KPI_GROUP_SCTP_BOTH);
	kpi_count(sink, how, 1);
	a->is_asked = false;
}

void sctp_setup_expire(const struct kpi_sink *sink, struct sctp_association *a)
{
	if (a->is_asked && sink->time_ns > a->asked_ns + TIMEOUT_NS && kpi_sees_both(sink))
		sctp_setup_failed(sink, a, KPI_SCTP_FAILED_TIMEOUT);
}
