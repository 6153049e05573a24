/*
 * block_read: pcapng blocks, read: in either byte order, with any resolution, any number of
 * sections and any mix of snap lengths and link types.
 *
 * The caller has the bytes, a reader what later blocks of a section refer to; one thread has each.
 */
#pragma once

#include "base/err.h"
#include "path/block.h"

#include <stdbool.h>

enum block_kind {
	BLOCK_SECTION,
	BLOCK_INTERFACE,
	BLOCK_PACKET, /* enhanced, simple and the obsolete packet block alike */
	BLOCK_STATISTICS,
	BLOCK_NAMES,
	BLOCK_OTHER,
};

/* Where block_names_next is in a names block. */
struct block_names {
	const uint8_t *p, *end;      /* records to come */
	const char *text, *text_end; /* names to come of the current one, each with its NUL */
	struct address address;
};

struct block {
	enum block_kind kind;
	struct block_packet packet;         /* BLOCK_PACKET; data points into the bytes read */
	struct block_interface interface;   /* BLOCK_INTERFACE; longer texts are cut */
	struct block_statistics statistics; /* BLOCK_STATISTICS */
	struct block_names names;           /* BLOCK_NAMES: for block_names_next */
};

/* What later blocks of a section refer to: its byte order and its interfaces, at most
 * BLOCK_INTERFACES_MAX. */
struct block_reader;

#define BLOCK_INTERFACES_MAX (1u << 20)

int block_reader_open(struct block_reader **out, struct err *err);
/* Takes NULL. */
void block_reader_close(struct block_reader *reader);

/* Parses the block at p. On success *used is its length. -EAGAIN: len bytes are too few, *used says
 * how many are needed (never more than BLOCK_MAX); -EBADMSG: damage, and err says which; -ENOMEM.
 * Reading must begin with a section. After an error *out is undefined, and the block is as if it
 * had not been read. */
int block_read(struct block_reader *reader, const uint8_t *p, size_t len, struct block *out,
	       size_t *used, struct err *err);

/* The next name of a block that reader has read last, lent as its bytes are; false: no more. Other
 * records than of IPv4 and IPv6 addresses are passed over. */
bool block_names_next(const struct block_reader *reader, struct block_names *names,
		      struct block_name *out);

/* Link type of an interface of the current section; packet blocks name only their number. */
uint16_t block_reader_linktype(const struct block_reader *reader, uint32_t interface);
