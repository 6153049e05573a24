#include "config/setting.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "config/yamldoc.h"

/* getopt_long's value of a row without a letter. */
#define ROW_VALUE 1000

static int add_setting(struct config *c, const struct option_row *row, const char *text,
		       const struct yamldoc_node *node, struct err *err)
{
	void *settings = c->settings;

	if (array_grow(&settings, &c->settings_cap, c->n_settings + 1, sizeof(*c->settings)))
		return err_set(err, -ENOMEM, "out of memory");
	c->settings = settings;
	c->settings[c->n_settings++] = (struct config_setting){row, text, node};
	return 0;
}

const struct config_setting *setting_of(const struct config *c, const char *name)
{
	const struct config_setting *found = NULL;

	for (size_t i = 0; i < c->n_settings; i++) {
		const struct config_setting *s = &c->settings[i];
		if (!strcmp(s->row->name, name) && (!found || found->node || !s->node))
			found = s;
	}
	return found;
}

/* ---- sentences ---- */

const char *setting_place(char out[static SETTING_PLACE_LEN], const struct config *c,
			  const struct config_setting *s)
{
	if (s->node)
		(void)snprintf(out, SETTING_PLACE_LEN, "%s:%u: %s", c->file,
			       s->node->key ? s->node->key_line : s->node->line, s->row->name);
	else
		(void)snprintf(out, SETTING_PLACE_LEN, "--%s", s->row->name);
	return out;
}

int setting_fail(const struct config *c, const struct config_setting *s, struct err *err,
		 const char *format, ...)
{
	char sentence[sizeof(err->text)];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	if (!s->node)
		return err_set(err, -EINVAL, "--%s: %s", s->row->name, sentence);
	if (s->node->key)
		return yamldoc_fail(c->doc, s->node, err, "%s", sentence);
	return yamldoc_fail(c->doc, s->node, err, "%s: %s", s->row->name, sentence);
}

int setting_apply(struct config *c, const struct config_setting *s, struct err *err)
{
	struct err why;

	if (!option_set(c, s->row, s->text, &why))
		return 0;
	if (!*s->text || s->row->type == OPTION_RECIPIENT)
		return setting_fail(c, s, err, "%s", why.text);
	if (s->node)
		return setting_fail(c, s, err, "%.80s: %s", s->text, why.text);
	return err_set(err, -EINVAL, "--%s %.80s: %s", s->row->name, s->text, why.text);
}

/* ---- the file ---- */

static int fail_unknown(const struct config *c, const struct yamldoc_node *node, struct err *err)
{
	const char *known[OPTION_ROWS_MAX + 1];
	unsigned n = 0;

	for (unsigned i = 0; i < option_n; i++)
		if (option_is_key(&option_rows[i]))
			known[n++] = option_rows[i].name;
	known[n] = NULL;
	return yamldoc_fail_unknown(c->doc, node, known, err);
}

static int take_list(struct config *c, const struct option_row *row,
		     const struct yamldoc_node *list, struct err *err)
{
	int ret = 0;

	if (!list->n)
		return yamldoc_fail(c->doc, list, err,
				    "the list is empty; leave the key out where none is wanted");
	for (unsigned i = 0; i < list->n && !ret; i++) {
		const struct yamldoc_node *item = &list->items[i];
		ret = item->kind == YAMLDOC_TEXT
			      ? add_setting(c, row, item->text, item, err)
			      : yamldoc_fail(c->doc, item, err,
					     "%s: a list of plain values is wanted", row->name);
	}
	return ret;
}

static int take_key(struct config *c, const struct yamldoc_node *node, struct err *err)
{
	const struct option_row *row = option_find(node->key);

	if (!row)
		return fail_unknown(c, node, err);
	if (!option_is_key(row))
		return yamldoc_fail(c->doc, node, err, "goes on the command line only");
	if (row->type == OPTION_STORES && node->kind != YAMLDOC_MAP)
		return yamldoc_fail(c->doc, node, err,
				    "a map is wanted: each store's NAME, and what it has");
	if (node->kind == YAMLDOC_TEXT || row->type == OPTION_STORES)
		return add_setting(c, row, node->text ? node->text : "", node, err);
	if (node->kind == YAMLDOC_LIST && option_is_list(row))
		return take_list(c, row, node, err);
	return yamldoc_fail(c->doc, node, err, "one value%s is wanted, not a %s",
			    option_is_list(row) ? " or a list of them" : "",
			    node->kind == YAMLDOC_LIST ? "list" : "map");
}

int setting_read_file(struct config *c, struct err *err)
{
	int ret = yamldoc_open(&c->doc, c->file, err);

	if (ret)
		return ret;
	const struct yamldoc_node *root = yamldoc_root(c->doc);
	if (root->kind != YAMLDOC_MAP)
		return yamldoc_fail(c->doc, root, err,
				    "lines such as 'interface: eth1' are wanted");
	for (unsigned i = 0; i < root->n && !ret; i++)
		ret = take_key(c, &root->items[i], err);
	return ret;
}

/* ---- the command line ---- */

static const struct option_row *row_of(int value)
{
	for (unsigned i = 0; i < option_n; i++)
		if (value == (int)(ROW_VALUE + i) ||
		    (option_rows[i].letter && value == option_rows[i].letter))
			return &option_rows[i];
	return NULL;
}

static void make_getopt(enum config_command command, struct option *options, char *letters)
{
	for (unsigned i = 0; i < option_n; i++) {
		const struct option_row *r = &option_rows[i];
		if (!(r->commands & (1u << command)) || !option_is_line(r))
			continue;
		*options++ = (struct option){r->name, r->value ? required_argument : no_argument,
					     NULL, r->letter ? r->letter : (int)(ROW_VALUE + i)};
		if (r->letter)
			*letters++ = r->letter;
		if (r->letter && r->value)
			*letters++ = ':';
	}
	*options = (struct option){0};
	*letters = 0;
}

int setting_read_line(struct config *c, struct err *err)
{
	struct option options[OPTION_ROWS_MAX + 1];
	char letters[2 * OPTION_ROWS_MAX + 2] = ":";
	int value, ret = 0;

	make_getopt(c->command, options, letters + 1);
	opterr = 0;
	optind = 0; /* from the start */
	while (!ret && (value = getopt_long(c->argc, c->argv, letters, options, NULL)) != -1) {
		const struct option_row *row = row_of(value);
		if (value == ':')
			return err_set(err, -EINVAL, "%s wants an argument", c->argv[optind - 1]);
		if (!row && optopt && optopt < ROW_VALUE)
			return err_set(err, -EINVAL, "-%c is no option here; --help lists them",
				       optopt);
		if (!row)
			return err_set(err, -EINVAL, "%s is no option here; --help lists them",
				       c->argv[optind - 1]);
		if (row->type == OPTION_HELP)
			return -ECANCELED;
		if (row->type == OPTION_FILE)
			c->file = optarg;
		ret = add_setting(c, row, row->value ? optarg : "true", NULL, err);
	}
	c->inputs = c->argv + optind;
	c->n_inputs = (unsigned)(c->argc - optind);
	return ret;
}
