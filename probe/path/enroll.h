/*
 * enroll: which session a packet belongs to. A session is (outer source, VNI, generation).
 *
 * Live, the workers share one enroll: they look up and ask, the control thread alone writes
 * (enroll_serve). A worker that meets an unknown (source, VNI) posts it in its letter box and keeps
 * the packet until it is answered, some microseconds later. Of files every worker sees every frame,
 * so each has an enroll of its own and serves itself: all come to the same sessions, whatever their
 * number and pace. Beyond the cap nobody is asked: the answer is ENROLL_REFUSED at once.
 *
 * Generations: an ENI's MAC is in all its frames, as source or destination. While all frames of a
 * session carried a common MAC and then ENROLL_RUN in a row do not, (source, VNI) has been given to
 * another ENI: a new generation begins, with the first frame of the run as far as its record is
 * still in the worker's hands, and in the chunk that takes the generation's packets too: with
 * several writers and another store it may be in another one. A frame with the old MAC within the
 * run proves that there is no such MAC, and the session keeps its generation for good. Frames to
 * group addresses prove nothing. A generation also ends when `identify` names another ENI.
 *
 * Direction: by the ENI's MAC, which identify gives, or is the one common to all frames; where two
 * are, the one that goes with the outer source as the inner address.
 */
#pragma once

#include "abi.h"
#include "base/err.h"
#include "path/decap.h"
#include "siphash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENROLL_UNKNOWN UINT32_MAX       /* ask again: the control thread has not answered yet */
#define ENROLL_REFUSED (UINT32_MAX - 1) /* beyond the cap */
#define ENROLL_RUN     4

/* What is done with a session's packets. */
enum session_policy {
	SESSION_FULL,    /* measured, kept whole */
	SESSION_HEADERS, /* measured, kept up to the end of the transport header */
	SESSION_COUNT,   /* measured, not kept */
	SESSION_DROP,    /* neither */
};

/* Seen from the mirrored ENI. */
enum session_direction { SESSION_INGRESS, SESSION_EGRESS, SESSION_UNDIRECTED };

struct session {
	struct address source;
	uint32_t vni;
	uint32_t generation; /* from 1 */
	uint32_t previous;   /* id of the generation before, or ENROLL_UNKNOWN */
};

struct filter; /* a session's policy: path/filter.h */

/* Who is behind a (source, VNI), as far as somebody has said so. */
struct enroll_identity {
	const struct filter *filter; /* lent until the session is identified anew, and every worker
					is done with its batch */
	uint32_t store;              /* that its packets go to; 0: the default one */
	uint64_t mac;                /* of the ENI; 0: not said */
	uint64_t eni;                /* differs for different ENIs; 0: not said */
	uint64_t until_ns; /* source clock: this holds for earlier packets; UINT64_MAX: always */
};

struct enroll_config {
	uint32_t sessions_max; /* cap, at most sessions_room */
	uint32_t sessions_room, workers;
	struct siphash_key key;
	void (*ask)(void *arg); /* called by a worker after it posted a letter */
	void *ask_arg;
	/* Of a packet at time_ns. NULL: nobody knows any, nor a filter. */
	void (*identify)(void *arg, const struct address *source, uint32_t vni, uint64_t time_ns,
			 struct enroll_identity *out);
	/* For each new session, ids in order from 0, before it can be found; and for each known one
	 * that was identified anew at time_ns. */
	void (*publish)(void *arg, uint32_t id, const struct session *session, uint64_t time_ns);
	void *arg; /* of identify and publish */
};

struct enroll;

int enroll_open(struct enroll **out, const struct enroll_config *config, struct err *err);
void enroll_close(struct enroll *enroll);
size_t enroll_memory(uint32_t sessions_room, uint32_t workers);

/* ---- worker ---- */

#define ENROLL_NO_RUN UINT64_MAX

struct enrolled {
	uint32_t session; /* id, ENROLL_UNKNOWN or ENROLL_REFUSED: then the rest says nothing */
	const struct filter *filter; /* lent for the batch */
	uint32_t store;
	enum session_direction direction;
	/* On a new generation's first frame: the sequence from which on packets that were given to
	 * session->previous belong to it; else ENROLL_NO_RUN. */
	uint64_t since;
};

/* The packet's sequence grows with the worker's packets. */
void enroll_packet(struct enroll *enroll, unsigned worker, const struct packet *packet,
		   struct enrolled *out);

/* ---- control thread, or the worker whose own it is ---- */

/* Answers every letter box. */
void enroll_serve(struct enroll *enroll);
/* Identifies anew at now_ns: all sessions, or those whose identity has run out. */
void enroll_review(struct enroll *enroll, uint64_t now_ns, bool all);
/* The cap may be raised up to sessions_room; a lower one is not taken. */
void enroll_raise_cap(struct enroll *enroll, uint32_t sessions_max);
