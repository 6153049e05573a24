#include "serve/report.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/served.h"
#include "base/clock.h"

static char interface[IF_NAMESIZE]; /* none: only a name, of this test alone */
static int listener;

static void open_listener(void)
{
	struct err err;

	(void)snprintf(interface, sizeof(interface), "t%d", (int)getpid());
	cr_assert_eq(report_listen(&listener, interface, &err), 0, "%s", err.text);
}

TestSuite(report, .init = open_listener);

/* What a client of another process gets. */
static json_t *document(const struct view *v)
{
	json_error_t where;
	int fd;

	cr_assert_eq(report_connect(&fd, interface), 0);
	const pid_t child = fork();
	if (!child) {
		report_answer(v, listener);
		_exit(0);
	}
	json_t *d = json_loadfd(fd, 0, &where);
	(void)close(fd);
	(void)waitpid(child, NULL, 0);
	return d;
}

static json_int_t integer(const json_t *d, const char *key)
{
	const json_t *n = json_object_get(d, key);

	cr_assert(json_is_integer(n), "%s", key);
	return json_integer_value(n);
}

static const char *text(const json_t *d, const char *key)
{
	return json_string_value(json_object_get(d, key));
}

Test(report, says_all_of_the_probe)
{
	struct view *v = served_open(4);
	struct stats *s = v->ledger.stats;

	s->heartbeat_ns = clock_monotonic_ns();
	s->writer[0].files = 3;
	s->writer[1].bytes_out = 1000;
	s->writer[2].fate[FATE_KEPT] = 12;
	s->n_names = 9;
	s->config = (struct stats_reload){2, 1, 1500000000, false, 0};
	json_t *d = document(v);
	cr_assert_not_null(d);
	cr_expect_str_eq(text(d, "interface"), "eth0");
	cr_expect_not_null(text(d, "version"));
	cr_expect(json_is_true(json_object_get(d, "healthy")));
	cr_expect(json_is_true(json_object_get(d, "ready")));
	cr_expect_eq(integer(d, "memory_bound"), 64 << 20);
	const json_t *mode = json_object_get(d, "mode");
	cr_expect_str_eq(text(mode, "xdp"), "native");
	cr_expect_str_eq(text(mode, "copy"), "copy");
	cr_expect_eq(integer(mode, "mtu"), 9001);
	cr_expect_eq(integer(json_object_get(json_object_get(d, "ledger"), "fates"), "kept"), 12);
	cr_expect_eq(integer(json_object_get(d, "files"), "sealed"), 3);
	cr_expect_eq(integer(json_object_get(d, "files"), "written_bytes"), 1000);
	const json_t *config = json_object_get(d, "config");
	cr_expect_eq(integer(config, "successes"), 2);
	cr_expect_eq(integer(config, "failures"), 1);
	cr_expect(json_is_false(json_object_get(config, "is_ok")));
	cr_expect_eq(json_real_value(json_object_get(config, "last_success")), 1.5);
	cr_expect_eq(integer(d, "names_entries"), 9);
	cr_expect_eq(json_array_size(json_object_get(d, "sessions")), 0);
	json_decref(d);
}

Test(report, says_all_of_each_session)
{
	struct view *v = served_open(4);
	const struct session_labels labels = {"amf-1", "amf \"x\"", "core",
					      "4711",  "eni-1",     "count"};

	served_add(v, "10.0.0.1", 7, 11, 2000000000);
	stats_kpi(v->ledger.stats, 1, 0)->groups = 1u << KPI_GROUP_FEED | 1u << KPI_GROUP_FLOWS;
	served_time(v, 0, KPI_TCP_RTT_SERVER, 3000000000);
	served_time(v, 0, KPI_TCP_RTT_CLIENT, 1000000000);
	stats_set_labels(v->ledger.stats, served_add(v, "fd00::1", 8, 0, 0), &labels);
	json_t *d = document(v);
	cr_assert_not_null(d);
	const json_t *sessions = json_object_get(d, "sessions");
	cr_assert_eq(json_array_size(sessions), 2);
	const json_t *first = json_array_get(sessions, 0), *second = json_array_get(sessions, 1);
	cr_expect_str_eq(text(first, "source"), "10.0.0.1");
	cr_expect_eq(integer(first, "vni"), 7);
	cr_expect_eq(integer(first, "generation"), 1);
	cr_expect_str_eq(text(first, "name"), "10.0.0.1-7");
	cr_expect_eq(integer(first, "session_ingress_packets"), 11);
	cr_expect_eq(json_real_value(json_object_get(first, "last_packet")), 2.0);
	cr_expect_eq(integer(json_object_get(first, "flows"), "tcp"), 0);
	cr_expect_eq(integer(json_object_get(first, "flows_ended"), "tcp,fin"), 0);
	cr_expect_null(json_object_get(first, "icmp_echo_requests")); /* none was seen */
	const json_t *rtt = json_object_get(first, "tcp_rtt_seconds");
	const json_t *server = json_object_get(rtt, "mirror,server"),
		     *client = json_object_get(rtt, "mirror,client");
	cr_expect_eq(json_real_value(json_object_get(server, "sum")), 3);
	cr_expect_eq(json_real_value(json_object_get(client, "sum")), 1);
	const json_t *summary = json_object_get(first, "summary");
	cr_expect_eq(integer(summary, "packets"), 11);
	const json_t *sides = json_object_get(summary, "tcp");
	cr_expect_eq(json_array_size(json_object_get(sides, "server")), 1);
	cr_expect_eq(json_array_size(json_object_get(sides, "client")), 1);
	cr_expect_str_eq(text(second, "source"), "fd00::1");
	cr_expect_str_eq(text(second, "name"), "amf-1");
	cr_expect_str_eq(text(second, "nf"), "amf \"x\"");
	cr_expect_str_eq(text(second, "vrf"), "core");
	cr_expect_str_eq(text(second, "account"), "4711");
	cr_expect_str_eq(text(second, "eni"), "eni-1");
	cr_expect_str_eq(text(second, "policy"), "count");
	cr_expect(json_is_null(json_object_get(second, "last_packet")));
	json_decref(d);
}

