/*
 * vxcap_file: one stored file, found, recognised by its content, opened.
 *
 *   path -> is it sealed? -> unseal (identities) -> unpack: frames and interfaces
 */
#pragma once

#include "base/err.h"
#include "path/seal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VXCAP_IDENTITIES_MAX 64

struct vxcap_keys {
	struct seal_identity identity[VXCAP_IDENTITIES_MAX];
	unsigned n;
};

/* Adds the identities of a file that age-keygen made. */
int vxcap_keys_read(struct vxcap_keys *keys, const char *path, struct err *err);

struct vxcap_file {
	char *path; /* owned */
	/* after vxcap_file_look */
	uint64_t size, dev, inode;
	bool is_sealed;
	bool is_part;  /* by its name: being written, or left by a crash */
	bool is_trunc; /* by its name, or after vxcap_file_open by its content: ends too early */
	int recipients;
	/* after vxcap_file_open */
	const struct vxcap_keys *keys;
	int fd;
	struct unseal *unseal; /* NULL: not sealed */
	struct unpack *unpack; /* NULL: not open, or an empty file */
};

struct vxcap_files {
	struct vxcap_file *file; /* owned */
	size_t n, cap;
};

/* The files that the command line names: files as they are, of folders the stored files by name. */
int vxcap_files_find(struct vxcap_files *files, char **paths, int n, struct err *err);
void vxcap_files_fini(struct vxcap_files *files);

/* What can be told without a key. -EBADMSG: no stored capture. */
int vxcap_file_look(struct vxcap_file *file, struct err *err);
/* Looks, and makes file->unpack usable; keys (borrowed) may be empty. */
int vxcap_file_open(struct vxcap_file *file, const struct vxcap_keys *keys, struct err *err);
/* Frees what open took; the file can be opened again. */
void vxcap_file_close(struct vxcap_file *file);
