#define _GNU_SOURCE /* tdestroy, asprintf */
#include "vxcap_evidence.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <search.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/progress.h"
#include "path/chain_walk.h"
#include "vxcap_content.h"

/* What the chain says of one file. */
struct known {
	char *name;
	uint8_t sha256[CHAIN_HASH];
	int64_t bytes, packets; /* packets: -1: not said */
	int64_t entry;          /* that says what it is; 0: none does */
	int64_t deleted;        /* entry that says it is gone; 0: none does */
	enum chain_event event; /* of entry */
	bool is_good;           /* entry is */
	bool is_seen;           /* there is such a file */
};

struct check {
	const struct vxcap_evidence_config *config;
	struct vxcap_evidence_result *result;
	int dir_fd;
	void *known;      /* tree of struct known by name */
	uint64_t time_ns; /* of the latest entry */
	uint64_t unhashed;
	bool out_of_memory;
};

/* twalk has no argument to give on. */
static struct check *current;

/* ---- remarks ---- */

static void __attribute__((format(printf, 5, 6)))
remark(struct check *c, enum vxcap_kind kind, int64_t entry, const char *file, const char *format,
       ...)
{
	char why[256];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	c->result->findings += kind != VXCAP_NOTE;
	c->config->say(c->config->arg, &(struct vxcap_remark){kind, entry, entry, file, why});
}

/* ---- entries ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct known *)a)->name, ((const struct known *)b)->name);
}

static struct known *find(const struct check *c, const char *name)
{
	struct known wanted = {.name = (char *)name};
	struct known **found = tfind(&wanted, &c->known, by_name);

	return found ? *found : NULL;
}

static void free_known(void *memory)
{
	struct known *k = memory;

	free(k->name);
	free(k);
}

static struct known *find_or_add(struct check *c, const char *name)
{
	struct known *k = find(c, name);

	if (k)
		return k;
	k = calloc(1, sizeof(*k));
	if (k)
		k->name = strdup(name);
	if (!k || !k->name || !tsearch(k, &c->known, by_name)) {
		if (k)
			free_known(k);
		c->out_of_memory = true;
		return NULL;
	}
	return k;
}

/* A name is never used twice: what is entered a second time is not what was sealed. */
static void take_file(struct check *c, const struct chain_entry *e, bool is_good)
{
	struct known *k = find_or_add(c, e->file);

	if (!k)
		return;
	if (k->entry && k->is_good) {
		remark(c, VXCAP_REPEATED, e->sequence, e->file, "entry %" PRId64 " was its first",
		       k->entry);
		return;
	}
	memcpy(k->sha256, e->sha256, sizeof(k->sha256));
	k->bytes = e->bytes;
	k->packets = e->event == CHAIN_SEALED ? e->packets : -1;
	k->entry = e->sequence;
	k->event = e->event;
	k->is_good = is_good;
}

static void take_deleted(struct check *c, const struct chain_entry *e)
{
	struct known *k = find_or_add(c, e->file);

	if (k)
		k->deleted = e->sequence;
}

static void take_entry(void *arg, const struct chain_entry *e, bool is_good)
{
	struct check *c = arg;

	if (chain_has_file_hash(e->event) || e->event == CHAIN_UNREADABLE)
		take_file(c, e, is_good);
	if (!is_good)
		return;
	c->result->entries++;
	if (e->event == CHAIN_DELETED)
		take_deleted(c, e);
	if (e->event == CHAIN_UNHASHED)
		c->unhashed += (uint64_t)e->files;
	if (e->time_ns < c->time_ns)
		remark(c, VXCAP_NOTE, e->sequence, NULL,
		       "its time is before that of the entry before it");
	c->time_ns = e->time_ns;
}

static void take_finding(void *arg, const struct chain_finding *f)
{
	static const enum vxcap_kind kind[CHAIN_FAULTS] = {
		[CHAIN_ALTERED] = VXCAP_ALTERED,     [CHAIN_MISSING] = VXCAP_MISSING,
		[CHAIN_MISPLACED] = VXCAP_MISPLACED, [CHAIN_UNPROVEN] = VXCAP_UNPROVEN,
		[CHAIN_CUT] = VXCAP_MISSING,         [CHAIN_EMPTY] = VXCAP_NO_CHAIN,
		[CHAIN_NO_HEAD] = VXCAP_NO_HEAD,     [CHAIN_OTHER_KEY] = VXCAP_OTHER_KEY};
	static const char *const why[CHAIN_FAULTS] = {
		[CHAIN_MISSING] = "what follows is proven no more by the first key",
		[CHAIN_CUT] = "the chain ends within it",
		[CHAIN_EMPTY] = "the chain has no entry",
		[CHAIN_NO_HEAD] = "no entry has the hash of --head: the chain was cut, or replaced",
		[CHAIN_OTHER_KEY] = "the first entry has another key than --first-key"};
	struct check *c = arg;

	c->result->findings++;
	c->config->say(c->config->arg,
		       &(struct vxcap_remark){kind[f->fault], f->first, f->last, NULL,
					      why[f->fault] ? why[f->fault] : f->why});
}

