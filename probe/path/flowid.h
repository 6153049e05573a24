/*
 * flowid: what Community ID v1 hashes of a packet (seed 0): protocol and endpoints, the lower one
 * first. The index of a stored file names flows and addresses by the first 8 bytes of a SHA-1, so
 * that who has nothing but a Community ID finds its packets.
 *
 *   | 0 0 | address a | address b | protocol | 0 | port a | port b |     the ports may be absent
 *
 * Any thread; flowid_hash has state, one per thread. Takes any bytes, reads none beyond len.
 */
#pragma once

#include "base/err.h"
#include "path/dissect.h"

#include <stdbool.h>
#include <stdint.h>

#define FLOWID_MAX  40
#define FLOWID_SHA1 20

/* The bytes behind len are zero, up to the next multiple of 8. */
struct flowid {
	uint32_t len;
	uint8_t byte[FLOWID_MAX];
};

/*
 * Of a frame that dissect_frame or dissect_gtpu has seen. False: not IP, a later fragment, or the
 * ports are not there. ICMP and ICMPv6 have their type and its counterpart as ports (echo request
 * and reply: one flow); a type without counterpart has its code as second port, and its endpoints
 * stay as they are.
 */
bool flowid_of(const uint8_t *data, uint32_t len, const struct dissected *d, struct flowid *out);

/* Both endpoints of an IP packet: *len is 4 or 16, *to lies behind *from. False: not IP. */
bool flowid_addresses(const uint8_t *data, const struct dissected *d, const uint8_t **from,
		      const uint8_t **to, uint32_t *len);

/* From parts, in either order; addresses of len 4 or 16. */
void flowid_set(struct flowid *out, uint8_t proto, const uint8_t *a, const uint8_t *b, uint32_t len,
		bool has_ports, uint16_t port_a, uint16_t port_b);

struct flowid_hash;

/* -EIO: OpenSSL has no SHA-1. */
int flowid_hash_open(struct flowid_hash **out, struct err *err);
/* Takes NULL. */
void flowid_hash_close(struct flowid_hash *hash);
/* SHA-1. The Community ID is "1:" and the base64 of it. */
int flowid_sha1(struct flowid_hash *hash, const uint8_t *bytes, uint32_t len,
		uint8_t out[static FLOWID_SHA1]);
/* What an index calls a SHA-1: its first 8 bytes, little endian. */
uint64_t flowid_key(const uint8_t sha1[static FLOWID_SHA1]);

/* TCP, UDP and SCTP. */
static inline bool flowid_has_ports(uint8_t proto)
{
	return proto == 6 || proto == 17 || proto == 132;
}
