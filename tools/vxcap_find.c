#define _GNU_SOURCE /* asprintf */
#include "vxcap_find.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "vxcap.h"
#include "vxcap_remote.h"
#include "vxcap_time.h"
#include "vxcap_url.h"

#define PART  ".part"
#define TRUNC "_trunc."

/* Of a folder on another host, which may have as many names as it likes. */
#define FILES_MAX 1000000u

/* Lines that say which files are left out. */
#define LEFT_MAX 8u

int vxcap_remote_option(struct vxcap_files *files, int option, const char *value)
{
	if (option != VXCAP_OPTION_SSH_CONFIG)
		return -ENOENT;
	files->ssh_config = value;
	return 0;
}

static bool ends_with(const char *text, const char *end)
{
	const size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && !strcmp(text + len - end_len, end);
}

static bool is_stored_name(const char *name)
{
	if (name[0] == '.')
		return ends_with(name, PART);
	return ends_with(name, ".pcapng.zst") || ends_with(name, ".pcapng.zst.age");
}

/* Takes path. */
static int add_path(struct vxcap_files *files, char *path, struct err *err)
{
	if (!path ||
	    array_grow((void **)&files->file, &files->cap, files->n + 1, sizeof(*files->file))) {
		free(path);
		return err_set(err, -ENOMEM, "out of memory");
	}
	files->file[files->n++] = (struct vxcap_file){.path = path, .fd = -1};
	return 0;
}

static int select_stored(const struct dirent *entry)
{
	return is_stored_name(entry->d_name);
}

size_t vxcap_file_stem(const char *name, const char **stem)
{
	const char *const trunc = strstr(name, TRUNC);

	*stem = name + (name[0] == '.');
	if (name[0] == '.' && ends_with(name, PART))
		return strlen(*stem) - strlen(PART);
	return trunc && is_stored_name(name) ? (size_t)(trunc - name) : 0;
}

/* True when the name is that of the whole file: NAME_000007 as in the stem, and the time of the
 * stem, at which the file was begun, between the two times that follow. */
bool vxcap_file_is_whole_of(const char *name, const char *stem, size_t len)
{
	const size_t at = len - VXCAP_TIME_NAME_LEN;
	uint64_t begun, start, end;

	return len > VXCAP_TIME_NAME_LEN && !strncmp(name, stem, at) &&
	       vxcap_time_from_name(&begun, stem + at) == stem + len &&
	       vxcap_time_from_name(&start, name + at) == name + len &&
	       vxcap_time_from_name(&end, name + len) == name + len + VXCAP_TIME_NAME_LEN &&
	       start <= begun && begun <= end;
}

/* Of the files of one folder, from the first on: those that were recovered into another. */
static void find_recovered(struct vxcap_files *files, size_t first, size_t dir_len)
{
	for (size_t i = first; i < files->n; i++) {
		const char *stem;
		const size_t len = vxcap_file_stem(files->file[i].path + dir_len, &stem);
		for (size_t j = first; j < files->n && len > 0; j++)
			files->file[i].is_recovered |=
				vxcap_file_is_whole_of(files->file[j].path + dir_len, stem, len);
	}
}

/* DIR/NAME of a folder. */
static int add_name(struct vxcap_files *files, const char *dir, const char *name, struct err *err)
{
	char *path;

	const int ret = add_path(files, asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path, err);
	if (!ret)
		files->file[files->n - 1].is_of_folder = true;
	return ret;
}

static int add_folder(struct vxcap_files *files, const char *dir, struct err *err)
{
	struct dirent **entries;
	const int n = scandir(dir, &entries, select_stored, alphasort);
	const size_t first = files->n;
	int ret = 0;

	if (n < 0)
		return err_set(err, -errno, "cannot list the folder %s: %s", dir, strerror(errno));
	for (int i = 0; i < n; i++) {
		if (!ret)
			ret = add_name(files, dir, entries[i]->d_name, err);
		free(entries[i]);
	}
	free(entries);
	find_recovered(files, first, strlen(dir) + 1);
	return ret;
}

/* A folder of another host while it is listed. */
struct listing {
	struct vxcap_files *files;
	const char *url;
	struct err *err;
};

/* The name may be anything: one with a slash would be elsewhere, one with ESC would show. */
static bool is_printable(const char *name)
{
	for (; *name; name++)
		if (*name == '/' || *name < '!' || *name > '~')
			return false;
	return true;
}

static int take_name(void *arg, const char *name, uint64_t size)
{
	const struct listing *listing = arg;
	struct vxcap_files *files = listing->files;

	if (!is_stored_name(name) || !is_printable(name))
		return 0;
	if (files->n == FILES_MAX)
		return err_set(listing->err, -E2BIG, "%s has over %u files", listing->url,
			       FILES_MAX);
	const int ret = add_name(files, listing->url, name, listing->err);
	if (!ret) {
		files->file[files->n - 1].size = size;
		files->file[files->n - 1].remote = files->remote;
	}
	return ret;
}

