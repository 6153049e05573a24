#include "config/names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/names_field.h"
#include "config/names_make.h"
#include "config/names_policies.h"
#include "config/value.h"

#define VNI_MAX 0xffffffu /* 24 bits, RFC 7348 section 5 */

/* Texts are lent by the tree. */
struct entry {
	struct names_entry names; /* addresses are ours */
	const struct yamldoc_node *node;
	const struct yamldoc_node *policy; /* NULL: not given */
};

struct entries {
	struct entry *items;
	uint32_t n;
};

/* Values of the keys of the whole; read in an order of their own. */
struct root {
	const struct yamldoc_node *sessions, *policies, *nfs, *unknown;
};

/* ---- values ---- */

static int set_vni(const struct yamldoc *doc, const struct yamldoc_node *node, void *field,
		   struct err *err)
{
	uint64_t vni;

	if (!names_is_text(node) || !value_number(&vni, node->text) || vni > VNI_MAX)
		return names_fail_wanted(doc, node, err, "a number from 0 to 16777215");
	*(uint32_t *)field = (uint32_t)vni;
	return 0;
}

static int set_mac(const struct yamldoc *doc, const struct yamldoc_node *node, void *field,
		   struct err *err)
{
	uint64_t mac;

	/* The lowest bit of the first byte: a group address. */
	if (!names_is_text(node) || !value_mac(&mac, node->text) || !mac || mac >> 40 & 1)
		return names_fail_wanted(doc, node, err,
					 "the MAC of one interface such as 02:00:00:00:00:01");
	*(uint64_t *)field = mac;
	return 0;
}

static int set_instant(const struct yamldoc *doc, const struct yamldoc_node *node, void *field,
		       struct err *err)
{
	if (!names_is_text(node) || !value_instant(field, node->text))
		return names_fail_wanted(doc, node, err,
					 "an instant by RFC 3339 such as 2026-11-21T10:00:00Z");
	return 0;
}

/* Found out when all policies are known. */
static int set_later(const struct yamldoc *doc, const struct yamldoc_node *node, void *field,
		     struct err *err)
{
	(void)doc;
	(void)err;
	*(const struct yamldoc_node **)field = node;
	return 0;
}

/* ---- addresses inside a session ---- */

#define AT(field) offsetof(struct names_address, field)
static const struct names_field address_fields[] = {
	{"address", names_set_address, AT(address), "an address inside the session"},
	{"nf", names_set_text, AT(nf), "the network function that has the address"},
	{"from", set_instant, AT(from_ns), NULL},
	{"until", set_instant, AT(until_ns), NULL},
	{0},
};
#undef AT

static int check_validity(const struct yamldoc *doc, const struct yamldoc_node *map,
			  int64_t from_ns, int64_t until_ns, struct err *err)
{
	/* Without until this cannot be. */
	return from_ns < until_ns ? 0
				  : yamldoc_fail(doc, yamldoc_get(map, "until"), err,
						 "must be later than from");
}

static bool overlap(int64_t from_ns, int64_t until_ns, int64_t from2_ns, int64_t until2_ns)
{
	return from_ns < until2_ns && from2_ns < until_ns;
}

/* Names of one address at the same time among the first n items of a list and the one behind. */
static int check_address(const struct yamldoc *doc, const struct yamldoc_node *list,
			 const struct names_address *all, uint32_t n, struct err *err)
{
	const struct names_address *a = &all[n];

	for (uint32_t i = 0; i < n; i++)
		if (!memcmp(&all[i].address, &a->address, sizeof(a->address)) &&
		    overlap(all[i].from_ns, all[i].until_ns, a->from_ns, a->until_ns))
			return yamldoc_fail(doc, yamldoc_get(&list->items[n], "address"), err,
					    "has a name at the same time in line %u; set from and "
					    "until so that one ends before the other begins",
					    list->items[i].line);
	return 0;
}

