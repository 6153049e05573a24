#include "config/stores.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "config/names.h"
#include "config/option.h"
#include "config/recipients.h"
#include "config/setting.h"
#include "config/yamldoc.h"

/* What a store may have of its own. */
static const char *const KEYS[] = {"recipient",   "recipients-file", "rotate-size", "rotate-time",
				   "retain-size", "retain-time",     NULL};

static bool is_known(const char *key)
{
	for (unsigned i = 0; KEYS[i]; i++)
		if (!strcmp(KEYS[i], key))
			return true;
	return false;
}

static bool is_name(const char *text)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.:-";

	return *text && *text != '.' && strlen(text) <= NAMES_NAME_MAX &&
	       !text[strspn(text, allowed)];
}

static int check_name(const struct config *c, const struct yamldoc_node *node, struct err *err)
{
	if (!is_name(node->key))
		return yamldoc_fail(c->doc, node, err,
				    "a store is called by up to 48 of A-Z a-z 0-9 '.' ':' '-', no "
				    "'.' in front");
	if (names_is_automatic(node->key))
		return yamldoc_fail(c->doc, node, err,
				    "a session without a name is called so; choose one that is not "
				    "ADDRESS-NUMBER");
	if (!strcmp(node->key, CONFIG_DEFAULT_STORE))
		return yamldoc_fail(c->doc, node, err,
				    "is the store of all sessions that have no other; what holds "
				    "for it stands outside of stores");
	if (node->kind != YAMLDOC_MAP)
		return yamldoc_fail(
			c->doc, node, err,
			"keys and values are wanted, such as {retain-time: 90d}, or {}");
	return 0;
}

/* A value, or each of a list. */
static int set_key(struct config *own, const struct yamldoc_node *node, struct err *err)
{
	const struct option_row *row = option_find(node->key);
	struct config_setting s = {row, node->text, node};
	int ret = 0;

	if (node->kind == YAMLDOC_TEXT)
		return setting_apply(own, &s, err);
	if (node->kind != YAMLDOC_LIST || !option_is_list(row) || !node->n)
		return yamldoc_fail(own->doc, node, err, "one value%s is wanted",
				    option_is_list(row) ? " or a list of them" : "");
	for (unsigned i = 0; i < node->n && !ret; i++) {
		s.node = &node->items[i];
		s.text = s.node->text;
		ret = s.node->kind == YAMLDOC_TEXT
			      ? setting_apply(own, &s, err)
			      : yamldoc_fail(own->doc, s.node, err,
					     "%s: a list of plain values is wanted", row->name);
	}
	return ret;
}

static int read_recipients(struct config *own, const struct yamldoc_node *map, struct err *err)
{
	const struct yamldoc_node *node = yamldoc_get(map, "recipients-file");
	struct err why;

	if (!node)
		return 0;
	const int ret =
		recipients_read(own->recipients, &own->n_recipients, own->recipients_file, &why);
	if (ret == -EINVAL) /* the sentence begins with that file's own lines */
		return err_set(err, ret, "%s", why.text);
	return ret ? yamldoc_fail(own->doc, node, err, "%s", why.text) : 0;
}

static int check_retention(const struct config *own, const struct yamldoc_node *map,
			   struct err *err)
{
	const struct yamldoc_node *size = yamldoc_get(map, "retain-size");
	const struct yamldoc_node *time = yamldoc_get(map, "retain-time");

	if ((size || time) && own->split)
		return yamldoc_fail(own->doc, size ? size : time, err,
				    "with split: session files are called after their session, not "
				    "after their store; retain-session-size limits those of each");
	if (own->retain_len && own->retain_len / 2 < own->rotate_len)
		return yamldoc_fail(own->doc, size, err,
				    "less than two files of rotate-size (%" PRIu64
				    " MiB each): raise it, or lower rotate-size",
				    own->rotate_len >> 20);
	return 0;
}

static int read_store(const struct config *c, const struct yamldoc_node *map,
		      struct config_store *out, struct err *err)
{
	struct config own = *c; /* as the whole, but for what it says */
	int ret = check_name(c, map, err);

