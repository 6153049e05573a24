#include "config/config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../support/configured.h"
#include "config/option.h"
#include "serve/view.h"

static struct config *const config = &configured.config;
static struct err *const err = &configured.err;

TestSuite(config_file, .init = configured_init, .fini = configured_fini);

/* ---- what is taken ---- */

Test(config_file, keys_are_the_long_options)
{
	assert_takes(ENOUGH
		     "names: names.yaml\nunknown-sessions: headers\nmode: generic\n"
		     "workers: 3\nport: 4790\nring: 512\nslack: 5ms\nsessions-max: 7\n"
		     "flows-max: 128\nseries-max: 200\nhistograms-max: 5\nchunks: 4\n"
		     "metrics-by: both\nassociations-max: 77\n"
		     "chunk-size: 256KiB\nsplit: session\nrotate-size: 1MiB\n"
		     "rotate-time: 2s\nflush-interval: 3s\nsync-interval: 0\n"
		     "statistics-interval: 1m\nlevel: -3\nmemory: 1GiB\nlisten: '[::1]:9789'\n"
		     "health-listen: 0.0.0.0:8080\nmetrics: last.prom\n",
		     "");
	cr_assert_str_eq(config->file, configured.file);
	cr_assert_str_eq(config->interface, "eth1");
	cr_assert_str_eq(config->dir, "out");
	cr_assert_eq(config->n_recipients, 1);
	cr_assert_str_eq(config->names, "names.yaml");
	cr_assert_eq(config->unknown_sessions, SESSION_HEADERS);
	cr_assert_eq(config->mode, ATTACH_GENERIC);
	cr_assert_eq(config->workers, 3);
	cr_assert_eq(config->port, 4790);
	cr_assert_eq(config->ring, 512);
	cr_assert_eq(config->slack_ns, 5000000);
	cr_assert_eq(config->sessions_max, 7);
	cr_assert_eq(config->sessions_start, 7);
	cr_assert_eq(config->flows_max, 128);
	cr_assert_eq(config->series_max, 200);
	cr_assert_eq(config->histograms_max, 5);
	cr_assert_eq(config->metrics_by, VIEW_BY_BOTH);
	cr_assert_eq(config->associations_max, 77);
	cr_assert_eq(config->chunks, 4);
	cr_assert_eq(config->chunk_len, 256 << 10);
	cr_assert_eq(config->split, 1);
	cr_assert_eq(config->rotate_len, 1 << 20);
	cr_assert_eq(config->rotate_ns, 2000000000);
	cr_assert_eq(config->flush_ns, 3000000000);
	cr_assert_eq(config->sync_ns, 0);
	cr_assert_eq(config->statistics_ns, 60000000000);
	cr_assert_eq(config->level, -3);
	cr_assert_eq(config->memory, 1 << 30);
	cr_assert_str_eq(config->listen, "[::1]:9789");
	cr_assert_str_eq(config->health_listen, "0.0.0.0:8080");
	cr_assert_str_eq(config->metrics, "last.prom");
}

Test(config_file, values_outlive_what_they_were_read_from)
{
	assert_takes(ENOUGH, "");
	configured_put(configured.file, "x: y\n");
	cr_assert_str_eq(config->interface, "eth1");
}

Test(config_file, repeatable_options_take_one_value_or_a_list)
{
	assert_takes("interface: eth1\noutput: out\nrecipient:\n  - " RECIPIENT "\n  - " OTHER
		     "\nallow: [10.0.0.0/8, 'fd00::/8']\n",
		     "");
	cr_assert_eq(config->n_recipients, 2);
	cr_assert_eq(config->n_allow, 2);
	cr_assert_eq(config->allow[1].address.byte[0], 0xfd);
	assert_takes(ENOUGH "allow: 10.0.0.0/8\n", "");
	cr_assert_eq(config->n_allow, 1);
}

Test(config_file, flags_are_true_or_false)
{
	assert_takes("interface: eth1\noutput: out\nunencrypted: true\n", "");
	cr_assert(config->unencrypted);
	assert_takes(ENOUGH "unencrypted: false\n", "");
	cr_assert_not(config->unencrypted);
}

Test(config_file, command_line_overrides_the_file)
{
	assert_takes(ENOUGH "ring: 512\nworkers: 3\n", "--ring 1024 -o elsewhere");
	cr_assert_eq(config->ring, 1024);
	cr_assert_eq(config->workers, 3);
	cr_assert_str_eq(config->dir, "elsewhere");
}

