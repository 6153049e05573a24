#define _GNU_SOURCE /* sendmmsg */

#include "vxmirror_send.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S     1000000000u
#define ETHERNET_LEN 14u
/* Frames per system call. At a rate, what a millisecond brings: sleeping costs 50 us or so. */
#define BATCH_MAX     64u
#define BATCHES_PER_S 1000u
/* How far behind its rate the sender may be and still catch up. Older debts are forgiven, so that a
 * stall is not followed by a burst. */
#define BEHIND_MAX_NS 5000000u

struct sender {
	int fd;
	char interface[IFNAMSIZ];
	uint8_t mac[6];
	unsigned mtu;

	uint64_t rate_pps;
	uint64_t due_ns; /* CLOCK_MONOTONIC of the next batch; 0: none was sent yet */

	unsigned n, batch; /* frames waiting, and how many make a batch */
	struct iovec frame[BATCH_MAX];
	struct mmsghdr message[BATCH_MAX];
	uint8_t *memory; /* BATCH_MAX buffers of SEND_FRAME_MAX */

	struct send_counts counts;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail */
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static int fail_interface(const struct sender *s, const char *what, struct err *err)
{
	return err_set(err, -errno, "cannot %s %s: %s", what, s->interface, strerror(errno));
}

static struct ifreq request(const struct sender *s)
{
	struct ifreq r = {0};

	memcpy(r.ifr_name, s->interface, sizeof(r.ifr_name));
	return r;
}

static int find_interface(struct sender *s, int *index, struct err *err)
{
	struct ifreq r = request(s);

	if (ioctl(s->fd, SIOCGIFINDEX, &r) != 0)
		return fail_interface(s, "find interface", err);
	*index = r.ifr_ifindex;
	if (ioctl(s->fd, SIOCGIFMTU, &r) != 0)
		return fail_interface(s, "read the MTU of", err);
	s->mtu = (unsigned)r.ifr_mtu;
	if (ioctl(s->fd, SIOCGIFHWADDR, &r) != 0)
		return fail_interface(s, "read the MAC address of", err);
	if (r.ifr_hwaddr.sa_family != ARPHRD_ETHER && r.ifr_hwaddr.sa_family != ARPHRD_LOOPBACK)
		return err_set(err, -EINVAL, "%s is not an Ethernet interface", s->interface);
	memcpy(s->mac, r.ifr_hwaddr.sa_data, sizeof(s->mac));
	return 0;
}

static int bind_socket(struct sender *s, struct err *err)
{
	const int on = 1;
	int index = 0;

	/* Protocol 0: nothing is received. */
	s->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return err_set(err, -errno, "cannot open a packet socket: %s%s", strerror(errno),
			       errno == EPERM ? "; it takes root or CAP_NET_RAW" : "");
	const int ret = find_interface(s, &index, err);
	if (ret)
		return ret;
	const struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = index};
	if (bind(s->fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
		return fail_interface(s, "bind to", err);
	if (setsockopt(s->fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)) != 0)
		return fail_interface(s, "bypass the queueing discipline of", err);
	return 0;
}

static void prepare_messages(struct sender *s)
{
	for (unsigned i = 0; i < BATCH_MAX; i++) {
		s->frame[i].iov_base = s->memory + (size_t)i * SEND_FRAME_MAX;
		s->message[i].msg_hdr.msg_iov = &s->frame[i];
		s->message[i].msg_hdr.msg_iovlen = 1;
	}
}

static unsigned batch_of(uint64_t rate_pps)
{
	const uint64_t batch = rate_pps / BATCHES_PER_S;

	if (rate_pps == 0 || batch > BATCH_MAX)
		return BATCH_MAX;
	return batch ? (unsigned)batch : 1;
}

int send_open(struct sender **out, const struct send_config *config, struct err *err)
{
	struct sender *s = calloc(1, sizeof(*s));
	int ret;

	if (!s)
		return err_set(err, -ENOMEM, "out of memory");
	s->fd = -1;
	if (strlen(config->interface) >= sizeof(s->interface)) {
		ret = err_set(err, -ENODEV, "%s cannot be an interface's name: it is too long",
			      config->interface);
		goto fail;
	}
	memcpy(s->interface, config->interface, strlen(config->interface));
	s->rate_pps = config->rate_pps;
	s->batch = batch_of(config->rate_pps);
	s->memory = malloc((size_t)BATCH_MAX * SEND_FRAME_MAX);
	if (!s->memory) {
		ret = err_set(err, -ENOMEM, "out of memory");
		goto fail;
	}
	prepare_messages(s);
	ret = bind_socket(s, err);
	if (ret)
		goto fail;
	(void)prctl(PR_SET_TIMERSLACK, 1ul); /* else a sleep ends 50 us late */
	*out = s;
	return 0;
fail:
	send_close(s);
	return ret;
}

void send_close(struct sender *sender)
{
	if (!sender)
		return;
	if (sender->fd >= 0)
		(void)close(sender->fd);
	free(sender->memory);
	free(sender);
}

const uint8_t *send_mac(const struct sender *sender)
{
	return sender->mac;
}

/* 0: in the table; -ENXIO: not, or not yet complete. */
static int look_up(const struct sender *s, int udp, const struct sockaddr_in *who, uint8_t mac[6])
{
	struct arpreq r = {0};

	memcpy(&r.arp_pa, who, sizeof(*who));
	memcpy(r.arp_dev, s->interface, sizeof(r.arp_dev));
	if (ioctl(udp, SIOCGARP, &r) != 0 || !(r.arp_flags & ATF_COM))
		return -ENXIO;
	memcpy(mac, r.arp_ha.sa_data, 6);
	return 0;
}

int send_find_neighbour(struct sender *sender, const uint8_t ipv4[4], uint8_t mac[6],
			struct err *err)
{
	const struct timespec step = {.tv_nsec = 20000000};
	struct sockaddr_in who = {.sin_family = AF_INET, .sin_port = htons(9)}; /* discard */
	const int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (udp < 0)
		return err_set(err, -errno, "cannot open a UDP socket: %s", strerror(errno));
	memcpy(&who.sin_addr, ipv4, 4);
	int ret = look_up(sender, udp, &who, mac);
	/* An empty datagram makes the kernel ask; there is nothing to poll for the answer. */
	if (ret && setsockopt(udp, SOL_SOCKET, SO_BINDTODEVICE, sender->interface, IFNAMSIZ) == 0)
		(void)sendto(udp, NULL, 0, 0, (const struct sockaddr *)&who, sizeof(who));
	for (int i = 0; ret && i < 100; i++) {
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &step, NULL);
		ret = look_up(sender, udp, &who, mac);
	}
	(void)close(udp);
	if (ret)
		return err_set(err, ret,
			       "no neighbour of %s has the address %u.%u.%u.%u: give --target, or "
			       "--target-mac (a router's, if the probe is behind one)",
			       sender->interface, ipv4[0], ipv4[1], ipv4[2], ipv4[3]);
	return 0;
}

