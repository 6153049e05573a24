#include "path/attach_address.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "abi.h"

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

/* getifaddrs names an address by its label: "eth0:1". */
static bool is_of(const struct ifaddrs *address, const char *interface)
{
	const size_t n = strlen(interface);

	return !strncmp(address->ifa_name, interface, n) &&
	       (!address->ifa_name[n] || address->ifa_name[n] == ':');
}

static bool interface_has(const struct ifaddrs *list, const char *interface,
			  const struct address *wanted)
{
	struct address address;

	for (const struct ifaddrs *i = list; i; i = i->ifa_next)
		if (is_of(i, interface) && address_of(i->ifa_addr, &address) &&
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

int attach_address_follow(int netlink, int map, const char *interface, int ifindex, struct err *err)
{
	const uint8_t one = 1;
	struct ifaddrs *list;
	struct address address;
	char drained[4096];
	int ret = 0;

	while (recv(netlink, drained, sizeof(drained), MSG_DONTWAIT) > 0)
		;
	if ((int)if_nametoindex(interface) != ifindex)
		return err_set(err, -ENODEV, "interface %s is gone", interface);
	if (getifaddrs(&list))
		return err_set(err, -errno, "cannot read the addresses of %s: %s", interface,
			       strerror(errno));
	forget_gone(map, interface, list);
	for (const struct ifaddrs *i = list; i && !ret; i = i->ifa_next)
		if (is_of(i, interface) && address_of(i->ifa_addr, &address) &&
		    bpf_map_update_elem(map, &address, &one, BPF_ANY))
			ret = err_set(err, -errno, "cannot note an address of %s: %s", interface,
				      strerror(errno));
	freeifaddrs(list);
	return ret;
}

int attach_address_open(int *netlink, struct err *err)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK,
				      .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR |
						   RTMGRP_IPV6_IFADDR};

	*netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (*netlink < 0 || bind(*netlink, (struct sockaddr *)&address, sizeof(address)))
		return err_set(err, -errno, "cannot follow the interface's addresses: %s",
			       strerror(errno));
	return 0;
}
