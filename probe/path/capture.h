/*
 * capture: where frames come from. One interface, three sources: AF_XDP, capture files, memory.
 *
 *   recv     lends a batch of frames, as far as it can in time order
 *   release  takes the whole batch back
 *
 * Called by one worker thread, which owns the source from open to close. Frames are read-only and
 * valid until release; at most one batch is out. A live source never waits for its reader: what
 * does not fit is dropped and counted by whoever dropped it. A lossless source waits.
 */
#pragma once

#include "abi.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* 64: the budget of one NAPI poll, so that one wake-up of the driver is one batch. */
#define BATCH_MAX 64
/* Every frame of a batch as a 9,015-byte jumbo of three 3,840-byte buffers has two further ones. */
#define BATCH_SEGMENTS (BATCH_MAX * 2)
_Static_assert(BATCH_SEGMENTS >= STEER_PACKET_CHUNKS_MAX, "the largest packet fits into a batch");

/* capture_ops.recv: this source will lend nothing more. */
#define CAPTURE_END UINT64_MAX

struct segment {
	const uint8_t *data;
	uint32_t len;
};

struct frame {
	const uint8_t *data;              /* outer Ethernet header */
	const struct steer_header *steer; /* what XDP wrote in front of the frame; NULL offline */
	uint32_t len;                     /* bytes at data */
	uint16_t more, n_more;            /* the rest: batch->segment[more] and following */
	uint64_t time_ns;                 /* live: CLOCK_MONOTONIC; file: wall clock */
	uint64_t sequence;                /* number of the frame in its source, from 0 */
};

struct batch {
	unsigned n, n_segments;
	uint64_t clock_ns; /* no later frame is earlier, save few: those are late */
	struct frame frame[BATCH_MAX];
	struct segment segment[BATCH_SEGMENTS];
};

struct capture;

struct capture_ops {
	/* Lends up to BATCH_MAX frames, waiting at most wait_ms for the first. Returns 0 with n = 0
	 * when there was none, -ENODATA at the end, another -errno when the source is broken. It
	 * sets clock_ns in every case. A file or pipe is waited for as long as it takes. */
	int (*recv)(struct capture *capture, struct batch *batch, int wait_ms);
	/* Of each batch that recv returned 0 for, also an empty one. */
	void (*release)(struct capture *capture, const struct batch *batch);
	void (*close)(struct capture *capture);
};

/* Every source begins with this. */
struct capture {
	const struct capture_ops *ops;
	bool is_live;
};

static inline int capture_recv(struct capture *capture, struct batch *batch, int wait_ms)
{
	return capture->ops->recv(capture, batch, wait_ms);
}

static inline void capture_release(struct capture *capture, const struct batch *batch)
{
	capture->ops->release(capture, batch);
}

/* Takes NULL. */
static inline void capture_close(struct capture *capture)
{
	if (capture)
		capture->ops->close(capture);
}

/* ---- capture files: pcap through libpcap, pcapng through block.h ---- */

/* Reads the files one after the other as one stream; "-" is standard input. Frames of interfaces
 * that are not Ethernet are skipped and counted. Times are nanoseconds since 1970. The paths are
 * the caller's and outlive the source. Fails at once when one of them cannot be read or is no
 * capture. */
int capture_pcap_open(struct capture **out, const char *const *paths, unsigned n, struct err *err);
/* Why recv returned -EBADMSG or another error but -ENODATA: which file, and what is wrong with it.
 * The frames before the damage have been lent; a further recv goes on with the next file. */
const char *capture_pcap_error(const struct capture *capture);
/* Frames skipped because their link type is not Ethernet. */
uint64_t capture_pcap_skipped(const struct capture *capture);

/* Bytes of the files read so far; any thread. */
uint64_t capture_pcap_done(const struct capture *capture);

/* ---- memory: frames of the caller; the police of this contract ---- */

struct mem_frame {
	const uint8_t *data;
	uint32_t len;
	uint64_t time_ns;
};

/* Lends copies that end at a guard page and are unmapped at release; aborts on a broken contract.
 * The array is the caller's and outlives the source. */
int capture_mem_open(struct capture **out, const struct mem_frame *frames, unsigned n,
		     struct err *err);
