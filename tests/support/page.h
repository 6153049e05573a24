/*
 * page: a page of metrics, for tests of what is on it. The latest one.
 */
#pragma once

#include "serve/view.h"

struct page {
	char *text; /* with a NUL */
	size_t len;
};
extern struct page page;

void page_render(struct view *view, enum exposition_format format, uint64_t now_ns);
/* In text 0.0.4, at SERVED_NOW_NS. */
void page_text(struct view *view);
/* How often that is there. */
unsigned page_count(const char *what);
/* The line is there, once. */
void page_has(const char *line);
void page_has_not(const char *what);

/* How the labels of a session begin. */
#define S(source, vni) "{source=\"" source "\",vni=\"" vni "\",generation=\"1\""
