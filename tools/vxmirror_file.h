/*
 * vxmirror_file: wrapped packets into a pcapng file.
 *
 * One thread.
 */
#pragma once

#include "base/err.h"
#include "vxmirror_delay.h"
#include "vxmirror_wrap.h"

#include <stdint.h>

struct mirror_file;

/* path is lent until the end; "-" is standard output. What is in its place is overwritten. */
int mirror_file_open(struct mirror_file **out, const char *path, struct err *err);
/* Takes NULL. The file may be incomplete on an error. */
int mirror_file_close(struct mirror_file *file, struct err *err);

/* Its epb_packetid is the packet's id. */
int mirror_file_put(struct mirror_file *file, const struct mirror *mirror,
		    const struct mirrored *mirrored, struct err *err);
