#define _GNU_SOURCE /* asprintf */
#include "vxcap_file.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/progress.h"
#include "path/pack.h"
#include "vxcap_remote.h"
#include "vxcap_time.h"
#include "vxcap_unwrap.h"

#define PART  ".part"
#define TRUNC "_trunc."
#define INDEX ".index"

/* Of what was altered in parts. */
#define WAY_OUT "; vxcap recover takes what is not altered"

#define HEAD_LEN 4096u /* what age's header is read by */
/* As much as an index holds (pack.h). */
#define INDEX_MAX (PACK_FRAMES_MAX * 64u + PACK_FILTERS_MAX + PACK_DEFINITIONS_MAX)

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
	if (option == 'i') /* -ENOENT would say that it is another option */
		return vxcap_keys_read(keys, value, err) ? -EIO : 0;
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

static bool ends_with(const char *text, const char *end)
{
	const size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && !strcmp(text + len - end_len, end);
}

/* ---- bytes, of here or of another host ---- */

static int open_bytes(struct vxcap_file *file, struct err *err)
{
	struct stat st;

	if (file->remote)
		return vxcap_remote_open(&file->far, file->remote, file->path, &file->size, err);
	file->fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (file->fd < 0 || fstat(file->fd, &st))
		return err_set(err, -errno, "cannot open %s: %s", file->path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EINVAL, "%s is neither a file nor a folder", file->path);
	file->size = (uint64_t)st.st_size;
	return 0;
}

static ssize_t read_bytes(const struct vxcap_file *file, uint64_t offset, void *buf, size_t len)
{
	return file->far ? vxcap_remote_read(file->far, offset, buf, len)
			 : io_read_at(file->fd, buf, len, offset);
}

static bool is_open(const struct vxcap_file *file)
{
	return file->fd >= 0 || file->far;
}

static void close_bytes(struct vxcap_file *file)
{
	vxcap_remote_close(file->far);
	if (file->fd >= 0)
		close(file->fd);
	file->far = NULL;
	file->fd = -1;
}

/* ---- looking ---- */

static int read_head(struct vxcap_file *file, struct err *err)
{
	const size_t len = file->size < HEAD_LEN ? (size_t)file->size : HEAD_LEN;

	file->head = calloc(1, HEAD_LEN);
	if (!file->head)
		return err_set(err, -ENOMEM, "out of memory");
	const ssize_t n = read_bytes(file, 0, file->head, len);
	if (n < 0)
		return err_set(err, (int)n, "cannot read %s: %s", file->path, strerror((int)-n));
	file->head_len = (size_t)n;
	return 0;
}

static int recognise(struct vxcap_file *file, struct err *err)
{
	uint32_t magic;

	memcpy(&magic, file->head, sizeof(magic));
	magic = le32toh(magic);
	file->is_sealed = !memcmp(file->head, AGE_MAGIC, sizeof(AGE_MAGIC) - 1);
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

	if (offset >= file->head_len || len > file->head_len - offset)
		return read_bytes(file, offset, buf, len);
	memcpy(buf, file->head + offset, len);
	return (ssize_t)len;
}

struct unseal_source vxcap_file_source(struct vxcap_file *file)
{
	return (struct unseal_source){.read = read_file, .arg = file, .size = file->size};
}

