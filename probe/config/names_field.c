#include "config/names_field.h"

#include <string.h>

#include "config/value.h"

bool names_is_given(const struct yamldoc_node *node)
{
	return node && (node->kind != YAMLDOC_TEXT || *node->text);
}

static const struct names_field *find_field(const struct names_field *fields, const char *key)
{
	for (; fields->key; fields++)
		if (!strcmp(fields->key, key))
			return fields;
	return NULL;
}

static int fail_unknown(const struct yamldoc *doc, const struct yamldoc_node *node,
			const struct names_field *fields, struct err *err)
{
	const char *known[NAMES_FIELDS_MAX + 1] = {NULL};

	for (unsigned i = 0; fields[i].key; i++)
		known[i] = fields[i].key;
	return yamldoc_fail_unknown(doc, node, known, err);
}

int names_read_map(const struct yamldoc *doc, const struct yamldoc_node *map,
		   const struct names_field *fields, void *out, struct err *err)
{
	if (map->kind != YAMLDOC_MAP)
		return yamldoc_fail(doc, map, err, "wanted here are keys and values: %s: ...",
				    fields->key);
	for (unsigned i = 0; i < map->n; i++) {
		const struct yamldoc_node *item = &map->items[i];
		const struct names_field *field = find_field(fields, item->key);
		if (!field)
			return fail_unknown(doc, item, fields, err);
		const int ret = names_is_given(item)
					? field->set(doc, item, (char *)out + field->offset, err)
					: 0;
		if (ret)
			return ret;
	}
	for (; fields->key; fields++)
		if (fields->missing && !names_is_given(yamldoc_get(map, fields->key)))
			return yamldoc_fail(doc, map, err, "%s: missing; it is %s", fields->key,
					    fields->missing);
	return 0;
}

/* ---- values ---- */

int names_fail_wanted(const struct yamldoc *doc, const struct yamldoc_node *node, struct err *err,
		      const char *wanted)
{
	static const char *const kinds[] = {
		[YAMLDOC_LIST] = "a list", [YAMLDOC_MAP] = "keys and values"};

	return node->kind == YAMLDOC_TEXT
		       ? yamldoc_fail(doc, node, err, "'%.80s': wanted is %s", node->text, wanted)
		       : yamldoc_fail(doc, node, err, "this is %s; wanted is %s", kinds[node->kind],
				      wanted);
}

bool names_is_text(const struct yamldoc_node *node)
{
	return node->kind == YAMLDOC_TEXT;
}

int names_set_address(const struct yamldoc *doc, const struct yamldoc_node *node, void *field,
		      struct err *err)
{
	if (!names_is_text(node) || !value_address(field, node->text))
		return names_fail_wanted(doc, node, err,
					 "an IPv4 or IPv6 address such as 10.0.0.1");
	return 0;
}

bool names_is_name(const char *text)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.:-";

	return *text && *text != '.' && strlen(text) <= NAMES_NAME_MAX &&
	       !text[strspn(text, allowed)];
}

int names_set_name(const struct yamldoc *doc, const struct yamldoc_node *node, void *field,
		   struct err *err)
{
	if (!names_is_text(node) || !names_is_name(node->text))
		return names_fail_wanted(doc, node, err,
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

int names_set_text(const struct yamldoc *doc, const struct yamldoc_node *node, void *field,
		   struct err *err)
{
	if (!names_is_text(node) || strlen(node->text) > NAMES_TEXT_MAX || has_controls(node->text))
		return names_fail_wanted(doc, node, err,
					 "a text of up to 63 bytes without control characters");
	*(const char **)field = node->text;
	return 0;
}
