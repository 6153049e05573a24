/*
 * capfile: the packets of one capture file, whichever its format.
 *
 *   pcap     every variant that libpcap reads (either byte order, micro- and nanoseconds, modified)
 *   pcapng   by block_read, because libpcap refuses interfaces that differ in snap or link type
 *
 * Called by one thread: a worker through capture_pcap, vxmirror. Blocks while the file does; reads
 * a pipe no further than the packet asked for.
 */
#pragma once

#include "base/err.h"

#include <stdint.h>

struct capfile;

struct capfile_packet {
	const uint8_t *data; /* cap_len bytes, lent until the next call */
	uint32_t cap_len;    /* pcap: at most 262,144; pcapng: below BLOCK_MAX */
	uint32_t wire_len;   /* as the file has it */
	uint16_t linktype;   /* pcap: as libpcap numbers it (DLT); 1 is Ethernet in both */
	uint64_t time_ns;    /* since 1970; 0: the file has none */
};

/* "-" is standard input. -errno of the file; -EBADMSG: neither pcap nor pcapng. */
int capfile_open(struct capfile **out, const char *path, struct err *err);
/* Takes NULL. */
void capfile_close(struct capfile *file);

/* Bytes read of the file so far. */
uint64_t capfile_offset(const struct capfile *file);

/* -ENODATA: the end. -EBADMSG: damage, which ends the file; err says which and after how many
 * packets. Another -errno: the file cannot be read on. Not to be called again after an error. */
int capfile_next(struct capfile *file, struct capfile_packet *out, struct err *err);
