/* The unprivileged half of the handover: it needs neither libbpf nor libxdp. */
#include "path/attach.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fdpass.h"

/* Maps a whole object and closes its descriptor; the mapping keeps it alive. */
static void *map_and_close(int fd, size_t len, int protection)
{
	void *p = mmap(NULL, len, protection, MAP_SHARED, fd, 0);

	(void)close(fd);
	return p == MAP_FAILED ? NULL : p;
}

static size_t whole_pages(size_t len)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (len + page - 1) / page * page;
}

int attach_map_counters(const struct attach_facts *facts, const int fds[static 2],
			struct attach_maps *maps, struct err *err)
{
	const size_t sockets = (size_t)facts->queues * facts->workers;

	maps->counters = map_and_close(fds[0], whole_pages(facts->cpus * sizeof(*maps->counters)),
				       PROT_READ);
	maps->given = map_and_close(fds[1], whole_pages(sockets * sizeof(*maps->given)), PROT_READ);
	if (!maps->counters || !maps->given)
		return err_set(err, -errno, "cannot map the XDP program's counters: %s",
			       strerror(errno));
	return 0;
}

int attach_receive_counters(struct attach_facts *facts, struct attach_maps *maps, int socket,
			    struct err *err)
{
	int fds[2];
	const int ret = fdpass_receive(socket, facts, sizeof(*facts), fds, 2);

	return ret ? err_set(err, ret, "no counters from the starter: %s", strerror(-ret))
		   : attach_map_counters(facts, fds, maps, err);
}

static int receive_taken(struct attach_rings *out, int socket, struct err *err)
{
	const size_t sockets = (size_t)out->facts.queues * out->facts.workers;
	char byte;
	int fd;
	const int ret = fdpass_receive(socket, &byte, 1, &fd, 1);

	if (ret)
		return err_set(err, ret, "no credits from the starter: %s", strerror(-ret));
	out->taken = map_and_close(fd, whole_pages(sockets * sizeof(*out->taken)),
				   PROT_READ | PROT_WRITE);
	return out->taken ? 0 : err_set(err, -errno, "cannot map the credits: %s", strerror(errno));
}

int attach_receive(struct attach_rings *out, int socket, struct err *err)
{
	int ret = attach_receive_counters(&out->facts, &out->maps, socket, err);

	if (ret || (ret = receive_taken(out, socket, err)))
		return ret;
	for (uint32_t i = 0; !ret && i < out->facts.queues; i++) {
		int fds[1 + STEER_WORKERS_MAX];
		uint32_t queue;

		ret = fdpass_receive(socket, &queue, sizeof(queue), fds, 1 + out->facts.workers);
		if (ret)
			return err_set(err, ret, "no queue %u from the starter: %s", i,
				       strerror(-ret));
		struct attach_queue *q = &out->queue[i];
		q->umem = map_and_close(fds[0], (size_t)out->facts.chunks * STEER_CHUNK, PROT_READ);
		memcpy(q->socket, fds + 1, out->facts.workers * sizeof(int));
		if (!q->umem)
			return err_set(err, -errno, "cannot map the packet memory of queue %u: %s",
				       i, strerror(errno));
	}
	return ret;
}
