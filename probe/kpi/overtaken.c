#include "kpi/overtaken.h"

#include <string.h>

/* Apart by no more than that, either way. */
static bool is_near(uint64_t one_ns, uint64_t other_ns)
{
	return one_ns - other_ns + OVERTAKEN_NS <= 2u * OVERTAKEN_NS;
}

void overtaken_put(struct overtaken *o, const struct icmp_quote *quote, uint64_t time_ns)
{
	o->error[o->next].quote = *quote;
	o->error[o->next].time_ns = time_ns;
	o->next = (o->next + 1) % OVERTAKEN_MAX;
	o->latest_ns = time_ns;
}

bool overtaken_take(struct overtaken *o, const struct flow_key *key, uint64_t time_ns,
		    struct icmp_quote *out)
{
	if (!is_near(time_ns, o->latest_ns)) /* of a flood of flows most end here */
		return false;
	for (unsigned i = 0; i < OVERTAKEN_MAX; i++) {
		if (!o->error[i].time_ns || !is_near(time_ns, o->error[i].time_ns) ||
		    memcmp(&o->error[i].quote.key, key, sizeof(*key)) != 0)
			continue;
		*out = o->error[i].quote;
		o->error[i].time_ns = 0;
		return true;
	}
	return false;
}
