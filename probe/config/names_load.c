#include "config/names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/names_make.h"
#include "config/value.h"
#include "config/yamldoc.h"

#define VNI_MAX 0xffffffu /* 24 bits, RFC 7348 section 5 */

/* Texts are lent by the tree. */
struct entry {
	struct names_entry names; /* addresses are ours */
	const struct yamldoc_node *node;
};

struct entries {
	struct entry *items;
	uint32_t n;
};

/* One key of a map: *set reads its value into the field at offset of what the map describes. */
struct field {
	const char *key;
	int (*set)(const struct yamldoc *doc, const struct yamldoc_node *node, void *field,
		   struct err *err);
	size_t offset;
	const char *missing; /* what to say without it; NULL: it may be left out */
};

#define FIELDS_MAX 13

/* "key:" and "key: null" are as if the line were not there. */
static bool is_given(const struct yamldoc_node *node)
{
	return node && (node->kind != YAMLDOC_TEXT || *node->text);
}

static const struct field *find_field(const struct field *fields, const char *key)
{
	for (; fields->key; fields++)
		if (!strcmp(fields->key, key))
			return fields;
	return NULL;
}

static int fail_unknown(const struct yamldoc *doc, const struct yamldoc_node *node,
			const struct field *fields, struct err *err)
{
	const char *known[FIELDS_MAX + 1] = {NULL};

	for (unsigned i = 0; fields[i].key; i++)
		known[i] = fields[i].key;
	return yamldoc_fail_unknown(doc, node, known, err);
}

/* Reads a map into *out by its fields, an array that ends without key. */
static int read_map(const struct yamldoc *doc, const struct yamldoc_node *map,
		    const struct field *fields, void *out, struct err *err)
{
	if (map->kind != YAMLDOC_MAP)
		return yamldoc_fail(doc, map, err, "wanted here are keys and values: %s: ...",
				    fields->key);
	for (unsigned i = 0; i < map->n; i++) {
		const struct yamldoc_node *item = &map->items[i];
		const struct field *field = find_field(fields, item->key);
		if (!field)
			return fail_unknown(doc, item, fields, err);
		const int ret = is_given(item)
					? field->set(doc, item, (char *)out + field->offset, err)
					: 0;
		if (ret)
			return ret;
	}
	for (; fields->key; fields++)
		if (fields->missing && !is_given(yamldoc_get(map, fields->key)))
			return yamldoc_fail(doc, map, err, "%s: missing; it is %s", fields->key,
					    fields->missing);
	return 0;
}

/* ---- values ---- */

/* Says what is wanted of a node that is no such text. */
static int fail_wanted(const struct yamldoc *doc, const struct yamldoc_node *node, struct err *err,
		       const char *wanted)
{
	static const char *const kinds[] = {
		[YAMLDOC_LIST] = "a list", [YAMLDOC_MAP] = "keys and values"};

	return node->kind == YAMLDOC_TEXT
		       ? yamldoc_fail(doc, node, err, "'%.80s': wanted is %s", node->text, wanted)
		       : yamldoc_fail(doc, node, err, "this is %s; wanted is %s", kinds[node->kind],
				      wanted);
}

static bool is_text(const struct yamldoc_node *node)
{
	return node->kind == YAMLDOC_TEXT;
}

static int set_address(const struct yamldoc *doc, const struct yamldoc_node *node, void *field,
		       struct err *err)
{
	if (!is_text(node) || !value_address(field, node->text))
		return fail_wanted(doc, node, err, "an IPv4 or IPv6 address such as 10.0.0.1");
	return 0;
}

static int set_vni(const struct yamldoc *doc, const struct yamldoc_node *node, void *field,
		   struct err *err)
{
	uint64_t vni;

	if (!is_text(node) || !value_number(&vni, node->text) || vni > VNI_MAX)
		return fail_wanted(doc, node, err, "a number from 0 to 16777215");
	*(uint32_t *)field = (uint32_t)vni;
	return 0;
}

static int set_name(const struct yamldoc *doc, const struct yamldoc_node *node, void *field,
		    struct err *err)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.:-";

	if (!is_text(node) || *node->text == '.' || strlen(node->text) > NAMES_NAME_MAX ||
	    node->text[strspn(node->text, allowed)])
		return fail_wanted(doc, node, err,
				   "up to 48 of A-Z a-z 0-9 '.' ':' '-', no '.' in front");
	*(const char **)field = node->text;
	return 0;
}

/* C0, DEL and C1 (U+0080 to U+009F). libyaml has seen to it that it is UTF-8. */
static bool has_controls(const char *text)
{
	const unsigned char *c = (const unsigned char *)text;

	for (; *c; c++)
		if (*c < ' ' || *c == 0x7f || (c[0] == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f))
			return true;
	return false;
}

static int set_text(const struct yamldoc *doc, const struct yamldoc_node *node, void *field,
		    struct err *err)
{
	if (!is_text(node) || strlen(node->text) > NAMES_TEXT_MAX || has_controls(node->text))
		return fail_wanted(doc, node, err,
				   "a text of up to 63 bytes without control characters");
	*(const char **)field = node->text;
	return 0;
}

static int set_mac(const struct yamldoc *doc, const struct yamldoc_node *node, void *field,
		   struct err *err)
{
	uint64_t mac;

