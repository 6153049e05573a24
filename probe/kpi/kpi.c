#include "kpi/kpi.h"

#include "inner.h"

/* Last packets of a closed connection come within seconds; a new one may take its ports early. */
#define CLOSED_IDLE_S 30

struct flow_kpis {
	enum kpi alive, created, ended_idle;
};

static const struct flow_kpis *kpis_of(const struct flow *flow)
{
	static const struct flow_kpis tcp = {KPI_FLOWS_TCP, KPI_CREATED_TCP, KPI_ENDED_TCP_IDLE},
				      udp = {KPI_FLOWS_UDP, KPI_CREATED_UDP, KPI_ENDED_UDP_IDLE},
				      sctp = {KPI_FLOWS_SCTP, KPI_CREATED_SCTP,
					      KPI_ENDED_SCTP_IDLE},
				      icmp = {KPI_FLOWS_ICMP, KPI_CREATED_ICMP,
					      KPI_ENDED_ICMP_IDLE},
				      other = {KPI_FLOWS_OTHER, KPI_CREATED_OTHER,
					       KPI_ENDED_OTHER_IDLE};

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

static void count(uint64_t *field)
{
	__atomic_store_n(field, *field + 1, __ATOMIC_RELAXED);
}

/* The session's histogram, taken out of the pool for its first sample; NULL: the pool is empty. */
static struct histogram *histogram_of(const struct kpi_config *config, uint32_t session,
				      enum kpi_histogram which)
{
	uint32_t *place = &config->sessions[session].histogram[which];

	if (!*place) {
		if (*config->histograms_used == config->histograms_max)
			return NULL;
		count(config->histograms_used);
		/* A reader that sees the place finds the zeros that were there from the start, or
		 * samples: nothing is to be ordered. */
		__atomic_store_n(place, (uint32_t)*config->histograms_used, __ATOMIC_RELAXED);
	}
	return &config->histograms[*place - 1];
}

static void observe(const struct kpi_config *config, uint32_t session, enum kpi_histogram which,
		    uint64_t ns)
{
	struct histogram *histogram = histogram_of(config, session, which);

	if (histogram)
		histogram_add(histogram, ns);
	else
		count(config->histograms_missed);
}

static void take_tcp(const struct kpi_config *config, const struct kpi_packet *p, struct flow *flow)
{
	struct kpi_flow *state = flow_state(config->flows, flow);
	uint64_t ns;

	switch (tcp_packet(&state->tcp, p->packet, p->dissected, &ns)) {
	case TCP_SERVER_HALF:
		observe(config, p->session, KPI_TCP_HANDSHAKE_SERVER, ns);
		break;
	case TCP_CLIENT_HALF:
		observe(config, p->session, KPI_TCP_HANDSHAKE_CLIENT, ns);
		break;
	case TCP_NEITHER:
		break;
	}
	if (tcp_end(&state->tcp) != TCP_ALIVE)
		flow_shorten(config->flows, flow, CLOSED_IDLE_S);
}

void kpi_packet(const struct kpi_config *config, const struct kpi_packet *p)
{
	struct kpi_session *session = &config->sessions[p->session];
	struct dissected *d = p->dissected;
	/* Of an IP packet that does not tell its length (TSO, jumbogram), what is there. */
	const uint32_t bytes = d->ip_len ? d->ip_len : d->wire_len - d->l3;

	count_volume(session, p, bytes);
	if (!d->has_flow)
		return;
	d->key.session = p->session;
	struct flow *flow =
		flow_update(config->flows, &d->key, d->direction, bytes, p->packet->time_ns);
	if (!flow) {
		d->marks |= 1u << MARK_FLOW_FULL;
		return;
	}
	if (flow->packets[0] + flow->packets[1] == 1) {
		kpi_add(session, kpis_of(flow)->created, 1);
		kpi_add(session, kpis_of(flow)->alive, 1);
	}
	if (d->key.proto == INNER_TCP)
		take_tcp(config, p, flow);
}

static enum kpi ended_of(const struct flow *flow, const struct kpi_flow *state)
{
	if (flow->key.proto != INNER_TCP)
		return kpis_of(flow)->ended_idle;
	switch (tcp_end(&state->tcp)) {
	case TCP_FIN:
		return KPI_ENDED_TCP_FIN;
	case TCP_RST:
		return KPI_ENDED_TCP_RST;
	default:
		return KPI_ENDED_TCP_IDLE;
	}
}

void kpi_flow_ended(void *arg, const struct flow *flow, const void *state)
{
	const struct kpi_config *config = arg;
	struct kpi_session *session = &config->sessions[flow->key.session];

	kpi_add(session, kpis_of(flow)->alive, UINT64_MAX); /* one less */
	kpi_add(session, ended_of(flow, state), 1);
}
