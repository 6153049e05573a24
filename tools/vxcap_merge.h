/*
 * vxcap_merge: the wanted packets of many files in one order: by time, then by sequence number (low
 * 48 bits of the packet id), then by file, then by position in the file.
 *
 *   waiting frames, by first_ns        frames in memory: a heap, by their next packet
 *   | ... | ... | ... |   --load-->    [ p p p ]  [ p p ]   --the least--> output
 *
 * The least packet goes out once no waiting frame begins at or before it: exact, however the
 * packets lie inside the frames. In memory are the frames that overlap in time, no others: of each
 * its bytes and 48 for each wanted packet; of at most VXCAP_MERGE_OPEN files, and of all that have
 * no index at their end, also 200 KiB and the index; 32 bytes for each frame that waits.
 */
#pragma once

#include "base/err.h"
#include "vxcap_file.h"
#include "vxcap_filter.h"
#include "vxcap_output.h"

/* Files that are open at a time. Those beyond are opened for each frame anew. */
#define VXCAP_MERGE_OPEN 256
/* Of them, that stay open from their index to their first frame; of other hosts and with a command
 * that has the key all do: to open one twice takes memory here, there the network or an HSM. */
#define VXCAP_MERGE_KEPT 16

/* Most bytes of frames in memory: files in which more overlaps in time are not ours, or thousands.
 */
#define VXCAP_MERGE_LEN (UINT64_C(4) << 30)

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
/* What a run took of what there is. */
struct vxcap_merge_counts {
	uint64_t files, frames; /* that were opened; of these, with and without wanted packets */
	uint64_t frames_wanted; /* that could not be ruled out */
	uint64_t peak_len;      /* most bytes of frames in memory at a time */
};
struct vxcap_merge_counts vxcap_merge_counts(const struct vxcap_merge *merge);
/* Writes everything; of a file of a folder that is deleted meanwhile, what was read, and says so.
 * *n: packets written. */
int vxcap_merge_run(struct vxcap_merge *merge, uint64_t *n, struct err *err);
