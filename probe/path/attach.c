#define _GNU_SOURCE
#include "path/attach.h"

#include <arpa/inet.h>
#include <assert.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xdp/libxdp.h>
#include <xdp/xsk.h>

#include "base/clock.h"
#include "base/fdpass.h"
#include "steer.skel.h"

/* Kernel 6.6; Debian 12's headers are of 6.1. */
#ifndef XDP_USE_SG
#define XDP_USE_SG (1 << 4)
#endif

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

/* ---- the interface ---- */

static int interface_ioctl(const char *interface, unsigned long request, struct ifreq *request_data)
{
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	(void)snprintf(request_data->ifr_name, sizeof(request_data->ifr_name), "%s", interface);
	const int ret = ioctl(fd, request, request_data) < 0 ? -errno : 0;
	(void)close(fd);
	return ret;
}

/* For drivers that do not tell their channels. 0: sysfs has another namespace's interfaces. */
static uint32_t queues_by_sysfs(const char *interface)
{
	char path[128];
	uint32_t n = 0;

	do
		(void)snprintf(path, sizeof(path), "/sys/class/net/%s/queues/rx-%u", interface, n);
	while (!access(path, F_OK) && n++ < STEER_QUEUES_MAX);
	return n;
}

int attach_queues(const char *interface, uint32_t *queues, struct err *err)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	struct ifreq request = {.ifr_data = (char *)&channels};

	if (!if_nametoindex(interface))
		return err_set(err, -ENODEV,
			       "no interface %s here; 'ip link' lists those there are", interface);
	uint32_t n = 0;
	if (!interface_ioctl(interface, SIOCETHTOOL, &request))
		n = channels.rx_count + channels.combined_count;
	else
		n = queues_by_sysfs(interface);
	if (n > STEER_QUEUES_MAX)
		return err_set(err, -E2BIG,
			       "%s has %u RX queues, more than %u: 'ethtool -L %s combined %u' "
			       "lowers them",
			       interface, n, STEER_QUEUES_MAX, interface, STEER_QUEUES_MAX);
	*queues = n ? n : 1;
	return 0;
}

