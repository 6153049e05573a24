#include "run/worker.h"

#include <errno.h>

#include "path/dissect.h"
#include "path/filter.h"
#include "steer.h"
#include "wire.h"

/* Longest a worker sleeps on an idle link: how late it may see that the writer is hungry. */
#define IDLE_MS 100

static void end_packet(struct worker *w, enum fate fate)
{
	stats_add(&w->stats->fate[fate], 1);
}

/* Offline every worker reads the whole file: this one's frames are its share of the hashes, and the
 * first worker's those that are no packets at all. */
static bool is_mine(const struct worker *w, enum fate fate, const struct packet *p)
{
	if (w->config.capture->is_live)
		return true;
	return w->config.number ==
	       (fate == FATE_KEPT ? steer_worker(p->hash, w->config.workers) : 0);
}

/* A store's packets go to one writer, whose alone its file is. Where each session has a file, those
 * of all its generations do: packets move from one to the next (gather_move). */
static uint32_t writer_of(const struct worker *w, const struct enrolled *e)
{
	const uint32_t n = w->config.writers;

	if (n == 1)
		return 0;
	if (!w->config.split)
		return e->store % n;
	const struct session *s = &stats_sessions(w->config.stats)[e->session];
	return (s->vni + wire_u32(s->source.byte + 12)) % n;
}

/* Sees to it that the writer's chunk has room for the packet. False: no empty one is to be had. */
static bool make_room(struct worker *w, uint32_t writer, const struct packet *p)
{
	struct chunk **chunk = &w->chunk[writer];

	if (*chunk && gather_has_room(*chunk, p))
		return true;
	if (*chunk)
		handoff_give(w->config.handoff[writer], chunk);
	*chunk = handoff_take_empty(w->config.handoff[writer]);
	if (*chunk)
		(*chunk)->policies = w->policies;
	return *chunk;
}

static void count_marks(struct worker *w, uint32_t marks)
{
	for (; marks; marks &= marks - 1)
		stats_add(&w->stats->mark[__builtin_ctz(marks)], 1);
}

/* A frame of the batch on its way. */
struct taken {
	struct packet packet;
	struct dissected dissected;
	struct enrolled enrolled;
	enum fate fate;    /* FATE_KEPT: it goes on, */
	uint32_t kept_len; /* so much of it */
	bool is_mine, has_session, is_measured;
};

/* The first bytes, which are kept. */
static struct packet kept_part(const struct taken *t)
{
	struct packet kept = t->packet;

	kept.cap_len = t->kept_len;
	if (kept.len > kept.cap_len)
		kept.len = kept.cap_len;
	return kept;
}

/* What becomes of a packet of a session, as far as its policy says. */
static enum fate judge_packet(const struct worker *w, struct taken *t)
{
	const struct filter *filter = t->enrolled.filter;
	const struct packet *p = &t->packet;

	if (filter->keep == SESSION_DROP)
		return FATE_NOT_CAPTURED;
	dissect_frame(p->data, p->len, p->cap_len, &t->dissected);
	if (!filter_is_opted_in(filter, p, &t->dissected))
		return FATE_NOT_OPTED_IN;
	if (p->time_ns < w->latest_ns)
		t->dissected.marks |= 1u << MARK_LATE;
	t->is_measured = true;
	filter_learn(filter, w->config.pairs, t->enrolled.session, p, &t->dissected);
	return filter_packet(filter, w->config.pairs, t->enrolled.session, p, &t->dissected,
			     &t->kept_len);
}

/* Of a file, all learn from the same frames, as they do sessions. */
static void learn_from_others(const struct worker *w, struct taken *t)
{
	const struct filter *filter = t->enrolled.filter;
	const struct packet *p = &t->packet;

	if (filter->user_plane == filter->keep)
		return;
	dissect_frame(p->data, p->len, p->cap_len, &t->dissected);
	if (filter_is_opted_in(filter, p, &t->dissected))
		filter_learn(filter, w->config.pairs, t->enrolled.session, p, &t->dissected);
}

