#include "path/enroll.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "inner.h"
#include "wire.h"

/* One place of the table. id is written last and never taken back. */
struct slot {
	struct address source;
	uint32_t vni;
	_Atomic uint32_t id_plus_1; /* 0: empty */
};

/* What one worker knows of a session's MACs. It writes, control reads when it is asked. */
struct macs {
	_Atomic uint64_t candidate[2]; /* 48 bits each; first 0: no frame told yet, or NO_COMMON */
	uint64_t since;                /* sequence of the run's first frame */
	uint64_t self;                 /* MAC that goes with the outer source; 0: none seen */
	uint8_t run;                   /* foreign frames in a row, below ENROLL_RUN */
};

#define NO_COMMON (1ull << 63) /* it is proved that no MAC is in all frames */

/* What is known of a session besides. Control writes, workers read. */
struct state {
	_Atomic uint64_t until_ns, mac; /* as enroll_identity has them */
	const struct filter *_Atomic filter;
	_Atomic uint32_t store;
	_Atomic bool is_over; /* another ENI is there and no room for its session */
	uint64_t eni;         /* control's own */
};

enum letter { LETTER_NONE, LETTER_ASKED, LETTER_REFUSED };

/* A worker's question: is this pair new, has its session a new ENI, who is it now? One at a time.
 */
struct letter_box {
	_Alignas(64) _Atomic uint32_t letter;
	struct address source;
	uint32_t vni;
	uint32_t session; /* that the question is about, or ENROLL_UNKNOWN */
	bool is_review;   /* its identity has run out */
	uint64_t time_ns; /* the packet's */
};

struct enroll {
	struct enroll_config config;
	uint32_t mask;
	_Atomic bool is_full;
	uint64_t review_ns; /* the earliest end of an identity; control's own */
	struct slot *slots;
	struct letter_box *boxes; /* [workers] */
	struct macs *macs;        /* [workers][sessions_room] */
	struct state *states;     /* [sessions_room] */
	struct session *sessions; /* [sessions_room] */
	uint32_t n_sessions;      /* enroll_serve alone writes */
};

static uint32_t slots_for(uint32_t sessions_room)
{
	uint32_t n = 16;

	/* Half full at most: probes stay short. */
	while (n < 2 * sessions_room)
		n *= 2;
	return n;
}

size_t enroll_memory(uint32_t sessions_room, uint32_t workers)
{
	return slots_for(sessions_room) * sizeof(struct slot) +
	       sessions_room * (sizeof(struct session) + sizeof(struct state)) +
	       workers * (sizeof(struct letter_box) + sessions_room * sizeof(struct macs));
}

int enroll_open(struct enroll **out, const struct enroll_config *config, struct err *err)
{
	const uint32_t room = config->sessions_room;
	struct enroll *e = calloc(1, sizeof(*e));

	if (!e)
		return err_set(err, -ENOMEM, "out of memory");
	e->config = *config;
	e->review_ns = UINT64_MAX;
	e->mask = slots_for(room) - 1;
	e->slots = calloc(e->mask + 1, sizeof(*e->slots));
	e->boxes = aligned_alloc(64, config->workers * sizeof(*e->boxes));
	e->macs = calloc((size_t)config->workers * room, sizeof(*e->macs));
	e->states = calloc(room, sizeof(*e->states));
	e->sessions = calloc(room, sizeof(*e->sessions));
	if (!e->slots || !e->boxes || !e->macs || !e->states || !e->sessions) {
		enroll_close(e);
		return err_set(err, -ENOMEM, "out of memory for %u sessions", room);
	}
	memset(e->boxes, 0, config->workers * sizeof(*e->boxes));
	*out = e;
	return 0;
}

void enroll_close(struct enroll *e)
{
	if (!e)
		return;
	free(e->slots);
	free(e->boxes);
	free(e->macs);
	free(e->states);
	free(e->sessions);
	free(e);
}

/* The slot of the pair, or the empty one where it would be. */
static struct slot *find_slot(const struct enroll *e, const struct address *source, uint32_t vni)
{
	struct siphash s;
	uint64_t word[2];

	memcpy(word, source, sizeof(word));
	sip_init(&s, &e->config.key);
	sip_word(&s, word[0]);
	sip_word(&s, word[1]);
	sip_word(&s, vni);
	for (uint32_t i = (uint32_t)sip_final(&s);; i++) {
		struct slot *slot = &e->slots[i & e->mask];
		/* Acquire: source and vni are there when the id is; pairs with give_id. */
		if (!atomic_load_explicit(&slot->id_plus_1, memory_order_acquire) ||
		    (slot->vni == vni && !memcmp(&slot->source, source, sizeof(*source))))
			return slot;
	}
}

