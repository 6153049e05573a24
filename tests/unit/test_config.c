#include "config/config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config/value.h"
#include "serve/view.h"

/* A key of the age test vectors. */
#define RECIPIENT "age1xmwwc06ly3ee5rytxm9mflaz2u56jjj36s0mypdrwsvlul66mv4q47ryef"

#define ARGS_MAX (2 * CONFIG_ALLOW_MAX + 10)

static struct config config;
static struct err err;

/* The words of a line, behind the command's name. What was parsed before goes when this is right.
 */
static int parse_words(enum config_command command, const char *line)
{
	static char copy[16384];
	static char *argv[ARGS_MAX];
	struct config before = config;
	int argc = 0;

	cr_assert_lt(strlen(line), sizeof(copy));
	strcpy(copy, line);
	argv[argc++] = (char[]){"command"};
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	argv[argc] = NULL;
	err.text[0] = 0;
	const int ret = config_parse(&config, command, argc, argv, &err);
	if (!ret)
		config_close(&before);
	return ret;
}

static void close_config(void)
{
	config_close(&config);
}

TestSuite(config, .fini = close_config);

static int run(const char *line)
{
	return parse_words(CONFIG_RUN, line);
}

static int run_with(const char *more)
{
	char line[8192];

	(void)snprintf(line, sizeof(line), "-i eth1 -o out -r " RECIPIENT " %s", more);
	return run(line);
}

static int read_with(const char *more)
{
	char line[8192];

	(void)snprintf(line, sizeof(line), "-o out -r " RECIPIENT " %s", more);
	return parse_words(CONFIG_READ, line);
}

/* Refused with one sentence that has this in it. */
static void assert_refused(int ret, const char *names)
{
	cr_assert_eq(ret, -EINVAL, "%s: %d", names, ret);
	cr_assert(strstr(err.text, names), "'%s' is not in '%s'", names, err.text);
	cr_assert_not(strchr(err.text, '\n'));
}

static void assert_refuses(const char *more, const char *names)
{
	assert_refused(run_with(more), names);
}

static void assert_takes(const char *more)
{
	cr_assert_eq(run_with(more), 0, "%s: %s", more, err.text);
}

/* ---- what is taken ---- */

Test(config, three_options_are_enough_and_the_rest_is_as_documented)
{
	assert_takes("");
	cr_assert_eq(config.command, CONFIG_RUN);
	cr_assert_str_eq(config.interface, "eth1");
	cr_assert_str_eq(config.dir, "out");
	cr_assert_eq(config.n_recipients, 1);
	cr_assert_not(config.unencrypted);
	cr_assert_eq(config.n_allow, 0);
	cr_assert_eq(config.mode, ATTACH_AUTO);
	cr_assert_leq(config.workers, 4);
	cr_assert_geq(config.workers, 1);
	cr_assert_eq(config.writers, 1);
	cr_assert_eq(config.n_stores, 0);
	cr_assert_eq(config.port, 4789);
	cr_assert_eq(config.ring, 4096);
	cr_assert_eq(config.slack_ns, 20000000);
	cr_assert_eq(config.sessions_max, 4096);
	cr_assert_eq(config.flows_max, 65536);
	cr_assert_eq(config.chunks, 16);
	cr_assert_eq(config.chunk_len, 1 << 20);
	cr_assert_eq(config.split, 0);
	cr_assert_eq(config.rotate_len, 256 << 20);
	cr_assert_eq(config.rotate_ns, 300000000000);
	cr_assert_eq(config.flush_ns, 2000000000);
	cr_assert_eq(config.sync_ns, 5000000000);
	cr_assert_eq(config.statistics_ns, 60000000000);
	cr_assert_eq(config.retain_len, 0);
	cr_assert_eq(config.retain_session_len, 0);
	cr_assert_eq(config.retain_ns, 0);
	cr_assert_eq(config.retain_free, VALUE_PERCENT | 5);
	cr_assert_eq(config.level, 1);
	cr_assert_eq(config.memory, 2ull << 30);
	cr_assert_str_eq(config.listen, "127.0.0.1:9789");
	cr_assert_null(config.metrics);
	cr_assert_null(config.file);
	cr_assert_null(config.names);
	cr_assert_eq(config.unknown_sessions, SESSION_FULL);
	cr_assert_null(config.recipients_file);
	cr_assert_str_eq(config.health_listen, "none");
	cr_assert_eq(config.series_max, 100000);
	cr_assert_eq(config.histograms_max, 4096);
	cr_assert_eq(config.associations_max, 4096);
	cr_assert_eq(config.metrics_by, VIEW_BY_SESSION);
	cr_assert_eq(config.sessions_start, 4096);
}

