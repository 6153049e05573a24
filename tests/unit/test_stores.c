#include "config/stores.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../support/configured.h"
#include "config/names.h"

#define BOTH                                                                                       \
	ENOUGH "retain-time: 7d\nretain-size: 10GiB\nrotate-size: 1MiB\nstores:\n"                 \
	       "  signalling:\n    recipient: [" OTHER ", " RECIPIENT "]\n    retain-time: 90d\n"  \
	       "    rotate-time: 1m\n  user-plane: {retain-size: 4GiB, rotate-size: 2GiB}\n"

static struct config *const config = &configured.config;

TestSuite(stores, .init = configured_init, .fini = configured_fini);

Test(stores, has_what_it_says_and_else_what_the_whole_has)
{
	assert_takes(BOTH, "");
	const struct config_store *s = config->stores;
	cr_assert_eq(config->n_stores, 2);
	cr_assert_str_eq(s[0].name, "signalling");
	cr_assert_eq(s[0].n_recipients, 2);
	cr_assert_arr_eq(&s[0].recipients[1], &config->recipients[0], sizeof(s->recipients[0]));
	cr_assert_eq(s[0].retain_ns, 90 * UINT64_C(86400000000000));
	cr_assert_eq(s[0].retain_len, 0, "that of the whole is for all stores together");
	cr_assert_eq(s[0].rotate_ns, 60000000000);
	cr_assert_eq(s[0].rotate_len, 1 << 20);
	cr_assert_str_eq(s[1].name, "user-plane");
	cr_assert_eq(s[1].n_recipients, 1);
	cr_assert_arr_eq(s[1].recipients, config->recipients, sizeof(s->recipients[0]));
	cr_assert_eq(s[1].retain_ns, 7 * UINT64_C(86400000000000));
	cr_assert_eq(s[1].retain_len, 4ull << 30);
	cr_assert_eq(s[1].rotate_len, 2ull << 30);
	cr_assert_eq(config->n_recipients, 1, "the whole has what it had");
	cr_assert_eq(config->rotate_len, 1 << 20);
}

Test(stores, may_have_nothing_of_its_own_and_recipients_from_a_file)
{
	char text[512];

	assert_takes(ENOUGH, "");
	cr_assert_eq(config->n_stores, 0);
	configured_put(configured.recipients, OTHER "\n" OTHER "\n");
	(void)snprintf(text, sizeof(text), ENOUGH "stores: {a: {}, b: {recipients-file: %s}}\n",
		       configured.recipients);
	assert_takes(text, "");
	cr_assert_eq(config->n_stores, 2);
	cr_assert_eq(config->stores[0].n_recipients, 1);
	cr_assert_eq(config->stores[1].n_recipients, 2);
}

Test(stores, own_recipients_encrypt_where_the_whole_is_not)
{
	assert_takes(
		"interface: eth1\noutput: out\nunencrypted: true\nstores: {a: {recipient: " OTHER
		"}, b: {}}\n",
		"");
	cr_assert_eq(config->stores[0].n_recipients, 1);
	cr_assert_eq(config->stores[1].n_recipients, 0);
}

