#include "run/naming.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../support/memfile.h"
#include "base/clock.h"
#include "path/block.h"
#include "path/filter.h"

#define SECOND_NS INT64_C(1000000000)

static const struct siphash_key KEY = {{1, 2}};
static const struct address SOURCE = {{[10] = 0xff, 0xff, 10, 0, 0, 1}};

static const char NAMES[] =
	"sessions:\n"
	"  - {source: 10.0.0.1, vni: 1, name: amf, nf: AMF, vrf: v, account: a, eni: eni-1,\n"
	"     mac: 02:00:00:00:00:01, policy: count, until: 1970-01-01T00:01:00Z}\n"
	"  - {source: 10.0.0.1, vni: 1, eni: eni-2, from: 1970-01-01T00:02:00Z, store: b}\n"
	"  - {source: 10.0.0.1, vni: 2, mac: 02:00:00:00:00:02, addresses: [\n"
	"     {address: 10.1.0.1, nf: smf, until: 1970-01-01T00:01:00Z},\n"
	"     {address: 10.1.0.2, nf: upf}]}\n";

static const char *const STORES[] = {"", "a", "b"};
static struct naming *naming;

static struct names *loaded(const char *text)
{
	const int fd = memfile(text, strlen(text));
	char path[MEMFILE_PATH];
	struct names *names;
	struct err err;

	memfile_path(path, fd);
	cr_assert_eq(names_load(&names, path, &err), 0, "%s", err.text);
	(void)close(fd);
	return names;
}

static void open_naming(void)
{
	struct err err;

	cr_assert_eq(naming_open(&naming, &err), 0);
	naming_set_stores(naming, STORES, 3);
	naming_set(naming, loaded(NAMES), SESSION_HEADERS, &KEY);
}

static void close_naming(void)
{
	naming_close(naming);
}

TestSuite(naming, .init = open_naming, .fini = close_naming);

static struct session_labels labels_at(uint32_t vni, uint32_t generation, int64_t at_s)
{
	const struct session session = {SOURCE, vni, generation, ENROLL_UNKNOWN};
	struct session_labels labels;

	naming_labels(naming, &session, at_s * SECOND_NS, &labels);
	return labels;
}

static struct enroll_identity identity_at(uint32_t vni, int64_t at_s)
{
	struct enroll_identity identity;

	naming_identify(naming, &SOURCE, vni, at_s * SECOND_NS, &identity);
	return identity;
}

Test(naming, session_is_called_as_the_file_says)
{
	const struct session_labels l = labels_at(1, 1, 59);

	cr_assert_str_eq(l.name, "amf");
	cr_assert_str_eq(l.nf, "AMF");
	cr_assert_str_eq(l.vrf, "v");
	cr_assert_str_eq(l.account, "a");
	cr_assert_str_eq(l.eni, "eni-1");
	cr_assert_str_eq(l.policy, "count");
}

Test(naming, session_without_an_entry_is_unknown_and_called_by_its_numbers)
{
	const struct session_labels l = labels_at(1, 1, 60);

	cr_assert_str_eq(l.name, "10.0.0.1-1");
	cr_assert_str_eq(l.nf, "");
	cr_assert_str_eq(l.policy, "headers");
	cr_assert_str_eq(labels_at(99, 1, 0).policy, "headers");
}

Test(naming, name_of_a_later_generation_ends_in_its_number)
{
	cr_assert_str_eq(labels_at(1, 2, 0).name, "amf.2");
	cr_assert_str_eq(labels_at(99, 3, 0).name, "10.0.0.1-99.3");
}

Test(naming, identity_holds_until_the_next_change)
{
	cr_assert_eq(identity_at(1, 0).until_ns, 60 * SECOND_NS);
	cr_assert_eq(identity_at(1, 60).until_ns, 120 * SECOND_NS);
	cr_assert_eq(identity_at(1, 120).until_ns, UINT64_MAX);
	cr_assert_eq(identity_at(99, 0).until_ns, UINT64_MAX);
}

Test(naming, store_is_the_one_that_is_called_so_else_the_default)
{
	cr_assert_eq(identity_at(1, 0).store, 0);
	cr_assert_eq(identity_at(1, 120).store, 2);
	cr_assert_eq(identity_at(99, 0).store, 0);
	naming_set_stores(naming, STORES, 2);
	cr_assert_eq(identity_at(1, 120).store, 0, "no store is called so");
}

