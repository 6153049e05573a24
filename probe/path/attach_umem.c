#define _GNU_SOURCE
#include "path/attach_umem.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

/* Kernel 6.6; Debian 12's headers are of 6.1. */
#ifndef XDP_USE_SG
#define XDP_USE_SG (1 << 4)
#endif

static int register_memory(struct attach_umem *u, const struct attach_umem_config *c,
			   struct err *err)
{
	const struct xsk_umem_config config = {
		.fill_size = c->fill, .comp_size = 64, .frame_size = STEER_CHUNK};

	u->len = (size_t)c->chunks * STEER_CHUNK;
	u->memfd = memfd_create("vxprobe-umem", MFD_CLOEXEC);
	if (u->memfd < 0 || ftruncate(u->memfd, (off_t)u->len))
		return err_set(err, -errno, "cannot make %zu bytes of packet memory: %s", u->len,
			       strerror(errno));
	u->area = mmap(NULL, u->len, PROT_READ | PROT_WRITE, MAP_SHARED, u->memfd, 0);
	if (u->area == MAP_FAILED)
		return err_set(err, -errno, "cannot map %zu bytes of packet memory: %s", u->len,
			       strerror(errno));
	const int ret =
		xsk_umem__create(&u->umem, u->area, u->len, &u->fill, &u->completion, &config);
	if (ret == -EPERM)
		return err_set(err, ret,
			       "not allowed to open AF_XDP sockets: run as root or with CAP_BPF, "
			       "CAP_PERFMON, CAP_NET_ADMIN and CAP_NET_RAW");
	if (ret)
		return err_set(err, ret,
			       "cannot register %zu bytes of packet memory: %s ('ulimit -l' or "
			       "CAP_IPC_LOCK allows more; a smaller --ring needs less)",
			       u->len, strerror(-ret));
	return 0;
}

static int create_socket(struct attach_umem *u, const struct attach_umem_config *c, uint32_t queue,
			 uint32_t worker)
{
	/* Neither XDP_COPY nor XDP_ZEROCOPY: the kernel takes zero-copy where the driver has it.
	 * ENA has either that or several buffers per packet, so those are asked for only where the
	 * MTU needs them. */
	const struct xsk_socket_config config = {
		.rx_size = c->ring,
		.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
		.bind_flags = (uint16_t)(XDP_USE_NEED_WAKEUP | (c->only_copy ? XDP_COPY : 0) |
					 (c->multi_buffer ? XDP_USE_SG : 0))};
	int ret = -EBUSY;

	for (int i = 0; i < ATTACH_BUSY_TRIES && ret == -EBUSY; i++) {
		if (i)
			clock_nap(ATTACH_BUSY_NAP_NS);
		ret = xsk_socket__create_shared(&u->socket[worker], c->interface, queue, u->umem,
						&u->rx[worker], NULL, &u->fill, &u->completion,
						&config);
	}
	return ret;
}

static int bind_socket(struct attach_umem *u, struct attach_umem_config *c, uint32_t queue,
		       uint32_t worker, struct err *err)
{
	int ret = create_socket(u, c, queue, worker);

	if (ret == -EINVAL && c->multi_buffer) { /* before Linux 6.6 */
		c->multi_buffer = false;
		ret = create_socket(u, c, queue, worker);
	}
	if (ret == -EBUSY)
		return err_set(err, ret, "queue %u of %s has an AF_XDP socket of another program",
			       queue, c->interface);
	if (ret)
		return err_set(err, ret, "cannot bind queue %u of %s to worker %u: %s", queue,
			       c->interface, worker, strerror(-ret));
	return 0;
}

static void fill_with_every_chunk(struct attach_umem *u, uint32_t chunks)
{
	uint32_t at;

	const uint32_t n = xsk_ring_prod__reserve(&u->fill, chunks, &at);
	assert(n == chunks);
	for (uint32_t i = 0; i < n; i++)
		*xsk_ring_prod__fill_addr(&u->fill, at + i) = (uint64_t)i * STEER_CHUNK;
	xsk_ring_prod__submit(&u->fill, n);
}

int attach_umem_init(struct attach_umem *u, struct attach_umem_config *c, uint32_t queue,
		     struct err *err)
{
	int ret = register_memory(u, c, err);

	if (ret)
		return ret;
	fill_with_every_chunk(u, c->chunks);
	for (uint32_t worker = 0; worker < c->workers; worker++)
		if ((ret = bind_socket(u, c, queue, worker, err)))
			return ret;
	return 0;
}

void attach_umem_fini(struct attach_umem *u)
{
	for (unsigned worker = 0; worker < STEER_WORKERS_MAX; worker++)
		xsk_socket__delete(u->socket[worker]);
	(void)xsk_umem__delete(u->umem);
	if (u->area && u->area != MAP_FAILED)
		(void)munmap(u->area, u->len);
	if (u->memfd >= 0)
		(void)close(u->memfd);
}

bool attach_umem_is_zero_copy(const struct attach_umem *u)
{
	struct xdp_options options = {0};
	socklen_t len = sizeof(options);

	return !getsockopt(xsk_socket__fd(u->socket[0]), SOL_XDP, XDP_OPTIONS, &options, &len) &&
	       options.flags & XDP_OPTIONS_ZEROCOPY;
}
