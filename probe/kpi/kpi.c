#include "kpi/kpi.h"

static void count_volume(struct kpi_session *s, const struct kpi_packet *p, uint64_t bytes)
{
	static const struct {
		enum kpi packets, bytes;
	} of[] = {[SESSION_INGRESS] = {KPI_INGRESS_PACKETS, KPI_INGRESS_BYTES},
		  [SESSION_EGRESS] = {KPI_EGRESS_PACKETS, KPI_EGRESS_BYTES},
		  [SESSION_UNDIRECTED] = {KPI_UNDIRECTED_PACKETS, KPI_UNDIRECTED_BYTES}};

	kpi_add(s, of[p->direction].packets, 1);
	kpi_add(s, of[p->direction].bytes, bytes);
	kpi_add(s, KPI_CAPTURED_BYTES, p->packet->cap_len);
	kpi_add(s, KPI_TRUNCATED_PACKETS, p->dissected->marks >> MARK_TRUNCATED & 1);
	if (p->packet->time_ns > s->last_ns)
		__atomic_store_n(&s->last_ns, p->packet->time_ns, __ATOMIC_RELAXED);
}

void kpi_packet(const struct kpi_config *config, const struct kpi_packet *p)
{
	struct dissected *d = p->dissected;
	/* Of an IP packet that does not tell its length (TSO, jumbogram), what is there. */
	const uint32_t bytes = d->ip_len ? d->ip_len : d->wire_len - d->l3;

	count_volume(&config->sessions[p->session], p, bytes);
	if (!d->has_flow)
		return;
	d->key.session = p->session;
	if (!flow_update(config->flows, &d->key, d->direction, bytes, p->packet->time_ns))
		d->marks |= 1u << MARK_FLOW_FULL;
}
