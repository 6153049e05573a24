#include "config/yamldoc.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/memfile.h"

static struct err err;
static char path[MEMFILE_PATH];

/* Opens what a file with these bytes holds. */
static int open_bytes(struct yamldoc **out, const char *bytes, size_t len)
{
	const int fd = memfile(bytes, len);

	memfile_path(path, fd);
	const int ret = yamldoc_open(out, path, &err);
	close(fd);
	return ret;
}

static struct yamldoc *opened(const char *text)
{
	struct yamldoc *doc = NULL;

	cr_assert_eq(open_bytes(&doc, text, strlen(text)), 0, "%s", err.text);
	return doc;
}

/* Refused, at this line, with this in the sentence. */
static void assert_refused_bytes(const char *bytes, size_t len, unsigned line, const char *says)
{
	struct yamldoc *doc = NULL;
	char where[96];

	cr_assert_eq(open_bytes(&doc, bytes, len), -EINVAL, "%s", bytes);
	cr_assert_null(doc, "untouched on failure");
	(void)snprintf(where, sizeof(where), "%s:%u: ", path, line);
	cr_assert(strstr(err.text, where) == err.text, "'%s' does not begin with '%s'", err.text,
		  where);
	cr_assert(strstr(err.text, says), "'%s' is not in '%s'", says, err.text);
}

static void assert_refused(const char *text, unsigned line, const char *says)
{
	assert_refused_bytes(text, strlen(text), line, says);
}

Test(yamldoc, knows_lines_kinds_and_order)
{
	struct yamldoc *doc = opened("# comment\n"
				     "b: one\n"
				     "a:\n"
				     "  - x\n"
				     "  - {k: v}\n"
				     "\n"
				     "c:\n"
				     "  two\n");
	const struct yamldoc_node *root = yamldoc_root(doc);

	cr_assert_eq(root->kind, YAMLDOC_MAP);
	cr_assert_eq(root->n, 3);
	cr_assert_null(root->key);
	cr_assert_str_eq(root->items[0].key, "b");
	cr_assert_str_eq(root->items[0].text, "one");
	cr_assert_eq(root->items[0].line, 2);
	const struct yamldoc_node *list = &root->items[1];
	cr_assert_eq(list->kind, YAMLDOC_LIST);
	cr_assert_eq(list->key_line, 3);
	cr_assert_eq(list->line, 4);
	cr_assert_eq(list->n, 2);
	cr_assert_null(list->items[0].key);
	cr_assert_eq(list->items[0].line, 4);
	cr_assert_eq(list->items[1].kind, YAMLDOC_MAP);
	cr_assert_str_eq(list->items[1].items[0].text, "v");
	cr_assert_eq(list->items[1].items[0].key_line, 5);
	cr_assert_eq(root->items[2].key_line, 7);
	cr_assert_eq(root->items[2].line, 8);
	yamldoc_close(doc);
}

Test(yamldoc, null_is_empty_text_and_quoted_null_is_not)
{
	struct yamldoc *doc = opened("a:\nb: ~\nc: null\nd: 'null'\ne: ''\n");
	const char *const texts[] = {"", "", "", "null", ""};

	for (unsigned i = 0; i < 5; i++)
		cr_assert_str_eq(yamldoc_root(doc)->items[i].text, texts[i]);
	yamldoc_close(doc);
}

Test(yamldoc, file_without_content_is_an_empty_map)
{
	const char *const texts[] = {"",      "\n",  "# only a comment\n",
				     "---\n", "~\n", "\xef\xbb\xbf"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct yamldoc *doc = opened(texts[i]);
		cr_assert_eq(yamldoc_root(doc)->kind, YAMLDOC_MAP, "'%s'", texts[i]);
		cr_assert_eq(yamldoc_root(doc)->n, 0);
		yamldoc_close(doc);
	}
}

struct refused {
	const char *text;
	unsigned line;
	const char *says;
};

