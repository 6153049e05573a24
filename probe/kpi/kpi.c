#include "kpi/kpi.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "inner.h"
#include "kpi/sctp.h"

/* Flow buckets looked at per batch: those of 65,536 flows, about 12,300, in 192 batches. */
#define EXPIRE_BUCKETS      64
#define EXPIRE_ASSOCIATIONS 16

struct kpis {
	struct kpi_memory memory;
	uint32_t sessions_max;
	struct flow_table *flows; /* with a struct kpi_flow beside each */
	struct sctp *sctp;
};

struct flow_kpis {
	enum kpi alive, created, ended_idle, ended_evicted;
};

static const struct flow_kpis *kpis_of(const struct flow *flow)
{
	static const struct flow_kpis tcp = {KPI_FLOWS_TCP, KPI_CREATED_TCP, KPI_ENDED_TCP_IDLE,
					     KPI_ENDED_TCP_EVICTED},
				      udp = {KPI_FLOWS_UDP, KPI_CREATED_UDP, KPI_ENDED_UDP_IDLE,
					     KPI_ENDED_UDP_EVICTED},
				      sctp = {KPI_FLOWS_SCTP, KPI_CREATED_SCTP, KPI_ENDED_SCTP_IDLE,
					      KPI_ENDED_SCTP_EVICTED},
				      icmp = {KPI_FLOWS_ICMP, KPI_CREATED_ICMP, KPI_ENDED_ICMP_IDLE,
					      KPI_ENDED_ICMP_EVICTED},
				      other = {KPI_FLOWS_OTHER, KPI_CREATED_OTHER,
					       KPI_ENDED_OTHER_IDLE, KPI_ENDED_OTHER_EVICTED};

	switch (flow->key.proto) {
	case INNER_TCP:
		return &tcp;
	case INNER_UDP:
		return &udp;
	case INNER_SCTP:
		return &sctp;
	case INNER_ICMP:
	case INNER_ICMPV6:
		return &icmp;
	default:
		return &other;
	}
}

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

static struct kpi_sink sink_of(const struct kpis *kpi, uint32_t session, uint64_t time_ns)
{
	return (struct kpi_sink){.memory = &kpi->memory,
				 .session = &kpi->memory.sessions[session],
				 .time_ns = time_ns};
}

static void take_icmp_error(struct kpis *kpi, const struct kpi_sink *sink,
			    const struct kpi_packet *p)
{
	struct flow_key quoted;
	unsigned direction;
	const enum icmp_verdict verdict =
		icmp_error(sink, p->packet, p->dissected, &quoted, &direction);

	if (verdict != ICMP_UNREACHABLE && verdict != ICMP_PORT_UNREACHABLE)
		return;
	quoted.session = p->session;
	if (quoted.proto == INNER_SCTP)
		sctp_unreachable(kpi->sctp, sink, &quoted, direction);
	const struct flow *flow = flow_find(kpi->flows, &quoted, sink->time_ns);
	if (!flow)
		return;
	struct kpi_flow *state = flow_state(kpi->flows, flow);
	if (quoted.proto == INNER_TCP)
		tcp_unreachable(sink, &state->tcp, direction);
	else if (quoted.proto == INNER_UDP && verdict == ICMP_PORT_UNREACHABLE)
		udp_refused(sink, &state->udp);
}

static void take_transport(struct kpis *kpi, const struct kpi_sink *sink,
			   const struct kpi_packet *p, struct flow *flow)
{
	struct kpi_flow *state = flow_state(kpi->flows, flow);
	uint32_t idle_s;

	switch (p->dissected->key.proto) {
	case INNER_TCP:
		kpi_see(sink, KPI_GROUP_TCP);
		tcp_packet(sink, &state->tcp, p->packet, p->dissected, flow);
		idle_s = tcp_idle_s(&state->tcp);
		if (idle_s)
			flow_shorten(kpi->flows, flow, idle_s);
		break;
	case INNER_UDP:
		udp_packet(sink, &state->udp, p->packet, p->dissected, flow);
		break;
	case INNER_SCTP:
		sctp_packet(kpi->sctp, sink, p->packet, p->dissected);
		break;
	case INNER_ICMP:
	case INNER_ICMPV6:
		icmp_packet(sink, &state->icmp, p->packet, p->dissected);
		break;
	default:
		break;
	}
}

