#include "config/names_policies.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/names_field.h"
#include "config/value.h"

#define SNAP_MIN   64u /* headers of Ethernet, IPv4 and TCP fit */
#define SNAP_MAX   65536u
#define SAMPLE_MAX 1000000u

/* ---- values ---- */

/* The first n words. */
static bool find_word(const char *text, unsigned n, uint32_t *word)
{
	for (unsigned i = 0; i < n; i++)
		if (!strcmp(filter_words[i], text)) {
			*word = i;
			return true;
		}
	return false;
}

static int set_keep(const struct yamldoc *doc, const struct yamldoc_node *node, void *field,
		    struct err *err)
{
	uint32_t word;

	if (!names_is_text(node) || !find_word(node->text, SESSION_DROP + 1, &word))
		return names_fail_wanted(doc, node, err, "full, headers, count or drop");
	*(enum session_policy *)field = word;
	return 0;
}

static int set_user_plane(const struct yamldoc *doc, const struct yamldoc_node *node, void *field,
			  struct err *err)
{
	uint32_t word;

	if (!names_is_text(node) || !find_word(node->text, SESSION_DROP, &word))
		return names_fail_wanted(doc, node, err, "full, headers or count");
	*(enum session_policy *)field = word;
	return 0;
}

static int set_snap_len(const struct yamldoc *doc, const struct yamldoc_node *node, void *field,
			struct err *err)
{
	uint64_t len;

	if (!names_is_text(node) || !value_size(&len, node->text) || len < SNAP_MIN ||
	    len > SNAP_MAX)
		return names_fail_wanted(doc, node, err, "a size from 64B to 64KiB");
	*(uint32_t *)field = (uint32_t)len;
	return 0;
}

static int set_sample(const struct yamldoc *doc, const struct yamldoc_node *node, void *field,
		      struct err *err)
{
	uint64_t n;

	if (!names_is_text(node) || strncmp(node->text, "1/", 2) ||
	    !value_number(&n, node->text + 2) || n < 2 || n > SAMPLE_MAX)
		return names_fail_wanted(doc, node, err, "1/2 to 1/1000000");
	*(uint32_t *)field = (uint32_t)n;
	return 0;
}

static int set_filter(const struct yamldoc *doc, const struct yamldoc_node *node, void *field,
		      struct err *err)
{
	struct filter_insn code[FILTER_PROGRAM_MAX];
	struct names_policy *policy = field;
	struct err why;

	if (!names_is_text(node))
		return names_fail_wanted(doc, node, err, "an expression such as \"not port 22\"");
	const int ret = filter_compile(code, &policy->n_code, node->text, &why);
	if (ret == -EINVAL)
		return yamldoc_fail(doc, node, err, "%s", why.text);
	struct filter_insn *copy = ret ? NULL : malloc(policy->n_code * sizeof(*copy));
	if (!copy)
		return err_set(err, -ENOMEM, "out of memory for policies");
	memcpy(copy, code, policy->n_code * sizeof(*copy));
	policy->code = copy;
	policy->filter = node->text;
	return 0;
}

/* ---- addresses ---- */

static struct filter_range range_of(const struct address *address, uint32_t len)
{
	struct filter_range r = {*address, *address};

	for (uint32_t bit = len; bit < 128; bit++) {
		r.first.byte[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
		r.last.byte[bit / 8] |= (uint8_t)(0x80u >> bit % 8);
	}
	return r;
}

static int take_prefix(const struct yamldoc *doc, const struct yamldoc_node *node,
		       struct filter_range *out, struct err *err)
{
	struct address address;
	uint32_t len;

	if (!names_is_text(node) || !value_prefix(&address, &len, node->text))
		return names_fail_wanted(doc, node, err,
					 "an address or prefix such as 10.1.0.0/16");
	*out = range_of(&address, len);
	return 0;
}

static int set_only(const struct yamldoc *doc, const struct yamldoc_node *node, void *field,
		    struct err *err)
{
	struct names_policy *policy = field;
	const bool is_list = node->kind == YAMLDOC_LIST;
	const uint32_t n = is_list ? node->n : 1;