static const struct refused refused[] = {
	{"a: 1\nb: [1, 2\nc: 3\n", 3, "no YAML"},
	{"a: 1\n b: 2\n", 2, "no YAML"},
	{"a: 'x\n\n\n", 4, "no YAML"},
	{"a: 1\n}\n", 2, "no YAML"},
	{"a:\n\tb: 1\n", 2, "use spaces"},
	{"a: 1\nb: \x01\n", 2, "UTF-8"},
	{"a: 1\nb: \xff\xfe\n", 2, "UTF-8"},
	{"a: 1\nb: 2\na: 3\n", 3, "a: given twice; the first is in line 1"},
	{"x:\n  - {k: 1,\n     k: 2}\n", 3, "k: given twice; the first is in line 2"},
	{"~: 1\nnull: 2\n", 2, "given twice; the first is in line 1"},
	{"a: 1\n[b]: 2\n", 2, "a key must be text"},
	{"a: 1\n? {b: 1}\n: 2\n", 2, "a key must be text"},
	{"a: 1\nb: &x 2\n", 2, "anchors"},
	{"a: 1\nb: &x {c: 1}\n", 2, "anchors"},
	{"a: 1\nb: &x [1]\n", 2, "anchors"},
	{"a: 1\nb: *x\n", 2, "aliases"},
	{"a: 1\nb: !!int 2\n", 2, "tags"},
	{"a: 1\nb: !x [2]\n", 2, "tags"},
	{"a: 1\nb: !x {c: 2}\n", 2, "tags"},
	{"%YAML 1.1\n---\na: 1\n", 1, "directives (%) are not allowed"},
	{"# x\n%TAG !a! b\n---\na: 1\n", 2, "directives"},
	{"a: 1\n...\n%TAG !a! b\n", 3, "directives"},
	{"a: 1\nb: \"x\\0y\"\n", 2, "zero byte"},
	{"a: 1\n\"x\\0y\": 2\n", 2, "zero byte"},
	{"a: 1\n---\nb: 1\n", 2, "a second document"},
	{"a: 1\n...\n---\n", 3, "a second document"},
	{"a: 1\nk23456789012345678901234567890123456789012345678901234567890123456: 1\n", 2,
	 "more than 64 bytes"},
	{"a:\n  [[[[[[[[[[[[[[[\n[]\n]]]]]]]]]]]]]]]\n", 3, "nested deeper than 16 levels"},
};

Test(yamldoc, refuses_with_file_and_line)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		assert_refused(refused[i].text, refused[i].line, refused[i].says);
}

Test(yamldoc, takes_a_tree_as_deep_as_allowed)
{
	yamldoc_close(opened("a: [[[[[[[[[[[[[[[]]]]]]]]]]]]]]]\n"));
}

Test(yamldoc, takes_a_key_as_long_as_allowed)
{
	yamldoc_close(
		opened("k234567890123456789012345678901234567890123456789012345678901234: 1\n"));
}

Test(yamldoc, bounds_the_keys_of_a_map)
{
	char text[YAMLDOC_KEYS_MAX * 8 + 8];
	size_t len = 0;

	for (unsigned i = 0; i < YAMLDOC_KEYS_MAX; i++)
		len += (size_t)sprintf(text + len, "k%u: 1\n", i);
	yamldoc_close(opened(text));
	(void)sprintf(text + len, "one: 2\n");
	assert_refused(text, YAMLDOC_KEYS_MAX + 1, "more than 256 keys");
}

/* "[\n,,,,": a list of n values besides itself. */
static char *make_list(size_t n)
{
	char *text = malloc(2 * n + 4);
	char *at = text;

	cr_assert(text);
	*at++ = '[';
	*at++ = '\n';
	for (size_t i = 0; i < n; i++) {
		*at++ = 'a';
		*at++ = ',';
	}
	*at++ = ']';
	*at = 0;
	return text;
}

Test(yamldoc, bounds_the_values_of_a_file, .timeout = 120)
{
	char *text = make_list(YAMLDOC_NODES_MAX - 1);
	struct yamldoc *doc = opened(text);

	cr_assert_eq(yamldoc_root(doc)->n, YAMLDOC_NODES_MAX - 1);
	yamldoc_close(doc);
	free(text);
	text = make_list(YAMLDOC_NODES_MAX);
	assert_refused(text, 2, "more than 1048576 values");
	free(text);
}

