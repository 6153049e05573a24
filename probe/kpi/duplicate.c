#include "kpi/duplicate.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "inner.h"
#include "kpi/tcp_segment.h"
#include "siphash.h"
#include "wire.h"

#define WAYS 4 /* of one cache line */

/* In 1,024 ns; both times are rounded down. */
#define WINDOW ((DUPLICATE_WINDOW_NS >> 10) + 1)

/* How far back a session is judged, in packets that vote. */
#define MEMORY 256

/* Bytes behind the transport header that have to be equal too: IPv6 has no identification. What
 * is not TCP or SCTP, whose numbers tell packets apart, is compared further: a user plane may send
 * GTP-U without identifications and checksums, and only the headers inside tell its packets apart;
 * but no further than the shortest cut that is recommended (README), so that a cut changes nothing.
 */
#define PAYLOAD_LEN 16
#define FRAME_LEN   128

/* Of all that is behind the addresses: extension headers of IPv6 have no end. */
#define REST_MAX 128

#define GTPU_PORT       2152
#define GTPU_END_MARKER 254

struct entry {
	uint64_t print; /* fingerprint; lowest bit: it has come again */
	uint32_t time;  /* of the first one, in 1,024 ns; wraps in 73 minutes */
	uint16_t is_voter;
	uint16_t ack_id; /* identification of a pure ACK; 0 of all else */
};

struct set {
	_Alignas(64) struct entry entry[WAYS];
};

/*
 * The packets of a session that vote. Whether one comes again is known when it did, or when it is
 * older than the window:
 *
 *   single │ pending: in steps of 1.05 ms  │▶ time
 *          └ slot[0] ... slot[SLOTS - 1] ──┘
 */
#define STEP_SHIFT 10 /* from 1,024 ns */
#define STEPS_MASK (UINT32_MAX >> STEP_SHIFT)
#define SLOTS      6

struct votes {
	uint32_t step;           /* number of the step of the last slot */
	uint16_t pending[SLOTS]; /* have not come again yet */
	uint16_t single, again;  /* halved together: MEMORY */
	uint16_t ack_id;         /* of the latest pure ACK that came again; 0: none yet */
};

/* Words in pairs: two of numbers, the addresses, the rest. */
#define PAIRS_MAX (1 + 32 / 16 + REST_MAX / 16)

/*
 * Of the prints, secret and random. A print is NH (UMAC; Black and others, 1999), which takes two
 * words by one multiplication, then a multilinear hash of its 128 bits (Lemire and Kaser, 2014):
 * for any two packets that differ the chance to have the same print is below 2^-61, over the keys.
 * It promises less than SipHash, which takes a word at a time: keys could be told from prints. But
 * nobody is shown a print, and packets of other addresses or another session differ, whatever a
 * sender puts in his own: he cannot make them look like copies.
 */
struct print_key {
	uint64_t pair[PAIRS_MAX][2];
	unsigned __int128 last[3];
};

struct duplicates {
	struct print_key key;
	struct votes *sessions; /* [sessions_max] */
	struct set *sets;       /* [n_sets] */
	uint32_t n_sets;        /* a power of two */
};

static struct set *set_of(const struct duplicates *d, uint64_t print)
{
	return &d->sets[print >> 32 & (d->n_sets - 1)];
}

/* ---- prints ---- */

struct nh {
	unsigned __int128 sum;
	const uint64_t (*key)[2]; /* of the next pair */
};

static void add_pair(struct nh *nh, uint64_t a, uint64_t b)
{
	nh->sum += (unsigned __int128)(a + (*nh->key)[0]) * (b + (*nh->key)[1]);
	nh->key++;
}

static uint64_t word_at(const uint8_t *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return word;
}

/* How many they are has to be hashed as well. The last pair overlaps the one before. */
static void add_bytes(struct nh *nh, const uint8_t *p, uint32_t len)
{
	uint8_t padded[16] = {0};
	uint32_t at = 0;

	for (; len - at >= 16; at += 16)
		add_pair(nh, word_at(p + at), word_at(p + at + 8));
	if (at == len)
		return;
	if (len < 16)
		memcpy(padded, p, len);
	p = len < 16 ? padded : p + len - 16;
	add_pair(nh, word_at(p), word_at(p + 8));
}

static uint64_t print_of(const struct nh *nh, const struct print_key *key)
{
	const unsigned __int128 h = key->last[0] + key->last[1] * (uint64_t)(nh->sum >> 64) +
				    key->last[2] * (uint64_t)nh->sum;

	/* The lowest bit is the entry's. */
	return (uint64_t)(h >> 64) & ~UINT64_C(1);
}

static bool has_ip(const struct packet *p, const struct dissected *in)
{
	const uint32_t len = in->l3 && p->len > in->l3 ? p->len - in->l3 : 0;

	return len && len >= (p->data[in->l3] >> 4 == 4 ? INNER_IPV4_LEN : INNER_IPV6_LEN);
}

