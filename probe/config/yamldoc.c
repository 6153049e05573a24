#include "config/yamldoc.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/array.h"

struct yamldoc {
	char *path;
	struct yamldoc_node root;
	unsigned n_nodes;
	/* while it is read */
	char *bytes;
	size_t len;
	yaml_parser_t parser;
	yaml_event_t event; /* the one that is looked at */
};

/* ---- sentences ---- */

static int fail_at(const struct yamldoc *doc, unsigned line, struct err *err, const char *format,
		   ...) __attribute__((format(printf, 4, 5)));
static int fail_at(const struct yamldoc *doc, unsigned line, struct err *err, const char *format,
		   ...)
{
	char sentence[sizeof(err->text)];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	return err_set(err, -EINVAL, "%s:%u: %s", doc->path, line, sentence);
}

int yamldoc_fail(const struct yamldoc *doc, const struct yamldoc_node *node, struct err *err,
		 const char *format, ...)
{
	char sentence[sizeof(err->text)];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	return node->key ? fail_at(doc, node->key_line, err, "%s: %s", node->key, sentence)
			 : fail_at(doc, node->line, err, "%s", sentence);
}

static unsigned min(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Letters to change, add or leave out to make b of a (Levenshtein). */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[YAMLDOC_KEY_MAX + 1];
	const size_t len = strnlen(b, YAMLDOC_KEY_MAX);

	for (unsigned j = 0; j <= len; j++)
		row[j] = j;
	for (unsigned i = 1; *a; a++, i++) {
		unsigned diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= len; j++) {
			const unsigned changed = diagonal + (*a != b[j - 1]);
			diagonal = row[j];
			row[j] = min(changed, min(row[j], row[j - 1]) + 1);
		}
	}
	return row[len];
}

int yamldoc_fail_unknown(const struct yamldoc *doc, const struct yamldoc_node *node,
			 const char *const *known, struct err *err)
{
	/* A third of the letters wrong, and at least one, is still the same word. */
	unsigned nearest = (unsigned)strlen(node->key) / 3 + 2;
	const char *meant = NULL;
	char all[sizeof(err->text)] = "";

	for (; *known; known++) {
		const size_t used = strlen(all);
		const unsigned d = distance(node->key, *known);
		(void)snprintf(all + used, sizeof(all) - used, "%s%s", used ? ", " : "", *known);
		if (d < nearest) {
			nearest = d;
			meant = *known;
		}
	}
	return meant ? yamldoc_fail(doc, node, err, "unknown key; is %s meant?", meant)
		     : yamldoc_fail(doc, node, err, "unknown key; known here: %s", all);
}

/* ---- events ---- */

/* The line of a byte; the parser knows the place of what is not UTF-8 only so. */
static unsigned line_of(const struct yamldoc *doc, size_t offset)
{
	unsigned line = 1;

	for (size_t i = 0; i < offset && i < doc->len; i++)
		line += doc->bytes[i] == '\n';
	return line;
}

/* The usual reason why a file is not YAML. */
static bool is_indented_by_tab(const struct yamldoc *doc, unsigned line)
{
	const char *at = doc->bytes;
	const char *const end = doc->bytes + doc->len;

	for (; at && line > 1; line--) {
		at = memchr(at, '\n', (size_t)(end - at));
		at = at ? at + 1 : NULL;
	}
	while (at && at < end && *at == ' ')
		at++;
	return at && at < end && *at == '\t';
}

static int fail_syntax(const struct yamldoc *doc, struct err *err)
{
	const yaml_parser_t *p = &doc->parser;
	const unsigned line = (unsigned)p->problem_mark.line + 1;

	if (p->error == YAML_MEMORY_ERROR)
		return err_set(err, -ENOMEM, "out of memory for %s", doc->path);
	if (p->error == YAML_READER_ERROR)
		return fail_at(doc, line_of(doc, p->problem_offset), err,
			       "no text in UTF-8: %s; escape it in double quotes, or save the "
			       "file as UTF-8",
			       p->problem);
	if (is_indented_by_tab(doc, line))
		return fail_at(doc, line, err, "no YAML: indented by a tab; use spaces");
	if (!p->context || p->context_mark.line == p->problem_mark.line)
		return fail_at(doc, line, err, "no YAML: %s; mind indentation, and %s", p->problem,
			       "quotes around text with special characters");
	return fail_at(doc, line, err, "no YAML: %s %s that begins in line %zu", p->problem,
		       p->context, p->context_mark.line + 1);
}

static unsigned event_line(const struct yamldoc *doc)
{
	return (unsigned)doc->event.start_mark.line + 1;
}