/* Headers off, and whose it is. False: nobody knows yet, come again once the bell rang. */
static bool identify_frame(struct worker *w, const struct batch *batch, unsigned i, struct taken *t)
{
	const struct frame *frame = &batch->frame[i];
	const struct packet *p = &t->packet;

	t->enrolled = (struct enrolled){.since = ENROLL_NO_RUN};
	t->has_session = t->is_measured = false;
	t->fate = decap_frame(w->config.decap, batch, frame, &t->packet);
	t->is_mine = is_mine(w, t->fate, p);
	if (frame->time_ns > w->latest_ns)
		w->latest_ns = frame->time_ns;
	if (t->fate != FATE_KEPT)
		return true;
	/* Also what is another worker's: of a file, all learn sessions from the same frames. */
	enroll_packet(w->config.enroll, w->config.enroll_as, p, &t->enrolled);
	if (t->enrolled.session == ENROLL_UNKNOWN)
		return false;
	if (t->enrolled.session == ENROLL_REFUSED)
		t->fate = FATE_SESSION_CAP;
	t->has_session = t->enrolled.session != ENROLL_REFUSED;
	if (t->has_session && t->is_mine)
		t->fate = judge_packet(w, t);
	else if (t->has_session)
		learn_from_others(w, t);
	return true;
}

static void measure(struct worker *w, struct taken *taken, unsigned n)
{
	struct kpi_packet p[BATCH_MAX];
	unsigned measured = 0;

	for (struct taken *t = taken; t < taken + n; t++)
		if (t->is_measured)
			p[measured++] =
				(struct kpi_packet){&t->packet, &t->dissected, t->enrolled.session,
						    t->enrolled.direction};
	kpi_batch(w->config.kpi, p, measured);
}

/* Packets of the session that this worker dropped since it last kept one. */
static uint64_t untold_drops(struct worker *w, uint32_t session)
{
	const struct kpi_session *kpi = stats_kpi(w->config.stats, w->config.number, session);
	const uint64_t dropped = kpi->value[KPI_DROPPED_PACKETS];
	const uint64_t n = dropped - w->config.told_drops[session];

	w->config.told_drops[session] = dropped;
	return n;
}

/* chunk: NULL: there was no room. */
static void keep_packet(struct worker *w, const struct batch *batch, const struct taken *t,
			const struct packet *kept, struct chunk *chunk)
{
	const struct enrolled *e = &t->enrolled;

	if (!chunk) {
		kpi_add(stats_kpi(w->config.stats, w->config.number, e->session),
			KPI_DROPPED_PACKETS, 1);
		end_packet(w, FATE_WRITER_FULL);
		return;
	}
	const struct gathered as = {.place = place_of(e->session, e->store),
				    .wire_len = t->dissected.wire_len,
				    .id = packet_id(w->config.number, t->packet.sequence),
				    .drops = untold_drops(w, e->session),
				    .direction = e->direction};
	gather_packet(chunk, batch, kept, &as);
	stats_add(&w->stats->given, 1);
}

/* Before it waits for one writer, a lossless worker lets the others go on: else it could wait for
 * one that waits for a worker that waits for another writer that waits for it. The frame it is at
 * is later than all that it gave to the first one, or of the same time: hence + 1, by which some
 * workers' packets of one time may come out in another order. */
static void give_way(struct worker *w, uint32_t waits_for)
{
	for (uint32_t i = 0; i < w->config.writers; i++) {
		if (i == waits_for)
			continue;
		if (w->chunk[i] && w->chunk[i]->len)
			handoff_give(w->config.handoff[i], &w->chunk[i]);
		handoff_set_watermark(w->config.handoff[i], w->at_ns + 1);
	}
}

/* False: no room now, come again once the bell rang. */
static bool end_frame(struct worker *w, const struct batch *batch, unsigned i, struct taken *t)
{
	const bool goes_on = t->is_mine && t->fate == FATE_KEPT;
	const struct packet kept = goes_on ? kept_part(t) : t->packet;
	const struct enrolled *e = &t->enrolled;
	const uint32_t writer = t->has_session ? writer_of(w, e) : 0;
	const bool has_room = goes_on && make_room(w, writer, &kept);

	if (batch->frame[i].time_ns > w->at_ns)
		w->at_ns = batch->frame[i].time_ns;
	if (goes_on && !has_room && !w->config.capture->is_live) {
		give_way(w, writer);
		return false;
	}
	if (e->since != ENROLL_NO_RUN && w->chunk[writer])
		(void)gather_move(w->chunk[writer], e->since,
				  stats_sessions(w->config.stats)[e->session].previous,
				  place_of(e->session, e->store));
	if (!t->is_mine)
		return true;
	stats_add(&w->stats->received, 1);
	if (t->is_measured)
		count_marks(w, t->dissected.marks);
	if (goes_on)
		keep_packet(w, batch, t, &kept, has_room ? w->chunk[writer] : NULL);
	else
		end_packet(w, t->fate);
	return true;
}

