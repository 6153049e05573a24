#include "kpi/sctp_join.h"

#include "kpi/sctp_setup.h"
#include "wire.h"

static struct sctp_association *begin(struct sctp *sctp, const struct sctp_arrival *p)
{
	const uint64_t now_ns = p->sink->time_ns;
	struct sctp_association *a = sctp_table_add(sctp->table, p->session);

	if (!a) {
		struct sctp_association *victim =
			sctp_table_victim(sctp->table, p->session, p->addresses, now_ns);
		if (!victim) {
			kpi_count(p->sink, KPI_SCTP_ASSOCIATION_FULL, 1);
			return NULL;
		}
		if (!sctp_life_is_gone(sctp, victim, now_ns))
			sctp_life_drop(sctp, victim, KPI_SCTP_ENDED_EVICTED, now_ns);
		a = sctp_table_add(sctp->table, p->session);
	}
	a->last_ns = now_ns;
	sctp_table_name(sctp->table, a, SCTP_ID_ADDRESSES, p->addresses);
	return a;
}

/* An INIT, its tag and that of the answers to it being known: of which association? */
static struct sctp_association *asked(struct sctp *sctp, const struct sctp_arrival *p,
				      uint64_t answers)
{
	const unsigned side = p->direction;
	enum sctp_id kind;
	struct sctp_association *a = NULL;

	while ((a = sctp_table_find(sctp->table, p->addresses, SCTP_ADDRESSES, a, &kind))) {
		if (a->id[!side] == answers)
			return a;
		/* Both ask each other at the same time: RFC 9260 section 5.2.1. */
		if (a->state == SCTP_ASKED && a->has_init && a->asker != side && !a->id[!side])
			return a;
	}
	return NULL;
}

static struct sctp_member member_of_init(struct sctp *sctp, const struct sctp_arrival *p)
{
	const struct sctp_member nobody = {NULL, 0};
	const unsigned side = p->direction;

	if (p->first.there < 8)
		return nobody;
	const uint64_t answers = sctp_id_of_tag(sctp->table, p->session, p->to, p->from,
						wire_u32(p->first.data + 4));
	struct sctp_association *a = asked(sctp, p, answers);
	if (a && (sctp_life_is_gone(sctp, a, p->sink->time_ns) || a->state == SCTP_OVER)) {
		if (a->is_used)
			sctp_table_drop(sctp->table, a);
		a = NULL;
	}
	if (!a && !(a = begin(sctp, p)))
		return nobody;
	sctp_table_name(sctp->table, a, !side, answers);
	return (struct sctp_member){a, side};
}

/* By tag; of several that have it, rather the one on these addresses. */
static struct sctp_member member_by_tag(const struct sctp *sctp, const struct sctp_arrival *p)
{
	const bool is_reflected = sctp_chunk_reflects_tag(&p->first);
	const uint64_t id = sctp_id_of_tag(sctp->table, p->session, is_reflected ? p->to : p->from,
					   is_reflected ? p->from : p->to, p->tag);
	struct sctp_member found = {NULL, 0};
	enum sctp_id kind;
	struct sctp_association *a = NULL;

	while ((a = sctp_table_find(sctp->table, id, SCTP_TAGS, a, &kind)))
		if (!found.a || a->id[SCTP_ID_ADDRESSES] == p->addresses)
			found = (struct sctp_member){a, is_reflected ? !kind : kind};
	return found;
}

/* One on these addresses that does not know this side's tag, or may have it wrong: of two answers
 * to an INIT the asker takes one. */
static struct sctp_association *unpaired(const struct sctp *sctp, const struct sctp_arrival *p,
					 const struct sctp_association *but)
{
	enum sctp_id kind;
	struct sctp_association *a = NULL;

	while ((a = sctp_table_find(sctp->table, p->addresses, SCTP_ADDRESSES, a, &kind)))
		if (a != but && (!a->id[p->direction] || (!but && a->state == SCTP_ASKED)))
			return a;
	return NULL;
}

/* Half an association was found by its tag on another path; its other half may be here. */
static struct sctp_member joined(struct sctp *sctp, const struct sctp_arrival *p,
				 struct sctp_member half)
{
	struct sctp_association *a = half.a, *to = unpaired(sctp, p, a);
	const unsigned side = p->direction;

	if (!to || to->state != SCTP_UP || a->state != SCTP_UP ||
	    sctp_life_is_gone(sctp, to, p->sink->time_ns))
		return half;
	const uint64_t id = a->id[half.side];
	to->data[side] = a->data[half.side];
	to->is_seen[side] = true;
	sctp_path_join(p->sink, &to->paths, side, &a->paths, half.side);
	kpi_count(p->sink, KPI_SCTP_ASSOCIATIONS, UINT64_MAX); /* one less: they are one */
	sctp_table_drop(sctp->table, a);
	sctp_table_name(sctp->table, to, side, id);
	return (struct sctp_member){to, side};
}

/* May a packet that begins with it be the first that is seen of an association? */
static bool can_begin(const struct sctp_chunk *chunk)
{
	switch (chunk->type) {
	case SCTP_ABORT:
	case SCTP_SHUTDOWN:
	case SCTP_SHUTDOWN_ACK:
	case SCTP_SHUTDOWN_COMPLETE:
	case SCTP_ERROR:
		return false;
	default:
		return true;
	}
}

static struct sctp_member member_in_the_middle(struct sctp *sctp, const struct sctp_arrival *p)
{
	struct sctp_association *a = unpaired(sctp, p, NULL);

	if (a && sctp_life_is_gone(sctp, a, p->sink->time_ns))
		a = NULL;
	if (!a && (!can_begin(&p->first) || !(a = begin(sctp, p))))
		return (struct sctp_member){NULL, 0};
	sctp_table_name(sctp->table, a, p->direction,
			sctp_id_of_tag(sctp->table, p->session, p->from, p->to, p->tag));
	return (struct sctp_member){a, p->direction};
}

struct sctp_member sctp_join(struct sctp *sctp, const struct sctp_arrival *p)
{
	if (p->first.type == SCTP_INIT)
		return member_of_init(sctp, p);
	if (!p->tag) /* RFC 9260 section 8.5.1: INIT alone */
		return (struct sctp_member){NULL, 0};
	struct sctp_member m = member_by_tag(sctp, p);
	if (m.a && sctp_life_is_gone(sctp, m.a, p->sink->time_ns))
		m.a = NULL;
	if (m.a && !m.a->id[!m.side])
		return joined(sctp, p, m);
	if (m.a || sctp_chunk_reflects_tag(&p->first))
		return m;
	return member_in_the_middle(sctp, p);
}
