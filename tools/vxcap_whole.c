#define _GNU_SOURCE /* asprintf, copy_file_range, renameat2 */
#include "vxcap_whole.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/progress.h"

#define COPY_LEN (1u << 20)

struct vxcap_whole {
	const char *path;
	char *temp; /* the hidden name */
	int fd;
	bool is_committed;
	struct timespec times[2]; /* of the file that it is like: retention may go by them */
};

static int fail(const struct vxcap_whole *whole, int error, struct err *err)
{
	return err_set(err, -error, "cannot write %s: %s", whole->path, strerror(error));
}

/* Length of path's folder, with the slash. */
static int folder_len(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (int)(slash - path) + 1 : 0;
}

int vxcap_whole_open(struct vxcap_whole **out, const char *path, int like_fd, struct err *err)
{
	struct vxcap_whole *whole = calloc(1, sizeof(*whole));
	struct stat st;

	if (!whole || asprintf(&whole->temp, "%.*s.vxcap-XXXXXX", folder_len(path), path) < 0) {
		free(whole);
		return err_set(err, -ENOMEM, "out of memory");
	}
	whole->path = path;
	whole->fd = mkostemp(whole->temp, O_CLOEXEC);
	whole->is_committed = whole->fd < 0; /* nothing to remove */
	int ret = whole->fd < 0 || fstat(like_fd, &st) ? fail(whole, errno, err) : 0;
	if (!ret) {
		whole->times[0] = st.st_atim;
		whole->times[1] = st.st_mtim;
		(void)!fchown(whole->fd, st.st_uid, st.st_gid); /* only root may */
		ret = fchmod(whole->fd, st.st_mode & 0777) ? fail(whole, errno, err) : 0;
	}
	if (ret) {
		vxcap_whole_close(whole);
		return ret;
	}
	*out = whole;
	return 0;
}

int vxcap_whole_write(struct vxcap_whole *whole, const uint8_t *data, size_t len, struct err *err)
{
	while (len > 0) {
		const ssize_t n = write(whole->fd, data, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fail(whole, n ? errno : EIO, err);
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Through our memory, where the kernel cannot copy between the two. */
static int copy_bytes(struct vxcap_whole *whole, int fd, uint64_t offset, uint64_t len,
		      struct err *err)
{
	uint8_t *buf = malloc(COPY_LEN);
	int ret = buf ? 0 : err_set(err, -ENOMEM, "out of memory");

	while (!ret && len > 0) {
		const ssize_t n = io_read_at(fd, buf, len < COPY_LEN ? len : COPY_LEN, offset);
		if (n <= 0)
			ret = err_set(err, n ? (int)n : -EIO, "cannot copy to %s: %s", whole->path,
				      n ? strerror((int)-n) : "the file became shorter");
		else
			ret = vxcap_whole_write(whole, buf, (size_t)n, err);
		progress_add(n > 0 ? (uint64_t)n : 0);
		offset += (uint64_t)n;
		len -= (uint64_t)n;
	}
	free(buf);
	return ret;
}

int vxcap_whole_copy(struct vxcap_whole *whole, int fd, uint64_t offset, uint64_t len,
		     struct err *err)
{
	off_t from = (off_t)offset;
	const uint64_t end = offset + len;

	while ((uint64_t)from < end) {
		const uint64_t left = end - (uint64_t)from;
		/* In pieces, for the progress. */
		const ssize_t n = copy_file_range(fd, &from, whole->fd, NULL,
						  left < 64 * COPY_LEN ? left : 64 * COPY_LEN, 0);
		if (n < 0 && errno == EINTR)
			continue;
		/* 0 where the kernel cannot either (older than 5.19 on some file systems). */
		if (n <= 0)
			return copy_bytes(whole, fd, (uint64_t)from, left, err);
		progress_add((uint64_t)n);
	}
	return 0;
}

static int sync_folder(const struct vxcap_whole *whole, struct err *err)
{
	char *folder = NULL;
	const int len = folder_len(whole->path);

	if (asprintf(&folder, "%.*s", len ? len : 1, len ? whole->path : ".") < 0)
		return err_set(err, -ENOMEM, "out of memory");
	const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const int ret = fd < 0 || fsync(fd)
				? err_set(err, -errno, "cannot sync the folder of %s: %s",
					  whole->path, strerror(errno))
				: 0;
	if (fd >= 0)
		(void)close(fd);
	free(folder);
	return ret;
}

/* Never over another file; NFS, which has no such flag, has hard links. */
static int rename_new(const char *from, const char *to)
{
	if (!renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE))
		return 0;
	if (errno != EINVAL || link(from, to))
		return -1;
	(void)unlink(from);
	return 0;
}

int vxcap_whole_commit(struct vxcap_whole *whole, bool replaces, struct err *err)
{
	(void)futimens(whole->fd, whole->times);
	if (fsync(whole->fd))
		return fail(whole, errno, err);
	if (replaces ? rename(whole->temp, whole->path) : rename_new(whole->temp, whole->path))
		return fail(whole, errno, err);
	whole->is_committed = true;
	return sync_folder(whole, err);
}

void vxcap_whole_close(struct vxcap_whole *whole)
{
	if (!whole)
		return;
	if (!whole->is_committed)
		(void)unlink(whole->temp);
	if (whole->fd >= 0)
		(void)close(whole->fd);
	free(whole->temp);
	free(whole);
}
