#define _GNU_SOURCE /* asprintf */
#include "vxcap_file.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/io.h"
#include "base/progress.h"
#include "path/pack.h"
#include "vxcap_time.h"
#include "vxcap_unwrap.h"

#define PART  ".part"
#define TRUNC "_trunc."

static const char AGE_MAGIC[] = "age-encryption.org/";

/* ---- keys ---- */

int vxcap_keys_read(struct vxcap_keys *keys, const char *path, struct err *err)
{
	seal_protect_process();
	/* As seal_key_alloc: it hardens only. */
	(void)mlock(keys, sizeof(*keys));
	const int n = seal_identities_read(keys->identity + keys->n, VXCAP_IDENTITIES_MAX - keys->n,
					   path, err);
	if (n < 0)
		return n;
	for (int i = 0; i < n; i++)
		keys->origin[keys->n++] = path;
	return 0;
}

int vxcap_keys_option(struct vxcap_keys *keys, int option, const char *value, struct err *err)
{
	if (option == 'i')
		return vxcap_keys_read(keys, value, err);
	if (option != VXCAP_OPTION_UNWRAP)
		return -ENOENT;
	seal_protect_process();
	keys->unwrap = value;
	return 0;
}

struct unseal_keys vxcap_keys_unseal(const struct vxcap_keys *keys)
{
	return (struct unseal_keys){.identities = keys->identity,
				    .n = keys->n,
				    .unwrap = keys->unwrap ? vxcap_unwrap : NULL,
				    .arg = (void *)keys->unwrap};
}

bool vxcap_keys_are_none(const struct vxcap_keys *keys)
{
	return keys->n == 0 && !keys->unwrap;
}

void vxcap_keys_wipe(struct vxcap_keys *keys)
{
	explicit_bzero(keys, sizeof(*keys));
}

/* ---- finding ---- */

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

static int add_folder(struct vxcap_files *files, const char *dir, struct err *err)
{
	struct dirent **entries;
	const int n = scandir(dir, &entries, select_stored, alphasort);
	const size_t first = files->n;
	int ret = 0;

	if (n < 0)
		return err_set(err, -errno, "cannot list the folder %s: %s", dir, strerror(errno));
	for (int i = 0; i < n; i++) {
		char *path = NULL;

		if (!ret && asprintf(&path, "%s/%s", dir, entries[i]->d_name) < 0)
			path = NULL;
		if (!ret)
			ret = add_path(files, path, err);
		free(entries[i]);
	}
	free(entries);
	find_recovered(files, first, strlen(dir) + 1);
	return ret;
}

void vxcap_files_leave_recovered(struct vxcap_files *files)
{
	size_t kept = 0;

	for (size_t i = 0; i < files->n; i++) {
		if (files->file[i].is_recovered)
			free(files->file[i].path);
		else
			files->file[kept++] = files->file[i];
	}
	files->n = kept;
}

int vxcap_files_find(struct vxcap_files *files, char **paths, int n, struct err *err)
{
	for (int i = 0; i < n; i++) {
		struct stat st;
		const bool is_folder = !stat(paths[i], &st) && S_ISDIR(st.st_mode);
		const int ret = is_folder ? add_folder(files, paths[i], err)
					  : add_path(files, strdup(paths[i]), err);
		if (ret)
			return ret;
	}
	return 0;
}

void vxcap_files_fini(struct vxcap_files *files)
{
	for (size_t i = 0; i < files->n; i++) {
		vxcap_file_close(&files->file[i]);
		free(files->file[i].path);
	}
	free(files->file);
}

/* ---- looking ---- */

static int recognise(struct vxcap_file *file, struct err *err)
{
	char head[sizeof(AGE_MAGIC) - 1] = {0};
	uint32_t magic;

	if (pread(file->fd, head, sizeof(head), 0) < 0)
		return err_set(err, -errno, "cannot read %s: %s", file->path, strerror(errno));
	memcpy(&magic, head, sizeof(magic));
	magic = le32toh(magic);
	file->is_sealed = !memcmp(head, AGE_MAGIC, sizeof(head));
	/* A zstd frame, or a skippable one (RFC 8878 section 3.1); an empty file was cut at once.
	 */
	if (file->is_sealed || magic == 0xFD2FB528u || magic >> 4 == 0x184D2A5u || file->size == 0)
		return 0;
	return err_set(err, -EBADMSG, "%s is no stored capture: neither age nor zstd begins so",
		       file->path);
}

static ssize_t read_file(void *arg, uint64_t offset, void *buf, size_t len)
{
	const struct vxcap_file *file = arg;

	return io_read_at(file->fd, buf, len, offset);
}

