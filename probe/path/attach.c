#include "path/attach.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xdp/libxdp.h>
#include <xdp/xsk.h>

#include "base/clock.h"
#include "base/fdpass.h"
#include "path/attach_address.h"
#include "path/attach_nic.h"
#include "path/attach_umem.h"
#include "steer.skel.h"

struct attach {
	char interface[IF_NAMESIZE];
	int ifindex;
	struct attach_facts facts;
	enum attach_mode mode;
	struct steer *skeleton;
	int link;    /* bpf_link: the program goes when this is closed, by whomever */
	int netlink; /* address changes */
	int sink;    /* bound to the port, never read */
	struct attach_umem umem[STEER_QUEUES_MAX];
};

/* ---- sizes ---- */

static uint32_t chunks_of(const struct attach_config *config)
{
	const uint32_t nic = attach_nic_ring(config->interface);

	return config->workers * config->ring + (nic > ATTACH_SPARE ? nic : ATTACH_SPARE);
}

size_t attach_memory(const struct attach_config *config, uint32_t queues)
{
	return (size_t)queues * chunks_of(config) * STEER_CHUNK;
}

static uint32_t power_of_two_from(uint32_t n)
{
	uint32_t power = 1;

	while (power < n)
		power *= 2;
	return power;
}

static int find_facts(struct attach *a, const struct attach_config *config, struct err *err)
{
	struct attach_facts *f = &a->facts;
	int ret = attach_nic_queues(config->interface, &f->queues, err);

	if (ret || (ret = attach_nic_mtu(config->interface, &f->mtu, err)))
		return ret;
	f->workers = config->workers;
	f->ring = config->ring;
	f->chunks = chunks_of(config);
	f->fill = power_of_two_from(f->chunks);
	const int cpus = libbpf_num_possible_cpus();
	f->cpus = cpus > 0 && cpus <= STEER_CPUS_MAX ? (uint32_t)cpus : STEER_CPUS_MAX;
	/* Ethernet with two VLAN tags is 22 bytes. */
	f->multi_buffer = f->mtu + 22 + sizeof(struct steer_header) > STEER_CHUNK_DATA;
	f->native = config->mode != ATTACH_GENERIC;
	return 0;
}

/* ---- program and maps ---- */

static int set_allowed(struct steer *skeleton, const struct attach_config *config, struct err *err)
{
	const uint8_t one = 1;

	for (unsigned i = 0; i < config->n_allow; i++)
		if (bpf_map_update_elem(bpf_map__fd(skeleton->maps.allowed), &config->allow[i],
					&one, BPF_ANY))
			return err_set(err, -errno, "cannot fill the map of allowed sources: %s",
				       strerror(errno));
	return 0;
}

static int load_program(struct attach *a, const struct attach_config *config, struct err *err)
{
	struct steer *s = a->skeleton = steer__open();

	if (!s)
		return err_set(err, -errno, "cannot open the XDP program: %s", strerror(errno));
	const uint32_t sockets = a->facts.queues * a->facts.workers;
	s->rodata->port = config->port;
	s->rodata->queues = a->facts.queues;
	s->rodata->workers = a->facts.workers;
	s->rodata->credit = a->facts.ring;
	s->rodata->packet_chunks = a->facts.multi_buffer ? STEER_PACKET_CHUNKS_MAX : 1;
	s->rodata->allow_every_source = config->n_allow == 0;
	memcpy((void *)&s->rodata->key, &config->key, sizeof(config->key));
	(void)bpf_map__set_max_entries(s->maps.counters, a->facts.cpus);
	(void)bpf_map__set_max_entries(s->maps.given, sockets);
	(void)bpf_map__set_max_entries(s->maps.taken, sockets);
	(void)bpf_map__set_max_entries(s->maps.sockets, sockets);
	const int ret = steer__load(s);
	if (ret == -EPERM || ret == -EACCES) /* EACCES: the verifier, without CAP_PERFMON */
		return err_set(err, ret,
			       "not allowed to load the XDP program: run as root or with CAP_BPF, "
			       "CAP_PERFMON, CAP_NET_ADMIN and CAP_NET_RAW");
	if (ret)
		return err_set(
			err, ret,
			"the kernel refuses the XDP program: %s (Linux 5.18 or later is needed)",
			strerror(-ret));
	return set_allowed(s, config, err);
}

