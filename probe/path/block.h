/*
 * block: pcapng blocks, written (draft-ietf-opsawg-pcapng); block_read.h reads them.
 *
 * Pure functions over the caller's memory; any thread. Blocks are written little endian, with
 * nanosecond times and LINKTYPE_ETHERNET.
 */
#pragma once

#include "abi.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Snap length of every interface block. libpcap refuses files whose interfaces differ in it. */
#define BLOCK_SNAPLEN           262144
#define BLOCK_LINKTYPE_ETHERNET 1
/* Largest block that is read: libpcap's own limit. A longer one is damage. */
#define BLOCK_MAX (16u << 20)

enum {
	BLOCK_TYPE_SECTION = 0x0a0d0d0a,
	BLOCK_TYPE_INTERFACE = 1,
	BLOCK_TYPE_OBSOLETE_PACKET = 2,
	BLOCK_TYPE_SIMPLE_PACKET = 3,
	BLOCK_TYPE_NAMES = 4,
	BLOCK_TYPE_STATISTICS = 5,
	BLOCK_TYPE_ENHANCED_PACKET = 6,
};

/* Option codes are counted anew in each type of block; end and comment are common to all. */
enum {
	BLOCK_OPT_END = 0,
	BLOCK_OPT_COMMENT = 1,
	BLOCK_SHB_USERAPPL = 4,
	BLOCK_IF_NAME = 2,
	BLOCK_IF_DESCRIPTION = 3,
	BLOCK_IF_TSRESOL = 9,
	BLOCK_IF_FILTER = 11,
	BLOCK_IF_TSOFFSET = 14,
	BLOCK_EPB_FLAGS = 2,
	BLOCK_EPB_DROPCOUNT = 4,
	BLOCK_EPB_PACKETID = 5,
	BLOCK_EPB_QUEUE = 6,
	BLOCK_ISB_STARTTIME = 2,
	BLOCK_ISB_ENDTIME = 3,
	BLOCK_ISB_IFRECV = 4,
	BLOCK_ISB_IFDROP = 5,
	BLOCK_ISB_OSDROP = 7,
	BLOCK_ISB_USRDELIV = 8,
};

/* Records of a names block (section 4.5). */
enum { BLOCK_RECORD_END = 0, BLOCK_RECORD_IPV4 = 1, BLOCK_RECORD_IPV6 = 2 };

/*
 * A packet block as this probe writes it (EPB, section 4.3), so that its ends can be reached
 * without parsing:
 *
 *   | 0 type 6 | 4 total length | 8 interface | 12 time high | 16 time low | 20 captured |
 *   | 24 original | 28 packet bytes, padded to 4 |
 *   | tail: epb_flags (8 bytes) | epb_dropcount (12) | epb_packetid (12) | epb_queue (8) |
 *   | opt_endofopt (4) | total length (4) |
 */
#define BLOCK_PACKET_HEAD 28
#define BLOCK_PACKET_TAIL 48

/* epb_flags: seen from the interface. Neither: not known. */
#define BLOCK_INBOUND  1u
#define BLOCK_OUTBOUND 2u

struct block_packet {
	uint64_t time_ns;   /* since 1970; read: 0 when the block has none, at most INT64_MAX */
	uint32_t interface; /* number of the interface block in its section, from 0 */
	uint32_t cap_len, wire_len;
	const uint8_t *data; /* cap_len bytes */
	uint64_t id;         /* epb_packetid; read: UINT64_MAX when there is none */
	uint32_t queue;      /* epb_queue; read: UINT32_MAX when there is none */
	uint32_t flags;      /* epb_flags */
	uint64_t drops;      /* epb_dropcount: of its interface, since the packet before */
};

/* Size of the whole block for cap_len bytes. */
static inline size_t block_packet_len(uint32_t cap_len)
{
	return BLOCK_PACKET_HEAD + ((cap_len + 3u) & ~3u) + BLOCK_PACKET_TAIL;
}

/* Writes head and tail around cap_len bytes (p->data is not read: the caller copies them to
 * out + BLOCK_PACKET_HEAD) and zeroes the padding. Returns the block's length. */
size_t block_packet_frame(uint8_t *out, const struct block_packet *p);

/* The fields of a block that block_packet_frame wrote, read and changed in place. */
uint32_t block_packet_total(const uint8_t *block);
uint64_t block_packet_time(const uint8_t *block);
uint32_t block_packet_interface(const uint8_t *block);
uint32_t block_packet_captured(const uint8_t *block);
/* Of any block of ours. */
bool block_is_packet(const uint8_t *block);
uint64_t block_packet_id(const uint8_t *block);
uint64_t block_packet_drops(const uint8_t *block);
void block_packet_set_drops(uint8_t *block, uint64_t drops);
void block_packet_set(uint8_t *block, uint32_t interface, uint64_t time_ns);

struct block_interface {
	uint16_t linktype;
	uint32_t snaplen;
	char name[64];         /* if_name */
	char description[512]; /* if_description */
	char filter[256];      /* if_filter, an expression of pcap-filter(7) */
	char comment[160];     /* opt_comment */
};

struct block_statistics {
	uint32_t interface;
	uint64_t time_ns, start_ns, end_ns;
	/* isb_ifrecv, isb_ifdrop, isb_osdrop, isb_usrdeliv */
	uint64_t received, dropped, os_dropped, delivered;
	char comment[128]; /* written, not read */
};

/* Longest statistics block: 40 bytes are lengths, types and the like. */
#define BLOCK_STATISTICS_MAX (sizeof(struct block_statistics) + 40)

/* What an address is called; ::ffff:a.b.c.d is IPv4. */
struct block_name {
	struct address address;
	const char *name; /* at most BLOCK_NAME_MAX bytes and NUL; read: of any length */
};

#define BLOCK_NAME_MAX 255

/* Each returns the block's length, or 0 when it does not fit into cap bytes. Texts may be NULL or
 * empty: then the option is left out. */
size_t block_section(uint8_t *out, size_t cap, const char *application, const char *comment);
size_t block_interface(uint8_t *out, size_t cap, const struct block_interface *i);
size_t block_statistics(uint8_t *out, size_t cap, const struct block_statistics *s);
/* A name resolution block: readers use its names for the whole section. */
size_t block_names(uint8_t *out, size_t cap, const struct block_name *names, unsigned n);
