#include "kpi/sctp_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "siphash.h"

#define NONE               UINT32_MAX
#define ASSOCIATIONS_LIMIT (1u << 24)
#define CANDIDATES         16u

struct sctp_table {
	/* const after open */
	struct siphash_key key;
	uint32_t n_max, sessions_max;
	uint32_t n_heads; /* a power of 2 */
	/* the worker's */
	struct sctp_association *places;
	uint32_t *heads; /* of chains: place * SCTP_IDS + kind */
	uint32_t *of_session;
	uint32_t n_sessions; /* that have any */
	uint32_t free;       /* chain by next[0] */
};

/* ---- ids ---- */

static uint64_t id_of_words(const struct sctp_table *table, const uint64_t *word, unsigned n)
{
	struct siphash s;

	sip_init(&s, &table->key);
	for (unsigned i = 0; i < n; i++)
		sip_word(&s, word[i]);
	const uint64_t id = sip_final(&s);

	return id ? id : 1;
}

uint64_t sctp_id_of_tag(const struct sctp_table *table, uint32_t session, uint16_t from,
			uint16_t to, uint32_t tag)
{
	return id_of_words(
		table, (const uint64_t[]){session, (uint64_t)from << 48 | (uint64_t)to << 32 | tag},
		2);
}

uint64_t sctp_id_of_addresses(const struct sctp_table *table, const struct flow_key *key)
{
	uint64_t word[6] = {0};

	memcpy(word, key, sizeof(*key));
	return id_of_words(table, word, 6);
}

uint32_t sctp_hash(const struct sctp_table *table, const uint8_t *data, uint32_t len)
{
	struct siphash s;

	sip_init(&s, &table->key);
	for (uint32_t i = 0; i < len; i += 8) {
		uint64_t word = 0;
		memcpy(&word, data + i, len - i < 8 ? len - i : 8);
		sip_word(&s, word);
	}
	sip_word(&s, len);
	return (uint32_t)sip_final(&s);
}

/* ---- chains ---- */

static uint32_t *head_of(const struct sctp_table *table, uint64_t id)
{
	return &table->heads[id & (table->n_heads - 1)];
}

struct sctp_association *sctp_table_find(const struct sctp_table *table, uint64_t id,
					 unsigned kinds, struct sctp_association *after,
					 enum sctp_id *kind)
{
	uint32_t link = after ? after->next[*kind] : *head_of(table, id);

	while (link != NONE) {
		struct sctp_association *a = &table->places[link / SCTP_IDS];
		const enum sctp_id k = link % SCTP_IDS;
		if (a->id[k] == id && kinds >> k & 1) {
			*kind = k;
			return a;
		}
		link = a->next[k];
	}
	return NULL;
}

static void unchain(struct sctp_table *table, struct sctp_association *a, enum sctp_id kind)
{
	const uint32_t self = (uint32_t)(a - table->places) * SCTP_IDS + kind;
	uint32_t *link = head_of(table, a->id[kind]);

	while (*link != self)
		link = &table->places[*link / SCTP_IDS].next[*link % SCTP_IDS];
	*link = a->next[kind];
	a->id[kind] = 0;
}

void sctp_table_name(struct sctp_table *table, struct sctp_association *a, enum sctp_id kind,
		     uint64_t id)
{
	if (a->id[kind] == id)
		return;
	if (a->id[kind])
		unchain(table, a, kind);
	if (!id)
		return;
	uint32_t *head = head_of(table, id);

	a->id[kind] = id;
	a->next[kind] = *head;
	*head = (uint32_t)(a - table->places) * SCTP_IDS + kind;
}

/* ---- places ---- */

struct sctp_association *sctp_table_add(struct sctp_table *table, uint32_t session)
{
	if (table->free == NONE)
		return NULL;
	struct sctp_association *a = &table->places[table->free];

	table->free = a->next[0];
	*a = (struct sctp_association){.session = session, .is_used = true};
	table->n_sessions += !table->of_session[session]++;
	return a;
}

