/*
 * ask: how 'vxprobe status' and 'vxprobe top' find a running probe and ask it for its document.
 *
 * Main thread of a process of its own.
 */
#pragma once

#include "base/err.h"

#include <jansson.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

struct ask_options {
	char interface[IF_NAMESIZE];
	bool json;
	uint64_t interval_ns;
	const char *by; /* NULL: not given */
};

/* The command line, defaults in *o. has_by: --by is an option. -ECANCELED: help is wanted; -EINVAL
 * with a sentence. */
int ask_parse(struct ask_options *o, bool has_by, int argc, char **argv, struct err *err);

/* Where it is "", takes the interface of the only probe in this network namespace. -ENOENT: none
 * runs here; -EINVAL: several do. */
int ask_choose(char interface[static IF_NAMESIZE], struct err *err);
/* The document of report.h, the caller's; waits at most 10 s. */
int ask_probe(json_t **out, const char *interface, struct err *err);