Test(config_file, list_on_the_command_line_replaces_the_files)
{
	struct seal_recipient other;

	assert_takes(ENOUGH "allow: [10.0.0.0/8, 10.1.0.0/16]\n", "--allow 192.0.2.0/24 -r " OTHER);
	cr_assert_eq(config->n_allow, 1);
	cr_assert_eq(config->allow[0].address.byte[12], 192);
	cr_assert_eq(config->n_recipients, 1);
	cr_assert_eq(seal_recipient_parse(&other, OTHER, err), 0);
	cr_assert_arr_eq(&config->recipients[0], &other, sizeof(other));
}

Test(config_file, read_takes_the_same_file)
{
	configured_put(configured.file,
		       ENOUGH "ring: 512\nlisten: none\nhealth-listen: none\nallow: 10.0.0.0/8\n");
	cr_assert_eq(configured_parse(CONFIG_READ, "a.pcap"), 0, "%s", err->text);
	cr_assert_eq(config->n_inputs, 1);
	cr_assert_str_eq(config->dir, "out");
	cr_assert_eq(config->workers, 1);
}

Test(config_file, file_may_leave_out_what_the_command_line_has)
{
	assert_takes("", "-i eth1 -o out --unencrypted");
	assert_takes("# nothing\n", "-i eth1 -o out --unencrypted");
}

/* ---- recipients ---- */

Test(config_file, recipients_file_is_as_age_takes_it)
{
	char more[128];

	configured_put(configured.recipients,
		       "# the tracing team\n" OTHER "\n\n   # nobody else\r\n" RECIPIENT);
	(void)snprintf(more, sizeof(more), "-R %s", configured.recipients);
	assert_takes("interface: eth1\noutput: out\n", more);
	cr_assert_eq(config->n_recipients, 2);
	cr_assert_str_eq(config->recipients_file, configured.recipients);
	assert_takes(ENOUGH, more);
	cr_assert_eq(config->n_recipients, 3, "those of a file are added");
}

Test(config_file, recipients_file_has_lines_too)
{
	assert_says(configured_run_recipients("# x\n" OTHER "\nage1nonsense\n"),
		    "recipients:3: recipient 'age1nonsense'");
	assert_says(configured_run_recipients("# none\n"), "recipients: no recipient is in it");
	assert_says(configured_run_recipients("\nAGE-SECRET-KEY-1QQQQ\n"), "recipients:2: ");
	cr_assert_not(strstr(err->text, "QQQQ"));
}

Test(config_file, recipients_file_that_is_missing_is_named_with_its_line)
{
	assert_says(
		configured_run(ENOUGH "recipients-file: /nowhere/r\n", ""),
		"c.yaml:4: recipients-file: cannot open the recipients file /nowhere/r: No such");
}

Test(config_file, recipients_file_without_end_is_refused, .timeout = 20)
{
	cr_assert_eq(
		configured_run("interface: eth1\noutput: out\nrecipients-file: /dev/zero\n", ""),
		-EINVAL);
	cr_assert(strstr(err->text, "/dev/zero: more than 1000 lines"), "%s", err->text);
}

/* ---- what is refused ---- */

