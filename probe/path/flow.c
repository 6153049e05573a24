#include "path/flow.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "inner.h"
#include "siphash.h"

#define WAYS        7
#define FLOWS_LIMIT (16u << 20)

/* 2^30 ns: 32 bits of it last until 2106; compared as serial numbers they may wrap. */
#define TICK_SHIFT 30
#define TICKS(s)   ((uint32_t)(((s)*1000000000ull) >> TICK_SHIFT))

/* What a lookup, an expiry or the choice of who makes way reads before it touches any flow. */
struct bucket {
	_Alignas(64) uint8_t tag[WAYS + 1]; /* of the hash; 0: empty. The last is no way's */
	uint32_t deadline[WAYS];            /* tick of the last packet + idle time */
	uint32_t owner[WAYS];               /* session << 2 | IS_TCP | IS_ANSWERED */
};
static_assert(sizeof(struct bucket) == 64, "one cache line");

#define IS_TCP      1u
#define IS_ANSWERED 2u

struct flow_table {
	/* const after open */
	struct bucket *buckets;
	uint8_t *slots;  /* a flow and its state in each; number = bucket * WAYS + way */
	size_t slot_len; /* whole cache lines */
	uint32_t n_buckets;
	struct flow_config config;
	struct siphash_key key;
	/* the worker's */
	uint32_t *of_session; /* flows alive of each */
	uint32_t n_sessions;  /* that have any */
	uint32_t cursor;      /* bucket that flow_expire looks at next */
	struct flow_counters counters;
};

static uint32_t tick(uint64_t time_ns)
{
	return (uint32_t)(time_ns >> TICK_SHIFT);
}

static bool is_past(uint32_t deadline, uint32_t now)
{
	return (int32_t)(now - deadline) > 0;
}

static uint32_t idle_ticks(bool is_tcp)
{
	return is_tcp ? TICKS(FLOW_IDLE_TCP_S) : TICKS(FLOW_IDLE_S);
}

/* Two thirds full at n_max: of two buckets of 8 one has room, save once in thousands. */
static uint32_t buckets_for(uint32_t n_max)
{
	return (uint32_t)((uint64_t)n_max * 3 / 2 / WAYS) + 2;
}

static size_t slot_len(const struct flow_config *config)
{
	return (sizeof(struct flow) + config->state_len + 63) / 64 * 64;
}

static struct flow *flow_at(const struct flow_table *table, size_t slot)
{
	return (struct flow *)(table->slots + slot * table->slot_len);
}

static size_t slot_of(const struct flow_table *table, const struct flow *flow)
{
	return (size_t)((const uint8_t *)flow - table->slots) / table->slot_len;
}

void *flow_state(const struct flow_table *table, const struct flow *flow)
{
	return table->slots + ((const uint8_t *)flow - table->slots) + sizeof(*flow);
}

/* ---- where a flow lies ---- */

static uint64_t hash_of(const struct flow_table *table, const struct flow_key *key)
{
	const uint8_t *p = (const uint8_t *)key;
	struct siphash s;
	uint64_t word;
	uint32_t ports;

	sip_init(&s, &table->key);
	/* Word by word from where they lie: a copy of all would wait for its own stores. */
	for (unsigned at = 0; at < offsetof(struct flow_key, port_a); at += 8) {
		memcpy(&word, p + at, 8);
		sip_word(&s, word);
	}
	memcpy(&ports, p + offsetof(struct flow_key, port_a), 4);
	sip_word(&s, ports);
	return sip_final(&s);
}

struct flow_place flow_place(const struct flow_table *table, const struct flow_key *key)
{
	const uint64_t hash = hash_of(table, key);
	/* The upper bits of both halves choose the buckets. */
	const struct flow_place place = {
		.bucket = {(uint32_t)((hash & 0xffffffff) * table->n_buckets >> 32),
			   (uint32_t)((hash >> 32) * table->n_buckets >> 32)},
		.tag = (uint8_t)hash ? (uint8_t)hash : 1,
	};

	__builtin_prefetch(&table->buckets[place.bucket[0]], 1);
	__builtin_prefetch(&table->buckets[place.bucket[1]], 1);
	return place;
}

/*
 * The ways of both buckets that have this tag: bit 8 * way for the first bucket, 8 * way + 4 for
 * the second. Without a branch that depends on where a flow lies, which no predictor could guess:
 * a byte of x is zero where the tags are equal, and then no carry reaches its upper bit.
 */
