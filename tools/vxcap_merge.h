/*
 * vxcap_merge: the wanted packets of many files in one order: by time, then by sequence number (low
 * 48 bits of the packet id), then by file, then by position in the file.
 *
 *   waiting frames, by first_ns        frames in memory: a heap, by their next packet
 *   | ... | ... | ... |   --load-->    [ p p p ]  [ p p ]   --the least--> output
 *
 * The least packet goes out once no waiting frame begins at or before it: exact, however the
 * packets lie inside the frames. In memory are the frames that overlap in time, no others.
 */
#pragma once

#include "base/err.h"
#include "vxcap_file.h"
#include "vxcap_filter.h"
#include "vxcap_output.h"

struct vxcap_merge;

int vxcap_merge_open(struct vxcap_merge **out, const struct vxcap_filter *filter,
		     struct vxcap_output *output, struct err *err);
/* Takes NULL. */
void vxcap_merge_close(struct vxcap_merge *merge);

/* Takes note of the wanted frames of an open file, which it may close and open again. The file must
 * stay where it is until close. Files come in their order. */
int vxcap_merge_add(struct vxcap_merge *merge, struct vxcap_file *file, struct err *err);
/* Bytes of the files that are to be read. */
uint64_t vxcap_merge_size(const struct vxcap_merge *merge);
/* Writes everything. *n: packets written. */
int vxcap_merge_run(struct vxcap_merge *merge, uint64_t *n, struct err *err);