void sctp_table_drop(struct sctp_table *table, struct sctp_association *a)
{
	for (enum sctp_id kind = 0; kind < SCTP_IDS; kind++)
		sctp_table_name(table, a, kind, 0);
	a->is_used = false;
	a->next[0] = table->free;
	table->free = (uint32_t)(a - table->places);
	table->n_sessions -= !--table->of_session[a->session];
}

static bool is_established(const struct sctp_association *a)
{
	return a->state == SCTP_UP && sctp_is_answered(a);
}

/* How much rather than another it makes way; 0: it does not. */
static uint64_t rank(const struct sctp_association *a, bool is_over_share, uint64_t now_ns)
{
	const uint64_t silent_ns = now_ns > a->last_ns ? now_ns - a->last_ns : 0;

	if (is_established(a) && silent_ns < SCTP_STALE_NS)
		return 0;
	return (uint64_t)is_over_share << 63 | (uint64_t)!is_established(a) << 62 |
	       ((silent_ns + 1) & ~(UINT64_C(3) << 62));
}

struct sctp_association *sctp_table_victim(const struct sctp_table *table, uint32_t session,
					   uint64_t id, uint64_t now_ns)
{
	const uint32_t share = table->n_max / (table->n_sessions + !table->of_session[session]);
	struct sctp_association *victim = NULL;
	uint64_t highest = 0;

	for (uint32_t i = 0; i < CANDIDATES && i < table->n_max; i++) {
		struct sctp_association *a = &table->places[((id >> 32) + i) % table->n_max];
		const bool is_over = table->of_session[a->session] > share;
		const uint64_t r = a->is_used ? rank(a, is_over, now_ns) : 0;
		if (r > highest && (is_over || a->session == session)) {
			highest = r;
			victim = a;
		}
	}
	return victim;
}

struct sctp_association *sctp_table_at(const struct sctp_table *table, uint32_t place)
{
	return table->places[place].is_used ? &table->places[place] : NULL;
}

/* ---- memory ---- */

/* Three links each: chains of 1.5 at most when the table is full. */
static uint32_t heads_for(uint32_t n_max)
{
	uint32_t n = 4;

	while (n < 2 * n_max)
		n *= 2;
	return n;
}

size_t sctp_table_memory(uint32_t associations_max, uint32_t sessions_max)
{
	return sizeof(struct sctp_table) + associations_max * sizeof(struct sctp_association) +
	       (heads_for(associations_max) + (size_t)sessions_max) * sizeof(uint32_t);
}

int sctp_table_open(struct sctp_table **out, uint32_t associations_max, uint32_t sessions_max,
		    const uint8_t key[16], struct err *err)
{
	if (associations_max < 1 || associations_max > ASSOCIATIONS_LIMIT)
		return err_set(err, -EINVAL, "a table holds 1 to %u SCTP associations, not %u",
			       ASSOCIATIONS_LIMIT, associations_max);
	struct sctp_table *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set(err, -ENOMEM, "out of memory for SCTP associations");
	t->n_max = associations_max;
	t->sessions_max = sessions_max;
	t->n_heads = heads_for(associations_max);
	memcpy(&t->key, key, sizeof(t->key));
	t->places = malloc(associations_max * sizeof(*t->places));
	t->heads = malloc(t->n_heads * sizeof(*t->heads));
	t->of_session = calloc(sessions_max, sizeof(*t->of_session));
	if (!t->places || !t->heads || !t->of_session) {
		sctp_table_close(t);
		return err_set(
			err, -ENOMEM,
			"out of memory for %u SCTP associations (%zu bytes): let there be fewer",
			associations_max, sctp_table_memory(associations_max, sessions_max));
	}
	/* Written, so that the memory is there now and not when a burst comes. */
	memset(t->places, 0, associations_max * sizeof(*t->places));
	memset(t->heads, 0xff, t->n_heads * sizeof(*t->heads));
	for (uint32_t i = 0; i < associations_max; i++)
		t->places[i].next[0] = i + 1 < associations_max ? i + 1 : NONE;
	*out = t;
	return 0;
}

void sctp_table_close(struct sctp_table *table)
{
	if (!table)
		return;
	free(table->of_session);
	free(table->heads);
	free(table->places);
	free(table);
}