static uint64_t ways_with(const struct flow_table *table, const struct flow_place *place,
			  uint8_t tag)
{
	const uint64_t low = 0x007f7f7f7f7f7f7f, high = 0x0080808080808080;
	uint64_t found = 0;

	for (unsigned i = 0; i < 2; i++) {
		uint64_t x;
		memcpy(&x, table->buckets[place->bucket[i]].tag, sizeof(x));
		x ^= tag * UINT64_C(0x0101010101010101);
		found |= (~(((x & low) + low) | x) & high) >> (i ? 3 : 7);
	}
	return found;
}
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "way 0 is the lowest byte");

static size_t slot_at(const struct flow_place *place, uint64_t ways)
{
	const unsigned bit = (unsigned)__builtin_ctzll(ways);

	return (size_t)place->bucket[bit >> 2 & 1] * WAYS + (bit >> 3);
}

static bool is_same(const struct flow_key *one, const struct flow_key *other)
{
	uint64_t x[5], y[5], differ = 0;

	memcpy(x, one, sizeof(x));
	memcpy(y, other, sizeof(y));
	for (unsigned i = 0; i < 5; i++)
		differ |= x[i] ^ y[i];
	return !differ && one->port_a == other->port_a && one->port_b == other->port_b;
}
static_assert(offsetof(struct flow_key, port_a) == 5 * 8, "the ports are behind five words");

/* The slot that holds key, or -1. */
static int64_t slot_holding(const struct flow_table *table, const struct flow_place *place,
			    const struct flow_key *key)
{
	for (uint64_t ways = ways_with(table, place, place->tag); ways; ways &= ways - 1) {
		const size_t slot = slot_at(place, ways);

		if (is_same(&flow_at(table, slot)->key, key))
			return (int64_t)slot;
	}
	return -1;
}

/* ---- begin and end ---- */

static void slot_end(struct flow_table *table, size_t slot, enum flow_end why)
{
	const struct flow *flow = flow_at(table, slot);
	uint32_t *of_session = &table->of_session[flow->key.session];

	table->buckets[slot / WAYS].tag[slot % WAYS] = 0;
	if (why == FLOW_EVICTED)
		table->counters.evicted++;
	else
		table->counters.expired++;
	table->counters.active--;
	if (!--*of_session)
		table->n_sessions--;
	if (table->config.ended)
		table->config.ended(table->config.ended_arg, flow, flow_state(table, flow), why);
}

static void slot_begin(struct flow_table *table, size_t slot, const struct flow_place *place,
		       const struct flow_key *key, uint64_t time_ns)
{
	struct flow *flow = flow_at(table, slot);
	struct bucket *b = &table->buckets[slot / WAYS];

	*flow = (struct flow){.key = *key, .first_ns = time_ns, .last_ns = time_ns};
	memset(flow_state(table, flow), 0, table->config.state_len);
	b->tag[slot % WAYS] = place->tag;
	b->owner[slot % WAYS] = key->session << 2 | (key->proto == INNER_TCP ? IS_TCP : 0);
	table->counters.created++;
	table->counters.active++;
	if (!table->of_session[key->session]++)
		table->n_sessions++;
}

/* Ends what is idle in one bucket. */
static unsigned bucket_expire(struct flow_table *table, uint32_t bucket, uint32_t now)
{
	const struct bucket *b = &table->buckets[bucket];
	unsigned n = 0;

	for (unsigned way = 0; way < WAYS; way++) {
		if (!b->tag[way] || !is_past(b->deadline[way], now))
			continue;
		slot_end(table, (size_t)bucket * WAYS + way, FLOW_IDLE);
		n++;
	}
	return n;
}

/* ---- who makes way ---- */

static bool is_over_share(const struct flow_table *table, uint32_t session)
{
	return (uint64_t)table->of_session[session] * table->n_sessions > table->config.n_max;
}

/* The lower, the sooner this way's flow makes way for a new one; NEVER: it does not. Under a flood
 * every packet asks it of 14 ways, so without branches that nobody could predict. */
#define NEVER UINT64_MAX
static uint64_t claim_of(const struct flow_table *table, const struct bucket *b, unsigned way,
			 bool is_greedy, uint32_t now)
{
	const uint32_t owner = b->owner[way];
	const uint32_t last = b->deadline[way] - idle_ticks(owner & IS_TCP);
	const uint32_t silent = is_past(last, now) ? now - last : 0;
	const bool is_answered = owner & IS_ANSWERED;
	const bool is_within = !is_over_share(table, owner >> 2);
	const bool is_safe = is_greedy | (is_answered & (silent <= TICKS(FLOW_SAFE_S)));
	const uint64_t rank = 2u * is_answered + is_within;

	return (b->tag[way] == 0) | (is_within & is_safe) ? NEVER
							  : rank << 32 | (UINT32_MAX - silent);
}

