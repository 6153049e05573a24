#include "base/notify.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

static char dir[] = "/tmp/test_notify_XXXXXX";
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static int supervisor;

/* The supervisor's end. */
static void listen_as_supervisor(void)
{
	cr_assert_not_null(mkdtemp(dir));
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", dir);
	supervisor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	cr_assert_geq(supervisor, 0);
	cr_assert_eq(bind(supervisor, (const struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(setenv("NOTIFY_SOCKET", address.sun_path, 1), 0);
}

static void stop_listening(void)
{
	(void)close(supervisor);
	(void)unlink(address.sun_path);
	(void)rmdir(dir);
}

TestSuite(notify, .init = listen_as_supervisor, .fini = stop_listening);

/* The next datagram, which is there already: sd_notify has returned. */
static const char *heard(void)
{
	static char text[512];
	const ssize_t len = recv(supervisor, text, sizeof(text) - 1, 0);

	cr_assert_geq(len, 0, "no message: %s", strerror(errno));
	text[len] = '\0';
	return text;
}

static void expect_silence(void)
{
	char byte;

	cr_expect_eq(recv(supervisor, &byte, 1, 0), -1);
	cr_expect_eq(errno, EAGAIN);
}

static void say_everything(void)
{
	notify_ready();
	notify_reloading();
	notify_stopping();
	notify_status("well");
	notify_alive();
}

static void ask_for_watchdog(const char *patience_us, pid_t pid)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "%d", (int)pid);
	cr_assert_eq(setenv("WATCHDOG_USEC", patience_us, 1), 0);
	cr_assert_eq(setenv("WATCHDOG_PID", text, 1), 0);
}

Test(notify, says_ready_stopping_and_alive)
{
	notify_ready();
	cr_expect_str_eq(heard(), "READY=1");
	notify_stopping();
	cr_expect_str_eq(heard(), "STOPPING=1");
	notify_alive();
	cr_expect_str_eq(heard(), "WATCHDOG=1");
}

Test(notify, says_when_a_reload_begins)
{
	const uint64_t before_us = clock_monotonic_ns() / 1000;
	uint64_t at_us;

	notify_reloading();
	const uint64_t after_us = clock_monotonic_ns() / 1000;
	cr_assert_eq(sscanf(heard(), "RELOADING=1\nMONOTONIC_USEC=%" SCNu64, &at_us), 1);
	cr_expect_geq(at_us, before_us);
	cr_expect_leq(at_us, after_us);
}

Test(notify, status_is_the_first_line_of_text)
{
	notify_status("capturing on eth1, 100 % well");
	cr_expect_str_eq(heard(), "STATUS=capturing on eth1, 100 % well");
	notify_status("one\nMAINPID=1");
	cr_expect_str_eq(heard(), "STATUS=one");
	notify_status("");
	cr_expect_str_eq(heard(), "STATUS=");
}

Test(notify, says_nothing_without_a_supervisor)
{
	cr_assert_eq(unsetenv("NOTIFY_SOCKET"), 0);
	say_everything();
	expect_silence();
}

Test(notify, bears_a_supervisor_that_does_not_listen)
{
	cr_assert_eq(unlink(address.sun_path), 0);
	say_everything();
	expect_silence();
}

Test(notify, alive_is_due_in_half_of_the_supervisors_patience)
{
	ask_for_watchdog("10000000", getpid());
	cr_expect_eq(notify_watchdog_interval_ms(), 5000);
	ask_for_watchdog("1", getpid());
	cr_expect_eq(notify_watchdog_interval_ms(), 1,
		     "asked to be quick, it must not read as never");
	ask_for_watchdog("17293822569102704640", getpid());
	cr_expect_eq(notify_watchdog_interval_ms(), INT32_MAX);
}

Test(notify, alive_is_never_due_where_nobody_asks)
{
	cr_expect_eq(notify_watchdog_interval_ms(), 0);
	ask_for_watchdog("soon", getpid());
	cr_expect_eq(notify_watchdog_interval_ms(), 0);
}

Test(notify, alive_is_not_due_from_a_child)
{
	int status;

	ask_for_watchdog("10000000", getpid());
	const pid_t child = fork();
	cr_assert_geq(child, 0);
	if (!child)
		_exit(notify_watchdog_interval_ms() ? 1 : 0);
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_expect_eq(status, 0);
}