void kpi_packet(struct kpis *kpi, const struct kpi_packet *p)
{
	const struct kpi_sink sink = sink_of(kpi, p->session, p->packet->time_ns);
	struct dissected *d = p->dissected;
	/* Of an IP packet that does not tell its length (TSO, jumbogram), what is there. */
	const uint32_t bytes = d->ip_len ? d->ip_len : d->wire_len - d->l3;

	kpi_see(&sink, KPI_GROUP_FEED);
	count_volume(sink.session, p, bytes);
	if (!d->has_flow) {
		take_icmp_error(kpi, &sink, p);
		return;
	}
	d->key.session = p->session;
	struct flow *flow = flow_update(kpi->flows, &d->key, d->direction, bytes, sink.time_ns);
	if (!flow) {
		d->marks |= 1u << MARK_FLOW_FULL;
		return;
	}
	kpi_see(&sink, KPI_GROUP_FLOWS);
	if (flow->packets[0] + flow->packets[1] == 1) {
		kpi_count(&sink, kpis_of(flow)->created, 1);
		kpi_count(&sink, kpis_of(flow)->alive, 1);
	}
	take_transport(kpi, &sink, p, flow);
}

static enum kpi ended_of(const struct flow *flow, const struct kpi_flow *state, enum flow_end why)
{
	if (why == FLOW_EVICTED)
		return kpis_of(flow)->ended_evicted;
	if (flow->key.proto != INNER_TCP)
		return kpis_of(flow)->ended_idle;
	switch (tcp_handshake_end(&state->tcp.handshake)) {
	case TCP_FIN:
		return KPI_ENDED_TCP_FIN;
	case TCP_RST:
		return KPI_ENDED_TCP_RST;
	default:
		return KPI_ENDED_TCP_IDLE;
	}
}

static void end_flow(void *arg, const struct flow *flow, const void *state_of_flow,
		     enum flow_end why)
{
	const struct kpis *kpi = arg;
	const struct kpi_flow *state = state_of_flow;
	const struct kpi_sink sink = sink_of(kpi, flow->key.session, flow->last_ns);

	kpi_count(&sink, kpis_of(flow)->alive, UINT64_MAX); /* one less */
	kpi_count(&sink, ended_of(flow, state, why), 1);
	switch (flow->key.proto) {
	case INNER_TCP:
		tcp_ended(&sink, &state->tcp, flow);
		break;
	case INNER_UDP:
		udp_ended(&sink, &state->udp, flow);
		break;
	case INNER_ICMP:
	case INNER_ICMPV6:
		icmp_ended(&sink, &state->icmp, flow);
		break;
	default:
		break;
	}
}

void kpi_expire(struct kpis *kpi, uint64_t now_ns)
{
	(void)flow_expire(kpi->flows, now_ns, EXPIRE_BUCKETS);
	sctp_expire(kpi->sctp, now_ns, EXPIRE_ASSOCIATIONS);
}

void kpi_finish(struct kpis *kpi, uint64_t now_ns)
{
	(void)flow_expire(kpi->flows, now_ns, UINT32_MAX);
	sctp_expire(kpi->sctp, now_ns, UINT32_MAX);
}

const struct flow_counters *kpi_flows(const struct kpis *kpi)
{
	return flow_counters(kpi->flows);
}

static struct flow_config flow_config(const struct kpi_config *config, struct kpis *kpi)
{
	struct flow_config f = {.n_max = config->flows_max,
				.sessions_max = config->sessions_max,
				.state_len = sizeof(struct kpi_flow),
				.ended = end_flow,
				.ended_arg = kpi};

	memcpy(f.key, config->key, sizeof(f.key));
	return f;
}

static struct sctp_config sctp_config(const struct kpi_config *config,
				      const struct kpi_memory *memory)
{
	struct sctp_config s = {.associations_max = config->associations_max, .memory = memory};

	memcpy(s.key, config->key, sizeof(s.key));
	return s;
}

int kpi_open(struct kpis **out, const struct kpi_config *config, struct err *err)
{
	struct kpis *kpi = calloc(1, sizeof(*kpi));

	if (!kpi)
		return err_set(err, -ENOMEM, "out of memory for KPIs");
	kpi->memory = config->memory;
	kpi->sessions_max = config->sessions_max;
	const struct flow_config flows = flow_config(config, kpi);
	const struct sctp_config sctp = sctp_config(config, &kpi->memory);
	int ret = flow_open(&kpi->flows, &flows, err);
	if (ret || (ret = sctp_open(&kpi->sctp, &sctp, err))) {
		kpi_close(kpi);
		return ret;
	}
	*out = kpi;
	return 0;
}

void kpi_close(struct kpis *kpi)
{
	if (!kpi)
		return;
	sctp_close(kpi->sctp);
	flow_close(kpi->flows);
	free(kpi);
}

size_t kpi_memory(const struct kpi_config *config)
{
	const struct flow_config flows = flow_config(config, NULL);
	const struct sctp_config sctp = sctp_config(config, NULL);

	return sizeof(struct kpis) + flow_memory(&flows) + sctp_memory(&sctp);
}