static int look(struct vxcap_file *file, struct err *err)
{
	const char *slash = strrchr(file->path, '/');
	const char *name = slash ? slash + 1 : file->path;
	struct err cause;

	int ret = open_bytes(file, err);
	if (!ret)
		ret = read_head(file, err);
	if (ret)
		return ret;
	file->is_part = name[0] == '.' && ends_with(name, PART);
	file->is_trunc = strstr(name, TRUNC) || file->size == 0;
	file->recipients = 0;
	ret = recognise(file, err);
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

/* From another host the whole of it is asked for at once. offset, len: of the content. */
static void expect(const struct vxcap_file *file, uint64_t offset, uint64_t len)
{
	uint64_t from = offset, to = offset + len;

	if (!file->far)
		return;
	if (file->unseal) {
		to = (to + SEAL_CHUNK - 1) / SEAL_CHUNK * SEAL_CHUNK;
		from -= from % SEAL_CHUNK;
		from += unseal_is_kept(file->unseal, from) ? SEAL_CHUNK : 0;
		from = unseal_stored(file->unseal, from);
		to = unseal_stored(file->unseal, to);
	}
	if (to > file->size)
		to = file->size;
	if (from < to)
		vxcap_remote_expect(file->far, from, (size_t)(to - from));
}

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
	expect(file, offset, len);
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

/* Of the index beside a sealed file: its len bytes become opened entries, in their place. Returns
 * how many bytes those are. */
static size_t unseal_entries(struct vxcap_file *file, uint8_t *p, size_t len)
{
	size_t from = 0, to = 0;

	for (uint64_t i = 0; len - from >= sizeof(uint32_t); i++) {
		uint8_t *const entry = p + from + sizeof(uint32_t);
		uint32_t le;

		memcpy(&le, p + from, sizeof(le));
		const size_t n = le32toh(le);
		if (n > len - from - sizeof(le)) /* not all written */
			break;
		if (unseal_index_entry(file->unseal, i, entry, n, entry)) {
			file->is_index_altered = true;
			break;
		}
		le = htole32((uint32_t)(n - SEAL_TAG));
		memcpy(p + to, &le, sizeof(le));
		memmove(p + to + sizeof(le), entry, n - SEAL_TAG);
		from += sizeof(le) + n;
		to += sizeof(le) + n - SEAL_TAG;
	}
	return to;
}

static uint8_t *read_whole(const struct vxcap_file *file, size_t *len)
{
	uint8_t *p = file->size > 0 && file->size <= INDEX_MAX ? malloc((size_t)file->size) : NULL;
	const ssize_t n = p ? read_bytes(file, 0, p, (size_t)file->size) : -1;

	if (n < 0) {
		free(p);
		return NULL;
	}
	progress_add((uint64_t)n);
	*len = (size_t)n;
	return p;
}

/* The index beside an open file. Its own size was asked for before: what that has, this has. NULL:
 * there is none, and the file is read as one that a crash left. */
static uint8_t *read_part_index(struct vxcap_file *file, size_t *len)
{
	struct vxcap_file beside = {.fd = -1, .remote = file->remote};
	uint8_t *entries = NULL;
	struct err ignored;

	if (asprintf(&beside.path, "%s" INDEX, file->path) < 0)
		return NULL;
	if (!open_bytes(&beside, &ignored))
		entries = read_whole(&beside, len);
	close_bytes(&beside);
	free(beside.path);
	if (entries && file->unseal)
		*len = unseal_entries(file, entries, *len);
	return entries;
}

static int unpack(struct vxcap_file *file, const struct unpack_source *source, struct err *err)
{
	size_t len = 0;
	uint8_t *entries =
		file->is_part && file->uses_part_index ? read_part_index(file, &len) : NULL;

	return entries ? unpack_open_part(&file->unpack, source, &entries, len, err)
		       : unpack_open(&file->unpack, source, err);
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
	int ret = unpack(file, &source, err);
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

int vxcap_file_read_frame(struct vxcap_file *file, unsigned i, uint8_t *out, struct err *err)
{
	struct err cause;

	const struct unpack_frame *frame = unpack_frame(file->unpack, i);

	expect(file, frame->offset, frame->len);
	const int ret = unpack_read(file->unpack, i, out, &cause);
	return ret ? err_set(err, ret, "%s: %s%s", file->path, cause.text,
			     ret == -EBADMSG ? WAY_OUT : "")
		   : 0;
}

int vxcap_file_open(struct vxcap_file *file, const struct vxcap_keys *keys, struct err *err)
{
	struct err cause;
	int ret = is_open(file) ? 0 : look(file, err);

	if (!ret && file->size > 0) {
		file->keys = keys;
		file->altered_at = UINT64_MAX;
		ret = open_content(file, &cause);
		if (ret)
			err_set(err, ret, "%s: %s%s", file->path, cause.text,
				ret == -EBADMSG && file->altered_at < UINT64_MAX ? WAY_OUT : "");
	}
	if (ret)
		vxcap_file_close(file);
	return ret;
}

bool vxcap_file_is_for_others(const struct vxcap_file *file, const struct vxcap_keys *keys, int ret)
{
	/* What may not be read here was not looked at, so is not known to be sealed. */
	return ret == -EACCES && file->is_of_folder && file->is_sealed &&
	       !vxcap_keys_are_none(keys);
}

void vxcap_file_close(struct vxcap_file *file)
{
	unpack_close(file->unpack);
	unseal_close(file->unseal);
	close_bytes(file);
	free(file->head);
	file->unpack = NULL;
	file->unseal = NULL;
	file->head = NULL;
	file->head_len = 0;
}
