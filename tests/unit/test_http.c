#include "serve/http.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../support/served.h"
#include "base/clock.h"
#include "serve/metrics.h"

#define OPENMETRICS "application/openmetrics-text; version=1.0.0; charset=utf-8"
#define TEXT        "text/plain; version=0.0.4; charset=utf-8"

static struct sockaddr_in address;
static struct http *http;
static char response[1 << 20];

/* A server on a port of its own. */
static struct view *serve(uint32_t sessions_max, bool health_only)
{
	struct view *v = served_open(sessions_max);
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	socklen_t len = sizeof(address);
	struct err err;

	address = (struct sockaddr_in){.sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(listen(fd, 16), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	v->ledger.stats->heartbeat_ns = clock_monotonic_ns();
	cr_assert_eq(http_open(&http, v, fd, health_only, &err), 0, "%s", err.text);
	return v;
}

static void stop(void)
{
	http_close(http);
}

TestSuite(http, .fini = stop);

static int dial(int receive_len)
{
	const int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (receive_len)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_len, sizeof(receive_len));
	cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void ask(int fd, const char *method, const char *path, const char *headers)
{
	char request[1024];
	const int n = snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: x\r\n%s\r\n",
			       method, path, headers);

	cr_assert_eq(write(fd, request, (size_t)n), n);
}

/* Everything until the server closes, into response. */
static void read_all(int fd)
{
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, response + len, sizeof(response) - 1 - len)) > 0)
		len += (size_t)n;
	response[len] = 0;
	(void)close(fd);
}

/* The whole answer to one request. */
static void get(const char *method, const char *path, const char *headers)
{
	char all[512];
	const int fd = dial(0);

	(void)snprintf(all, sizeof(all), "%sConnection: close\r\n", headers);
	ask(fd, method, path, all);
	read_all(fd);
}

static bool starts(const char *what)
{
	return !strncmp(response, what, strlen(what));
}

static bool has(const char *what)
{
	return strstr(response, what) != NULL;
}

static const char *body(void)
{
	const char *end = strstr(response, "\r\n\r\n");

	cr_assert_not_null(end, "%s", response);
	return end + 4;
}

Test(http, metrics_come_in_the_format_that_is_asked_for)
{
	serve(4, false);
	get("GET", "/metrics", "");
	cr_expect(starts("HTTP/1.1 200 "));
	cr_expect(has("\r\nContent-Type: " TEXT "\r\n"));
	cr_expect(has("# TYPE vxprobe_seen_packets_total counter\n"));
	get("GET", "/metrics", "Accept: application/openmetrics-text\r\n");
	cr_expect(has("\r\nContent-Type: " OPENMETRICS "\r\n"));
	cr_expect(has("# TYPE vxprobe_seen_packets counter\n"));
	cr_expect(has("\r\nVary: Accept, Accept-Encoding\r\n"));
}

Test(http, metrics_are_compressed_for_those_who_want_it)
{
	serve(4, false);
	get("GET", "/metrics", "Accept-Encoding: gzip\r\n");
	cr_expect(has("\r\nContent-Encoding: gzip\r\n"));
	cr_expect_eq((unsigned char)body()[0], 0x1f, "RFC 1952");
	get("GET", "/metrics", "");
	cr_expect(!has("Content-Encoding"));
}

Test(http, head_is_get_without_the_body)
{
	serve(4, false);
	get("HEAD", "/metrics", "");
	cr_expect(starts("HTTP/1.1 200 "));
	cr_expect(has("\r\nContent-Type: " TEXT "\r\n"));
	cr_expect(has("\r\nContent-Length: "));
	cr_expect_str_eq(body(), "");
}

Test(http, other_methods_are_refused_with_those_allowed)
{
	static const char *const methods[] = {"POST", "PUT", "DELETE", "OPTIONS"};

	serve(4, false);
	for (unsigned i = 0; i < 4; i++) {
		get(methods[i], "/metrics", "");
		cr_expect(starts("HTTP/1.1 405 "), "%s: %s", methods[i], response);
		cr_expect(has("\r\nAllow: GET, HEAD\r\n"));
	}
	get("POST", "/metrics", "Content-Length: 5\r\n");
	cr_expect(starts("HTTP/1.1 405 "));
}

Test(http, other_pages_are_not_found)
{
	serve(4, false);
	get("GET", "/metric", "");
	cr_expect(starts("HTTP/1.1 404 "));
	cr_expect_str_eq(body(), "here are /metrics, /-/healthy and /-/ready\n");
	get("POST", "/metric", "");
	cr_expect(starts("HTTP/1.1 404 "));
}

Test(http, the_landing_page_leads_to_the_others)
{
	serve(4, false);
	get("GET", "/", "");
	cr_expect(starts("HTTP/1.1 200 "));
	cr_expect(has("\r\nContent-Type: text/html; charset=utf-8\r\n"));
	cr_expect(has("href=\"/metrics\"") && has("href=\"/-/healthy\"") &&
		  has("href=\"/-/ready\""));
	cr_expect(has("Version "));
}

