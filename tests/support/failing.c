/*
 * failing.so: makes one system call of a process fail, as a disk would. LD_PRELOAD it.
 *
 *   FAIL_DIR    calls about this folder and what is in it are counted, no others
 *   FAIL_AT     the one that fails, from 1; 0: none
 *   FAIL_HOW    EIO, ENOSPC, EINTR; short: a write writes half, anything else works; KILL: ends it
 *   FAIL_COUNT  file for the names of all calls so far, one per line
 *
 * Calls: open (for writing or of the folder), write, pwrite, fsync, fdatasync, rename, unlink,
 * fallocate, ftruncate.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static unsigned long calls;

static bool is_inside(const char *path)
{
	const char *dir = getenv("FAIL_DIR");

	return dir && !strncmp(path, dir, strlen(dir));
}

static bool is_about_fd(int fd)
{
	char link[64], path[PATH_MAX];

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	const ssize_t n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return false;
	path[n] = 0;
	return is_inside(path);
}

static bool is_about(int dir, const char *path)
{
	return *path == '/' ? is_inside(path) : dir != AT_FDCWD && is_about_fd(dir);
}

/* What a call is to do: 0 its work, -1 fail with errno set, 1 only half. */
static int judge(const char *name, bool is_about_it)
{
	static const struct {
		const char *name;
		int error;
	} errors[] = {{"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EINTR", EINTR}};
	const char *at = getenv("FAIL_AT"), *how = getenv("FAIL_HOW"),
		   *count = getenv("FAIL_COUNT");
	char line[64];

	if (!is_about_it)
		return 0;
	(void)pthread_mutex_lock(&mutex);
	const unsigned long call = ++calls;
	(void)pthread_mutex_unlock(&mutex);
	if (count) {
		const int fd = (int)syscall(SYS_openat, AT_FDCWD, count,
					    O_WRONLY | O_CREAT | O_APPEND, 0600);
		const int len = snprintf(line, sizeof(line), "%s\n", name);
		(void)!syscall(SYS_write, fd, line, (size_t)len);
		(void)syscall(SYS_close, fd);
	}
	if (!at || !how || strtoul(at, NULL, 10) != call)
		return 0;
	if (!strcmp(how, "KILL"))
		(void)raise(SIGKILL);
	for (unsigned i = 0; i < 3; i++)
		if (!strcmp(how, errors[i].name)) {
			errno = errors[i].error;
			return -1;
		}
	return 1;
}

/* ---- the calls ---- */

int openat(int dir, const char *path, int flags, ...)
{
	va_list args;

	va_start(args, flags);
	const mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
	va_end(args);
	return judge("openat", is_about(dir, path)) < 0
		       ? -1
		       : (int)syscall(SYS_openat, dir, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
	va_list args;

	va_start(args, flags);
	const mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
	va_end(args);
	return judge("open", is_about(AT_FDCWD, path)) < 0
		       ? -1
		       : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

ssize_t write(int fd, const void *data, size_t len)
{
	const int verdict = judge("write", is_about_fd(fd));

	return verdict < 0 ? -1 : syscall(SYS_write, fd, data, verdict && len > 1 ? len / 2 : len);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
	const int verdict = judge("pwrite", is_about_fd(fd));

	return verdict < 0
		       ? -1
		       : syscall(SYS_pwrite64, fd, data, verdict && len > 1 ? len / 2 : len, at);
}

int fsync(int fd)
{
	return judge("fsync", is_about_fd(fd)) < 0 ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return judge("fdatasync", is_about_fd(fd)) < 0 ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int sync_file_range(int fd, off_t from, off_t len, unsigned flags)
{
	return judge("sync_file_range", is_about_fd(fd)) < 0
		       ? -1
		       : (int)syscall(SYS_sync_file_range, fd, from, len, flags);
}

int ftruncate(int fd, off_t len)
{
	return judge("ftruncate", is_about_fd(fd)) < 0 ? -1 : (int)syscall(SYS_ftruncate, fd, len);
}

int fallocate(int fd, int mode, off_t from, off_t len)
{
	return judge("fallocate", is_about_fd(fd)) < 0
		       ? -1
		       : (int)syscall(SYS_fallocate, fd, mode, from, len);
}

/* Returns its error. */
int posix_fallocate(int fd, off_t from, off_t len)
{
	if (judge("posix_fallocate", is_about_fd(fd)) < 0)
		return errno;
	return syscall(SYS_fallocate, fd, 0, from, len) ? errno : 0;
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	return judge("renameat2", is_about(from_dir, from)) < 0
		       ? -1
		       : (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return judge("renameat", is_about(from_dir, from)) < 0
		       ? -1
		       : (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, 0);
}

int rename(const char *from, const char *to)
{
	return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

int unlinkat(int dir, const char *path, int flags)
{
	return judge("unlinkat", is_about(dir, path)) < 0
		       ? -1
		       : (int)syscall(SYS_unlinkat, dir, path, flags);
}

int unlink(const char *path)
{
	return unlinkat(AT_FDCWD, path, 0);
}
