/*
 * vxcap_remote: files on another host, by SFTP: the ranges that are asked for, no others.
 *
 *   sftp://[USER@]HOST[:PORT]/PATH     one connection for each USER, HOST and PORT
 *
 * One thread. The host has to be who known_hosts says; we show keys of the agent, and key files
 * without passphrase. Nothing is ever asked. ssh_config(5) holds as far as libssh knows it. What
 * the host says of its files may be an attacker's: names and sizes are the caller's to check.
 */
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The connections. */
struct vxcap_remote;

/* ssh_config: read instead of the usual ones; NULL. Connects to nothing yet. */
int vxcap_remote_new(struct vxcap_remote **out, const char *ssh_config, struct err *err);
/* After its files. Takes NULL. */
void vxcap_remote_free(struct vxcap_remote *remote);
/* Bytes that the connections took and gave so far, with all that SSH adds. */
uint64_t vxcap_remote_moved(const struct vxcap_remote *remote);

/* Shows visit every name in a folder; it returns 0, or what ends the listing. -ENOTDIR: no folder.
 * Else why the host cannot be asked. */
typedef int (*vxcap_remote_visit_fn)(void *arg, const char *name, uint64_t size);
int vxcap_remote_list(struct vxcap_remote *remote, const char *url, vxcap_remote_visit_fn visit,
		      void *arg, struct err *err);

struct vxcap_remote_file;

/* Of a regular file; size is that of now. -ENOENT; -EINVAL: it is none; else why not. */
int vxcap_remote_open(struct vxcap_remote_file **out, struct vxcap_remote *remote, const char *url,
		      uint64_t *size, struct err *err);
/* Takes NULL. */
void vxcap_remote_close(struct vxcap_remote_file *file);
/* This range is about to be read, in order: it is asked for at once, as far as VXCAP_REMOTE_AHEAD
 * goes, unless it was. Nothing outside of it is. */
#define VXCAP_REMOTE_AHEAD (4u << 20)
void vxcap_remote_expect(struct vxcap_remote_file *file, uint64_t offset, size_t len);
/* Short only at the end of the file; -ECONNRESET: the way to the host failed; -EIO: the host did.
 */
ssize_t vxcap_remote_read(struct vxcap_remote_file *file, uint64_t offset, void *buf, size_t len);
