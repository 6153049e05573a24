/*
 * chain_walk: a chain from its first line to its last, judged: what is altered, missing, in the
 * wrong place, cut off.
 *
 * vxcap's one thread. Lines may be an attacker's; memory is that of two entries.
 *
 * A line is proven when the key signed it that the proven line before names. Where a line is
 * altered or missing, the walk goes on with what the next lines name, so that each bad one is named
 * and the good ones behind it are not; but then they are proven no more by the first key.
 */
#pragma once

#include "path/chain.h"

enum chain_fault {
	CHAIN_ALTERED,   /* this entry is not as it was signed, or was never signed by the probe */
	CHAIN_MISSING,   /* entries first to last are not there */
	CHAIN_MISPLACED, /* this entry stands where it was not written */
	CHAIN_UNPROVEN,  /* behind what is altered or missing nothing shows whether it is right */
	CHAIN_CUT,       /* the last line has no end */
	CHAIN_EMPTY,     /* there is no entry */
	CHAIN_NO_HEAD,   /* no entry has the hash that was anchored */
	CHAIN_OTHER_KEY, /* the first entry has another key than the one that was pinned */
	CHAIN_FAULTS
};

struct chain_finding {
	enum chain_fault fault;
	int64_t first, last; /* sequences; where it cannot be read, the one that was due */
	uint64_t line;       /* from 1 */
	const char *why;     /* "" or a sentence */
};

struct chain_walk_config {
	const uint8_t *head;      /* the hash that some entry must have, or NULL */
	const uint8_t *first_key; /* that the first entry must have, or NULL */
	/* Each entry that can be read, in the order of lines, once it is judged. */
	void (*entry)(void *arg, const struct chain_entry *entry, bool is_good);
	void (*finding)(void *arg, const struct chain_finding *finding);
	void *arg;
};

struct chain_walk;

int chain_walk_open(struct chain_walk **out, const struct chain_walk_config *config,
		    struct err *err);
/* Takes NULL. */
void chain_walk_close(struct chain_walk *walk);
/* The next line; ret as chain_read_line gave it. */
void chain_walk_line(struct chain_walk *walk, const char *line, size_t len, int ret);
/* There are no more. */
void chain_walk_end(struct chain_walk *walk);

/* Of the last line that could be read: its sequence, 0: none; its hash. And the first key. */
int64_t chain_walk_head(const struct chain_walk *walk, uint8_t hash[static CHAIN_HASH]);
const uint8_t *chain_walk_first_key(const struct chain_walk *walk);
/* Sequence of the entry that has config->head; 0: none yet. */
int64_t chain_walk_anchored(const struct chain_walk *walk);
const char *chain_fault_name(enum chain_fault fault);
