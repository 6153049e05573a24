/*
 * output_session: one session's account in an output: what its file has, what was lost, and what
 * waits to be written.
 *
 * Writer thread, on the output's memory. Packets wait in portions, which are numbered from 1 and
 * written one after the other; a portion that was written or lost leaves its number unused for
 * good, so nothing has to be cleared when it goes.
 */
#pragma once

#include "path/block.h"
#include "run/stats.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OUTPUT_PORTIONS       4
#define OUTPUT_STATISTICS_LEN BLOCK_STATISTICS_MAX
#define OUTPUT_NOT_DECLARED   UINT32_MAX

/* Packets lost by the worker, which found no empty chunk, and by the writer. */
struct output_lost {
	uint64_t writer_full, disk_full, io_error;
};

struct output_session {
	uint32_t session;
	uint32_t interface;                  /* its number in the file, or OUTPUT_NOT_DECLARED */
	uint64_t policy;                     /* digest of the one that the file tells */
	uint64_t packets, first_ns, last_ns; /* in the file; wall clock */
	struct output_lost lost;             /* ever; writer_full: those that it is to tell */
	struct output_lost before;           /* of that, what the last sealed file had told */
	uint64_t told;                       /* packets + lost in the file's last statistics */
	uint64_t untold; /* lost by the writer since the last packet that has a drop count */
	struct {
		uint64_t portion;
		uint64_t packets, drops; /* drops: the sum of their drop counts */
	} waiting[OUTPUT_PORTIONS];
};

/* Of a new file. */
void output_session_declare(struct output_session *s, uint32_t session, uint32_t interface);
/* A packet is in the file, waiting in a portion. drops: its drop count. */
void output_session_add(struct output_session *s, uint64_t portion, uint64_t wall_ns,
			uint64_t drops);
/* A packet, and so what its drop count told, is lost. */
void output_session_lose(struct output_session *s, enum fate fate, uint64_t packets,
			 uint64_t drops);
/* What waits in portions first to last is lost. */
void output_session_lose_portions(struct output_session *s, enum fate fate, uint64_t first,
				  uint64_t last);
/* Writes the statistics block of the session's part of the file; dropped: by workers, and told by
 * no output yet. 0: only if it would tell more than the last one. */
size_t output_session_statistics(struct output_session *s, uint64_t dropped, uint64_t time_ns,
				 bool only_news, uint8_t out[static OUTPUT_STATISTICS_LEN]);
/* Of these, what was lost since the last sealed file's. */
uint64_t output_session_drops(const struct output_session *s);
/* The file with these statistics is sealed: the next one tells what came since. */
void output_session_sealed(struct output_session *s);
