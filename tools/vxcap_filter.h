/*
 * vxcap_filter: which packets are wanted. All conditions must hold.
 */
#pragma once

#include "base/err.h"
#include "path/block.h"
#include "vxcap_flow.h"

#include <pcap/pcap.h>
#include <stdbool.h>
#include <stdint.h>

struct vxcap_filter {
	const char *session, *nf; /* borrowed; NULL: any; session: with its later generations */
	bool has_vni, has_bpf;
	uint32_t vni;
	uint64_t from_ns, to_ns; /* from_ns <= time < to_ns */
	struct bpf_program bpf;  /* for Ethernet frames */
	struct vxcap_flows flows;
};

/* Everything is wanted. */
void vxcap_filter_init(struct vxcap_filter *filter);
void vxcap_filter_fini(struct vxcap_filter *filter);
/* Compiles text in libpcap's syntax. -EINVAL. */
int vxcap_filter_compile(struct vxcap_filter *filter, const char *text, struct err *err);

/* False: the name that vxprobe gave the file rules out a wanted packet. Any other name rules out
 * nothing. */
bool vxcap_filter_file(const struct vxcap_filter *filter, const char *path);
/* True when some interfaces may be unwanted. */
bool vxcap_filter_by_interface(const struct vxcap_filter *filter);
/* A filter of packets' content wants Ethernet interfaces alone. */
bool vxcap_filter_interface(const struct vxcap_filter *filter, const struct block_interface *i);
/* [first_ns, last_ns] may hold a wanted packet. */
bool vxcap_filter_range(const struct vxcap_filter *filter, uint64_t first_ns, uint64_t last_ns);
/* A packet of a wanted interface. */
bool vxcap_filter_packet(const struct vxcap_filter *filter, const struct block_packet *packet);