/* Gives each writer what it is waiting for; says how far this worker has come. */
static void report(struct worker *w, uint64_t clock_ns)
{
	for (uint32_t i = 0; i < w->config.writers; i++) {
		struct handoff *handoff = w->config.handoff[i];
		struct chunk **chunk = &w->chunk[i];
		if (*chunk && (*chunk)->len && handoff_is_hungry(handoff))
			handoff_give(handoff, chunk);
		if (!*chunk || !(*chunk)->len)
			handoff_set_watermark(handoff, clock_ns);
	}
}

typedef bool (*step_fn)(struct worker *, const struct batch *, unsigned i, struct taken *);

/* Takes the step with each frame in order, and waits where it says so. */
static void each_frame(struct worker *w, const struct batch *batch, step_fn step,
		       struct taken *taken)
{
	struct bell *bell = w->config.bell;

	for (unsigned i = 0; i < batch->n; i++) {
		while (!step(w, batch, i, &taken[i])) {
			bell_announce(bell);
			if (step(w, batch, i, &taken[i])) {
				bell_leave(bell);
				break;
			}
			bell_wait(bell, IDLE_MS);
		}
	}
}

/* Step by step for all of the batch rather than packet by packet: what is remembered of the flows
 * comes out of memory together (bench_kpi). */
static void take_batch(struct worker *w, const struct batch *batch)
{
	struct taken taken[BATCH_MAX];

	each_frame(w, batch, identify_frame, taken);
	measure(w, taken, batch->n);
	each_frame(w, batch, end_frame, taken);
}

static void publish_flows(struct worker *w)
{
	const struct flow_counters *c = kpi_flows(w->config.kpi);

	stats_set(&w->stats->flows_active, c->active);
	stats_set(&w->stats->flows_created, c->created);
	stats_set(&w->stats->flows_expired, c->expired);
}

/* Between two batches. What was judged by other policies is in a chunk of its own. */
static void follow_policies(struct worker *w)
{
	/* Release: the batch's policies were used before; pairs with forget_policies. */
	atomic_store_explicit(&w->passed, w->policies, memory_order_release);
	/* Acquire: who sees the count finds the policies in force; pairs with set_policies. */
	const uint64_t now = atomic_load_explicit(w->config.policies, memory_order_acquire);
	if (now == w->policies)
		return;
	w->policies = now;
	for (uint32_t i = 0; i < w->config.writers; i++)
		if (w->chunk[i])
			handoff_give(w->config.handoff[i], &w->chunk[i]);
}

void *worker_run(void *arg)
{
	struct worker *w = arg;
	struct capture *capture = w->config.capture;
	struct batch batch;

	w->stats = stats_worker(w->config.stats, w->config.number);
	follow_policies(w);
	while (w->stats->lent < atomic_load_explicit(w->config.stop_at, memory_order_relaxed) &&
	       !(w->error = capture_recv(capture, &batch, IDLE_MS))) {
		stats_add(&w->stats->lent, batch.n);
		take_batch(w, &batch);
		capture_release(capture, &batch);
		kpi_expire(w->config.kpi, batch.n ? w->latest_ns : batch.clock_ns);
		publish_flows(w);
		report(w, batch.clock_ns);
		follow_policies(w);
	}
	if (w->error == -ENODATA)
		w->error = 0;
	kpi_finish(w->config.kpi, w->latest_ns);
	publish_flows(w);
	for (uint32_t i = 0; i < w->config.writers; i++) {
		if (w->chunk[i])
			handoff_give(w->config.handoff[i], &w->chunk[i]);
		handoff_set_watermark(w->config.handoff[i], UINT64_MAX);
	}
	atomic_store_explicit(&w->passed, UINT64_MAX, memory_order_release);
	bell_ring(w->config.control);
	return NULL;
}
