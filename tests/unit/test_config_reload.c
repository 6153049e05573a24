#include "config/config.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "../support/configured.h"
#include "config/option.h"

static struct config *const config = &configured.config;
static struct err *const err = &configured.err;

TestSuite(config_reload, .init = configured_init, .fini = configured_fini);

/* Each key with another value than that of the start, and what is said of it; NULL: allowed. */
static const struct {
	const char *key, *start, *now, *refused;
} changes[] = {
	{"interface", "eth1", "eth2", "takes effect at a start; running is eth1"},
	{"output", "out", "out2", "takes effect at a start; running is out"},
	{"recipient", RECIPIENT, OTHER, NULL},
	{"unencrypted", "false", "true", "contradicts"},
	{"names", "a.yaml", "b.yaml", NULL},
	{"unknown-sessions", "full", "drop", NULL},
	{"sample-key-file", "/proc/version", "/proc/filesystems", NULL},
	{"allow", "10.0.0.0/8", "[10.0.0.0/8, 10.0.0.0/16]",
	 "takes effect at a start; running is a list of 1"},
	{"mode", "auto", "native", "takes effect at a start; running is auto"},
	{"workers", "2", "3", "takes effect at a start; running is 2"},
	{"writers", "1", "2", "a writer for each of 1 store is enough"},
	{"port", "4789", "4790", "takes effect at a start; running is 4789"},
	{"ring", "4096", "512", "takes effect at a start; running is 4096"},
	{"slack", "20ms", "21ms", "takes effect at a start; running is 20ms"},
	{"sessions-max", "100", "400", NULL},
	{"sessions-max", "100", "401",
	 "can grow to 400, 4 times that of the start; running is 100"},
	{"sessions-max", "100", "99", "can become less at a start only; running is 100"},
	{"flows-max", "128", "256", "takes effect at a start; running is 128"},
	{"associations-max", "64", "128", "takes effect at a start; running is 64"},
	{"series-max", "200", "300", "takes effect at a start; running is 200"},
	{"metrics-by", "session", "nf", "takes effect at a start; running is session"},
	{"histograms-max", "5", "6", "takes effect at a start; running is 5"},
	{"chunks", "4", "5", "takes effect at a start; running is 4"},
	{"chunk-size", "1MiB", "2MiB", "takes effect at a start; running is 1MiB"},
	{"split", "none", "session", "takes effect at a start; running is none"},
	{"rotate-size", "1GiB", "1MiB", NULL},
	{"rotate-time", "5m", "1s", NULL},
	{"flush-interval", "2s", "1s", NULL},
	{"sync-interval", "5s", "0", NULL},
	{"statistics-interval", "60s", "1s", NULL},
	{"evidence", "true", "false", "takes effect at a start; running is true"},
	{"retain-size", "1GiB", "2GiB", NULL},
	{"retain-session-size", "1GiB", "2GiB", NULL},
	{"retain-time", "30d", "1d", NULL},
	{"retain-free", "5%", "20GiB", NULL},
	{"stores", "{a: {}}", "{b: {}}", "takes effect at a start; running is a"},
	{"level", "1", "-1", "takes effect at a start; running is 1"},
	{"memory", "1GiB", "8GiB", "takes effect at a start; running is 1GiB"},
	{"listen", "none", "127.0.0.1:80", "takes effect at a start; running is none"},
	{"health-listen", "none", "127.0.0.1:80", "takes effect at a start; running is none"},
	{"counters-file", "a", "b", "takes effect at a start; running is a"},
	{"metrics", "a.prom", "b.prom", "takes effect at a start; running is a.prom"},
};
#define N_CHANGES (sizeof(changes) / sizeof(changes[0]))

/* What is enough, with one key as given; that is in line 4. */
static const char *with_key(const char *key, const char *value)
{
	static const char *const rows[][2] = {
		{"interface", "eth1"}, {"output", "out"}, {"recipient", RECIPIENT}};
	static char text[512];
	size_t n = 0;

	for (unsigned i = 0; i < 3; i++)
		n += (size_t)(strcmp(key, rows[i][0]) ? snprintf(text + n, sizeof(text) - n,
								 "%s: %s\n", rows[i][0], rows[i][1])
						      : snprintf(text + n, sizeof(text) - n, "\n"));
	(void)snprintf(text + n, sizeof(text) - n, "%s: %s\n", key, value);
	return text;
}

Test(config_reload, each_change_is_taken_or_refused_by_a_reload)
{
	for (unsigned i = 0; i < N_CHANGES; i++) {
		struct config now;
		char begins[64];
		assert_takes(with_key(changes[i].key, changes[i].start), "");
		const int ret = configured_reload(&now, with_key(changes[i].key, changes[i].now));
		if (!changes[i].refused) {
			cr_assert_eq(ret, 0, "%s: %s", changes[i].key, err->text);
			config_close(&now);
			continue;
		}
		(void)snprintf(begins, sizeof(begins), "c.yaml:4: %s: ", changes[i].key);
		assert_says(ret, begins);
		assert_mentions(changes[i].refused);
	}
}

Test(config_reload, each_key_is_among_the_changes_tried)
{
	bool seen[OPTION_ROWS_MAX] = {0};

	for (unsigned i = 0; i < N_CHANGES; i++)
		seen[option_find(changes[i].key) - option_rows] = true;
	for (unsigned i = 0; i < option_n; i++)
		cr_assert(seen[i] || !option_is_key(&option_rows[i]) ||
				  !strcmp(option_rows[i].name, "recipients-file"),
			  "%s", option_rows[i].name);
}

