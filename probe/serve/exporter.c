#include "serve/exporter.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fdpass.h"
#include "base/log.h"
#include "serve/metrics.h"

static int listen_on(const struct addrinfo *a)
{
	const int on = 1;
	const int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, a->ai_addr, a->ai_addrlen) || listen(fd, 16)) {
		const int error = errno;
		(void)close(fd);
		return -error;
	}
	return fd;
}

int exporter_listen(int *fd, const char *address, struct err *err)
{
	const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
				       .ai_socktype = SOCK_STREAM};
	struct addrinfo *found;
	char host[128];
	const char *colon = strrchr(address, ':');

	(void)snprintf(host, sizeof(host), "%.*s", colon ? (int)(colon - address) : 0, address);
	size_t n = strlen(host);
	if (n > 2 && host[0] == '[' && host[n - 1] == ']') {
		memmove(host, host + 1, n - 2);
		host[n - 2] = 0;
	}
	if (!colon || getaddrinfo(*host ? host : NULL, colon + 1, &hints, &found))
		return err_set(err, -EINVAL,
			       "--listen %s: an address and port such as 127.0.0.1:9789 is wanted",
			       address);
	*fd = listen_on(found);
	freeaddrinfo(found);
	if (*fd < 0)
		return err_set(err, *fd,
			       "cannot listen on %s: %s; --listen chooses another, or none",
			       address, strerror(-*fd));
	return 0;
}

static enum MHD_Result reply(struct MHD_Connection *connection, unsigned status, const char *type,
			     char *text, size_t len, enum MHD_ResponseMemoryMode mode)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(len, text, mode);
	enum MHD_Result ret;

	if (!response)
		return MHD_NO;
	(void)MHD_add_response_header(response, "Content-Type", type);
	ret = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return ret;
}

static enum MHD_Result answer(void *arg, struct MHD_Connection *connection, const char *url,
			      const char *method, const char *version, const char *upload,
			      size_t *upload_len, void **state)
{
	static char not_found[] = "Only /metrics is here.\n", not_allowed[] = "GET only.\n";
	static char broken[] = "out of memory\n";
	char *text;
	size_t len;
	struct err err;

	(void)version;
	(void)upload;
	(void)upload_len;
	(void)state;
	if (strcmp(method, "GET") && strcmp(method, "HEAD"))
		return reply(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain", not_allowed,
			     sizeof(not_allowed) - 1, MHD_RESPMEM_PERSISTENT);
	if (strcmp(url, "/metrics"))
		return reply(connection, MHD_HTTP_NOT_FOUND, "text/plain", not_found,
			     sizeof(not_found) - 1, MHD_RESPMEM_PERSISTENT);
	if (metrics_text(arg, &text, &len, &err))
		return reply(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "text/plain", broken,
			     sizeof(broken) - 1, MHD_RESPMEM_PERSISTENT);
	return reply(connection, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", text, len,
		     MHD_RESPMEM_MUST_FREE);
}

static int take_over(int handover, struct attach_facts *facts, struct attach_maps *maps,
		     struct stats **stats, int *listener, struct err *err)
{
	char byte;
	int fd;
	int ret = attach_receive_counters(facts, maps, handover, err);

	if (ret)
		return ret;
	ret = fdpass_receive(handover, &byte, 1, &fd, 1);
	if (ret)
		return err_set(err, ret, "no statistics from the starter: %s", strerror(-ret));
	ret = stats_map(stats, fd, false, err);
	(void)close(fd);
	if (ret)
		return ret;
	ret = fdpass_receive(handover, &byte, 1, listener, 1);
	return ret ? err_set(err, ret, "no listening socket from the starter: %s", strerror(-ret))
		   : 0;
}

int exporter_main(int handover)
{
	struct attach_facts facts;
	struct attach_maps maps;
	struct ledger_source source = {.facts = &facts, .maps = &maps};
	struct pollfd end = {.fd = handover, .events = POLLIN};
	struct err err = {""};
	int listener;

	const int ret = take_over(handover, &facts, &maps, &source.stats, &listener, &err);
	if (ret == -ECONNRESET)
		return 1; /* the starter gave up and says why */
	if (ret) {
		log_line("%s", err.text);
		return 1;
	}
	struct MHD_Daemon *daemon = MHD_start_daemon(
		MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_AUTO, 0, NULL, NULL, answer, &source,
		MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)EXPORTER_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, 10u, MHD_OPTION_END);
	if (!daemon) {
		log_line("cannot start the HTTP server: %s", strerror(errno));
		return 1;
	}
	while (poll(&end, 1, -1) < 0 && errno == EINTR)
		;
	MHD_stop_daemon(daemon);
	return 0;
}
