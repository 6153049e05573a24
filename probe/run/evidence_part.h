/*
 * evidence_part: what the files of evidence share.
 *
 *   evidence.c        the thread and its life
 *   evidence_tell.c   the queue: what others tell it
 *   evidence_found.c  the start: what lies in the folder without an entry
 */
#pragma once

#include <pthread.h>

#include "path/chain.h"
#include "run/evidence.h"
#include "run/evidence_log.h"

/* Files of a folder that are looked at once at the start: 17 bytes each. More are "unhashed". */
#define EVIDENCE_LISTED_MAX 262144u

/* What was told and is not yet entered. */
struct item {
	enum chain_event event;
	char file[CHAIN_NAME_MAX];
	uint64_t bytes, packets, drops;
	int64_t step_ns;
	uint8_t sha256[32];
	char reason[CHAIN_TEXT_MAX];
	unsigned n_recipients;
	struct seal_recipient recipients[SEAL_RECIPIENTS_MAX];
};

/* A file that lay in the folder at the start. */
struct listed {
	uint8_t id[16]; /* the beginning of its name's SHA-256: nobody can make two alike */
	bool is_known;
};

struct evidence {
	struct evidence_config config;
	int dir_fd;
	pthread_t thread;
	bool is_started;
	struct listed *listed;
	size_t n_listed, listed_cap;
	uint64_t n_unlisted;
	pthread_mutex_t mutex; /* over the queue */
	pthread_cond_t changed;
	struct item *queue;
	unsigned first, n;
	uint64_t missed; /* tellers that found it full */
	uint64_t told, entered;
	bool is_ending, is_stuck; /* the last commit failed */
	uint8_t configured[32];   /* the last that was told */
	bool is_configured;
	/* the thread's */
	struct evidence_log log;
	struct chain_entry entry, found; /* found: while what comes meanwhile goes through entry */
	struct item item;
	uint64_t taken; /* items out of the queue */
	uint64_t committed_ns;
	bool is_failing;
	uint64_t ends_ns; /* when it saw that it is to end; 0: not yet */
};

/* ---- evidence_tell.c ---- */

void evidence_lock(struct evidence *evidence);
/* Wakes who waits. */
void evidence_unlock(struct evidence *evidence);
/* On the clock of evidence->changed. */
struct timespec evidence_after(uint64_t ns);

/* ---- evidence_found.c: control before the thread runs, then the thread ---- */

/* Before anything is written: what comes later is told of. */
int evidence_list(struct evidence *evidence, struct err *err);
void evidence_enter_found(struct evidence *evidence);

/* ---- evidence.c: the thread ---- */

void evidence_begin_entry(struct chain_entry *entry, enum chain_event event);
/* What a file gives becomes its entry; an error makes "unreadable" of it, and is returned. want:
 * bytes it must have, or NULL; did: of chain_hash_fd. */
int evidence_hash_file(struct evidence *evidence, struct chain_entry *entry, const char *name,
		       const uint64_t *want, bool (*did)(void *arg, uint64_t more));
void evidence_add(struct evidence *evidence, struct chain_entry *entry);
void evidence_enter_missed(struct evidence *evidence, uint64_t n);
/* Enters what waits. False: it is time to end. */
bool evidence_serve(struct evidence *evidence);
