/*
 * attach: everything that needs privilege: the XDP program, its maps, UMEM and AF_XDP sockets.
 *
 *   attach_open   makes and binds all of it and links the program, which takes nothing yet
 *   attach_send   hands rings and maps to the capture process (attach_receive there)
 *   attach_start  enters the sockets into the program's map: traffic flows
 *   attach_stop   unlinks the program; also done by the kernel when this process dies
 *
 * The starter's one thread. Per RX queue there is one UMEM and on it one socket per worker. A queue
 * has workers * ring chunks and some to spare, all of them in the fill ring at first: since each
 * worker may hold at most `ring` of them (its credit), the fill ring never runs dry.
 */
#pragma once

#include "abi.h"
#include "base/err.h"
#include "siphash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* To spare: a jumbo packet of 9,216 bytes (3 chunks) for each of a NAPI poll's 64; or, if that is
 * more, what a zero-copy driver keeps in its own ring. */
#define ATTACH_SPARE 256u

enum attach_mode { ATTACH_AUTO, ATTACH_NATIVE, ATTACH_GENERIC };

/* Outer sources whose packets are taken: the key of the program's map of them. */
struct attach_prefix {
	uint32_t len; /* of the address as it is kept: an IPv4 prefix is 96 bits longer */
	struct address address;
};

struct attach_config {
	const char *interface;
	enum attach_mode mode;
	uint32_t workers;
	uint32_t ring; /* RX descriptors per socket, a power of two */
	uint16_t port;
	const struct attach_prefix *allow; /* none: every source */
	unsigned n_allow;
	struct siphash_key key;
};

/* What was got; also the first message of the handover. */
struct attach_facts {
	uint32_t queues, workers, ring;
	uint32_t fill;   /* entries of a queue's fill ring */
	uint32_t chunks; /* UMEM chunks of a queue */
	uint32_t cpus;   /* entries of the counters map */
	uint32_t mtu;
	uint32_t native_error; /* errno of native mode, where that was tried and refused; else 0 */
	bool native, zero_copy, multi_buffer;
};

struct attach;

/* Bytes of UMEM that attach_open would pin for an interface of so many RX queues. */
size_t attach_memory(const struct attach_config *config, uint32_t queues);

/* Waits up to 2 s for a program or a socket of another process to go, then refuses. */
int attach_open(struct attach **out, const struct attach_config *config, struct err *err);
/* Detaches our own program only. Takes NULL. */
void attach_close(struct attach *attach);

const struct attach_facts *attach_facts(const struct attach *attach);
int attach_start(struct attach *attach, struct err *err);
void attach_stop(struct attach *attach);

/* Readable when the interface or its addresses changed; attach_follow then brings the map up to
 * date. -ENODEV: the interface is gone. */
int attach_fd(const struct attach *attach);
int attach_follow(struct attach *attach, struct err *err);

/* ---- handover ---- */

/* The XDP program's arrays, mapped; kernel or starter own them. */
struct attach_maps {
	const struct steer_counters *counters; /* [cpus] */
	const struct credit_given *given;      /* [queues * workers] */
};

/* One RX queue as the capture process sees it. */
struct attach_queue {
	uint8_t *umem;
	int socket[STEER_WORKERS_MAX];
};

struct attach_rings {
	struct attach_facts facts;
	struct attach_maps maps;
	struct credit_taken *taken; /* [queues * workers] */
	struct attach_queue queue[STEER_QUEUES_MAX];
};

int attach_send(struct attach *attach, int socket, struct err *err);
/* Capture process, once. The mappings last as long as the process. */
int attach_receive(struct attach_rings *out, int socket, struct err *err);
/* The starter's own view of the counters. */
int attach_map(struct attach *attach, struct attach_maps *maps, struct err *err);
/* Maps counters and given by their descriptors, which it closes. */
int attach_map_counters(const struct attach_facts *facts, const int fds[static 2],
			struct attach_maps *maps, struct err *err);
/* The same for a process that only reads counters (the exporter). */
int attach_send_counters(struct attach *attach, int socket, struct err *err);
int attach_receive_counters(struct attach_facts *facts, struct attach_maps *maps, int socket,
			    struct err *err);
