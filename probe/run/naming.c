#include "run/naming.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "path/block.h"

/* What is set together. */
struct rules {
	struct names *names; /* ours */
	uint32_t unknown;    /* policy */
	struct siphash_key key;
	struct filter
		filter[NAMES_POLICIES_MAX]; /* of the policies of names, from which they lend */
	uint64_t digest[NAMES_POLICY + NAMES_POLICIES_MAX]; /* by policy */
};

struct naming {
	pthread_mutex_t mutex;
	struct rules rules[2]; /* in force, and before */
	unsigned now;
	const char *const *stores; /* const after start */
	uint32_t n_stores;
};

int naming_open(struct naming **out, struct err *err)
{
	struct naming *n = calloc(1, sizeof(*n));

	if (!n)
		return err_set(err, -ENOMEM, "out of memory");
	(void)pthread_mutex_init(&n->mutex, NULL);
	*out = n;
	return 0;
}

void naming_close(struct naming *n)
{
	if (!n)
		return;
	names_close(n->rules[0].names);
	names_close(n->rules[1].names);
	(void)pthread_mutex_destroy(&n->mutex);
	free(n);
}

void naming_set_stores(struct naming *n, const char *const *stores, uint32_t n_stores)
{
	n->stores = stores;
	n->n_stores = n_stores;
}

/* The policy as the names file has it, or one that is its word. */
static struct names_policy policy_of(const struct rules *r, uint32_t policy)
{
	struct names_policy p = {.snap_len = UINT32_MAX, .sample = 1, .filter = ""};

	if (policy < NAMES_POLICY) {
		p.name = filter_words[policy];
		p.keep = p.user_plane = policy;
	} else {
		(void)names_policy(r->names, policy - NAMES_POLICY, &p);
	}
	return p;
}

/* FNV-1a: the names file is the operator's own. */
static uint64_t fold(uint64_t digest, const void *data, size_t len)
{
	for (const uint8_t *p = data, *end = p + len; p < end; p++)
		digest = (digest ^ *p) * 0x100000001b3;
	return digest;
}

/* Other for other policies, whatever differs. */
static uint64_t digest_of(const struct names_policy *p, const struct siphash_key *key)
{
	const uint32_t numbers[] = {p->keep, p->user_plane, p->snap_len, p->sample};
	uint64_t digest = fold(0xcbf29ce484222325, numbers, sizeof(numbers));

	digest = fold(digest, p->name, strlen(p->name) + 1);
	digest = fold(digest, p->filter, strlen(p->filter) + 1);
	digest = fold(digest, p->only, p->n_only * sizeof(*p->only));
	return p->sample > 1 ? fold(digest, key, sizeof(*key)) : digest;
}

static void add_filter(struct rules *r, uint32_t i, const struct names_policy *p)
{
	r->filter[i] = (struct filter){.keep = p->keep,
				       .user_plane = p->user_plane,
				       .snap_len = p->snap_len,
				       .sample_max = filter_sample_max(p->sample),
				       .sample_key = r->key,
				       .only = p->only,
				       .n_only = p->n_only,
				       .code = p->n_code ? p->code : NULL};
}

/* All that asks for more than a look under the mutex. */
static void make_usable(struct rules *r)
{
	struct names_policy p;

	for (uint32_t i = 0; i < NAMES_POLICY; i++) {
		p = policy_of(r, i);
		r->digest[i] = digest_of(&p, &r->key);
	}
	for (uint32_t i = 0; r->names && names_policy(r->names, i, &p); i++) {
		add_filter(r, i, &p);
		r->digest[NAMES_POLICY + i] = digest_of(&p, &r->key);
	}
}

void naming_set(struct naming *n, struct names *names, enum session_policy unknown,
		const struct siphash_key *key)
{
	const uint32_t said = names ? names_unknown(names) : NAMES_UNKNOWN_UNSAID;
	struct rules *next = &n->rules[!n->now]; /* nobody looks at it */

	naming_forget(n);
	*next = (struct rules){.names = names,
			       .unknown = said == NAMES_UNKNOWN_UNSAID ? unknown : said,
			       .key = *key};
	make_usable(next);
	(void)pthread_mutex_lock(&n->mutex);
	n->now = !n->now;
	(void)pthread_mutex_unlock(&n->mutex);
}

void naming_forget(struct naming *n)
{
	struct rules *before = &n->rules[!n->now];

	names_close(before->names);
	before->names = NULL;
}

/* The entry at an instant, with the mutex held. */
static bool find(const struct naming *n, const struct address *source, uint32_t vni, int64_t at_ns,
		 struct names_session *entry, int64_t *change_ns)
{
	const struct rules *r = &n->rules[n->now];

	*entry = (struct names_session){.name = "",
					.nf = "",
					.vrf = "",
					.account = "",
					.eni = "",
					.store = "",
					.policy = r->unknown};
	*change_ns = NAMES_NEVER;
	return r->names && names_find(r->names, source, vni, at_ns, entry, change_ns);
}

