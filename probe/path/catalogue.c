#define _GNU_SOURCE
#include "path/catalogue.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* st_blocks, whatever the file system's own blocks are (stat(2)). */
#define BLOCK 512u
/* A table that is full keeps so much of itself and gets no newer files until the next scan. */
#define KEPT(files_max) ((files_max) / 4 * 3)

struct catalogue {
	int dir;
	bool is_stale;
	uint32_t n, files_max;
	struct catalogue_file *file;
	bool has_horizon; /* there is no room for files behind the horizon */
	struct catalogue_file horizon;
	uint64_t beyond, beyond_bytes;
};

/* ---- order ---- */

static int compare_u64(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

/* 0: the same name. */
static int compare(const struct catalogue_file *a, const struct catalogue_file *b)
{
	int d;

	if ((d = compare_u64(a->end_s, b->end_s)) || (d = compare_u64(a->sequence, b->sequence)) ||
	    (d = strcmp(a->name, b->name)) || (d = compare_u64(a->start_s, b->start_s)) ||
	    (d = compare_u64(a->kind, b->kind)))
		return d;
	return compare_u64(a->is_plain, b->is_plain);
}

/* A pin comes just before its file. */
static int compare_entries(const void *a, const void *b)
{
	const struct catalogue_file *x = a, *y = b;
	const int d = compare(x, y);

	return d ? d : y->is_pin - x->is_pin;
}

static void sort(struct catalogue *c)
{
	qsort(c->file, c->n, sizeof(c->file[0]), compare_entries);
}

/* Where a file is, or would be. */
static uint32_t place_of(const struct catalogue *c, const struct catalogue_file *f)
{
	uint32_t low = 0, high = c->n;

	while (low < high) {
		const uint32_t middle = low + (high - low) / 2;
		if (compare(&c->file[middle], f) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_beyond(const struct catalogue *c, const struct catalogue_file *f)
{
	return c->has_horizon && compare(f, &c->horizon) > 0;
}

/* ---- one name ---- */

/* Whatever bears the pin's name is one; so is, for who might delete, what cannot be looked for. */
static bool has_pin(int dir, const struct catalogue_file *f)
{
	char name[NAME_MAX + 1];
	struct stat st;

	catalogue_format_pin(f, name);
	return !fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) || errno != ENOENT;
}

/* False: it is gone, or no regular file. */
static bool measure(const struct catalogue *c, struct catalogue_file *f)
{
	char name[NAME_MAX + 1];
	struct stat st;

	catalogue_format(f, name);
	if (fstatat(c->dir, name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode))
		return false;
	f->bytes = (uint64_t)st.st_blocks * BLOCK;
	return true;
}

/* ---- scan ---- */

/* The newest make room; from now on none that is newer than what stays gets in, so that of each
 * file that is here its pin is too. */
static void narrow(struct catalogue *c)
{
	sort(c);
	const uint32_t kept = KEPT(c->files_max);
	for (uint32_t i = kept; i < c->n; i++) {
		c->beyond += !c->file[i].is_pin;
		c->beyond_bytes += c->file[i].bytes;
	}
	c->n = kept;
	c->horizon = c->file[kept - 1];
	c->has_horizon = true;
}

static void add(struct catalogue *c, const struct catalogue_file *f)
{
	if (c->n == c->files_max)
		narrow(c);
	if (!is_beyond(c, f)) {
		c->file[c->n++] = *f;
		return;
	}
	c->beyond += !f->is_pin;
	c->beyond_bytes += f->bytes;
}

static void scan_name(struct catalogue *c, const char *name)
{
	struct catalogue_file f;

	if (catalogue_parse(&f, name)) {
		if (measure(c, &f))
			add(c, &f);
	} else if (catalogue_parse_pin(&f, name)) {
		f.is_pin = true;
		add(c, &f);
	}
}

/* Pins become marks of the files behind them. Of a name that was listed twice, which a folder that
 * changes may do, the first stays. */
static void merge_pins(struct catalogue *c)
{
	struct catalogue_file before = {0};
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->n; i++) {
		struct catalogue_file f = c->file[i];
		const bool is_same = i && !compare(&before, &f);
		f.is_pinned = is_same && before.is_pin;
		if (!f.is_pin && (!is_same || before.is_pin))
			c->file[n++] = f;
		before = f;
	}
	c->n = n;
}

static void forget(struct catalogue *c)
{
	c->n = 0;
	c->has_horizon = c->is_stale = false;
	c->beyond = c->beyond_bytes = 0;
}

int catalogue_scan(struct catalogue *c, struct err *err)
{
	const int fd = openat(c->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	forget(c);
	if (!dir) {
		const int ret = -errno;
		if (fd >= 0)
			(void)close(fd);
		return err_set(err, ret, "cannot list the stored files: %s", strerror(-ret));
	}
	while (errno = 0, (entry = readdir(dir)))
		scan_name(c, entry->d_name);
	const int ret = -errno;
	(void)closedir(dir);
	if (ret) {
		forget(c);
		return err_set(err, ret, "cannot list the stored files: %s", strerror(-ret));
	}
	sort(c);
	merge_pins(c);
	return 0;
}

/* ---- changes ---- */

static void insert(struct catalogue *c, uint32_t at, const struct catalogue_file *f)
{
	if (c->n == c->files_max) {
		c->is_stale = true;
		return;
	}
	memmove(&c->file[at + 1], &c->file[at], (c->n - at) * sizeof(*f));
	c->file[at] = *f;
	c->n++;
}

static void take_out(struct catalogue *c, uint32_t at)
{
	c->n--;
	memmove(&c->file[at], &c->file[at + 1], (c->n - at) * sizeof(c->file[0]));
}

void catalogue_look(struct catalogue *c, const char *name)
{
	struct catalogue_file f;

	if (!catalogue_parse_pin(&f, name) && !catalogue_parse(&f, name))
		return;
	if (is_beyond(c, &f)) {
		c->is_stale = true;
		return;
	}
	const uint32_t at = place_of(c, &f);
	const bool is_known = at < c->n && !compare(&c->file[at], &f);
	const bool is_there = measure(c, &f);
	f.is_pinned = f.kind != CATALOGUE_OPEN && has_pin(c->dir, &f);
	if (is_known && is_there)
		c->file[at] = f;
	else if (is_known)
		take_out(c, at);
	else if (is_there)
		insert(c, at, &f);
}

void catalogue_measure_open(struct catalogue *c)
{
	for (uint32_t i = c->n; i > 0 && c->file[i - 1].kind == CATALOGUE_OPEN; i--)
		c->file[i - 1].is_gone = !measure(c, &c->file[i - 1]);
	catalogue_sweep(c);
}

void catalogue_sweep(struct catalogue *c)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->n; i++)
		if (!c->file[i].is_gone)
			c->file[n++] = c->file[i];
	c->n = n;
}

struct catalogue_file *catalogue_files(struct catalogue *c, uint32_t *n)
{
	*n = c->n;
	return c->file;
}

uint64_t catalogue_beyond(const struct catalogue *c, uint64_t *bytes)
{
	*bytes = c->beyond_bytes;
	return c->beyond;
}

bool catalogue_is_stale(const struct catalogue *c)
{
	return c->is_stale;
}

/* ---- deleting, pinning ---- */

static int delete_locked(struct catalogue *c, struct catalogue_file *f, int fd, const char *name)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	/* Where locks do not work (some network file systems), who pins may come too late. */
	if (flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK &&
	    f->locked < CATALOGUE_LOCKED_MAX) {
		f->locked++;
		return -EAGAIN;
	}
	f->is_pinned = has_pin(c->dir, f);
	if (f->is_pinned)
		return -EBUSY;
	return unlinkat(c->dir, name, 0) ? -errno : 0;
}

