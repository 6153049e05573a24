/*
 * stores: the map `stores:` of the file, NAME: {key: value, ...}; what a store does not say is as
 * for the whole.
 *
 * Internal to config/. Main thread.
 */
#pragma once

#include "config/config.h"

/* Fills config->stores, when everything else is in its place. Refused, with line and key: a NAME
 * that no file can have, or that is given to the default store; keys that are not a store's; what
 * option_set refuses; files that nobody could be told apart by with split: session. */
int stores_read(struct config *config, struct err *err);
/* "a, b", or "none"; cut where there is no room. */
const char *stores_text(const struct config *config, char *out, size_t len);
