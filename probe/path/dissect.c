#include "path/dissect.h"

#include <string.h>

#include "inner.h"
#include "steer.h"
#include "wire.h"

#define MARK_BIT(name) (1u << MARK_##name)
#define GTPU_PORT      2152

struct endpoint {
	struct address address;
	uint16_t port;
};

static struct address address_ipv4(const uint8_t *p)
{
	struct address out = {.byte = {[10] = 0xff, 0xff}};

	memcpy(out.byte + 12, p, 4);
	return out;
}

static struct address address_ipv6(const uint8_t *p)
{
	struct address out;

	memcpy(out.byte, p, sizeof(out.byte));
	return out;
}

static int endpoint_cmp(const struct endpoint *x, const struct endpoint *y)
{
	const int order = memcmp(&x->address, &y->address, sizeof(x->address));

	return order ? order : x->port - y->port;
}

/* Addresses are there: the caller has seen in->version. */
static void flow_set(struct dissected *out, const struct inner *in, const uint8_t *ip,
		     uint16_t from_port, uint16_t to_port)
{
	const bool v4 = in->version == 4;
	const struct endpoint from = {v4 ? address_ipv4(ip + 12) : address_ipv6(ip + 8), from_port};
	const struct endpoint to = {v4 ? address_ipv4(ip + 16) : address_ipv6(ip + 24), to_port};
	const bool swap = endpoint_cmp(&from, &to) > 0;
	const struct endpoint *a = swap ? &to : &from, *b = swap ? &from : &to;

	out->has_flow = true;
	out->direction = swap;
	out->key = (struct flow_key){
		.version = in->version,
		.proto = in->proto,
		.a = a->address,
		.b = b->address,
		.port_a = a->port,
		.port_b = b->port,
	};
}

static bool is_echo(const struct inner *in, uint8_t type)
{
	if (in->proto == INNER_ICMP)
		return in->version == 4 && (type == 0 || type == 8); /* RFC 792 */
	return in->version == 6 && (type == 128 || type == 129);     /* RFC 4443 section 4 */
}

/* room: bytes at t that are captured and the packet's own. */
static bool tcp_is_sound(const uint8_t *t, uint32_t room)
{
	const uint32_t head = room >= 20 ? (t[12] >> 4) * 4u : 0;

	return head >= 20 && head <= room; /* RFC 9293 section 3.1 */
}

/* 0 stands for a length of more than 65,535 (RFC 2675 section 4). */
static bool udp_is_sound(const uint8_t *t, uint32_t room)
{
	return room >= 8 && (wire_u16(t + 4) == 0 || wire_u16(t + 4) >= 8);
}

static bool transport_is_sound(const struct inner *in, const uint8_t *t, uint32_t room)
{
	switch (in->proto) {
	case INNER_TCP:
		return tcp_is_sound(t, room);
	case INNER_UDP:
		return udp_is_sound(t, room);
	case INNER_SCTP:
		return room >= 12; /* RFC 9260 section 3.1 */
	default:
		return room >= 8; /* ICMP: RFC 792, RFC 4443 section 2.1 and the word behind */
	}
}

static void dissect_transport(const struct inner *in, const uint8_t *data, uint32_t len,
			      struct dissected *out)
{
	const uint8_t *ip = data + in->l3, *t = data + in->l4;
	const uint32_t head = (uint32_t)in->l4 - in->l3;
	const uint32_t own = !in->ip_len ? len : in->ip_len > head ? in->ip_len - head : 0;
	const uint32_t room = own < len - in->l4 ? own : len - in->l4;
	const bool has_ports =
		in->proto == INNER_TCP || in->proto == INNER_UDP || in->proto == INNER_SCTP;

	if (!has_ports && in->proto != INNER_ICMP && in->proto != INNER_ICMPV6) {
		out->marks |= MARK_BIT(OTHER_TRANSPORT);
		flow_set(out, in, ip, 0, 0);
		return;
	}
	if (!transport_is_sound(in, t, room))
		out->marks |= MARK_BIT(BAD_TRANSPORT);
	if (has_ports && room >= 4)
		flow_set(out, in, ip, wire_u16(t), wire_u16(t + 2));
	else if (!has_ports && room >= 8 && is_echo(in, t[0]))
		flow_set(out, in, ip, wire_u16(t + 4), wire_u16(t + 4));
}

static uint32_t transport_len(const struct inner *in, const uint8_t *t, uint32_t room)
{
	const uint32_t tcp = room >= 13 ? (t[12] >> 4) * 4u : 0;

	switch (in->proto) {
	case INNER_TCP:
		return tcp < 20 ? 20 : tcp;
	case INNER_SCTP:
		return 12;
	case INNER_UDP:
	case INNER_ICMP:
	case INNER_ICMPV6:
		return 8;
	default:
		return 0;
	}
}

