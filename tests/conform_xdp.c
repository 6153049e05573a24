/*
 * conform-xdp: the conformance suite over AF_XDP: as many sources as workers on one interface, with
 * traffic from the other end of a veth pair. Root; tests/netns/conform makes the network.
 *
 *   senders in NETNS, one per RX queue --veth--> XDP --AF_XDP--> a conform() per worker
 *
 * In native mode veth takes the RX queue from the sender's CPU (packet(7), PACKET_QDISC_BYPASS).
 */
#define _GNU_SOURCE /* setns, CPU_SET */

#include "support/conform.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "path/attach.h"
#include "path/capture_xdp.h"
#include "support/packet.h"

#define FRAMES      4000
#define FLOWS       16 /* enough that every worker has some */
#define SENDERS_MAX 2
/* 4,000 frames over two queues and two workers go around each ring twice, ... */
#define RING 512
/* ... and a sender's frames on their way, as jumbos 240 chunks, are less than the half of one at
 * which order is given up, and less than the 256 packets that veth holds. */
#define WINDOW   80
#define SLACK_NS 50000000u
/* Longer than the slack: what waits behind a worker that was stopped keeps its order. */
#define HOLD_MS 150
/* That nothing comes through before a frame is given up. */
#define PATIENCE_NS 5000000000u

struct worker {
	pthread_t thread;
	struct capture *source;
	const struct conform_expect *expect;
	int ret;
	struct err err;
};

struct sender {
	pthread_t thread;
	unsigned number, senders;
	int socket;
};

static struct conform_frame frames[FRAMES];

static void require(int ret, const struct err *err)
{
	if (!ret)
		return;
	(void)fprintf(stderr, "conform-xdp: %s\n", err->text);
	exit(1);
}

/* The same for a call that sets errno. */
static int made(int ret, const char *what)
{
	if (ret >= 0)
		return ret;
	(void)fprintf(stderr, "conform-xdp: cannot %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- frames ---- */

/* A mirrored packet of flow i; its number in front of the payload makes it another. */
static struct build build_mirrored(unsigned i, uint32_t payload)
{
	struct build b = build_payload(payload);

	memcpy(build_data(&b), &i, sizeof(i));
	build_udp(&b, (uint16_t)(1000 + i % FLOWS), 2000);
	build_ipv4(&b, 17, "192.168.0.1", "192.168.0.2");
	build_ethernet(&b, 0x0800);
	build_vxlan(&b, 4321);
	build_udp(&b, 65500, 4789);
	build_ipv4(&b, 17, "10.0.0.1", "10.255.0.1");
	build_ethernet(&b, 0x0800);
	return b;
}

/* Of all lengths up to len_max; frame i is sent by sender i % senders. */
static void make_frames(uint32_t len_max, unsigned senders)
{
	const uint32_t overhead = build_mirrored(0, sizeof(unsigned)).len - sizeof(unsigned);
	const uint32_t payload_max = len_max - overhead;

	for (unsigned i = 0; i < FRAMES; i++) {
		struct build b = build_mirrored(i, payload_max - i * 397 % (payload_max - 4));
		uint8_t *data = malloc(b.len);

		made(data ? 0 : -1, "get memory");
		memcpy(data, build_data(&b), b.len);
		frames[i] =
			(struct conform_frame){.data = data, .len = b.len, .group = i % senders};
	}
}

/* ---- senders ---- */

static int packet_socket(const char *interface)
{
	const int fd = made(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), "open a packet socket");
	const struct sockaddr_ll address = {.sll_family = AF_PACKET,
					    .sll_ifindex = (int)if_nametoindex(interface)};
	const int on = 1;

	made(bind(fd, (const struct sockaddr *)&address, sizeof(address)), "bind to the generator");
	made(setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)), "bypass the qdisc");
	return fd;
}

/* Their interface is in another namespace, which a socket keeps. */
static void open_senders(struct sender *sender, unsigned n, const char *netns,
			 const char *interface)
{
	const int here = made(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), "open a namespace");
	const int there = made(open(netns, O_RDONLY | O_CLOEXEC), "open the generator's namespace");

	made(setns(there, CLONE_NEWNET), "enter the generator's namespace");
	for (unsigned i = 0; i < n; i++)
		sender[i] = (struct sender){
			.number = i, .senders = n, .socket = packet_socket(interface)};
	made(setns(here, CLONE_NEWNET), "come back from the generator's namespace");
	(void)close(here);
	(void)close(there);
}

/* False: it does not come. */
static bool wait_for_lent(unsigned i)
{
	const uint64_t until_ns = clock_monotonic_ns() + PATIENCE_NS;

	while (!__atomic_load_n(&frames[i].lent, __ATOMIC_RELAXED)) {
		if (clock_monotonic_ns() > until_ns)
			return false;
		clock_nap(100000);
	}
	return true;
}

