/*
 * vxcap_whole: a file that is there whole or not at all: written under a hidden name in its folder,
 * synced, renamed, the folder synced.
 *
 * A command's thread has one. What a crash leaves is a .vxcap-XXXXXX, which nothing reads.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vxcap_whole;

/* Begins the file that is to be path (borrowed), as readable and as old as the file like_fd (mode,
 * times, and owner where that is allowed). */
int vxcap_whole_open(struct vxcap_whole **out, const char *path, int like_fd, struct err *err);
int vxcap_whole_write(struct vxcap_whole *whole, const uint8_t *data, size_t len, struct err *err);
/* Appends what fd has from offset on, len bytes, by the kernel where it can: a file system that
 * shares blocks may share these. */
int vxcap_whole_copy(struct vxcap_whole *whole, int fd, uint64_t offset, uint64_t len,
		     struct err *err);
/* Gives it its name, over the file there if it replaces one. -EEXIST: there is one. */
int vxcap_whole_commit(struct vxcap_whole *whole, bool replaces, struct err *err);
/* Removes what was not committed. Takes NULL. */
void vxcap_whole_close(struct vxcap_whole *whole);