/* The slot of the flow of the two buckets with the least claim, or -1: all stay. */
static int64_t slot_least(const struct flow_table *table, const struct flow_place *place,
			  uint32_t session, uint32_t now)
{
	const bool is_greedy = is_over_share(table, session);
	uint64_t least = NEVER;
	int64_t slot = -1;

	for (unsigned i = 0; i < 2; i++) {
		const struct bucket *b = &table->buckets[place->bucket[i]];
		const int64_t first = (int64_t)place->bucket[i] * WAYS;

		for (unsigned way = 0; way < WAYS; way++) {
			const uint64_t claim = claim_of(table, b, way, is_greedy, now);
			slot = claim < least ? first + way : slot;
			least = claim < least ? claim : least;
		}
	}
	return slot;
}

/* An empty way of the emptier bucket, or -1. */
static int64_t slot_empty(const struct flow_table *table, const struct flow_place *place)
{
	const uint64_t one = 0x0101010101010101, empty = ways_with(table, place, 0);
	const uint64_t first = empty & one, second = empty & one << 4;

	if (!empty)
		return -1;
	return (int64_t)slot_at(
		place, __builtin_popcountll(second) > __builtin_popcountll(first) ? second : first);
}

/* The slot for a new flow, empty or not, or -1. */
static int64_t slot_wanted(const struct flow_table *table, const struct flow_place *place,
			   uint32_t session, uint32_t now)
{
	const int64_t slot =
		table->counters.active < table->config.n_max ? slot_empty(table, place) : -1;

	return slot >= 0 ? slot : slot_least(table, place, session, now);
}

static int64_t slot_take(struct flow_table *table, const struct flow_place *place, uint32_t session,
			 uint32_t now)
{
	bucket_expire(table, place->bucket[0], now);
	bucket_expire(table, place->bucket[1], now);
	const int64_t slot = slot_wanted(table, place, session, now);

	if (slot >= 0 && table->buckets[slot / WAYS].tag[slot % WAYS])
		slot_end(table, (size_t)slot, FLOW_EVICTED);
	return slot;
}

void flow_fetch(const struct flow_table *table, const struct flow_place *place,
		const struct flow_key *key, uint64_t time_ns)
{
	const uint64_t ways = ways_with(table, place, place->tag);
	const int64_t slot = ways ? (int64_t)slot_at(place, ways)
				  : slot_wanted(table, place, key->session, tick(time_ns));

	if (slot < 0)
		return;
	const uint8_t *p = (const uint8_t *)flow_at(table, (size_t)slot);
	for (size_t line = 0; line < table->slot_len; line += 64)
		__builtin_prefetch(p + line, 1);
}

/* ---- the table ---- */

/* The slot of the key's flow, which begins if need be, or -1: no room. */
static int64_t slot_get(struct flow_table *table, const struct flow_place *place,
			const struct flow_key *key, uint64_t time_ns)
{
	int64_t slot = slot_holding(table, place, key);

	if (slot >= 0 && !is_past(table->buckets[slot / WAYS].deadline[slot % WAYS], tick(time_ns)))
		return slot;
	if (slot >= 0)
		slot_end(table, (size_t)slot, FLOW_IDLE);
	else
		slot = slot_take(table, place, key->session, tick(time_ns));
	if (slot >= 0)
		slot_begin(table, (size_t)slot, place, key, time_ns);
	return slot;
}

struct flow *flow_update(struct flow_table *table, const struct flow_place *place,
			 const struct flow_key *key, unsigned direction, uint32_t bytes,
			 uint64_t time_ns)
{
	const int64_t slot = slot_get(table, place, key, time_ns);

	if (slot < 0) {
		table->counters.full++;
		return NULL;
	}
	struct flow *flow = flow_at(table, (size_t)slot);
	struct bucket *b = &table->buckets[slot / WAYS];

	flow->packets[direction & 1]++;
	flow->bytes[direction & 1] += bytes;
	if (time_ns < flow->first_ns)
		flow->first_ns = time_ns;
	if (time_ns > flow->last_ns)
		flow->last_ns = time_ns;
	b->deadline[slot % WAYS] = tick(flow->last_ns) + idle_ticks(key->proto == INNER_TCP);
	if (flow->packets[0] && flow->packets[1])
		b->owner[slot % WAYS] |= IS_ANSWERED;
	return flow;
}

const struct flow *flow_find(const struct flow_table *table, const struct flow_key *key,
			     uint64_t time_ns)
{
	const struct flow_place place = flow_place(table, key);
	const int64_t slot = slot_holding(table, &place, key);

	if (slot < 0 || is_past(table->buckets[slot / WAYS].deadline[slot % WAYS], tick(time_ns)))
		return NULL;
	return flow_at(table, (size_t)slot);
}