static const struct {
	const char *text, *begins, *mentions;
} mistakes[] = {
	/* what is no YAML, or not ours */
	{ENOUGH "ring: [", "c.yaml:", "YAML"},
	{ENOUGH "\tring: 512\n", "c.yaml:4: ", "tab"},
	{"- eth1\n", "c.yaml:1: ", "'interface: eth1'"},
	{"eth1\n", "c.yaml:1: ", "'interface: eth1'"},
	{ENOUGH "ring: 512\nring: 512\n", "c.yaml:5: ring: ", "line 4"},
	{ENOUGH "ring: &a 512\n", "c.yaml:4: ", "anchors"},
	/* keys */
	{ENOUGH "rotate-sise: 1GiB\n", "c.yaml:4: rotate-sise: unknown key", "rotate-size"},
	{ENOUGH "rotate_size: 1GiB\n", "c.yaml:4: rotate_size: unknown key", "rotate-size"},
	{ENOUGH "\n# a comment\nfoo: 1\n", "c.yaml:6: foo: unknown key", "known here"},
	{ENOUGH "capture:\n  ring: 512\n", "c.yaml:4: capture: unknown key", ""},
	{ENOUGH "config: other.yaml\n", "c.yaml:4: config: ", "command line only"},
	{ENOUGH "help: true\n", "c.yaml:4: help: ", "command line only"},
	/* kinds */
	{ENOUGH "ring: [512, 1024]\n", "c.yaml:4: ring: one value is wanted", "list"},
	{ENOUGH "ring:\n  size: 512\n", "c.yaml:4: ring: one value is wanted", "map"},
	{ENOUGH "allow:\n  a: 10.0.0.0/8\n", "c.yaml:4: allow: one value or a list", "map"},
	{ENOUGH "allow:\n  - 10.0.0.0/8\n  - [fd00::/8]\n", "c.yaml:6: allow: ", "plain values"},
	{ENOUGH "allow: []\n", "c.yaml:4: allow: the list is empty", "leave the key out"},
	/* values */
	{ENOUGH "workers: two\n", "c.yaml:4: workers: two: a number is wanted", ""},
	{ENOUGH "workers: 1.5\n", "c.yaml:4: workers: 1.5: a number is wanted", ""},
	{ENOUGH "workers: 0\n", "c.yaml:4: workers: 0: allowed is 1 to 32", ""},
	{ENOUGH "workers:\n", "c.yaml:4: workers: a number is wanted", ""},
	{ENOUGH "port: 65536\n", "c.yaml:4: port: 65536: allowed is 1 to 65535", ""},
	{ENOUGH "ring: 1000\n", "c.yaml:4: ring: 1000: a power of two", ""},
	{ENOUGH "ring: 4Ki\n", "c.yaml:4: ring: 4Ki: a number is wanted", ""},
	{ENOUGH "slack: 20\n", "c.yaml:4: slack: 20: a time such as 20ms", ""},
	{ENOUGH "slack: 11s\n", "c.yaml:4: slack: 11s: allowed is 0 to 10s", ""},
	{ENOUGH "rotate-size: 64MB\n", "c.yaml:4: rotate-size: 64MB: a size such as 64MiB", ""},
	{ENOUGH "rotate-size: 1KiB\n", "c.yaml:4: rotate-size: 1KiB: allowed is 64KiB or more", ""},
	{ENOUGH "rotate-time: 5min\n", "c.yaml:4: rotate-time: 5min: a time such as", ""},
	{ENOUGH "level: 20\n", "c.yaml:4: level: 20: allowed is -7", "19"},
	{ENOUGH "mode: fast\n", "c.yaml:4: mode: fast: one of auto|native|generic", ""},
	{ENOUGH "unknown-sessions: keep\n", "c.yaml:4: unknown-sessions: keep: one of full|", ""},
	{ENOUGH "unencrypted: yes\n", "c.yaml:4: unencrypted: yes: true or false is wanted", ""},
	{ENOUGH "listen: localhost:9789\n", "c.yaml:4: listen: localhost:9789: an address", "none"},
	{ENOUGH "listen: 9789\n", "c.yaml:4: listen: 9789: an address and port", ""},
	{ENOUGH "health-listen: 1.2.3.4\n", "c.yaml:4: health-listen: 1.2.3.4: an address", ""},
	{ENOUGH "allow: 10.0.0.0/33\n", "c.yaml:4: allow: 10.0.0.0/33: an address or prefix", ""},
	{ENOUGH "allow:\n- 10.0.0.0/8\n- x\n", "c.yaml:6: allow: x: an address or prefix", ""},
	{ENOUGH "metrics: ''\n", "c.yaml:4: metrics: FILE is wanted", ""},
	{ENOUGH "names: \"a\\nb\"\nring: \"5\\n\"\n", "c.yaml:5: ring: 5?: a number is wanted", ""},
	{"recipient: age1x\n", "c.yaml:1: recipient: recipient 'age1x' is not", ""},
	{"recipient:\n  - " RECIPIENT "\n  - age1x\n", "c.yaml:3: recipient: recipient 'age1x'",
	 ""},
	{"recipient: AGE-SECRET-KEY-1QQ\n", "c.yaml:1: recipient: a secret key was given", ""},
	/* contradictions */
	{ENOUGH "unencrypted: true\n", "c.yaml:4: unencrypted: contradicts ",
	 "c.yaml:3: recipient"},
	{ENOUGH "listen: 10.0.0.1:80\nhealth-listen: 10.0.0.1:80\n",
	 "c.yaml:5: health-listen: 10.0.0.1:80 is taken by ", "c.yaml:4: listen"},
};

Test(config_file, each_mistake_is_named_with_file_line_and_key)
{
	for (unsigned i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		assert_says(configured_run(mistakes[i].text, ""), mistakes[i].begins);
		assert_mentions(mistakes[i].mentions);
	}
}

Test(config_file, mistakes_are_refused_although_the_command_line_overrides_them)
{
	assert_says(configured_run(ENOUGH "ring: 1000\n", "--ring 512"), "c.yaml:4: ring: 1000");
}

