/*
 * duplicate: packets that a mirror delivered more than once, told from packets that were sent
 * twice.
 *
 * Two packets of a session are the same when all is equal that a sender changes from packet to
 * packet: addresses, protocol, IP length, IPv4 identification and fragment offset, transport header
 * with its options, and the first 16 bytes behind it, or where that is not TCP or SCTP the first
 * 128 of the frame; not TTL and IP checksum, which routers change. They must come within 5 ms
 * (kpis.md 1.1: earlier than any retransmission).
 *
 * Some packets are honestly sent twice: duplicate ACKs and GTP-U end markers. So copies are left
 * out only in a session that is doubled as a whole: of its latest packets, as far as it is known
 * whether they come again, more than a third do. In its first 5 ms a session is doubled as soon as
 * one packet comes again.
 *
 * Who votes: not end markers, not what is not IP (a gratuitous ARP is sent five times), not pure
 * ACKs without an IPv4 identification (0, or IPv6). A pure ACK that has one votes if it is another
 * than that of the latest one that came again: a sender may give all its ACKs the same (RFC 6864
 * section 4.1). What of them comes again before any vote counts as honest: of the copy of an IPv6
 * ACK in front of all else nobody could tell who sent it.
 *
 * One per worker, called by it alone. All memory is allocated at open.
 */
#pragma once

#include "base/err.h"
#include "path/decap.h"
#include "path/dissect.h"

#include <stddef.h>
#include <stdint.h>

#define DUPLICATE_WINDOW_NS 5000000u

/* Packets of 5 ms at 3 million a second. */
#define DUPLICATES_PACKETS 16384u

enum duplicate {
	DUPLICATE_NONE,
	DUPLICATE_HONEST, /* the same as an earlier one, in a session that is not doubled */
	DUPLICATE_COPY,   /* of the mirror's */
};

struct duplicates;

/* packets_max: so many of the latest are remembered, a power of two from 4. */
int duplicates_open(struct duplicates **out, uint32_t packets_max, uint32_t sessions_max,
		    const uint8_t key[16], struct err *err);
/* Takes NULL. */
void duplicates_close(struct duplicates *duplicates);
/* Bytes that duplicates_open allocates. */
size_t duplicates_memory(uint32_t packets_max, uint32_t sessions_max);

/* What is compared of a packet, as a keyed hash. session is below sessions_max.
 * Fetches what duplicates_judge reads: of a batch first all prints, then the judgements. */
uint64_t duplicates_print(const struct duplicates *d, uint32_t session, const struct packet *p,
			  const struct dissected *in);
/* print: of the same packet and session. */
enum duplicate duplicates_judge(struct duplicates *d, uint32_t session, uint64_t print,
				const struct packet *p, const struct dissected *in);
