#include "path/store_index.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

void store_index_begin(struct store_index *index, const char *part)
{
	index->fd = -1;
	index->is_off = (size_t)snprintf(index->name, sizeof(index->name), "%s" STORE_INDEX,
					 part) >= sizeof(index->name);
}

static void fail(struct store_index *index, int dir, int error)
{
	if (!index->is_told)
		log_line("cannot write %s: %s; an open file is searched without it, but slowly",
			 index->name, strerror(error));
	index->is_told = true;
	store_index_end(index, dir);
}

void store_index_append(struct store_index *index, int dir, const uint8_t *data, size_t len)
{
	if (index->is_off)
		return;
	if (index->fd < 0) /* 0640: as the file that it is of */
		index->fd = openat(dir, index->name,
				   O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
	const ssize_t n = index->fd < 0 ? -1 : write(index->fd, data, len);
	if (n != (ssize_t)len)
		fail(index, dir, n < 0 ? errno : ENOSPC);
}

void store_index_end(struct store_index *index, int dir)
{
	index->is_off = true;
	if (index->fd < 0)
		return;
	(void)close(index->fd);
	index->fd = -1;
	(void)unlinkat(dir, index->name, 0); /* else by the next start */
}

void store_index_remove(int dir, const char *part)
{
	struct store_index index;

	store_index_begin(&index, part);
	if (!index.is_off)
		(void)unlinkat(dir, index.name, 0);
}

void store_index_sweep(int dir, const char *name)
{
	const size_t len = strlen(name), end = strlen(STORE_INDEX);
	char part[NAME_MAX + 1];

	if (len <= end || strcmp(name + len - end, STORE_INDEX) != 0)
		return;
	(void)snprintf(part, sizeof(part), "%.*s", (int)(len - end), name);
	if (faccessat(dir, part, F_OK, AT_SYMLINK_NOFOLLOW) && errno == ENOENT)
		(void)unlinkat(dir, name, 0);
}
