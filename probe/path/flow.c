#include "path/flow.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "inner.h"
#include "siphash.h"

#define WAYS        8
#define FLOWS_LIMIT (16u << 20)

/* 2^30 ns: 32 bits of it last until 2106; compared as serial numbers they may wrap. */
#define TICK_SHIFT 30
#define TICKS(s)   ((uint32_t)(((s)*1000000000ull) >> TICK_SHIFT))

/* What a lookup or an expiry reads before it touches any flow. */
struct bucket {
	_Alignas(64) uint32_t tag[WAYS]; /* 0: empty */
	uint32_t deadline[WAYS];         /* tick of the last packet + idle time */
};
static_assert(sizeof(struct bucket) == 64, "one cache line");

struct flow_table {
	/* const after open */
	struct bucket *buckets;
	struct flow *flows; /* slot = bucket * WAYS + way */
	uint8_t *states;    /* by slot */
	uint32_t n_buckets;
	struct flow_config config;
	struct siphash_key key;
	/* the worker's */
	uint32_t cursor; /* bucket that flow_expire looks at next */
	struct flow_counters counters;
};

struct slots {
	uint32_t bucket[2];
	uint32_t tag;
};

static uint32_t tick(uint64_t time_ns)
{
	return (uint32_t)(time_ns >> TICK_SHIFT);
}

static bool is_past(uint32_t deadline, uint32_t now)
{
	return (int32_t)(now - deadline) > 0;
}

static uint32_t idle_ticks(const struct flow_key *key)
{
	return key->proto == INNER_TCP ? TICKS(FLOW_IDLE_TCP_S) : TICKS(FLOW_IDLE_S);
}

/* Two thirds full at n_max: of two buckets of 8 one has room, save once in thousands. */
static uint32_t buckets_for(uint32_t n_max)
{
	return (uint32_t)((uint64_t)n_max * 3 / 2 / WAYS) + 2;
}

static struct slots slots_of(const struct flow_table *table, const struct flow_key *key)
{
	uint64_t word[6] = {0};
	struct siphash s;

	memcpy(word, key, sizeof(*key));
	sip_init(&s, &table->key);
	for (unsigned i = 0; i < 6; i++)
		sip_word(&s, word[i]);
	const uint64_t hash = sip_final(&s);

	return (struct slots){
		.bucket = {(uint32_t)((hash & 0xffffffff) * table->n_buckets >> 32),
			   (uint32_t)((hash >> 32) * table->n_buckets >> 32)},
		/* Bits from the middle of both halves: the upper ones chose the buckets. */
		.tag = (uint32_t)((hash & 0xffff) | (hash >> 16 & 0xffff0000)) | 1,
	};
}

/* The way of bucket that holds key, or WAYS. */
static unsigned bucket_find(const struct flow_table *table, uint32_t bucket, uint32_t tag,
			    const struct flow_key *key)
{
	const struct bucket *b = &table->buckets[bucket];
	const struct flow *flows = &table->flows[(size_t)bucket * WAYS];

	for (unsigned way = 0; way < WAYS; way++)
		if (b->tag[way] == tag && !memcmp(&flows[way].key, key, sizeof(*key)))
			return way;
	return WAYS;
}

static void slot_end(struct flow_table *table, size_t slot, enum flow_end why)
{
	const struct flow *flow = &table->flows[slot];

	table->counters.expired++;
	table->counters.active--;
	if (table->config.ended)
		table->config.ended(table->config.ended_arg, flow, flow_state(table, flow), why);
}

static void slot_begin(struct flow_table *table, size_t slot, const struct flow_key *key,
		       uint64_t time_ns)
{
	struct flow *flow = &table->flows[slot];

	*flow = (struct flow){.key = *key, .first_ns = time_ns, .last_ns = time_ns};
	memset(flow_state(table, flow), 0, table->config.state_len);
	table->counters.created++;
	table->counters.active++;
}

/* Ends what is idle in one bucket. */
static unsigned bucket_expire(struct flow_table *table, uint32_t bucket, uint32_t now)
{
	struct bucket *b = &table->buckets[bucket];
	unsigned n = 0;

	for (unsigned way = 0; way < WAYS; way++) {
		if (!b->tag[way] || !is_past(b->deadline[way], now))
			continue;
		slot_end(table, (size_t)bucket * WAYS + way, FLOW_IDLE);
		b->tag[way] = 0;
		n++;
	}
	return n;
}

static unsigned bucket_used(const struct bucket *b)
{
	unsigned n = 0;

	for (unsigned way = 0; way < WAYS; way++)
		n += b->tag[way] != 0;
	return n;
}

static unsigned bucket_empty_way(const struct bucket *b)
{
	unsigned way = 0;

	while (way < WAYS && b->tag[way])
		way++;
	return way;
}

