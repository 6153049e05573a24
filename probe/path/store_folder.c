#define _GNU_SOURCE /* renameat2 */
#include "path/store_folder.h"

#include <assert.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "path/catalogue.h"
#include "path/store_index.h"

#define PART         ".part"
#define SEQUENCE_MAX 999999999u                /* a file each second for 31 years */
#define AGE_LINE     "age-encryption.org/v1\n" /* begins each encrypted file */

/* NAME_000007_20261121T230254Z out of .NAME_000007_20261121T230254Z.part */
static int stem_len(const char *part)
{
	return (int)(strlen(part) - strlen("." PART));
}

static int rename_part(const struct store_folder *folder, const char *part, const char *start,
		       const char *end, const char *suffix, char name[static NAME_MAX + 1])
{
	const int len = snprintf(name, NAME_MAX + 1, "%.*s%s_%s%s",
				 stem_len(part) - (int)strlen(start), part + 1, start, end, suffix);

	if (len > NAME_MAX)
		return -ENAMETOOLONG;
	/* Never over another file: two probes in one folder may come to the same name. */
	if (!renameat2(folder->fd, part, folder->fd, name, RENAME_NOREPLACE))
		return 0;
	if (errno != EINVAL)
		return -errno;
	return renameat(folder->fd, part, folder->fd, name) ? -errno : 0; /* NFS has no flags */
}

int store_folder_rename(const struct store_folder *folder, const char *part, const char *start,
			const char *end, char name[static NAME_MAX + 1])
{
	return rename_part(folder, part, start, end, folder->suffix, name);
}

void store_folder_trim(int fd)
{
	struct stat st;

	if (!fstat(fd, &st) && S_ISREG(st.st_mode))
		(void)!ftruncate(fd, st.st_size);
}

/* What is left may be of another store, or of a run before encryption was turned on or off. */
static const char *suffix_of(const struct store_folder *folder, int fd)
{
	char head[sizeof(AGE_LINE) - 1];
	const ssize_t len = pread(fd, head, sizeof(head), 0);

	if (len <= 0)
		return folder->suffix;
	return memcmp(head, AGE_LINE, (size_t)len) ? ".pcapng.zst" : ".pcapng.zst.age";
}

/* Renames what an earlier run left, whose locked file is fd. */
static int end_leftover(const struct store_folder *folder, const char *part, int fd)
{
	char name[NAME_MAX + 1];

	return rename_part(folder, part, "", "trunc", suffix_of(folder, fd), name);
}

static void note_recovered(struct store_folder *folder, const char *part, int fd)
{
	folder->n_recovered++;
	store_folder_trim(fd);
	store_index_remove(folder->fd, part);
}

/* Renames what a run that is no more left unfinished. A writer locks the file that it has open. */
static int recover_part(struct store_folder *folder, const char *part, struct err *err)
{
	const int fd = openat(folder->fd, part, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
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
	else if ((ret = end_leftover(folder, part, fd)))
		err_set(err, ret, "cannot rename %s, which an earlier run left: %s", part,
			strerror(-ret));
	else
		note_recovered(folder, part, fd);
	close(fd);
	return ret;
}

/* Of a session that may never come again. What is being written is locked; where locks do not work,
 * nothing tells. */
static void recover_unless_written(struct store_folder *folder, const char *part)
{
	const int fd = openat(folder->fd, part, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0)
		return;
	if (!flock(fd, LOCK_EX | LOCK_NB) && !end_leftover(folder, part, fd))
		note_recovered(folder, part, fd);
	close(fd);
}

/* What a crash left beside an open file that was sealed before, or renamed by another start. */
static void sweep(const struct store_folder *folder, const struct store_config *config,
		  const char *file)
{
	const size_t len = strlen(folder->name);

	if (config->recover_all_names ||
	    (!strncmp(file + 1, folder->name, len) && file[1 + len] == '_'))
		store_index_sweep(folder->fd, file);
}

/* Numbers that no probe comes to must not be the folder's last ones. */
static void raise_highest(struct store_folder *folder, uint32_t sequence)
{
	uint32_t highest = atomic_load(folder->highest);

	while (sequence <= SEQUENCE_MAX && sequence > highest &&
	       !atomic_compare_exchange_weak(folder->highest, &highest, sequence))
		;
}

static int read_name(struct store_folder *folder, const struct store_config *config,
		     const char *file, struct err *err)
{
	struct catalogue_file found;

	if (!catalogue_parse(&found, file)) {
		if (file[0] == '.')
			sweep(folder, config, file);
		return 0;
	}
	raise_highest(folder, found.sequence);
	if (found.kind != CATALOGUE_OPEN)
		return 0;
	if (!strcmp(found.name, folder->name))
		return recover_part(folder, file, err);
	if (config->recover_all_names)
		recover_unless_written(folder, file);
	return 0;
}

static int read_folder(struct store_folder *folder, DIR *dir, const struct store_config *config,
		       struct err *err)
{
	const struct dirent *entry;

	while (errno = 0, (entry = readdir(dir))) {
		const int ret = read_name(folder, config, entry->d_name, err);
		if (ret)
			return ret;
	}
	return errno ? err_set(err, -errno, "cannot list the folder: %s", strerror(errno)) : 0;
}

static int scan_folder(struct store_folder *folder, const struct store_config *config,
		       struct err *err)
{
	const int fd = openat(folder->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir) {
		const int ret = -errno;
		if (fd >= 0)
			close(fd);
		return err_set(err, ret, "cannot list the folder: %s", strerror(-ret));
	}
	const int ret = read_folder(folder, dir, config, err);
	closedir(dir);
	return ret;
}

static int check_config(const struct store_config *config, struct err *err)
{
	const size_t len = strlen(config->name);

	if (len == 0 || len > STORE_NAME_MAX || config->name[0] == '.')
		return err_set(
			err, -EINVAL,
			"\"%s\" cannot begin a file name: 1 to %d characters, no '.' in front",
			config->name, STORE_NAME_MAX);
	for (const char *c = config->name; *c; c++)
		if (!(isalnum((unsigned char)*c) || strchr(".:-", *c)) || (unsigned char)*c > 127)
			return err_set(err, -EINVAL,
				       "\"%s\" cannot begin a file name: use letters, digits, '.', "
				       "':', '-'",
				       config->name);
	if (strlen(config->suffix) >= sizeof(((struct store_folder *)0)->suffix))
		return err_set(err, -EINVAL, "the suffix %s is too long", config->suffix);
	assert(config->buffer_len && config->buffer_len % STORE_BLOCK == 0);
	return 0;
}

static int open_writable(const char *dir, int *out, struct err *err)
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

int store_folder_open(struct store_folder *folder, const struct store_config *config,
		      struct err *err)
{
	struct err cause;

	*folder = (struct store_folder){.fd = -1, .highest = config->highest};
	int ret = check_config(config, err);
	if (ret)
		return ret;
	(void)strcpy(folder->name, config->name); /* their lengths are checked */
	(void)strcpy(folder->suffix, config->suffix);
	ret = open_writable(config->dir, &folder->fd, err);
	if (ret || config->is_late)
		return ret;
	ret = scan_folder(folder, config, &cause);
	if (ret)
		return err_set(err, ret, "%s: %s", config->dir, cause.text);
	if (folder->n_recovered)
		log_line("%s: %u files that earlier runs did not end are kept as *_trunc*",
			 config->dir, folder->n_recovered);
	return 0;
}

void store_folder_close(struct store_folder *folder)
{
	if (folder->fd >= 0)
		(void)close(folder->fd);
	folder->fd = -1;
}