static int set_addresses(const struct yamldoc *doc, const struct yamldoc_node *list, void *field,
			 struct err *err)
{
	struct names_entry *entry = &((struct entry *)field)->names;

	if (list->kind != YAMLDOC_LIST)
		return names_fail_wanted(doc, list, err, "a list, each item with address and nf");
	if (list->n > NAMES_ADDRESSES_MAX)
		return yamldoc_fail(doc, list, err, "%u addresses; allowed are %u for one session",
				    list->n, NAMES_ADDRESSES_MAX);
	struct names_address *all = calloc(list->n + 1, sizeof(*all));
	entry->addresses = all;
	if (!all)
		return err_set(err, -ENOMEM, "out of memory for names");
	entry->n_addresses = list->n;
	for (uint32_t i = 0; i < list->n; i++) {
		all[i].until_ns = NAMES_NEVER;
		int ret = names_read_map(doc, &list->items[i], address_fields, &all[i], err);
		ret = ret ? ret
			  : check_validity(doc, &list->items[i], all[i].from_ns, all[i].until_ns,
					   err);
		ret = ret ? ret : check_address(doc, list, all, i, err);
		if (ret)
			return ret;
	}
	return 0;
}

/* ---- sessions ---- */

#define AT(field) offsetof(struct entry, field)
static const struct names_field session_fields[] = {
	{"source", names_set_address, AT(names.source),
	 "the outer source address of the mirrored packets"},
	{"vni", set_vni, AT(names.vni), "the VNI of the mirror session"},
	{"name", names_set_name, AT(names.session.name), NULL},
	{"nf", names_set_text, AT(names.session.nf), NULL},
	{"vrf", names_set_text, AT(names.session.vrf), NULL},
	{"account", names_set_text, AT(names.session.account), NULL},
	{"eni", names_set_text, AT(names.session.eni), NULL},
	{"mac", set_mac, AT(names.session.mac), NULL},
	{"from", set_instant, AT(names.session.from_ns), NULL},
	{"until", set_instant, AT(names.session.until_ns), NULL},
	{"policy", set_later, AT(policy), NULL},
	{"store", names_set_name, AT(names.session.store), NULL},
	{"addresses", set_addresses, 0, NULL}, /* needs the whole entry */
	{0},
};
#undef AT
_Static_assert(sizeof(session_fields) / sizeof(session_fields[0]) == NAMES_FIELDS_MAX + 1,
	       "the most");

/* <address>-<vni> or <address>-<vni>.<n>: what a session without a name is called. */
static bool is_automatic(const char *name, struct names_entry *of)
{
	char copy[NAMES_NAME_MAX + 1];
	uint64_t vni, generation;

	strcpy(copy, name); /* set_name has seen to it that it fits */
	char *dash = strrchr(copy, '-');
	if (!dash)
		return false;
	*dash = 0;
	char *dot = strchr(dash + 1, '.');
	if (dot)
		*dot = 0;
	if (!value_address(&of->source, copy) || !value_number(&vni, dash + 1) || vni > VNI_MAX ||
	    (dot && !value_number(&generation, dot + 1)))
		return false;
	of->vni = dot ? UINT32_MAX : (uint32_t)vni; /* a later generation is nobody's own */
	return true;
}

bool names_is_automatic(const char *name)
{
	struct names_entry of;

	return is_automatic(name, &of);
}

static int check_name(const struct yamldoc *doc, const struct entry *e, struct err *err)
{
	struct names_entry of;

	if (!is_automatic(e->names.session.name, &of) ||
	    (of.vni == e->names.vni && !memcmp(&of.source, &e->names.source, sizeof(of.source))))
		return 0;
	return yamldoc_fail(doc, yamldoc_get(e->node, "name"), err,
			    "'%s' is what another session is called that has no name; choose one "
			    "that is not ADDRESS-NUMBER",
			    e->names.session.name);
}

