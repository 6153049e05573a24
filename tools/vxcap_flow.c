#include "vxcap_flow.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/value.h"

/* Longest address with brackets and port. */
#define ENDPOINT_MAX 64

/* ---- parsing ---- */

void vxcap_flows_fini(struct vxcap_flows *flows)
{
	flowid_hash_close(flows->hash);
	flows->hash = NULL;
}

static int begin(struct vxcap_flows *flows, unsigned n, struct err *err)
{
	if (n == VXCAP_WANTED_MAX)
		return err_set(err, -EINVAL, "more than %u values of one kind", VXCAP_WANTED_MAX);
	return flows->hash ? 0 : flowid_hash_open(&flows->hash, err);
}

static uint64_t key_of(const struct vxcap_flows *flows, const uint8_t *bytes, uint32_t len)
{
	uint8_t sha1[FLOWID_SHA1] = {0};

	(void)flowid_sha1(flows->hash, bytes, len, sha1); /* cannot fail: it was opened */
	return flowid_key(sha1);
}

static bool parse_address(const char *text, uint8_t out[static 16], uint32_t *len)
{
	memset(out, 0, 16);
	*len = strchr(text, ':') ? 16 : 4;
	return inet_pton(*len == 4 ? AF_INET : AF_INET6, text, out) == 1;
}

static bool parse_number(const char *text, uint64_t max, uint64_t *out)
{
	return value_number(out, text) && *out <= max;
}

/* A, A:PORT, [A]:PORT or [A]; without brackets the colons of IPv6 are the address's. */
static bool parse_endpoint(char *text, struct vxcap_endpoint *out, uint32_t *len)
{
	char *const bracket = text[0] == '[' ? strchr(text, ']') : NULL;
	char *const colon = bracket ? bracket + 1 : strchr(text, ':');
	const bool has_port = colon && *colon == ':' && (bracket || !strchr(colon + 1, ':'));
	uint64_t port = 0;

	if ((text[0] == '[' && !bracket) || (bracket && *colon && *colon != ':'))
		return false;
	if (has_port && !parse_number(colon + 1, UINT16_MAX, &port))
		return false;
	if (has_port)
		*colon = '\0';
	if (bracket)
		*bracket = '\0';
	*out = (struct vxcap_endpoint){.has_port = has_port, .port = (uint16_t)port};
	return parse_address(bracket ? text + 1 : text, out->address, len);
}

static bool parse_protocol(const char *text, uint8_t *out)
{
	static const struct {
		const char *name;
		uint8_t proto;
	} known[] = {{"tcp", 6}, {"udp", 17}, {"sctp", 132}, {"icmp", 1}, {"icmp6", 58}};
	uint64_t number;

	for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(text, known[i].name)) {
			*out = known[i].proto;
			return true;
		}
	if (!parse_number(text, UINT8_MAX, &number))
		return false;
	*out = (uint8_t)number;
	return true;
}

static bool is_icmp(uint8_t proto)
{
	return proto == 1 || proto == 58;
}

static bool parse_flow(const char *text, struct vxcap_flow *out)
{
	char proto[16], end[2][ENDPOINT_MAX], rest;
	uint32_t len[2];

	*out = (struct vxcap_flow){0};
	if (sscanf(text, "%15s %63s %63s %c", proto, end[0], end[1], &rest) != 3 ||
	    !parse_protocol(proto, &out->proto) || !parse_endpoint(end[0], &out->end[0], &len[0]) ||
	    !parse_endpoint(end[1], &out->end[1], &len[1]) || len[0] != len[1])
		return false;
	out->address_len = len[0];
	return flowid_has_ports(out->proto) || (!out->end[0].has_port && !out->end[1].has_port);
}

int vxcap_flows_add(struct vxcap_flows *flows, const char *text, struct err *err)
{
	struct vxcap_flow *const flow = &flows->flow[flows->n_flows];
	const int ret = begin(flows, flows->n_flows, err);
	struct flowid id;

	if (ret)
		return ret;
	if (!parse_flow(text, flow))
		return err_set(err, -EINVAL,
			       "--flow '%s' is no flow: write 'tcp 10.0.0.1:80 10.0.0.2:1234', "
			       "'sctp [2001:db8::1]:38412 2001:db8::2' or 'icmp 10.0.0.1 10.0.0.2'",
			       text);
	for (unsigned i = 0; i < 2; i++)
		flow->end[i].key = key_of(flows, flow->end[i].address, flow->address_len);
	const bool has_ports = flow->end[0].has_port && flow->end[1].has_port;
	flow->has_key = has_ports || (!flowid_has_ports(flow->proto) && !is_icmp(flow->proto));
	flowid_set(&id, flow->proto, flow->end[0].address, flow->end[1].address, flow->address_len,
		   has_ports, flow->end[0].port, flow->end[1].port);
	flow->key = key_of(flows, id.byte, id.len);
	flows->n_flows++;
	return 0;
}

/* Standard base64 of exactly 20 bytes: 27 characters and "=". */
static bool parse_base64(const char *text, uint8_t out[static FLOWID_SHA1])
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32_t bits = 0;
	unsigned n_bits = 0, n = 0;

	if (strlen(text) != 28 || text[27] != '=')
		return false;
	for (unsigned i = 0; i < 27; i++) {
		const char *digit = strchr(digits, text[i]);
		if (!digit)
			return false;
		bits = bits << 6 | (uint32_t)(digit - digits);
		n_bits += 6;
		if (n_bits < 8)
			continue;
		n_bits -= 8;
		out[n++] = (uint8_t)(bits >> n_bits);
	}
	return (bits & 3) == 0; /* the two bits left over */
}