static uint32_t chunks_of(const struct attach_config *config)
{
	struct ethtool_ringparam nic = {.cmd = ETHTOOL_GRINGPARAM};
	struct ifreq request = {.ifr_data = (char *)&nic};
	uint32_t spare = ATTACH_SPARE;

	if (!interface_ioctl(config->interface, SIOCETHTOOL, &request) && nic.rx_pending > spare)
		spare = nic.rx_pending;
	return config->workers * config->ring + spare;
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

/* ---- program and maps ---- */

static int set_allowed(struct steer *skeleton, const struct attach_config *config, struct err *err)
{
	for (unsigned i = 0; i < config->n_allow; i++) {
		struct {
			uint32_t len;
			struct address address;
		} prefix = {0};
		char text[INET6_ADDRSTRLEN + 5];
		const uint8_t one = 1;
		const char *slash = strchr(config->allow[i], '/');
		const size_t n =
			slash ? (size_t)(slash - config->allow[i]) : strlen(config->allow[i]);
		uint8_t *byte = prefix.address.byte;

		(void)snprintf(text, sizeof(text), "%.*s", (int)n, config->allow[i]);
		const bool v4 = inet_pton(AF_INET, text, byte + 12) == 1;
		if (v4)
			memset(byte + 10, 0xff, 2);
		else if (inet_pton(AF_INET6, text, byte) != 1)
			return err_set(err, -EINVAL,
				       "--allow %s is no address or prefix such as 10.1.0.0/16",
				       config->allow[i]);
		char *rest = "";
		const unsigned long width = v4 ? 32 : 128;
		const unsigned long len = slash ? strtoul(slash + 1, &rest, 10) : width;
		if (*rest || len > width || (slash && !slash[1]))
			return err_set(err, -EINVAL, "--allow %s: the prefix length is 0 to %lu",
				       config->allow[i], width);
		prefix.len = (uint32_t)(len + 128 - width);
		if (bpf_map_update_elem(bpf_map__fd(skeleton->maps.allowed), &prefix, &one,
					BPF_ANY))
			return err_set(err, -errno, "cannot allow %s: %s", config->allow[i],
				       strerror(errno));
	}
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
	if (ret == -EPERM)
		return err_set(err, ret,
			       "not allowed to load the XDP program: run as root or with CAP_BPF, "
			       "CAP_NET_ADMIN and CAP_NET_RAW");
	if (ret)
		return err_set(
			err, ret,
			"the kernel refuses the XDP program: %s (Linux 5.18 or later is needed)",
			strerror(-ret));
	return set_allowed(s, config, err);
}

/* ---- own addresses ---- */

static bool address_of(const struct sockaddr *sa, struct address *out)
{
	*out = (struct address){0};
	if (sa && sa->sa_family == AF_INET) {
		memset(out->byte + 10, 0xff, 2);
		memcpy(out->byte + 12, &((const struct sockaddr_in *)(const void *)sa)->sin_addr,
		       4);
		return true;
	}
	if (sa && sa->sa_family == AF_INET6) {
		memcpy(out->byte, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
		return true;
	}
	return false;
}

static bool interface_has(const struct ifaddrs *list, const char *interface,
			  const struct address *wanted)
{
	struct address address;

	for (const struct ifaddrs *i = list; i; i = i->ifa_next)
		if (!strcmp(i->ifa_name, interface) && address_of(i->ifa_addr, &address) &&
		    !memcmp(&address, wanted, sizeof(address)))
			return true;
	return false;
}

static void forget_gone(int map, const char *interface, const struct ifaddrs *list)
{
	struct address key, next;
	struct address *at = NULL;

	while (!bpf_map_get_next_key(map, at, &next)) {
		if (interface_has(list, interface, &next)) {
			key = next;
			at = &key;
		} else {
			(void)bpf_map_delete_elem(map, &next);
		}
	}
}

int attach_follow(struct attach *a, struct err *err)
{
	const int map = bpf_map__fd(a->skeleton->maps.own);
	const uint8_t one = 1;
	struct ifaddrs *list;
	struct address address;
	char drained[4096];
	int ret = 0;

	while (recv(a->netlink, drained, sizeof(drained), MSG_DONTWAIT) > 0)
		;
	if (getifaddrs(&list))
		return err_set(err, -errno, "cannot read the addresses of %s: %s", a->interface,
			       strerror(errno));
	forget_gone(map, a->interface, list);
	for (const struct ifaddrs *i = list; i && !ret; i = i->ifa_next)
		if (!strcmp(i->ifa_name, a->interface) && address_of(i->ifa_addr, &address) &&
		    bpf_map_update_elem(map, &address, &one, BPF_ANY))
			ret = err_set(err, -errno, "cannot note an address of %s: %s", a->interface,
				      strerror(errno));
	freeifaddrs(list);
	return ret;
}

static int open_netlink(struct attach *a, struct err *err)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK,
				      .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};

	a->netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (a->netlink < 0 || bind(a->netlink, (struct sockaddr *)&address, sizeof(address)))
		return err_set(err, -errno, "cannot follow the addresses of %s: %s", a->interface,
			       strerror(errno));
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

/* ---- UMEM and sockets ---- */

static int make_umem(struct attach *a, uint32_t queue, struct err *err)
{
	struct attach_umem *u = &a->umem[queue];
	const struct xsk_umem_config config = {
		.fill_size = a->facts.fill, .comp_size = 64, .frame_size = STEER_CHUNK};

	u->len = (size_t)a->facts.chunks * STEER_CHUNK;
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
	if (ret)
		return err_set(err, ret,
			       "cannot register %zu bytes of packet memory: %s (CAP_IPC_LOCK or a "
			       "higher 'ulimit -l' allows it; a smaller --ring needs less)",
			       u->len, strerror(-ret));
	return 0;
}

/* The kernel lets go of a queue some time after the process that had it is gone (libxdp's own
 * restarts see it too): it is asked again, every 50 ms, for at most 2 s. */
#define BUSY_NAP_NS 50000000u
#define BUSY_TRIES  40

static int create_socket(struct attach *a, uint32_t queue, uint32_t worker)
{
	struct attach_umem *u = &a->umem[queue];
	/* Neither XDP_COPY nor XDP_ZEROCOPY: the kernel takes zero-copy where the driver has it.
	 * ENA has either that or several buffers per packet, so those are asked for only where the
	 * MTU needs them. */
	const struct xsk_socket_config config = {
		.rx_size = a->facts.ring,
		.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
		.bind_flags = (uint16_t)(XDP_USE_NEED_WAKEUP | (a->facts.native ? 0 : XDP_COPY) |
					 (a->facts.multi_buffer ? XDP_USE_SG : 0))};
	int ret = -EBUSY;

	for (int i = 0; i < BUSY_TRIES && ret == -EBUSY; i++) {
		if (i)
			clock_nap(BUSY_NAP_NS);
		ret = xsk_socket__create_shared(&u->socket[worker], a->interface, queue, u->umem,
						&u->rx[worker], NULL, &u->fill, &u->completion,
						&config);
	}
	return ret;
}

static int make_socket(struct attach *a, uint32_t queue, uint32_t worker, struct err *err)
{
	int ret = create_socket(a, queue, worker);

	if (ret == -EINVAL && a->facts.multi_buffer) { /* before Linux 6.6 */
		a->facts.multi_buffer = false;
		ret = create_socket(a, queue, worker);
	}
	if (ret == -EBUSY)
		return err_set(err, ret, "queue %u of %s has an AF_XDP socket of another program",
			       queue, a->interface);
	if (ret)
		return err_set(err, ret, "cannot bind queue %u of %s to worker %u: %s", queue,
			       a->interface, worker, strerror(-ret));
	return 0;
}

static void fill_with_every_chunk(struct attach *a, uint32_t queue)
{
	struct attach_umem *u = &a->umem[queue];
	uint32_t at;

	const uint32_t n = xsk_ring_prod__reserve(&u->fill, a->facts.chunks, &at);
	assert(n == a->facts.chunks);
	for (uint32_t i = 0; i < n; i++)
		*xsk_ring_prod__fill_addr(&u->fill, at + i) = (uint64_t)i * STEER_CHUNK;
	xsk_ring_prod__submit(&u->fill, n);
}

static int make_queue(struct attach *a, uint32_t queue, struct err *err)
{
	int ret = make_umem(a, queue, err);

	if (ret)
		return ret;
	fill_with_every_chunk(a, queue);
	for (uint32_t worker = 0; worker < a->facts.workers; worker++)
		if ((ret = make_socket(a, queue, worker, err)))
			return ret;
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

static void note_zero_copy(struct attach *a)
{
	struct xdp_options options = {0};
	socklen_t len = sizeof(options);

	if (!getsockopt(xsk_socket__fd(a->umem[0].socket[0]), SOL_XDP, XDP_OPTIONS, &options, &len))
		a->facts.zero_copy = options.flags & XDP_OPTIONS_ZEROCOPY;
}

/* ---- life ---- */

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

static int find_facts(struct attach *a, const struct attach_config *config, struct err *err)
{
	struct attach_facts *f = &a->facts;
	struct ifreq request = {0};

	int ret = attach_queues(config->interface, &f->queues, err);
	if (ret)
		return ret;
	ret = interface_ioctl(config->interface, SIOCGIFMTU, &request);
	if (ret)
		return err_set(err, ret, "cannot read the MTU of %s: %s", config->interface,
			       strerror(-ret));
	f->mtu = (uint32_t)request.ifr_mtu;
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

	for (int i = 0; i < BUSY_TRIES && id; i++) {
		clock_nap(BUSY_NAP_NS);
		id = attached_program(a->ifindex);
	}
	return id ? err_set(err, -EBUSY,
			    "%s already carries an XDP program: 'bpftool prog show id %u' names "
			    "it, "
			    "'ip link set dev %s xdp off' removes it",
			    a->interface, id, a->interface)
		  : 0;
}

static int make_queues(struct attach *a, struct err *err)
{
	for (uint32_t queue = 0; queue < a->facts.queues; queue++) {
		const int ret = make_queue(a, queue, err);
		if (ret)
			return ret;
	}
	note_zero_copy(a);
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
	    (ret = load_program(a, config, err)) || (ret = enter_sockets(a, err)) ||
	    (ret = open_netlink(a, err)) || (ret = attach_follow(a, err)) ||
	    (ret = open_sink(a, config->port, err)))
		goto fail;
	*out = a;
	return 0;
fail:
	attach_close(a);
	return ret;
}

static void close_umem(struct attach_umem *u)
{
	for (unsigned worker = 0; worker < STEER_WORKERS_MAX; worker++)
		xsk_socket__delete(u->socket[worker]);
	(void)xsk_umem__delete(u->umem);
	if (u->area && u->area != MAP_FAILED)
		(void)munmap(u->area, u->len);
	if (u->memfd >= 0)
		(void)close(u->memfd);
}

void attach_close(struct attach *a)
{
	if (!a)
		return;
	attach_stop(a);
	for (unsigned i = 0; i < STEER_QUEUES_MAX; i++)
		close_umem(&a->umem[i]);
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

static int link_program(struct attach *a, uint32_t flags)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = flags);
	const int fd = bpf_link_create(bpf_program__fd(a->skeleton->progs.steer), a->ifindex,
				       BPF_XDP, &options);

	return fd < 0 ? -errno : fd;
}

