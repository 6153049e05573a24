/*
 * vxcap_content: one stored file read from its first packet to its last.
 *
 * Every chunk's tag, every frame's checksum, the seek table, the index: what it says of each frame
 * against what is in the frame. One thread; memory for one frame.
 */
#pragma once

#include "base/err.h"
#include "vxcap_file.h"

#include <stdbool.h>
#include <stdint.h>

/* is_whole: its writer closed it, so nothing may lack. packets: that must be in it, -1: not known.
 * -EBADMSG with what is wrong; -errno: it cannot be read. */
int vxcap_content_check(const char *path, const struct vxcap_keys *keys, bool is_whole,
			int64_t packets, struct err *err);
