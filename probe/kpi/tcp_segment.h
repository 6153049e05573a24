/*
 * tcp_segment: a TCP header and the options that KPIs need (RFC 9293, RFC 7323, RFC 2018).
 *
 * Worker. Pure; reads no byte that is not captured, so that a mirror may cut anywhere: options
 * beyond the cut are not there.
 */
#pragma once

#include "path/decap.h"
#include "path/dissect.h"

#include <stdbool.h>
#include <stdint.h>

#define TCP_FLAG_FIN 0x01
#define TCP_FLAG_SYN 0x02
#define TCP_FLAG_RST 0x04
#define TCP_FLAG_ACK 0x10

#define TCP_SACKS_MAX 4 /* as many as 40 bytes of options hold */

struct tcp_sack {
	uint32_t start, end;
};

struct tcp_segment {
	uint64_t time_ns;
	uint32_t seq, ack;
	uint32_t len;    /* bytes of data by the IP header, captured or not */
	uint32_t end;    /* sequence number behind SYN, data and FIN */
	uint32_t ip_len; /* bytes of the IP packet */
	uint16_t window; /* as it stands in the header */
	uint8_t flags, direction;
	bool is_fragment; /* the first one of its IP packet: len is not all of its data */
	uint8_t n_sacks;
	bool has_scale, has_timestamps;
	uint8_t scale; /* shift of the windows to come; of a SYN */
	uint32_t tsval, tsecr;
	struct tcp_sack sack[TCP_SACKS_MAX]; /* the first may be a D-SACK (RFC 2883) */
};

/* False: no whole fixed header, or none that can be one. */
bool tcp_segment_read(struct tcp_segment *out, const struct packet *packet,
		      const struct dissected *d);

/* Sequence numbers wrap (RFC 9293 section 3.4). */
static inline bool tcp_is_within(uint32_t number, uint32_t first, uint32_t last)
{
	return number - first <= last - first;
}

static inline bool tcp_is_behind(uint32_t number, uint32_t other)
{
	return (int32_t)(number - other) > 0;
}
