#define _GNU_SOURCE /* asprintf */
#include "vxcap_find.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "vxcap.h"
#include "vxcap_remote.h"
#include "vxcap_time.h"
#include "vxcap_url.h"

#define PART   ".part"
#define TRUNC  "_trunc."
#define MENDED "_recovered.pcapng.zst.age"

/* Of a folder on another host, which may have as many names as it likes. */
#define FILES_MAX 1000000u

/* Names with the same number that are looked at: of a probe's, two have it. */
#define ALIKE_MAX 16u

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

size_t vxcap_file_base(const char *name)
{
	static const char *const ends[] = {".pcapng.zst", ".pcapng.zst.age"};

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]) && name[0] != '.'; i++)
		if (ends_with(name, ends[i]))
			return strlen(name) - strlen(ends[i]);
	return 0;
}

/* The files of one folder, sorted. */
struct folder {
	struct vxcap_file *file;
	size_t n, dir_len;
};

static const char *name_in(const struct folder *folder, size_t i)
{
	return folder->file[i].path + folder->dir_len;
}

/* How many names are not behind text, of which len bytes count. */
static size_t count_up_to(const struct folder *folder, const char *text, size_t len)
{
	size_t from = 0, to = folder->n;

	while (from < to) {
		const size_t middle = from + (to - from) / 2;
		if (strncmp(name_in(folder, middle), text, len) <= 0)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

/* The whole file stands before the stem or close behind: NAME_000007 is in few names. */
static bool has_whole_of(const struct folder *folder, const char *stem, size_t len)
{
	const size_t end = count_up_to(folder, stem, len);

	for (size_t i = end; i > 0 && end - i < ALIKE_MAX; i--)
		if (vxcap_file_is_whole_of(name_in(folder, i - 1), stem, len))
			return true;
	return false;
}

/* Of X.pcapng.zst.age: X_recovered.pcapng.zst.age, which recover makes when parts were altered. */
static bool has_mended(const struct folder *folder, const char *name)
{
	const size_t base = vxcap_file_base(name);
	char wanted[PATH_MAX];

	const int len = snprintf(wanted, sizeof(wanted), "%.*s" MENDED, (int)base, name);
	if (base == 0 || len < 0 || (size_t)len >= sizeof(wanted))
		return false;
	const size_t end = count_up_to(folder, wanted, (size_t)len + 1);
	return end > 0 && !strcmp(name_in(folder, end - 1), wanted);
}

static int compare_paths(const void *a, const void *b)
{
	return strcmp(((const struct vxcap_file *)a)->path, ((const struct vxcap_file *)b)->path);
}

/* Sorts the files of one folder, from the first on, and finds those that were recovered into
 * another. */
static void sort_folder(struct vxcap_files *files, size_t first, size_t dir_len)
{
	const struct folder folder = {files->file + first, files->n - first, dir_len};

	if (folder.n == 0)
		return;
	qsort(folder.file, folder.n, sizeof(*folder.file), compare_paths);
	for (size_t i = 0; i < folder.n; i++) {
		const char *name = name_in(&folder, i), *stem;
		const size_t len = vxcap_file_stem(name, &stem);
		folder.file[i].is_recovered =
			(len > 0 && has_whole_of(&folder, stem, len)) || has_mended(&folder, name);
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
	const int n = scandir(dir, &entries, select_stored, NULL);
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
	sort_folder(files, first, strlen(dir) + 1);
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
	if (!ret)
		sort_folder(files, first, strlen(url) + 1);
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