static bool has_anchor_or_tag(const yaml_event_t *e)
{
	switch (e->type) {
	case YAML_SCALAR_EVENT:
		return e->data.scalar.anchor || e->data.scalar.tag;
	case YAML_SEQUENCE_START_EVENT:
		return e->data.sequence_start.anchor || e->data.sequence_start.tag;
	case YAML_MAPPING_START_EVENT:
		return e->data.mapping_start.anchor || e->data.mapping_start.tag;
	default:
		return e->type == YAML_ALIAS_EVENT;
	}
}

/* Looks at the next event. */
static int next(struct yamldoc *doc, struct err *err)
{
	yaml_event_delete(&doc->event);
	if (!yaml_parser_parse(&doc->parser, &doc->event))
		return fail_syntax(doc, err);
	if (has_anchor_or_tag(&doc->event))
		return fail_at(doc, event_line(doc), err,
			       "anchors (&), aliases (*) and tags (!) are not allowed; put text "
			       "that begins with such a character in quotes");
	return 0;
}

/* ---- the tree ---- */

static bool is_null(const yaml_event_t *e)
{
	const char *text = (const char *)e->data.scalar.value;

	return e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       (!strcmp(text, "~") || !strcmp(text, "null"));
}

/* Copies the scalar that is looked at. */
static int copy_text(const struct yamldoc *doc, const char **out, struct err *err)
{
	const char *text = (const char *)doc->event.data.scalar.value;

	if (strlen(text) != doc->event.data.scalar.length)
		return fail_at(doc, event_line(doc), err, "a zero byte in a text");
	*out = strdup(is_null(&doc->event) ? "" : text);
	return *out ? 0 : err_set(err, -ENOMEM, "out of memory for %s", doc->path);
}

const struct yamldoc_node *yamldoc_get(const struct yamldoc_node *map, const char *key)
{
	for (unsigned i = 0; map->kind == YAMLDOC_MAP && i < map->n; i++)
		if (map->items[i].key && !strcmp(map->items[i].key, key))
			return &map->items[i];
	return NULL;
}

/* Reads the key that is looked at into an item of map, and goes on to its value. */
static int read_key(struct yamldoc *doc, const struct yamldoc_node *map, struct yamldoc_node *item,
		    struct err *err)
{
	const unsigned line = event_line(doc);

	if (doc->event.type != YAML_SCALAR_EVENT)
		return fail_at(doc, line, err, "a key must be text, not a list or a map");
	if (doc->event.data.scalar.length > YAMLDOC_KEY_MAX)
		return fail_at(doc, line, err, "a key of more than %d bytes", YAMLDOC_KEY_MAX);
	if (map->n == YAMLDOC_KEYS_MAX)
		return fail_at(doc, line, err, "more than %d keys in one map", YAMLDOC_KEYS_MAX);
	item->key_line = line;
	const int ret = copy_text(doc, &item->key, err);
	/* As it is kept: null is the same key as "". */
	const struct yamldoc_node *same = ret ? NULL : yamldoc_get(map, item->key);
	if (same)
		return fail_at(doc, line, err, "%s: given twice; the first is in line %u",
			       item->key, same->key_line);
	return ret ? ret : next(doc, err);
}

static int read_node(struct yamldoc *doc, struct yamldoc_node *out, unsigned depth,
		     struct err *err);

/* Reads what is between start and end of a list or map. Even a half-read node can be freed. */
static int read_items(struct yamldoc *doc, struct yamldoc_node *out, unsigned depth,
		      struct err *err)
{
	const yaml_event_type_t end =
		out->kind == YAMLDOC_MAP ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;
	void *items = NULL;
	size_t cap = 0;
	int ret = next(doc, err);

	while (!ret && doc->event.type != end) {
		if (array_grow(&items, &cap, out->n + 1, sizeof(*out)))
			return err_set(err, -ENOMEM, "out of memory for %s", doc->path);
		struct yamldoc_node *item = (struct yamldoc_node *)items + out->n;
		out->items = items;
		*item = (struct yamldoc_node){0};
		if (out->kind == YAMLDOC_MAP)
			ret = read_key(doc, out, item, err);
		out->n++;
		ret = ret ? ret : read_node(doc, item, depth, err);
		ret = ret ? ret : next(doc, err);
	}
	/* array_grow begins with more than most maps need. */
	void *fitting = out->n ? realloc(items, out->n * sizeof(*out)) : NULL;
	out->items = fitting ? fitting : items;
	return ret;
}

/* Reads the node whose first event is looked at; ends at its last. */
static int read_node(struct yamldoc *doc, struct yamldoc_node *out, unsigned depth, struct err *err)
{
	out->line = event_line(doc);
	if (++doc->n_nodes > YAMLDOC_NODES_MAX)
		return fail_at(doc, out->line, err, "more than %u values in one file",
			       YAMLDOC_NODES_MAX);
	if (doc->event.type == YAML_SCALAR_EVENT)
		return copy_text(doc, &out->text, err);
	if (depth == YAMLDOC_DEPTH_MAX)
		return fail_at(doc, out->line, err, "nested deeper than %d levels",
			       YAMLDOC_DEPTH_MAX);
	out->kind = doc->event.type == YAML_MAPPING_START_EVENT ? YAMLDOC_MAP : YAMLDOC_LIST;
	return read_items(doc, out, depth + 1, err);
}

