/*
 * tcp_gaps: ranges of sequence numbers that were skipped and not seen since.
 *
 *   data  ████████░░░░████████████░░░████   ░ a gap: lost by the mirror, lost in the network, late
 *
 * One pool per worker, on its thread alone; the flows of the worker share it. All memory is
 * allocated at open. A list lies in the state of its flow, zero at first, in the order of sequence
 * numbers, and holds TCP_GAPS_LIST_MAX at most, and none beyond as many as are free, so that a few
 * flows do not take those of all; whoever forgets a list gives its gaps back first.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TCP_GAPS_LIST_MAX 256

struct tcp_gaps;

struct tcp_gap_list {
	uint32_t first; /* place in the pool + 1; 0: empty */
	uint16_t n;
};

int tcp_gaps_open(struct tcp_gaps **out, uint32_t n_max, struct err *err);
/* Takes NULL. */
void tcp_gaps_close(struct tcp_gaps *gaps);
/* Bytes that tcp_gaps_open allocates. */
size_t tcp_gaps_memory(uint32_t n_max);

/*
 * [start, end) was skipped at the time since, in any unit; it is not before the end of the list's
 * last gap. False: not remembered, the pool or the list having no room.
 */
bool tcp_gaps_add(struct tcp_gaps *gaps, struct tcp_gap_list *list, uint32_t start, uint32_t end,
		  uint32_t since);

struct tcp_gaps_filled {
	uint32_t len;    /* bytes that were missing till now */
	uint32_t since;  /* of the last gap among them; len 0: 0 */
	bool is_trimmed; /* a gap was split and its upper part not remembered */
};
/* [start, end) was seen. */
struct tcp_gaps_filled tcp_gaps_fill(struct tcp_gaps *gaps, struct tcp_gap_list *list,
				     uint32_t start, uint32_t end);

/* Is a byte below up_to missing? */
bool tcp_gaps_below(const struct tcp_gaps *gaps, const struct tcp_gap_list *list, uint32_t up_to);
/* Forgets what lies below up_to, and returns how many bytes were missing there. */
uint32_t tcp_gaps_forget(struct tcp_gaps *gaps, struct tcp_gap_list *list, uint32_t up_to);
/* Gives all gaps of the list back; it is empty then. */
void tcp_gaps_drop(struct tcp_gaps *gaps, struct tcp_gap_list *list);
