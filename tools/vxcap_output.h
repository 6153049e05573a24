/*
 * vxcap_output: one pcapng section, written in order. An interface is told apart by its name,
 * description, filter and link type, and written before its first packet, with the names of the
 * addresses inside its session. Of comments that differ the first stays.
 *
 * In a pcapng section names are not one session's but everybody's: so only those of interfaces with
 * packets are written, and each once.
 */
#pragma once

#include "base/err.h"
#include "path/block.h"

struct vxcap_interface {
	struct block_interface definition;
	uint32_t number;                       /* in the section; UINT32_MAX: not written yet */
	struct vxcap_name *names, **names_end; /* to be written, in the order they came */
};

struct vxcap_output;

/* Writes nothing yet. */
int vxcap_output_open(struct vxcap_output **out, struct err *err);
/* Takes NULL. What was not flushed is lost. */
void vxcap_output_close(struct vxcap_output *output);

/* The one interface that is equal to definition; valid until close. NULL: out of memory. */
struct vxcap_interface *vxcap_output_interface(struct vxcap_output *output,
					       const struct block_interface *definition);

/* Takes note of what an address inside the interface's session is called. */
int vxcap_output_name(struct vxcap_output *output, struct vxcap_interface *interface,
		      const struct block_name *name, struct err *err);

/* Creates path ("-": standard output) and begins the section. */
int vxcap_output_start(struct vxcap_output *output, const char *path, struct err *err);
/* -EPIPE: the reader has gone. After an error only close is allowed. A packet that had no id or
 * queue gets 0. */
int vxcap_output_packet(struct vxcap_output *output, struct vxcap_interface *interface,
			const struct block_packet *packet, struct err *err);
int vxcap_output_flush(struct vxcap_output *output, struct err *err);
/* Flushes and closes the file: only then are its bytes known to be taken. */
int vxcap_output_finish(struct vxcap_output *output, struct err *err);