bool flow_is_alive(const struct flow_table *table, const struct flow *flow)
{
	const size_t slot = slot_of(table, flow);

	return table->buckets[slot / WAYS].tag[slot % WAYS] != 0;
}

void flow_shorten(struct flow_table *table, const struct flow *flow, uint32_t idle_s)
{
	const size_t slot = slot_of(table, flow);

	table->buckets[slot / WAYS].deadline[slot % WAYS] = tick(flow->last_ns) + TICKS(idle_s);
}

unsigned flow_expire(struct flow_table *table, uint64_t now_ns, unsigned max_buckets)
{
	const uint32_t now = tick(now_ns);
	unsigned n = 0;

	for (unsigned i = 0; i < max_buckets && i < table->n_buckets; i++) {
		n += bucket_expire(table, table->cursor, now);
		table->cursor = table->cursor + 1 < table->n_buckets ? table->cursor + 1 : 0;
	}
	return n;
}

void flow_each(const struct flow_table *table,
	       void (*fn)(void *arg, const struct flow *flow, void *state), void *arg)
{
	for (size_t slot = 0; slot < (size_t)table->n_buckets * WAYS; slot++) {
		const struct flow *flow = flow_at(table, slot);
		if (table->buckets[slot / WAYS].tag[slot % WAYS])
			fn(arg, flow, flow_state(table, flow));
	}
}

const struct flow_counters *flow_counters(const struct flow_table *table)
{
	return &table->counters;
}

/* Memory is taken in whole large pages: a flow's packet touches one page of the slots and one or
 * two of the buckets, and a million flows are 150,000 small pages. What is far from filling one
 * takes small. */
#define LARGE_PAGE (2u << 20)
#define SMALL_PAGE 4096u

static size_t page_len(size_t len)
{
	return len < LARGE_PAGE / 16 ? SMALL_PAGE : LARGE_PAGE;
}

static size_t whole_pages(size_t len)
{
	const size_t page = page_len(len);

	return (len + page - 1) / page * page;
}

size_t flow_memory(const struct flow_config *config)
{
	const size_t n = buckets_for(config->n_max);

	return sizeof(struct flow_table) + config->sessions_max * sizeof(uint32_t) +
	       whole_pages(n * sizeof(struct bucket)) + whole_pages(n * WAYS * slot_len(config));
}

/* Written, so that the memory is there now and not when a burst of flows comes. */
static void *alloc_written(size_t len)
{
	void *p = aligned_alloc(page_len(len), whole_pages(len));

	if (!p)
		return NULL;
	if (page_len(len) == LARGE_PAGE) /* faster with it, right without */
		(void)madvise(p, whole_pages(len), MADV_HUGEPAGE);
	return memset(p, 0, len);
}

static int check(const struct flow_config *config, struct err *err)
{
	if (config->n_max < 1 || config->n_max > FLOWS_LIMIT)
		return err_set(err, -EINVAL, "a flow table holds 1 to %u flows, not %u",
			       FLOWS_LIMIT, config->n_max);
	if (config->sessions_max < 1 || config->sessions_max > FLOW_SESSIONS_LIMIT)
		return err_set(err, -EINVAL, "a flow table knows 1 to %u sessions, not %u",
			       FLOW_SESSIONS_LIMIT, config->sessions_max);
	return 0;
}

int flow_open(struct flow_table **out, const struct flow_config *config, struct err *err)
{
	const int ret = check(config, err);
	struct flow_table *t = ret ? NULL : calloc(1, sizeof(*t));

	if (!t)
		return ret ? ret : err_set(err, -ENOMEM, "out of memory for a flow table");
	t->config = *config;
	t->n_buckets = buckets_for(config->n_max);
	t->slot_len = slot_len(config);
	memcpy(&t->key, config->key, sizeof(t->key));
	t->buckets = alloc_written(t->n_buckets * sizeof(*t->buckets));
	t->slots = alloc_written((size_t)t->n_buckets * WAYS * t->slot_len);
	t->of_session = calloc(config->sessions_max, sizeof(*t->of_session));
	if (!t->buckets || !t->slots || !t->of_session) {
		flow_close(t);
		return err_set(
			err, -ENOMEM,
			"out of memory for a table of %u flows (%zu bytes): lower --flows-max",
			config->n_max, flow_memory(config));
	}
	*out = t;
	return 0;
}

void flow_close(struct flow_table *table)
{
	if (!table)
		return;
	free(table->of_session);
	free(table->slots);
	free(table->buckets);
	free(table);
}