Test(config_file, contradictions_over_both_name_both)
{
	(void)configured_run(ENOUGH, "--unencrypted");
	cr_assert(!strncmp(err->text, "--unencrypted: contradicts ", 27), "%s", err->text);
	assert_mentions("c.yaml:3: recipient");
	assert_says(configured_run("interface: eth1\noutput: out\nunencrypted: true\n",
				   "-r " RECIPIENT),
		    "c.yaml:3: unencrypted: contradicts --recipient");
	configured_put(configured.file, ENOUGH "workers: 2\n");
	cr_assert_eq(configured_parse(CONFIG_READ, "-"), -EINVAL);
	assert_mentions("standard input");
	assert_mentions("c.yaml:4: workers");
}

Test(config_file, file_that_is_missing_is_named)
{
	cr_assert_lt(configured_parse(CONFIG_RUN, ""), 0);
	assert_mentions(configured.file);
	assert_mentions("No such file");
}

Test(config_file, missing_options_are_said_as_key_and_as_option)
{
	cr_assert_eq(configured_run("output: out\n", "-r " RECIPIENT), -EINVAL);
	assert_mentions("-i IFACE");
	assert_mentions("'interface: IFACE'");
}

Test(config_file, options_of_run_are_refused_on_the_line_of_read)
{
	configured_put(configured.file, ENOUGH);
	cr_assert_eq(configured_parse(CONFIG_READ, "a.pcap --ring 512"), -EINVAL);
	assert_mentions("--ring");
}

Test(config_file, output_stays_untouched_on_failure)
{
	assert_takes(ENOUGH, "");
	config->port = 1;
	assert_says(configured_run(ENOUGH "port: 0\n", ""), "c.yaml:4: port");
	cr_assert_eq(config->port, 1);
}

/* ---- the example ---- */

#define EXAMPLE "tools/deploy/vxprobe.yaml"

/* Calls take for each line of the example that is a key, set or "#key: value". */
static void for_each_key(void (*take)(const struct option_row *row, const char *value, bool is_set,
				      const char *line))
{
	char line[256], key[64], value[160];
	FILE *f = fopen(EXAMPLE, "re");

	cr_assert(f, "%s: the tests run in the top folder", EXAMPLE);
	while (fgets(line, sizeof(line), f)) {
		const bool is_set = *line != '#';
		if (sscanf(line + !is_set, "%63[a-z-]: %159[^\n]", key, value) != 2)
			continue;
		const struct option_row *row = option_find(key);
		cr_assert(row && option_is_key(row), "no key of ours: %s", line);
		take(row, value, is_set, line);
	}
	(void)fclose(f);
}

static unsigned seen[OPTION_ROWS_MAX];

static void count_key(const struct option_row *row, const char *value, bool is_set,
		      const char *line)
{
	(void)value;
	(void)is_set;
	(void)line;
	seen[row - option_rows]++;
}

Test(config_file, example_has_every_key_once)
{
	for_each_key(count_key);
	for (unsigned i = 0; i < option_n; i++)
		cr_assert_eq(seen[i], option_is_key(&option_rows[i]), "%s", option_rows[i].name);
}

static void check_default(const struct option_row *row, const char *value, bool is_set,
			  const char *line)
{
	static struct config as_shown, as_is;

	if (is_set || !row->fallback)
		return;
	cr_assert_eq(option_set(&as_shown, row, value, err), 0, "%s%s", line, err->text);
	cr_assert_eq(option_set(&as_is, row, row->fallback, err), 0);
	cr_assert(option_is_equal(row, &as_shown, &as_is), "the default is %s: %s", row->fallback,
		  line);
}

Test(config_file, example_shows_the_real_defaults)
{
	for_each_key(check_default);
}

/* The example as it is, or with every "#key: value" made a key; its recipient is nobody's, so that
 * none is copied by mistake. */
static void copy_example(bool uncomment)
{
	char line[256];
	FILE *from = fopen(EXAMPLE, "re"), *to = fopen(configured.file, "we");

	cr_assert(from && to);
	while (fgets(line, sizeof(line), from)) {
		const bool is_key = line[0] == '#' && line[1] >= 'a' && line[1] <= 'z';
		if (uncomment && !strcmp(line, "#recipient: [age1...]\n"))
			(void)fputs("recipient: [" RECIPIENT "]\n", to);
		else if (uncomment && !strncmp(line, "#sample-key-file: ", 18))
			(void)fprintf(to, "sample-key-file: %s\n", configured.recipients);
		else
			(void)fputs(line + (is_key && uncomment), to);
	}
	cr_assert(!fclose(from) && !fclose(to));
}