static int compare_paths(const void *a, const void *b)
{
	return strcmp(((const struct vxcap_file *)a)->path, ((const struct vxcap_file *)b)->path);
}

/* A folder of another host, or one file. */
static int add_url(struct vxcap_files *files, const char *url, struct err *err)
{
	struct listing listing = {files, url, err};
	const size_t first = files->n;

	if (!files->may_be_remote)
		return vxcap_url_refuse(url, err);
	int ret = files->remote ? 0 : vxcap_remote_new(&files->remote, files->ssh_config, err);
	if (!ret)
		ret = vxcap_remote_list(files->remote, url, take_name, &listing, err);
	if (ret == -ENOTDIR) {
		ret = add_path(files, strdup(url), err);
		if (!ret)
			files->file[first].remote = files->remote;
		return ret;
	}
	if (!ret && files->n > first) {
		qsort(files->file + first, files->n - first, sizeof(*files->file), compare_paths);
		find_recovered(files, first, strlen(url) + 1);
	}
	return ret;
}

/* More than LEFT_MAX are one line. */
static void say_left(const struct vxcap_files *files)
{
	const char *first = NULL;
	size_t left = 0;

	for (size_t i = 0; i < files->n; i++)
		left += files->file[i].is_recovered;
	for (size_t i = 0; i < files->n && !(first && left > LEFT_MAX); i++) {
		if (!files->file[i].is_recovered)
			continue;
		first = files->file[i].path;
		if (left <= LEFT_MAX)
			vxcap_say("%s is left out: a file with the name of its recovery is there; "
				  "name it alone to read it",
				  first);
	}
	if (left > LEFT_MAX)
		vxcap_say("%zu files are left out, the first %s: a file with the name of the "
			  "recovery of each is there; name one alone to read it",
			  left, first);
}

void vxcap_files_leave_recovered(struct vxcap_files *files)
{
	size_t kept = 0;

	say_left(files);
	for (size_t i = 0; i < files->n; i++) {
		if (files->file[i].is_recovered)
			free(files->file[i].path);
		else
			files->file[kept++] = files->file[i];
	}
	files->n = kept;
}

static int add_argument(struct vxcap_files *files, const char *path, struct err *err)
{
	struct stat st;

	if (vxcap_url_is(path))
		return add_url(files, path, err);
	return !stat(path, &st) && S_ISDIR(st.st_mode) ? add_folder(files, path, err)
						       : add_path(files, strdup(path), err);
}

int vxcap_files_find(struct vxcap_files *files, char **paths, int n, struct err *err)
{
	for (int i = 0; i < n; i++) {
		const int ret = add_argument(files, paths[i], err);
		if (ret)
			return ret;
	}
	return 0;
}

/* NAME_000007_ of .NAME_000007_20261121T230254Z.part: what its sealed file's name begins with. */
static size_t follower_len(const char *name, const char **prefix)
{
	const size_t len = vxcap_file_stem(name, prefix);

	return len > VXCAP_TIME_NAME_LEN ? len - VXCAP_TIME_NAME_LEN + 1 : 0;
}

static bool has_path(const struct vxcap_files *files, const char *path)
{
	for (size_t i = 0; i < files->n; i++)
		if (!strcmp(files->file[i].path, path))
			return true;
	return false;
}

int vxcap_files_follow(struct vxcap_files *files, struct vxcap_file *file)
{
	struct vxcap_files now = {.may_be_remote = true, .remote = files->remote};
	const char *const slash = strrchr(file->path, '/');
	const char *prefix;
	struct err ignored = {0};
	int ret = -ENOENT;

	if (!slash)
		return ret;
	const size_t len = follower_len(slash + 1, &prefix);
	char *dir = strndup(file->path, (size_t)(slash - file->path));
	if (dir && len)
		(void)add_argument(&now, dir, &ignored);
	for (size_t i = 0; i < now.n && ret == -ENOENT; i++) {
		char *const path = now.file[i].path;
		if (strncmp(path + (slash - file->path) + 1, prefix, len) != 0)
			continue;
		ret = has_path(files, path) ? -EEXIST : 0;
		if (ret)
			continue;
		now.file[i].path = file->path;
		file->path = path;
	}
	now.remote = NULL; /* borrowed */
	vxcap_files_fini(&now);
	free(dir);
	return ret;
}

void vxcap_files_fini(struct vxcap_files *files)
{
	for (size_t i = 0; i < files->n; i++) {
		vxcap_file_close(&files->file[i]);
		free(files->file[i].path);
	}
	free(files->file);
	vxcap_remote_free(files->remote);
}