static uint32_t attached_program(int ifindex)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	return bpf_xdp_query(ifindex, 0, &query) ? 0 : query.prog_id;
}

/* Ours is alone or not at all: sharing by libxdp's dispatcher costs up to 11 % and needs freplace.
 * That of a probe that was just killed is waited for. */
static int refuse_other_program(struct attach *a, struct err *err)
{
	uint32_t id = attached_program(a->ifindex);

	for (int i = 0; i < ATTACH_BUSY_TRIES && id; i++) {
		clock_nap(ATTACH_BUSY_NAP_NS);
		id = attached_program(a->ifindex);
	}
	return id ? err_set(err, -EBUSY,
			    "%s already carries an XDP program: 'bpftool prog show id %u' names "
			    "it, "
			    "'ip link set dev %s xdp off' removes it",
			    a->interface, id, a->interface)
		  : 0;
}

static int link_program(struct attach *a, uint32_t flags)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = flags);
	const int fd = bpf_link_create(bpf_program__fd(a->skeleton->progs.steer), a->ifindex,
				       BPF_XDP, &options);

	return fd < 0 ? -errno : fd;
}

/* The program comes to the interface; without sockets in its map it leaves everything to the
 * kernel. */
static int attach_program(struct attach *a, struct err *err)
{
	int ret = link_program(a, a->facts.native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE);

	if (ret < 0 && ret != -EBUSY && a->mode == ATTACH_AUTO) {
		a->facts.native = false;
		a->facts.native_error = (uint32_t)-ret;
		ret = link_program(a, XDP_FLAGS_SKB_MODE);
	}
	if (ret == -EBUSY || ret == -EEXIST)
		return err_set(err, ret, "another XDP program was attached to %s meanwhile",
			       a->interface);
	if (ret < 0 && a->mode == ATTACH_NATIVE)
		return err_set(err, ret,
			       "the driver of %s refuses the XDP program: %s (--mode auto falls "
			       "back to generic mode)",
			       a->interface, strerror(-ret));
	if (ret < 0)
		return err_set(err, ret, "cannot attach the XDP program to %s: %s", a->interface,
			       strerror(-ret));
	a->link = ret;
	return 0;
}

/* ---- sockets ---- */

static int make_queues(struct attach *a, struct err *err)
{
	struct attach_umem_config config = {.interface = a->interface,
					    .workers = a->facts.workers,
					    .ring = a->facts.ring,
					    .chunks = a->facts.chunks,
					    .fill = a->facts.fill,
					    .only_copy = !a->facts.native,
					    .multi_buffer = a->facts.multi_buffer};

	for (uint32_t queue = 0; queue < a->facts.queues; queue++) {
		const int ret = attach_umem_init(&a->umem[queue], &config, queue, err);
		if (ret)
			return ret;
	}
	a->facts.multi_buffer = config.multi_buffer;
	a->facts.zero_copy = attach_umem_is_zero_copy(&a->umem[0]);
	return 0;
}

/* The map's entries: which socket takes what a queue has for a worker. */
static int enter_sockets(struct attach *a, struct err *err)
{
	const int map = bpf_map__fd(a->skeleton->maps.sockets);

	for (uint32_t i = 0; i < a->facts.queues * a->facts.workers; i++) {
		const struct attach_umem *u = &a->umem[i / a->facts.workers];
		const int fd = xsk_socket__fd(u->socket[i % a->facts.workers]);
		if (bpf_map_update_elem(map, &i, &fd, BPF_ANY))
			return err_set(err, -errno, "cannot enter a socket of %s into the map: %s",
				       a->interface, strerror(errno));
	}
	return 0;
}

/* Without a bound socket the kernel answers mirrored packets that XDP leaves to it with ICMP port
 * unreachable. A kernel vxlan device on the port does the same service. */
static int open_sink(struct attach *a, uint16_t port, struct err *err)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	const int off = 0, smallest = 1;

	a->sink = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (a->sink < 0 || setsockopt(a->sink, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) ||
	    setsockopt(a->sink, SOL_SOCKET, SO_RCVBUF, &smallest, sizeof(smallest)) ||
	    (bind(a->sink, (struct sockaddr *)&any, sizeof(any)) && errno != EADDRINUSE))
		return err_set(err, -errno, "cannot bind UDP port %u: %s", port, strerror(errno));
	return 0;
}

