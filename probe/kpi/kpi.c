#include "kpi/kpi.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "inner.h"
#include "kpi/duplicate.h"
#include "kpi/later.h"
#include "kpi/overtaken.h"
#include "kpi/sctp.h"

/* Flow buckets looked at per batch: those of 65,536 flows, about 12,300, in 192 batches. */
#define EXPIRE_BUCKETS      64
#define EXPIRE_ASSOCIATIONS 16

/* A flow of one direction is known as such after so much of it (kpis.md 1.1). */
#define ONE_WAY_PACKETS 10
#define ONE_WAY_NS      UINT64_C(5000000000)

/* A session's packets are judged apart from those in its tunnels. */
#define DUPLICATES_OF 2

/* The marks that KPI_UNDECODED_... are of, in the order of both lists. */
#define UNDECODED       (MARK_BAD_TRANSPORT - MARK_NOT_IP + 1)
#define MARKS_UNDECODED (((1u << UNDECODED) - 1) << MARK_NOT_IP)
static_assert((int)KPI_UNDECODED_BAD_TRANSPORT - (int)KPI_UNDECODED_NOT_IP ==
		      (int)MARK_BAD_TRANSPORT - (int)MARK_NOT_IP,
	      "a row for each");

struct kpis {
	struct kpi_memory memory;
	uint32_t sessions_max;
	struct duplicates *duplicates;
	struct flow_table *flows; /* with a struct kpi_flow beside each */
	struct sctp *sctp;
	struct tcp_gaps *gaps;
	struct later *later;
	struct overtaken overtaken;
};

static enum kpi_l4 l4_of(const struct flow_key *key)
{
	switch (key->proto) {
	case INNER_TCP:
		return key->is_ue ? KPI_L4_UE_TCP : KPI_L4_TCP;
	case INNER_UDP:
		return KPI_L4_UDP;
	case INNER_SCTP:
		return KPI_L4_SCTP;
	case INNER_ICMP:
	case INNER_ICMPV6:
		return KPI_L4_ICMP;
	default:
		return KPI_L4_OTHER;
	}
}

static void count_volume(struct kpi_session *s, const struct kpi_packet *p, uint64_t bytes)
{
	static const struct {
		enum kpi packets, bytes;
	} of[] = {[SESSION_INGRESS] = {KPI_INGRESS_PACKETS, KPI_INGRESS_BYTES},
		  [SESSION_EGRESS] = {KPI_EGRESS_PACKETS, KPI_EGRESS_BYTES},
		  [SESSION_UNDIRECTED] = {KPI_UNDIRECTED_PACKETS, KPI_UNDIRECTED_BYTES}};
	const uint32_t marks = p->dissected->marks;
	const uint32_t fragment = 1u << MARK_FIRST_FRAGMENT | 1u << MARK_LATER_FRAGMENT;

	kpi_add(s, of[p->direction].packets, 1);
	kpi_add(s, of[p->direction].bytes, bytes);
	kpi_add(s, KPI_CAPTURED_BYTES, p->packet->cap_len);
	kpi_add(s, KPI_TRUNCATED_PACKETS, marks >> MARK_TRUNCATED & 1);
	kpi_add(s, KPI_FRAGMENTS, !!(marks & fragment));
	for (unsigned i = 0; i < UNDECODED && marks & MARKS_UNDECODED; i++)
		kpi_add(s, KPI_UNDECODED_NOT_IP + i, marks >> (MARK_NOT_IP + i) & 1);
	if (!s->first_ns)
		__atomic_store_n(&s->first_ns, p->packet->time_ns, __ATOMIC_RELAXED);
	if (p->packet->time_ns > s->last_ns)
		__atomic_store_n(&s->last_ns, p->packet->time_ns, __ATOMIC_RELAXED);
}

