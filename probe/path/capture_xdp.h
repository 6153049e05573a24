/*
 * capture_xdp: frames of one worker from its AF_XDP sockets, one per RX queue, merged by time.
 *
 *   fill ring --kernel copies--> RX ring --recv lends--> worker --release--> fill ring
 *
 * Worker threads, one capture each. Frames stay in the RX ring while they are lent. A chunk's
 * credit goes back to XDP only when the chunk is in the fill ring again. The fill ring of a queue
 * is shared by all workers: whoever finds it taken returns his chunks at the next call instead of
 * waiting.
 */
#pragma once

#include "path/attach.h"
#include "path/capture.h"

/* The queues, shared by the workers of a process. */
struct xdp_queues;

int xdp_queues_open(struct xdp_queues **out, const struct attach_rings *rings, struct err *err);
void xdp_queues_close(struct xdp_queues *queues);

/* After this a capture whose rings are empty ends with -ENODATA. Control thread. */
void xdp_queues_stop(struct xdp_queues *queues);

/* slack_ns: how long a frame waits for earlier ones of another queue. */
int capture_xdp_open(struct capture **out, struct xdp_queues *queues, unsigned worker,
		     uint64_t slack_ns, struct err *err);

/* What the kernel says of a queue's sockets, and where its chunks are. Control thread. */
struct xdp_queue_stats {
	uint64_t ring_full, rx_dropped;     /* packets; XDP_STATISTICS, summed over the sockets */
	uint64_t in_fill, in_rx, in_kernel; /* chunks: in the fill ring; in RX rings, lent or not
					       yet back; elsewhere */
};
/* Also gives back to XDP the credit for what the kernel dropped. */
void xdp_queue_settle(struct xdp_queues *queues, unsigned queue, struct xdp_queue_stats *out);