Test(config, read_takes_files_before_and_behind_options_and_one_worker)
{
	cr_assert_eq(parse_words(CONFIG_READ, "a.pcap -o out --unencrypted - b.pcap"), 0, "%s",
		     err.text);
	cr_assert_eq(config.n_inputs, 3);
	cr_assert_str_eq(config.inputs[0], "a.pcap");
	cr_assert_str_eq(config.inputs[1], "-");
	cr_assert_str_eq(config.inputs[2], "b.pcap");
	cr_assert_eq(config.workers, 1);
	cr_assert_eq(config.flush_ns, 0);
	cr_assert_eq(config.sync_ns, 0);
	cr_assert(config.unencrypted);
}

Test(config, each_option_sets_its_field)
{
	assert_takes(
		"--mode generic --workers 3 --port 4790 --ring 512 --slack 5ms --sessions-max 7 "
		"--flows-max 128 --chunks 4 --chunk-size 256KiB --split session "
		"--rotate-size 1MiB --rotate-time 2s --flush-interval 3s "
		"--sync-interval 0 --statistics-interval 1m --level -3 --memory 1GiB --listen none "
		"--metrics - --allow 10.0.0.0/8 --allow fd00::/8 --names names.yaml "
		"--unknown-sessions count --health-listen :8080 --series-max 200 "
		"--histograms-max 5");
	cr_assert_eq(config.mode, ATTACH_GENERIC);
	cr_assert_eq(config.workers, 3);
	cr_assert_eq(config.port, 4790);
	cr_assert_eq(config.ring, 512);
	cr_assert_eq(config.slack_ns, 5000000);
	cr_assert_eq(config.sessions_max, 7);
	cr_assert_eq(config.flows_max, 128);
	cr_assert_eq(config.chunks, 4);
	cr_assert_eq(config.chunk_len, 256 << 10);
	cr_assert_eq(config.split, 1);
	cr_assert_eq(config.rotate_len, 1 << 20);
	cr_assert_eq(config.rotate_ns, 2000000000);
	cr_assert_eq(config.flush_ns, 3000000000);
	cr_assert_eq(config.sync_ns, 0);
	cr_assert_eq(config.statistics_ns, 60000000000);
	cr_assert_eq(config.level, -3);
	cr_assert_eq(config.memory, 1 << 30);
	cr_assert_str_eq(config.listen, "none");
	cr_assert_str_eq(config.metrics, "-");
	cr_assert_eq(config.n_allow, 2);
	cr_assert_eq(config.allow[0].len, 96 + 8);
	cr_assert_eq(config.allow[0].address.byte[12], 10);
	cr_assert_eq(config.allow[1].len, 8);
	cr_assert_eq(config.allow[1].address.byte[0], 0xfd);
	cr_assert_str_eq(config.names, "names.yaml");
	cr_assert_eq(config.unknown_sessions, SESSION_COUNT);
	cr_assert_str_eq(config.health_listen, ":8080");
	cr_assert_eq(config.series_max, 200);
	cr_assert_eq(config.histograms_max, 5);
	cr_assert_eq(config.sessions_start, 7);
}

Test(config, modes_are_those_of_attach)
{
	assert_takes("--mode auto");
	cr_assert_eq(config.mode, ATTACH_AUTO);
	assert_takes("--mode native");
	cr_assert_eq(config.mode, ATTACH_NATIVE);
}

Test(config, policies_are_those_of_sessions)
{
	assert_takes("--unknown-sessions full");
	cr_assert_eq(config.unknown_sessions, SESSION_FULL);
	assert_takes("--unknown-sessions headers");
	cr_assert_eq(config.unknown_sessions, SESSION_HEADERS);
	assert_takes("--unknown-sessions drop");
	cr_assert_eq(config.unknown_sessions, SESSION_DROP);
}

