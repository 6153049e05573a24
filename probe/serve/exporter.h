/*
 * exporter: the process that answers HTTP. It reads shared memory and knows nothing else.
 */
#pragma once

#include "base/err.h"

/* "127.0.0.1:9789" or "[::1]:9789", bound and listening. Starter. */
int exporter_listen(int *fd, const char *address, struct err *err);

/* Serves /metrics on listener until the handover socket ends. Exporter process; returns its exit
 * code. Takes facts, counters and statistics from the socket first. */
int exporter_main(int handover, int listener);
