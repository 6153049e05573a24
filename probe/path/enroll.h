/*
 * enroll: which session a packet belongs to. A session is (outer source, VNI, generation).
 *
 * Workers look up and ask; the control thread alone writes (enroll_serve). A worker that meets an
 * unknown (source, VNI) posts it in its letter box and keeps the packet until it is answered, some
 * microseconds later. Beyond the cap nobody is asked: the answer is ENROLL_REFUSED at once.
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

struct session {
	struct address source;
	uint32_t vni;
	uint32_t generation; /* from 1 */
	uint32_t previous;   /* id of the generation before, or ENROLL_UNKNOWN */
};

struct enroll_config {
	uint32_t sessions_max, workers;
	struct siphash_key key;
	struct session *sessions; /* [sessions_max]: where sessions are written, in id order */
	uint32_t *n_sessions;     /* how many are; readers see a session once it counts */
	void (*ask)(void *arg);   /* wakes the control thread; called by workers */
	void *ask_arg;
};

struct enroll;

int enroll_open(struct enroll **out, const struct enroll_config *config, struct err *err);
void enroll_close(struct enroll *enroll);
size_t enroll_memory(uint32_t sessions_max, uint32_t workers);

/* ---- worker ---- */

/* Id of the session of a packet with this inner frame, ENROLL_UNKNOWN or ENROLL_REFUSED. When it
 * returns a new generation's first id, *run is the number of earlier frames in a row (at most
 * ENROLL_RUN - 1) that were given to session->previous and belong to it; else 0. */
uint32_t enroll_packet(struct enroll *enroll, unsigned worker, const struct address *source,
		       uint32_t vni, const uint8_t *inner, uint32_t len, uint32_t *run);

/* ---- control thread ---- */

/* Answers every letter box. */
void enroll_serve(struct enroll *enroll);
