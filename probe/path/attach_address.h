/*
 * attach_address: the interface's own addresses, kept in a BPF map while they change. Starter's
 * thread.
 */
#pragma once

#include "base/err.h"

/* A netlink socket, readable when addresses or links have changed. */
int attach_address_open(int *netlink, struct err *err);
/* Brings the map (struct address to a byte) up to date. -ENODEV: the interface is gone. */
int attach_address_follow(int netlink, int map, const char *interface, int ifindex,
			  struct err *err);