Test(config_file, example_parses_as_it_is_and_with_all_of_its_keys)
{
	char more[128];

	configured_put(configured.recipients, RECIPIENT "\n");
	(void)snprintf(more, sizeof(more), "-R %s", configured.recipients);
	copy_example(false);
	cr_assert_eq(configured_parse(CONFIG_RUN, more), 0, "%s", err->text);
	cr_assert_eq(config->unknown_sessions, SESSION_HEADERS);
	cr_assert_not(config->unencrypted);
	copy_example(true);
	cr_assert_eq(configured_parse(CONFIG_RUN, more), 0, "%s", err->text);
}

/* ---- files that are named, and the summary ---- */

static int check_folder(const char *dir)
{
	char yaml[256];

	(void)snprintf(yaml, sizeof(yaml),
		       "interface: eth1\nrecipient: " RECIPIENT "\noutput: %s\n", dir);
	configured_put(configured.file, yaml);
	cr_assert_eq(configured_parse(CONFIG_CHECK, ""), 0, "%s", err->text);
	return config_check_files(config, err);
}

Test(config_file, check_wants_a_folder_that_can_be_written)
{
	char text[256];

	cr_assert_eq(check_folder(configured.folder), 0, "%s", err->text);
	assert_says(check_folder("/nowhere"),
		    "c.yaml:3: output: cannot write into the folder /nowhere: No such file");
	assert_says(check_folder(configured.file),
		    "c.yaml:3: output: cannot write into the folder ");
	assert_mentions("Not a directory");
	cr_assert_eq(check_folder(configured.folder), 0);
	config_summary(config, text, sizeof(text));
	cr_assert(strstr(text, "eth1") && strstr(text, configured.folder) &&
			  strstr(text, "1 recipient;") &&
			  strstr(text, "no names, all sessions: full"),
		  "%s", text);
}

Test(config_file, sample_wants_a_key)
{
	char more[256], text[512];

	configured_put(configured.file, ENOUGH);
	configured_put(configured.recipients, "policies:\n  thin: {sample: 1/16}\n");
	(void)snprintf(more, sizeof(more), "-o %s --names %s", configured.folder,
		       configured.recipients);
	cr_assert_eq(configured_parse(CONFIG_CHECK, more), 0, "%s", err->text);
	cr_assert_eq(config_check_files(config, err), -EINVAL);
	cr_assert(strstr(err->text, ": policy thin has a sample, and there is no key by which "
				    "flows are chosen: give --sample-key-file FILE"),
		  "%s", err->text);
	(void)snprintf(text, sizeof(text), "%s --sample-key-file %s", more, configured.file);
	cr_assert_eq(configured_parse(CONFIG_CHECK, text), 0, "%s", err->text);
	cr_assert_eq(config_check_files(config, err), 0, "%s", err->text);
	assert_says(configured_run(ENOUGH "sample-key-file: /nowhere/key\n", ""),
		    "c.yaml:4: sample-key-file: cannot open the sample key file /nowhere/key: No");
}

Test(config_file, summary_has_the_policy_of_unknown_sessions)
{
	char more[256], text[256];

	configured_put(configured.file, ENOUGH "unknown-sessions: count\n");
	configured_put(configured.recipients, "policies: {thin: {}}\nunknown-sessions: thin\n");
	(void)snprintf(more, sizeof(more), "-o %s --names %s", configured.folder,
		       configured.recipients);
	cr_assert_eq(configured_parse(CONFIG_CHECK, more), 0, "%s", err->text);
	config_summary(config, text, sizeof(text));
	cr_assert(strstr(text, "0 names, other sessions: thin"), "%s", text);
}

Test(config_file, check_reads_the_names)
{
	char more[256], text[256];

	configured_put(configured.file, ENOUGH "names: /nowhere/names.yaml\n");
	(void)snprintf(more, sizeof(more), "-o %s", configured.folder);
	cr_assert_eq(configured_parse(CONFIG_CHECK, more), 0, "%s", err->text);
	assert_says(config_check_files(config, err),
		    "c.yaml:4: names: cannot open /nowhere/names.yaml: No such file");
	configured_put(configured.file, ENOUGH "unknown-sessions: count\n");
	configured_put(configured.recipients,
		       "sessions:\n  - name: a\n    source: 10.0.0.1\n    vni: 1\n");
	(void)snprintf(more, sizeof(more), "-o %s --names %s", configured.folder,
		       configured.recipients);
	cr_assert_eq(configured_parse(CONFIG_CHECK, more), 0, "%s", err->text);
	cr_assert_eq(config_check_files(config, err), 0, "%s", err->text);
	config_summary(config, text, sizeof(text));
	cr_assert(strstr(text, "1 name, other sessions: count"), "%s", text);
}