/* What is compared from the offset rest on. */
static uint32_t rest_len(const struct packet *p, const struct dissected *in, uint32_t rest)
{
	const bool is_numbered = in->key.proto == INNER_TCP || in->key.proto == INNER_SCTP;
	const uint32_t least = in->payload + PAYLOAD_LEN;
	const uint32_t wanted = is_numbered || least > FRAME_LEN ? least : FRAME_LEN;
	const uint32_t end = p->len < wanted ? p->len : wanted;
	const uint32_t len = rest < end ? end - rest : 0;

	return len < REST_MAX ? len : REST_MAX;
}

static uint64_t fetch(const struct duplicates *d, uint32_t session, uint64_t print)
{
	__builtin_prefetch(set_of(d, print), 1);
	__builtin_prefetch(&d->sessions[session], 1);
	return print;
}

/* ARP and the like, which nothing but its bytes tells from the next. */
static uint64_t print_frame(const struct duplicates *d, struct nh *nh, uint32_t session,
			    const struct packet *p)
{
	const uint32_t len = p->len < REST_MAX ? p->len : REST_MAX;

	add_pair(nh, (uint64_t)session << 32 | p->cap_len, len);
	add_bytes(nh, p->data, len);
	return fetch(d, session, print_of(nh, &d->key));
}

uint64_t duplicates_print(const struct duplicates *d, uint32_t session, const struct packet *p,
			  const struct dissected *in)
{
	struct nh nh = {.key = d->key.pair};
	if (!has_ip(p, in))
		return print_frame(d, &nh, session, p);
	const uint8_t *ip = p->data + in->l3;
	const bool is_v4 = ip[0] >> 4 == 4;
	/* In an extension header of IPv6 is the identification of a fragment. */
	const uint32_t rest = !is_v4 ? in->l3 + INNER_IPV6_LEN : in->l4 ? in->l4 : in->payload;
	const uint32_t len = rest_len(p, in, rest);

	/* Identification and fragment, or next header: the rest of the first words may change. */
	add_pair(&nh, (uint64_t)session << 32 | (is_v4 ? wire_u32(ip + 4) : ip[6]),
		 (uint64_t)in->ip_len << 32 | len << 16 | (uint32_t)is_v4 << 8 |
			 (is_v4 ? ip[9] : 0u));
	if (is_v4)
		add_pair(&nh, wire_u32(ip + 12), wire_u32(ip + 16));
	else
		add_bytes(&nh, ip + 8, 32);
	add_bytes(&nh, p->data + rest, len);
	return fetch(d, session, print_of(&nh, &d->key));
}

/* ---- judgement ---- */

/* Sent again and again by honest senders: RFC 5681 section 3.2. */
static bool is_pure_ack(const struct packet *p, const struct dissected *in)
{
	return in->key.proto == INNER_TCP && p->len - in->l4 >= 14 && in->ip_len &&
	       in->ip_len <= (uint32_t)in->payload - in->l3 &&
	       !(p->data[in->l4 + 13] & (TCP_FLAG_SYN | TCP_FLAG_FIN | TCP_FLAG_RST));
}

/* As well: TS 29.281 section 7.3.2. */
static bool is_end_marker(const struct packet *p, const struct dissected *in)
{
	const uint8_t *t = p->data + in->l4;

	return in->key.proto == INNER_UDP && p->len - in->l4 >= 10 &&
	       wire_u16(t + 2) == GTPU_PORT && t[9] == GTPU_END_MARKER;
}

/* Most IPv4 senders number their packets: 9,109 pure ACKs with a number were measured in 313
 * captures, and none came again within the window but where the capture is doubled. 0 is none. */
static struct entry entry_of(uint64_t print, uint32_t time, const struct packet *p,
			     const struct dissected *in)
{
	const uint8_t *ip = p->data + in->l3;
	struct entry e = {.print = print, .time = time};

	if (!in->key.version)
		return e;
	if (is_pure_ack(p, in)) {
		e.ack_id = ip[0] >> 4 == 4 ? wire_u16(ip + 4) : 0;
		e.is_voter = e.ack_id != 0;
	} else {
		e.is_voter = !is_end_marker(p, in);
	}
	return e;
}

static struct entry *find(struct set *set, uint64_t print, uint32_t time)
{
	for (unsigned i = 0; i < WAYS; i++) {
		struct entry *e = &set->entry[i];
		const int32_t age = (int32_t)(time - e->time);
		if ((e->print & ~UINT64_C(1)) == print &&
		    (uint32_t)(age < 0 ? -age : age) <= WINDOW)
			return e;
	}
	return NULL;
}

/* The latest is the first, the oldest falls out. */
static void remember(struct set *set, struct entry latest)
{
	for (unsigned i = WAYS - 1; i > 0; i--)
		set->entry[i] = set->entry[i - 1];
	set->entry[0] = latest;
}

