#define _GNU_SOURCE
#include "path/store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "path/store_folder.h"
#include "path/store_index.h"

#define TIME_LEN sizeof("20261121T230254Z")
#define PART     ".part"

struct store {
	struct store_folder folder;
	/* the open file */
	int fd;
	char part[NAME_MAX + 1];
	bool is_direct, refuses_direct; /* of fd: what is written now goes past the page cache */
	bool refuses_allocation;
	bool has_name;                       /* part of fd outlasts a power failure */
	int sync_error;                      /* of the first sync that failed */
	uint64_t written, synced, allocated; /* all from the file's start */
	/*
	 *   | whole buffers, written | written | taken |           |
	 *                            ^ start             ^ + filled  ^ + buffer_len
	 */
	uint8_t *buffer; /* while a file is open */
	size_t buffer_len, filled;
	uint64_t start;          /* of the buffer, in the file */
	char last[NAME_MAX + 1]; /* what store_folder_rename made of a file of ours */
	struct store_index index;
};

static void format_time(char out[static TIME_LEN], uint64_t time_ns)
{
	const time_t seconds = (time_t)(time_ns / 1000000000u);
	struct tm utc;

	gmtime_r(&seconds, &utc); /* 2^64 ns are the year 2554: four digits */
	(void)strftime(out, TIME_LEN, "%Y%m%dT%H%M%SZ", &utc);
}

/* ---- opening ---- */

int store_open(struct store **out, const struct store_config *config, struct err *err)
{
	struct store *store = calloc(1, sizeof(*store));

	if (!store)
		return err_set(err, -ENOMEM, "out of memory");
	store->fd = -1;
	store->buffer_len = config->buffer_len;
	const int ret = store_folder_open(&store->folder, config, err);
	if (ret) {
		store_close(store);
		return ret;
	}
	*out = store;
	return 0;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	store_abandon(store);
	store_folder_close(&store->folder);
	free(store);
}

/* ---- bytes ---- */

size_t store_memory(size_t buffer_len)
{
	return sizeof(struct store) + buffer_len + STORE_BLOCK; /* the buffer is aligned to one */
}

/* Some file systems refuse O_DIRECT at once, others with the first write. */
static bool set_direct(struct store *store, bool on)
{
	const bool want = on && !store->refuses_direct;

	if (want == store->is_direct)
		return want;
	if (!fcntl(store->fd, F_SETFL, want ? O_DIRECT : 0))
		store->is_direct = want;
	else
		store->refuses_direct = true;
	return store->is_direct;
}

/* Writes the buffer from written on, or up to a block before: the same bytes once more. */
static int write_from(struct store *store, uint64_t at)
{
	const uint64_t end = store->start + store->filled;

	while (at < end) {
		const ssize_t n = pwrite(store->fd, store->buffer + (at - store->start),
					 (size_t)(end - at), (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EINVAL && store->is_direct) {
			store->refuses_direct = true;
			(void)set_direct(store, false);
			continue;
		}
		if (n <= 0)
			return n ? -errno : -EIO;
		at += (uint64_t)n;
		if (at > store->written)
			store->written = at;
		/* A short one ends anywhere; from there on O_DIRECT may refuse. */
		if (at < end && at % STORE_BLOCK)
			(void)set_direct(store, false);
	}
	return 0;
}

/* Allocates before whole buffers alone, so that a thin file takes no more than its bytes. What
 * cannot be allocated may still be written; if not, that is what counts. */
static void allocate_ahead(struct store *store)
{
	const uint64_t end = store->start + store->filled;
	uint64_t ahead = end < STORE_AHEAD_MAX ? end : STORE_AHEAD_MAX;

	if (store->refuses_allocation || end <= store->allocated)
		return;
	const uint64_t from = store->allocated > store->start ? store->allocated : store->start;
	ahead += end - from;
	if (fallocate(store->fd, FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)ahead))
		store->refuses_allocation = true;
	store->allocated = from + ahead; /* also in part: the end gives it back */
}

static int write_buffer(struct store *store)
{
	uint64_t at = store->written;

	allocate_ahead(store);
	if (set_direct(store, true))
		at -= at % STORE_BLOCK;
	const int ret = write_from(store, at);
	if (ret)
		return ret;
	store->start += store->filled;
	store->filled = 0;
	return 0;
}

int store_write(struct store *store, const uint8_t *data, size_t len)
{
	while (len > 0) {
		const size_t room = store->buffer_len - store->filled;
		const size_t n = len < room ? len : room;
		memcpy(store->buffer + store->filled, data, n);
		store->filled += n;
		data += n;
		len -= n;
		const int ret = store->filled == store->buffer_len ? write_buffer(store) : 0;
		if (ret)
			return ret;
	}
	return 0;
}