/* ---- life ---- */

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

int attach_open(struct attach **out, const struct attach_config *config, struct err *err)
{
	struct attach *a = calloc(1, sizeof(*a));

	if (!a)
		return err_set(err, -ENOMEM, "out of memory");
	a->link = a->netlink = a->sink = -1;
	for (unsigned i = 0; i < STEER_QUEUES_MAX; i++)
		a->umem[i].memfd = -1;
	a->mode = config->mode;
	(void)snprintf(a->interface, sizeof(a->interface), "%s", config->interface);
	a->ifindex = (int)if_nametoindex(a->interface);
	(void)libbpf_set_print(quiet);
	(void)libxdp_set_print(NULL);

	int ret = find_facts(a, config, err);
	if (ret || (ret = refuse_other_program(a, err)) || (ret = make_queues(a, err)) ||
	    (ret = load_program(a, config, err)) || (ret = attach_address_open(&a->netlink, err)) ||
	    (ret = attach_follow(a, err)) || (ret = open_sink(a, config->port, err)) ||
	    (ret = attach_program(a, err)))
		goto fail;
	*out = a;
	return 0;
fail:
	attach_close(a);
	return ret;
}

void attach_close(struct attach *a)
{
	if (!a)
		return;
	attach_stop(a);
	for (unsigned i = 0; i < STEER_QUEUES_MAX; i++)
		attach_umem_fini(&a->umem[i]);
	steer__destroy(a->skeleton);
	if (a->netlink >= 0)
		(void)close(a->netlink);
	if (a->sink >= 0)
		(void)close(a->sink);
	free(a);
}

const struct attach_facts *attach_facts(const struct attach *a)
{
	return &a->facts;
}

int attach_start(struct attach *a, struct err *err)
{
	return enter_sockets(a, err);
}

void attach_stop(struct attach *a)
{
	if (a->link >= 0)
		(void)close(a->link);
	a->link = -1;
}

int attach_fd(const struct attach *a)
{
	return a->netlink;
}

int attach_follow(struct attach *a, struct err *err)
{
	return attach_address_follow(a->netlink, bpf_map__fd(a->skeleton->maps.own), a->interface,
				     a->ifindex, err);
}

/* ---- handover ---- */

int attach_map(struct attach *a, struct attach_maps *maps, struct err *err)
{
	const int fds[] = {fcntl(bpf_map__fd(a->skeleton->maps.counters), F_DUPFD_CLOEXEC, 0),
			   fcntl(bpf_map__fd(a->skeleton->maps.given), F_DUPFD_CLOEXEC, 0)};

	return attach_map_counters(&a->facts, fds, maps, err);
}

int attach_send_counters(struct attach *a, int socket, struct err *err)
{
	const int fds[] = {bpf_map__fd(a->skeleton->maps.counters),
			   bpf_map__fd(a->skeleton->maps.given)};
	const int ret = fdpass_send(socket, &a->facts, sizeof(a->facts), fds, 2);

	return ret ? err_set(err, ret, "cannot hand over the counters: %s", strerror(-ret)) : 0;
}

static int send_taken(struct attach *a, int socket, struct err *err)
{
	const int fd = bpf_map__fd(a->skeleton->maps.taken);
	const int ret = fdpass_send(socket, "t", 1, &fd, 1);

	return ret ? err_set(err, ret, "cannot hand over the credits: %s", strerror(-ret)) : 0;
}

int attach_send(struct attach *a, int socket, struct err *err)
{
	int ret = attach_send_counters(a, socket, err);

	if (ret || (ret = send_taken(a, socket, err)))
		return ret;
	for (uint32_t queue = 0; !ret && queue < a->facts.queues; queue++) {
		int fds[1 + STEER_WORKERS_MAX] = {a->umem[queue].memfd};

		for (uint32_t w = 0; w < a->facts.workers; w++)
			fds[1 + w] = xsk_socket__fd(a->umem[queue].socket[w]);
		ret = fdpass_send(socket, &queue, sizeof(queue), fds, 1 + a->facts.workers);
		if (ret)
			ret = err_set(err, ret, "cannot hand over queue %u: %s", queue,
				      strerror(-ret));
	}
	return ret;
}
