/*
 * attach_umem: the packet memory of one RX queue and, on it, an AF_XDP socket per worker. Starter's
 * thread.
 *
 * libxdp binds several sockets to a queue only so: one UMEM per queue, the further sockets created
 * as sharers of its rings.
 */
#pragma once

#include "abi.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xdp/xsk.h>

/* The kernel lets go of a queue and of a program some time after the process that had them is gone:
 * it is asked again, every 50 ms, for at most 2 s. */
#define ATTACH_BUSY_NAP_NS 50000000u
#define ATTACH_BUSY_TRIES  40

struct attach_umem_config {
	const char *interface;
	uint32_t workers;
	uint32_t ring;     /* RX descriptors per socket */
	uint32_t chunks;   /* of the queue; all go into the fill ring */
	uint32_t fill;     /* its entries: a power of two, at least chunks */
	bool only_copy;    /* generic mode */
	bool multi_buffer; /* wanted */
};

struct attach_umem {
	struct xsk_umem *umem;
	void *area;
	size_t len;
	int memfd;
	struct xsk_ring_prod fill;
	struct xsk_ring_cons completion; /* the kernel wants one; nothing is sent */
	struct xsk_socket *socket[STEER_WORKERS_MAX];
	struct xsk_ring_cons rx[STEER_WORKERS_MAX];
};

/* Clears config->multi_buffer where the kernel has none (before Linux 6.6). What was made before a
 * failure is closed by attach_umem_fini. */
int attach_umem_init(struct attach_umem *umem, struct attach_umem_config *config, uint32_t queue,
		     struct err *err);
void attach_umem_fini(struct attach_umem *umem);
bool attach_umem_is_zero_copy(const struct attach_umem *umem);
