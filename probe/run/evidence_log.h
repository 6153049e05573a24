/*
 * evidence_log: the chain's file and the file of its key, changed so that no crash parts them.
 *
 *   add lines in memory ... commit:  .new written: next secret, these lines        (synced)
 *                                    .new and key file exchange their names        (synced)
 *                                    .new, the old one, overwritten with zeroes    (synced)
 *                                    the lines behind the chain                    (synced)
 *
 * A commit that failed can be tried again: all of it, or with more lines. After a crash the next
 * open writes the lines that the key file has and the chain has not, and the next commit overwrites
 * a .new, whichever of the two it is: no secret that has signed is ever in blocks without a name.
 *
 * Evidence thread alone. Owns both files; the chain is locked while it is open.
 */
#pragma once

#include "base/err.h"
#include "path/chain.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of lines between two commits; add wants room for one more. */
#define EVIDENCE_LOG_PENDING (8u * CHAIN_LINE_MAX)

struct evidence_log {
	/* const after open */
	int dir_fd;
	int chain_fd;
	char aside[64];  /* name that a chain without its key got now; "": none */
	bool is_altered; /* the chain does not end as it was left */
	/* changing */
	struct chain_signer signer;
	uint64_t base; /* length of the chain without what is pending */
	size_t pending;
	char lines[EVIDENCE_LOG_PENDING];
};

/* dir_fd is the caller's. A key file that is not there, or is none, is lost: a new chain begins.
 * -EBUSY: another process has it; -errno with a sentence: also a key that cannot be read now. */
int evidence_log_open(struct evidence_log *log, int dir_fd, struct err *err);
void evidence_log_close(struct evidence_log *log);
/* Signs the entry as the next line. -ENOBUFS: commit first; -EIO. */
int evidence_log_add(struct evidence_log *log, struct chain_entry *entry);
bool evidence_log_is_full(const struct evidence_log *log);
/* Nothing pending: does nothing. -errno: all is pending still. */
int evidence_log_commit(struct evidence_log *log);
