#include "serve/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "serve/gzip.h"
#include "serve/metrics.h"
#include "serve/negotiate.h"
#include "version.h"

#define REQUEST_NS (HTTP_REQUEST_S * UINT64_C(1000000000))

struct connection {
	int fd;            /* -1: none */
	uint64_t since_ns; /* its answer before, or its begin */
};

struct http {
	struct view *view;
	bool health_only;
	struct MHD_Daemon *daemon;
	unsigned n_pages;      /* being sent; of the daemon's thread */
	pthread_mutex_t mutex; /* over the connections */
	struct connection connections[HTTP_CONNECTIONS];
};

size_t http_memory(size_t page_len)
{
	return HTTP_PAGES * page_len + gzip_memory(page_len);
}

/* ---- answers ---- */

static enum MHD_Result send_and_drop(struct MHD_Connection *c, unsigned status, const char *type,
				     struct MHD_Response *response)
{
	(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	const enum MHD_Result ret = MHD_queue_response(c, status, response);
	MHD_destroy_response(response);
	return ret;
}

static enum MHD_Result answer_text(struct MHD_Connection *c, unsigned status, const char *type,
				   const char *text)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_MUST_COPY);

	if (response && status == MHD_HTTP_METHOD_NOT_ALLOWED)
		(void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	if (response && status == MHD_HTTP_SERVICE_UNAVAILABLE)
		(void)MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
	return response ? send_and_drop(c, status, type, response) : MHD_NO;
}

static enum MHD_Result answer_plain(struct MHD_Connection *c, unsigned status, const char *sentence)
{
	char line[sizeof(struct err) + 2];

	(void)snprintf(line, sizeof(line), "%s\n", sentence);
	return answer_text(c, status, "text/plain; charset=utf-8", line);
}

static enum MHD_Result answer_healthy(struct http *h, struct MHD_Connection *c)
{
	struct err err;

	return view_check_healthy(h->view, clock_monotonic_ns(), &err)
		       ? answer_plain(c, MHD_HTTP_SERVICE_UNAVAILABLE, err.text)
		       : answer_plain(c, MHD_HTTP_OK, "healthy");
}

static enum MHD_Result answer_ready(struct http *h, struct MHD_Connection *c)
{
	struct err err;

	return view_check_ready(h->view, &err)
		       ? answer_plain(c, MHD_HTTP_SERVICE_UNAVAILABLE, err.text)
		       : answer_plain(c, MHD_HTTP_OK, "ready");
}

static enum MHD_Result answer_landing(struct http *h, struct MHD_Connection *c)
{
	(void)h;
	return answer_text(c, MHD_HTTP_OK, "text/html; charset=utf-8",
			   "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
			   "<title>vxprobe</title></head>\n"
			   "<body><h1>vxprobe</h1><p>Version " VERSION "</p>\n"
			   "<ul><li><a href=\"/metrics\">Metrics</a></li>\n"
			   "<li><a href=\"/-/healthy\">Healthy?</a></li>\n"
			   "<li><a href=\"/-/ready\">Ready?</a></li></ul></body></html>\n");
}

/* ---- metrics ---- */

/* A page under way; its memory goes with the last byte or with the connection. */
struct page {
	struct http *http;
	char *text;
	size_t len;
};

static void page_free(void *arg)
{
	struct page *p = arg;

	p->http->n_pages--;
	free(p->text);
	free(p);
}

static int make_page(struct http *h, enum exposition_format format, struct page **out,
		     struct err *err)
{
	struct page *p = calloc(1, sizeof(*p));

	if (!p)
		return err_set(err, -ENOMEM, "out of memory for the metrics");
	p->http = h;
	const int ret = metrics_text(h->view, format, clock_monotonic_ns(), &p->text, &p->len, err);
	if (ret) {
		free(p);
		return ret;
	}
	h->n_pages++;
	*out = p;
	return 0;
}

static const char *header(struct MHD_Connection *c, const char *name)
{
	return MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
}

static enum MHD_Result answer_metrics(struct http *h, struct MHD_Connection *c)
{
	const enum exposition_format format = negotiate_format(header(c, MHD_HTTP_HEADER_ACCEPT));
	struct page *p = NULL;
	struct err err;

