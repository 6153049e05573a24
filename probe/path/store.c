#define _GNU_SOURCE
#include "path/store.h"

#include <assert.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "path/store_index.h"

#define NAME_CHARACTERS_MAX 64
#define TIME_LEN            sizeof("20261121T230254Z")
#define PART                ".part"

struct store {
	char name[NAME_CHARACTERS_MAX + 1];
	char suffix[32];
	int dir_fd;
	uint32_t next_sequence, n_recovered;
	/* the open file */
	int fd;
	char part[NAME_MAX + 1];
	bool is_direct, refuses_direct; /* of fd: what is written now goes past the page cache */
	bool refuses_allocation;
	uint64_t written, synced, allocated; /* all from the file's start */
	/*
	 *   | whole buffers, written | written | taken |           |
	 *                            ^ start             ^ + filled  ^ + buffer_len
	 */
	uint8_t *buffer; /* while a file is open */
	size_t buffer_len, filled;
	uint64_t start;          /* of the buffer, in the file */
	char last[NAME_MAX + 1]; /* what rename_part made of a file of ours */
	struct store_index index;
};

static void format_time(char out[static TIME_LEN], uint64_t time_ns)
{
	const time_t seconds = (time_t)(time_ns / 1000000000u);
	struct tm utc;

	gmtime_r(&seconds, &utc); /* 2^64 ns are the year 2554: four digits */
	(void)strftime(out, TIME_LEN, "%Y%m%dT%H%M%SZ", &utc);
}

/* NAME_000007_20261121T230254Z out of .NAME_000007_20261121T230254Z.part */
static int stem_len(const char *part)
{
	return (int)(strlen(part) - strlen("." PART));
}

/* start instead of the one that part has; empty: that stays. */
static int rename_part(const struct store *store, const char *part, const char *start,
		       const char *end, char name[static NAME_MAX + 1])
{
	const int len =
		snprintf(name, NAME_MAX + 1, "%.*s%s_%s%s", stem_len(part) - (int)strlen(start),
			 part + 1, start, end, store->suffix);

	if (len > NAME_MAX)
		return -ENAMETOOLONG;
	/* Never over another file: two probes in one folder may come to the same name. */
	if (!renameat2(store->dir_fd, part, store->dir_fd, name, RENAME_NOREPLACE))
		return 0;
	if (errno != EINVAL)
		return -errno;
	return renameat(store->dir_fd, part, store->dir_fd, name) ? -errno
								  : 0; /* NFS has no flags */
}

/* ---- what is in the folder ---- */

/* Reads NAME_<digits>_ at the front of a file name. */
static bool parse_sequence(const struct store *store, const char *file, uint32_t *out)
{
	const size_t len = strlen(store->name);
	char *end;

	if (strncmp(file, store->name, len) || file[len] != '_' ||
	    !isdigit((unsigned char)file[len + 1]))
		return false;
	errno = 0;
	const unsigned long sequence = strtoul(file + len + 1, &end, 10);
	if (errno || sequence >= UINT32_MAX || *end != '_')
		return false;
	*out = (uint32_t)sequence;
	return true;
}

/* .NAME_000007_20261121T230254Z.part, whatever the NAME. */
static bool is_part(const char *file)
{
	unsigned sequence, day, second;
	int end = 0;

	return file[0] == '.' &&
	       sscanf(file + 1, "%*[A-Za-z0-9.:-]_%u_%8uT%6uZ" PART "%n", &sequence, &day, &second,
		      &end) == 3 &&
	       end && !file[1 + end];
}

/* Gives back what was allocated and not written. */
static void trim(int fd)
{
	struct stat st;

	if (!fstat(fd, &st) && S_ISREG(st.st_mode))
		(void)!ftruncate(fd, st.st_size);
}

static void note_recovered(struct store *store, const char *part, int fd)
{
	store->n_recovered++;
	trim(fd);
	store_index_remove(store->dir_fd, part);
}

