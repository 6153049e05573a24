/*
 * http: the exporter's pages: /metrics, /-/healthy, /-/ready, and / which leads to them.
 *
 * Exporter process. Each server has a thread of its own, which libmicrohttpd makes. What clients
 * can make it hold is bounded: connections, their time, and pages at a time.
 */
#pragma once

#include "serve/view.h"

/* Connections of a server at a time; further ones wait. */
#define HTTP_CONNECTIONS 16
/* Seconds of silence after which a connection is closed. */
#define HTTP_TIMEOUT_S 10
/* Seconds from one answer to the end of the next, after which it is closed also if it is not
 * silent: who sends or takes a byte now and then must not keep others away. */
#define HTTP_REQUEST_S 30
/* Pages of metrics that are being sent at a time; who wants one more is told to come again. */
#define HTTP_PAGES 3

struct http;

/* Takes the listening socket. health_only: /-/healthy and /-/ready and nothing else. The view lasts
 * longer. */
int http_open(struct http **out, struct view *view, int listener, bool health_only,
	      struct err *err);
/* Any thread, every second or so; now_ns: CLOCK_MONOTONIC. Closes connections that take too long.
 */
void http_tend(struct http *http, uint64_t now_ns);
/* Takes NULL. */
void http_close(struct http *http);

/* Bytes that a server of /metrics may hold, with pages of so many. */
size_t http_memory(size_t page_len);
