#include "path/pack_keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "inner.h"
#include "path/block.h"
#include "path/dissect.h"
#include "path/flowid.h"
#include "siphash.h"

/* Flows and addresses whose keys are known: 512 KiB, in the second cache while a frame's are taken.
 * 2,000 flows between as many addresses fit; those that do not are hashed again and again. */
#define SETS_LOG2 12
#define SETS      (1u << SETS_LOG2)
#define WAYS      4

/* A flow or an address: of IPv4 as it is, else a keyed hash of it. */
struct name {
	uint64_t word[2];
};

struct known {
	struct name name;
	uint64_t key;   /* in filters */
	uint64_t frame; /* number of the frame that had it last */
};

struct set {
	_Alignas(64) struct known way[WAYS];
};

enum kind { FLOW, ADDRESS };

struct pack_keys {
	struct set set[SETS];
	struct siphash_key secret;
	struct flowid_hash *sha1;
	uint64_t frame; /* its number */
	unsigned missing;
	size_t n[2], max[2]; /* by kind */
	size_t n_keys;
	uint64_t key[];
};

static size_t flows_max(size_t frame_len)
{
	return frame_len / PACK_KEYS_FLOW_LEN + 1;
}

static size_t addresses_max(size_t frame_len)
{
	return frame_len / PACK_KEYS_ADDRESS_LEN + 2;
}

size_t pack_keys_memory(size_t frame_len)
{
	const size_t len = sizeof(struct pack_keys) +
			   (flows_max(frame_len) + addresses_max(frame_len)) * sizeof(uint64_t);

	return (len + 63) & ~(size_t)63; /* aligned_alloc wants a multiple */
}

int pack_keys_open(struct pack_keys **out, size_t frame_len, struct err *err)
{
	struct pack_keys *keys = aligned_alloc(64, pack_keys_memory(frame_len));

	if (!keys)
		return err_set(err, -ENOMEM, "out of memory");
	memset(keys, 0, sizeof(*keys));
	keys->max[FLOW] = flows_max(frame_len);
	keys->max[ADDRESS] = addresses_max(frame_len);
	int ret = flowid_hash_open(&keys->sha1, err);
	if (!ret &&
	    getrandom(&keys->secret, sizeof(keys->secret), 0) != (ssize_t)sizeof(keys->secret))
		ret = err_set(err, -EIO, "the kernel gives no random bytes");
	if (ret) {
		pack_keys_close(keys);
		return ret;
	}
	*out = keys;
	return 0;
}

void pack_keys_close(struct pack_keys *keys)
{
	if (!keys)
		return;
	flowid_hash_close(keys->sha1);
	free(keys);
}

/* ---- names ---- */

/* Of len bytes, and zeros up to the next multiple of 8. That two have the same happens once in
 * 2^64. No name of IPv4 has so high a second word. */
static struct name name_of(const struct pack_keys *keys, const uint8_t *bytes, uint32_t len)
{
	struct siphash s;
	uint64_t word;

	sip_init(&s, &keys->secret);
	for (uint32_t i = 0; i < len; i += 8) {
		memcpy(&word, bytes + i, 8);
		sip_word(&s, word);
	}
	return (struct name){{sip_final(&s), UINT64_MAX - len}};
}

static struct name name_of_address(const struct pack_keys *keys, const uint8_t *address,
				   uint32_t len)
{
	if (len == 4)
		return (struct name){{wire_u32(address), UINT64_C(1) << 63}};
	return name_of(keys, address, len);
}

/* | address 32 | port 16 | of both endpoints, in order; the protocol above the first. */
static struct name name_of_ipv4(const uint8_t *addresses, const uint8_t *ports, uint8_t proto)
{
	const uint64_t from = (uint64_t)wire_u32(addresses) << 16 | wire_u16(ports);
	const uint64_t to = (uint64_t)wire_u32(addresses + 4) << 16 | wire_u16(ports + 2);
	const bool swap = from > to;