/* Renames what a run that is no more left unfinished. A writer locks the file that it has open. */
static int recover_part(struct store *store, const char *part, struct err *err)
{
	const int fd = openat(store->dir_fd, part, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	char name[NAME_MAX + 1];
	int ret;

	if (fd < 0 && errno == ENOENT)
		return 0; /* sealed meanwhile, by its writer */
	if (fd < 0)
		return err_set(err, -errno, "cannot open %s, which an earlier run left: %s", part,
			       strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
		ret = err_set(
			err, -EBUSY,
			"%s is being written by another process: stop it or use another folder",
			part);
	else if ((ret = rename_part(store, part, "", "trunc", name)))
		err_set(err, ret, "cannot rename %s, which an earlier run left: %s", part,
			strerror(-ret));
	else
		note_recovered(store, part, fd);
	close(fd);
	return ret;
}

/* Of a session that may never come again, or of one that had this NAME and ends its file later.
 * What is being written is locked; where locks do not work, nothing tells. */
static void recover_unless_written(struct store *store, const char *part)
{
	const int fd = openat(store->dir_fd, part, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	char name[NAME_MAX + 1];

	if (fd < 0)
		return;
	if (!flock(fd, LOCK_EX | LOCK_NB)) {
		if (!rename_part(store, part, "", "trunc", name))
			note_recovered(store, part, fd);
	}
	close(fd);
}

/* What a crash left beside an open file that was sealed before, or renamed by another start. */
static void sweep(const struct store *store, const struct store_config *config, const char *file)
{
	uint32_t ignored;

	if (config->recover_all_names || parse_sequence(store, file + 1, &ignored))
		store_index_sweep(store->dir_fd, file);
}

static int read_folder(struct store *store, DIR *dir, const struct store_config *config,
		       struct err *err)
{
	const struct dirent *entry;

	while (errno = 0, (entry = readdir(dir))) {
		const char *file = entry->d_name;
		const bool part = is_part(file);
		uint32_t sequence;

		if (file[0] == '.' && !part)
			sweep(store, config, file);
		if (!parse_sequence(store, part ? file + 1 : file, &sequence)) {
			if (part && config->recover_all_names)
				recover_unless_written(store, file);
			continue;
		}
		if (sequence >= store->next_sequence)
			store->next_sequence = sequence + 1;
		if (part && config->is_shared)
			recover_unless_written(store, file);
		const int ret = part && !config->is_shared ? recover_part(store, file, err) : 0;
		if (ret)
			return ret;
	}
	return errno ? err_set(err, -errno, "cannot list the folder: %s", strerror(errno)) : 0;
}

static int scan_folder(struct store *store, const struct store_config *config, struct err *err)
{
	const int fd = openat(store->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir) {
		const int ret = -errno;
		if (fd >= 0)
			close(fd);
		return err_set(err, ret, "cannot list the folder: %s", strerror(-ret));
	}
	const int ret = read_folder(store, dir, config, err);
	closedir(dir);
	return ret;
}

/* ---- opening ---- */

static int check_config(const struct store_config *config, struct err *err)
{
	const size_t len = strlen(config->name);

	if (len == 0 || len > NAME_CHARACTERS_MAX || config->name[0] == '.')
		return err_set(
			err, -EINVAL,
			"\"%s\" cannot begin a file name: 1 to %d characters, no '.' in front",
			config->name, NAME_CHARACTERS_MAX);
	for (const char *c = config->name; *c; c++)
		if (!(isalnum((unsigned char)*c) || strchr(".:-", *c)) || (unsigned char)*c > 127)
			return err_set(err, -EINVAL,
				       "\"%s\" cannot begin a file name: use letters, digits, '.', "
				       "':', '-'",
				       config->name);
	if (strlen(config->suffix) >= sizeof(((struct store *)0)->suffix))
		return err_set(err, -EINVAL, "the suffix %s is too long", config->suffix);
	assert(config->buffer_len && config->buffer_len % STORE_BLOCK == 0);
	return 0;
}

static int open_folder(const char *dir, int *out, struct err *err)
{
	const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_set(err, -errno, "cannot open the folder %s: %s", dir, strerror(errno));
	if (faccessat(fd, ".", W_OK | X_OK, AT_EACCESS)) {
		const int ret = -errno;
		close(fd);
		return err_set(err, ret, "cannot write to the folder %s: %s", dir, strerror(-ret));
	}
	*out = fd;
	return 0;
}

int store_open(struct store **out, const struct store_config *config, struct err *err)
{
	struct err cause;
	int ret = check_config(config, err);

	if (ret)
		return ret;
	struct store *store = calloc(1, sizeof(*store));
	if (!store)
		return err_set(err, -ENOMEM, "out of memory");
	store->dir_fd = store->fd = -1;
	store->next_sequence = 1;
	store->buffer_len = config->buffer_len;
	(void)strcpy(store->name, config->name); /* their lengths are checked */
	(void)strcpy(store->suffix, config->suffix);
	ret = open_folder(config->dir, &store->dir_fd, err);
	if (ret)
		goto fail;
	ret = scan_folder(store, config, &cause);
	if (ret) {
		err_set(err, ret, "%s: %s", config->dir, cause.text);
		goto fail;
	}
	if (store->n_recovered)
		log_line("%s: %u files that earlier runs did not end are kept as *_trunc*",
			 config->dir, store->n_recovered);
	*out = store;
	return 0;
fail:
	store_close(store);
	return ret;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	store_abandon(store);
	if (store->dir_fd >= 0)
		close(store->dir_fd);
	free(store);
}

/* ---- bytes ---- */

size_t store_memory(const struct store_config *config)
{
	return config->buffer_len;
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
	store_index_append(&store->index, store->dir_fd, data, len);
}

void store_drop_index(struct store *store)
{
	store_index_end(&store->index, store->dir_fd);
}

int store_flush(struct store *store)
{
	if (store->written == store_taken(store))
		return 0;
	(void)set_direct(store, false);
	return write_from(store, store->written);
}

int store_sync(struct store *store)
{
	if (store->synced < store->written && fdatasync(store->fd))
		return -errno;
	store->synced = store->written;
	return 0;
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
	store_index_end(&store->index, store->dir_fd);
}

static int create_part(struct store *store, struct err *err)
{
	/* 0640: the folder's group may read what is meant for it; sealed files tell no one else. */
	store->fd = openat(store->dir_fd, store->part,
			   O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (store->fd < 0)
		return err_set(err, -errno, "cannot create %s: %s", store->part, strerror(errno));
	store->next_sequence++;
	store_index_begin(&store->index, store->part);
	if (flock(store->fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK) {
		/* A probe that starts took it for a leftover; the next one has another number. */
		end_file(store);
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
	(void)snprintf(store->part, sizeof(store->part), ".%s_%06u_%s" PART, store->name,
		       store->next_sequence, start);
	store->buffer = aligned_alloc(STORE_BLOCK, store->buffer_len);
	if (!store->buffer)
		return err_set(err, -ENOMEM, "out of memory");
	store->is_direct = store->refuses_direct = store->refuses_allocation = false;
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
		trim(store->fd);
	if (!ret && !(ret = fsync(store->fd) ? -errno : 0)) {
		store->synced = store->written;
		ret = rename_part(store, store->part, start, end, store->last);
	}
	if (ret) {
		store_abandon(store);
		return err_set(err, ret, "cannot complete %s: %s", store->part, strerror(-ret));
	}
	end_file(store);
	if (fsync(store->dir_fd))
		return err_set(err, -errno, "cannot sync the folder of %s: %s", store->part,
			       strerror(errno));
	return 0;
}

void store_abandon(struct store *store)
{
	if (store->fd < 0)
		return;
	trim(store->fd);
	if (rename_part(store, store->part, "", "trunc", store->last))
		store->last[0] = 0; /* the next store_open does it */
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
	(void)unlinkat(store->dir_fd, store->part, 0);
	end_file(store);
}
