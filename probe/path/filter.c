#include "path/filter.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "inner.h"
#include "wire.h"

#define GTPU_PORT 2152
#define GTPU_GPDU 255 /* message type of what carries a user's packet (TS 29.281 section 6.1) */

#define PLAIN(policy)                                                                              \
	[policy] = {.keep = (policy),                                                              \
		    .user_plane = (policy),                                                        \
		    .snap_len = UINT32_MAX,                                                        \
		    .sample_max = FILTER_ALL}
const struct filter filter_plain[] = {PLAIN(SESSION_FULL), PLAIN(SESSION_HEADERS),
				      PLAIN(SESSION_COUNT), PLAIN(SESSION_DROP)};
const char *const filter_words[] = {[SESSION_FULL] = "full",
				    [SESSION_HEADERS] = "headers",
				    [SESSION_COUNT] = "count",
				    [SESSION_DROP] = "drop"};

uint64_t filter_sample_max(uint32_t n)
{
	return n > 1 ? UINT64_MAX / n : FILTER_ALL;
}

/* ---- addresses ---- */

static int compare_address(const struct address *a, const struct address *b)
{
	return memcmp(a, b, sizeof(*a));
}

static int by_first(const void *a, const void *b)
{
	return compare_address(&((const struct filter_range *)a)->first,
			       &((const struct filter_range *)b)->first);
}

uint32_t filter_join_ranges(struct filter_range *ranges, uint32_t n)
{
	uint32_t kept = 0;

	if (n)
		qsort(ranges, n, sizeof(*ranges), by_first);
	for (uint32_t i = 0; i < n; i++) {
		struct filter_range *before = kept ? &ranges[kept - 1] : NULL;
		if (!before || compare_address(&ranges[i].first, &before->last) > 0)
			ranges[kept++] = ranges[i];
		else if (compare_address(&ranges[i].last, &before->last) > 0)
			before->last = ranges[i].last;
	}
	return kept;
}

