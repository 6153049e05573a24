/*
 * vxcap_match: of a file that is not as the probe left it: is it what rewrap or recover made?
 *
 * vxcap's one thread. Both files may be an attacker's. Only a key tells: without one a header that
 * was rewrapped is like one that was destroyed, and any packets may be sealed under any name.
 */
#pragma once

#include "path/chain.h"
#include "vxcap_file.h"

/* The file had so many bytes and this hash before recipients were added to its header. Bytes are
 * read past did (of chain_hash_fd). -ENOENT: it had not; else it cannot be told. */
int vxcap_match_rewrapped(const char *path, const struct vxcap_keys *keys, uint64_t bytes,
			  const uint8_t sha256[static CHAIN_HASH],
			  bool (*did)(void *arg, uint64_t more), struct err *err);
/* whole has the blocks that can be read of the unfinished file, those and no others. -ENOENT: it
 * has not; else it cannot be told. */
int vxcap_match_recovered(const char *whole, const char *unfinished, const struct vxcap_keys *keys,
			  struct err *err);