Test(report, an_interface_has_one_probe)
{
	struct err err = {""};
	int fd;

	cr_expect_eq(report_listen(&fd, interface, &err), -EADDRINUSE);
	cr_expect_not_null(strstr(err.text, "another vxprobe"));
	(void)close(listener);
	cr_expect_eq(report_listen(&fd, interface, &err), 0);
}

Test(report, a_probe_that_is_gone_leaves_nothing)
{
	int fd;

	(void)close(listener);
	cr_expect_eq(report_connect(&fd, interface), -ECONNREFUSED);
}

Test(report, answers_no_other_user)
{
	struct view *v = served_open(4);
	int status;

	if (getuid())
		cr_skip_test("needs root");
	const pid_t stranger = fork();
	if (!stranger) {
		int fd;
		char byte;
		const bool connected = !setuid(65534) && !report_connect(&fd, interface);
		_exit(!connected ? 2 : read(fd, &byte, 1) == 0 ? 0 : 1);
	}
	report_answer(v, listener);
	while (waitpid(stranger, &status, WNOHANG) == 0)
		report_answer(v, listener); /* it has not connected yet: returns at once */
	cr_expect(WIFEXITED(status));
	cr_expect_eq(WEXITSTATUS(status), 0);
}

Test(report, a_listener_of_another_user_is_not_believed)
{
	struct err err;
	char taken[IF_NAMESIZE], byte = 0;
	int fd, pair[2];

	if (getuid())
		cr_skip_test("needs root");
	(void)snprintf(taken, sizeof(taken), "u%d", (int)getpid());
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	const pid_t stranger = fork();
	if (!stranger) {
		if (!setuid(65534) && !report_listen(&fd, taken, &err))
			(void)!write(pair[1], "r", 1);
		(void)!read(pair[1], &byte, 1);
		_exit(0);
	}
	cr_assert_eq(read(pair[0], &byte, 1), 1);
	cr_expect_eq(report_connect(&fd, taken), -EPERM);
	cr_expect_eq(report_listen(&fd, taken, &err), -EADDRINUSE);
	cr_expect_not_null(strstr(err.text, "a process of another user"), "%s", err.text);
	(void)!write(pair[0], "e", 1);
	(void)waitpid(stranger, NULL, 0);
}

Test(report, where_nobody_accepts_a_client_waits_no_longer_than_2_s)
{
	int fd;
	const uint64_t start_ns = clock_monotonic_ns();

	for (unsigned i = 0; i < 8 && !report_connect(&fd, interface); i++)
		;
	cr_expect_eq(report_connect(&fd, interface), -EAGAIN);
	cr_expect_leq(clock_monotonic_ns() - start_ns, UINT64_C(8000000000));
}

Test(report, a_client_that_does_not_read_is_dropped)
{
	struct view *v = served_open(4096);
	int fd;

	for (uint32_t i = 0; i < 4096; i++)
		served_add(v, "10.0.0.1", i, 1, 1);
	cr_assert_eq(report_connect(&fd, interface), 0);
	(void)signal(SIGPIPE, SIG_IGN);
	const uint64_t start_ns = clock_monotonic_ns();
	report_answer(v, listener);
	cr_expect_leq(clock_monotonic_ns() - start_ns, UINT64_C(8000000000));
}
