/* The starter's half: sockets are made and handed over. */
#include "serve/exporter.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fdpass.h"
#include "serve/http.h"
#include "serve/metrics.h"
#include "serve/report.h"

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

/* The part in front of the last colon, without brackets. */
static void host_of(const char *address, const char *colon, char out[static 128])
{
	(void)snprintf(out, 128, "%.*s", colon ? (int)(colon - address) : 0, address);
	const size_t n = strlen(out);
	if (n > 2 && out[0] == '[' && out[n - 1] == ']') {
		memmove(out, out + 1, n - 2);
		out[n - 2] = 0;
	}
}

static int listen_at(int *fd, const char *option, const char *address, struct err *err)
{
	const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
				       .ai_socktype = SOCK_STREAM};
	const char *colon = strrchr(address, ':');
	struct addrinfo *found;
	char host[128];

	if (!strcmp(address, "none"))
		return 0;
	host_of(address, colon, host);
	if (!colon || getaddrinfo(*host ? host : NULL, colon + 1, &hints, &found))
		return err_set(err, -EINVAL,
			       "--%s %s: an address and port such as 127.0.0.1:9789 is wanted",
			       option, address);
	const int got = listen_on(found);
	freeaddrinfo(found);
	if (got < 0)
		return err_set(err, got, "cannot listen on %s: %s; --%s chooses another, or none",
			       address, strerror(-got), option);
	*fd = got;
	return 0;
}

int exporter_bind(struct exporter_sockets *out, const char *interface, const char *listen,
		  const char *health_listen, struct err *err)
{
	*out = EXPORTER_NO_SOCKETS;
	int ret = report_listen(&out->status, interface, err);
	if (!ret)
		ret = listen_at(&out->metrics, "listen", listen, err);
	if (!ret)
		ret = listen_at(&out->health, "health-listen", health_listen, err);
	return ret;
}

void exporter_close(struct exporter_sockets *s)
{
	if (s->metrics >= 0)
		(void)close(s->metrics);
	if (s->health >= 0)
		(void)close(s->health);
	if (s->status >= 0)
		(void)close(s->status);
	*s = EXPORTER_NO_SOCKETS;
}

int exporter_feed(int handover, const struct view_facts *facts, int stats_fd,
		  const struct exporter_sockets *s, struct err *err)
{
	const struct exporter_greeting greeting = {*facts, s->metrics >= 0, s->health >= 0};
	const int fds[] = {stats_fd, s->status};
	int ret = fdpass_send(handover, &greeting, sizeof(greeting), fds, 2);

	if (!ret && greeting.has_metrics)
		ret = fdpass_send(handover, "m", 1, &s->metrics, 1);
	if (!ret && greeting.has_health)
		ret = fdpass_send(handover, "h", 1, &s->health, 1);
	return ret ? err_set(err, ret, "cannot hand over to the exporter: %s", strerror(-ret)) : 0;
}

size_t exporter_memory(const struct stats_config *stats, const struct view_facts *facts)
{
	return http_memory(metrics_memory(stats, facts));
}