static bool is_copy(struct kpis *kpi, struct kpi_session *session, const struct kpi_packet *p,
		    uint64_t print)
{
	const enum duplicate which = duplicates_judge(kpi->duplicates, DUPLICATES_OF * p->session,
						      print, p->packet, p->dissected);

	if (which == DUPLICATE_NONE)
		return false;
	kpi_add(session, KPI_DUPLICATE_PACKETS, 1);
	kpi_add(session, KPI_EXCLUDED_PACKETS, which == DUPLICATE_COPY);
	return which == DUPLICATE_COPY;
}

static struct kpi_sink sink_of(const struct kpis *kpi, uint32_t session, uint64_t time_ns)
{
	return (struct kpi_sink){.memory = &kpi->memory,
				 .gaps = kpi->gaps,
				 .session = &kpi->memory.sessions[session],
				 .time_ns = time_ns};
}

/* ---- flows ---- */

/* A SYN that nothing answers is a failed attempt, not a mirror of one direction. */
static bool is_one_way(const struct flow *flow, const struct kpi_flow *state)
{
	const uint64_t packets = flow->packets[0] + flow->packets[1];

	return (packets >= ONE_WAY_PACKETS || flow->last_ns - flow->first_ns > ONE_WAY_NS) &&
	       !(flow->key.proto == INNER_TCP &&
		 tcp_handshake_is_unanswered(&state->tcp.handshake));
}

/* Each flow is counted once as either; one that is answered late, as both. */
static void count_directions(const struct kpi_sink *sink, const struct flow *flow,
			     struct kpi_flow *state)
{
	const enum kpi_l4 l4 = l4_of(&flow->key);

	if (flow->packets[0] && flow->packets[1]) {
		if (!state->is_counted_both)
			kpi_add(sink->session, KPI_BIDIRECTIONAL_TCP + l4, 1);
		state->is_counted_both = true;
	} else if (!state->is_counted_one && is_one_way(flow, state)) {
		kpi_add(sink->session, KPI_UNIDIRECTIONAL_TCP + l4, 1);
		state->is_counted_one = true;
	}
	/* Only an echo is left without answer in a flow that has some. */
	if (!state->is_counted_both || l4 == KPI_L4_ICMP)
		state->sees_both = kpi_sees_both(sink) ? 1 : -1;
}

/* ---- what waits for packets that may come late ---- */

static void look_later(const struct kpis *kpi, const struct flow *flow, struct kpi_flow *state,
		       uint64_t now_ns)
{
	if (!state->is_awaited && tcp_waits(&state->tcp))
		state->is_awaited = later_put(kpi->later, flow, now_ns + TCP_LATE_NS);
}

static void look_again(const struct kpis *kpi, const struct flow *flow, uint64_t now_ns)
{
	struct kpi_flow *state = flow_state(kpi->flows, flow);
	struct kpi_sink sink = sink_of(kpi, flow->key.session, now_ns);

	if (!flow_is_alive(kpi->flows, flow) || !state->is_awaited)
		return;
	sink.is_ue = flow->key.is_ue;
	state->is_awaited = false;
	tcp_look_again(&sink, &state->tcp);
	look_later(kpi, flow, state, now_ns);
}

static void look_at_due(const struct kpis *kpi, uint64_t now_ns)
{
	const struct flow *flow;

	while ((flow = later_take(kpi->later, now_ns)))
		look_again(kpi, flow, now_ns);
}

/* ---- flows and what they carry ---- */

static void take_transport(const struct kpis *kpi, const struct kpi_sink *sink,
			   const struct packet *p, const struct dissected *d, struct flow *flow)
{
	struct kpi_flow *state = flow_state(kpi->flows, flow);
	uint32_t idle_s = 0;

	switch (d->key.proto) {
	case INNER_TCP:
		kpi_see(sink, KPI_GROUP_TCP);
		tcp_packet(sink, &state->tcp, p, d, flow);
		idle_s = tcp_idle_s(&state->tcp);
		look_later(kpi, flow, state, sink->time_ns);
		break;
	case INNER_UDP:
		udp_packet(sink, &state->udp, p, d, flow);
		idle_s = udp_idle_s(flow);
		break;
	case INNER_SCTP:
		sctp_packet(kpi->sctp, sink, p, d);
		break;
	case INNER_ICMP:
	case INNER_ICMPV6:
		icmp_packet(sink, &state->icmp, p, d);
		idle_s = icmp_idle_s(&state->icmp);
		break;
	default:
		break;
	}
	if (idle_s)
		flow_shorten(kpi->flows, flow, idle_s);
}

