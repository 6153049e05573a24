/*
 * live: 'vxprobe run': the starter and the two processes that it feeds.
 *
 *   starter    program, maps, sockets, packet memory; the only one that needs privilege; waits
 *   capture    workers, writer, control            <── rings, maps, statistics (SCM_RIGHTS)
 *   exporter   HTTP                                <── maps, statistics to read
 *
 * Both children are forked before anything is opened, so they have only what is handed to them.
 * Each ends when its socket to the starter does: also when the starter is killed. Ctrl-C reaches
 * the starter alone.
 */
#pragma once

#include "config/config.h"

/* Until a signal ends it. 0 or -errno; an empty sentence: a child has said it already. */
int live_run(const struct config *config, struct err *err);
/* What can be told without a start: that the memory and files it could need may be had. */
int live_check(const struct config *config, struct err *err);
