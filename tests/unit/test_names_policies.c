#include "config/names.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/memfile.h"
#include "config/value.h"

static struct err err;
static char path[MEMFILE_PATH];

static int load(struct names **out, const char *text)
{
	const int fd = memfile(text, strlen(text));

	memfile_path(path, fd);
	const int ret = names_load(out, path, &err);
	close(fd);
	return ret;
}

static struct names *loaded(const char *text)
{
	struct names *names;

	cr_assert_eq(load(&names, text), 0, "%s", err.text);
	return names;
}

/* What holds for 10.0.0.1, vni. */
static uint32_t policy_of(const struct names *names, uint32_t vni)
{
	const struct address source = {{[10] = 0xff, 0xff, 10, 0, 0, 1}};
	struct names_session s;
	int64_t change_ns;

	cr_assert(names_find(names, &source, vni, 1, &s, &change_ns));
	return s.policy;
}

/* The only policy of a file. */
static struct names_policy policy;
static struct names *held;

static const struct names_policy *given(const char *text)
{
	char file[8192];

	names_close(held);
	(void)snprintf(file, sizeof(file), "policies:\n  p: %s\n", text);
	held = loaded(file);
	cr_assert(names_policy(held, 0, &policy));
	cr_assert_not(names_policy(held, 1, &policy) && names_policy(held, 0, &policy));
	cr_assert(names_policy(held, 0, &policy));
	cr_assert_str_eq(policy.name, "p");
	return &policy;
}

static void close_held(void)
{
	names_close(held);
}

TestSuite(names_policies, .fini = close_held);

Test(names_policies, without_keys_a_policy_keeps_all)
{
	const struct names_policy *p = given("{}");

	cr_expect_eq(p->keep, SESSION_FULL);
	cr_expect_eq(p->user_plane, SESSION_FULL);
	cr_expect_eq(p->snap_len, UINT32_MAX);
	cr_expect_eq(p->sample, 1);
	cr_expect_str_eq(p->filter, "");
	cr_expect_eq(p->n_code, 0);
	cr_expect_eq(p->n_only, 0);
	cr_expect_null(names_sampler(held));
	cr_expect_eq(names_unknown(held), NAMES_UNKNOWN_UNSAID);
}

Test(names_policies, each_key_is_taken)
{
	const struct names_policy *p =
		given("{keep: headers, user-plane: count, snap-length: 128B, filter: \"tcp\", "
		      "sample: 1/16, only: 10.1.2.3/16}");
	const struct filter_range only = {{{[10] = 0xff, 0xff, 10, 1}},
					  {{[10] = 0xff, 0xff, 10, 1, 255, 255}}};

	cr_expect_eq(p->keep, SESSION_HEADERS);
	cr_expect_eq(p->user_plane, SESSION_COUNT);
	cr_expect_eq(p->snap_len, 128);
	cr_expect_eq(p->sample, 16);
	cr_expect_str_eq(p->filter, "tcp");
	cr_expect(filter_program_is_sound(p->code, p->n_code));
	cr_assert_eq(p->n_only, 1);
	cr_expect_arr_eq(p->only, &only, sizeof(only));
	cr_expect_str_eq(names_sampler(held), "p");
}

Test(names_policies, user_plane_is_kept_as_the_rest_unless_said)
{
	cr_expect_eq(given("{keep: headers}")->user_plane, SESSION_HEADERS);
	cr_expect_eq(given("{keep: count}")->user_plane, SESSION_COUNT);
	cr_expect_eq(given("{keep: drop}")->keep, SESSION_DROP);
}

Test(names_policies, prefixes_of_a_list_are_joined)
{
	const struct names_policy *p =
		given("{only: [\"2001:db8::/32\", 10.1.0.0/16, 10.1.2.0/24, 192.0.2.1]}");
	struct address host;

	cr_assert_eq(p->n_only, 3);
	cr_assert(value_address(&host, "192.0.2.1"));
	cr_expect_arr_eq(&p->only[1].first, &host, sizeof(host));
	cr_expect_arr_eq(&p->only[1].last, &host, sizeof(host));
	cr_expect_eq(p->only[2].last.byte[15], 0xff);
}

Test(names_policies, session_has_its_own_policy_or_that_of_its_nf)
{
	struct names *names = loaded("nfs: {amf: p2, smf: headers}\n"
				     "unknown-sessions: p1\n"
				     "sessions:\n"
				     "  - {source: 10.0.0.1, vni: 1, nf: amf}\n"
				     "  - {source: 10.0.0.1, vni: 2, nf: amf, policy: p1}\n"
				     "  - {source: 10.0.0.1, vni: 3, nf: amf, policy: count}\n"
				     "  - {source: 10.0.0.1, vni: 4, nf: smf, policy: }\n"
				     "  - {source: 10.0.0.1, vni: 5, nf: upf}\n"
				     "policies: {p1: {}, p2: {keep: count}}\n");

	cr_expect_eq(policy_of(names, 1), NAMES_POLICY + 1);
	cr_expect_eq(policy_of(names, 2), NAMES_POLICY);
	cr_expect_eq(policy_of(names, 3), SESSION_COUNT);
	cr_expect_eq(policy_of(names, 4), SESSION_HEADERS);
	cr_expect_eq(policy_of(names, 5), SESSION_FULL);
	cr_expect_eq(names_unknown(names), NAMES_POLICY);
	names_close(names);
}