/* A packet of the flow was not delivered, and icmp_tells it something. */
static void take_quote(const struct kpis *kpi, const struct kpi_sink *sink, const struct flow *flow,
		       const struct icmp_quote *quote)
{
	struct kpi_flow *state = flow_state(kpi->flows, flow);

	if (flow->key.proto == INNER_TCP)
		tcp_unreachable(sink, &state->tcp, quote->direction);
	else if (flow->key.proto == INNER_SCTP)
		sctp_unreachable(kpi->sctp, sink, &quote->key, quote->direction);
	else
		udp_refused(sink, &state->udp);
}

/* d has a flow key, all filled in, whose place it is. False: no room for the flow. */
static bool take_flow(struct kpis *kpi, const struct kpi_sink *sink, const struct packet *p,
		      const struct dissected *d, const struct flow_place *place, uint32_t bytes)
{
	struct flow *flow =
		flow_update(kpi->flows, place, &d->key, d->direction, bytes, sink->time_ns);

	if (!flow)
		return false;
	kpi_see(sink, KPI_GROUP_FLOWS);
	const bool is_new = flow->packets[0] + flow->packets[1] == 1;
	struct icmp_quote quote;
	if (is_new) {
		kpi_add(sink->session, KPI_CREATED_TCP + l4_of(&flow->key), 1);
		kpi_add(sink->session, KPI_FLOWS_TCP + l4_of(&flow->key), 1);
	}
	take_transport(kpi, sink, p, d, flow);
	while (is_new && overtaken_take(&kpi->overtaken, &flow->key, sink->time_ns, &quote))
		take_quote(kpi, sink, flow, &quote);
	count_directions(sink, flow, flow_state(kpi->flows, flow));
	return true;
}

/* ---- what is inside other packets ---- */

/* The packet that an ICMP error quotes was not delivered: its flow learns it. */
static void take_icmp_error(struct kpis *kpi, const struct kpi_sink *sink,
			    const struct kpi_packet *p)
{
	struct icmp_quote quote = {0};

	const enum icmp_verdict verdict =
		icmp_error(sink, p->packet, p->dissected, &quote.key, &quote.direction);
	if (!icmp_tells(verdict, quote.key.proto))
		return;
	quote.key.session = p->session;
	const struct flow *flow = flow_find(kpi->flows, &quote.key, sink->time_ns);
	if (flow)
		take_quote(kpi, sink, flow, &quote);
	else
		overtaken_put(&kpi->overtaken, &quote, sink->time_ns);
}

/* TCP of a UE, in the tunnel that carries it. Where a gateway is mirrored every packet of a UE
 * comes by two tunnels: what copies the outer packets are not, the inner ones are. */
static void take_tunnelled(struct kpis *kpi, struct kpi_sink sink, const struct kpi_packet *p)
{
	struct dissected inner;

	if (!dissect_gtpu(p->packet->data, p->packet->len, p->dissected, &inner) ||
	    !inner.has_flow || inner.key.proto != INNER_TCP)
		return;
	const uint32_t tunnels = DUPLICATES_OF * p->session + 1;
	const uint64_t print = duplicates_print(kpi->duplicates, tunnels, p->packet, &inner);
	if (duplicates_judge(kpi->duplicates, tunnels, print, p->packet, &inner) ==
	    DUPLICATE_COPY) {
		kpi_add(sink.session, KPI_TUNNEL_COPIES, 1);
		return;
	}
	sink.is_ue = true;
	inner.key.session = p->session;
	inner.key.is_ue = 1;
	const struct flow_place place = flow_place(kpi->flows, &inner.key);
	if (!take_flow(kpi, &sink, p->packet, &inner, &place, inner.ip_len))
		p->dissected->marks |= 1u << MARK_FLOW_FULL;
}