static void halve(struct votes *v)
{
	if (v->single + v->again > MEMORY) {
		v->single /= 2;
		v->again /= 2;
	}
}

/* What is older than the slots has not come again. Time may go back a little: nothing moves; if it
 * goes back further, the source has begun anew. */
static void pass_time(struct votes *v, uint32_t step)
{
	const uint32_t steps = step - v->step;

	if (-steps <= SLOTS)
		return;
	for (uint32_t i = 0; i < steps && i < SLOTS; i++) {
		v->single += v->pending[0];
		halve(v);
		memmove(&v->pending[0], &v->pending[1], sizeof(v->pending) - sizeof(v->pending[0]));
		v->pending[SLOTS - 1] = 0;
	}
	v->step = step;
}

/* The slot of a packet so many steps ago; NULL: it is older than all. */
static uint16_t *slot_of(struct votes *v, uint32_t ago)
{
	return ago < SLOTS ? &v->pending[SLOTS - 1 - ago] : NULL;
}

static void take_voter(struct votes *v, uint32_t step)
{
	uint16_t *slot = slot_of(v, v->step - step);

	if (slot && *slot < UINT16_MAX / 2)
		++*slot;
}

/* Of pure ACKs one after another that come again under one identification the sender may have made
 * it so. */
static bool is_believed(struct votes *v, uint16_t ack_id)
{
	const uint16_t before = v->ack_id;

	if (!ack_id)
		return true;
	v->ack_id = ack_id;
	return before && before != ack_id;
}

static void vote(struct votes *v, struct entry *e, uint32_t now)
{
	if (!e->is_voter || e->print & 1)
		return;
	/* Of one that lies ahead, the time having gone back, the slot is the latest. */
	const uint32_t ago = (now >> STEP_SHIFT) - (e->time >> STEP_SHIFT);
	uint16_t *slot = slot_of(v, (int32_t)(now - e->time) < 0 ? 0 : ago & STEPS_MASK);
	e->print |= 1;
	if (slot && *slot)
		--*slot;
	else if (v->single)
		v->single--;
	if (!is_believed(v, e->ack_id))
		return;
	v->again++;
	halve(v);
}

/* More than a third of those of which it is known: also where the copies of one direction come
 * alone. */
static bool is_doubled(const struct votes *v)
{
	return v->again * 2 > v->single;
}

enum duplicate duplicates_judge(struct duplicates *d, uint32_t session, uint64_t print,
				const struct packet *p, const struct dissected *in)
{
	const uint32_t time = (uint32_t)(p->time_ns >> 10);
	const uint32_t step = (uint32_t)(p->time_ns >> (10 + STEP_SHIFT));
	struct set *set = set_of(d, print);
	struct votes *v = &d->sessions[session];
	struct entry *e = find(set, print, time);

	pass_time(v, step);
	if (e) {
		vote(v, e, time);
		return is_doubled(v) ? DUPLICATE_COPY : DUPLICATE_HONEST;
	}
	const struct entry latest = entry_of(print, time, p, in);
	remember(set, latest);
	if (latest.is_voter)
		take_voter(v, step);
	return DUPLICATE_NONE;
}

/* As many random numbers as wanted, from one of 128 bits: SipHash of 0, 1, 2... */
static void spread_key(struct print_key *out, const uint8_t key[16])
{
	uint64_t word[sizeof(*out) / sizeof(uint64_t)] = {0}; /* cppcheck cannot see it filled */
	struct siphash_key from;

	memcpy(&from, key, sizeof(from));
	for (unsigned i = 0; i < sizeof(word) / sizeof(word[0]); i++) {
		struct siphash s;
		sip_init(&s, &from);
		sip_word(&s, i);
		word[i] = sip_final(&s);
	}
	memcpy(out, word, sizeof(*out));
}

int duplicates_open(struct duplicates **out, uint32_t packets_max, uint32_t sessions_max,
		    const uint8_t key[16], struct err *err)
{
	struct duplicates *d = calloc(1, sizeof(*d));

	if (!d)
		return err_set(err, -ENOMEM, "out of memory");
	spread_key(&d->key, key);
	d->n_sets = packets_max / WAYS;
	d->sessions = calloc(sessions_max, sizeof(*d->sessions));
	d->sets = aligned_alloc(64, d->n_sets * sizeof(*d->sets));
	if (!d->sessions || !d->sets) {
		duplicates_close(d);
		return err_set(err, -ENOMEM, "out of memory for the latest packets");
	}
	memset(d->sets, 0, d->n_sets * sizeof(*d->sets));
	*out = d;
	return 0;
}

void duplicates_close(struct duplicates *d)
{
	if (!d)
		return;
	free(d->sets);
	free(d->sessions);
	free(d);
}

size_t duplicates_memory(uint32_t packets_max, uint32_t sessions_max)
{
	return sizeof(struct duplicates) + packets_max / WAYS * sizeof(struct set) +
	       sessions_max * sizeof(struct votes);
}
