#include "kpi/duplicate.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "inner.h"
#include "kpi/tcp_segment.h"
#include "siphash.h"
#include "wire.h"

/* 16,384 packets: of 5 ms at 3 million a second. */
#define SETS 4096
#define WAYS 4 /* of one cache line */

/* How far back a session is judged, in packets that vote. */
#define MEMORY 256

/* Bytes behind the transport header that have to be equal too: IPv6 has no identification. */
#define PAYLOAD_LEN 16

#define GTPU_PORT       2152
#define GTPU_END_MARKER 254

struct entry {
	uint64_t print;  /* fingerprint; lowest bit: it has come again */
	uint32_t time;   /* of the first one, in 1,024 ns; wraps in 73 minutes */
	uint32_t number; /* among the session's packets that vote; 0: it does not */
};

struct set {
	_Alignas(64) struct entry entry[WAYS];
};

/* Of the packets of a session that vote. */
struct votes {
	uint32_t latest; /* number of the latest one */
	uint32_t judged; /* of the latest one that has come again: so far copies have had their time
			  */
	uint32_t since;  /* from here on is counted */
	uint32_t again;  /* how many from since to judged have come again */
};

struct duplicates {
	struct siphash_key key;
	struct votes *sessions; /* [sessions_max] */
	struct set *sets;       /* [SETS] */
};

static const uint8_t *min_end(const uint8_t *a, const uint8_t *b)
{
	return a < b ? a : b;
}

static void hash_bytes(struct siphash *s, const uint8_t *p, const uint8_t *end)
{
	for (; p < end; p += 8) {
		uint64_t word = 0;
		memcpy(&word, p, end - p < 8 ? (size_t)(end - p) : 8);
		sip_word(s, word);
	}
}

static bool has_ip(const struct packet *p, const struct dissected *in)
{
	const uint32_t len = in->l3 && p->len > in->l3 ? p->len - in->l3 : 0;

	return len && len >= (p->data[in->l3] >> 4 == 4 ? INNER_IPV4_LEN : INNER_IPV6_LEN);
}

/* Of a packet whose IP header is there. */
static uint64_t fingerprint(const struct duplicates *d, uint32_t session, const struct packet *p,
			    const struct dissected *in)
{
	const uint8_t *ip = p->data + in->l3, *end = p->data + p->len;
	const uint8_t *rest = p->data + (in->l4 ? in->l4 : in->payload);
	const bool is_v4 = ip[0] >> 4 == 4;
	struct siphash s;

	sip_init(&s, &d->key);
	/* Identification and fragment, or next header: the rest of the first words may change. */
	sip_word(&s, (uint64_t)session << 32 | (is_v4 ? wire_u32(ip + 4) : ip[6]));
	sip_word(&s, (uint64_t)in->ip_len << 32 | (is_v4 ? ip[9] : 0u));
	hash_bytes(&s, ip + (is_v4 ? 12 : 8), ip + (is_v4 ? 20 : 40));
	hash_bytes(&s, rest, min_end(end, p->data + in->payload + PAYLOAD_LEN));
	return sip_final(&s) & ~UINT64_C(1);
}

/* Sent again and again by honest senders: RFC 5681 section 3.2, TS 29.281 section 7.3.2. */
static bool is_repeatable(const struct packet *p, const struct dissected *in)
{
	const uint8_t *t = p->data + in->l4;
	const uint32_t captured = p->len - in->l4;

	if (in->key.proto == INNER_TCP && captured >= 14)
		return in->ip_len && in->ip_len <= (uint32_t)in->payload - in->l3 &&
		       !(t[13] & (TCP_FLAG_SYN | TCP_FLAG_FIN | TCP_FLAG_RST));
	return in->key.proto == INNER_UDP && captured >= 10 && wire_u16(t + 2) == GTPU_PORT &&
	       t[9] == GTPU_END_MARKER;
}

static struct entry *find(struct set *set, uint64_t print, uint32_t time)
{
	for (unsigned i = 0; i < WAYS; i++) {
		struct entry *e = &set->entry[i];
		const int32_t age = (int32_t)(time - e->time);
		if ((e->print & ~UINT64_C(1)) == print &&
		    (uint32_t)(age < 0 ? -age : age) <= DUPLICATE_WINDOW_NS >> 10)
			return e;
	}
	return NULL;
}

static struct entry *oldest(struct set *set, uint32_t time)
{
	struct entry *out = &set->entry[0];

	for (unsigned i = 1; i < WAYS; i++)
		if (time - set->entry[i].time > time - out->time)
			out = &set->entry[i];
	return out;
}

static void vote(struct votes *v, struct entry *e)
{
	if (!e->number || e->print & 1)
		return;
	e->print |= 1;
	v->again++;
	if ((int32_t)(e->number - v->judged) > 0)
		v->judged = e->number;
	if (v->judged - v->since > MEMORY) {
		v->since += (v->judged - v->since) / 2;
		v->again /= 2;
	}
}

/* More than a third: also where the copies of one direction come alone. */
static bool is_doubled(const struct votes *v)
{
	return v->again * 3 > v->judged - v->since;
}

enum duplicate duplicates_judge(struct duplicates *d, uint32_t session, const struct packet *p,
				const struct dissected *in)
{
	if (!has_ip(p, in))
		return DUPLICATE_NONE;
	const uint64_t print = fingerprint(d, session, p, in);
	const uint32_t time = (uint32_t)(p->time_ns >> 10);
	struct set *set = &d->sets[print >> 32 & (SETS - 1)];
	struct votes *v = &d->sessions[session];
	struct entry *e = find(set, print, time);

	if (e) {
		vote(v, e);
		return is_doubled(v) ? DUPLICATE_COPY : DUPLICATE_HONEST;
	}
	*oldest(set, time) = (struct entry){
		.print = print, .time = time, .number = is_repeatable(p, in) ? 0 : ++v->latest};
	return DUPLICATE_NONE;
}

int duplicates_open(struct duplicates **out, uint32_t sessions_max, const uint8_t key[16],
		    struct err *err)
{
	struct duplicates *d = calloc(1, sizeof(*d));

	if (!d)
		return err_set(err, -ENOMEM, "out of memory");
	memcpy(&d->key, key, sizeof(d->key));
	d->sessions = calloc(sessions_max, sizeof(*d->sessions));
	d->sets = aligned_alloc(64, SETS * sizeof(*d->sets));
	if (!d->sessions || !d->sets) {
		duplicates_close(d);
		return err_set(err, -ENOMEM, "out of memory for the latest packets");
	}
	memset(d->sets, 0, SETS * sizeof(*d->sets));
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

size_t duplicates_memory(uint32_t sessions_max)
{
	return sizeof(struct duplicates) + SETS * sizeof(struct set) +
	       sessions_max * sizeof(struct votes);
}