/* What is found of each packet of a batch before the first is taken. */
struct ahead {
	uint64_t print;
	struct flow_place place; /* of a packet that has a flow */
};

static struct ahead look_ahead(const struct kpis *kpi, const struct kpi_packet *p)
{
	struct ahead ahead = {.print = duplicates_print(kpi->duplicates, DUPLICATES_OF * p->session,
							p->packet, p->dissected)};

	if (p->dissected->has_flow) {
		p->dissected->key.session = p->session;
		ahead.place = flow_place(kpi->flows, &p->dissected->key);
	}
	return ahead;
}

static void take_packet(struct kpis *kpi, const struct kpi_packet *p, const struct ahead *ahead)
{
	const struct kpi_sink sink = sink_of(kpi, p->session, p->packet->time_ns);
	struct dissected *d = p->dissected;
	/* Of an IP packet that does not tell its length (TSO, jumbogram), what is there. */
	const uint32_t bytes = d->ip_len ? d->ip_len : d->wire_len - d->l3;

	kpi_see(&sink, KPI_GROUP_FEED);
	if (is_copy(kpi, sink.session, p, ahead->print))
		return;
	count_volume(sink.session, p, bytes);
	if (d->key.version) {
		kpi_add(sink.session, KPI_PROTOCOL_PACKETS_TCP + l4_of(&d->key), 1);
		kpi_add(sink.session, KPI_PROTOCOL_BYTES_TCP + l4_of(&d->key), bytes);
	}
	if (!d->has_flow) {
		take_icmp_error(kpi, &sink, p);
		return;
	}
	if (!take_flow(kpi, &sink, p->packet, d, &ahead->place, bytes))
		d->marks |= 1u << MARK_FLOW_FULL;
	if (d->key.proto == INNER_UDP)
		take_tunnelled(kpi, sink, p);
}

void kpi_batch(struct kpis *kpi, const struct kpi_packet *p, unsigned n)
{
	struct ahead ahead[BATCH_MAX];

	for (unsigned i = 0; i < n; i++)
		ahead[i] = look_ahead(kpi, &p[i]);
	for (unsigned i = 0; i < n; i++)
		if (p[i].dissected->has_flow)
			flow_fetch(kpi->flows, &ahead[i].place, &p[i].dissected->key,
				   p[i].packet->time_ns);
	for (unsigned i = 0; i < n; i++)
		take_packet(kpi, &p[i], &ahead[i]);
}

void kpi_packet(struct kpis *kpi, const struct kpi_packet *p)
{
	kpi_batch(kpi, p, 1);
}

/* ---- ends ---- */

static enum kpi ended_of(const struct flow *flow, const struct kpi_flow *state, enum flow_end why)
{
	const enum kpi_l4 l4 = l4_of(&flow->key);
	const enum tcp_end end =
		flow->key.proto == INNER_TCP ? tcp_handshake_end(&state->tcp.handshake) : TCP_ALIVE;

	if (why == FLOW_EVICTED)
		return KPI_ENDED_EVICTED_TCP + l4;
	if (end == TCP_FIN)
		return flow->key.is_ue ? KPI_ENDED_FIN_UE_TCP : KPI_ENDED_FIN_TCP;
	if (end == TCP_RST)
		return flow->key.is_ue ? KPI_ENDED_RST_UE_TCP : KPI_ENDED_RST_TCP;
	return KPI_ENDED_IDLE_TCP + l4;
}

static void end_flow(void *arg, const struct flow *flow, const void *state_of_flow,
		     enum flow_end why)
{
	const struct kpis *kpi = arg;
	const struct kpi_flow *state = state_of_flow;
	struct kpi_sink sink = sink_of(kpi, flow->key.session, flow->last_ns);

