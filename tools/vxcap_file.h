/*
 * vxcap_file: one stored file, found, recognised by its content, opened.
 *
 *   path -> is it sealed? -> unseal (identities) -> unpack: frames and interfaces
 *
 * Paths are of this host, or URLs where the command says so (vxcap_remote.h): keys stay here.
 */
#pragma once

#include "base/err.h"
#include "path/seal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VXCAP_IDENTITIES_MAX 64

/* What opens sealed files. Zero, then filled by vxcap_keys_option. */
struct vxcap_keys {
	struct seal_identity identity[VXCAP_IDENTITIES_MAX];
	const char *origin[VXCAP_IDENTITIES_MAX]; /* path that each was read from; borrowed */
	unsigned n;
	const char *unwrap; /* command, borrowed; NULL: none */
};

/* Options of every command that opens sealed files, for getopt_long. */
#define VXCAP_KEYS_SHORT "i:"
#define VXCAP_KEYS_LONG                                                                            \
	{"identity", required_argument, NULL, 'i'},                                                \
	{                                                                                          \
		"unwrap", required_argument, NULL, VXCAP_OPTION_UNWRAP                             \
	}
enum { VXCAP_OPTION_UNWRAP = 1000 };

/* Takes -i and --unwrap; value is borrowed. 0; -ENOENT: another option; else err says why. */
int vxcap_keys_option(struct vxcap_keys *keys, int option, const char *value, struct err *err);
/* Adds the identities of a file that age-keygen made; path is borrowed. From then on this process
 * leaves no core dump and cannot be traced, and keys is not swapped while the limits allow. */
int vxcap_keys_read(struct vxcap_keys *keys, const char *path, struct err *err);
/* Borrowed by what unseal_open is given. */
struct unseal_keys vxcap_keys_unseal(const struct vxcap_keys *keys);
/* True: nothing can open a sealed file. */
bool vxcap_keys_are_none(const struct vxcap_keys *keys);
void vxcap_keys_wipe(struct vxcap_keys *keys);

struct vxcap_file {
	char *path; /* owned */
	/* set before vxcap_file_open: an altered chunk ends the file, as if it were cut there */
	bool ends_at_damage;
	/* set before: of an open file, the index beside it is used, which need not be all there */
	bool uses_part_index;
	bool is_of_folder;           /* set before: it was found in a folder, not named */
	struct vxcap_remote *remote; /* where it is, by its path; borrowed; NULL: here */
	/* after vxcap_file_look; of another host's also when found in a folder */
	uint64_t size;
	bool is_sealed;
	bool is_part;      /* by its name: being written, or left by a crash */
	bool is_recovered; /* found in a folder, unfinished or altered, beside the file made of it
			    */
	bool is_trunc; /* by its name, or after vxcap_file_open by its content: ends too early */
	int recipients;
	/* after vxcap_file_open */
	const struct vxcap_keys *keys;
	int fd;                        /* -1: not open, or of another host */
	struct vxcap_remote_file *far; /* NULL: the same, but here */
	uint8_t *head;                 /* its first bytes, read once */
	size_t head_len;
	bool is_index_altered; /* the index beside it: some or all of it was of no use */
	struct unseal *unseal; /* NULL: not sealed */
	struct unpack *unpack; /* NULL: not open, or an empty file */
	uint64_t altered_at;   /* least offset of the content that could not be read so far */
};

/* The sealed bytes of a file that is open, of the size that was looked up, also when it has grown
 * since. Valid while the file is open. */
struct unseal_source vxcap_file_source(struct vxcap_file *file);
/* What can be told without a key. -EBADMSG: no stored capture. */
int vxcap_file_look(struct vxcap_file *file, struct err *err);
/* The same, and keeps the file open. */
int vxcap_file_hold(struct vxcap_file *file, struct err *err);
/* Looks, unless it is held, and makes file->unpack usable; keys (borrowed) may be empty. -ENOENT:
 * it is not there. */
int vxcap_file_open(struct vxcap_file *file, const struct vxcap_keys *keys, struct err *err);
/* vxcap_file_open gave ret: the file is whole as far as can be told, but no key opens it. Then one
 * of a folder is left out and counted: others of it are for other readers. */
bool vxcap_file_is_for_others(const struct vxcap_file *file, const struct vxcap_keys *keys,
			      int ret);
/* Decompresses frame i into out, as unpack_read. err names the file. */
int vxcap_file_read_frame(struct vxcap_file *file, unsigned i, uint8_t *out, struct err *err);
/* Frees what open took; the file can be opened again. */
void vxcap_file_close(struct vxcap_file *file);