	return (struct name){{(swap ? to : from) | (uint64_t)proto << 48, swap ? from : to}};
}

static bool is(const struct known *known, const struct name *name)
{
	return known->name.word[0] == name->word[0] && known->name.word[1] == name->word[1];
}

/* Who fills a set on purpose, without knowing the secret, makes us hash again what was in it. That
 * costs what new flows do. */
static struct set *set_of(struct pack_keys *keys, const struct name *name)
{
	const uint64_t mixed = (name->word[0] ^ keys->secret.word[0]) * 0x9e3779b97f4a7c15u ^
			       (name->word[1] + keys->secret.word[1]) * 0xc2b2ae3d27d4eb4fu;

	return &keys->set[(mixed ^ mixed >> 32) * 0xd6e8feb86659fd93u >> (64 - SETS_LOG2)];
}

/* ---- the keys of a frame ---- */

static void add_key(struct pack_keys *keys, struct known *known, enum kind kind)
{
	known->frame = keys->frame;
	keys->key[keys->n_keys++] = known->key;
	keys->n[kind]++;
}

/* The slot of the name in its set, which it had or gets; then the key's is unknown (0). */
static struct known *place(struct set *set, const struct name *name)
{
	struct known *const way = set->way;

	for (unsigned i = 0; i < WAYS; i++)
		if (is(&way[i], name))
			return &way[i];
	memmove(way + 1, way, (WAYS - 1) * sizeof(*way));
	way[0] = (struct known){.name = *name};
	return way;
}

static bool has_room(struct pack_keys *keys, enum kind kind)
{
	if (keys->n[kind] < keys->max[kind])
		return true;
	keys->missing |= kind == FLOW ? PACK_KEYS_NO_FLOWS : PACK_KEYS_NO_ADDRESSES;
	return false;
}

/* The key of what was not known: bytes are its flow id or its address. */
static void learn(struct pack_keys *keys, struct known *known, const uint8_t *bytes, uint32_t len)
{
	uint8_t sha1[FLOWID_SHA1];

	if (flowid_sha1(keys->sha1, bytes, len, sha1)) { /* cannot happen: it worked at open */
		keys->missing |= PACK_KEYS_NO_FLOWS | PACK_KEYS_NO_ADDRESSES;
		return;
	}
	known->key = flowid_key(sha1);
}

static bool is_noted(const struct pack_keys *keys, const struct known *known)
{
	return known->frame == keys->frame;
}

static void note_address(struct pack_keys *keys, const uint8_t *address, uint32_t len)
{
	const struct name name = name_of_address(keys, address, len);
	struct known *const known = place(set_of(keys, &name), &name);

	if (is_noted(keys, known) || !has_room(keys, ADDRESS))
		return;
	if (!known->key)
		learn(keys, known, address, len);
	add_key(keys, known, ADDRESS);
}

/* False: it was noted before, and so were its addresses. */
static bool note_flow(struct pack_keys *keys, const struct flowid *id)
{
	const struct name name = name_of(keys, id->byte, id->len);
	struct known *const known = place(set_of(keys, &name), &name);

	if (is_noted(keys, known))
		return false;
	if (!has_room(keys, FLOW))
		return true;
	if (!known->key)
		learn(keys, known, id->byte, id->len);
	add_key(keys, known, FLOW);
	return true;
}

static void note_addresses(struct pack_keys *keys, const uint8_t *from, uint32_t len)
{
	note_address(keys, from, len);
	note_address(keys, from + len, len);
}

/* ---- any packet ---- */

static void note_dissected(struct pack_keys *keys, const uint8_t *packet, uint32_t len,
			   const struct dissected *d)
{
	const uint8_t *from, *to;
	struct flowid id;
	uint32_t address_len;

	if (flowid_of(packet, len, d, &id) && !note_flow(keys, &id))
		return;
	if (flowid_addresses(packet, d, &from, &to, &address_len))
		note_addresses(keys, from, address_len);
}