void store_write_index(struct store *store, const uint8_t *data, size_t len)
{
	store_index_append(&store->index, store->folder.fd, data, len);
}

void store_drop_index(struct store *store)
{
	store_index_end(&store->index, store->folder.fd);
}

int store_flush(struct store *store)
{
	if (store->written == store_taken(store))
		return 0;
	(void)set_direct(store, false);
	return write_from(store, store->written);
}

/* Without a name in the folder nothing of the file is there. */
static int sync_name(struct store *store)
{
	const int ret = fsync(store->folder.fd) ? -errno : 0;

	if (!ret)
		store->has_name = true;
	else if (!store->has_name)
		store->synced = 0;
	return ret;
}

int store_sync(struct store *store)
{
	if (store->sync_error || store->synced == store->written)
		return store->sync_error;
	int ret = fdatasync(store->fd) ? -errno : 0;
	if (!ret && !store->has_name)
		ret = sync_name(store);
	if (!ret)
		store->synced = store->written;
	store->sync_error = ret;
	return ret;
}

uint64_t store_taken(const struct store *store)
{
	return store->start + store->filled;
}

uint64_t store_written(const struct store *store)
{
	return store->written;
}

uint64_t store_unsynced(const struct store *store)
{
	return store->written - store->synced;
}

/* ---- one file ---- */

static void end_file(struct store *store)
{
	close(store->fd);
	store->fd = -1;
	free(store->buffer);
	store->buffer = NULL;
	store_index_end(&store->index, store->folder.fd);
}

/* A probe that starts may take it for a leftover until it is locked, and rename it. */
static bool lock_part(const struct store *store)
{
	struct stat open, named;

	if (flock(store->fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
		return false;
	return !fstat(store->fd, &open) &&
	       !fstatat(store->folder.fd, store->part, &named, AT_SYMLINK_NOFOLLOW) &&
	       open.st_ino == named.st_ino && open.st_dev == named.st_dev;
}

static int create_part(struct store *store, struct err *err)
{
	/* 0640: the folder's group may read what is meant for it; sealed files tell no one else. */
	store->fd = openat(store->folder.fd, store->part,
			   O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (store->fd < 0)
		return err_set(err, -errno, "cannot create %s: %s", store->part, strerror(errno));
	store_index_begin(&store->index, store->part);
	if (!lock_part(store)) {
		end_file(store); /* the next one has another number */
		return err_set(err, -EBUSY, "another probe starts in the folder of %s",
			       store->part);
	}
	return 0;
}

int store_begin(struct store *store, uint64_t start_ns, struct err *err)
{
	char start[TIME_LEN];

	assert(store->fd < 0);
	format_time(start, start_ns);
	(void)snprintf(store->part, sizeof(store->part), ".%s_%06u_%s" PART, store->folder.name,
		       atomic_fetch_add(store->folder.highest, 1) + 1, start);
	store->buffer = aligned_alloc(STORE_BLOCK, store->buffer_len);
	if (!store->buffer)
		return err_set(err, -ENOMEM, "out of memory");
	store->is_direct = store->refuses_direct = store->refuses_allocation = false;
	store->has_name = false;
	store->sync_error = 0;
	store->written = store->synced = store->allocated = store->start = store->filled = 0;
	const int ret = create_part(store, err);
	if (ret) {
		free(store->buffer);
		store->buffer = NULL;
	}
	return ret;
}

int store_commit(struct store *store, uint64_t start_ns, uint64_t end_ns, struct err *err)
{
	char start[TIME_LEN], end[TIME_LEN];
	int ret = store_flush(store);

	format_time(start, start_ns);
	format_time(end, end_ns);
	if (!ret && store->allocated > store->written)
		store_folder_trim(store->fd);
	if (!ret && !(ret = fsync(store->fd) ? -errno : 0)) {
		store->synced = store->written;
		ret = store_folder_rename(&store->folder, store->part, start, end, store->last);
	}
	if (ret) {
		store_abandon(store);
		return err_set(err, ret, "cannot complete %s: %s", store->part, strerror(-ret));
	}
	end_file(store);
	if ((ret = sync_name(store)))
		err_set(err, ret, "cannot sync the folder of %s: %s", store->part, strerror(-ret));
	return ret;
}

void store_abandon(struct store *store)
{
	if (store->fd < 0)
		return;
	store_folder_trim(store->fd);
	if (store_folder_rename(&store->folder, store->part, "", "trunc", store->last))
		store->last[0] = 0; /* the next start does it */
	(void)sync_name(store);     /* else that start does it again */
	end_file(store);
}

const char *store_last(const struct store *store)
{
	return store->last;
}

void store_discard(struct store *store)
{
	if (store->fd < 0)
		return;
	store->last[0] = 0;
	(void)unlinkat(store->folder.fd, store->part, 0);
	end_file(store);
}
