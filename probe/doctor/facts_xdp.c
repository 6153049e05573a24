#include "doctor/facts_part.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- what the driver has: the generic netlink family "netdev" (Linux 6.3) ---- */

/* linux/netdev.h, which Debian 12 does not have. */
enum { NETDEV_CMD_DEV_GET = 1 };
enum {
	NETDEV_A_DEV_IFINDEX = 1,
	NETDEV_A_DEV_XDP_FEATURES = 3,
	NETDEV_A_DEV_XDP_ZC_MAX_SEGS = 4,
	ATTRIBUTES_MAX
};
enum {
	NETDEV_XDP_ACT_BASIC = 1,
	NETDEV_XDP_ACT_REDIRECT = 2,
	NETDEV_XDP_ACT_XSK_ZEROCOPY = 8,
	NETDEV_XDP_ACT_RX_SG = 32
};

/* MNL_SOCKET_BUFFER_SIZE is no constant; a dump comes in messages of at most two pages. */
#define ANSWER_LEN 16384

struct netdev_question {
	struct doctor_facts *facts;
	uint32_t ifindex;
	uint16_t family;
};

/* Sends a message and gives its answers to take. */
static bool converse(struct nlmsghdr *message, mnl_cb_t take, struct netdev_question *q)
{
	char buf[ANSWER_LEN];
	struct mnl_socket *s = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
	int got = MNL_CB_ERROR;

	if (s && !mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) &&
	    mnl_socket_sendto(s, message, message->nlmsg_len) >= 0)
		do {
			const ssize_t len = mnl_socket_recvfrom(s, buf, sizeof(buf));
			got = len < 0 ? MNL_CB_ERROR
				      : mnl_cb_run(buf, (size_t)len, 0, mnl_socket_get_portid(s),
						   take, q);
		} while (got > MNL_CB_STOP);
	if (s)
		(void)mnl_socket_close(s);
	return got == MNL_CB_STOP;
}

static struct nlmsghdr *begin(char *buf, uint16_t family, uint8_t command, uint16_t flags)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buf);
	struct genlmsghdr *g = mnl_nlmsg_put_extra_header(message, sizeof(*g));

	message->nlmsg_type = family;
	message->nlmsg_flags = NLM_F_REQUEST | flags;
	g->cmd = command;
	g->version = 1;
	return message;
}

static int take_family(const struct nlmsghdr *message, void *data)
{
	struct netdev_question *q = data;
	const struct nlattr *a;

	mnl_attr_for_each(a, message, sizeof(struct genlmsghdr))
	{
		if (mnl_attr_get_type(a) == CTRL_ATTR_FAMILY_ID)
			q->family = mnl_attr_get_u16(a);
	}
	return MNL_CB_OK;
}

static int take_device(const struct nlmsghdr *message, void *data)
{
	struct netdev_question *q = data;
	const struct nlattr *a;
	uint64_t value[ATTRIBUTES_MAX] = {0};

	mnl_attr_for_each(a, message, sizeof(struct genlmsghdr))
	{
		const uint16_t type = mnl_attr_get_type(a);
		if (type < ATTRIBUTES_MAX)
			value[type] = mnl_attr_get_payload_len(a) == sizeof(uint64_t)
					      ? mnl_attr_get_u64(a)
					      : mnl_attr_get_u32(a);
	}
	const uint64_t needed = NETDEV_XDP_ACT_BASIC | NETDEV_XDP_ACT_REDIRECT;
	const uint64_t features = value[NETDEV_A_DEV_XDP_FEATURES];
	const bool native = (features & needed) == needed;
	struct doctor_facts *f = q->facts;
	if (value[NETDEV_A_DEV_IFINDEX] != q->ifindex) {
		if (native && !*f->xdp_elsewhere)
			(void)if_indextoname((unsigned)value[NETDEV_A_DEV_IFINDEX],
					     f->xdp_elsewhere);
		return MNL_CB_OK;
	}
	f->xdp_native = native;
	f->xdp_multi_buffer = !!(features & NETDEV_XDP_ACT_RX_SG);
	f->xdp_zero_copy = !!(features & NETDEV_XDP_ACT_XSK_ZEROCOPY);
	f->xdp_zero_copy_buffers = (int64_t)value[NETDEV_A_DEV_XDP_ZC_MAX_SEGS];
	return MNL_CB_OK;
}

static void ask_features(struct doctor_facts *f, uint32_t ifindex)
{
	struct netdev_question q = {.facts = f, .ifindex = ifindex};
	char buf[ANSWER_LEN];
	struct nlmsghdr *message = begin(buf, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, NLM_F_ACK);

	mnl_attr_put_strz(message, CTRL_ATTR_FAMILY_NAME, "netdev");
	if (!converse(message, take_family, &q) || !q.family)
		return;
	message = begin(buf, q.family, NETDEV_CMD_DEV_GET, NLM_F_DUMP);
	(void)converse(message, take_device, &q);
}

/* ---- what is attached ---- */

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

static void ask_name(struct doctor_facts *f)
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);
	const int fd = bpf_prog_get_fd_by_id((uint32_t)f->xdp_program);

	if (fd < 0)
		return;
	if (!bpf_obj_get_info_by_fd(fd, &info, &len))
		(void)snprintf(f->xdp_program_name, sizeof(f->xdp_program_name), "%.15s",
			       info.name);
	(void)close(fd);
}

/* A program that a link holds cannot be taken off by ip link. */
static void ask_link(struct doctor_facts *f, uint32_t ifindex)
{
	uint32_t id = 0;

	f->xdp_link = 0;
	while (!bpf_link_get_next_id(id, &id)) {
		struct bpf_link_info info = {0};
		uint32_t len = sizeof(info);
		const int fd = bpf_link_get_fd_by_id(id);

		if (fd < 0)
			continue;
		if (!bpf_obj_get_info_by_fd(fd, &info, &len) && info.type == BPF_LINK_TYPE_XDP &&
		    info.xdp.ifindex == ifindex && info.prog_id == (uint32_t)f->xdp_program)
			f->xdp_link = id;
		(void)close(fd);
	}
}

static void ask_program(struct doctor_facts *f, unsigned ifindex)
{
	static const char *const mode[] = {[XDP_ATTACHED_DRV] = "native",
					   [XDP_ATTACHED_SKB] = "generic",
					   [XDP_ATTACHED_HW] = "offload"};
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	(void)libbpf_set_print(quiet);
	if (bpf_xdp_query((int)ifindex, 0, &query))
		return;
	/* With several at once, prog_id is 0. */
	const uint32_t ids[] = {query.prog_id, query.drv_prog_id, query.skb_prog_id,
				query.hw_prog_id};
	f->xdp_program = 0;
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]) && !f->xdp_program; i++)
		f->xdp_program = ids[i];
	if (!f->xdp_program)
		return;
	const unsigned attached =
		query.attach_mode == XDP_ATTACHED_MULTI ? XDP_ATTACHED_DRV : query.attach_mode;
	if (attached < sizeof(mode) / sizeof(mode[0]) && mode[attached])
		(void)snprintf(f->xdp_program_mode, sizeof(f->xdp_program_mode), "%s",
			       mode[attached]);
	ask_name(f);
	ask_link(f, ifindex);
}

void facts_xdp(struct doctor_facts *f, unsigned ifindex)
{
	ask_features(f, ifindex);
	ask_program(f, ifindex);
}
