#include "kpi/sctp_life.h"

#include "kpi/sctp_setup.h"

struct kpi_sink sctp_life_sink(const struct sctp *sctp, uint32_t session, uint64_t time_ns)
{
	return (struct kpi_sink){.memory = sctp->config.memory,
				 .session = &sctp->config.memory->sessions[session],
				 .time_ns = time_ns};
}

void sctp_life_tend(const struct kpi_sink *sink, struct sctp_association *a)
{
	sctp_path_expire(sink, &a->paths, sctp_is_answered(a));
	sctp_setup_expire(sink, a);
	sctp_data_settle(sink, &a->data[0], false);
	sctp_data_settle(sink, &a->data[1], false);
}

void sctp_life_end(const struct kpi_sink *sink, struct sctp_association *a, enum kpi why)
{
	sctp_data_settle(sink, &a->data[0], true);
	sctp_data_settle(sink, &a->data[1], true);
	if (a->state == SCTP_UP) {
		kpi_count(sink, a->is_shutting ? KPI_SCTP_ENDED_SHUTDOWN : why, 1);
		kpi_count(sink, KPI_SCTP_ASSOCIATIONS, UINT64_MAX); /* one less */
	}
	a->state = SCTP_OVER;
}

void sctp_life_drop(struct sctp *sctp, struct sctp_association *a, enum kpi why, uint64_t now_ns)
{
	const struct kpi_sink sink = sctp_life_sink(sctp, a->session, now_ns);

	sctp_life_tend(&sink, a);
	sctp_life_end(&sink, a, why);
	sctp_table_drop(sctp->table, a);
}

static bool is_silent(const struct sctp_association *a, uint64_t now_ns)
{
	return now_ns >= a->last_ns + SCTP_IDLE_NS;
}

bool sctp_life_is_gone(struct sctp *sctp, struct sctp_association *a, uint64_t now_ns)
{
	if (!is_silent(a, now_ns))
		return false;
	sctp_life_drop(sctp, a, KPI_SCTP_ENDED_IDLE, now_ns);
	return true;
}

void sctp_life_rise(struct sctp *sctp, const struct kpi_sink *sink, struct sctp_association *a)
{
	enum sctp_id kind;
	struct sctp_association *other = NULL;

	sctp_setup_up(sink, a);
	if (a->step == SCTP_NO_STEP || !sctp_is_answered(a)) /* one side's word, maybe forged */
		return;
	while ((other = sctp_table_find(sctp->table, a->id[SCTP_ID_ADDRESSES], SCTP_ADDRESSES,
					other, &kind)))
		if (other != a && other->state == SCTP_UP)
			sctp_life_end(sink, other,
				      is_silent(other, sink->time_ns) ? KPI_SCTP_ENDED_IDLE
								      : KPI_SCTP_ENDED_RESTART);
}
