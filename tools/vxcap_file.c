#define _GNU_SOURCE /* asprintf */
#include "vxcap_file.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/io.h"
#include "base/progress.h"
#include "path/pack.h"

static const char AGE_MAGIC[] = "age-encryption.org/";

int vxcap_keys_read(struct vxcap_keys *keys, const char *path, struct err *err)
{
	const int n = seal_identities_read(keys->identity + keys->n, VXCAP_IDENTITIES_MAX - keys->n,
					   path, err);
	if (n < 0)
		return n;
	keys->n += (unsigned)n;
	return 0;
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
		return ends_with(name, ".part");
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

static int add_folder(struct vxcap_files *files, const char *dir, struct err *err)
{
	struct dirent **entries;
	const int n = scandir(dir, &entries, select_stored, alphasort);
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
	return ret;
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

/* Of the size that was looked up, also when the file has grown since. */
static struct unseal_source sealed_source(struct vxcap_file *file)
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

	file->fd = open(file->path, O_RDONLY | O_CLOEXEC);
	if (file->fd < 0 || fstat(file->fd, &st))
		return err_set(err, -errno, "cannot open %s: %s", file->path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EINVAL, "%s is neither a file nor a folder", file->path);
	file->size = (uint64_t)st.st_size;
	file->dev = st.st_dev;
	file->inode = st.st_ino;
	file->is_part = name[0] == '.' && ends_with(name, ".part");
	file->is_trunc = strstr(name, "_trunc.") || file->size == 0;
	file->recipients = 0;
	const int ret = recognise(file, err);
	if (ret || !file->is_sealed)
		return ret;
	const struct unseal_source source = sealed_source(file);
	file->recipients = unseal_count_recipients(&source, &cause);
	if (file->recipients < 0)
		return err_set(err, file->recipients, "%s: %s", file->path, cause.text);
	return 0;
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
	const struct vxcap_file *file = arg;

	progress_add(len);
	return unseal_read(file->unseal, offset, buf, len);
}

static int open_content(struct vxcap_file *file, struct err *err)
{
	struct unpack_source source = {.read = read_plain, .arg = file, .size = file->size};

	if (file->is_sealed) {
		if (file->keys->n == 0)
			return err_set(err, -EACCES, "it is encrypted: name an identity with -i");
		const struct unseal_source sealed = sealed_source(file);
		const struct unseal_keys keys = {.identities = file->keys->identity,
						 .n = file->keys->n};
		const int ret = unseal_open(&file->unseal, &sealed, &keys, err);
		if (ret)
			return ret;
		file->is_trunc |= !unseal_is_complete(file->unseal);
		source.read = read_sealed;
		source.size = unseal_size(file->unseal);
	}
	const int ret = unpack_open(&file->unpack, &source, err);
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