int attach_start(struct attach *a, struct err *err)
{
	int ret = link_program(a, a->facts.native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE);

	if (ret < 0 && ret != -EBUSY && a->mode == ATTACH_AUTO) {
		a->facts.native = false;
		ret = link_program(a, XDP_FLAGS_SKB_MODE);
	}
	if (ret == -EBUSY || ret == -EEXIST)
		return err_set(err, ret, "another XDP program was attached to %s meanwhile",
			       a->interface);
	if (ret < 0)
		return err_set(err, ret, "cannot attach the XDP program to %s in %s mode: %s",
			       a->interface, a->mode == ATTACH_NATIVE ? "native" : "generic",
			       strerror(-ret));
	a->link = ret;
	return 0;
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

/* ---- handover ---- */

static void counter_fds(const struct attach *a, int fds[static 3])
{
	fds[0] = bpf_map__fd(a->skeleton->maps.counters);
	fds[1] = bpf_map__fd(a->skeleton->maps.given);
	fds[2] = bpf_map__fd(a->skeleton->maps.taken);
}

int attach_map(struct attach *a, struct attach_maps *maps, struct err *err)
{
	int fds[3];

	counter_fds(a, fds);
	for (unsigned i = 0; i < 3; i++)
		fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
	return attach_map_fds(&a->facts, fds, maps, err);
}

int attach_send_counters(struct attach *a, int socket, struct err *err)
{
	int fds[3];

	counter_fds(a, fds);
	const int ret = fdpass_send(socket, &a->facts, sizeof(a->facts), fds, 3);
	return ret ? err_set(err, ret, "cannot hand over the counters: %s", strerror(-ret)) : 0;
}

int attach_send(struct attach *a, int socket, struct err *err)
{
	int ret = attach_send_counters(a, socket, err);

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