Test(naming, enis_are_told_apart_by_id_else_by_mac)
{
	const uint64_t first = identity_at(1, 0).eni, second = identity_at(1, 120).eni;

	cr_assert(first && second && first != second);
	cr_assert_eq(identity_at(1, 59).eni, first);
	cr_assert_eq(identity_at(1, 60).eni, 0, "nobody says who it is");
	cr_assert_eq(identity_at(2, 0).eni, 0x020000000002);
	cr_assert_eq(identity_at(1, 0).mac, 0x020000000001);
}

Test(naming, block_has_the_addresses_that_are_valid)
{
	const struct session session = {SOURCE, 2, 1, ENROLL_UNKNOWN}, other = {SOURCE, 1, 1, 0};
	const struct block_name late = {{{[10] = 0xff, 0xff, 10, 1, 0, 2}}, "upf"};
	uint8_t block[512], want[512];

	cr_assert_gt(naming_block(naming, &session, 0, block, sizeof(block)),
		     block_names(want, sizeof(want), &late, 1), "both");
	const size_t len = naming_block(naming, &session, 60 * SECOND_NS, block, sizeof(block));
	cr_assert_eq(len, block_names(want, sizeof(want), &late, 1));
	cr_assert_arr_eq(block, want, len);
	cr_assert_eq(naming_block(naming, &other, 0, block, sizeof(block)), 0);
}

Test(naming, without_names_every_session_has_the_policy_of_unknown_ones)
{
	naming_set(naming, NULL, SESSION_DROP, &KEY);
	cr_assert_str_eq(labels_at(1, 1, 0).policy, "drop");
	cr_assert_eq(identity_at(1, 0).filter->keep, SESSION_DROP);
	cr_assert_eq(identity_at(1, 0).eni, 0);
}

/* ---- policies ---- */

static struct describe_policy policy_at(uint32_t vni, int64_t at_s)
{
	const struct session session = {SOURCE, vni, 1, ENROLL_UNKNOWN};
	struct describe_policy policy;

	naming_policy(naming, &session, at_s * SECOND_NS, &policy);
	return policy;
}

static void set_thin(const char *keys)
{
	char text[512];

	(void)snprintf(text, sizeof(text),
		       "policies:\n  thin: %s\nsessions:\n"
		       "  - {source: 10.0.0.1, vni: 1, policy: thin, "
		       "until: 1970-01-01T00:01:00Z}\n"
		       "  - {source: 10.0.0.1, vni: 2, policy: count}\n",
		       keys);
	naming_set(naming, loaded(text), SESSION_FULL, &KEY);
}

Test(naming, policy_becomes_a_filter)
{
	set_thin("{keep: headers, user-plane: count, snap-length: 256B, filter: not port 22, "
		 "sample: 1/16, only: 10.1.0.0/16}");
	const struct filter *f = identity_at(1, 0).filter;
	cr_expect_eq(f->keep, SESSION_HEADERS);
	cr_expect_eq(f->user_plane, SESSION_COUNT);
	cr_expect_eq(f->snap_len, 256);
	cr_expect_eq(f->sample_max, filter_sample_max(16));
	cr_expect_eq(f->sample_key.word[1], 2);
	cr_expect_not_null(f->code);
	cr_expect_eq(f->n_only, 1);
	cr_expect_str_eq(labels_at(1, 1, 0).policy, "thin");
	cr_expect_eq(identity_at(1, 60).filter, &filter_plain[SESSION_FULL], "it is over");
	cr_expect_eq(identity_at(2, 0).filter, &filter_plain[SESSION_COUNT]);
	set_thin("{}");
	cr_expect_null(identity_at(1, 0).filter->code);
}

Test(naming, unknown_sessions_have_the_policy_that_the_file_says)
{
	naming_set(naming, loaded("policies: {thin: {keep: count}}\nunknown-sessions: thin\n"),
		   SESSION_DROP, &KEY);
	cr_expect_str_eq(labels_at(1, 1, 0).policy, "thin");
	cr_expect_eq(identity_at(1, 0).filter->keep, SESSION_COUNT);
}

