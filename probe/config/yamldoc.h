/*
 * yamldoc: a YAML file as a tree that knows its lines.
 *
 * Main thread of the starter; also the commands that read a file once. libyaml parses. Refused,
 * each with file and line: what is not YAML, a key given twice in one map, a key that is no plain
 * text, anchors, aliases, tags and directives (nobody needs them here, and aliases make small files
 * huge), zero bytes, more than one document, files and trees beyond the bounds below.
 */
#pragma once

#include "base/err.h"

#include <stddef.h>

#define YAMLDOC_LEN_MAX   (16u << 20) /* bytes of a file */
#define YAMLDOC_NODES_MAX (1u << 20)  /* of a file; 64 bytes each besides their text */
#define YAMLDOC_DEPTH_MAX 16
#define YAMLDOC_KEYS_MAX  256 /* of one map */
#define YAMLDOC_KEY_MAX   64  /* bytes of a key */

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

/* path is copied. A file without content is a MAP without items. */
int yamldoc_open(struct yamldoc **out, const char *path, struct err *err);
/* Takes NULL. */
void yamldoc_close(struct yamldoc *doc);
/* Lent until close, with all below it. */
const struct yamldoc_node *yamldoc_root(const struct yamldoc *doc);
/* The item of a map under this key; NULL: there is none, or this is no map. */
const struct yamldoc_node *yamldoc_get(const struct yamldoc_node *map, const char *key);

/* "FILE:LINE: KEY: sentence", LINE being the key's; without KEY, the node's line. Control
 * characters are shown as '?'. Returns -EINVAL. */
int yamldoc_fail(const struct yamldoc *doc, const struct yamldoc_node *node, struct err *err,
		 const char *format, ...) __attribute__((format(printf, 4, 5)));
/* The same for a node whose key is none of known, a list that ends with NULL: names the nearest
 * one, or all when none is near. */
int yamldoc_fail_unknown(const struct yamldoc *doc, const struct yamldoc_node *node,
			 const char *const *known, struct err *err);
