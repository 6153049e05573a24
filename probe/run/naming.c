#include "run/naming.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "path/block.h"

struct naming {
	pthread_mutex_t mutex;
	struct names *names;
	enum session_policy unknown;
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
	names_close(n->names);
	(void)pthread_mutex_destroy(&n->mutex);
	free(n);
}

void naming_set_stores(struct naming *n, const char *const *stores, uint32_t n_stores)
{
	n->stores = stores;
	n->n_stores = n_stores;
}

void naming_set(struct naming *n, struct names *names, enum session_policy unknown)
{
	(void)pthread_mutex_lock(&n->mutex);
	struct names *before = n->names;
	n->names = names;
	n->unknown = unknown;
	(void)pthread_mutex_unlock(&n->mutex);
	names_close(before);
}

/* The entry at an instant, with the mutex held. */
static bool find(const struct naming *n, const struct address *source, uint32_t vni, int64_t at_ns,
		 struct names_session *entry, int64_t *change_ns)
{
	*entry = (struct names_session){.name = "",
					.nf = "",
					.vrf = "",
					.account = "",
					.eni = "",
					.store = "",
					.policy = n->unknown};
	*change_ns = NAMES_NEVER;
	return n->names && names_find(n->names, source, vni, at_ns, entry, change_ns);
}

/* A number for the ENI: its id's or, where only that is given, its MAC. */
static uint64_t number_of(const struct names_session *entry)
{
	uint64_t n = 0xcbf29ce484222325; /* FNV-1a: the names file is the operator's own */

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
	*out = (struct enroll_identity){.policy = entry.policy,
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
	out->policy = entry.policy;
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
		const unsigned n_found = collect_addresses(n->names, &entry, at_ns, found);
		len = n_found ? block_names(out, cap, found, n_found) : 0;
	}
	(void)pthread_mutex_unlock(&n->mutex);
	return len;
}
