/*
 * capturer: the capture process: the engine over AF_XDP; it needs no privilege.
 */
#pragma once

#include "config/config.h"
#include "run/engine.h"

/* Takes rings and statistics from the socket, says there that it is ready, captures until the
 * socket ends, then drains, seals and returns the process's exit code. */
int capturer_main(const struct config *config, const struct engine_config *engine, int handover);
