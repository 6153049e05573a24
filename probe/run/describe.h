/*
 * describe: what a stored file says of a session, in the words of its interface block.
 *
 * Writer thread; pure.
 */
#pragma once

#include "path/block.h"
#include "run/stats.h"

/* if_name is the session's NAME; if_description "vni=4321 source=10.0.0.1 nf=... vrf=...
 * account=... eni=...", of the last four those that it has. clock_error_ns: of times made from a
 * live source's clock; NULL: they are a file's own. */
void describe_session(const struct session *session, const struct session_labels *labels,
		      const uint64_t *clock_error_ns, struct block_interface *out);
