/*
 * names_field: a map of the names file: its keys, each with the function that reads its value.
 *
 * Internal to config/names*. Main thread. Texts are lent by the tree. Errors have file, line, key
 * and what is allowed.
 */
#pragma once

#include "config/names.h"
#include "config/yamldoc.h"

#include <stddef.h>

/* *set reads a key's value into the field at offset of what the map describes. */
struct names_field {
	const char *key;
	int (*set)(const struct yamldoc *doc, const struct yamldoc_node *node, void *field,
		   struct err *err);
	size_t offset;
	const char *missing; /* what to say without it; NULL: it may be left out */
};

#define NAMES_FIELDS_MAX 13

/* Reads a map into *out by its fields, an array that ends without key. "key:" and "key: null" are
 * as if the line were not there. */
int names_read_map(const struct yamldoc *doc, const struct yamldoc_node *map,
		   const struct names_field *fields, void *out, struct err *err);
bool names_is_given(const struct yamldoc_node *node);
/* Says what is wanted of a node that is no such value. */
int names_fail_wanted(const struct yamldoc *doc, const struct yamldoc_node *node, struct err *err,
		      const char *wanted);
bool names_is_text(const struct yamldoc_node *node);
/* A NAME. */
bool names_is_name(const char *text);

/* Into a struct address; a const char * that is a NAME; one that is a text of NAMES_TEXT_MAX. */
int names_set_address(const struct yamldoc *doc, const struct yamldoc_node *node, void *field,
		      struct err *err);
int names_set_name(const struct yamldoc *doc, const struct yamldoc_node *node, void *field,
		   struct err *err);
int names_set_text(const struct yamldoc *doc, const struct yamldoc_node *node, void *field,
		   struct err *err);