static void *send_frames(void *arg)
{
	const struct sender *s = arg;
	unsigned oldest = s->number;
	cpu_set_t cpu;

	CPU_ZERO(&cpu);
	CPU_SET(s->number, &cpu);
	made(-pthread_setaffinity_np(pthread_self(), sizeof(cpu), &cpu), "choose a CPU");
	for (unsigned i = s->number; i < FRAMES; i += s->senders) {
		for (; i - oldest >= WINDOW * s->senders; oldest += s->senders)
			if (!wait_for_lent(oldest))
				return NULL;
		made((int)send(s->socket, frames[i].data, frames[i].len, 0), "send");
	}
	for (; oldest < FRAMES; oldest += s->senders)
		if (!wait_for_lent(oldest))
			return NULL;
	return NULL;
}

/* ---- workers ---- */

static void *run_suite(void *arg)
{
	struct worker *w = arg;

	w->ret = conform(w->source, w->expect, &w->err);
	return NULL;
}

static struct attach *attach_both(const struct attach_config *config, struct attach_rings *rings)
{
	struct attach *attach = NULL;
	struct err err;
	int pair[2];

	made(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), "make a socket pair");
	require(attach_open(&attach, config, &err), &err);
	require(attach_send(attach, pair[0], &err), &err);
	require(attach_receive(rings, pair[1], &err), &err);
	return attach;
}

static void start_workers(struct worker *worker, struct xdp_queues *queues,
			  const struct conform_expect *expect, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct worker *w = &worker[i];
		w->expect = expect;
		require(capture_xdp_open(&w->source, queues, i, SLACK_NS, &w->err), &w->err);
		made(-pthread_create(&w->thread, NULL, run_suite, w), "start a thread");
	}
}

static void run_senders(struct sender *sender, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		made(-pthread_create(&sender[i].thread, NULL, send_frames, &sender[i]),
		     "start a thread");
	for (unsigned i = 0; i < n; i++)
		(void)pthread_join(sender[i].thread, NULL);
}

/* Else the run would say less than it seems to. */
static void require_use_of_all(const struct attach_rings *rings, unsigned queues)
{
	struct err err;

	for (unsigned i = 0; i < queues * rings->facts.workers; i++) {
		const uint64_t packets =
			__atomic_load_n(&rings->maps.given[i].packets, __ATOMIC_RELAXED);
		require(packets ? 0
				: err_set(&err, -EPROTO, "queue %u gave worker %u nothing",
					  i / rings->facts.workers, i % rings->facts.workers),
			&err);
	}
}

static void run(const struct attach_config *config, struct sender *sender, unsigned senders)
{
	static struct attach_rings rings;
	static struct worker worker[STEER_WORKERS_MAX];
	const struct conform_expect expect = {.frames = frames,
					      .n = FRAMES,
					      .is_live = true,
					      .is_share = true,
					      .hold_ms = HOLD_MS};
	struct attach *attach = attach_both(config, &rings);
	struct xdp_queues *queues;
	struct err err;

	require(xdp_queues_open(&queues, &rings, &err), &err);
	start_workers(worker, queues, &expect, config->workers);
	require(attach_start(attach, &err), &err);
	run_senders(sender, senders);
	attach_stop(attach);
	xdp_queues_stop(queues);
	for (unsigned i = 0; i < config->workers; i++) {
		(void)pthread_join(worker[i].thread, NULL);
		require(worker[i].ret, &worker[i].err);
	}
	require(conform_all_lent(&expect, &err), &err);
	require_use_of_all(&rings, senders);
	xdp_queues_close(queues);
	attach_close(attach);
}

int main(int argc, char **argv)
{
	if (argc != 6) {
		(void)fprintf(stderr,
			      "usage: conform-xdp IFACE NETNS native|generic WORKERS LEN_MAX\n");
		return 2;
	}
	const bool is_native = !strcmp(argv[3], "native");
	const struct attach_config config = {.interface = argv[1],
					     .mode = is_native ? ATTACH_NATIVE : ATTACH_GENERIC,
					     .workers = (uint32_t)atoi(argv[4]),
					     .ring = RING,
					     .port = 4789};
	/* In generic mode veth gives every packet to RX queue 0. */
	const unsigned senders = is_native ? SENDERS_MAX : 1;
	static struct sender sender[SENDERS_MAX];

	make_frames((uint32_t)atoi(argv[5]), senders);
	open_senders(sender, senders, argv[2], argv[1]);
	run(&config, sender, senders);
	printf("%s, %u workers, frames of up to %s bytes: %u lent\n", argv[3], config.workers,
	       argv[5], FRAMES);
	return 0;
}
