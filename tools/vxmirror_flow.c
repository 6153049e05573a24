#include "vxmirror_flow.h"

#include <string.h>

#include "wire.h"

#define ETHERNET_LEN 14

enum {
	ETHERTYPE_IPV4 = 0x0800,
	ETHERTYPE_VLAN = 0x8100,
	ETHERTYPE_IPV6 = 0x86dd,
	ETHERTYPE_QINQ = 0x88a8,
	PROTO_HOP_BY_HOP = 0,
	PROTO_TCP = 6,
	PROTO_UDP = 17,
	PROTO_ROUTING = 43,
	PROTO_FRAGMENT = 44,
	PROTO_DESTINATION = 60,
};

struct endpoint {
	uint8_t address[16];
	uint8_t port[2];
};

struct flow {
	struct endpoint from, to;
	uint8_t protocol;
};

static void read_ports(struct flow *flow, const uint8_t *p, const uint8_t *end)
{
	if ((flow->protocol != PROTO_TCP && flow->protocol != PROTO_UDP) || end - p < 4)
		return;
	memcpy(flow->from.port, p, 2);
	memcpy(flow->to.port, p + 2, 2);
}

static void read_ipv4(struct flow *flow, const uint8_t *p, const uint8_t *end)
{
	if (end - p < 20)
		return;
	const size_t header_len = (p[0] & 0xfu) * 4;
	const bool is_later_fragment = wire_u16(p + 6) & 0x1fff;
	flow->protocol = p[9];
	memcpy(flow->from.address, p + 12, 4);
	memcpy(flow->to.address, p + 16, 4);
	if (header_len >= 20 && header_len <= (size_t)(end - p) && !is_later_fragment)
		read_ports(flow, p + header_len, end);
}

/* Steps over the extension headers (RFC 8200 section 4). NULL: what follows has no ports. */
static const uint8_t *skip_extensions(struct flow *flow, const uint8_t *p, const uint8_t *end)
{
	while (end - p >= 8) {
		const size_t len = flow->protocol == PROTO_FRAGMENT ? 8 : 8 + p[1] * 8u;

		if (flow->protocol == PROTO_FRAGMENT && wire_u16(p + 2) & 0xfff8)
			return NULL;
		if (flow->protocol != PROTO_HOP_BY_HOP && flow->protocol != PROTO_ROUTING &&
		    flow->protocol != PROTO_FRAGMENT && flow->protocol != PROTO_DESTINATION)
			return p;
		if (len > (size_t)(end - p))
			return NULL;
		flow->protocol = p[0];
		p += len;
	}
	return p;
}

static void read_ipv6(struct flow *flow, const uint8_t *p, const uint8_t *end)
{
	if (end - p < 40)
		return;
	flow->protocol = p[6];
	memcpy(flow->from.address, p + 8, 16);
	memcpy(flow->to.address, p + 24, 16);
	p = skip_extensions(flow, p + 40, end);
	if (p)
		read_ports(flow, p, end);
}

static struct flow read_flow(const uint8_t *p, const uint8_t *end)
{
	struct flow flow = {0};

	if (end - p < ETHERNET_LEN)
		return flow;
	const uint8_t *mac = p;
	uint16_t type = wire_u16(p + 12);
	p += ETHERNET_LEN;
	while ((type == ETHERTYPE_VLAN || type == ETHERTYPE_QINQ) && end - p >= 4) {
		type = wire_u16(p + 2);
		p += 4;
	}
	if (type == ETHERTYPE_IPV4) {
		read_ipv4(&flow, p, end);
	} else if (type == ETHERTYPE_IPV6) {
		read_ipv6(&flow, p, end);
	} else {
		memcpy(flow.to.address, mac, 6);
		memcpy(flow.from.address, mac + 6, 6);
	}
	return flow;
}

/* FNV-1a, and the finalizer of MurmurHash3 so that the low bits are good. */
static uint64_t mix(uint64_t h, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 0x100000001b3u;
	return h;
}

static uint64_t finish(uint64_t h)
{
	h = (h ^ h >> 33) * 0xff51afd7ed558ccdu;
	h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53u;
	return h ^ h >> 33;
}

static bool is_swapped(const struct flow *flow)
{
	return memcmp(&flow->from, &flow->to, sizeof(flow->from)) > 0;
}

bool flow_is_egress(const uint8_t *frame, size_t len)
{
	const struct flow flow = read_flow(frame, frame + len);

	return !is_swapped(&flow);
}

uint64_t flow_hash(const uint8_t *frame, size_t len, uint64_t seed, bool is_symmetric)
{
	const struct flow flow = read_flow(frame, frame + len);
	const bool swap = is_symmetric && is_swapped(&flow);
	uint64_t h = finish(seed ^ 0xcbf29ce484222325u);

	h = mix(h, swap ? &flow.to : &flow.from, sizeof(flow.from));
	h = mix(h, swap ? &flow.from : &flow.to, sizeof(flow.to));
	return finish(mix(h, &flow.protocol, 1));
}