int vxcap_flows_add_community(struct vxcap_flows *flows, const char *text, struct err *err)
{
	const int ret = begin(flows, flows->n_communities, err);

	if (ret)
		return ret;
	if (strncmp(text, "1:", 2) ||
	    !parse_base64(text + 2, flows->community[flows->n_communities]))
		return err_set(err, -EINVAL,
			       "--community-id %s is none of version 1: it is like "
			       "1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
			       text);
	flows->n_communities++;
	return 0;
}

int vxcap_flows_add_host(struct vxcap_flows *flows, const char *text, struct err *err)
{
	struct vxcap_host *const host = &flows->host[flows->n_hosts];
	const int ret = begin(flows, flows->n_hosts, err);

	if (ret)
		return ret;
	if (!parse_address(text, host->address, &host->len))
		return err_set(err, -EINVAL, "--host %s is no IPv4 or IPv6 address", text);
	host->key = key_of(flows, host->address, host->len);
	flows->n_hosts++;
	return 0;
}

/* ---- what an index says ---- */

static bool frame_may_have_flow(const struct vxcap_flow *flow, const struct unpack *unpack,
				unsigned i)
{
	return (!flow->has_key || unpack_may_have_flow(unpack, i, flow->key)) &&
	       unpack_may_have_address(unpack, i, flow->end[0].key) &&
	       unpack_may_have_address(unpack, i, flow->end[1].key);
}

bool vxcap_flows_frame(const struct vxcap_flows *flows, const struct unpack *unpack, unsigned i)
{
	bool flow = !flows->n_flows, community = !flows->n_communities, host = !flows->n_hosts;

	for (unsigned k = 0; k < flows->n_flows && !flow; k++)
		flow = frame_may_have_flow(&flows->flow[k], unpack, i);
	for (unsigned k = 0; k < flows->n_communities && !community; k++)
		community = unpack_may_have_flow(unpack, i, flowid_key(flows->community[k]));
	for (unsigned k = 0; k < flows->n_hosts && !host; k++)
		host = unpack_may_have_address(unpack, i, flows->host[k].key);
	return flow && community && host;
}

/* ---- what a packet says ---- */

/* Which kinds have found a value. */
struct found {
	bool flow, community, host;
};

static bool is_endpoint(const struct vxcap_endpoint *end, const uint8_t *address, uint32_t len,
			uint16_t port)
{
	return !memcmp(end->address, address, len) && (!end->has_port || end->port == port);
}

static bool is_flow(const struct vxcap_flow *flow, const struct flowid *id)
{
	const uint32_t len = flow->address_len;
	const uint8_t *const a = id->byte + 2, *const b = a + len, *const ports = b + len + 2;
	const bool has_ports = flowid_has_ports(flow->proto);

	if ((id->len > 16) != (len == 16) || b[len] != flow->proto)
		return false;
	const uint16_t port_a = has_ports ? (uint16_t)(ports[0] << 8 | ports[1]) : 0;
	const uint16_t port_b = has_ports ? (uint16_t)(ports[2] << 8 | ports[3]) : 0;
	for (unsigned i = 0; i < 2; i++)
		if (is_endpoint(&flow->end[i], a, len, port_a) &&
		    is_endpoint(&flow->end[1 - i], b, len, port_b))
			return true;
	return false;
}

static bool is_community(const struct vxcap_flows *flows, const struct flowid *id)
{
	uint8_t sha1[FLOWID_SHA1];

	if (!flows->n_communities || flowid_sha1(flows->hash, id->byte, id->len, sha1))
		return false;
	for (unsigned i = 0; i < flows->n_communities; i++)
		if (!memcmp(sha1, flows->community[i], FLOWID_SHA1))
			return true;
	return false;
}

static void look(const struct vxcap_flows *flows, const uint8_t *data, uint32_t len,
		 const struct dissected *d, struct found *found)
{
	const uint8_t *from, *to;
	struct flowid id;
	uint32_t address_len;

	if (!flowid_addresses(data, d, &from, &to, &address_len))
		return;
	for (unsigned i = 0; i < flows->n_hosts; i++)
		found->host |= flows->host[i].len == address_len &&
			       (!memcmp(flows->host[i].address, from, address_len) ||
				!memcmp(flows->host[i].address, to, address_len));
	if (!flowid_of(data, len, d, &id))
		return;
	for (unsigned i = 0; i < flows->n_flows; i++)
		found->flow |= is_flow(&flows->flow[i], &id);
	found->community |= is_community(flows, &id);
}

bool vxcap_flows_packet(const struct vxcap_flows *flows, const struct block_packet *packet)
{
	struct found found = {!flows->n_flows, !flows->n_communities, !flows->n_hosts};
	struct dissected outer, inner;

	if (found.flow && found.community && found.host)
		return true;
	dissect_frame(packet->data, packet->cap_len, packet->cap_len, &outer);
	look(flows, packet->data, packet->cap_len, &outer, &found);
	if (dissect_gtpu(packet->data, packet->cap_len, &outer, &inner))
		look(flows, packet->data, packet->cap_len, &inner, &found);
	return found.flow && found.community && found.host;
}