Test(naming, filter_before_stays_until_it_is_forgotten)
{
	set_thin("{filter: not port 22, only: 10.1.0.0/16}");
	const struct filter *before = identity_at(1, 0).filter;
	const struct filter copy = *before;
	naming_set(naming, NULL, SESSION_DROP, &KEY);
	cr_expect_eq(memcmp(before, &copy, sizeof(copy)), 0);
	cr_expect_neq(before->code->code, 0, "its program can be read");
	cr_expect_eq(before->only[0].last.byte[15], 255);
	naming_forget(naming);
	cr_expect_eq(identity_at(1, 0).filter->keep, SESSION_DROP);
}

Test(naming, policy_is_told_as_the_file_has_it)
{
	set_thin("{snap-length: 256B, filter: not port 22, sample: 1/16, only: [10.1.0.0/16, "
		 "10.3.0.0/16]}");
	const struct describe_policy p = policy_at(1, 0);
	cr_expect_str_eq(p.name, "thin");
	cr_expect_str_eq(p.filter, "not port 22");
	cr_expect_eq(p.keep, SESSION_FULL);
	cr_expect_eq(p.user_plane, SESSION_FULL);
	cr_expect_eq(p.snap_len, 256);
	cr_expect_eq(p.sample, 16);
	cr_expect_eq(p.n_only, 2);
	cr_expect_eq(p.until_ns, 60 * SECOND_NS);
	cr_expect_str_eq(policy_at(2, 0).name, "count");
	cr_expect_eq(policy_at(2, 0).until_ns, NAMES_NEVER);
}

Test(naming, other_policy_has_another_digest)
{
	static const char *const keys[] = {
		"{}",
		"{keep: headers}",
		"{user-plane: headers}",
		"{snap-length: 256B}",
		"{filter: not port 22}",
		"{filter: not port 23}",
		"{sample: 1/16}",
		"{only: 10.1.0.0/16}",
		"{only: 10.2.0.0/16}",
	};
	enum { n = sizeof(keys) / sizeof(keys[0]) };
	const struct siphash_key other = {{1, 3}};
	uint64_t digest[n + 1];

	for (size_t i = 0; i < n; i++) {
		set_thin(keys[i]);
		digest[i] = policy_at(1, 0).digest;
		for (size_t k = 0; k < i; k++)
			cr_expect_neq(digest[i], digest[k], "%s %s", keys[i], keys[k]);
		set_thin(keys[i]);
		cr_expect_eq(policy_at(1, 0).digest, digest[i]);
	}
	naming_set(naming, loaded("policies: {thin: {sample: 1/16}}\nunknown-sessions: thin\n"),
		   SESSION_FULL, &KEY);
	digest[n] = policy_at(1, 0).digest;
	naming_set(naming, loaded("policies: {thin: {sample: 1/16}}\nunknown-sessions: thin\n"),
		   SESSION_FULL, &other);
	cr_expect_neq(policy_at(1, 0).digest, digest[n], "the key chooses other flows");
}

/* A policy with so many prefixes, none touching another. */
static void set_only(unsigned n)
{
	char text[8192] = "policies:\n  thin: {only: [10.0.0.0/24";

	for (unsigned i = 1; i < n; i++) {
		const size_t len = strlen(text);
		(void)snprintf(text + len, sizeof(text) - len, ", 10.%u.%u.0/24", 2 * i >> 8,
			       2 * i & 255);
	}
	cr_assert_lt(strlen(text), sizeof(text) - 64);
	naming_set(naming, loaded(strcat(text, "]}\nunknown-sessions: thin\n")), SESSION_FULL,
		   &KEY);
}

/* Of a thousand answers, the fastest of ten times. */
static uint64_t least_ns(void)
{
	uint64_t least = UINT64_MAX;

	for (unsigned turn = 0; turn < 10; turn++) {
		const uint64_t start_ns = clock_monotonic_ns();
		for (uint32_t i = 0; i < 1000; i++)
			(void)policy_at(i, 0);
		const uint64_t ns = clock_monotonic_ns() - start_ns;
		least = ns < least ? ns : least;
	}
	return least;
}

/* A writer asks for every session of every file at each reload. */
Test(naming, long_policy_is_told_as_soon_as_a_short_one)
{
	set_only(1);
	const uint64_t one = least_ns();
	set_only(256);
	cr_assert_eq(policy_at(1, 0).n_only, 256);
	const uint64_t many = least_ns();
	cr_assert_lt(many, 4 * one, "%lu ns for 256 prefixes, %lu ns for one", many, one);
}