static void free_node(const struct yamldoc_node *node)
{
	for (unsigned i = 0; i < node->n; i++)
		free_node(&node->items[i]);
	free((void *)node->items);
	free((void *)node->key);
	free((void *)node->text);
}

/* ---- the file ---- */

#define READ_LEN 16384

static int read_stream(struct yamldoc *doc, FILE *file, struct err *err)
{
	size_t cap = 0, n = 1;

	while (n && doc->len <= YAMLDOC_LEN_MAX) {
		if (array_grow((void **)&doc->bytes, &cap, doc->len + READ_LEN, 1))
			return err_set(err, -ENOMEM, "out of memory for %s", doc->path);
		errno = 0;
		n = fread(doc->bytes + doc->len, 1, cap - doc->len, file);
		doc->len += n;
	}
	if (ferror(file))
		return err_set(err, -errno, "cannot read %s: %s", doc->path, strerror(errno));
	if (doc->len > YAMLDOC_LEN_MAX)
		return err_set(err, -EINVAL, "%s is longer than %u MiB", doc->path,
			       YAMLDOC_LEN_MAX >> 20);
	return 0;
}

static int read_file(struct yamldoc *doc, struct err *err)
{
	FILE *file = fopen(doc->path, "re");

	if (!file)
		return err_set(err, -errno, "cannot open %s: %s", doc->path, strerror(errno));
	const int ret = read_stream(doc, file, err);
	(void)fclose(file);
	return ret;
}

static int read_document(struct yamldoc *doc, struct err *err)
{
	int ret = next(doc, err); /* begins the stream */

	ret = ret ? ret : next(doc, err);
	if (ret || doc->event.type == YAML_STREAM_END_EVENT)
		return ret;
	ret = next(doc, err);
	ret = ret ? ret : read_node(doc, &doc->root, 0, err);
	ret = ret ? ret : next(doc, err); /* ends the document */
	ret = ret ? ret : next(doc, err);
	if (!ret && doc->event.type != YAML_STREAM_END_EVENT)
		return fail_at(doc, event_line(doc), err,
			       "a second document begins; one file is one document");
	return ret;
}

/* Nothing, null or "---" alone. */
static void make_empty_map(struct yamldoc_node *root)
{
	if (root->kind != YAMLDOC_TEXT || (root->text && *root->text))
		return;
	free((void *)root->text);
	*root = (struct yamldoc_node){.kind = YAMLDOC_MAP, .line = 1};
}

/* Nobody needs them either, and libyaml compares each %TAG with all before it: 40,000 took 3 s. */
static int refuse_directives(const struct yamldoc *doc, struct err *err)
{
	const char *const end = doc->bytes + doc->len;
	unsigned line = 1;

	for (const char *at = doc->bytes; at && at < end; line++) {
		if (*at == '%')
			return fail_at(doc, line, err, "directives (%%) are not allowed");
		at = memchr(at, '\n', (size_t)(end - at));
		at = at ? at + 1 : NULL;
	}
	return 0;
}

static int parse(struct yamldoc *doc, struct err *err)
{
	const int refused = refuse_directives(doc, err);

	if (refused)
		return refused;
	if (!yaml_parser_initialize(&doc->parser))
		return err_set(err, -ENOMEM, "out of memory for %s", doc->path);
	yaml_parser_set_encoding(&doc->parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&doc->parser, (const unsigned char *)doc->bytes, doc->len);
	const int ret = read_document(doc, err);
	yaml_event_delete(&doc->event);
	yaml_parser_delete(&doc->parser);
	make_empty_map(&doc->root);
	return ret;
}

int yamldoc_open(struct yamldoc **out, const char *path, struct err *err)
{
	struct yamldoc *doc = calloc(1, sizeof(*doc));

	if (!doc)
		return err_set(err, -ENOMEM, "out of memory");
	doc->path = strdup(path);
	int ret = doc->path ? read_file(doc, err) : err_set(err, -ENOMEM, "out of memory");
	ret = ret ? ret : parse(doc, err);
	free(doc->bytes);
	doc->bytes = NULL;
	if (ret)
		yamldoc_close(doc);
	else
		*out = doc;
	return ret;
}

void yamldoc_close(struct yamldoc *doc)
{
	if (!doc)
		return;
	free_node(&doc->root);
	free(doc->path);
	free(doc);
}

const struct yamldoc_node *yamldoc_root(const struct yamldoc *doc)
{
	return &doc->root;
}