static const struct {
	const char *text, *begins, *mentions;
} mistakes[] = {
	{"stores: a\n", "c.yaml:4: stores: a map is wanted", "NAME"},
	{"stores: [a]\n", "c.yaml:4: stores: a map is wanted", ""},
	{"stores: {a: 1d}\n", "c.yaml:4: a: keys and values are wanted", "or {}"},
	{"stores:\n  a_b: {}\n", "c.yaml:5: a_b: a store is called by up to 48 of", ""},
	{"stores:\n  .a: {}\n", "c.yaml:5: .a: a store is called", ""},
	{"stores:\n  10.0.0.1-42: {}\n", "c.yaml:5: 10.0.0.1-42: a session without a name", ""},
	{"stores:\n  vxprobe: {}\n", "c.yaml:5: vxprobe: is the store of all sessions", "outside"},
	{"stores:\n  a: {}\n  a: {}\n", "c.yaml:6: a: ", "line 5"},
	{"stores:\n  a:\n    rotate-tiem: 1m\n", "c.yaml:6: rotate-tiem: unknown key",
	 "rotate-time"},
	{"stores:\n  a:\n    ring: 512\n", "c.yaml:6: ring: unknown key", "known here: recipient"},
	{"stores:\n  a:\n    rotate-size: 1KiB\n", "c.yaml:6: rotate-size: 1KiB: allowed is 64KiB",
	 ""},
	{"stores:\n  a:\n    rotate-time: [1m]\n", "c.yaml:6: rotate-time: one value is wanted",
	 ""},
	{"stores:\n  a:\n    recipient: []\n", "c.yaml:6: recipient: one value or a list", ""},
	{"stores:\n  a:\n    recipient:\n    - " OTHER "\n    - [x]\n",
	 "c.yaml:8: recipient: a list of", "plain"},
	{"stores:\n  a:\n    recipient:\n    - age1x\n", "c.yaml:7: recipient: recipient 'age1x'",
	 ""},
	{"stores:\n  a:\n    recipients-file: /nowhere\n", "c.yaml:6: recipients-file: cannot open",
	 "/nowhere"},
	{"stores:\n  a:\n    retain-size: 511MiB\n", "c.yaml:6: retain-size: less than two files",
	 "256 MiB"},
	{"split: session\nstores:\n  a:\n    retain-time: 1d\n",
	 "c.yaml:7: retain-time: with split", "retain-session-size"},
	{"writers: 2\n", "c.yaml:4: writers: a writer for each of 1 store is enough",
	 "split: session"},
	{"writers: 3\nstores: {a: {}}\n", "c.yaml:4: writers: a writer for each of 2 stores", ""},
	{"writers: 9\n", "c.yaml:4: writers: 9: allowed is 1 to 8", ""},
};

Test(stores, each_mistake_is_named_with_file_line_and_key)
{
	for (unsigned i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		char text[512];
		(void)snprintf(text, sizeof(text), ENOUGH "%s", mistakes[i].text);
		assert_says(configured_run(text, ""), mistakes[i].begins);
		assert_mentions(mistakes[i].mentions);
	}
}

Test(stores, are_for_the_file_alone)
{
	cr_assert_eq(configured_run(ENOUGH, "--stores x"), -EINVAL);
	assert_mentions("--stores is no option");
}

/* n stores, each with so many recipients. */
static int run_many(unsigned n, unsigned recipients)
{
	static char text[65536];
	size_t len = (size_t)snprintf(text, sizeof(text), ENOUGH "stores:\n");

	for (unsigned i = 0; i < n; i++) {
		len += (size_t)snprintf(text + len, sizeof(text) - len, "  s%u: {recipient: [", i);
		for (unsigned k = 0; k < recipients; k++) {
			/* Any 32 bytes but 0 are a key. */
			const struct seal_recipient r = {{1, (uint8_t)i, (uint8_t)k}};
			char name[64];
			seal_recipient_format(&r, name);
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s, ", name);
		}
		len += (size_t)snprintf(text + len, sizeof(text) - len, "]}\n");
	}
	return configured_run(text, "");
}

Test(stores, are_limited_and_so_are_their_recipients_together)
{
	cr_assert_eq(run_many(CONFIG_STORES_MAX, 1), 0, "%s", configured.err.text);
	assert_says(run_many(CONFIG_STORES_MAX + 1, 1), "c.yaml:4: stores: more than 15 stores");
	cr_assert_eq(run_many(9, 7), 0, "%s", configured.err.text);
	assert_says(run_many(8, 8), "c.yaml:4: stores: more than 64 recipients over all stores");
}

Test(stores, writers_are_as_many_as_stores_or_with_split_any)
{
	assert_takes(ENOUGH "writers: 2\nstores: {a: {}}\n", "");
	cr_assert_eq(config->writers, 2);
	assert_takes(ENOUGH "writers: 8\nsplit: session\n", "");
}

