/*
 * output_file: the open file of an output: packed bytes on their way through seal and store, and
 * which packets they hold. Shared by the files of output alone; the writer thread's.
 */
#pragma once

#include "path/pack.h"
#include "path/seal.h"
#include "path/store.h"
#include "run/output.h"
#include "run/output_effort.h"
#include "run/output_session.h"

#include <pthread.h>

struct output_tools {
	struct output_config config;
	struct stats *stats;
	struct stats_writer *counted;
	uint64_t policies;     /* the highest count of a packet that came */
	pthread_mutex_t mutex; /* over the next field */
	struct output_settings settings[OUTPUT_STORES_MAX]; /* control */
	struct packer *packer;
	struct output_effort effort;
	unsigned pressure;          /* how full the way to the writer is, in per cent */
	uint64_t pack_ns, write_ns; /* of the last frame */
	uint32_t n_open;            /* outputs with an open file */
	struct output *turn;        /* the thin output that has waited longest; NULL: not known */
	uint64_t next_pad_ns;       /* it is not padded before */
	uint8_t *sealed;            /* room for one packed frame */
	size_t sealed_cap;
	uint8_t definition[PACK_BLOCK_MAX]; /* of one session: interface block, names block */
};

/* Packets that are written together: those of a frame, or of several. */
struct portion {
	uint64_t end; /* bytes of the file that make them readable; UINT64_MAX: not packed */
	uint64_t packets;
	uint64_t first_ns; /* when the first one came */
};

struct output {
	struct output_tools *tools;
	struct store *store;
	struct output_settings settings; /* of the file */
	uint32_t of;                     /* the number of the store whose settings these are */
	char name[64]; /* of the files, when they are named after their one session */
	bool is_named_by_session;
	struct pack *pack; /* NULL: no file is open */
	struct seal *seal; /* NULL: not encrypted */
	uint64_t head_len; /* of seal's header */
	uint64_t packed;   /* bytes given to seal since */
	uint64_t counted;  /* bytes of the file that statistics have */
	uint64_t packets;  /* of the file, kept */
	int64_t offset_ns;
	uint64_t started_ns, earliest_ns, latest_ns; /* source clock */
	uint64_t told_ns;                            /* when statistics were written */
	uint64_t policies;                           /* of tools, when they were looked at */
	int64_t policies_until_ns;                   /* they hold until then, of wall clock */
	uint64_t unsynced_ns;                        /* all that was written before is synced */
	uint64_t retry_ns;                           /* no new file before */
	enum fate failure;                           /* how packets end until then */
	bool is_failing;                             /* and the operator has been told */
	bool has_kept; /* the current file has packets that count as kept */
	/* What is not known to be kept: portions first to last by number, each at its number's
	 * remainder. The last one takes packets. */
	uint64_t first, last;
	struct portion portion[OUTPUT_PORTIONS];
	uint32_t n_interfaces, n_sessions;
	struct output_session session[];
};

/* Most bytes of a packed frame: its input and a little more (zstd: 1/256). */
static inline size_t output_packed_bound(const struct output_config *c)
{
	return c->pack.frame_len + PACK_BLOCK_MAX + (c->pack.frame_len >> 7) + 4096;
}

static inline struct portion *output_portion(struct output *o, uint64_t number)
{
	return &o->portion[number % OUTPUT_PORTIONS];
}

static inline struct output_session *output_slot(struct output *o, uint32_t session)
{
	return &o->session[o->n_sessions == 1 ? 0 : session];
}

static inline bool output_has_waiting(struct output *o)
{
	return output_portion(o, o->first)->packets > 0;
}

/* The current file takes nothing more: what was not written of it is lost. The rest is kept under
 * its trunc name, if there is any. */
void output_file_fail(struct output *o, int error, const char *doing);
/* Keeps what is written under its trunc name, synced; what could not be is suspect. */
void output_file_abandon(struct output *o);
/* Counts and says what may not be on the disk of a file that has just ended. */
void output_file_suspect(struct output *o, const char *why);
/* Asks for space where the error is a lack of it. */
void output_file_make_room(struct output *o, int error);
/* The packet found no file. */
void output_file_lose(struct output *o, const uint8_t *block, uint32_t session);
/* Counts what has reached the file. */
void output_file_settle(struct output *o);
/* What is pending goes to the store, as a frame. */
int output_file_flush(struct output *o);
/* The same, if there is no room for another block. */
int output_file_room(struct output *o);
/* Fills the chunk up, and begins the next: seal gives a chunk when more follows. Flush first. */
int output_file_pad(struct output *o);
/* The end of the file: index, last chunk, and all of it written. */
int output_file_finish(struct output *o);
/* The chain hears of the file, which has its name. */
void output_file_tell(struct output *o, bool is_broken);
/* The file is no more in the output's hands. */
void output_file_forget(struct output *o);

/* ---- what the file says besides packets: output_define.c ---- */

int output_file_section(struct output *o);
int output_file_declare(struct output *o, struct output_session *slot, uint32_t session,
			int64_t at_ns);
/* A session of the file is kept by another policy now: the next file tells it. */
bool output_file_has_other_policies(struct output *o, uint64_t time_ns);
/* Statistics of all sessions in the file, or of those that have news. */
int output_file_statistics(struct output *o, bool only_news);