Test(yamldoc, bounds_the_length_of_a_file)
{
	char *text = malloc(YAMLDOC_LEN_MAX + 1);
	struct yamldoc *doc = NULL;

	memset(text, '\n', YAMLDOC_LEN_MAX + 1);
	cr_assert_eq(open_bytes(&doc, text, YAMLDOC_LEN_MAX), 0, "%s", err.text);
	yamldoc_close(doc);
	doc = NULL;
	cr_assert_eq(open_bytes(&doc, text, YAMLDOC_LEN_MAX + 1), -EINVAL);
	cr_assert(strstr(err.text, "longer than 16 MiB"), "%s", err.text);
	cr_assert_eq(yamldoc_open(&doc, "/dev/zero", &err), -EINVAL, "not endless");
	cr_assert_null(doc);
	free(text);
}

Test(yamldoc, says_what_it_cannot_read)
{
	struct yamldoc *doc = NULL;

	cr_assert_eq(yamldoc_open(&doc, "/nonexistent/x.yaml", &err), -ENOENT);
	cr_assert_str_eq(err.text, "cannot open /nonexistent/x.yaml: No such file or directory");
	cr_assert_eq(yamldoc_open(&doc, "/tmp", &err), -EISDIR);
	cr_assert_str_eq(err.text, "cannot read /tmp: Is a directory");
	cr_assert_null(doc);
}

Test(yamldoc, copies_the_path)
{
	struct yamldoc *doc = opened("a: 1\n");
	char expected[96];

	(void)snprintf(expected, sizeof(expected), "%s:1: a: 7 is too much", path);
	memset(path, 'x', sizeof(path) - 1);
	cr_assert_eq(yamldoc_fail(doc, yamldoc_root(doc)->items, &err, "%d is too much", 7),
		     -EINVAL);
	cr_assert_str_eq(err.text, expected);
	yamldoc_close(doc);
}

Test(yamldoc, close_takes_null)
{
	yamldoc_close(NULL);
}

Test(yamldoc, get_finds_keys_of_maps)
{
	struct yamldoc *doc = opened("a: 1\nb: [a]\n");
	const struct yamldoc_node *root = yamldoc_root(doc);

	cr_assert_str_eq(yamldoc_get(root, "a")->text, "1");
	cr_assert_null(yamldoc_get(root, "c"));
	cr_assert_null(yamldoc_get(yamldoc_get(root, "b"), "a"));
	cr_assert_null(yamldoc_get(yamldoc_get(root, "a"), "a"));
	yamldoc_close(doc);
}

/* The sentence behind FILE:. */
static const char *behind_path(void)
{
	return err.text + strlen(path) + 1;
}

Test(yamldoc, fail_names_line_and_key)
{
	struct yamldoc *doc = opened("a:\n  one\nb:\n  - two\n");
	const struct yamldoc_node *root = yamldoc_root(doc);

	(void)yamldoc_fail(doc, &root->items[0], &err, "no");
	cr_assert_str_eq(behind_path(), "1: a: no");
	(void)yamldoc_fail(doc, &root->items[1].items[0], &err, "no");
	cr_assert_str_eq(behind_path(), "4: no");
	yamldoc_close(doc);
}

Test(yamldoc, fail_hides_control_characters)
{
	struct yamldoc *doc = opened("\"a\\e[31m\": \"x\\ny\"\n");
	const struct yamldoc_node *item = yamldoc_root(doc)->items;

	(void)yamldoc_fail(doc, item, &err, "'%s' is none", item->text);
	cr_assert_str_eq(behind_path(), "1: a?[31m: 'x?y' is none");
	yamldoc_close(doc);
}

Test(yamldoc, fail_unknown_names_the_nearest_key_or_all)
{
	static const char *const known[] = {"workers", "rotate-size", "vni", NULL};
	struct yamldoc *doc = opened("wokers: 1\nrotate_size: 1\nvnis: 1\nx: 1\ncolour: 1\n");
	const struct yamldoc_node *items = yamldoc_root(doc)->items;
	const char *const sentences[] = {
		"1: wokers: unknown key; is workers meant?",
		"2: rotate_size: unknown key; is rotate-size meant?",
		"3: vnis: unknown key; is vni meant?",
		"4: x: unknown key; known here: workers, rotate-size, vni",
		"5: colour: unknown key; known here: workers, rotate-size, vni",
	};

	for (unsigned i = 0; i < 5; i++) {
		cr_assert_eq(yamldoc_fail_unknown(doc, &items[i], known, &err), -EINVAL);
		cr_assert_str_eq(behind_path(), sentences[i]);
	}
	yamldoc_close(doc);
}
