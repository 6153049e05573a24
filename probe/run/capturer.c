#include "run/capturer.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdpass.h"
#include "base/log.h"
#include "path/capture_xdp.h"
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

static void turn(struct capturer *c, int handover, int timeout_ms)
{
	engine_turn(c->engine, handover, timeout_ms);
	read_queues(c);
}

static bool has_ended(int handover)
{
	struct pollfd p = {.fd = handover, .events = POLLIN};

	return poll(&p, 1, 0) > 0;
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

static int start(struct capturer *c, const struct config *config,
		 const struct engine_config *engine, int handover, struct err *err)
{
	int ret = engine_open(&c->engine, engine, c->stats, err);

	if (ret || (ret = open_sources(c, config, err)) || (ret = engine_start(c->engine, err)))
		return ret;
	return send(handover, "r", 1, MSG_NOSIGNAL) == 1
		       ? 0
		       : err_set(err, -errno, "the starter is gone: %s", strerror(errno));
}

int capturer_main(const struct config *config, const struct engine_config *engine, int handover)
{
	static struct capturer c;
	struct err err = {""};

	const int ret = take_over(&c, handover, &err);
	if (ret == -ECONNRESET)
		return 1; /* the starter gave up and says why */
	if (ret) {
		log_line("%s", err.text);
		return 1;
	}
	if (start(&c, config, engine, handover, &err)) {
		log_line("%s", err.text);
		return 1;
	}
	while (!has_ended(handover))
		turn(&c, handover, TURN_MS);
	drain(&c);
	engine_close(c.engine);
	xdp_queues_close(c.queues);
	return 0;
}
