/*
 * describe: what a stored file says of a session, in the words of its interface block.
 *
 * Writer thread; pure.
 */
#pragma once

#include "path/block.h"
#include "path/filter.h"
#include "run/stats.h"

/* By what its packets are kept. */
struct describe_policy {
	char name[64]; /* a word of filter_words, or its name in the names file */
	enum session_policy keep, user_plane;
	uint32_t snap_len;                /* UINT32_MAX: no bound */
	uint32_t sample;                  /* of so many flows one; 1: all */
	uint32_t n_only;                  /* ranges of addresses that are wanted; 0: all are */
	char filter[FILTER_TEXT_MAX + 1]; /* "": none */
	uint64_t digest;                  /* another one for another policy */
	int64_t until_ns;                 /* it holds until then, of wall clock */
};

/* if_name is the session's NAME; if_description "vni=4321 source=10.0.0.1 nf=... vrf=...
 * account=... eni=... policy=... keep=... user-plane=... snap-length=... sample=1/16 only=2", of
 * those behind the source what it has and what leaves something out; if_filter its expression.
 * clock_error_ns: of times made from a live source's clock; NULL: they are a file's own. */
void describe_session(const struct session *session, const struct session_labels *labels,
		      const struct describe_policy *policy, const uint64_t *clock_error_ns,
		      struct block_interface *out);
