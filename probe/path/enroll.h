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
 * still in the worker's hands. A frame with the old MAC within the run proves that there is no such
 * MAC, and the session keeps its generation for good. Frames to group addresses prove nothing.
 */
#pragma once

#include "abi.h"
#include "base/err.h"
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

struct enroll_config {
	uint32_t sessions_max, workers;
	struct siphash_key key;
	void (*ask)(void *arg); /* called by a worker after it posted a letter */
	void *ask_arg;
	/* Called by enroll_serve for each new session, ids in order from 0, before it can be found.
	 */
	void (*publish)(void *arg, uint32_t id, const struct session *session);
	void *publish_arg;
};

struct enroll;

int enroll_open(struct enroll **out, const struct enroll_config *config, struct err *err);
void enroll_close(struct enroll *enroll);
size_t enroll_memory(uint32_t sessions_max, uint32_t workers);

/* ---- worker ---- */

#define ENROLL_NO_RUN UINT64_MAX

/* Id of the session of a packet with this inner frame, ENROLL_UNKNOWN or ENROLL_REFUSED. sequence
 * grows with the worker's packets. On a new generation's first frame *since is the sequence from
 * which on packets that were given to session->previous belong to it; else ENROLL_NO_RUN. */
uint32_t enroll_packet(struct enroll *enroll, unsigned worker, const struct address *source,
		       uint32_t vni, const uint8_t *inner, uint32_t len, uint64_t sequence,
		       uint64_t *since);

/* ---- control thread, or the worker whose own it is ---- */

/* Answers every letter box. */
void enroll_serve(struct enroll *enroll);