static void note_any(struct pack_keys *keys, const uint8_t *packet, uint32_t len)
{
	struct dissected outer, inner;

	dissect_frame(packet, len, len, &outer);
	note_dissected(keys, packet, len, &outer);
	if (dissect_gtpu(packet, len, &outer, &inner))
		note_dissected(keys, packet, len, &inner);
}

/* ---- most packets: TCP, UDP and SCTP, which need not be dissected ---- */

struct endpoints {
	const uint8_t *address, *ports; /* both, one behind the other */
	uint32_t address_len;
	uint8_t proto;
};

/* Packets whose sets are on their way from a cache further away: compressing the frame before has
 * put them there. */
#define BATCH 16

struct batch {
	unsigned n;
	struct {
		struct endpoints ends;
		struct name name;
		struct set *set;
	} packet[BATCH];
};

static void flowid_of_ends(struct flowid *out, const struct endpoints *e)
{
	flowid_set(out, e->proto, e->address, e->address + e->address_len, e->address_len, true,
		   wire_u16(e->ports), wire_u16(e->ports + 2));
}

/* A flow that the frame has not had yet. */
static void note_new(struct pack_keys *keys, struct known *known, const struct endpoints *e)
{
	struct flowid id;

	if (!has_room(keys, FLOW))
		return;
	if (!known->key) {
		flowid_of_ends(&id, e);
		learn(keys, known, id.byte, id.len);
	}
	add_key(keys, known, FLOW);
}

static void prefetch(const struct set *set)
{
	__builtin_prefetch(&set->way[0], 1);
	__builtin_prefetch(&set->way[WAYS / 2], 1);
}

static void prefetch_address(struct pack_keys *keys, const uint8_t *address, uint32_t len)
{
	const struct name name = name_of_address(keys, address, len);

	prefetch(set_of(keys, &name));
}

static void note_batch(struct pack_keys *keys, struct batch *b)
{
	const struct endpoints *fresh[BATCH];
	unsigned n = 0;

	for (unsigned i = 0; i < b->n; i++) {
		struct known *const known = place(b->packet[i].set, &b->packet[i].name);
		const struct endpoints *e = &b->packet[i].ends;

		if (is_noted(keys, known))
			continue;
		note_new(keys, known, e);
		fresh[n++] = e;
		prefetch_address(keys, e->address, e->address_len);
		prefetch_address(keys, e->address + e->address_len, e->address_len);
	}
	for (unsigned i = 0; i < n; i++)
		note_addresses(keys, fresh[i]->address, fresh[i]->address_len);
	b->n = 0;
}

static void add_to_batch(struct pack_keys *keys, struct batch *b, const struct endpoints *e)
{
	struct flowid id;

	b->packet[b->n].ends = *e;
	if (e->address_len == 4) {
		b->packet[b->n].name = name_of_ipv4(e->address, e->ports, e->proto);
	} else {
		flowid_of_ends(&id, e);
		b->packet[b->n].name = name_of(keys, id.byte, id.len);
	}
	struct set *const set = set_of(keys, &b->packet[b->n].name);
	b->packet[b->n].set = set;
	prefetch(set);
	if (++b->n == BATCH)
		note_batch(keys, b);
}

#define GTPU_PORT 2152

/* Most of them, a third faster than by a walk: right behind Ethernet, whole, no IP option. */
static bool find_in_ipv4(const uint8_t *p, uint32_t len, struct endpoints *out)
{
	enum { ETHERNET = 14, HEAD = 20, PORTS = 4 };

	if (len < ETHERNET + HEAD + PORTS || wire_u16(p + 12) != 0x0800 || p[14] != 0x45 ||
	    (wire_u16(p + 20) & 0x3fff) || wire_u16(p + 16) < HEAD + PORTS)
		return false;
	*out = (struct endpoints){p + ETHERNET + 12, p + ETHERNET + HEAD, 4, p[ETHERNET + 9]};
	return flowid_has_ports(out->proto);
}