#define P "policies:\n  p:\n"

static const struct {
	const char *text;
	unsigned line;
	const char *says; /* behind FILE:LINE: */
} refused[] = {
	{"policies: []\n", 1, "policies: this is a list; wanted is a map, NAME: {keep: ...}"},
	{"policies:\n  full: {}\n", 2, "full: no name of a policy: wanted are up to 48 of A-Z"},
	{"policies:\n  .p: {}\n", 2, ".p: no name of a policy"},
	{"policies:\n  p: 5\n", 2, "p: wanted here are keys and values: keep: ..."},
	{P "    kept: full\n", 3, "kept: unknown key; is keep meant?"},
	{P "    keep: some\n", 3, "keep: 'some': wanted is full, headers, count or drop"},
	{P "    user-plane: drop\n", 3, "user-plane: 'drop': wanted is full, headers or count"},
	{P "    keep: drop\n    only: 10.0.0.1\n", 4,
	 "only: says nothing where keep is drop; leave it out"},
	{P "    snap-length: 63B\n", 3, "snap-length: '63B': wanted is a size from 64B to 64KiB"},
	{P "    snap-length: 65KiB\n", 3, "snap-length: '65KiB': wanted"},
	{P "    snap-length: [1]\n", 3, "snap-length: this is a list; wanted"},
	{P "    sample: 16\n", 3, "sample: '16': wanted is 1/2 to 1/1000000"},
	{P "    sample: 1/1\n", 3, "sample: '1/1': wanted"},
	{P "    sample: 1/1000001\n", 3, "sample: '1/1000001': wanted"},
	{P "    sample: 2/16\n", 3, "sample: '2/16': wanted"},
	{P "    filter: [a]\n", 3, "filter: this is a list; wanted is an expression such as"},
	{P "    filter: port http\n", 3, "filter: 'http' is not known here: names are not"},
	{P "    filter: port and\n", 3, "filter: no expression of pcap-filter(7): "},
	{P "    only: []\n", 3, "only: the list is empty; leave the key out where all are wanted"},
	{P "    only: 10.0.0.0/33\n", 3,
	 "only: '10.0.0.0/33': wanted is an address or prefix such as 10.1.0.0/16"},
	{P "    only: {a: b}\n", 3, "only: this is keys and values; wanted"},
	{P "    only:\n      - 10.0.0.1\n      - amf\n", 5,
	 "'amf': wanted is an address or prefix"},
	{"nfs: 5\n", 1, "nfs: '5': wanted is a map, NF: POLICY"},
	{"nfs: {amf: p}\n", 1,
	 "amf: 'p': wanted is full, headers, count, drop or a name under policies"},
	{"unknown-sessions: p\n", 1, "unknown-sessions: 'p': wanted is full, headers"},
	{"sessions:\n  - {source: 10.0.0.1, vni: 1, policy: p}\n", 2, "policy: 'p': wanted is"},
};

Test(names_policies, refuses_with_file_line_and_key)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct names *names = (struct names *)1;
		char expected[256];
		cr_expect_eq(load(&names, refused[i].text), -EINVAL, "%s", refused[i].text);
		cr_expect_eq(names, (struct names *)1, "untouched");
		(void)snprintf(expected, sizeof(expected), "%s:%u: %s", path, refused[i].line,
			       refused[i].says);
		cr_expect_eq(strncmp(err.text, expected, strlen(expected)), 0,
			     "'%s' does not begin with '%s'", err.text, expected);
	}
}

/* "HEAD item, item, ... TAIL" */
static char *many(const char *head, const char *item, unsigned n, const char *tail)
{
	char *text = malloc(64 + 64 * n);
	size_t len = (size_t)sprintf(text, "%s", head);

	for (unsigned i = 0; i < n; i++) {
		len += (size_t)sprintf(text + len, item, i);
		len += (size_t)sprintf(text + len, ", ");
	}
	(void)strcpy(text + len, tail);
	return text;
}

Test(names_policies, number_is_bounded)
{
	struct names *names;
	char *text = many("policies: {", "p%u: {}", NAMES_POLICIES_MAX, "}\n");

	names_close(loaded(text));
	free(text);
	text = many("policies: {", "p%u: {}", NAMES_POLICIES_MAX + 1, "}\n");
	cr_expect_eq(load(&names, text), -EINVAL);
	cr_expect(strstr(err.text, ":1: policies: 65 policies; allowed are 64"), "%s", err.text);
	free(text);
}

Test(names_policies, list_is_bounded)
{
	struct names *names;
	char *text = many("policies: {p: {only: [", "10.0.%u.0/25", NAMES_RANGES_MAX, "]}}\n");

	held = loaded(text);
	cr_expect(names_policy(held, 0, &policy));
	cr_expect_eq(policy.n_only, NAMES_RANGES_MAX);
	free(text);
	text = many("policies: {p: {only: [", "10.%u.0.0/25", NAMES_RANGES_MAX + 1, "]}}\n");
	cr_expect_eq(load(&names, text), -EINVAL);
	cr_expect(strstr(err.text, ":1: only: 257 prefixes; allowed are 256"), "%s", err.text);
	free(text);
}