static void walk_lines(struct chain_walk *walk, FILE *file, int *error)
{
	char line[CHAIN_LINE_MAX + 1];
	size_t len;
	int ret;

	while ((ret = chain_read_line(file, line, &len)) && ret != -EIO) {
		chain_walk_line(walk, line, len, ret);
		progress_add(len + 1);
		if (ret == -ENODATA)
			break;
	}
	*error = ret == -EIO ? ret : 0;
}

static int walk_chain(struct check *c, FILE *file, struct err *err)
{
	const struct chain_walk_config config = {.head = c->config->head,
						 .first_key = c->config->first_key,
						 .entry = take_entry,
						 .finding = take_finding,
						 .arg = c};
	struct chain_walk *walk;
	int ret = chain_walk_open(&walk, &config, err);

	if (ret)
		return ret;
	walk_lines(walk, file, &ret);
	if (ret)
		err_set(err, ret, "cannot read %s/%s", c->config->folder, CHAIN_FILE);
	chain_walk_end(walk);
	(void)chain_walk_head(walk, c->result->head);
	memcpy(c->result->first_key, chain_walk_first_key(walk), CHAIN_KEY);
	c->result->anchored = chain_walk_anchored(walk);
	chain_walk_close(walk);
	return ret;
}

static int read_chain(struct check *c, struct err *err)
{
	const int fd =
		openat(c->dir_fd, CHAIN_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");

	if (!file) {
		if (fd >= 0)
			(void)close(fd);
		remark(c, VXCAP_NO_CHAIN, 0, NULL, "%s: %s", CHAIN_FILE, strerror(errno));
		return 0;
	}
	const int ret = walk_chain(c, file, err);
	(void)fclose(file);
	return ret;
}

/* ---- files ---- */

static bool is_wanted(const struct check *c, const char *name)
{
	for (unsigned i = 0; i < c->config->n_names; i++)
		if (!strcmp(c->config->names[i], name))
			return true;
	return !c->config->names;
}

static struct {
	const uint8_t *sha256;
	const struct known *found;
} wanted_hash;

static void match_hash(const void *node, VISIT visit, int depth)
{
	const struct known *k = *(const struct known *const *)node;

	(void)depth;
	if ((visit == postorder || visit == leaf) && k->entry &&
	    !memcmp(k->sha256, wanted_hash.sha256, CHAIN_HASH))
		wanted_hash.found = k;
}

/* The file that was entered with this content, if any. */
static const struct known *find_content(const struct check *c, const uint8_t sha256[CHAIN_HASH])
{
	wanted_hash.sha256 = sha256;
	wanted_hash.found = NULL;
	twalk(c->known, match_hash);
	return wanted_hash.found;
}

static bool show_progress(void *arg, uint64_t more)
{
	(void)arg;
	progress_add(more);
	return true;
}

static int hash_file(const struct check *c, const char *name, uint8_t sha256[CHAIN_HASH],
		     uint64_t *len)
{
	const int fd = openat(c->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return -errno;
	int ret = fstat(fd, &st) ? -errno : S_ISREG(st.st_mode) ? 0 : -EINVAL;
	if (!ret)
		ret = chain_hash_fd(fd, show_progress, NULL, sha256, len);
	(void)close(fd);
	return ret;
}

/* True: it is as its entry says. */
static bool compare_hash(struct check *c, const struct known *k)
{
	uint8_t sha256[CHAIN_HASH];
	uint64_t len;
	const int ret = hash_file(c, k->name, sha256, &len);

	if (ret) {
		remark(c, VXCAP_UNREADABLE, k->entry, k->name, "%s", strerror(-ret));
		return false;
	}
	if (!memcmp(sha256, k->sha256, sizeof(sha256)))
		return true;
	const struct known *other = find_content(c, sha256);
	if (other)
		remark(c, VXCAP_SWAPPED, k->entry, k->name, "it has the content of %s",
		       other->name);
	else if (len != (uint64_t)k->bytes)
		remark(c, VXCAP_ALTERED, k->entry, k->name,
		       "it has %" PRIu64 " bytes, and %" PRId64 " when it was entered", len,
		       k->bytes);
	else
		remark(c, VXCAP_ALTERED, k->entry, k->name,
		       "its bytes are not those that were entered");
	return false;
}

static bool compare_content(struct check *c, const struct known *k)
{
	char *path = NULL;
	struct err err;

	if (!c->config->keys || !chain_is_stored(k->name))
		return true;
	if (asprintf(&path, "%s/%s", c->config->folder, k->name) < 0) {
		c->out_of_memory = true;
		return false;
	}
	const int ret = vxcap_content_check(path, c->config->keys, k->event == CHAIN_SEALED,
					    k->packets, &err);
	if (ret)
		remark(c, VXCAP_DAMAGED, k->entry, k->name, "%s", err.text);
	free(path);
	return !ret;
}

static void compare_file(struct check *c, struct known *k)
{
	if (k->entry && !k->is_good)
		remark(c, VXCAP_UNPROVEN, k->entry, k->name,
		       "the entry that names it is not as it was");
	else if (k->event == CHAIN_UNREADABLE && k->entry)
		remark(c, VXCAP_UNREADABLE, k->entry, k->name,
		       "the disk did not give it back when it was sealed");
	else if (!k->entry)
		remark(c, VXCAP_APPENDED, k->deleted, k->name,
		       "the chain knows it as deleted alone");
	else if (compare_hash(c, k) && compare_content(c, k))
		c->result->good++;
	if (k->deleted)
		remark(c, VXCAP_NOTE, k->deleted, k->name, "is here, though it says deleted");
}

static void say_appended(struct check *c, const char *name, const char *path)
{
	struct stat st;
	const bool is_new =
		!lstat(path, &st) && (uint64_t)st.st_mtim.tv_sec > c->time_ns / 1000000000;

	remark(c, VXCAP_APPENDED, 0, name, "%s",
	       is_new ? "no entry names it; it is newer than the last one: the end of the chain is "
			"cut off, or the probe has not come to it yet"
		      : "no entry names it");
}

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void compare_present(struct check *c, const struct vxcap_files *files)
{
	for (size_t i = 0; i < files->n; i++) {
		const char *path = files->file[i].path, *name = base_of(path);
		struct known *k = find(c, name);

		if (!is_wanted(c, name))
			continue;
		if (k)
			k->is_seen = true;
		if (name[0] == '.')
			c->result->open++;
		else if (k)
			compare_file(c, k);
		else
			say_appended(c, name, path);
	}
}

/* Names without the endings of captures are looked for one by one. */
static void compare_absent(const void *node, VISIT visit, int depth)
{
	struct known *k = *(struct known *const *)node;
	struct check *c = current;
	struct stat st;

	(void)depth;
	if ((visit != postorder && visit != leaf) || k->is_seen || !is_wanted(c, k->name))
		return;
	if (!fstatat(c->dir_fd, k->name, &st, AT_SYMLINK_NOFOLLOW))
		compare_file(c, k);
	else if (k->deleted)
		c->result->expired++;
	else
		remark(c, VXCAP_MISSING, k->entry, k->name, "no entry says that it was deleted");
	k->is_seen = true;
}

/* Files that were asked for and that neither side has. */
static void compare_unknown(struct check *c, const struct vxcap_files *files)
{
	for (unsigned i = 0; i < c->config->n_names; i++) {
		bool is_there = find(c, c->config->names[i]);
		for (size_t j = 0; j < files->n; j++)
			is_there |= !strcmp(base_of(files->file[j].path), c->config->names[i]);
		if (!is_there)
			remark(c, VXCAP_MISSING, 0, c->config->names[i], "no entry names it");
	}
}

static uint64_t bytes_of(const struct check *c, const struct vxcap_files *files)
{
	uint64_t sum = 0;
	struct stat st;

	if (!fstatat(c->dir_fd, CHAIN_FILE, &st, 0))
		sum += (uint64_t)st.st_size;
	for (size_t i = 0; i < files->n; i++)
		if (is_wanted(c, base_of(files->file[i].path)) && !stat(files->file[i].path, &st))
			sum += (uint64_t)st.st_size * (c->config->keys ? 2 : 1);
	return sum;
}

static int check_folder(struct check *c, struct err *err)
{
	struct vxcap_files files = {0};
	char *folder = (char *)c->config->folder;
	int ret = vxcap_files_find(&files, &folder, 1, err);

	if (!ret) {
		progress_begin("verifying", bytes_of(c, &files));
		ret = read_chain(c, err);
		if (!ret) {
			compare_present(c, &files);
			current = c;
			twalk(c->known, compare_absent);
			compare_unknown(c, &files);
		}
		progress_end();
	}
	vxcap_files_fini(&files);
	if (c->unhashed)
		remark(c, VXCAP_NOTE, 0, NULL,
		       "%" PRIu64 " files or events got no entry when they came: the disk was too "
		       "slow to read them back",
		       c->unhashed);
	return ret;
}

int vxcap_evidence_check(const struct vxcap_evidence_config *config,
			 struct vxcap_evidence_result *result, struct err *err)
{
	struct check c = {.config = config, .result = result};

	*result = (struct vxcap_evidence_result){0};
	c.dir_fd = open(config->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c.dir_fd < 0)
		return err_set(err, -errno, "cannot open the folder %s: %s", config->folder,
			       strerror(errno));
	int ret = check_folder(&c, err);
	if (!ret && c.out_of_memory)
		ret = err_set(err, -ENOMEM, "out of memory");
	tdestroy(c.known, free_known);
	(void)close(c.dir_fd);
	return ret;
}