static int find_policy(const struct yamldoc *doc, struct entry *e,
		       const struct names_policies *policies, struct err *err)
{
	struct names_session *s = &e->names.session;

	if (e->policy)
		return names_policies_find(policies, doc, e->policy, &s->policy, err);
	s->policy = names_policies_of_nf(policies, s->nf);
	return 0;
}

static int read_session(const struct yamldoc *doc, struct entry *e,
			const struct names_policies *policies, struct err *err)
{
	struct names_session *s = &e->names.session;

	s->name = s->nf = s->vrf = s->account = s->eni = s->store = "";
	s->until_ns = NAMES_NEVER;
	int ret = names_read_map(doc, e->node, session_fields, e, err);
	ret = ret ? ret : check_validity(doc, e->node, s->from_ns, s->until_ns, err);
	ret = ret ? ret : check_name(doc, e, err);
	return ret ? ret : find_policy(doc, e, policies, err);
}

static int read_sessions(const struct yamldoc *doc, const struct yamldoc_node *list,
			 const struct names_policies *policies, struct entries *all,
			 struct err *err)
{
	if (!list)
		return 0;
	if (list->kind != YAMLDOC_LIST)
		return names_fail_wanted(doc, list, err, "a list, each item with source and vni");
	if (list->n > NAMES_SESSIONS_MAX)
		return yamldoc_fail(doc, list, err, "%u entries; allowed are %u", list->n,
				    NAMES_SESSIONS_MAX);
	all->items = calloc(list->n + 1, sizeof(*all->items));
	if (!all->items)
		return err_set(err, -ENOMEM, "out of memory for names");
	all->n = list->n;
	for (uint32_t i = 0; i < list->n; i++) {
		all->items[i].node = &list->items[i];
		const int ret = read_session(doc, &all->items[i], policies, err);
		if (ret)
			return ret;
	}
	return 0;
}

#define AT(field) offsetof(struct root, field)
static const struct names_field root_fields[] = {
	{"sessions", set_later, AT(sessions), NULL},
	{"policies", set_later, AT(policies), NULL},
	{"nfs", set_later, AT(nfs), NULL},
	{"unknown-sessions", set_later, AT(unknown), NULL},
	{0},
};
#undef AT

/* ---- the whole ---- */

static int by_session(const void *a, const void *b)
{
	return names_compare(&((const struct entry *)a)->names, &((const struct entry *)b)->names);
}

static int by_name(const void *a, const void *b)
{
	const struct names_session *x = &(*(const struct entry *const *)a)->names.session;
	const struct names_session *y = &(*(const struct entry *const *)b)->names.session;
	const int order = strcmp(x->name, y->name);

	return order ? order : (x->from_ns > y->from_ns) - (x->from_ns < y->from_ns);
}

static bool are_valid_together(const struct entry *a, const struct entry *b)
{
	return overlap(a->names.session.from_ns, a->names.session.until_ns,
		       b->names.session.from_ns, b->names.session.until_ns);
}

/* The key of the entry that comes later in the file is at fault. */
static int fail_together(const struct yamldoc *doc, const struct entry *a, const struct entry *b,
			 const char *key, struct err *err)
{
	const struct yamldoc_node *first = a->node, *second = b->node;

	if (first > second) { /* items of one list */
		first = b->node;
		second = a->node;
	}
	return yamldoc_fail(
		doc, yamldoc_get(second, key), err,
		"'%s' is taken at the same time by the entry in line %u%s; set from and "
		"until so that one ends before the other begins",
		yamldoc_get(second, key)->text, first->line,
		strcmp(key, "name") ? " with the same vni" : "");
}

/* In the order of names_compare those that overlap are neighbours, or some others are. */
static int check_sessions(const struct yamldoc *doc, const struct entries *all, struct err *err)
{
	for (uint32_t i = 1; i < all->n; i++) {
		const struct entry *a = &all->items[i - 1], *b = &all->items[i];
		if (a->names.vni == b->names.vni &&
		    !memcmp(&a->names.source, &b->names.source, sizeof(a->names.source)) &&
		    are_valid_together(a, b))
			return fail_together(doc, a, b, "source", err);
	}
	return 0;
}

