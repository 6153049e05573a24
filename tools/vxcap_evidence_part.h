/*
 * vxcap_evidence_part: what the files of vxcap_evidence share.
 *
 *   vxcap_evidence_chain.c   the chain becomes a tree of what it says of each file
 *   vxcap_evidence.c         the files of the folder against the tree
 */
#pragma once

#include "vxcap_evidence.h"

/* What the chain says of one file. */
struct known {
	char *name;
	uint8_t sha256[CHAIN_HASH];
	int64_t bytes, packets; /* packets: -1: not said */
	int64_t entry;          /* that says what it is; 0: none does */
	int64_t deleted;        /* entry that says it is gone; 0: none does */
	enum chain_event event; /* of entry */
	bool is_good;           /* entry is */
	bool is_seen;           /* there is such a file */
	bool is_gone;           /* there was one when the folder was listed */
};

struct check {
	const struct vxcap_evidence_config *config;
	struct vxcap_evidence_result *result;
	int dir_fd;
	void *known;      /* tree of struct known by name */
	uint64_t time_ns; /* of the latest entry */
	uint64_t unhashed;
	bool rereads; /* for what was deleted since */
	bool out_of_memory;
};

void vxcap_evidence_remark(struct check *check, enum vxcap_kind kind, int64_t entry,
			   const char *file, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

/* What the chain says of this name; NULL: nothing. */
struct known *vxcap_evidence_find(const struct check *check, const char *name);
/* Walks the chain from its first line; says what is wrong with it. */
int vxcap_evidence_read(struct check *check, struct err *err);
/* Once more, for deletions that it did not have yet. */
int vxcap_evidence_reread(struct check *check, struct err *err);
void vxcap_evidence_free(struct check *check);
