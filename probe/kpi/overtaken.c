#include "kpi/overtaken.h"

#include <string.h>

#include "kpi/sink.h"

/* Apart by no more than that, either way. */
static bool is_near(uint64_t one_ns, uint64_t other_ns)
{
	return one_ns - other_ns + KPI_LATE_NS <= 2u * KPI_LATE_NS;
}

static bool waits(const struct overtaken_error *e, uint64_t time_ns)
{
	return e->time_ns && is_near(time_ns, e->time_ns);
}

/* How many places the session has, once the next error has one too. */
static unsigned places_of(const struct overtaken *o, uint32_t session, uint32_t next)
{
	unsigned n = session == next;

	for (unsigned i = 0; i < OVERTAKEN_MAX; i++)
		n += o->error[i].quote.key.session == session;
	return n;
}

/* A free place, else that of the oldest of the session that has the most. */
static unsigned place_for(const struct overtaken *o, uint32_t session, uint64_t time_ns)
{
	unsigned place = 0, most = 0;

	for (unsigned i = 0; i < OVERTAKEN_MAX; i++) {
		if (!waits(&o->error[i], time_ns))
			return i;
		const unsigned n = places_of(o, o->error[i].quote.key.session, session);
		if (n > most) {
			most = n;
			place = i;
		}
	}
	return place;
}

void overtaken_put(struct overtaken *o, const struct icmp_quote *quote, uint64_t time_ns)
{
	const unsigned place = place_for(o, quote->key.session, time_ns);

	memmove(&o->error[place], &o->error[place + 1],
		(OVERTAKEN_MAX - 1 - place) * sizeof(o->error[0]));
	o->error[OVERTAKEN_MAX - 1] = (struct overtaken_error){.quote = *quote, .time_ns = time_ns};
	o->latest_ns = time_ns;
}

bool overtaken_take(struct overtaken *o, const struct flow_key *key, uint64_t time_ns,
		    struct icmp_quote *out)
{
	if (!is_near(time_ns, o->latest_ns)) /* of a flood of flows most end here */
		return false;
	for (unsigned i = 0; i < OVERTAKEN_MAX; i++) {
		if (!waits(&o->error[i], time_ns) ||
		    memcmp(&o->error[i].quote.key, key, sizeof(*key)) != 0)
			continue;
		*out = o->error[i].quote;
		o->error[i].time_ns = 0;
		return true;
	}
	return false;
}
