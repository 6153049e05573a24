/*
 * vxcap_evidence: one folder held against its chain: entries, then files.
 *
 *   vxprobe.chain -> chain_walk -> what each file must be -> the files as they lie there
 *
 * One thread. Both sides may be an attacker's; memory grows with the entries that name files.
 */
#pragma once

#include "base/err.h"
#include "path/chain.h"
#include "vxcap_file.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum vxcap_kind {
	VXCAP_ALTERED,    /* an entry or a file is not as it was */
	VXCAP_MISSING,    /* is not there, and no entry says that it was deleted */
	VXCAP_MISPLACED,  /* an entry that stands where it was not written */
	VXCAP_UNPROVEN,   /* nothing that is proven vouches for it */
	VXCAP_SWAPPED,    /* a file with the content of another */
	VXCAP_APPENDED,   /* a file that no entry names */
	VXCAP_REPEATED,   /* a file that is entered a second time */
	VXCAP_UNREADABLE, /* the disk did not give it back when it was sealed, or does not now */
	VXCAP_DAMAGED,    /* its content cannot be read as what it is */
	VXCAP_NO_CHAIN,   /* nothing vouches for the folder */
	VXCAP_NO_HEAD,    /* the chain lacks the entry that was anchored: it was cut or replaced */
	VXCAP_OTHER_KEY,  /* it begins with another key than the one that was pinned */
	/* Not wrong: */
	VXCAP_REWRAPPED, /* recipients were added to the header; the payload is as it was */
	VXCAP_RECOVERED, /* no entry names it; it has the blocks of an unfinished file that is as it
			    was */
	VXCAP_NOTE,
};

static inline bool vxcap_is_finding(enum vxcap_kind kind)
{
	return kind < VXCAP_REWRAPPED;
}

/* What there is to say; text is lent. entry: 0: of none; last: of a range, else entry. */
struct vxcap_remark {
	enum vxcap_kind kind;
	int64_t entry, last;
	const char *file; /* in the folder; NULL: none */
	const char *why;
};

struct vxcap_evidence_config {
	const char *folder;
	char *const *names; /* these files alone; NULL: all */
	unsigned n_names;
	const uint8_t *head, *first_key; /* of chain_walk_config */
	const struct vxcap_keys *keys;   /* NULL, or none: contents are not looked at */
	void (*say)(void *arg, const struct vxcap_remark *remark);
	void *arg;
};

struct vxcap_evidence_result {
	int64_t entries, anchored; /* anchored: the entry that has config->head; 0: none */
	uint8_t head[CHAIN_HASH], first_key[CHAIN_KEY];
	uint64_t good, expired, open; /* files */
	uint64_t made;                /* rewrapped, recovered */
	uint64_t unopened;            /* of good: no key opens it, so its bytes alone are checked */
	uint64_t findings;
};

/* -errno with a sentence: the folder or memory is not to be had. */
int vxcap_evidence_check(const struct vxcap_evidence_config *config,
			 struct vxcap_evidence_result *result, struct err *err);