struct unseal_source vxcap_file_source(struct vxcap_file *file)
{
	return (struct unseal_source){.read = read_file, .arg = file, .size = file->size};
}

/* Opens file->fd. */
static int look(struct vxcap_file *file, struct err *err)
{
	const char *slash = strrchr(file->path, '/');
	const char *name = slash ? slash + 1 : file->path;
	struct err cause;
	struct stat st;

	/* O_NONBLOCK: a FIFO in a folder is no reason to stop. */
	file->fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (file->fd < 0 || fstat(file->fd, &st))
		return err_set(err, -errno, "cannot open %s: %s", file->path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EINVAL, "%s is neither a file nor a folder", file->path);
	file->size = (uint64_t)st.st_size;
	file->dev = st.st_dev;
	file->inode = st.st_ino;
	file->is_part = name[0] == '.' && ends_with(name, PART);
	file->is_trunc = strstr(name, TRUNC) || file->size == 0;
	file->recipients = 0;
	const int ret = recognise(file, err);
	if (ret || !file->is_sealed)
		return ret;
	const struct unseal_source source = vxcap_file_source(file);
	file->recipients = unseal_count_recipients(&source, &cause);
	if (file->recipients < 0)
		return err_set(err, file->recipients, "%s: %s", file->path, cause.text);
	return 0;
}

int vxcap_file_hold(struct vxcap_file *file, struct err *err)
{
	const int ret = look(file, err);

	if (ret)
		vxcap_file_close(file);
	return ret;
}

int vxcap_file_look(struct vxcap_file *file, struct err *err)
{
	const int ret = look(file, err);

	vxcap_file_close(file);
	return ret;
}

/* ---- opening ---- */

static ssize_t read_plain(void *arg, uint64_t offset, void *buf, size_t len)
{
	progress_add(len);
	return read_file(arg, offset, buf, len);
}

static ssize_t read_sealed(void *arg, uint64_t offset, void *buf, size_t len)
{
	struct vxcap_file *file = arg;
	size_t done = 0;

	progress_add(len);
	/* A chunk at a time: what stands before an altered one is good. */
	while (done < len) {
		const size_t room = SEAL_CHUNK - (size_t)(offset + done) % SEAL_CHUNK;
		const size_t want = len - done < room ? len - done : room;
		const ssize_t n =
			unseal_read(file->unseal, offset + done, (uint8_t *)buf + done, want);
		if (n == -EBADMSG && offset + done < file->altered_at)
			file->altered_at = offset + done;
		if (n < 0)
			return n;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static int open_content(struct vxcap_file *file, struct err *err)
{
	struct unpack_source source = {.read = read_plain, .arg = file, .size = file->size};

	if (file->is_sealed) {
		if (vxcap_keys_are_none(file->keys))
			return err_set(err, -EACCES, "it is encrypted: name an identity with -i");
		const struct unseal_source sealed = vxcap_file_source(file);
		const struct unseal_keys keys = vxcap_keys_unseal(file->keys);
		const int ret = unseal_open(&file->unseal, &sealed, &keys, err);
		if (ret)
			return ret;
		file->is_trunc |= !unseal_is_complete(file->unseal);
		source.read = read_sealed;
		source.size = unseal_size(file->unseal);
	}
	int ret = unpack_open(&file->unpack, &source, err);
	/* A crash can leave zeros in the middle of a file: chunks that were not written out yet. */
	if (ret == -EBADMSG && (file->is_trunc || file->ends_at_damage) &&
	    file->altered_at < source.size) {
		file->is_trunc = true;
		source.size = file->altered_at;
		ret = unpack_open(&file->unpack, &source, err);
	}
	if (!ret)
		file->is_trunc |= unpack_is_cut(file->unpack);
	return ret;
}

int vxcap_file_open(struct vxcap_file *file, const struct vxcap_keys *keys, struct err *err)
{
	struct err cause;
	int ret = look(file, err);

	if (!ret && file->size > 0) {
		file->keys = keys;
		file->altered_at = UINT64_MAX;
		ret = open_content(file, &cause);
		if (ret)
			err_set(err, ret, "%s: %s", file->path, cause.text);
	}
	if (ret)
		vxcap_file_close(file);
	return ret;
}

void vxcap_file_close(struct vxcap_file *file)
{
	unpack_close(file->unpack);
	unseal_close(file->unseal);
	if (file->fd >= 0)
		close(file->fd);
	file->unpack = NULL;
	file->unseal = NULL;
	file->fd = -1;
}
