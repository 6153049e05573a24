#include "page.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve/metrics.h"
#include "served.h"

struct page page;

void page_render(struct view *v, enum exposition_format format, uint64_t now_ns)
{
	struct err err;

	free(page.text);
	cr_assert_eq(metrics_text(v, format, now_ns, &page.text, &page.len, &err), 0, "%s",
		     err.text);
	page.text = realloc(page.text, page.len + 1);
	page.text[page.len] = 0;
}

void page_text(struct view *v)
{
	page_render(v, EXPOSITION_TEXT, SERVED_NOW_NS);
}

unsigned page_count(const char *what)
{
	unsigned n = 0;

	for (const char *s = page.text; (s = strstr(s, what)); s++)
		n++;
	return n;
}

void page_has(const char *line)
{
	char whole[512];

	(void)snprintf(whole, sizeof(whole), "\n%s\n", line);
	cr_expect_eq(page_count(whole), 1, "%s is there %u times", line, page_count(whole));
}

void page_has_not(const char *what)
{
	cr_expect_eq(page_count(what), 0, "%s is there", what);
}