/* Without l4: a later fragment, which has addresses alone. */
static bool find_by_walk(const uint8_t *p, uint32_t len, struct inner *in, struct endpoints *out)
{
	const bool v4 = in->version == 4;

	*out = (struct endpoints){p + in->l3 + (v4 ? 12 : 8), p + in->l4, v4 ? 4 : 16, in->proto};
	return in->l4 && flowid_has_ports(in->proto) && len >= in->l4 + 4u && inner_owns(in, 4);
}

static void note_packet(struct pack_keys *keys, struct batch *b, const uint8_t *p, uint32_t len)
{
	struct endpoints e;
	struct inner in;
	bool found = find_in_ipv4(p, len, &e);

	if (!found) {
		inner_walk(p, p + len, &in);
		if (in.fault != INNER_OK)
			return;
		found = find_by_walk(p, len, &in, &e);
		if (!in.l4) {
			note_addresses(keys, e.address, e.address_len);
			return;
		}
	}
	if (!found || wire_u16(e.ports) == GTPU_PORT || wire_u16(e.ports + 2) == GTPU_PORT)
		note_any(keys, p, len);
	else
		add_to_batch(keys, b, &e);
}

void pack_keys_take(struct pack_keys *keys, const uint8_t *blocks, size_t len)
{
	struct batch batch;

	batch.n = 0;
	keys->frame++;
	keys->missing = 0;
	keys->n_keys = keys->n[FLOW] = keys->n[ADDRESS] = 0;
	for (const uint8_t *p = blocks; p < blocks + len; p += block_packet_total(p))
		if (block_is_packet(p))
			note_packet(keys, &batch, p + BLOCK_PACKET_HEAD, block_packet_captured(p));
	note_batch(keys, &batch);
}

/* ---- the filter ---- */

unsigned pack_keys_missing(const struct pack_keys *keys)
{
	return keys->missing;
}

size_t pack_keys_filter_len(const struct pack_keys *keys)
{
	return (keys->n_keys * PACK_KEYS_BITS + 7) / 8;
}

/* A key as frame number n has it: SplitMix64 (Steele, Lea and Flood, 2014). With the same bits in
 * every frame, what seems to be in one would seem to be in all that hold the same flows: of 240
 * minutes three whole ones, once. */
static uint64_t salted(uint64_t key, size_t n)
{
	uint64_t z = key + (n + 1) * 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* Bit i of a salted key, of so many bits: two halves of it make all hashes (Kirsch and
 * Mitzenmacher, Less Hashing, Same Performance, 2006). */
static uint32_t bit_of(uint64_t key, unsigned i, uint32_t bits)
{
	const uint32_t hash = (uint32_t)key + i * ((uint32_t)(key >> 32) | 1);

	return (uint32_t)((uint64_t)hash * bits >> 32);
}

void pack_keys_filter(const struct pack_keys *keys, size_t n, uint8_t *out, size_t len)
{
	memset(out, 0, len);
	for (size_t k = 0; k < keys->n_keys && len; k++) {
		const uint64_t key = salted(keys->key[k], n);

		for (unsigned i = 0; i < PACK_KEYS_HASHES; i++) {
			const uint32_t bit = bit_of(key, i, (uint32_t)len * 8);

			out[bit / 8] |= (uint8_t)(1u << bit % 8);
		}
	}
}

bool pack_keys_has(const uint8_t *filter, size_t len, size_t n, uint64_t key)
{
	key = salted(key, n);
	for (unsigned i = 0; i < PACK_KEYS_HASHES && len; i++) {
		const uint32_t bit = bit_of(key, i, (uint32_t)len * 8);

		if (!(filter[bit / 8] >> bit % 8 & 1))
			return false;
	}
	return len > 0;
}
