/*
 * syscalls: system calls that take the place of the C library's in tests of what a disk does, and
 * do what it does until told otherwise. The test resets nothing: each has a process of its own.
 */
#pragma once

struct syscalls {
	int fdatasync_error, fsync_error; /* errno of each call; 0: none */
	int folder_error;                 /* of fsync of a folder */
	unsigned n_fdatasync, n_folder;   /* calls; fsync of folders */
	void (*before_flock)(void);
};

extern struct syscalls syscalls;