	if (h->n_pages >= HTTP_PAGES)
		return answer_plain(c, MHD_HTTP_SERVICE_UNAVAILABLE,
				    "as many others are reading the metrics as can be: come again");
	if (make_page(h, format, &p, &err))
		return answer_plain(c, MHD_HTTP_INTERNAL_SERVER_ERROR, err.text);
	const bool zipped = negotiate_gzip(header(c, MHD_HTTP_HEADER_ACCEPT_ENCODING)) &&
			    gzip_text(&p->text, &p->len);
	struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback_cls(
		p->len, p->text, page_free, p);
	if (!response) {
		page_free(p);
		return MHD_NO;
	}
	if (zipped)
		(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip");
	(void)MHD_add_response_header(response, MHD_HTTP_HEADER_VARY, "Accept, Accept-Encoding");
	return send_and_drop(c, MHD_HTTP_OK, exposition_content_type(format), response);
}

/* ---- connections ---- */

static struct connection *find(struct http *h, int fd)
{
	for (unsigned i = 0; i < HTTP_CONNECTIONS; i++)
		if (h->connections[i].fd == fd)
			return &h->connections[i];
	return NULL;
}

static void note(struct http *h, struct MHD_Connection *c, bool begins, bool ends)
{
	const int fd = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;

	(void)pthread_mutex_lock(&h->mutex);
	struct connection *found = find(h, begins ? -1 : fd);
	if (found)
		*found = (struct connection){ends ? -1 : fd, clock_monotonic_ns()};
	(void)pthread_mutex_unlock(&h->mutex);
}

/* Called before the descriptor is closed. */
static void note_connection(void *arg, struct MHD_Connection *c, void **context,
			    enum MHD_ConnectionNotificationCode what)
{
	(void)context;
	note(arg, c, what == MHD_CONNECTION_NOTIFY_STARTED, what == MHD_CONNECTION_NOTIFY_CLOSED);
}

static void note_answer(void *arg, struct MHD_Connection *c, void **context,
			enum MHD_RequestTerminationCode how)
{
	(void)context;
	(void)how;
	note(arg, c, false, false);
}

void http_tend(struct http *h, uint64_t now_ns)
{
	(void)pthread_mutex_lock(&h->mutex);
	for (unsigned i = 0; i < HTTP_CONNECTIONS; i++) {
		const struct connection *c = &h->connections[i];
		if (c->fd >= 0 && now_ns > c->since_ns && now_ns - c->since_ns > REQUEST_NS)
			(void)shutdown(c->fd, SHUT_RDWR); /* the server sees its end */
	}
	(void)pthread_mutex_unlock(&h->mutex);
}

/* ---- the server ---- */

static const struct route {
	const char *path;
	bool is_health;
	enum MHD_Result (*answer)(struct http *http, struct MHD_Connection *connection);
} routes[] = {
	{"/metrics", false, answer_metrics},
	{"/-/healthy", true, answer_healthy},
	{"/-/ready", true, answer_ready},
	{"/", false, answer_landing},
};

static bool is_reading(const char *method)
{
	return !strcmp(method, MHD_HTTP_METHOD_GET) || !strcmp(method, MHD_HTTP_METHOD_HEAD);
}

static enum MHD_Result answer(void *arg, struct MHD_Connection *c, const char *url,
			      const char *method, const char *version, const char *upload,
			      size_t *upload_len, void **state)
{
	struct http *h = arg;

	(void)version;
	(void)upload;
	/* libmicrohttpd calls twice. Who is answered at the first call, before the request is read,
	 * has to connect anew for the next one. */
	if (!*state && !*upload_len && is_reading(method)) {
		*state = h;
		return MHD_YES;
	}
	*upload_len = 0; /* what a client sends besides is not looked at */
	for (unsigned i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		if (strcmp(url, routes[i].path) || (h->health_only && !routes[i].is_health))
			continue;
		if (!is_reading(method))
			return answer_plain(c, MHD_HTTP_METHOD_NOT_ALLOWED, "GET and HEAD only");
		return routes[i].answer(h, c);
	}
	return answer_plain(c, MHD_HTTP_NOT_FOUND,
			    h->health_only ? "here are /-/healthy and /-/ready"
					   : "here are /metrics, /-/healthy and /-/ready");
}

int http_open(struct http **out, struct view *view, int listener, bool health_only, struct err *err)
{
	struct http *h = calloc(1, sizeof(*h));

	if (!h)
		return err_set(err, -ENOMEM, "out of memory");
	h->view = view;
	h->health_only = health_only;
	(void)pthread_mutex_init(&h->mutex, NULL);
	for (unsigned i = 0; i < HTTP_CONNECTIONS; i++)
		h->connections[i].fd = -1;
	h->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_AUTO, 0, NULL, NULL,
				     answer, h, MHD_OPTION_LISTEN_SOCKET, listener,
				     MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS,
				     MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_TIMEOUT_S,
				     MHD_OPTION_NOTIFY_CONNECTION, note_connection, h,
				     MHD_OPTION_NOTIFY_COMPLETED, note_answer, h, MHD_OPTION_END);
	if (!h->daemon) {
		const int error = errno;
		(void)pthread_mutex_destroy(&h->mutex);
		free(h);
		return err_set(err, -error, "cannot start the HTTP server: %s", strerror(error));
	}
	*out = h;
	return 0;
}

void http_close(struct http *h)
{
	if (!h)
		return;
	MHD_stop_daemon(h->daemon);
	(void)pthread_mutex_destroy(&h->mutex);
	free(h);
}
