#include "run/capturer.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdpass.h"
#include "base/log.h"
#include "path/capture_xdp.h"
#include "path/seal.h"
#include "run/counters.h"
#include "run/ledger.h"

/* How often the kernel's counters are read. */
#define TURN_MS 200
/* While the rings are drained at the end, and how long at most. */
#define DRAIN_TURN_MS 5
#define DRAIN_NS      2000000000u

struct capturer {
	struct attach_rings rings;
	struct stats *stats;
	struct xdp_queues *queues;
	struct engine *engine;
	struct counters *counters; /* NULL: none are kept */
};

static int take_over(struct capturer *c, int handover, struct err *err)
{
	char byte;
	int fd;
	int ret = attach_receive(&c->rings, handover, err);

	if (ret)
		return ret;
	ret = fdpass_receive(handover, &byte, 1, &fd, 1);
	if (ret)
		return err_set(err, ret, "no statistics from the starter: %s", strerror(-ret));
	ret = stats_map(&c->stats, fd, true, err);
	(void)close(fd);
	return ret;
}

static int open_sources(struct capturer *c, const struct config *config, struct err *err)
{
	int ret = xdp_queues_open(&c->queues, &c->rings, err);

	for (unsigned i = 0; i < config->workers && !ret; i++) {
		struct capture *source;
		ret = capture_xdp_open(&source, c->queues, i, config->slack_ns, err);
		if (!ret)
			engine_set_source(c->engine, i, source);
	}
	return ret;
}

static void read_queues(struct capturer *c)
{
	for (unsigned q = 0; q < c->rings.facts.queues; q++) {
		struct stats_queue *out = stats_queue(c->stats, q);
		struct xdp_queue_stats s;
		xdp_queue_settle(c->queues, q, &s);
		stats_set(&out->ring_full, s.ring_full);
		stats_set(&out->rx_dropped, s.rx_dropped);
		stats_set(&out->in_fill, s.in_fill);
		stats_set(&out->in_rx, s.in_rx);
		stats_set(&out->in_kernel, s.in_kernel);
	}
}

static void write_counters(struct capturer *c)
{
	const struct ledger_source source = {c->stats, &c->rings.facts, &c->rings.maps};
	struct ledger l;

	ledger_read(&source, &l);
	counters_write(c->counters, &l,
		       stats_get(&c->stats->heartbeat_ns) + (uint64_t)c->stats->offset_ns);
}

static void turn(struct capturer *c, int handover, int timeout_ms)
{
	engine_turn(c->engine, handover, timeout_ms);
	read_queues(c);
	write_counters(c);
}

/* Without them it captures all the same. */
static void open_counters(struct capturer *c, const struct config *config)
{
	const char *name = config->counters_file;
	char made[PATH_MAX];
	struct err err;
	int ret = name ? 0 : counters_name(made, sizeof(made), config->dir, &err);

	if (ret ||
	    (ret = counters_open(&c->counters, name ? name : made, &c->stats->last_run, &err))) {
		log_line("warning: %s: what is counted does not outlive a kill", err.text);
		return;
	}
	if (c->stats->last_run.end_ns)
		ledger_log_last(&c->stats->last_run);
}

/* ---- orders ---- */

/* Control turns five times a second and has no long work: who takes longer is stopped or broken. */
#define ANSWER_S 10

/* Behind it comes the names' descriptor, if there is one; the answer is one byte. */
struct order {
	struct engine_settings settings;
	bool has_names;
};

static int await_answer(int socket)
{
	const struct timeval patience = {.tv_sec = ANSWER_S};
	char done;

	(void)setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	const int ret = fdpass_receive(socket, &done, 1, NULL, 0);
	return ret == -EAGAIN ? -ETIMEDOUT : ret;
}

int capturer_order(int socket, const struct engine_settings *settings, const struct names *names,
		   struct err *err)
{
	struct order order;
	int fd = -1;
	int ret = names ? names_send(names, &fd, err) : 0;

	if (ret)
		return ret;
	memset(&order, 0, sizeof(order)); /* its holes too */
	order.settings = *settings;
	order.has_names = names;
	ret = fdpass_send(socket, &order, sizeof(order), NULL, 0);
	if (!ret && names)
		ret = fdpass_send(socket, "n", 1, &fd, 1);
	if (!ret)
		ret = await_answer(socket);
	if (fd >= 0)
		(void)close(fd);
	return ret ? err_set(err, ret, "the capture process does not answer: %s", strerror(-ret))
		   : 0;
}

static int receive_names(struct names **names, int handover, struct err *err)
{
	char byte;
	int fd;
	int ret = fdpass_receive(handover, &byte, 1, &fd, 1);

	if (ret)
		return err_set(err, ret, "no names from the starter: %s", strerror(-ret));
	ret = names_map(names, fd, err);
	(void)close(fd);
	return ret;
}

/* False: the starter wants an end, or is gone. */
static bool follow_order(struct capturer *c, int handover)
{
	struct order order;
	struct names *names = NULL;
	struct err err;

	if (fdpass_receive(handover, &order, sizeof(order), NULL, 0))
		return false;
	if (order.has_names && receive_names(&names, handover, &err)) {
		log_line("%s", err.text);
		return false;
	}
	engine_set(c->engine, &order.settings, names);
	return send(handover, "d", 1, MSG_NOSIGNAL) == 1;
}

/* False: the end has come. */
static bool follow_orders(struct capturer *c, int handover)
{
	struct pollfd p = {.fd = handover, .events = POLLIN};

	return poll(&p, 1, 0) <= 0 || follow_order(c, handover);
}

/* XDP is detached. What it gave before has to come out of the rings, then the workers may end. */
static void drain(struct capturer *c)
{
	const struct ledger_source source = {c->stats, &c->rings.facts, &c->rings.maps};
	const uint64_t until_ns = clock_monotonic_ns() + DRAIN_NS;
	struct ledger l;

	do {
		turn(c, -1, DRAIN_TURN_MS);
		ledger_read(&source, &l);
	} while (l.in_rings && clock_monotonic_ns() < until_ns);
	xdp_queues_stop(c->queues);
	while (!engine_is_done(c->engine))
		turn(c, -1, DRAIN_TURN_MS);
	(void)engine_join(c->engine);
	read_queues(c);
}

static int start(struct capturer *c, const struct capturer_config *config, int handover,
		 struct err *err)
{
	int ret = engine_open(&c->engine, config->engine, c->stats, err);

	if (ret)
		return ret;
	open_counters(c, config->config);
	engine_set(c->engine, config->settings, config->names);
	if ((ret = open_sources(c, config->config, err)) || (ret = engine_start(c->engine, err)))
		return ret;
	return send(handover, "r", 1, MSG_NOSIGNAL) == 1
		       ? 0
		       : err_set(err, -errno, "the starter is gone: %s", strerror(errno));
}

int capturer_main(const struct capturer_config *config, int handover)
{
	static struct capturer c;
	struct err err = {""};

	seal_protect_process(); /* packets and file keys are in its memory */
	const int ret = take_over(&c, handover, &err);
	if (ret == -ECONNRESET)
		return 1; /* the starter gave up and says why */
	if (ret) {
		log_line("%s", err.text);
		return 1;
	}
	if (start(&c, config, handover, &err)) {
		log_line("%s", err.text);
		return 1;
	}
	while (follow_orders(&c, handover))
		turn(&c, handover, TURN_MS);
	drain(&c);
	engine_close(c.engine);
	counters_close(c.counters, true);
	xdp_queues_close(c.queues);
	return 0;
}