static int compare_name(const void *name, const void *entry)
{
	return strcmp(name, (*(const struct entry *const *)entry)->names.session.name);
}

/* amf.2 is what amf is called once another ENI has its source and vni. */
static int check_generation(const struct yamldoc *doc, const struct entry *const *sorted,
			    uint32_t n, const struct entry *e, struct err *err)
{
	const char *name = e->names.session.name, *dot = strrchr(name, '.');
	char first[NAMES_NAME_MAX + 1];
	uint64_t generation;

	if (!dot || !value_number(&generation, dot + 1) || generation < 2)
		return 0;
	(void)snprintf(first, sizeof(first), "%.*s", (int)(dot - name), name);
	if (!bsearch(first, sorted, n, sizeof(*sorted), compare_name))
		return 0;
	return yamldoc_fail(doc, yamldoc_get(e->node, "name"), err,
			    "'%s' is what '%s' is called when another ENI gets its source and vni; "
			    "choose another one",
			    name, first);
}

static int check_names(const struct yamldoc *doc, const struct entries *all, struct err *err)
{
	const struct entry **sorted = calloc(all->n + 1, sizeof(struct entry *));
	int ret = 0;

	if (!sorted)
		return err_set(err, -ENOMEM, "out of memory for names");
	for (uint32_t i = 0; i < all->n; i++)
		sorted[i] = &all->items[i];
	qsort(sorted, all->n, sizeof(struct entry *), by_name);
	for (uint32_t i = 1; i < all->n && !ret; i++)
		if (*sorted[i]->names.session.name &&
		    !strcmp(sorted[i - 1]->names.session.name, sorted[i]->names.session.name) &&
		    are_valid_together(sorted[i - 1], sorted[i]))
			ret = fail_together(doc, sorted[i - 1], sorted[i], "name", err);
	for (uint32_t i = 0; i < all->n && !ret; i++)
		ret = check_generation(doc, sorted, all->n, sorted[i], err);
	free(sorted);
	return ret;
}

static int make(struct names **out, const struct entries *all,
		const struct names_policies *policies, struct err *err)
{
	struct names_entry *entries = calloc(all->n + 1, sizeof(*entries));
	const struct names_content content = {.entries = entries,
					      .n_entries = all->n,
					      .policies = policies->policy,
					      .n_policies = policies->n,
					      .unknown = policies->unknown};

	if (!entries)
		return err_set(err, -ENOMEM, "out of memory for names");
	for (uint32_t i = 0; i < all->n; i++)
		entries[i] = all->items[i].names;
	const int ret = names_make(out, &content, err);
	free(entries);
	return ret;
}

static int load(struct names **out, const struct yamldoc *doc, struct entries *all,
		struct names_policies *policies, struct err *err)
{
	struct root root = {0};

	int ret = names_read_map(doc, yamldoc_root(doc), root_fields, &root, err);
	ret = ret ? ret
		  : names_policies_read(policies, doc, root.policies, root.nfs, root.unknown, err);
	ret = ret ? ret : read_sessions(doc, root.sessions, policies, all, err);
	if (!ret && all->n)
		qsort(all->items, all->n, sizeof(*all->items), by_session);
	ret = ret ? ret : check_sessions(doc, all, err);
	ret = ret ? ret : check_names(doc, all, err);
	return ret ? ret : make(out, all, policies, err);
}

int names_load(struct names **out, const char *path, struct err *err)
{
	struct names_policies policies = {0};
	struct entries all = {0};
	struct yamldoc *doc;

	int ret = yamldoc_open(&doc, path, err);
	if (ret)
		return ret;
	ret = load(out, doc, &all, &policies, err);
	for (uint32_t i = 0; i < all.n; i++)
		free((void *)all.items[i].names.addresses);
	free(all.items);
	names_policies_free(&policies);
	yamldoc_close(doc);
	return ret;
}
