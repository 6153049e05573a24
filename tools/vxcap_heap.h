/*
 * vxcap_heap: frames in memory, the one with the least next packet first.
 *
 * Packets are ordered by time, then by sequence number (low 48 bits of the packet id), then by
 * file, then by position in the file. One thread.
 */
#pragma once

#include "path/block.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vxcap_place {
	unsigned file, frame; /* numbers, in their order */
};

/* A frame: its wanted packets, of which those before next are gone. */
struct vxcap_loaded {
	struct vxcap_place place;
	uint8_t *raw;                /* owned: what the packets point into */
	uint32_t len;                /* of raw */
	struct block_packet *packet; /* owned */
	size_t n, cap, next;
};

/* Takes NULL. */
void vxcap_loaded_free(struct vxcap_loaded *loaded);
/* Brings its packets into order. */
void vxcap_loaded_sort(struct vxcap_loaded *loaded);

int vxcap_place_compare(const struct vxcap_place *a, const struct vxcap_place *b);

/* Zero is empty. */
struct vxcap_heap {
	struct vxcap_loaded **loaded; /* owned */
	size_t n, cap;
};

/* Frees what is in it. */
void vxcap_heap_fini(struct vxcap_heap *heap);
/* Takes a frame that has a packet. -ENOMEM leaves it the caller's. */
int vxcap_heap_push(struct vxcap_heap *heap, struct vxcap_loaded *loaded);
/* Of a heap that is not empty, lent: who moves its next on calls settle. */
struct vxcap_loaded *vxcap_heap_least(const struct vxcap_heap *heap);
/* Frees the least where no packet is left of it, and finds the new one. */
void vxcap_heap_settle(struct vxcap_heap *heap);
