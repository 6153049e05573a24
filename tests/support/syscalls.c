#define _GNU_SOURCE /* syscall */
#include "syscalls.h"

#include <errno.h>
#include <stddef.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct syscalls syscalls;

int fdatasync(int fd)
{
	syscalls.n_fdatasync++;
	if (!syscalls.fdatasync_error)
		return (int)syscall(SYS_fdatasync, fd);
	errno = syscalls.fdatasync_error;
	return -1;
}

int fsync(int fd)
{
	struct stat st;
	const int is_folder = !fstat(fd, &st) && S_ISDIR(st.st_mode);
	const int error = is_folder ? syscalls.folder_error : syscalls.fsync_error;

	syscalls.n_folder += is_folder != 0;
	if (!error)
		return (int)syscall(SYS_fsync, fd);
	errno = error;
	return -1;
}

int flock(int fd, int operation)
{
	if (syscalls.before_flock)
		syscalls.before_flock();
	return (int)syscall(SYS_flock, fd, operation);
}
