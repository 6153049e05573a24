#define _GNU_SOURCE /* memfd_create */
#include "serve/exporter.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/served.h"
#include "base/clock.h"
#include "base/fdpass.h"
#include "serve/report.h"

static char interface[IF_NAMESIZE]; /* none: only a name, of this test alone */
static struct exporter_sockets sockets;

static void prepare(void)
{
	(void)snprintf(interface, sizeof(interface), "e%d", (int)getpid());
}

static void clean(void)
{
	exporter_close(&sockets);
}

TestSuite(exporter, .init = prepare, .fini = clean);

static int port_of(int fd)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);

	cr_assert_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	return ntohs(a.ss_family == AF_INET ? ((struct sockaddr_in *)&a)->sin_port
					    : ((struct sockaddr_in6 *)&a)->sin6_port);
}

Test(exporter, listens_where_it_is_told)
{
	struct err err = {""};

	cr_assert_eq(exporter_bind(&sockets, interface, "127.0.0.1:0", "[::1]:0", &err), 0, "%s",
		     err.text);
	cr_expect_neq(port_of(sockets.metrics), 0);
	cr_expect_neq(port_of(sockets.health), 0);
	cr_expect_geq(sockets.status, 0);
}

Test(exporter, none_is_no_socket_and_status_is_always)
{
	struct err err = {""};

	cr_assert_eq(exporter_bind(&sockets, interface, "none", "none", &err), 0);
	cr_expect_eq(sockets.metrics, -1);
	cr_expect_eq(sockets.health, -1);
	cr_expect_geq(sockets.status, 0);
	exporter_close(&sockets);
	cr_expect_eq(sockets.status, -1);
}

Test(exporter, an_address_that_is_none_is_named_with_its_option)
{
	static const char *const wrong[] = {"9789", "here:9789", "127.0.0.1:http", "127.0.0.1"};
	struct err err;
	char sentence[160];

	for (unsigned i = 0; i < 4; i++) {
		cr_expect_eq(exporter_bind(&sockets, interface, "none", wrong[i], &err), -EINVAL);
		(void)snprintf(sentence, sizeof(sentence),
			       "--health-listen %s: an address and port such as 127.0.0.1:9789 is "
			       "wanted",
			       wrong[i]);
		cr_expect_str_eq(err.text, sentence);
		exporter_close(&sockets);
	}
}

Test(exporter, a_port_that_is_taken_is_named_with_the_way_out)
{
	char address[32], sentence[160];
	struct exporter_sockets second;
	struct err err;

	cr_assert_eq(exporter_bind(&sockets, interface, "127.0.0.1:0", "none", &err), 0);
	(void)snprintf(address, sizeof(address), "127.0.0.1:%d", port_of(sockets.metrics));
	cr_expect_eq(exporter_bind(&second, "other0", address, "none", &err), -EADDRINUSE);
	(void)snprintf(sentence, sizeof(sentence),
		       "cannot listen on %s: Address already in use; --listen chooses another, or "
		       "none",
		       address);
	cr_expect_str_eq(err.text, sentence);
	exporter_close(&second);
}

/* ---- the process ---- */

static void send_counters(int handover, const struct view *v)
{
	const int fds[] = {memfd_create("counters", 0), memfd_create("given", 0)};

	for (int i = 0; i < 2; i++)
		cr_assert_eq(ftruncate(fds[i], 65536), 0);
	cr_assert_eq(fdpass_send(handover, v->ledger.facts, sizeof(*v->ledger.facts), fds, 2), 0);
}

/* Starts one, as the starter does; returns the socket that keeps it. */
static int start(struct view *v, const char *listen, pid_t *child)
{
	struct err err;
	int pair[2];

	v->ledger.stats->heartbeat_ns = clock_monotonic_ns();
	cr_assert_eq(exporter_bind(&sockets, interface, listen, "none", &err), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	*child = fork();
	if (!*child) {
		(void)close(pair[0]);
		_exit(exporter_main(pair[1]));
	}
	(void)close(pair[1]);
	send_counters(pair[0], v);
	cr_assert_eq(exporter_feed(pair[0], &v->facts, served_fd(), &sockets, &err), 0);
	return pair[0];
}

static int exit_code(pid_t child)
{
	int status;

	(void)waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void expect_page(int port, const char *path, const char *wanted)
{
	static char response[65536];
	const struct sockaddr_in a = {.sin_family = AF_INET,
				      .sin_port = htons((uint16_t)port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const int fd = socket(AF_INET, SOCK_STREAM, 0);
	size_t len = 0;
	ssize_t n;

	cr_assert_eq(connect(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
	(void)dprintf(fd, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
	while ((n = read(fd, response + len, sizeof(response) - 1 - len)) > 0)
		len += (size_t)n;
	response[len] = 0;
	cr_expect_not_null(strstr(response, wanted), "%s: %s", path, response);
	(void)close(fd);
}

Test(exporter, serves_until_the_starter_ends)
{
	struct view *v = served_open(4);
	pid_t child;

	(void)snprintf(v->facts.interface, sizeof(v->facts.interface), "%s", interface);
	served_add(v, "10.0.0.1", 7, 11, clock_monotonic_ns());
	const int handover = start(v, "127.0.0.1:0", &child);
	const int port = port_of(sockets.metrics);
	expect_page(port, "/metrics",
		    "\nvxprobe_session_ingress_packets_total{source=\"10.0.0.1\",vni=\"7\","
		    "generation=\"1\"} 11\n");
	expect_page(port, "/-/healthy", "healthy");
	(void)close(handover);
	cr_expect_eq(exit_code(child), 0);
}

Test(exporter, answers_status_also_without_http)
{
	struct view *v = served_open(4);
	json_error_t where;
	pid_t child;
	int fd;

	const int handover = start(v, "none", &child);
	cr_assert_eq(report_connect(&fd, interface), 0);
	json_t *d = json_loadfd(fd, 0, &where);
	cr_expect(json_is_true(json_object_get(d, "healthy")));
	json_decref(d);
	(void)close(fd);
	(void)close(handover);
	cr_expect_eq(exit_code(child), 0);
}

Test(exporter, ends_quietly_when_the_starter_gives_up)
{
	int pair[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	const pid_t child = fork();
	if (!child) {
		(void)close(pair[0]);
		_exit(exporter_main(pair[1]));
	}
	(void)close(pair[1]);
	(void)close(pair[0]);
	cr_expect_eq(exit_code(child), 1);
}

Test(exporter, memory_covers_what_it_serves)
{
	const struct stats_config config = {.workers = 2, .queues = 2, .sessions_max = 4096};
	const struct view_facts few = {.series_max = 1000}, many = {.series_max = 100000};

	cr_expect_gt(exporter_memory(&config, &many), exporter_memory(&config, &few));
	cr_expect_gt(exporter_memory(&config, &few), 0);
}