int catalogue_delete(struct catalogue *c, struct catalogue_file *f)
{
	char name[NAME_MAX + 1];

	if (f->kind == CATALOGUE_OPEN)
		return -EBUSY;
	catalogue_format(f, name);
	/* O_NONBLOCK: it may be a FIFO by now. */
	const int fd = openat(c->dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	const int ret = fd < 0 ? -errno : delete_locked(c, f, fd, name);
	if (fd >= 0)
		(void)close(fd);
	f->is_gone = !ret || ret == -ENOENT;
	return ret;
}

/* Opens the folder of path; *file: what path says behind it. */
static int open_folder(const char *path, struct catalogue_file *file, char pin[static NAME_MAX + 1],
		       struct err *err)
{
	char copy[PATH_MAX], other[PATH_MAX];

	(void)snprintf(copy, sizeof(copy), "%s", path);
	(void)snprintf(other, sizeof(other), "%s", path);
	if (!catalogue_parse(file, basename(copy)))
		return err_set(err, -EINVAL, "%s: not named as stored files are", path);
	if (file->kind == CATALOGUE_OPEN)
		return err_set(err, -EINVAL, "%s is still open: pin it when it is sealed", path);
	catalogue_format_pin(file, pin);
	const int dir = open(dirname(other), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? err_set(err, -errno, "cannot open the folder of %s: %s", path,
				 strerror(errno))
		       : dir;
}

static int make_pin(int dir, const char *pin, const char *path, struct err *err)
{
	/* As stored files are: the folder's group may see it. */
	const int fd = openat(dir, pin, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);

	if (fd < 0 && errno == EEXIST)
		return err_set(err, -EEXIST, "%s is pinned already", path);
	if (fd < 0)
		return err_set(err, -errno, "cannot pin %s: %s", path, strerror(errno));
	(void)close(fd);
	return fsync(dir) ? err_set(err, -errno, "cannot sync the folder of %s: %s", path,
				    strerror(errno))
			  : 0;
}

/* Who deletes holds the lock from its look for the pin to the unlink, so a file that still has its
 * name here is pinned in time. */
static int pin_locked(int dir, int fd, const char *name, const char *pin, const char *path,
		      struct err *err)
{
	struct stat locked, named;

	while (flock(fd, LOCK_SH) && errno == EINTR)
		;
	if (fstat(fd, &locked) || !S_ISREG(locked.st_mode))
		return err_set(err, -EINVAL, "%s is no regular file", path);
	if (fstatat(dir, name, &named, AT_SYMLINK_NOFOLLOW) || named.st_ino != locked.st_ino)
		return err_set(err, -ENOENT, "%s was deleted meanwhile", path);
	return make_pin(dir, pin, path, err);
}

int catalogue_pin(const char *path, struct err *err)
{
	struct catalogue_file file;
	char pin[NAME_MAX + 1], name[NAME_MAX + 1];
	const int dir = open_folder(path, &file, pin, err);

	if (dir < 0)
		return dir;
	catalogue_format(&file, name);
	const int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	const int ret = fd < 0 ? err_set(err, -errno, "cannot open %s: %s", path, strerror(errno))
			       : pin_locked(dir, fd, name, pin, path, err);
	if (fd >= 0)
		(void)close(fd);
	(void)close(dir);
	return ret;
}

int catalogue_unpin(const char *path, struct err *err)
{
	struct catalogue_file file;
	char pin[NAME_MAX + 1];
	const int dir = open_folder(path, &file, pin, err);
	int ret = dir;

	if (dir < 0)
		return ret;
	ret = unlinkat(dir, pin, 0) ? -errno : 0;
	if (ret == -ENOENT)
		err_set(err, ret, "%s is not pinned", path);
	else if (ret)
		err_set(err, ret, "cannot unpin %s: %s", path, strerror(-ret));
	(void)close(dir);
	return ret;
}

/* ---- life ---- */

int catalogue_open(struct catalogue **out, const char *dir, uint32_t files_max, struct err *err)
{
	struct catalogue *c = calloc(1, sizeof(*c));
	int ret;

	if (!c)
		return err_set(err, -ENOMEM, "out of memory");
	c->files_max = files_max;
	c->file = calloc(files_max, sizeof(*c->file));
	c->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ret = !c->file ? err_set(err, -ENOMEM, "out of memory")
	      : c->dir < 0
		      ? err_set(err, -errno, "cannot open the folder %s: %s", dir, strerror(errno))
		      : 0;
	if (ret) {
		catalogue_close(c);
		return ret;
	}
	*out = c;
	return 0;
}

void catalogue_close(struct catalogue *c)
{
	if (!c)
		return;
	if (c->dir >= 0)
		(void)close(c->dir);
	free(c->file);
	free(c);
}

/* glibc's qsort takes two pointers for each element that is this large. */
size_t catalogue_memory(uint32_t files_max)
{
	return sizeof(struct catalogue) +
	       files_max * (sizeof(struct catalogue_file) + 2 * sizeof(void *));
}

int catalogue_fd(const struct catalogue *c)
{
	return c->dir;
}
