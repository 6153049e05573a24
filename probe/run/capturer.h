/*
 * capturer: the capture process: the engine over AF_XDP; it needs no privilege.
 */
#pragma once

#include "config/config.h"
#include "run/engine.h"

struct capturer_config {
	const struct config *config;
	const struct engine_config *engine;
	const struct engine_settings *settings;
	struct names *names; /* the capture process's from then on; NULL: none */
};

/* Takes rings and statistics from the socket, says there that it is ready, captures and takes
 * orders until the socket ends, then drains, seals and returns the process's exit code. */
int capturer_main(const struct capturer_config *config, int handover);

/* Starter: puts settings and names (NULL: none) in force over the other end of that socket; returns
 * when they are. -ECONNRESET: the capture process is gone; -ETIMEDOUT: it does not answer, and
 * nobody knows what is in force. */
int capturer_order(int socket, const struct engine_settings *settings, const struct names *names,
		   struct err *err);
