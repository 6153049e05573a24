/*
 * sctp_table: the associations of a worker, found by what their packets carry.
 *
 *   tag ids of both sides ─┐
 *   address id ────────────┴──▶ chains of one hash ──▶ associations_max places
 *
 * Called by sctp on its worker's thread. All memory is allocated at open. An id is a keyed hash of
 * 64 bits and stands for what was hashed: nobody without the key can make two that are equal.
 */
#pragma once

#include "base/err.h"
#include "kpi/sctp_data.h"
#include "kpi/sctp_path.h"
#include "path/dissect.h"

#include <stddef.h>
#include <stdint.h>

/* Ends of silence: of all; of what may make way for a new one, two heartbeats of 30 s being
 * missed. */
#define SCTP_IDLE_NS  UINT64_C(90000000000)
#define SCTP_STALE_NS UINT64_C(60000000000)

enum sctp_id { SCTP_ID_TAG_0, SCTP_ID_TAG_1, SCTP_ID_ADDRESSES, SCTP_IDS };

/* Bits of kinds. */
#define SCTP_TAGS      (1u << SCTP_ID_TAG_0 | 1u << SCTP_ID_TAG_1)
#define SCTP_ADDRESSES (1u << SCTP_ID_ADDRESSES)

enum sctp_state {
	SCTP_ASKED, /* an INIT, or its answer */
	SCTP_UP,
	SCTP_OVER /* failed or ended: what still comes of it begins nothing new */
};

/* The last step of the set-up that was seen. */
enum sctp_step { SCTP_NO_STEP, SCTP_STEP_INIT, SCTP_STEP_INIT_ACK, SCTP_STEP_ECHO, SCTP_STEP_DONE };

struct sctp_association {
	/* the table's */
	uint64_t id[SCTP_IDS]; /* 0: not known */
	uint32_t next[SCTP_IDS];
	uint32_t session;
	/* sctp's */
	uint64_t last_ns; /* latest packet */
	uint64_t step_ns, asked_ns;
	uint8_t state, step;
	uint8_t asker;        /* side that sent INIT */
	bool is_used;         /* the table's */
	bool has_init;        /* INIT was seen */
	bool is_asked;        /* and nothing was counted of what became of it */
	bool is_step_unclear; /* the step came twice: which one is answered? */
	bool is_shutting;     /* SHUTDOWN ACK came */
	bool is_seen[2]; /* a packet of the side, which is 0 or 1 by its first path's flow key */
	struct sctp_paths paths;
	struct sctp_data data[2]; /* that the side sends */
};
static_assert(sizeof(struct sctp_association) <= 1024, "memory is promised by this size");

/* Both sides spoke. */
static inline bool sctp_is_answered(const struct sctp_association *a)
{
	return a->is_seen[0] && a->is_seen[1];
}

struct sctp_table;

int sctp_table_open(struct sctp_table **out, uint32_t associations_max, uint32_t sessions_max,
		    const uint8_t key[16], struct err *err);
/* Takes NULL. */
void sctp_table_close(struct sctp_table *table);
/* Bytes that sctp_table_open allocates. */
size_t sctp_table_memory(uint32_t associations_max, uint32_t sessions_max);

/* Never 0. */
uint64_t sctp_id_of_tag(const struct sctp_table *table, uint32_t session, uint16_t from,
			uint16_t to, uint32_t tag);
uint64_t sctp_id_of_addresses(const struct sctp_table *table, const struct flow_key *key);
uint32_t sctp_hash(const struct sctp_table *table, const uint8_t *data, uint32_t len);

/* The next one behind after (NULL: the first) whose id of one of the kinds (bits) is this: *kind.
 */
struct sctp_association *sctp_table_find(const struct sctp_table *table, uint64_t id,
					 unsigned kinds, struct sctp_association *after,
					 enum sctp_id *kind);
/* A new one of the session, all zeros; NULL: no place is free. */
struct sctp_association *sctp_table_add(struct sctp_table *table, uint32_t session);
/* Gives it an id, or another one; 0: none. */
void sctp_table_name(struct sctp_table *table, struct sctp_association *a, enum sctp_id kind,
		     uint64_t id);
void sctp_table_drop(struct sctp_table *table, struct sctp_association *a);

/*
 * Who makes way for a new one of this session when no place is free, among 16 that the id chooses:
 * one that is over, was never answered, or is silent for a minute, of the session itself or of one
 * that has more than its share. First those of sessions above their share, then what was never
 * answered or is over, then the longest silent. NULL: nobody.
 */
struct sctp_association *sctp_table_victim(const struct sctp_table *table, uint32_t session,
					   uint64_t id, uint64_t now_ns);

/* The association in a place below associations_max; NULL: none. */
struct sctp_association *sctp_table_at(const struct sctp_table *table, uint32_t place);
