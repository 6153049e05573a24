#include "run/reload.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../support/configured.h"
#include "base/clock.h"

#define NAMES_A "sessions: [{source: 10.0.0.1, vni: 1}]\n"
#define NAMES_B "sessions: [{source: 10.0.0.1, vni: 1}, {source: 10.0.0.2, vni: 1}]\n"
#define BROKEN  "sessions: [{vni: 1}]\n"

static struct stats stats;
static struct reload *reload;
static char names[96], text[512];

/* In the capture process's place: takes every order, and says so at the last of its messages, the
 * only one where there are no names. */
static bool has_names, is_changed;
static void *obey(void *arg)
{
	const int fd = *(int *)arg;
	char message[65536];
	ssize_t n;

	while ((n = recv(fd, message, sizeof(message), 0)) > 0)
		if (n == 1 || !has_names)
			(void)!send(fd, "d", 1, MSG_NOSIGNAL);
	return NULL;
}

static void end(void)
{
	reload_close(reload);
	(void)unlink(names);
	configured_fini();
}

TestSuite(reload, .init = configured_init, .fini = end);

static void begin(bool with_names)
{
	static int pair[2];
	static pthread_t thread;

	has_names = with_names;
	(void)snprintf(names, sizeof(names), "%s/names.yaml", configured.folder);
	configured_put(names, NAMES_A);
	(void)snprintf(text, sizeof(text), ENOUGH "%s%s\n", with_names ? "names: " : "",
		       with_names ? names : "");
	cr_assert_eq(configured_run(text, ""), 0, "%s", configured.err.text);
	cr_assert_eq(reload_open(&reload, &configured.config, &configured.err), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	cr_assert_eq(pthread_create(&thread, NULL, obey, &pair[1]), 0);
	if (is_changed)
		configured_put(names, NAMES_B);
	cr_assert_eq(reload_begin(reload, &stats, pair[0], &configured.err), 0);
}

static void hang_up(void)
{
	cr_assert_eq(reload_all(reload, &configured.err), 0, "%s", configured.err.text);
}

/* One turn of the starter, of 20 ms at most. */
static void turn(void)
{
	struct pollfd p = {.fd = reload_fd(reload), .events = POLLIN};
	const int wanted = reload_timeout_ms(reload);

	(void)poll(&p, 1, wanted >= 0 && wanted < 20 ? wanted : 20);
	cr_assert_eq(reload_follow(reload, &configured.err), 0);
}

static uint64_t reads(void)
{
	return stats.names.successes + stats.names.failures;
}

Test(reload, a_changed_names_file_is_read_once_it_has_settled)
{
	begin(true);
	cr_expect_eq(stats.n_names, 1);
	configured_put(names, BROKEN);
	configured_put(names, NAMES_B);
	for (unsigned i = 0; i < 50; i++)
		turn();
	cr_expect_eq(stats.names.successes, 1);
	cr_expect_eq(stats.names.failures, 0);
	cr_expect_eq(stats.n_names, 2);
}

Test(reload, files_beside_it_do_not_put_it_off_for_ever)
{
	char beside[128];
	const uint64_t until_ns = clock_monotonic_ns() + 3000000000u;

	begin(true);
	(void)snprintf(beside, sizeof(beside), "%s/log", configured.folder);
	configured_put(names, NAMES_B);
	while (!reads() && clock_monotonic_ns() < until_ns) {
		configured_put(beside, "x");
		turn();
	}
	(void)unlink(beside);
	cr_expect_eq(stats.names.successes, 1);
}

Test(reload, without_a_names_file_no_names_were_loaded)
{
	begin(false);
	cr_expect_eq(stats.names.success_ns, 0);
	cr_expect_eq(stats.names.is_ok, 1);
	cr_expect_neq(stats.config.success_ns, 0);
}

Test(reload, sighup_says_which_of_the_two_is_wrong)
{
	begin(true);
	configured_put(names, BROKEN);
	hang_up();
	cr_expect_eq(stats.config.failures, 1);
	cr_expect_eq(stats.names.failures, 1);
	cr_expect_eq(stats.names.is_ok, 0, "the names are not as in their file");
	configured_put(configured.file, "no-such-key: 1\n");
	hang_up();
	cr_expect_eq(stats.config.failures, 2);
	cr_expect_eq(stats.names.failures, 1, "they were not read");
}

Test(reload, names_that_name_no_store_stay_out)
{
	begin(true);
	configured_put(names, "sessions: [{source: 10.0.0.1, vni: 1, store: s}]\n");
	for (unsigned i = 0; i < 50 && !reads(); i++)
		turn();
	cr_expect_eq(stats.names.failures, 1);
	hang_up();
	cr_expect_eq(stats.config.failures, 1);
	cr_expect_eq(stats.names.failures, 2);
}

Test(reload, names_that_are_configured_no_longer_are_not_wrong)
{
	begin(true);
	configured_put(names, BROKEN);
	hang_up();
	configured_put(configured.file, ENOUGH);
	has_names = false;
	hang_up();
	cr_expect_eq(stats.config.successes, 1, "%s", text);
	cr_expect_eq(stats.names.is_ok, 1);
	cr_expect_eq(stats.names.success_ns, 0);
	cr_expect_eq(stats.n_names, 0);
}

Test(reload, what_changed_before_it_was_watched_is_read)
{
	is_changed = true;
	begin(true);
	for (unsigned i = 0; i < 50 && !reads(); i++)
		turn();
	cr_expect_eq(stats.names.successes, 1);
	cr_expect_eq(stats.n_names, 2);
}
