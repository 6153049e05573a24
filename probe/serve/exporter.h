/*
 * exporter: the process that answers HTTP. It reads shared memory and knows nothing else.
 */
#pragma once

#include "base/err.h"

/* "127.0.0.1:9789" or "[::1]:9789", bound and listening. Starter. */
int exporter_listen(int *fd, const char *address, struct err *err);

/* Connections at a time; further ones wait. Prometheus needs one. */
#define EXPORTER_CONNECTIONS 4

/* Takes facts, counters, statistics and the listening socket by handover, then serves /metrics
 * until the handover socket ends. Exporter process; returns its exit code. */
int exporter_main(int handover);