/* Takes an empty way of the emptier bucket. Returns the slot, or -1. */
static int64_t slot_take(struct flow_table *table, const struct slots *slots, uint32_t now)
{
	bucket_expire(table, slots->bucket[0], now);
	bucket_expire(table, slots->bucket[1], now);

	const unsigned used[2] = {bucket_used(&table->buckets[slots->bucket[0]]),
				  bucket_used(&table->buckets[slots->bucket[1]])};
	const unsigned emptier = used[1] < used[0];

	if (used[emptier] == WAYS || table->counters.active == table->config.n_max)
		return -1;
	struct bucket *b = &table->buckets[slots->bucket[emptier]];
	const unsigned way = bucket_empty_way(b);

	b->tag[way] = slots->tag;
	return (int64_t)slots->bucket[emptier] * WAYS + way;
}

/* The slot that holds key, or -1. One idle for too long starts anew. */
static int64_t slot_find(struct flow_table *table, const struct slots *slots,
			 const struct flow_key *key, uint64_t time_ns)
{
	for (unsigned i = 0; i < 2; i++) {
		const uint32_t bucket = slots->bucket[i];
		const unsigned way = bucket_find(table, bucket, slots->tag, key);

		if (way == WAYS)
			continue;
		const int64_t slot = (int64_t)bucket * WAYS + way;
		if (is_past(table->buckets[bucket].deadline[way], tick(time_ns))) {
			slot_end(table, (size_t)slot, FLOW_IDLE);
			slot_begin(table, (size_t)slot, key, time_ns);
		}
		return slot;
	}
	return -1;
}

struct flow *flow_update(struct flow_table *table, const struct flow_key *key, unsigned direction,
			 uint32_t bytes, uint64_t time_ns)
{
	const struct slots slots = slots_of(table, key);
	int64_t slot = slot_find(table, &slots, key, time_ns);

	if (slot < 0) {
		slot = slot_take(table, &slots, tick(time_ns));
		if (slot < 0) {
			table->counters.full++;
			return NULL;
		}
		slot_begin(table, (size_t)slot, key, time_ns);
	}
	struct flow *flow = &table->flows[slot];

	flow->packets[direction & 1]++;
	flow->bytes[direction & 1] += bytes;
	if (time_ns < flow->first_ns)
		flow->first_ns = time_ns;
	if (time_ns > flow->last_ns)
		flow->last_ns = time_ns;
	table->buckets[slot / WAYS].deadline[slot % WAYS] = tick(flow->last_ns) + idle_ticks(key);
	return flow;
}

const struct flow *flow_find(const struct flow_table *table, const struct flow_key *key,
			     uint64_t time_ns)
{
	const struct slots slots = slots_of(table, key);

	for (unsigned i = 0; i < 2; i++) {
		const uint32_t bucket = slots.bucket[i];
		const unsigned way = bucket_find(table, bucket, slots.tag, key);
		if (way != WAYS)
			return is_past(table->buckets[bucket].deadline[way], tick(time_ns))
				       ? NULL
				       : &table->flows[(size_t)bucket * WAYS + way];
	}
	return NULL;
}

void *flow_state(const struct flow_table *table, const struct flow *flow)
{
	return table->states + (size_t)(flow - table->flows) * table->config.state_len;
}

void flow_shorten(struct flow_table *table, const struct flow *flow, uint32_t idle_s)
{
	const size_t slot = (size_t)(flow - table->flows);

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

const struct flow_counters *flow_counters(const struct flow_table *table)
{
	return &table->counters;
}

size_t flow_memory(const struct flow_config *config)
{
	const size_t slot = sizeof(struct flow) + config->state_len;

	return sizeof(struct flow_table) +
	       (size_t)buckets_for(config->n_max) * (sizeof(struct bucket) + WAYS * slot);
}

/* Written, so that the memory is there now and not when a burst of flows comes. */
static void *alloc_written(size_t len)
{
	void *p = aligned_alloc(64, len);

	return p ? memset(p, 0, len) : NULL;
}

int flow_open(struct flow_table **out, const struct flow_config *config, struct err *err)
{
	if (config->n_max < 1 || config->n_max > FLOWS_LIMIT)
		return err_set(err, -EINVAL, "a flow table holds 1 to %u flows, not %u",
			       FLOWS_LIMIT, config->n_max);
	struct flow_table *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set(err, -ENOMEM, "out of memory for a flow table");
	t->config = *config;
	t->n_buckets = buckets_for(config->n_max);
	memcpy(&t->key, config->key, sizeof(t->key));
	const size_t slots = (size_t)t->n_buckets * WAYS;
	t->buckets = alloc_written(t->n_buckets * sizeof(*t->buckets));
	t->flows = alloc_written(slots * sizeof(*t->flows));
	t->states = alloc_written(slots * config->state_len);
	if (!t->buckets || !t->flows || !t->states) {
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
	free(table->states);
	free(table->flows);
	free(table->buckets);
	free(table);
}