static uint16_t payload_of(const struct inner *in, const uint8_t *data, uint32_t len)
{
	if (in->l4)
		return (uint16_t)(in->l4 + transport_len(in, data + in->l4, len - in->l4));
	if (in->version == 4)
		return (uint16_t)(in->l3 + (data[in->l3] & 0xf) * 4u);
	if (in->version == 6) /* of a later fragment, with its fragment header */
		return in->l3 + INNER_IPV6_LEN + 8;
	return in->l3 ? in->l3 : (uint16_t)(INNER_ETHERNET_LEN + 4 * in->n_vlan);
}

static uint32_t marks_of(const struct inner *in)
{
	static const uint32_t of_fault[] = {
		[INNER_OK] = 0,
		[INNER_NOT_IP] = MARK_BIT(NOT_IP),
		[INNER_BAD_ETHERNET] = MARK_BIT(BAD_ETHERNET),
		[INNER_BAD_IP] = MARK_BIT(BAD_IP),
	};
	static const uint32_t of_fragment[] = {
		[INNER_WHOLE] = 0,
		[INNER_FIRST_FRAGMENT] = MARK_BIT(FIRST_FRAGMENT),
		[INNER_LATER_FRAGMENT] = MARK_BIT(LATER_FRAGMENT),
	};

	return of_fault[in->fault] | of_fragment[in->fragment];
}

/* What follows from the walk over the headers; wire_len is of the frame. */
static struct dissected dissect_walked(const struct inner *in, const uint8_t *data, uint32_t len,
				       uint32_t wire_len)
{
	struct dissected out = {
		.wire_len = wire_len,
		.ip_len = in->ip_len,
		.marks = marks_of(in),
		.l3 = in->l3,
		.l4 = in->l4,
		.payload = payload_of(in, data, len),
	};

	if (in->fault == INNER_OK) {
		out.key.version = in->version;
		out.key.proto = in->proto;
	}
	if (in->l4)
		dissect_transport(in, data, len, &out);
	return out;
}

void dissect_frame(const uint8_t *data, uint32_t len, uint32_t cap_len, struct dissected *out)
{
	struct inner in;

	inner_walk(data, data + len, &in);
	const uint32_t ip_wire_len = in.ip_len ? in.l3 + in.ip_len : 0;
	const bool is_cut = ip_wire_len > cap_len;
	*out = dissect_walked(&in, data, len, is_cut ? ip_wire_len : cap_len);
	if (is_cut)
		out->marks |= MARK_BIT(TRUNCATED);
}

bool dissect_quoted(const uint8_t *data, uint32_t len, const struct dissected *d,
		    struct flow_key *key, unsigned *direction)
{
	const uint32_t end = dissect_end(d, len);
	struct inner in = {.l4 = d->l4, .version = d->key.version, .proto = d->key.proto};

	if (!steer_is_icmp_error(data, data + end, &in))
		return false;
	inner_walk_ip(data, data + end, d->l4 + 8u, &in);
	if (!in.l4)
		return false;
	const struct dissected quoted = dissect_walked(&in, data, end, end);
	if (!quoted.has_flow)
		return false;
	*key = quoted.key;
	*direction = quoted.direction;
	return true;
}

static bool is_gtpu(const struct dissected *d)
{
	return d->has_flow && d->key.proto == INNER_UDP &&
	       steer_either(d->key.port_a, d->key.port_b, GTPU_PORT);
}

/* An IP packet inside another is shorter, but when that is a part of it only. */
static bool fits(const struct inner *in, const struct dissected *outer)
{
	const bool is_part = outer->marks & MARK_BIT(FIRST_FRAGMENT);

	return is_part || !outer->ip_len || in->l3 + in->ip_len <= outer->l3 + outer->ip_len;
}

bool dissect_gtpu(const uint8_t *data, uint32_t len, const struct dissected *outer,
		  struct dissected *inner)
{
	const uint32_t end = dissect_end(outer, len);
	const uint32_t offset =
		is_gtpu(outer) ? steer_gtp_payload(data, data + end, outer->payload) : 0;
	struct inner in;

	if (!offset)
		return false;
	inner_walk_ip(data, data + end, offset, &in);
	if (!in.version || !fits(&in, outer))
		return false;
	*inner = dissect_walked(&in, data, end, outer->wire_len);
	inner->marks |= outer->marks & MARK_BIT(TRUNCATED);
	return true;
}
