/*
 * reload: configuration and names while the probe runs: all of a change is taken, or nothing.
 *
 *   SIGHUP             reads the configuration and the names file anew
 *   names file changes reads that anew; its folder is watched, so that a file that is renamed into
 *                      place is seen as well as one that is written
 *
 * Starter, its one thread. What is right goes to the capture process, which answers; what is wrong
 * is logged in one sentence, counted, and changes nothing.
 */
#pragma once

#include "base/err.h"
#include "config/config.h"
#include "config/names.h"
#include "run/engine.h"
#include "run/stats.h"

struct reload;

/* Loads the names file, if there is one. config is the caller's and lasts longer. */
int reload_open(struct reload **out, const struct config *config, struct err *err);
/* Takes NULL. */
void reload_close(struct reload *reload);
/* What is in force; lent until the next change. names: NULL when there are none. */
const struct engine_settings *reload_settings(const struct reload *reload);
struct names *reload_names(const struct reload *reload);

/* Begins to watch, when the children are forked: the descriptor is not for them. stats: where the
 * outcome is counted; capture: the socket to the capture process. */
int reload_begin(struct reload *reload, struct stats *stats, int capture, struct err *err);
/* To poll: readable when something changed in the names file's folder; -1: none. */
int reload_fd(const struct reload *reload);
/* Milliseconds after which reload_follow wants to be called also without an event; -1: none. */
int reload_timeout_ms(const struct reload *reload);
int reload_follow(struct reload *reload, struct err *err);
/* On SIGHUP. Of both: 0, also when a change was refused; -ETIMEDOUT: the capture process does not
 * answer and is not to be relied upon. */
int reload_all(struct reload *reload, struct err *err);