Test(stores, text_is_a_list_of_names)
{
	char text[64];

	assert_takes(ENOUGH, "");
	cr_assert_str_eq(stores_text(config, text, sizeof(text)), "none");
	assert_takes(BOTH, "");
	cr_assert_str_eq(stores_text(config, text, sizeof(text)), "signalling, user-plane");
	cr_assert_str_eq(stores_text(config, text, 12), "signalling,");
}

/* ---- names ---- */

static int check_names(const char *store)
{
	char text[128];
	struct names *names;

	(void)snprintf(text, sizeof(text), "sessions:\n- {source: 10.0.0.1, vni: 1, name: amf%s}\n",
		       store);
	configured_put(configured.recipients, text);
	cr_assert_eq(names_load(&names, configured.recipients, &configured.err), 0, "%s",
		     configured.err.text);
	config->names = configured.recipients;
	const int ret = config_check_stores(config, names, &configured.err);
	names_close(names);
	return ret;
}

Test(stores, names_may_name_those_that_there_are)
{
	assert_takes(BOTH, "");
	cr_assert_eq(check_names(""), 0);
	cr_assert_eq(check_names(", store: user-plane"), 0);
	cr_assert_eq(check_names(", store: vxprobe"), 0, "the default one");
	assert_says(check_names(", store: user"),
		    "recipients: store: 'user' (of session amf) is none");
	assert_mentions("signalling, user-plane");
	cr_assert_eq(config_check_stores(config, NULL, &configured.err), 0);
}

/* ---- reload ---- */

Test(stores, settings_change_by_a_reload_and_stores_do_not)
{
	struct config now;

	assert_takes(ENOUGH "stores: {a: {}, b: {}}\n", "");
	cr_assert_eq(configured_reload(&now, ENOUGH "stores: {a: {recipient: " OTHER
						    ", rotate-time: 1s}, b: {}}\n"),
		     0, "%s", configured.err.text);
	cr_assert_eq(now.stores[0].rotate_ns, 1000000000);
	config_close(&now);
	assert_says(configured_reload(&now, ENOUGH "stores: {b: {}, a: {}}\n"),
		    "c.yaml:4: stores: takes effect at a start; running is a, b");
	assert_says(configured_reload(&now, ENOUGH "stores: {a: {}}\n"), "c.yaml:4: stores: takes");
	assert_says(configured_reload(&now, ENOUGH), "c.yaml: stores: takes effect at a start");
}

Test(stores, encryption_of_a_store_cannot_be_turned_off_or_on_by_a_reload)
{
#define PLAIN "interface: eth1\noutput: out\nunencrypted: true\n"
	struct config now;

	assert_takes(PLAIN "stores: {a: {recipient: " OTHER "}}\n", "");
	assert_says(configured_reload(&now, PLAIN "stores: {a: {}}\n"),
		    "c.yaml:4: stores: a: whether files are encrypted changes at a start only");
	assert_takes(PLAIN "stores: {a: {}}\n", "");
	assert_says(configured_reload(&now, PLAIN "stores: {a: {recipient: " OTHER "}}\n"),
		    "c.yaml:4: stores: a: whether");
}

/* ---- what is said ---- */

Test(stores, are_in_the_summary_and_each_wants_two_recipients)
{
	char text[1024];

	assert_takes(BOTH, "");
	config_summary(config, text, sizeof(text));
	cr_assert(strstr(text, "stores besides: signalling (2 recipients, kept 2160 h), user-plane "
			       "(1 recipient, kept 168 h, at most 4096 MiB);"),
		  "%s", text);
	cr_assert(strstr(config_warning(config), "of a store"));
	assert_takes("interface: eth1\noutput: out\nrecipient: [" OTHER ", " RECIPIENT
		     "]\nstores: {a: {}, b: {recipient: [" RECIPIENT ", " OTHER "]}}\n",
		     "");
	cr_assert_null(config_warning(config));
}