static struct macs *macs_of(const struct enroll *e, unsigned worker, uint32_t session)
{
	return &e->macs[(size_t)worker * e->config.sessions_room + session];
}

/* ---- worker ---- */

static uint32_t ask(struct enroll *e, unsigned worker, const struct packet *p, uint32_t session,
		    bool is_review)
{
	struct letter_box *box = &e->boxes[worker];

	/* Before anything else, so that no answer stays for another packet. Acquire: control is
	 * done with the letter; pairs with enroll_serve. */
	switch (atomic_load_explicit(&box->letter, memory_order_acquire)) {
	case LETTER_ASKED:
		return ENROLL_UNKNOWN;
	case LETTER_REFUSED:
		atomic_store_explicit(&box->letter, LETTER_NONE, memory_order_relaxed);
		return ENROLL_REFUSED;
	}
	if (!is_review && atomic_load_explicit(&e->is_full, memory_order_relaxed))
		return ENROLL_REFUSED;
	box->source = p->source;
	box->vni = p->vni;
	box->session = session;
	box->is_review = is_review;
	box->time_ns = p->time_ns;
	/* Release: the letter is whole; pairs with enroll_serve. */
	atomic_store_explicit(&box->letter, LETTER_ASKED, memory_order_release);
	e->config.ask(e->config.ask_arg);
	return ENROLL_UNKNOWN;
}

static uint64_t mac_at(const uint8_t *p)
{
	return (uint64_t)wire_u16(p) << 32 | wire_u32(p + 2);
}

/* The I/G bit of the first byte (IEEE 802 section 8.2.2). */
static bool is_group(uint64_t mac)
{
	return mac >> 40 & 1;
}

static uint64_t candidate(const struct macs *m, int i)
{
	return atomic_load_explicit(&m->candidate[i], memory_order_relaxed);
}

static void set_candidates(struct macs *m, uint64_t first, uint64_t second)
{
	atomic_store_explicit(&m->candidate[0], first, memory_order_relaxed);
	atomic_store_explicit(&m->candidate[1], second, memory_order_relaxed);
	m->run = 0;
}

/* Learns from a frame between two stations. True: it would complete a run of foreign frames. */
static bool learn(struct macs *m, uint64_t from, uint64_t to, uint64_t sequence)
{
	const uint64_t first = candidate(m, 0), second = candidate(m, 1);
	const bool has_first = first == from || first == to;
	const bool has_second = second && (second == from || second == to);

	if (first == NO_COMMON)
		return false;
	if (!first) {
		set_candidates(m, from, to);
	} else if (!has_first && !has_second) {
		if (m->run == ENROLL_RUN - 1)
			return true;
		if (!m->run++)
			m->since = sequence;
	} else if (m->run) {
		set_candidates(m, NO_COMMON, 0);
	} else {
		set_candidates(m, has_first ? first : second, has_first && has_second ? second : 0);
	}
	return false;
}

/* On the first frame of a generation: since when frames of the one before belong to it. */
static uint64_t take_run(struct enroll *e, unsigned worker, uint32_t session)
{
	const uint32_t previous = e->sessions[session].previous;

	if (previous == ENROLL_UNKNOWN || candidate(macs_of(e, worker, session), 0))
		return ENROLL_NO_RUN;
	struct macs *m = macs_of(e, worker, previous);
	const bool has_run = m->run;
	m->run = 0;
	return has_run ? m->since : ENROLL_NO_RUN;
}

/* The MAC that goes with the outer source as the inner address of an IPv4 packet, or 0. */
static uint64_t own_mac(const struct packet *p, uint64_t from, uint64_t to)
{
	const uint8_t *source = p->source.byte + 12;

	if (p->len < INNER_ETHERNET_LEN + INNER_IPV4_LEN || wire_u16(p->data + 12) != 0x0800)
		return 0;
	if (!memcmp(p->data + INNER_ETHERNET_LEN + 12, source, 4))
		return from;
	return memcmp(p->data + INNER_ETHERNET_LEN + 16, source, 4) ? 0 : to;
}

/* The ENI's MAC, or 0 while it is not known. */
static uint64_t eni_mac(const struct state *state, struct macs *m, const struct packet *p,
			uint64_t from, uint64_t to)
{
	const uint64_t said = atomic_load_explicit(&state->mac, memory_order_relaxed);
	const uint64_t first = candidate(m, 0), second = candidate(m, 1);

	if (said || first == NO_COMMON)
		return said;
	if (!second)
		return first;
	if (!m->self)
		m->self = own_mac(p, from, to);
	return m->self == first || m->self == second ? m->self : 0;
}

