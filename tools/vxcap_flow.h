/*
 * vxcap_flow: the flows, Community IDs and hosts that are wanted; what an index and a packet say of
 * them. Values of one kind are alternatives; every kind that was given must hold. What travels
 * inside GTP-U counts as well.
 */
#pragma once

#include "base/err.h"
#include "path/block.h"
#include "path/flowid.h"
#include "path/pack.h"

#include <stdbool.h>
#include <stdint.h>

#define VXCAP_WANTED_MAX 64 /* of each kind */

struct vxcap_endpoint {
	uint8_t address[16];
	uint64_t key; /* of the address, in filters */
	bool has_port;
	uint16_t port;
};

struct vxcap_flow {
	uint8_t proto;
	uint32_t address_len; /* 4 or 16 */
	struct vxcap_endpoint end[2];
	bool has_key; /* both ports are given, or the protocol has none */
	uint64_t key;
};

struct vxcap_host {
	uint8_t address[16];
	uint32_t len;
	uint64_t key;
};

struct vxcap_flows {
	struct vxcap_flow flow[VXCAP_WANTED_MAX];
	uint8_t community[VXCAP_WANTED_MAX][FLOWID_SHA1];
	struct vxcap_host host[VXCAP_WANTED_MAX];
	unsigned n_flows, n_communities, n_hosts;
	struct flowid_hash *hash; /* owned; opened by the first value */
};

/* Takes zeros. */
void vxcap_flows_fini(struct vxcap_flows *flows);

/* 'PROTO A[:PORT] B[:PORT]' in either order; IPv6 with a port in brackets. PROTO: tcp, udp, sctp,
 * icmp, icmp6 or a number. -EINVAL. */
int vxcap_flows_add(struct vxcap_flows *flows, const char *text, struct err *err);
/* "1:" and base64. */
int vxcap_flows_add_community(struct vxcap_flows *flows, const char *text, struct err *err);
int vxcap_flows_add_host(struct vxcap_flows *flows, const char *text, struct err *err);

/* False: the index rules out that frame i has a wanted packet. */
bool vxcap_flows_frame(const struct vxcap_flows *flows, const struct unpack *unpack, unsigned i);
/* An Ethernet frame is wanted. */
bool vxcap_flows_packet(const struct vxcap_flows *flows, const struct block_packet *packet);
