#include "serve/exporter.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdpass.h"
#include "base/log.h"
#include "serve/http.h"
#include "serve/report.h"

/* How often slow clients are looked at. */
#define TEND_MS 1000

struct exporter {
	struct attach_facts facts;
	struct attach_maps maps;
	struct view view;
	struct exporter_sockets sockets;
	struct http *metrics, *health;
};

static int take_sockets(struct exporter *e, const struct exporter_greeting *greeting, int handover)
{
	char byte;
	int ret = 0;

	if (greeting->has_metrics)
		ret = fdpass_receive(handover, &byte, 1, &e->sockets.metrics, 1);
	if (!ret && greeting->has_health)
		ret = fdpass_receive(handover, &byte, 1, &e->sockets.health, 1);
	return ret;
}

static int take_over(struct exporter *e, int handover, struct err *err)
{
	struct exporter_greeting greeting;
	int fds[2];
	int ret = attach_receive_counters(&e->facts, &e->maps, handover, err);

	if (ret)
		return ret;
	ret = fdpass_receive(handover, &greeting, sizeof(greeting), fds, 2);
	if (ret)
		return err_set(err, ret, "no statistics from the starter: %s", strerror(-ret));
	e->sockets.status = fds[1];
	e->view = (struct view){.ledger = {.facts = &e->facts, .maps = &e->maps},
				.facts = greeting.facts,
				.started_ns = clock_monotonic_ns()};
	ret = stats_map(&e->view.ledger.stats, fds[0], false, err);
	(void)close(fds[0]);
	if (!ret && (ret = take_sockets(e, &greeting, handover)))
		(void)err_set(err, ret, "no listening socket from the starter: %s", strerror(-ret));
	return ret;
}

static int open_servers(struct exporter *e, struct err *err)
{
	int ret = 0;

	if (e->sockets.metrics >= 0)
		ret = http_open(&e->metrics, &e->view, e->sockets.metrics, false, err);
	if (!ret && e->sockets.health >= 0)
		ret = http_open(&e->health, &e->view, e->sockets.health, true, err);
	return ret;
}

static void tend_servers(const struct exporter *e)
{
	const uint64_t now_ns = clock_monotonic_ns();

	if (e->metrics)
		http_tend(e->metrics, now_ns);
	if (e->health)
		http_tend(e->health, now_ns);
}

static void serve(struct exporter *e, int handover)
{
	struct pollfd p[] = {{.fd = handover, .events = POLLIN},
			     {.fd = e->sockets.status, .events = POLLIN}};

	for (;;) {
		const int n = poll(p, 2, TEND_MS);
		tend_servers(e);
		if (n <= 0)
			continue;
		if (p[0].revents)
			return;
		report_answer(&e->view, e->sockets.status);
	}
}

int exporter_main(int handover)
{
	static struct exporter e = {.sockets = {-1, -1, -1}};
	struct err err = {""};

	int ret = take_over(&e, handover, &err);
	if (ret == -ECONNRESET)
		return 1; /* the starter gave up and says why */
	if (ret || (ret = open_servers(&e, &err))) {
		log_line("%s", err.text);
		return 1;
	}
	serve(&e, handover);
	http_close(e.metrics);
	http_close(e.health);
	return 0;
}