/* With the mutex held. */
static const struct filter *filter_of(const struct naming *n, uint32_t policy)
{
	return policy < NAMES_POLICY ? &filter_plain[policy]
				     : &n->rules[n->now].filter[policy - NAMES_POLICY];
}

/* A number for the ENI: its id's or, where only that is given, its MAC. */
static uint64_t number_of(const struct names_session *entry)
{
	uint64_t n = 0xcbf29ce484222325; /* FNV-1a, as above */

	if (!*entry->eni)
		return entry->mac;
	for (const char *p = entry->eni; *p; p++)
		n = (n ^ (uint8_t)*p) * 0x100000001b3;
	return n;
}

/* config has refused names with another one. */
static uint32_t store_of(const struct naming *n, const struct names_session *entry)
{
	for (uint32_t i = 1; i < n->n_stores; i++)
		if (!strcmp(n->stores[i], entry->store))
			return i;
	return 0;
}

void naming_identify(struct naming *n, const struct address *source, uint32_t vni, int64_t at_ns,
		     struct enroll_identity *out)
{
	struct names_session entry;
	int64_t change_ns;

	(void)pthread_mutex_lock(&n->mutex);
	(void)find(n, source, vni, at_ns, &entry, &change_ns);
	*out = (struct enroll_identity){.filter = filter_of(n, entry.policy),
					.store = store_of(n, &entry),
					.mac = entry.mac,
					.eni = number_of(&entry),
					.until_ns = change_ns == NAMES_NEVER ? UINT64_MAX
									     : (uint64_t)change_ns};
	(void)pthread_mutex_unlock(&n->mutex);
}

static void name_session(const struct session *session, const char *name,
			 struct session_labels *out)
{
	if (!*name)
		stats_session_name(session, out->name);
	else if (session->generation > 1)
		(void)snprintf(out->name, sizeof(out->name), "%s.%u", name, session->generation);
	else
		(void)snprintf(out->name, sizeof(out->name), "%s", name);
}

void naming_labels(struct naming *n, const struct session *session, int64_t at_ns,
		   struct session_labels *out)
{
	struct names_session entry;
	int64_t change_ns;

	memset(out, 0, sizeof(*out));
	(void)pthread_mutex_lock(&n->mutex);
	(void)find(n, &session->source, session->vni, at_ns, &entry, &change_ns);
	name_session(session, entry.name, out);
	(void)snprintf(out->nf, sizeof(out->nf), "%s", entry.nf);
	(void)snprintf(out->vrf, sizeof(out->vrf), "%s", entry.vrf);
	(void)snprintf(out->account, sizeof(out->account), "%s", entry.account);
	(void)snprintf(out->eni, sizeof(out->eni), "%s", entry.eni);
	(void)snprintf(out->policy, sizeof(out->policy), "%s",
		       policy_of(&n->rules[n->now], entry.policy).name);
	(void)pthread_mutex_unlock(&n->mutex);
}

void naming_policy(struct naming *n, const struct session *session, int64_t at_ns,
		   struct describe_policy *out)
{
	struct names_session entry;
	int64_t change_ns;

	(void)pthread_mutex_lock(&n->mutex);
	(void)find(n, &session->source, session->vni, at_ns, &entry, &change_ns);
	const struct rules *r = &n->rules[n->now];
	const struct names_policy p = policy_of(r, entry.policy);
	*out = (struct describe_policy){.keep = p.keep,
					.user_plane = p.user_plane,
					.snap_len = p.snap_len,
					.sample = p.sample,
					.n_only = p.n_only,
					.digest = r->digest[entry.policy],
					.until_ns = change_ns};
	(void)snprintf(out->name, sizeof(out->name), "%s", p.name);
	(void)snprintf(out->filter, sizeof(out->filter), "%s", p.filter);
	(void)pthread_mutex_unlock(&n->mutex);
}

static unsigned collect_addresses(const struct names *names, const struct names_session *entry,
				  int64_t at_ns, struct block_name out[static NAMES_ADDRESSES_MAX])
{
	struct names_address a;
	unsigned n = 0;

	for (uint32_t i = 0; n < NAMES_ADDRESSES_MAX && names_address(names, entry, i, &a); i++)
		if (a.from_ns <= at_ns && at_ns < a.until_ns)
			out[n++] = (struct block_name){a.address, a.nf};
	return n;
}

size_t naming_block(struct naming *n, const struct session *session, int64_t at_ns, uint8_t *out,
		    size_t cap)
{
	struct block_name found[NAMES_ADDRESSES_MAX];
	struct names_session entry;
	int64_t change_ns;
	size_t len = 0;

	(void)pthread_mutex_lock(&n->mutex);
	if (find(n, &session->source, session->vni, at_ns, &entry, &change_ns)) {
		const unsigned n_found =
			collect_addresses(n->rules[n->now].names, &entry, at_ns, found);
		len = n_found ? block_names(out, cap, found, n_found) : 0;
	}
	(void)pthread_mutex_unlock(&n->mutex);
	return len;
}
