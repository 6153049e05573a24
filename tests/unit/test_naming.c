#include "run/naming.h"

#include <criterion/criterion.h>
#include <string.h>

#include "../support/memfile.h"
#include "path/block.h"

#define SECOND_NS INT64_C(1000000000)

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

static void open_naming(void)
{
	const int fd = memfile(NAMES, sizeof(NAMES) - 1);
	char path[MEMFILE_PATH];
	struct names *names;
	struct err err;

	memfile_path(path, fd);
	cr_assert_eq(naming_open(&naming, &err), 0);
	cr_assert_eq(names_load(&names, path, &err), 0, "%s", err.text);
	naming_set_stores(naming, STORES, 3);
	naming_set(naming, names, SESSION_HEADERS);
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
	cr_assert_eq(l.policy, SESSION_COUNT);
}

Test(naming, session_without_an_entry_is_unknown_and_called_by_its_numbers)
{
	const struct session_labels l = labels_at(1, 1, 60);

	cr_assert_str_eq(l.name, "10.0.0.1-1");
	cr_assert_str_eq(l.nf, "");
	cr_assert_eq(l.policy, SESSION_HEADERS);
	cr_assert_eq(labels_at(99, 1, 0).policy, SESSION_HEADERS);
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
	naming_set(naming, NULL, SESSION_DROP);
	cr_assert_eq(labels_at(1, 1, 0).policy, SESSION_DROP);
	cr_assert_eq(identity_at(1, 0).policy, SESSION_DROP);
	cr_assert_eq(identity_at(1, 0).eni, 0);
}