static enum session_direction direction(uint64_t eni, uint64_t from, uint64_t to)
{
	if (eni && from == eni)
		return SESSION_EGRESS;
	/* What others send to a group is mirrored where it comes in. */
	return eni && (to == eni || is_group(to)) ? SESSION_INGRESS : SESSION_UNDIRECTED;
}

/* Learns from the frame. False: control has to be asked, and asked it was. */
static bool take_macs(struct enroll *e, unsigned worker, const struct packet *p,
		      struct enrolled *out)
{
	const uint64_t to = mac_at(p->data), from = mac_at(p->data + 6);
	struct macs *m = macs_of(e, worker, out->session);

	if (!is_group(to) && !is_group(from)) {
		out->since = take_run(e, worker, out->session);
		if (learn(m, from, to, p->sequence)) {
			if (ask(e, worker, p, out->session, false) == ENROLL_UNKNOWN)
				return false;
			set_candidates(m, NO_COMMON, 0);
		}
	}
	out->direction = direction(eni_mac(&e->states[out->session], m, p, from, to), from, to);
	return true;
}

/* The session that the table has for the pair. */
static uint32_t look_up(struct enroll *e, unsigned worker, const struct packet *p)
{
	const struct slot *slot = find_slot(e, &p->source, p->vni);
	/* Acquire: the session is written when its id is; pairs with give_id. */
	const uint32_t id = atomic_load_explicit(&slot->id_plus_1, memory_order_acquire) - 1;

	if (id == ENROLL_UNKNOWN)
		return ask(e, worker, p, ENROLL_UNKNOWN, false);
	/* Acquire: policy and MAC are of this identity; pairs with set_identity. */
	if (p->time_ns >= atomic_load_explicit(&e->states[id].until_ns, memory_order_acquire))
		return ask(e, worker, p, id, true);
	return id;
}

void enroll_packet(struct enroll *e, unsigned worker, const struct packet *p, struct enrolled *out)
{
	*out = (struct enrolled){.session = look_up(e, worker, p),
				 .direction = SESSION_UNDIRECTED,
				 .since = ENROLL_NO_RUN};
	if (out->session == ENROLL_UNKNOWN || out->session == ENROLL_REFUSED)
		return;
	const struct state *state = &e->states[out->session];
	if (atomic_load_explicit(&state->is_over, memory_order_relaxed)) {
		out->session = ENROLL_REFUSED;
		return;
	}
	/* Acquire: what it points to is there; pairs with set_identity. */
	out->filter = atomic_load_explicit(&state->filter, memory_order_acquire);
	out->store = atomic_load_explicit(&state->store, memory_order_relaxed);
	if (p->len >= INNER_ETHERNET_LEN && !take_macs(e, worker, p, out))
		out->session = ENROLL_UNKNOWN;
}

/* ---- control thread ---- */

static void identify(const struct enroll *e, const struct address *source, uint32_t vni,
		     uint64_t time_ns, struct enroll_identity *out)
{
	*out = (struct enroll_identity){.until_ns = UINT64_MAX};
	if (e->config.identify)
		e->config.identify(e->config.arg, source, vni, time_ns, out);
	if (out->until_ns <= time_ns)
		out->until_ns = time_ns + 1; /* else its worker would ask for ever */
}

static void set_identity(struct enroll *e, uint32_t id, const struct enroll_identity *identity,
			 bool is_over)
{
	struct state *s = &e->states[id];

	s->eni = identity->eni ? identity->eni : s->eni;
	if (identity->until_ns < e->review_ns)
		e->review_ns = identity->until_ns;
	atomic_store_explicit(&s->mac, identity->mac, memory_order_relaxed);
	atomic_store_explicit(&s->store, identity->store, memory_order_relaxed);
	atomic_store_explicit(&s->is_over, is_over, memory_order_relaxed);
	/* Release: pairs with enroll_packet. */
	atomic_store_explicit(&s->filter, identity->filter, memory_order_release);
	/* Release: pairs with look_up. */
	atomic_store_explicit(&s->until_ns, identity->until_ns, memory_order_release);
}

static bool is_full(const struct enroll *e)
{
	return e->n_sessions == e->config.sessions_max;
}

/* Enters a session and lets the slot lead to it. */
static void give_id(struct enroll *e, struct slot *slot, const struct session *session,
		    const struct enroll_identity *identity, uint64_t time_ns)
{
	const uint32_t id = e->n_sessions;

	e->sessions[id] = *session;
	e->n_sessions++;
	set_identity(e, id, identity, false);
	e->config.publish(e->config.arg, id, session, time_ns);
	/* Release: who sees the slot's id finds the session; pairs with find_slot. */
	atomic_store_explicit(&slot->id_plus_1, id + 1, memory_order_release);
	atomic_store_explicit(&e->is_full, is_full(e), memory_order_relaxed);
}

