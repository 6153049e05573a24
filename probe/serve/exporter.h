/*
 * exporter: the process that answers: HTTP, and 'vxprobe status'. It reads shared memory and /proc
 * and knows nothing else.
 *
 *   starter ── counters (attach_send_counters), then what exporter_feed sends ──▶ exporter
 */
#pragma once

#include "serve/view.h"

/* ---- starter ---- */

/* Listening sockets that the exporter is to serve; -1: none. */
struct exporter_sockets {
	int metrics, health, status;
};
#define EXPORTER_NO_SOCKETS ((struct exporter_sockets){-1, -1, -1})

/* "127.0.0.1:9789" or "[::1]:9789"; "none": no such socket. *out is to be closed also after an
 * error. */
int exporter_bind(struct exporter_sockets *out, const char *interface, const char *listen,
		  const char *health_listen, struct err *err);
/* stats_fd: the statistics, to read. The descriptors stay the caller's. */
int exporter_feed(int handover, const struct view_facts *facts, int stats_fd,
		  const struct exporter_sockets *sockets, struct err *err);
void exporter_close(struct exporter_sockets *sockets);

/* Bytes that the exporter may need for what it answers; facts: series_max, by. */
size_t exporter_memory(const struct stats_config *stats, const struct view_facts *facts);

/* ---- exporter process ---- */

/* The first message of exporter_feed, with the descriptors of statistics and status; those of
 * metrics and health follow, a message each, where they are. */
struct exporter_greeting {
	struct view_facts facts;
	bool has_metrics, has_health;
};

/* Serves until the handover socket ends; returns the process's exit code. */
int exporter_main(int handover);
