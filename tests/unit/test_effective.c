#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "../support/configured.h"

TestSuite(effective, .init = configured_init, .fini = configured_fini);

static uint8_t hash[2][32];

static bool differ(const char *one, const char *two)
{
	assert_takes(one, "");
	config_hash(&configured.config, hash[0]);
	config_close(&configured.config);
	assert_takes(two, "");
	config_hash(&configured.config, hash[1]);
	return memcmp(hash[0], hash[1], sizeof(hash[0])) != 0;
}

Test(effective, hash_is_of_values_not_of_the_way_they_are_written)
{
	cr_expect_not(differ(ENOUGH, ENOUGH));
	cr_expect_not(differ(ENOUGH "rotate-time: 5m\n", "# x\n" ENOUGH));
	cr_expect_not(differ(ENOUGH "rotate-time: 5m\n", ENOUGH "rotate-time: 300s\n"));
}

Test(effective, hash_is_of_every_kind_of_value)
{
	static const char *const more[] = {
		"rotate-time: 1s\n", "level: -3\n",       "split: session\n",    "names: n.yaml\n",
		"listen: none\n",    "ring: 512\n",       "allow: 10.0.0.0/8\n", "memory: 1GiB\n",
		"evidence: false\n", "retain-free: 9%\n", "stores: {a: {}}\n"};

	for (unsigned i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		char text[512];
		(void)snprintf(text, sizeof(text), ENOUGH "%s", more[i]);
		cr_expect(differ(ENOUGH, text), "%s", more[i]);
	}
	cr_expect(differ("interface: e\noutput: o\nunencrypted: true\n",
			 "interface: e\noutput: o\nrecipient: " RECIPIENT "\n"));
	cr_expect(differ("interface: e\noutput: o\nrecipient: " OTHER "\n",
			 "interface: e\noutput: o\nrecipient: " RECIPIENT "\n"));
	cr_expect(
		differ(ENOUGH "stores: {a: {}}\n", ENOUGH "stores: {a: {recipient: " OTHER "}}\n"));
	cr_expect(differ(ENOUGH "stores: {a: {}}\n", ENOUGH "stores: {a: {retain-time: 1d}}\n"));
	cr_expect(differ(ENOUGH "allow: 10.0.0.0/8\n", ENOUGH "allow: 10.0.0.0/9\n"));
}

Test(effective, hash_is_of_the_sample_key_itself)
{
	char text[512];

	(void)snprintf(text, sizeof(text), ENOUGH "sample-key-file: %s\n", configured.recipients);
	for (unsigned i = 0; i < 2; i++) {
		configured_put(configured.recipients, i ? "0123456789abcdef" : "fedcba9876543210");
		assert_takes(text, "");
		config_hash(&configured.config, hash[i]);
		config_close(&configured.config);
	}
	cr_expect_neq(memcmp(hash[0], hash[1], sizeof(hash[0])), 0);
}
