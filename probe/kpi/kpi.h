/*
 * kpi: what is measured of a session's packets, whatever becomes of their bytes.
 *
 * One per worker, which calls it for every packet that has a session, on its thread alone. It holds
 * all that is remembered from packet to packet: flows with the state of their protocol beside them,
 * associations, latest packets. All memory is allocated at open. Numbers go to the worker's part of
 * shared memory (kpi/sink.h).
 */
#pragma once

#include "base/err.h"
#include "kpi/icmp.h"
#include "kpi/sink.h"
#include "kpi/tcp.h"
#include "kpi/udp.h"
#include "path/decap.h"
#include "path/dissect.h"
#include "path/enroll.h"
#include "path/flow.h"

#include <stddef.h>
#include <stdint.h>

/* State beside each flow. */
struct kpi_flow {
	union {
		struct tcp tcp;
		struct udp udp;
		struct icmp icmp;
	};
	bool is_counted_one, is_counted_both; /* as unidirectional; as bidirectional */
	/* At the latest packet: when a flow is found to have ended depends on the hash. */
	int8_t sees_both;
	bool is_awaited; /* it will be looked at later */
};
static_assert(sizeof(struct kpi_flow) == 336, "memory is promised by this size");

struct kpi_config {
	struct kpi_memory memory;
	uint32_t sessions_max;
	uint32_t flows_max, associations_max;
	uint32_t latest_max; /* packets that copies are looked for among; 0: DUPLICATES_PACKETS */
	uint8_t key[16];     /* of hashes: random and secret */
};

/* One packet as far as it is known. */
struct kpi_packet {
	const struct packet *packet;
	struct dissected *dissected; /* marks are added: FLOW_FULL */
	uint32_t session;
	enum session_direction direction;
};

struct kpis;

int kpi_open(struct kpis **out, const struct kpi_config *config, struct err *err);
/* Takes NULL. */
void kpi_close(struct kpis *kpi);
/* Bytes that kpi_open allocates. */
size_t kpi_memory(const struct kpi_config *config);

void kpi_packet(struct kpis *kpi, const struct kpi_packet *p);
/* The same of up to BATCH_MAX packets, in their order: what is remembered of them comes out of
 * memory while others are worked on. */
void kpi_batch(struct kpis *kpi, const struct kpi_packet *p, unsigned n);
/* Ends a bounded part of what is idle at now_ns; call it again and again. */
void kpi_expire(struct kpis *kpi, uint64_t now_ns);
/* Nothing comes any more: ends all that is idle at now_ns, and counts what waited for more. */
void kpi_finish(struct kpis *kpi, uint64_t now_ns);
const struct flow_counters *kpi_flows(const struct kpis *kpi);