	own.retain_len = 0; /* that of the whole is for all stores together */
	if (yamldoc_get(map, "recipient") || yamldoc_get(map, "recipients-file"))
		own.n_recipients = 0;
	for (unsigned i = 0; i < map->n && !ret; i++) {
		const struct yamldoc_node *node = &map->items[i];
		ret = is_known(node->key) ? set_key(&own, node, err)
					  : yamldoc_fail_unknown(c->doc, node, KEYS, err);
	}
	if (ret || (ret = read_recipients(&own, map, err)) ||
	    (ret = check_retention(&own, map, err)))
		return ret;
	*out = (struct config_store){.name = map->key,
				     .n_recipients = own.n_recipients,
				     .rotate_len = own.rotate_len,
				     .rotate_ns = own.rotate_ns,
				     .retain_len = own.retain_len,
				     .retain_ns = own.retain_ns};
	memcpy(out->recipients, own.recipients, sizeof(out->recipients));
	return 0;
}

/* Over all stores: the chain names them in one entry. */
static int check_recipients(const struct config *c, struct err *err)
{
	static struct seal_recipient all[(CONFIG_STORES_MAX + 1) * SEAL_RECIPIENTS_MAX];
	unsigned n = c->n_recipients;

	memcpy(all, c->recipients, n * sizeof(all[0]));
	for (unsigned i = 0; i < c->n_stores; i++) {
		const struct config_store *s = &c->stores[i];
		memcpy(all + n, s->recipients, s->n_recipients * sizeof(all[0]));
		n += s->n_recipients;
	}
	if (recipients_distinct(all, n) <= SEAL_RECIPIENTS_MAX)
		return 0;
	return setting_fail(c, setting_of(c, "stores"), err,
			    "more than %d recipients over all stores", SEAL_RECIPIENTS_MAX);
}

static int check_writers(const struct config *c, struct err *err)
{
	if (c->split || c->writers <= c->n_stores + 1)
		return 0;
	return setting_fail(c, setting_of(c, "writers"), err,
			    "a writer for each of %u store%s is enough: add stores, or have a file "
			    "for each session with split: session",
			    c->n_stores + 1, c->n_stores ? "s" : "");
}

int stores_read(struct config *c, struct err *err)
{
	const struct config_setting *s = setting_of(c, "stores");
	int ret = 0;

	c->n_stores = 0;
	if (s && s->node->n > CONFIG_STORES_MAX)
		return setting_fail(c, s, err, "more than %d stores", CONFIG_STORES_MAX);
	for (unsigned i = 0; s && i < s->node->n && !ret; i++) {
		ret = read_store(c, &s->node->items[i], &c->stores[i], err);
		c->n_stores += !ret;
	}
	if (ret || (ret = check_recipients(c, err)))
		return ret;
	return check_writers(c, err);
}

const char *stores_text(const struct config *c, char *out, size_t len)
{
	size_t at = 0;

	(void)snprintf(out, len, "none");
	for (unsigned i = 0; i < c->n_stores && at < len; i++)
		at += (size_t)snprintf(out + at, len - at, "%s%s", i ? ", " : "",
				       c->stores[i].name);
	return out;
}

int config_check_stores(const struct config *c, const struct names *names, struct err *err)
{
	struct names_session s;
	char known[512];

	for (uint32_t i = 0; names && names_entry(names, i, &s); i++) {
		bool is_there = !*s.store || !strcmp(s.store, CONFIG_DEFAULT_STORE);
		for (unsigned k = 0; k < c->n_stores; k++)
			is_there |= !strcmp(s.store, c->stores[k].name);
		if (!is_there)
			return err_set(err, -EINVAL,
				       "%s: store: '%s' (of session %s) is none of the stores that "
				       "the configuration has: %s",
				       c->names, s.store,
				       *s.name  ? s.name
				       : *s.eni ? s.eni
						: "without a name",
				       stores_text(c, known, sizeof(known)));
	}
	return 0;
}