/* Sleeps until the next batch of n frames is due. */
static int pace(struct sender *s, unsigned n, struct err *err)
{
	if (s->rate_pps == 0)
		return 0;
	const uint64_t now = now_ns();
	if (s->due_ns + BEHIND_MAX_NS < now)
		s->due_ns = now;
	if (s->due_ns > now) {
		const struct timespec due = {.tv_sec = (time_t)(s->due_ns / NS_PER_S),
					     .tv_nsec = (long)(s->due_ns % NS_PER_S)};
		const int error = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
		if (error)
			return err_set(err, -error, "interrupted: %s", strerror(error));
	}
	s->due_ns += (uint64_t)n * NS_PER_S / s->rate_pps;
	return 0;
}

int send_flush(struct sender *sender, struct err *err)
{
	struct sender *s = sender;
	int ret = s->n ? pace(s, s->n, err) : 0;

	for (unsigned done = 0; ret == 0 && done < s->n;) {
		const int n = sendmmsg(s->fd, s->message + done, s->n - done, 0);

		for (int i = 0; i < n; i++)
			s->counts.bytes += s->frame[done + (unsigned)i].iov_len;
		if (n > 0) {
			s->counts.packets += (unsigned)n;
			done += (unsigned)n;
		} else if (errno == ENOBUFS || errno == EAGAIN) {
			s->counts.refused++;
			done++;
		} else {
			ret = fail_interface(s, "send on", err);
		}
	}
	s->n = 0;
	return ret;
}

uint8_t *send_buffer(struct sender *sender)
{
	return sender->frame[sender->n].iov_base;
}

int send_commit(struct sender *sender, size_t len, struct err *err)
{
	if (len > sender->mtu + ETHERNET_LEN)
		return err_set(
			err, -EMSGSIZE,
			"a wrapped packet has %zu bytes, but %s takes %u (MTU %u): raise its MTU "
			"(ip link set %s mtu %zu) or cut the packets (--packet-length)",
			len, sender->interface, sender->mtu + ETHERNET_LEN, sender->mtu,
			sender->interface, len - ETHERNET_LEN);
	sender->frame[sender->n++].iov_len = len;
	return sender->n < sender->batch ? 0 : send_flush(sender, err);
}

struct send_counts send_counts(const struct sender *sender)
{
	return sender->counts;
}