	kpi_add(sink.session, KPI_FLOWS_TCP + l4_of(&flow->key), UINT64_MAX); /* one less */
	kpi_add(sink.session, ended_of(flow, state, why), 1);
	sink.is_ue = flow->key.is_ue;
	sink.sees_both = state->sees_both;
	switch (flow->key.proto) {
	case INNER_TCP:
		tcp_ended(&sink, &state->tcp, flow, why);
		break;
	case INNER_UDP:
		if (why == FLOW_IDLE)
			udp_ended(&sink, &state->udp, flow);
		break;
	case INNER_ICMP:
	case INNER_ICMPV6:
		if (why == FLOW_IDLE)
			icmp_ended(&sink, &state->icmp);
		break;
	default:
		break;
	}
}

void kpi_expire(struct kpis *kpi, uint64_t now_ns)
{
	look_at_due(kpi, now_ns);
	(void)flow_expire(kpi->flows, now_ns, EXPIRE_BUCKETS);
	sctp_expire(kpi->sctp, now_ns, EXPIRE_ASSOCIATIONS);
}

static void settle_flow(void *arg, const struct flow *flow, void *state_of_flow)
{
	struct kpi_flow *state = state_of_flow;
	struct kpi_sink sink = sink_of(arg, flow->key.session, flow->last_ns);

	sink.is_ue = flow->key.is_ue;
	if (flow->key.proto == INNER_TCP)
		tcp_settle(&sink, &state->tcp);
}

void kpi_finish(struct kpis *kpi, uint64_t now_ns)
{
	(void)flow_expire(kpi->flows, now_ns, UINT32_MAX);
	sctp_finish(kpi->sctp, now_ns);
	flow_each(kpi->flows, settle_flow, kpi);
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
	struct sctp_config s = {.associations_max = config->associations_max,
				.sessions_max = config->sessions_max,
				.memory = memory};

	memcpy(s.key, config->key, sizeof(s.key));
	return s;
}

static uint32_t latest_max(const struct kpi_config *config)
{
	return config->latest_max ? config->latest_max : DUPLICATES_PACKETS;
}

int kpi_open(struct kpis **out, const struct kpi_config *config, struct err *err)
{
	struct kpis *kpi = calloc(1, sizeof(*kpi));

	if (!kpi)
		return err_set(err, -ENOMEM, "out of memory for KPIs");
	kpi->memory = config->memory;
	kpi->sessions_max = config->sessions_max;
	kpi->later = calloc(1, sizeof(*kpi->later));
	if (!kpi->later) {
		kpi_close(kpi);
		return err_set(err, -ENOMEM, "out of memory for KPIs");
	}
	const struct flow_config flows = flow_config(config, kpi);
	const struct sctp_config sctp = sctp_config(config, &kpi->memory);
	int ret = flow_open(&kpi->flows, &flows, err);
	if (ret || (ret = sctp_open(&kpi->sctp, &sctp, err)) ||
	    (ret = duplicates_open(&kpi->duplicates, latest_max(config),
				   DUPLICATES_OF * config->sessions_max, config->key, err)) ||
	    (ret = tcp_gaps_open(&kpi->gaps, config->flows_max, err))) {
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
	duplicates_close(kpi->duplicates);
	tcp_gaps_close(kpi->gaps);
	sctp_close(kpi->sctp);
	flow_close(kpi->flows);
	free(kpi->later);
	free(kpi);
}

size_t kpi_memory(const struct kpi_config *config)
{
	const struct flow_config flows = flow_config(config, NULL);
	const struct sctp_config sctp = sctp_config(config, NULL);

	return sizeof(struct kpis) + sizeof(struct later) + flow_memory(&flows) +
	       sctp_memory(&sctp) +
	       duplicates_memory(latest_max(config), DUPLICATES_OF * config->sessions_max) +
	       tcp_gaps_memory(config->flows_max);
}
