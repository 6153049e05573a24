/*
 * stored: what the probe stored, read back with stock tools (age -d, zstd -dc) and the block
 * reader.
 *
 * Files of a folder in the order of their names, which is that of their sequence numbers. A file
 * may be cut: what its whole blocks say counts.
 */
#pragma once

#include "path/block.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The identity that opens what is sealed to STORED_RECIPIENT. */
#define STORED_RECIPIENT "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"

#define STORED_INTERFACES_MAX 16
#define STORED_NAMES_MAX      2048

struct stored_name {
	struct block_name name;
	unsigned interfaces_before; /* interface blocks in front of it */
};

struct stored {
	char name[256];
	uint8_t *bytes; /* pcapng */
	size_t len;
	size_t file_len; /* on disk */
	bool is_whole;   /* the tools had nothing to complain of, and the last block is complete */
	struct block_packet *packets;
	unsigned n;
	struct block_interface interfaces[STORED_INTERFACES_MAX];
	unsigned n_interfaces;
	struct block_statistics statistics[STORED_INTERFACES_MAX];
	unsigned n_statistics;
	struct stored_name *names; /* at most STORED_NAMES_MAX */
	unsigned n_names;
};

/* Reads the files of dir, hidden ones too, into up to max places, which are zero or of an earlier
 * read, whose memory is freed. Returns their number; aborts when the folder cannot be read. */
unsigned stored_read(struct stored *out, unsigned max, const char *dir);
/* Packets of all of them. */
unsigned stored_count(const struct stored *files, unsigned n);
