#include <stdatomic.h>

#include "path/block.h"
#include "run/describe.h"
#include "run/output_file.h"
#include "version.h"

int output_file_section(struct output *o)
{
	uint8_t block[512];
	const size_t len = block_section(block, sizeof(block), "vxprobe " VERSION, "");

	stats_add(&o->tools->counted->bytes_in, len);
	return pack_add_definition(o->pack, block, len, 0);
}

static uint64_t dropped(struct output *o, uint32_t session)
{
	struct stats *s = o->tools->stats;
	uint64_t n = 0;

	for (uint32_t w = 0; w < s->workers; w++)
		n += stats_get(&stats_kpi(s, w, session)->value[KPI_DROPPED_PACKETS]);
	return n;
}

/* What workers dropped is told by one output, also where a session's packets go to several. */
static uint64_t claim_drops(struct output *o, uint32_t session)
{
	_Atomic uint64_t *claimed = &o->tools->config.claimed_drops[session];
	const uint64_t now = dropped(o, session);
	uint64_t before = atomic_load_explicit(claimed, memory_order_relaxed);

	while (before < now &&
	       !atomic_compare_exchange_weak_explicit(claimed, &before, now, memory_order_relaxed,
						      memory_order_relaxed))
		;
	return before < now ? now - before : 0;
}

/* Says so too until when the policies of the file hold. */
static void look_up_policy(struct output *o, uint32_t session, int64_t at_ns,
			   struct describe_policy *out)
{
	o->tools->config.policy(o->tools->config.arg, session, at_ns, out);
	if (out->until_ns < o->policies_until_ns)
		o->policies_until_ns = out->until_ns;
}

bool output_file_has_other_policies(struct output *o, uint64_t time_ns)
{
	const int64_t at_ns = (int64_t)time_ns + o->offset_ns;
	struct describe_policy policy;
	bool differs = false;

	if (o->policies == o->tools->policies && at_ns < o->policies_until_ns)
		return false;
	o->policies = o->tools->policies;
	o->policies_until_ns = INT64_MAX;
	for (uint32_t i = 0; i < o->n_sessions && !differs; i++) {
		const struct output_session *slot = &o->session[i];
		if (slot->interface == OUTPUT_NOT_DECLARED)
			continue;
		look_up_policy(o, slot->session, at_ns, &policy);
		differs = policy.digest != slot->policy;
	}
	return differs;
}

int output_file_declare(struct output *o, struct output_session *slot, uint32_t session,
			int64_t at_ns)
{
	struct output_tools *t = o->tools;
	const uint64_t clock_error_ns = stats_get(&t->stats->clock_error_ns);
	struct block_interface interface = {0};
	struct session_labels labels;
	struct describe_policy policy;

	t->config.describe(t->config.arg, session, at_ns, &labels);
	look_up_policy(o, session, at_ns, &policy);
	describe_session(&stats_sessions(t->stats)[session], &labels, &policy,
			 t->stats->is_live ? &clock_error_ns : NULL, &interface);
	size_t len = block_interface(t->definition, sizeof(t->definition), &interface);
	const size_t names_len = t->config.names
					 ? t->config.names(t->config.arg, session, at_ns,
							   t->definition + len, OUTPUT_NAMES_MAX)
					 : 0;
	int ret = output_file_room(o);
	len += names_len;
	if (ret || (ret = pack_add_definition(o->pack, t->definition, len, names_len)))
		return ret;
	output_session_declare(slot, session, o->n_interfaces++);
	slot->policy = policy.digest;
	stats_add(&t->counted->bytes_in, len);
	return 0;
}

int output_file_statistics(struct output *o, bool only_news)
{
	const uint64_t wall_ns = o->latest_ns + (uint64_t)o->offset_ns;
	uint8_t block[OUTPUT_STATISTICS_LEN];
	int ret = 0;

	for (uint32_t i = 0; i < o->n_sessions && !ret; i++) {
		struct output_session *slot = &o->session[i];
		if (slot->interface == OUTPUT_NOT_DECLARED)
			continue;
		const size_t len = output_session_statistics(slot, claim_drops(o, slot->session),
							     wall_ns, only_news, block);
		if (!len || (ret = output_file_room(o)))
			continue;
		pack_add_other(o->pack, block, len);
		stats_add(&o->tools->counted->bytes_in, len);
	}
	return ret;
}