	/* The lowest bit of the first byte: a group address. */
	if (!is_text(node) || !value_mac(&mac, node->text) || !mac || mac >> 40 & 1)
		return fail_wanted(doc, node, err,
				   "the MAC of one interface such as 02:00:00:00:00:01");
	*(uint64_t *)field = mac;
	return 0;
}

static int set_instant(const struct yamldoc *doc, const struct yamldoc_node *node, void *field,
		       struct err *err)
{
	if (!is_text(node) || !value_instant(field, node->text))
		return fail_wanted(doc, node, err,
				   "an instant by RFC 3339 such as 2026-11-21T10:00:00Z");
	return 0;
}

static int set_policy(const struct yamldoc *doc, const struct yamldoc_node *node, void *field,
		      struct err *err)
{
	static const char *const words[] = {[SESSION_FULL] = "full",
					    [SESSION_HEADERS] = "headers",
					    [SESSION_COUNT] = "count",
					    [SESSION_DROP] = "drop"};

	for (unsigned i = 0; is_text(node) && i <= SESSION_DROP; i++)
		if (!strcmp(words[i], node->text)) {
			*(enum session_policy *)field = i;
			return 0;
		}
	return fail_wanted(doc, node, err, "full, headers, count or drop");
}

/* ---- addresses inside a session ---- */

#define AT(field) offsetof(struct names_address, field)
static const struct field address_fields[] = {
	{"address", set_address, AT(address), "an address inside the session"},
	{"nf", set_text, AT(nf), "the network function that has the address"},
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
	struct names_entry *entry = field;

	if (list->kind != YAMLDOC_LIST)
		return fail_wanted(doc, list, err, "a list, each item with address and nf");
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
		int ret = read_map(doc, &list->items[i], address_fields, &all[i], err);
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

#define AT(field) offsetof(struct names_entry, field)
static const struct field session_fields[] = {
	{"source", set_address, AT(source), "the outer source address of the mirrored packets"},
	{"vni", set_vni, AT(vni), "the VNI of the mirror session"},
	{"name", set_name, AT(session.name), NULL},
	{"nf", set_text, AT(session.nf), NULL},
	{"vrf", set_text, AT(session.vrf), NULL},
	{"account", set_text, AT(session.account), NULL},
	{"eni", set_text, AT(session.eni), NULL},
	{"mac", set_mac, AT(session.mac), NULL},
	{"from", set_instant, AT(session.from_ns), NULL},
	{"until", set_instant, AT(session.until_ns), NULL},
	{"policy", set_policy, AT(session.policy), NULL},
	{"store", set_name, AT(session.store), NULL},
	{"addresses", set_addresses, 0, NULL}, /* needs the whole entry */
	{0},
};
#undef AT
_Static_assert(sizeof(session_fields) / sizeof(session_fields[0]) == FIELDS_MAX + 1, "the most");

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

static int read_session(const struct yamldoc *doc, struct entry *e, struct err *err)
{
	struct names_session *s = &e->names.session;

	s->name = s->nf = s->vrf = s->account = s->eni = s->store = "";
	s->until_ns = NAMES_NEVER;
	int ret = read_map(doc, e->node, session_fields, &e->names, err);
	ret = ret ? ret : check_validity(doc, e->node, s->from_ns, s->until_ns, err);
	return ret ? ret : check_name(doc, e, err);
}

static int set_sessions(const struct yamldoc *doc, const struct yamldoc_node *list, void *field,
			struct err *err)
{
	struct entries *all = field;

	if (list->kind != YAMLDOC_LIST)
		return fail_wanted(doc, list, err, "a list, each item with source and vni");
	if (list->n > NAMES_SESSIONS_MAX)
		return yamldoc_fail(doc, list, err, "%u entries; allowed are %u", list->n,
				    NAMES_SESSIONS_MAX);
	all->items = calloc(list->n + 1, sizeof(*all->items));
	if (!all->items)
		return err_set(err, -ENOMEM, "out of memory for names");
	all->n = list->n;
	for (uint32_t i = 0; i < list->n; i++) {
		all->items[i].node = &list->items[i];
		const int ret = read_session(doc, &all->items[i], err);
		if (ret)
			return ret;
	}
	return 0;
}

static const struct field root_fields[] = {{"sessions", set_sessions, 0, NULL}, {0}};

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

static int make(struct names **out, const struct entries *all, struct err *err)
{
	struct names_entry *entries = calloc(all->n + 1, sizeof(*entries));

	if (!entries)
		return err_set(err, -ENOMEM, "out of memory for names");
	for (uint32_t i = 0; i < all->n; i++)
		entries[i] = all->items[i].names;
	const int ret = names_make(out, entries, all->n, err);
	free(entries);
	return ret;
}

int names_load(struct names **out, const char *path, struct err *err)
{
	struct entries all = {0};
	struct yamldoc *doc = NULL;

	int ret = yamldoc_open(&doc, path, err);
	ret = ret ? ret : read_map(doc, yamldoc_root(doc), root_fields, &all, err);
	if (!ret && all.n)
		qsort(all.items, all.n, sizeof(*all.items), by_session);
	ret = ret ? ret : check_sessions(doc, &all, err);
	ret = ret ? ret : check_names(doc, &all, err);
	ret = ret ? ret : make(out, &all, err);
	for (uint32_t i = 0; i < all.n; i++)
		free((void *)all.items[i].names.addresses);
	free(all.items);
	yamldoc_close(doc);
	return ret;
}