Test(config_reload, reload_gives_the_new_values_and_leaves_what_runs)
{
	struct config now;

	assert_takes(ENOUGH "rotate-time: 5m\nnames: a.yaml\n", "");
	cr_assert_eq(configured_reload(&now, ENOUGH "rotate-time: 1s\nnames: b.yaml\n"), 0, "%s",
		     err->text);
	cr_assert_eq(now.rotate_ns, 1000000000);
	cr_assert_str_eq(now.names, "b.yaml");
	cr_assert_eq(config->rotate_ns, 300000000000);
	cr_assert_str_eq(config->names, "a.yaml");
	config_close(&now);
}

Test(config_reload, reload_is_all_or_nothing)
{
	struct config now = {.port = 1};

	assert_takes(ENOUGH "ring: 512\n", "");
	assert_says(configured_reload(&now, ENOUGH "ring: 1024\nrotate-time: 1s\n"),
		    "c.yaml:4: ring");
	assert_says(configured_reload(&now, ENOUGH "rotate-time: 1\n"),
		    "c.yaml:4: rotate-time: 1: a time");
	assert_says(configured_reload(&now, ENOUGH "rotate-time: {\n"), "c.yaml:");
	cr_assert_eq(now.port, 1);
	cr_assert_null(now.settings);
}

Test(config_reload, reload_reads_the_recipients_file_again)
{
	struct config now;

	cr_assert_eq(configured_run_recipients(OTHER "\n"), 0, "%s", err->text);
	configured_put(configured.recipients, OTHER "\n" RECIPIENT "\n");
	cr_assert_eq(config_reload(&now, config, err), 0, "%s", err->text);
	cr_assert_eq(now.n_recipients, 2);
	config_close(&now);
	configured_put(configured.recipients, "");
	assert_says(config_reload(&now, config, err), "recipients: no recipient");
}

Test(config_reload, key_taken_away_is_its_default_for_a_reload)
{
	struct config now;

	assert_takes(ENOUGH "ring: 512\n", "");
	assert_says(configured_reload(&now, ENOUGH),
		    "c.yaml: ring: takes effect at a start; running is 512");
	assert_takes(ENOUGH "ring: 4096\nrotate-time: 1s\n", "");
	cr_assert_eq(configured_reload(&now, ENOUGH), 0, "%s", err->text);
	cr_assert_eq(now.rotate_ns, 300000000000);
	config_close(&now);
}

Test(config_reload, command_line_stays_over_the_file_in_a_reload)
{
	struct config now;

	assert_takes(ENOUGH, "--ring 512 --rotate-time 7s");
	cr_assert_eq(configured_reload(&now, ENOUGH "ring: 1024\nrotate-time: 1s\n"), 0, "%s",
		     err->text);
	cr_assert_eq(now.ring, 512);
	cr_assert_eq(now.rotate_ns, 7000000000);
	config_close(&now);
}

Test(config_reload, encryption_cannot_be_turned_off_or_on_by_a_reload)
{
	static const char off[] = "interface: eth1\noutput: out\nunencrypted: true\n";
	struct config now;

	assert_takes(ENOUGH, "");
	assert_says(configured_reload(&now, off),
		    "c.yaml:3: unencrypted: takes effect at a start; running is false");
	assert_takes(off, "");
	assert_says(configured_reload(&now, ENOUGH),
		    "c.yaml: unencrypted: takes effect at a start; running is true");
}

Test(config_reload, sessions_grow_to_4_times_those_of_the_start_by_however_many_reloads)
{
	struct config now;

	assert_takes(ENOUGH "sessions-max: 10\n", "");
	cr_assert_eq(configured_reload(&now, ENOUGH "sessions-max: 20\n"), 0, "%s", err->text);
	config_close(config);
	*config = now;
	cr_assert_eq(config->sessions_start, 10);
	cr_assert_eq(configured_reload(&now, ENOUGH "sessions-max: 40\n"), 0, "%s", err->text);
	config_close(&now);
	assert_says(configured_reload(&now, ENOUGH "sessions-max: 41\n"),
		    "c.yaml:4: sessions-max: can grow to 40");
}

Test(config_reload, sessions_with_files_of_their_own_do_not_grow)
{
	struct config now;

	assert_takes(ENOUGH "split: session\nsessions-max: 10\n", "");
	assert_says(configured_reload(&now, ENOUGH "split: session\nsessions-max: 11\n"),
		    "c.yaml:5: sessions-max: takes effect at a start with split: session; running "
		    "is 10");
}

/* Bytes that are allocated, some kept by malloc for the next call. ASan has a malloc of its own;
 * with it LSan looks for what nobody holds any more. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
static size_t allocated(void)
{
	cr_assert_eq(__lsan_do_recoverable_leak_check(), 0);
	return 0;
}
#else
static size_t allocated(void)
{
	return mallinfo2().uordblks;
}
#endif

static unsigned open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(dir))
		n++;
	(void)closedir(dir);
	return n;
}

static void reload_some(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct config now;
		const bool is_broken = i % 10 == 9;
		const int ret = configured_reload(
			&now, is_broken ? i % 20 == 9 ? ENOUGH "ring: 1024\n" : ENOUGH "ring: [\n"
			      : i % 2   ? ENOUGH "rotate-time: 1s\n"
					: ENOUGH "names: x.yaml\n");
		cr_assert_eq(ret, is_broken ? -EINVAL : 0, "%u: %s", i, err->text);
		if (ret)
			continue;
		config_close(config);
		*config = now;
	}
}

Test(config_reload, thousand_reloads_leave_nothing_behind)
{
	assert_takes(ENOUGH, "");
	reload_some(1000); /* until malloc keeps no more */
	const size_t bytes = allocated();
	const unsigned files = open_files();
	reload_some(1000);
	const size_t now = allocated();
	cr_assert_lt(now, bytes + 1000, "%zu bytes, then %zu", bytes, now);
	cr_assert_eq(open_files(), files);
}