static bool is_listed(const struct filter *f, const uint8_t *bytes, uint32_t len)
{
	struct address a = {.byte = {[10] = 0xff, 0xff}};
	uint32_t low = 0, high = f->n_only;

	memcpy(a.byte + sizeof(a.byte) - len, bytes, len);
	while (low < high) {
		const uint32_t middle = (low + high) / 2;
		if (compare_address(&f->only[middle].last, &a) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < f->n_only && compare_address(&f->only[low].first, &a) <= 0;
}

/* Both addresses of an IP packet, *to behind *from: NULL when they are cut or none. */
static const uint8_t *addresses(const struct packet *p, const struct dissected *d, uint32_t *len)
{
	const uint8_t *ip = p->data + d->l3;
	const uint32_t room = p->len - d->l3, version = room ? ip[0] >> 4 : 0;

	*len = version == 4 ? 4 : 16;
	if (version == 4 && room >= INNER_IPV4_LEN)
		return ip + 12;
	return version == 6 && room >= INNER_IPV6_LEN ? ip + 8 : NULL;
}

bool filter_is_listed(const struct filter *f, const struct packet *p, const struct dissected *d)
{
	uint32_t len;

	if (!d->l3)
		return true;
	const uint8_t *from = addresses(p, d, &len);
	return from && (is_listed(f, from, len) || is_listed(f, from + len, len));
}

/* ---- planes ---- */

static bool has_port(const struct flow_key *key, uint16_t port)
{
	return key->port_a == port || key->port_b == port;
}

/* By its port. */
static bool carries_user(const struct packet *p, const struct dissected *d)
{
	const uint8_t *gtp = p->data + d->payload;

	if (!d->has_flow || d->key.proto != INNER_UDP || !has_port(&d->key, GTPU_PORT))
		return false;
	/* Version 1, not GTP', and another message: TS 29.281 section 5.1. */
	return d->payload + 2u > p->len || (gtp[0] & 0xf0) != 0x30 || gtp[1] == GTPU_GPDU;
}

enum { SEEN_USER = 1, SEEN_OTHER = 2 };

/* Of its two addresses. NULL: they are cut. */
static _Atomic uint8_t *place_of(struct filter_pairs *pairs, uint32_t session,
				 const struct packet *p, const struct dissected *d)
{
	uint64_t low[2] = {0}, high[2] = {0};
	struct siphash s;
	uint32_t len;
	const uint8_t *from = addresses(p, d, &len);

	if (!from)
		return NULL;
	const bool swap = memcmp(from, from + len, len) > 0;
	memcpy(low, swap ? from + len : from, len);
	memcpy(high, swap ? from : from + len, len);
	sip_init(&s, &pairs->key);
	sip_word(&s, session);
	sip_word(&s, low[0]);
	sip_word(&s, low[1]);
	sip_word(&s, high[0]);
	sip_word(&s, high[1]);
	return &pairs->seen[sip_final(&s) % FILTER_PAIRS];
}

void filter_learn_pair(struct filter_pairs *pairs, uint32_t session, const struct packet *p,
		       const struct dissected *d)
{
	if (d->key.proto != INNER_UDP || !d->has_flow)
		return;
	const bool is_user = carries_user(p, d);
	if (!is_user && !(d->marks & (1u << MARK_FIRST_FRAGMENT)))
		return;
	_Atomic uint8_t *seen = place_of(pairs, session, p, d);
	const uint8_t bit = is_user ? SEEN_USER : SEEN_OTHER;
	/* Relaxed: a bit alone. Looked at first, so that workers can share the cache line. */
	if (seen && !(atomic_load_explicit(seen, memory_order_relaxed) & bit))
		(void)atomic_fetch_or_explicit(seen, bit, memory_order_relaxed);
}

static bool is_user_plane(struct filter_pairs *pairs, uint32_t session, const struct packet *p,
			  const struct dissected *d)
{
	if (d->key.proto != INNER_UDP || !(d->marks & (1u << MARK_LATER_FRAGMENT)))
		return carries_user(p, d);
	const _Atomic uint8_t *seen = place_of(pairs, session, p, d);
	return !seen || atomic_load_explicit(seen, memory_order_relaxed) != SEEN_OTHER;
}

enum { TCP = 1, UDP = 2, TUNNEL = 4 }; /* where a port counts; TUNNEL: inside GTP-U too */

/* Never sampled. SCTP is not here: all of it outside GTP-U is signalling. vxprobe.yaml(5) has the
 * same list. */
static const struct {
	uint16_t port, where;
} signalling[] = {
	{53, TCP | UDP}, /* DNS (RFC 1035) */
	{80, TCP},       /* HTTP/2 of the SBI (TS 29.500 section 5.2), here and below */
	{443, TCP},
	{1812, TCP | UDP},          /* RADIUS authentication (RFC 2865) */
	{1813, TCP | UDP},          /* RADIUS accounting (RFC 2866) */
	{2083, TCP | UDP},          /* RADIUS over TLS, DTLS (RFC 6614, RFC 7360) */
	{2123, UDP},                /* GTP-C (TS 29.274 section 4.2) */
	{2152, UDP},                /* GTP-U's own messages; what it carries is judged inside */
	{2905, TCP},                /* M3UA (RFC 4666) */
	{3386, TCP | UDP},          /* GTP' (TS 32.295) */
	{3799, UDP},                /* RADIUS change of authorization (RFC 5176) */
	{3868, TCP},                /* Diameter (RFC 6733) */
	{5060, TCP | UDP | TUNNEL}, /* SIP (RFC 3261) */
	{5061, TCP | UDP | TUNNEL}, /* SIP over TLS */
	{5658, TCP | UDP},          /* Diameter over TLS, DTLS (RFC 6733) */
	{7777, TCP},                /* SBI of Open5GS */
	{8000, TCP},                /* SBI of free5GC */
	{8080, TCP},
	{8443, TCP},
	{8805, UDP},        /* PFCP (TS 29.244) */
	{14001, TCP},       /* SUA (RFC 3868) */
	{36412, TCP | UDP}, /* S1AP (TS 36.412) */
	{38412, TCP | UDP}, /* NGAP (TS 38.412) */
};

static bool is_signalling(const struct flow_key *key, bool is_tunnelled)
{
	const uint32_t where = key->proto == INNER_TCP ? TCP : key->proto == INNER_UDP ? UDP : 0;

	if (key->proto == INNER_SCTP)
		return !is_tunnelled;
	for (unsigned i = 0; where && i < sizeof(signalling) / sizeof(signalling[0]); i++)
		if (signalling[i].where & where && has_port(key, signalling[i].port) &&
		    (!is_tunnelled || signalling[i].where & TUNNEL))
			return true;
	return false;
}

/* ---- sample ---- */

/* The flow that the packet belongs to, or is about. False: it tells none. */
static bool flow_of(const struct packet *p, const struct dissected *d, struct flow_key *key)
{
	unsigned direction;

	*key = d->key;
	return d->has_flow || dissect_quoted(p->data, p->len, d, key, &direction);
}

static uint64_t word_of(const uint8_t *p)
{
	return (uint64_t)wire_u32(p) << 32 | wire_u32(p + 4);
}

/* As vxprobe.yaml(5) has it, so that others can tell which flows are in a sample. */
static uint64_t hash_flow(const struct siphash_key *by, const struct flow_key *key)
{
	struct siphash s;

	sip_init(&s, by);
	sip_word(&s, word_of(key->a.byte));
	sip_word(&s, word_of(key->a.byte + 8));
	sip_word(&s, word_of(key->b.byte));
	sip_word(&s, word_of(key->b.byte + 8));
	sip_word(&s, (uint64_t)key->port_a << 48 | (uint64_t)key->port_b << 32 | key->proto);
	return sip_final(&s);
}

static bool is_in_sample(const struct filter *f, const struct packet *p, const struct dissected *d)
{
	struct dissected inner;
	struct flow_key key;
	const bool is_tunnelled = dissect_gtpu(p->data, p->len, d, &inner);

	if (!is_tunnelled && carries_user(p, d))
		return true; /* it is cut inside the tunnel */
	if (!flow_of(p, is_tunnelled ? &inner : d, &key) || is_signalling(&key, is_tunnelled))
		return true;
	return hash_flow(&f->sample_key, &key) <= f->sample_max;
}

/* ---- all of it ---- */

/* Up to the end of the transport header; inside GTP-U of the user's. */
static uint32_t headers_len(const struct packet *p, const struct dissected *d)
{
	struct dissected inner;

	return dissect_gtpu(p->data, p->len, d, &inner) ? inner.payload : d->payload;
}

enum fate filter_decide(const struct filter *f, struct filter_pairs *pairs, uint32_t session,
			const struct packet *p, const struct dissected *d, uint32_t *len)
{
	const bool is_user = f->user_plane != f->keep && is_user_plane(pairs, session, p, d);
	const enum session_policy keep = is_user ? f->user_plane : f->keep;

	if (keep >= SESSION_COUNT)
		return FATE_NOT_CAPTURED;
	if (f->code && !filter_program_matches(f->code, p->data, d->wire_len, p->len))
		return FATE_FILTERED;
	if (f->sample_max != FILTER_ALL && !is_in_sample(f, p, d))
		return FATE_NOT_SAMPLED;
	const uint32_t wanted = keep == SESSION_HEADERS ? headers_len(p, d) : p->cap_len;
	const uint32_t bound = wanted < f->snap_len ? wanted : f->snap_len;
	*len = bound < p->cap_len ? bound : p->cap_len;
	return FATE_KEPT;
}