static struct session next_generation(const struct enroll *e, uint32_t id)
{
	const struct session *s = &e->sessions[id];

	return (struct session){s->source, s->vni, s->generation + 1, id};
}

/* Whoever is behind the slot's session at time_ns: the same as before, or another ENI. */
static void review(struct enroll *e, struct slot *slot, uint32_t id, uint64_t time_ns)
{
	const uint64_t before = e->states[id].eni;
	const struct session next = next_generation(e, id);
	struct enroll_identity identity;

	identify(e, &next.source, next.vni, time_ns, &identity);
	const bool is_other = before && identity.eni && before != identity.eni;
	if (is_other && !is_full(e)) {
		give_id(e, slot, &next, &identity, time_ns);
		return;
	}
	if (is_other) {
		identity.eni = before; /* when there is room again, it is another one still */
		set_identity(e, id, &identity, true);
		return;
	}
	set_identity(e, id, &identity, false);
	e->config.publish(e->config.arg, id, &e->sessions[id], time_ns);
}

/* Only when all workers that saw the session agree on a MAC did it have a common one. */
static bool has_common_mac(const struct enroll *e, uint32_t session)
{
	uint64_t common[2] = {0};

	for (uint32_t w = 0; w < e->config.workers; w++) {
		const struct macs *m = macs_of(e, w, session);
		const uint64_t a = candidate(m, 0), b = candidate(m, 1);
		if (a == NO_COMMON)
			return false;
		if (!a)
			continue;
		if (!common[0] && !common[1]) {
			common[0] = a;
			common[1] = b;
			continue;
		}
		for (int i = 0; i < 2; i++)
			common[i] = common[i] == a || common[i] == b ? common[i] : 0;
		if (!common[0] && !common[1])
			return false;
	}
	return true;
}

static enum letter enter(struct enroll *e, struct slot *slot, const struct letter_box *box)
{
	const struct session session = {box->source, box->vni, 1, ENROLL_UNKNOWN};
	struct enroll_identity identity;

	slot->source = box->source;
	slot->vni = box->vni;
	identify(e, &box->source, box->vni, box->time_ns, &identity);
	give_id(e, slot, &session, &identity, box->time_ns);
	return LETTER_NONE;
}

static enum letter answer(struct enroll *e, const struct letter_box *box)
{
	struct slot *slot = find_slot(e, &box->source, box->vni);
	const uint32_t id = atomic_load_explicit(&slot->id_plus_1, memory_order_relaxed) - 1;
	struct enroll_identity identity;

	if (id != box->session)
		return LETTER_NONE; /* answered already, to another worker */
	if (box->is_review) {
		review(e, slot, id, box->time_ns);
		return LETTER_NONE;
	}
	if (is_full(e))
		return LETTER_REFUSED;
	if (id == ENROLL_UNKNOWN)
		return enter(e, slot, box);
	if (!has_common_mac(e, id))
		return LETTER_REFUSED;
	const struct session next = next_generation(e, id);
	identify(e, &next.source, next.vni, box->time_ns, &identity);
	give_id(e, slot, &next, &identity, box->time_ns);
	return LETTER_NONE;
}

void enroll_serve(struct enroll *e)
{
	for (uint32_t w = 0; w < e->config.workers; w++) {
		struct letter_box *box = &e->boxes[w];
		/* Acquire: the letter is whole; release: the worker may write the next. Pair with
		 * ask. */
		if (atomic_load_explicit(&box->letter, memory_order_acquire) == LETTER_ASKED)
			atomic_store_explicit(&box->letter, answer(e, box), memory_order_release);
	}
}

void enroll_review(struct enroll *e, uint64_t now_ns, bool all)
{
	if (!all && now_ns < e->review_ns)
		return;
	e->review_ns = UINT64_MAX;
	for (uint32_t i = 0; i <= e->mask; i++) {
		const uint32_t id =
			atomic_load_explicit(&e->slots[i].id_plus_1, memory_order_relaxed) - 1;
		if (id == ENROLL_UNKNOWN)
			continue;
		const uint64_t until_ns =
			atomic_load_explicit(&e->states[id].until_ns, memory_order_relaxed);
		if (all || until_ns <= now_ns)
			review(e, &e->slots[i], id, now_ns);
		else if (until_ns < e->review_ns)
			e->review_ns = until_ns;
	}
}

void enroll_raise_cap(struct enroll *e, uint32_t sessions_max)
{
	if (sessions_max > e->config.sessions_room)
		sessions_max = e->config.sessions_room;
	if (sessions_max > e->config.sessions_max)
		e->config.sessions_max = sessions_max;
	atomic_store_explicit(&e->is_full, is_full(e), memory_order_relaxed);
}
