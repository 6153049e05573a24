/*
 * vxcap_find: the files that a command line means, of this host or another: by their names alone.
 *
 * One thread. Names in a folder may be an attacker's.
 */
#pragma once

#include "base/err.h"
#include "vxcap_file.h"

#include <stdbool.h>
#include <stddef.h>

struct vxcap_files {
	struct vxcap_file *file; /* owned */
	size_t n, cap;
	/* set before vxcap_files_find */
	bool may_be_remote;
	const char *ssh_config;      /* path, borrowed; NULL: the usual ones */
	struct vxcap_remote *remote; /* owned; NULL: all are here */
};

/* Options of commands that take URLs. */
#define VXCAP_REMOTE_LONG                                                                          \
	{                                                                                          \
		"ssh-config", required_argument, NULL, VXCAP_OPTION_SSH_CONFIG                     \
	}
enum { VXCAP_OPTION_SSH_CONFIG = 1001 };
/* As vxcap_keys_option; such a command also calls this. */
int vxcap_remote_option(struct vxcap_files *files, int option, const char *value);

/* The files that the command line names: files as they are, of folders the stored files by name. */
int vxcap_files_find(struct vxcap_files *files, char **paths, int n, struct err *err);
void vxcap_files_fini(struct vxcap_files *files);
/* Leaves out those that is_recovered, and says so: their packets are in another file of the folder,
 * if that is what its name says. */
void vxcap_files_leave_recovered(struct vxcap_files *files);

/* An open file that is there no more: takes the path that it has in its folder now that it is
 * sealed. -EEXIST: that is among files already, so this one may be left out; -ENOENT: there is
 * none.
 */
int vxcap_files_follow(struct vxcap_files *files, struct vxcap_file *file);

/* NAME_000007_20261121T230254Z of .NAME_000007_20261121T230254Z.part and of its trunc file: the
 * length, 0 for any other name. *stem points into name. */
size_t vxcap_file_stem(const char *name, const char **stem);
/* X of X.pcapng.zst and X.pcapng.zst.age: the length, 0 for any other name. */
size_t vxcap_file_base(const char *name);
/* The name is that of the whole file that recover makes of the one with this stem. */
bool vxcap_file_is_whole_of(const char *name, const char *stem, size_t len);
