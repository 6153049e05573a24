/*
 * filter: what of a session's packets is kept: its policy.
 *
 * A policy is made by the control thread and does not change; workers borrow it for the packets of
 * a batch. No allocation, no system call, no state but filter_pairs. In this order a packet ends as
 *
 *   not_opted_in   IP, and neither of its addresses is on the list: somebody else's, not measured
 *   not_captured   `keep`, of user plane `user_plane`, says so
 *   filtered       the expression does not match it
 *   not_sampled    its flow is not in the sample, and it is no signalling
 *
 * or is kept, up to a length. All but the first are measured before.
 *
 * User plane is what GTP-U carries: packets from or to UDP port 2152 that are no other message of
 * it (TS 29.281 section 6.1), whatever is inside. A later fragment of UDP has no port: it is user
 * plane unless its two addresses had a first fragment of other UDP between them (a long SIP message
 * is signalling, its end too), and nothing of user plane.
 *
 * Signalling is what the table in filter.c says, on either port; inside GTP-U SIP alone.
 *
 * A flow is in the sample by its addresses, ports and protocol and a key: the same on all probes
 * with that key, in both directions, inside a tunnel and outside. Of GTP-U the flow inside counts,
 * of an ICMP error the one it quotes. What tells no flow is kept: later fragments, other ICMP, what
 * is not IP or is cut.
 */
#pragma once

#include "path/decap.h"
#include "path/dissect.h"
#include "path/enroll.h"
#include "path/filter_program.h"
#include "siphash.h"

#include <stdbool.h>
#include <stdint.h>

#define FILTER_ALL UINT64_MAX

/* Addresses from first to last, by their bytes. */
struct filter_range {
	struct address first, last;
};

struct filter {
	enum session_policy keep;       /* SESSION_DROP: nothing else counts, nothing is measured */
	enum session_policy user_plane; /* full, headers or count; else as keep */
	uint32_t snap_len;              /* of what is kept; UINT32_MAX: no bound */
	uint64_t sample_max; /* a flow whose hash is not above is kept; FILTER_ALL: no sampling */
	struct siphash_key sample_key;
	/* Ascending, none touches another; n_only 0: all are wanted. Both lent. */
	const struct filter_range *only;
	uint32_t n_only;
	const struct filter_insn *code; /* sound; NULL: no expression */
};

/* Which addresses had what between them, of sessions whose user plane has a word of its own: a byte
 * for each place that a keyed hash leads to. Where two pairs share one, user plane of either
 * counts: who fills it has less kept, not more. Never forgets. Shared by workers, who add bits. */
#define FILTER_PAIRS (1u << 18)
struct filter_pairs {
	struct siphash_key key; /* const */
	_Atomic uint8_t seen[FILTER_PAIRS];
};

/* The four policies that need no more than their word, and their words. */
extern const struct filter filter_plain[SESSION_DROP + 1];
extern const char *const filter_words[SESSION_DROP + 1];

/* sample_max of one in n flows; those of 1/16 are among those of 1/8. */
uint64_t filter_sample_max(uint32_t n);
/* Sorts and joins ranges; returns how many are left. */
uint32_t filter_join_ranges(struct filter_range *ranges, uint32_t n);

/* Is one of its addresses on the list, which is not empty? True also of what is not IP. */
bool filter_is_listed(const struct filter *filter, const struct packet *packet,
		      const struct dissected *dissected);
/* Is it wanted? An IP packet whose addresses are cut is not where there is a list. */
static inline bool filter_is_opted_in(const struct filter *filter, const struct packet *packet,
				      const struct dissected *dissected)
{
	return !filter->n_only || filter_is_listed(filter, packet, dissected);
}

void filter_learn_pair(struct filter_pairs *pairs, uint32_t session, const struct packet *packet,
		       const struct dissected *dissected);
/* Learns from a packet, before filter_packet; of each one that comes, whoever keeps it. */
static inline void filter_learn(const struct filter *filter, struct filter_pairs *pairs,
				uint32_t session, const struct packet *packet,
				const struct dissected *dissected)
{
	if (filter->user_plane != filter->keep)
		filter_learn_pair(pairs, session, packet, dissected);
}

enum fate filter_decide(const struct filter *filter, struct filter_pairs *pairs, uint32_t session,
			const struct packet *packet, const struct dissected *dissected,
			uint32_t *len);
/* How a packet that was measured ends: FATE_KEPT, and *len is how many bytes of it are kept, or
 * another fate. */
static inline enum fate filter_packet(const struct filter *filter, struct filter_pairs *pairs,
				      uint32_t session, const struct packet *packet,
				      const struct dissected *dissected, uint32_t *len)
{
	if (filter != &filter_plain[SESSION_FULL]) /* of most sessions */
		return filter_decide(filter, pairs, session, packet, dissected, len);
	*len = packet->cap_len;
	return FATE_KEPT;
}
