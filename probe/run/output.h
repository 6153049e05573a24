/*
 * output: one open pcapng file after the other: blocks in; packed, sealed and stored bytes out.
 *
 * Writer thread. It is where pack, seal and store meet, and where a packet is known to be kept:
 * when the bytes that hold it are written, not before.
 *
 * What a kill can take: a packet is written at the latest flush_ns after it came. The age chunk
 * that has it must be filled up with padding for that, and padding never is more than the bytes it
 * completes, or a chunk each flush_ns over all outputs of the writer. So outputs that give less
 * than half a chunk in flush_ns take turns, one each flush_ns; half a chunk, or the end of a file,
 * waits for no turn. So an output's packets wait for flush_ns times the number of open files, or
 * until the file ends, whichever is less. What a power failure can take besides: sync_ns.
 */
#pragma once

#include "base/err.h"
#include "path/block.h"
#include "path/pack.h"
#include "path/seal.h"
#include "run/describe.h"
#include "run/stats.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Stores: groups of sessions whose files have the same recipients and rotation. 0 is the default
 * one. */
#define OUTPUT_STORES_MAX 16

/* Of one store; what changes while it runs holds from the next file on. */
struct output_settings {
	struct seal_recipient recipients[SEAL_RECIPIENTS_MAX];
	unsigned n_recipients;  /* 0: not encrypted, in words of the operator; never changes from or
				   to 0 */
	uint64_t rotate_len;    /* bytes written after which a file ends */
	uint64_t rotate_ns;     /* of packet time after which it ends; 0: never */
	uint64_t flush_ns;      /* of packet time after which packets are written; 0: not by time */
	uint64_t sync_ns;       /* after which what is written is synced; 0: when the file ends */
	uint64_t statistics_ns; /* between statistics blocks; 0: when the file ends */
};

struct output_config {
	uint32_t writer; /* whose outputs these are: its statistics */
	const char *dir;
	_Atomic uint32_t *highest; /* sequence number in dir; of all writers, see store.h; lent */
	struct packer_config pack;
	size_t buffer_len; /* of bytes to be written, for each open file; see store.h */
	struct output_settings settings[OUTPUT_STORES_MAX]; /* by store */
	/* What a session is called at an instant of wall clock. */
	void (*describe)(void *arg, uint32_t session, int64_t at_ns, struct session_labels *out);
	/* By what its packets are kept at an instant of wall clock. */
	void (*policy)(void *arg, uint32_t session, int64_t at_ns, struct describe_policy *out);
	/* Writes a name resolution block with the names of addresses inside a session, at most
	 * OUTPUT_NAMES_MAX bytes; returns its length. NULL or 0: none. */
	size_t (*names)(void *arg, uint32_t session, int64_t at_ns, uint8_t *out, size_t cap);
	/* A file failed for lack of space: make some, but do not wait for it. NULL: none can. */
	void (*disk_full)(void *arg);
	void *arg; /* of all */
	/* By session: KPI_DROPPED_PACKETS, as far as an output has taken it upon itself to tell
	 * them. All outputs of all writers share it; lent. */
	_Atomic uint64_t *claimed_drops;
	struct evidence *evidence; /* hears of each file that ends; NULL: none */
};

/* 512 names of 63 bytes are 43 KiB: with the interface block less than PACK_BLOCK_MAX. */
#define OUTPUT_NAMES_MAX (48u << 10)

/* What all outputs of a writer share: packer, buffer of sealed bytes. */
struct output_tools;

int output_tools_open(struct output_tools **out, const struct output_config *config,
		      struct stats *stats, struct err *err);
void output_tools_close(struct output_tools *tools);
/* What comes was judged by policies of this count, see worker.h: a file ends when one of its
 * sessions has another policy than at its beginning. */
void output_tools_judged(struct output_tools *tools, uint64_t policies);
/* Control thread, also while the writer runs. */
void output_tools_set(struct output_tools *tools,
		      const struct output_settings settings[static OUTPUT_STORES_MAX]);
/* Writer: how full the way to it is, 0 to 100; by that frames are compressed less. 0 until told. */
void output_tools_set_pressure(struct output_tools *tools, unsigned percent);
/* Bytes of the tools, and of each output. sessions: that may be in one output. */
size_t output_tools_memory(const struct output_config *config);
size_t output_memory(const struct output_config *config, uint32_t sessions);
/* Bytes of padding that the outputs of one writer with such a flush_ns add in a day, besides no
 * more than they store. */
uint64_t output_padding_a_day(const struct output_settings *settings);

/* After a failure packets end for so long, of packet time, before the next try. */
#define OUTPUT_RETRY_NS 1000000000u

struct output;

struct output_place {
	const char
		*name; /* of its files; NULL: the NAME that their one session has when one begins */
	uint32_t store;    /* whose settings they have */
	uint32_t sessions; /* ids below this may come; 1: always the same single one */
	bool is_first;     /* it also recovers what earlier runs left under any name */
};

/* tools lasts longer. The first output with a name comes before those without. */
int output_open(struct output **out, struct output_tools *tools, const struct output_place *place,
		struct err *err);
/* Seals an open file. Takes NULL. */
void output_close(struct output *output);

/* Takes a packet block of a session as gather made it. time_ns is the source's clock, offset_ns
 * what makes wall clock of it; a file keeps the offset it began with. The packet's fate is counted
 * here. */
void output_packet(struct output *output, uint8_t *block, size_t len, uint32_t session,
		   int64_t offset_ns);
/* Does what is due at now_ns of the source's clock: statistics, flush, sync, the file's end. */
void output_tick(struct output *output, uint64_t now_ns);
/* What follows is for another store: ends the file if this is one. */
void output_set_store(struct output *output, uint32_t store);
/* Ends the file if it has a packet later than that. */
void output_end_before(struct output *output, uint64_t time_ns);
/* Ends the file: packed, sealed, synced, renamed. */
void output_end_file(struct output *output);
