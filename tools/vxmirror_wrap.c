#include "vxmirror_wrap.h"

#include <string.h>

#include "vxmirror_flow.h"
#include "wire.h"

enum {
	ETHERNET_LEN = 14,
	IPV4_LEN = 20,
	UDP_LEN = 8,
	VXLAN_LEN = 8,
	VXLAN_PORT = 4789,
	FIRST_PORT = 65408,
	PORT_MASK = 0x7f,
	TTL = 254,
};

static void put_u16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* RFC 791 section 3.1; the field itself is still 0. */
static uint16_t ipv4_checksum(const uint8_t *p)
{
	uint32_t sum = 0;

	for (int i = 0; i < IPV4_LEN; i += 2)
		sum += wire_u16(p + i);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~(sum + (sum >> 16));
}

static uint8_t last_byte(uint8_t base, uint32_t session)
{
	const uint32_t step = session % 250, byte = base + step;

	return (uint8_t)(step && byte > 254 ? byte - 254 : byte);
}

static uint8_t *put_ethernet(uint8_t *p, const struct mirror *m)
{
	memcpy(p, m->target_mac, 6);
	memcpy(p + 6, m->source_mac, 6);
	put_u16(p + 12, 0x0800);
	return p + ETHERNET_LEN;
}

static uint8_t *put_ipv4(uint8_t *p, const struct mirror *m, uint32_t session, uint32_t payload_len)
{
	memset(p, 0, IPV4_LEN);
	p[0] = 0x45;
	put_u16(p + 2, IPV4_LEN + payload_len);
	p[8] = TTL;
	p[9] = 17; /* UDP */
	memcpy(p + 12, m->source, 4);
	p[15] = last_byte(m->source[3], session);
	memcpy(p + 16, m->target, 4);
	put_u16(p + 10, ipv4_checksum(p));
	return p + IPV4_LEN;
}

static uint8_t *put_udp(uint8_t *p, uint32_t source_port, uint32_t payload_len)
{
	put_u16(p, source_port);
	put_u16(p + 2, VXLAN_PORT);
	put_u16(p + 4, UDP_LEN + payload_len);
	put_u16(p + 6, 0);
	return p + UDP_LEN;
}

static uint8_t *put_vxlan(uint8_t *p, uint32_t vni)
{
	const uint8_t header[VXLAN_LEN] = {
		0x08, 0, 0, 0, (uint8_t)(vni >> 16), (uint8_t)(vni >> 8), (uint8_t)vni, 0};

	memcpy(p, header, VXLAN_LEN);
	return p + VXLAN_LEN;
}

uint32_t mirror_cut(const struct mirror *m, uint32_t len)
{
	return len < m->packet_length ? len : m->packet_length;
}

size_t mirror_wrap(uint8_t *out, const struct mirror *m, const uint8_t *inner, uint32_t len,
		   bool is_far_end)
{
	const uint64_t hash = flow_hash(inner, len, m->seed, true);
	const uint64_t port_hash = m->is_asymmetric ? flow_hash(inner, len, m->seed, false) : hash;
	/* Bits above those of the port, so that a session has all ports. */
	const uint32_t session =
		(uint32_t)((hash >> 32) % m->sessions) + (is_far_end ? m->sessions : 0);
	uint8_t *p = put_ethernet(out, m);

	p = put_ipv4(p, m, session, UDP_LEN + VXLAN_LEN + len);
	p = put_udp(p, FIRST_PORT + (port_hash & PORT_MASK), VXLAN_LEN + len);
	p = put_vxlan(p, m->vni + session);
	memcpy(p, inner, len);
	return MIRROR_OVERHEAD + len;
}