Test(config, kpis_are_told_by_what_the_view_knows)
{
	assert_takes("--metrics-by session");
	cr_assert_eq(config.metrics_by, VIEW_BY_SESSION);
	assert_takes("--metrics-by nf");
	cr_assert_eq(config.metrics_by, VIEW_BY_NF);
	assert_takes("--metrics-by both");
	cr_assert_eq(config.metrics_by, VIEW_BY_BOTH);
}

Test(config, addresses_to_listen_on_and_prefixes_may_be_of_both_families)
{
	assert_takes("--listen 0.0.0.0:80 --health-listen 127.0.0.1:8080");
	assert_takes("--listen [::1]:80 --health-listen [::]:65535");
	assert_takes(
		"--listen :80 --allow 10.0.0.1 --allow 0.0.0.0/0 --allow fd00::1 --allow ::/0");
	cr_assert_eq(config.allow[0].len, 128);
	cr_assert_eq(config.allow[1].len, 96);
	cr_assert_eq(config.allow[2].len, 128);
	cr_assert_eq(config.allow[3].len, 0);
}

Test(config, each_unit_of_size_is_known)
{
	static const struct {
		const char *text;
		uint64_t value;
	} sizes[] = {{"1048576", 1ull << 20}, {"1048576B", 1ull << 20}, {"1024KiB", 1ull << 20},
		     {"3MiB", 3ull << 20},    {"3GiB", 3ull << 30},     {"3TiB", 3ull << 40}};

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char more[64];
		(void)snprintf(more, sizeof(more), "--rotate-size %s", sizes[i].text);
		assert_takes(more);
		cr_assert_eq(config.rotate_len, sizes[i].value, "%s", more);
	}
}

Test(config, each_unit_of_time_is_known_and_0_needs_none)
{
	static const struct {
		const char *text;
		uint64_t value;
	} times[] = {
		{"7ns", 7},           {"7us", 7000},          {"7ms", 7000000}, {"7s", 7000000000},
		{"7m", 420000000000}, {"7h", 25200000000000}, {"0", 0},         {"0s", 0}};

	for (unsigned i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		char more[64];
		(void)snprintf(more, sizeof(more), "--rotate-time %s", times[i].text);
		assert_takes(more);
		cr_assert_eq(config.rotate_ns, times[i].value, "%s", more);
	}
}

Test(config, help_is_told_from_everything_else)
{
	cr_assert_eq(run("--help"), -ECANCELED);
	cr_assert_eq(run("-h"), -ECANCELED);
	cr_assert_eq(parse_words(CONFIG_READ, "a.pcap --help"), -ECANCELED);
}

Test(config, retention_has_sizes_a_time_and_a_part_of_the_disk)
{
	assert_takes("--retain-size 1GiB --retain-session-size 512MiB --retain-time 30d "
		     "--retain-free 20GiB");
	cr_assert_eq(config.retain_len, 1 << 30);
	cr_assert_eq(config.retain_session_len, 512 << 20);
	cr_assert_eq(config.retain_ns, 30 * UINT64_C(86400000000000));
	cr_assert_eq(config.retain_free, 20ull << 30);
}

/* ---- what is refused ---- */

Test(config, retention_of_less_than_two_files_is_refused)
{
	assert_refuses("--retain-size 511MiB", "--retain-size: less than two files of rotate-size "
					       "(256 MiB each)");
	assert_refuses("--rotate-size 1GiB --retain-session-size 1GiB", "--retain-session-size");
	assert_refuses("--retain-free 100%", "--retain-free 100%: a size such as 20GiB, or 0% to");
}

Test(config, times_and_sizes_that_are_none_are_refused_by_name)
{
	assert_refuses("--rotate-time 5", "--rotate-time 5");
	assert_refuses("--rotate-time ms", "--rotate-time ms");
	assert_refuses("--rotate-time -5ms", "--rotate-time -5ms");
	assert_refuses("--rotate-time +5ms", "--rotate-time +5ms");
	assert_refuses("--rotate-time 5MS", "--rotate-time 5MS");
	assert_refuses("--rotate-time 5min", "--rotate-time 5min");
	assert_refuses("--rotate-time 1.5s", "--rotate-time 1.5s");
	assert_refuses("--rotate-time 5msx", "--rotate-time 5msx");
	assert_refuses("--rotate-time x", "--rotate-time x");
	assert_refuses("--rotate-time 99999999999999999999ns",
		       "--rotate-time 99999999999999999999ns");
	assert_refuses("--rotate-time 18446744073709551615h",
		       "--rotate-time 18446744073709551615h");
	assert_refuses("--rotate-size 1MB", "--rotate-size");
	assert_refuses("--rotate-size 1M", "--rotate-size");
	assert_refuses("--memory 16777216TiB", "--memory");
}