	if (!n)
		return yamldoc_fail(doc, node, err,
				    "the list is empty; leave the key out where all are wanted");
	if (n > NAMES_RANGES_MAX)
		return yamldoc_fail(doc, node, err, "%u prefixes; allowed are %u", n,
				    NAMES_RANGES_MAX);
	struct filter_range *ranges = calloc(n, sizeof(*ranges));
	policy->only = ranges;
	if (!ranges)
		return err_set(err, -ENOMEM, "out of memory for policies");
	for (uint32_t i = 0; i < n; i++) {
		const int ret = take_prefix(doc, is_list ? &node->items[i] : node, &ranges[i], err);
		if (ret)
			return ret;
	}
	policy->n_only = filter_join_ranges(ranges, n);
	return 0;
}

/* ---- policies ---- */

#define AT(field) offsetof(struct names_policy, field)
static const struct names_field policy_fields[] = {
	{"keep", set_keep, AT(keep), NULL},
	{"user-plane", set_user_plane, AT(user_plane), NULL},
	{"snap-length", set_snap_len, AT(snap_len), NULL},
	{"filter", set_filter, 0, NULL},
	{"sample", set_sample, AT(sample), NULL},
	{"only", set_only, 0, NULL},
	{0},
};
#undef AT

static int check_drop(const struct yamldoc *doc, const struct yamldoc_node *map, struct err *err)
{
	for (unsigned i = 0; i < map->n; i++)
		if (strcmp(map->items[i].key, "keep") && names_is_given(&map->items[i]))
			return yamldoc_fail(doc, &map->items[i], err,
					    "says nothing where keep is drop; leave it out");
	return 0;
}

static int read_policy(const struct yamldoc *doc, const struct yamldoc_node *map,
		       struct names_policy *p, struct err *err)
{
	uint32_t word;

	if (!names_is_name(map->key) || find_word(map->key, SESSION_DROP + 1, &word))
		return yamldoc_fail(doc, map, err,
				    "no name of a policy: wanted are up to 48 of A-Z a-z 0-9 '.' "
				    "':' '-', no '.' in front, and not full, headers, count, drop");
	*p = (struct names_policy){.name = map->key,
				   .user_plane = SESSION_DROP, /* not given */
				   .snap_len = UINT32_MAX,
				   .sample = 1,
				   .filter = ""};
	const int ret = names_read_map(doc, map, policy_fields, p, err);
	if (ret)
		return ret;
	if (p->keep == SESSION_DROP)
		return check_drop(doc, map, err);
	if (p->user_plane == SESSION_DROP)
		p->user_plane = p->keep;
	return 0;
}

static int read_policies(struct names_policies *out, const struct yamldoc *doc,
			 const struct yamldoc_node *map, struct err *err)
{
	if (map->kind != YAMLDOC_MAP)
		return names_fail_wanted(doc, map, err, "a map, NAME: {keep: ...}");
	if (map->n > NAMES_POLICIES_MAX)
		return yamldoc_fail(doc, map, err, "%u policies; allowed are %u", map->n,
				    NAMES_POLICIES_MAX);
	for (unsigned i = 0; i < map->n; i++) {
		const int ret = read_policy(doc, &map->items[i], &out->policy[out->n++], err);
		if (ret)
			return ret;
	}
	return 0;
}

int names_policies_find(const struct names_policies *policies, const struct yamldoc *doc,
			const struct yamldoc_node *node, uint32_t *policy, struct err *err)
{
	if (names_is_text(node) && find_word(node->text, SESSION_DROP + 1, policy))
		return 0;
	for (uint32_t i = 0; names_is_text(node) && i < policies->n; i++)
		if (!strcmp(policies->policy[i].name, node->text)) {
			*policy = NAMES_POLICY + i;
			return 0;
		}
	return names_fail_wanted(doc, node, err,
				 "full, headers, count, drop or a name under policies");
}

/* ---- whose they are ---- */

static int read_nfs(struct names_policies *out, const struct yamldoc *doc,
		    const struct yamldoc_node *map, struct err *err)
{
	if (map->kind != YAMLDOC_MAP)
		return names_fail_wanted(doc, map, err, "a map, NF: POLICY");
	for (unsigned i = 0; i < map->n; i++) {
		const struct yamldoc_node *item = &map->items[i];
		const int ret =
			names_policies_find(out, doc, item, &out->nf[out->n_nfs].policy, err);
		if (ret)
			return ret;
		out->nf[out->n_nfs++].nf = item->key;
	}
	return 0;
}

uint32_t names_policies_of_nf(const struct names_policies *policies, const char *nf)
{
	for (uint32_t i = 0; i < policies->n_nfs; i++)
		if (!strcmp(policies->nf[i].nf, nf))
			return policies->nf[i].policy;
	return SESSION_FULL;
}

int names_policies_read(struct names_policies *out, const struct yamldoc *doc,
			const struct yamldoc_node *policies, const struct yamldoc_node *nfs,
			const struct yamldoc_node *unknown, struct err *err)
{
	out->unknown = NAMES_UNKNOWN_UNSAID;
	int ret = policies ? read_policies(out, doc, policies, err) : 0;
	if (!ret && nfs)
		ret = read_nfs(out, doc, nfs, err);
	if (!ret && unknown)
		ret = names_policies_find(out, doc, unknown, &out->unknown, err);
	return ret;
}

void names_policies_free(struct names_policies *policies)
{
	for (uint32_t i = 0; i < policies->n; i++) {
		free((void *)policies->policy[i].only);
		free((void *)policies->policy[i].code);
	}
}
