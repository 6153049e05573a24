/*
 * packet: builds packets for tests from the inside out, so that every header knows its length.
 *
 *   struct build b = build_payload(100);
 *   build_udp(&b, 1000, 53);
 *   build_ipv4(&b, 17, "10.0.0.1", "10.0.0.2");
 *   build_ethernet(&b, 0x0800);                    build_data(&b), b.len
 *
 * Checksums are 0. A test may change any byte afterwards.
 */
#pragma once

#include <stdint.h>

#define BUILD_ROOM 16384u

struct build {
	uint32_t len;
	uint8_t room[BUILD_ROOM]; /* the packet is the last len bytes */
};

/* len bytes 0, 1, 2 ... */
struct build build_payload(uint32_t len);
uint8_t *build_data(struct build *b);

/* Puts len zero bytes in front and returns them. */
uint8_t *build_front(struct build *b, uint32_t len);

void build_vxlan(struct build *b, uint32_t vni);
void build_gtpu(struct build *b, uint32_t teid);
void build_udp(struct build *b, uint16_t from, uint16_t to);
void build_tcp(struct build *b, uint16_t from, uint16_t to);
/* Fills in the TCP header that is in front. */
void build_tcp_numbers(struct build *b, uint8_t flags, uint32_t seq, uint32_t ack);
void build_sctp(struct build *b, uint16_t from, uint16_t to);
/* Type, code 0 and the four bytes behind the checksum: echo's identifier and sequence number. */
void build_icmp(struct build *b, uint8_t type, uint16_t id);

void build_ipv4(struct build *b, uint8_t proto, const char *from, const char *to);
/* The same with 0 to 40 bytes of options, a multiple of 4. */
void build_ipv4_options(struct build *b, uint8_t proto, const char *from, const char *to,
			uint32_t options_len);
void build_ipv6(struct build *b, uint8_t next, const char *from, const char *to);
/* An extension header of len bytes, a multiple of 8. */
void build_extension(struct build *b, uint8_t next, uint32_t len);
/* offset in bytes, a multiple of 8. */
void build_ipv6_fragment(struct build *b, uint8_t next, uint16_t offset, int more);

/* type: of what comes behind the tag. */
void build_vlan(struct build *b, uint16_t type);
void build_ethernet(struct build *b, uint16_t type);

/* ---- packets of others ---- */

/* A copy whose end is the end of readable memory; good until the next call. len <= BUILD_ROOM. */
const uint8_t *packet_guard(const uint8_t *data, uint32_t len);

typedef void (*packet_fn)(const uint8_t *data, uint32_t len, void *arg);

/* Gives fn the first n Ethernet frames of every capture in $VXPROBE_CAPTURES that are not longer
 * than BUILD_ROOM. Returns their number: 0 when there are no captures. */
unsigned packet_each(unsigned n, packet_fn fn, void *arg);