Test(config, numbers_that_are_none_are_refused_by_name)
{
	assert_refuses("--workers two", "--workers");
	assert_refuses("--workers 2.0", "--workers");
	assert_refuses("--workers 0x2", "--workers");
	assert_refuses("--chunks 4KiB", "--chunks");
	assert_refuses("--workers=", "--workers");
	assert_refuses("--level x", "--level");
	assert_refuses("--level=", "--level");
}

Test(config, each_range_is_kept_at_both_ends)
{
	static const struct {
		const char *option, *least, *most, *below, *above;
	} ranges[] = {{"--workers", "1", "32", "0", "33"},
		      {"--port", "1", "65535", "0", "65536"},
		      {"--ring", "64", "65536", "32", "131072"},
		      {"--slack", "0", "10s", NULL, "10001ms"},
		      {"--sessions-max", "1", "1048576", "0", "1048577"},
		      {"--flows-max", "64", "16777216", "63", "16777217"},
		      {"--chunks", "2", "4096", "1", "4097"},
		      {"--chunk-size", "128KiB", "64MiB", "131071", "67108865"},
		      {"--rotate-size", "64KiB", "1TiB", "65535", NULL},
		      {"--series-max", "100", "10000000", "99", "10000001"},
		      {"--histograms-max", "1", "1048576", "0", "1048577"},
		      {"--level", "-7", "19", "-8", "20"},
		      {"--memory", "1MiB", "1TiB", "1048575", NULL}};
	char more[64];

	for (unsigned i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		const char *option = ranges[i].option;
		(void)snprintf(more, sizeof(more), "%s %s", option, ranges[i].least);
		assert_takes(more);
		(void)snprintf(more, sizeof(more), "%s %s", option, ranges[i].most);
		assert_takes(more);
		(void)snprintf(more, sizeof(more), "%s %s", option, ranges[i].below);
		if (ranges[i].below)
			assert_refuses(more, option);
		(void)snprintf(more, sizeof(more), "%s %s", option, ranges[i].above);
		if (ranges[i].above)
			assert_refuses(more, option);
	}
}

Test(config, ring_is_a_power_of_two)
{
	assert_refuses("--ring 1000", "--ring");
	assert_takes("--ring 1024");
}

Test(config, ranges_are_said_in_units_that_people_use)
{
	assert_refuses("--chunk-size 1", "allowed is 128KiB to 64MiB");
	assert_refuses("--rotate-size 1B", "allowed is 64KiB or more");
	assert_refuses("--slack 11s", "allowed is 0 to 10s");
	assert_refuses("--ring 1", "allowed is 64 to 65536");
}

Test(config, addresses_that_are_none_are_refused_by_name)
{
	static const char *const endpoints[] = {
		"9789",         "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536",
		"localhost:80", "::1:80",    "[::1]",      "[::1:80",     "[1.2.3.4]:80",
		"off"};
	static const char *const prefixes[] = {"10.0.0.0/33", "10.0.0.0/", "10.0.0/8",
					       "fd00::/129",  "x",         "10.0.0.0/8/8"};
	char more[64];

	for (unsigned i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++) {
		(void)snprintf(more, sizeof(more), "--listen %s", endpoints[i]);
		assert_refuses(more, more);
		(void)snprintf(more, sizeof(more), "--health-listen %s", endpoints[i]);
		assert_refuses(more, more);
	}
	for (unsigned i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		(void)snprintf(more, sizeof(more), "--allow %s", prefixes[i]);
		assert_refuses(more, more);
	}
}

Test(config, empty_texts_are_refused_by_name)
{
	assert_refuses("--interface=", "--interface: IFACE is wanted");
	assert_refuses("--listen=", "--listen: ");
	assert_refuses("--allow=", "--allow: ");
	assert_refuses("--recipient=", "--recipient: ");
}

Test(config, words_that_are_no_choice_are_refused_by_name)
{
	assert_refuses("--mode nativ", "--mode");
	assert_refuses("--mode=", "--mode");
	assert_refuses("--split all", "--split");
}