Test(http, health_is_that_of_the_control_thread)
{
	struct view *v = serve(4, false);

	get("GET", "/-/healthy", "");
	cr_expect(starts("HTTP/1.1 200 "));
	cr_expect_str_eq(body(), "healthy\n");
	v->ledger.stats->heartbeat_ns = 0;
	get("GET", "/-/healthy", "");
	cr_expect(starts("HTTP/1.1 503 "));
	cr_expect_str_eq(body(), "the control thread has not begun yet\n");
}

Test(http, readiness_is_that_of_the_capture)
{
	struct view *v = serve(4, false);

	get("GET", "/-/ready", "");
	cr_expect(starts("HTTP/1.1 200 "));
	v->ledger.stats->is_capturing = 0;
	get("GET", "/-/ready", "");
	cr_expect(starts("HTTP/1.1 503 "));
	cr_expect_str_eq(body(), "the capture has not begun yet\n");
}

Test(http, a_listener_for_health_has_nothing_else)
{
	serve(4, true);
	get("GET", "/-/healthy", "");
	cr_expect(starts("HTTP/1.1 200 "));
	get("GET", "/-/ready", "");
	cr_expect(starts("HTTP/1.1 200 "));
	get("GET", "/metrics", "");
	cr_expect(starts("HTTP/1.1 404 "));
	cr_expect_str_eq(body(), "here are /-/healthy and /-/ready\n");
	get("GET", "/", "");
	cr_expect(starts("HTTP/1.1 404 "));
}

Test(http, a_connection_serves_several_requests)
{
	serve(4, false);
	const int fd = dial(0);
	for (int i = 0; i < 3; i++) {
		ask(fd, "GET", "/-/ready", "");
		const ssize_t n = read(fd, response, sizeof(response) - 1);
		cr_assert_gt(n, 0, "request %d", i);
		response[n] = 0;
		cr_expect(starts("HTTP/1.1 200 "));
	}
	(void)close(fd);
}

static bool answers(int fd, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, timeout_ms) > 0;
}

Test(http, pages_under_way_are_bounded)
{
	struct view *v = serve(8192, false);
	int slow[HTTP_PAGES];

	/* Far more than what a socket buffers. */
	v->facts.series_max = UINT32_MAX;
	v->ledger.stats->is_live = false;
	for (uint32_t i = 0; i < 8192; i++)
		served_add(v, "10.0.0.1", i, 1, 1);
	for (unsigned i = 0; i < HTTP_PAGES; i++) {
		slow[i] = dial(4096);
		ask(slow[i], "GET", "/metrics", "");
		cr_assert(answers(slow[i], 20000));
	}
	get("GET", "/metrics", "");
	cr_expect(starts("HTTP/1.1 503 "), "%.200s", response);
	cr_expect(has("\r\nRetry-After: 1\r\n"));
	get("GET", "/-/healthy", "");
	cr_expect(!starts("HTTP/1.1 404 "));
	(void)close(slow[0]);
	do
		get("HEAD", "/metrics", "");
	while (!starts("HTTP/1.1 200 ")); /* as soon as the server has seen the end */
	for (unsigned i = 1; i < HTTP_PAGES; i++)
		(void)close(slow[i]);
}

Test(http, connections_are_bounded_and_further_ones_wait)
{
	int idle[HTTP_CONNECTIONS];

	serve(4, false);
	for (unsigned i = 0; i < HTTP_CONNECTIONS; i++) {
		idle[i] = dial(0);
		ask(idle[i], "GET", "/-/ready", "");
		cr_assert(answers(idle[i], 5000));
	}
	const int waiting = dial(0);
	ask(waiting, "GET", "/-/ready", "");
	cr_expect(!answers(waiting, 300));
	(void)close(idle[0]);
	cr_expect(answers(waiting, 5000));
}

#define LONG_NS ((HTTP_REQUEST_S + 1) * UINT64_C(1000000000))

Test(http, who_drips_its_request_makes_room_for_others)
{
	int slow[HTTP_CONNECTIONS];

	serve(4, false);
	for (unsigned i = 0; i < HTTP_CONNECTIONS; i++) {
		slow[i] = dial(0);
		cr_assert_eq(write(slow[i], "GET /", 5), 5);
	}
	const int waiting = dial(0);
	ask(waiting, "GET", "/-/ready", "");
	http_tend(http, clock_monotonic_ns());
	cr_expect(!answers(waiting, 300));
	http_tend(http, clock_monotonic_ns() + LONG_NS);
	cr_expect(answers(waiting, 5000));
	cr_expect_eq(read(slow[0], response, 1), 0);
}

Test(http, who_is_answered_in_time_is_not_cut_off)
{
	serve(4, false);
	const int fd = dial(0);
	(void)usleep(400000);
	ask(fd, "GET", "/-/ready", "");
	cr_expect_gt(read(fd, response, sizeof(response)), 0);
	(void)usleep(50000); /* the server notes it behind the last byte */
	/* Too long since the connection began, not since the answer. */
	http_tend(http, clock_monotonic_ns() + LONG_NS - UINT64_C(1200000000));
	ask(fd, "GET", "/-/ready", "");
	cr_expect_gt(read(fd, response, sizeof(response)), 0);
	(void)close(fd);
	http_tend(http, clock_monotonic_ns() + 2 * LONG_NS);
}

Test(http, memory_is_for_all_pages_and_one_compressed)
{
	cr_expect_geq(http_memory(1000), (HTTP_PAGES + 1) * 1000);
}
