/*
 * yamldoc: a YAML file as a tree that knows its lines.
 *
 * Main thread of the starter; also the commands that read a file once. libyaml parses. Refused,
 * each with file and line: what is not YAML, a key given twice in one map, a key that is no plain
 * text, anchors, aliases and tags (nobody needs them here, and aliases make small files huge), more
 * than one document, files and trees beyond the bounds below.
 */
#pragma once

#include "base/err.h"

#include <stddef.h>

#define YAMLDOC_LEN_MAX   (16u << 20) /* bytes of a file */
#define YAMLDOC_DEPTH_MAX 16

enum yamldoc_kind { YAMLDOC_TEXT, YAMLDOC_LIST, YAMLDOC_MAP };

struct yamldoc_node {
	enum yamldoc_kind kind;
	unsigned line;   /* from 1 */
	const char *key; /* in a map; else NULL */
	unsigned key_line;
	const char *text;                 /* TEXT; "" for null */
	const struct yamldoc_node *items; /* LIST, MAP: in the order of the file */
	unsigned n;
};

struct yamldoc;

/* path is copied. An empty file is a MAP without items. */
int yamldoc_open(struct yamldoc **out, const char *path, struct err *err);
/* Takes NULL. */
void yamldoc_close(struct yamldoc *doc);
/* Lent until close, with all below it. */
const struct yamldoc_node *yamldoc_root(const struct yamldoc *doc);

/* "FILE:LINE: KEY: sentence" (without KEY where the node has none). Returns -EINVAL. */
int yamldoc_fail(const struct yamldoc *doc, const struct yamldoc_node *node, struct err *err,
		 const char *format, ...) __attribute__((format(printf, 4, 5)));