Test(config, several_choices_at_once_are_refused)
{
	assert_refuses("--mode native|generic", "--mode");
	assert_refuses("--split none|session", "--split");
}

Test(config, missing_options_are_named)
{
	assert_refused(run("-o out -r " RECIPIENT), "-i");
	assert_refused(run("-i eth1 -r " RECIPIENT), "-o");
	assert_refused(run("-i eth1 -o out"), "-r");
	assert_refused(run("-i eth1 -o out"), "--unencrypted");
	assert_refused(read_with(""), "capture file");
	assert_refused(parse_words(CONFIG_READ, "a.pcap -o out"), "-r");
	assert_refused(parse_words(CONFIG_READ, "a.pcap -o out --unencrypted --json --metrics -"),
		       "--json and --metrics -");
	assert_refused(parse_words(CONFIG_CHECK, "-i eth1 -o out --unencrypted"), "-c FILE");
}

Test(config, missing_options_are_named_as_keys_too)
{
	assert_refused(run("-o out -r " RECIPIENT), "'interface: IFACE'");
	assert_refused(run("-i eth1 -r " RECIPIENT), "'output: DIR'");
	assert_refused(run("-i eth1 -o out"), "'recipient: age1...'");
	assert_refused(run("-i eth1 -o out"), "'unencrypted: true'");
}

Test(config, missing_arguments_are_named)
{
	assert_refuses("--ring", "--ring wants an argument");
	assert_refuses("-o", "-o wants an argument");
}

Test(config, contradictions_are_refused)
{
	assert_refuses("--unencrypted", "--unencrypted: contradicts --recipient");
	assert_refuses("--listen :80 --health-listen :80",
		       "--health-listen: :80 is taken by --listen");
	assert_refuses("--health-listen 127.0.0.1:9789", "is taken by the default of --listen");
	assert_takes("--listen none --health-listen none");
	assert_refused(read_with("- --workers 2"), "standard input");
	cr_assert_eq(read_with("- --workers 1"), 0);
	cr_assert_eq(read_with("a.pcap --workers 2"), 0);
}

Test(config, unknown_options_are_named)
{
	assert_refuses("--bogus", "--bogus");
	assert_refuses("--bogus=1", "--bogus");
	assert_refuses("-Z", "-Z");
	assert_refused(read_with("a.pcap -Z"), "-Z");
	assert_refused(read_with("a.pcap --bogus b.pcap"), "--bogus");
}

Test(config, unknown_letter_in_front_of_others_is_named)
{
	assert_refuses("-Zh", "-Z");
}

Test(config, options_of_the_other_command_are_unknown)
{
	assert_refused(read_with("a.pcap --ring 64"), "--ring");
	assert_refused(read_with("a.pcap -i eth1"), "-i");
}

Test(config, run_takes_no_files)
{
	assert_refuses("a.pcap", "a.pcap");
}

Test(config, recipient_that_is_none_is_named)
{
	assert_refused(run("-i eth1 -o out -r age1nonsense"), "age1nonsense");
}

Test(config, secret_given_as_recipient_is_not_repeated)
{
	assert_refused(run("-i eth1 -o out -r AGE-SECRET-KEY-1QQQQ"), "--recipient: ");
	cr_assert_not(strstr(err.text, "QQQQ"));
}

Test(config, recipients_are_limited)
{
	char line[8192] = "";

	for (unsigned i = 1; i < SEAL_RECIPIENTS_MAX; i++)
		strcat(line, "-r " RECIPIENT " ");
	assert_takes(line);
	cr_assert_eq(config.n_recipients, SEAL_RECIPIENTS_MAX);
	strcat(line, "-r " RECIPIENT);
	assert_refuses(line, "recipients");
}

Test(config, prefixes_to_allow_are_limited)
{
	static char line[16384];
	size_t n = 0;

	for (unsigned i = 0; i <= CONFIG_ALLOW_MAX; i++)
		n += (size_t)snprintf(line + n, sizeof(line) - n, "--allow ::/0 ");
	assert_refused(run(line), "allow");
}

Test(config, output_stays_untouched_on_failure)
{
	assert_takes("");
	config.port = 1;
	assert_refuses("--port 99999", "--port");
	cr_assert_eq(config.port, 1);
}
