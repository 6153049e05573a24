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
	uint8_t run;                   /* foreign frames in a row, below ENROLL_RUN */
};

#define NO_COMMON (1ull << 63) /* it is proved that no MAC is in all frames */

enum letter { LETTER_NONE, LETTER_ASKED, LETTER_REFUSED };

/* A worker's question: is this pair new, or has its session a new ENI? One at a time. */
struct letter_box {
	_Alignas(64) _Atomic uint32_t letter;
	struct address source;
	uint32_t vni;
	uint32_t session; /* the generation that seems to be over, or ENROLL_UNKNOWN */
};

struct enroll {
	struct enroll_config config;
	uint32_t mask;
	_Atomic bool is_full;
	struct slot *slots;
	struct letter_box *boxes; /* [workers] */
	struct macs *macs;        /* [workers][sessions_max] */
	struct session *sessions; /* [sessions_max] */
	uint32_t n_sessions;      /* enroll_serve alone writes */
};

static uint32_t slots_for(uint32_t sessions_max)
{
	uint32_t n = 16;

	/* Half full at most: probes stay short. */
	while (n < 2 * sessions_max)
		n *= 2;
	return n;
}

size_t enroll_memory(uint32_t sessions_max, uint32_t workers)
{
	return slots_for(sessions_max) * sizeof(struct slot) +
	       sessions_max * sizeof(struct session) +
	       workers * (sizeof(struct letter_box) + sessions_max * sizeof(struct macs));
}

int enroll_open(struct enroll **out, const struct enroll_config *config, struct err *err)
{
	struct enroll *e = calloc(1, sizeof(*e));

	if (!e)
		return err_set(err, -ENOMEM, "out of memory");
	e->config = *config;
	e->mask = slots_for(config->sessions_max) - 1;
	e->slots = calloc(e->mask + 1, sizeof(*e->slots));
	e->boxes = aligned_alloc(64, config->workers * sizeof(*e->boxes));
	e->macs = calloc((size_t)config->workers * config->sessions_max, sizeof(*e->macs));
	e->sessions = calloc(config->sessions_max, sizeof(*e->sessions));
	if (!e->slots || !e->boxes || !e->macs || !e->sessions) {
		enroll_close(e);
		return err_set(err, -ENOMEM, "out of memory for %u sessions", config->sessions_max);
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
	return &e->macs[(size_t)worker * e->config.sessions_max + session];
}

/* ---- worker ---- */

static uint32_t ask(struct enroll *e, unsigned worker, const struct address *source, uint32_t vni,
		    uint32_t session)
{
	struct letter_box *box = &e->boxes[worker];

	if (atomic_load_explicit(&e->is_full, memory_order_relaxed))
		return ENROLL_REFUSED;
	/* Acquire: control is done with the last letter; pairs with enroll_serve. */
	switch (atomic_load_explicit(&box->letter, memory_order_acquire)) {
	case LETTER_ASKED:
		return ENROLL_UNKNOWN;
	case LETTER_REFUSED:
		atomic_store_explicit(&box->letter, LETTER_NONE, memory_order_relaxed);
		return ENROLL_REFUSED;
	}
	box->source = *source;
	box->vni = vni;
	box->session = session;
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

uint32_t enroll_packet(struct enroll *e, unsigned worker, const struct address *source,
		       uint32_t vni, const uint8_t *inner, uint32_t len, uint64_t sequence,
		       uint64_t *since)
{
	const struct slot *slot = find_slot(e, source, vni);
	/* Acquire: the session is written when its id is; pairs with give_id. */
	const uint32_t id = atomic_load_explicit(&slot->id_plus_1, memory_order_acquire) - 1;

	*since = ENROLL_NO_RUN;
	if (id == ENROLL_UNKNOWN)
		return ask(e, worker, source, vni, ENROLL_UNKNOWN);
	if (len < INNER_ETHERNET_LEN)
		return id;
	const uint64_t to = mac_at(inner), from = mac_at(inner + 6);
	if (is_group(to) || is_group(from))
		return id;
	struct macs *m = macs_of(e, worker, id);
	*since = take_run(e, worker, id);
	if (!learn(m, from, to, sequence))
		return id;
	if (ask(e, worker, source, vni, id) == ENROLL_UNKNOWN)
		return ENROLL_UNKNOWN;
	set_candidates(m, NO_COMMON, 0);
	return id;
}

/* ---- control thread ---- */

/* Enters a session and lets the slot lead to it. */
static void give_id(struct enroll *e, struct slot *slot, const struct letter_box *box,
		    uint32_t generation)
{
	const uint32_t id = e->n_sessions;

	e->sessions[id] = (struct session){box->source, box->vni, generation, box->session};
	e->n_sessions++;
	e->config.publish(e->config.publish_arg, id, &e->sessions[id]);
	/* Release: who sees the slot's id finds the session; pairs with find_slot. */
	atomic_store_explicit(&slot->id_plus_1, id + 1, memory_order_release);
	if (id + 1 == e->config.sessions_max)
		atomic_store_explicit(&e->is_full, true, memory_order_relaxed);
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

static enum letter answer(struct enroll *e, const struct letter_box *box)
{
	struct slot *slot = find_slot(e, &box->source, box->vni);
	const uint32_t id = atomic_load_explicit(&slot->id_plus_1, memory_order_relaxed) - 1;

	if (id != box->session)
		return LETTER_NONE; /* answered already, to another worker */
	if (e->n_sessions == e->config.sessions_max)
		return LETTER_REFUSED;
	if (id != ENROLL_UNKNOWN) {
		if (!has_common_mac(e, id))
			return LETTER_REFUSED;
		give_id(e, slot, box, e->sessions[id].generation + 1);
		return LETTER_NONE;
	}
	slot->source = box->source;
	slot->vni = box->vni;
	give_id(e, slot, box, 1);
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
