#define _GNU_SOURCE /* asprintf */
#include "vxcap_evidence_part.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/progress.h"
#include "vxcap_content.h"
#include "vxcap_find.h"
#include "vxcap_match.h"

/* twalk has no argument to give on. */
static struct check *current;

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

static char *path_of(struct check *c, const char *name)
{
	char *path = NULL;

	if (asprintf(&path, "%s/%s", c->config->folder, name) >= 0)
		return path;
	c->out_of_memory = true;
	return NULL;
}

static bool is_rewrapped(struct check *c, const struct known *k)
{
	struct err err;
	char *path = c->config->keys ? path_of(c, k->name) : NULL;
	const bool is = path && !vxcap_match_rewrapped(path, c->config->keys, (uint64_t)k->bytes,
						       k->sha256, show_progress, &err);

	free(path);
	return is;
}

static void say_altered(struct check *c, const struct known *k, const uint8_t *sha256, uint64_t len)
{
	const struct known *other = find_content(c, sha256);

	if (other)
		vxcap_evidence_remark(c, VXCAP_SWAPPED, k->entry, k->name,
				      "it has the content of %s", other->name);
	else if (len != (uint64_t)k->bytes)
		vxcap_evidence_remark(c, VXCAP_ALTERED, k->entry, k->name,
				      "it has %" PRIu64 " bytes, and %" PRId64
				      " when it was entered%s",
				      len, k->bytes,
				      len > (uint64_t)k->bytes && !c->config->keys
					      ? "; whether it was rewrapped -i shows"
					      : "");
	else
		vxcap_evidence_remark(c, VXCAP_ALTERED, k->entry, k->name,
				      "its bytes are not those that were entered");
}

enum found { AS_ENTERED, REWRAPPED, WRONG };

static enum found compare_hash(struct check *c, struct known *k)
{
	uint8_t sha256[CHAIN_HASH];
	uint64_t len;
	const int ret = hash_file(c, k->name, sha256, &len);

	k->is_gone = ret == -ENOENT; /* it was listed: was it deleted meanwhile? */
	if (k->is_gone)
		return WRONG;
	if (ret) {
		vxcap_evidence_remark(c, VXCAP_UNREADABLE, k->entry, k->name, "%s", strerror(-ret));
		return WRONG;
	}
	if (!memcmp(sha256, k->sha256, sizeof(sha256)))
		return AS_ENTERED;
	if (len > (uint64_t)k->bytes && is_rewrapped(c, k))
		return REWRAPPED;
	say_altered(c, k, sha256, len);
	return WRONG;
}

/* Without a key for it nothing is known of the content, and nothing wrong with it: its hash is the
 * entry's. */
static bool compare_content(struct check *c, struct known *k)
{
	struct err err;

	if (!c->config->keys || !chain_is_stored(k->name))
		return true;
	char *path = path_of(c, k->name);
	if (!path)
		return false;
	const int ret = vxcap_content_check(path, c->config->keys, k->event == CHAIN_SEALED,
					    k->packets, &err);
	k->is_gone = ret == -ENOENT;
	c->result->unopened += ret == -EACCES;
	if (ret && ret != -EACCES && !k->is_gone)
		vxcap_evidence_remark(c, VXCAP_DAMAGED, k->entry, k->name, "%s", err.text);
	free(path);
	return !ret || ret == -EACCES;
}

static void compare_bytes(struct check *c, struct known *k)
{
	const enum found found = compare_hash(c, k);

	if (found == WRONG || !compare_content(c, k))
		return;
	c->result->good += found == AS_ENTERED;
	c->result->made += found == REWRAPPED;
	if (found == REWRAPPED)
		vxcap_evidence_remark(c, VXCAP_REWRAPPED, k->entry, k->name,
				      "recipients were added to it; what is sealed in it is as it "
				      "was entered");
}

static void compare_file(struct check *c, struct known *k)
{
	if (k->entry && !k->is_good)
		vxcap_evidence_remark(c, VXCAP_UNPROVEN, k->entry, k->name,
				      "the entry that names it is not as it was");
	else if (k->event == CHAIN_UNREADABLE && k->entry)
		vxcap_evidence_remark(c, VXCAP_UNREADABLE, k->entry, k->name,
				      "the disk did not give it back when it was sealed");
	else if (!k->entry)
		vxcap_evidence_remark(c, VXCAP_APPENDED, k->deleted, k->name,
				      "the chain knows it as deleted alone");
	else
		compare_bytes(c, k);
	if (k->deleted && !k->is_gone)
		vxcap_evidence_remark(c, VXCAP_NOTE, k->deleted, k->name,
				      "is here, though it says deleted");
}

/* ---- files that no entry names ---- */

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The unfinished file that recover made a whole one of this name of; NULL: there is none that an
 * entry proves as it lies there. */
static const struct known *find_unfinished(const struct check *c, const struct vxcap_files *files,
					   const char *name)
{
	uint8_t sha256[CHAIN_HASH];
	const char *stem;
	uint64_t bytes;

	for (size_t i = 0; i < files->n; i++) {
		const char *other = base_of(files->file[i].path);
		const size_t len = vxcap_file_stem(other, &stem);
		const struct known *k = len && vxcap_file_is_whole_of(name, stem, len)
						? vxcap_evidence_find(c, other)
						: NULL;
		if (k && k->entry && k->is_good && !hash_file(c, other, sha256, &bytes) &&
		    !memcmp(sha256, k->sha256, sizeof(sha256)))
			return k;
	}
	return NULL;
}

/* True: nothing is wrong with it, and that is said. */
static bool is_recovered(struct check *c, const struct known *of, const char *name, struct err *why)
{
	char *whole = path_of(c, name), *unfinished = path_of(c, of->name);
	const int ret = whole && unfinished
				? vxcap_match_recovered(whole, unfinished, c->config->keys, why)
				: err_set(why, -ENOMEM, "out of memory");

	free(whole);
	free(unfinished);
	if (ret)
		return false;
	c->result->made++;
	vxcap_evidence_remark(c, VXCAP_RECOVERED, of->entry, name,
			      "it has the packets of %s, those and no others", of->name);
	return true;
}

static const char *say_new(const struct check *c, const char *path)
{
	struct stat st;

	return c->result->entries > 0 && !lstat(path, &st) &&
			       (uint64_t)st.st_mtim.tv_sec > c->time_ns / 1000000000
		       ? "no entry names it; it is newer than the last one: the chain's end is cut "
			 "off, or the probe has not come to it yet"
		       : "no entry names it";
}

static void compare_unnamed(struct check *c, const struct vxcap_files *files, const char *path)
{
	const char *name = base_of(path);
	const struct known *of = find_unfinished(c, files, name);
	struct err why;

	if (!of)
		vxcap_evidence_remark(c, VXCAP_APPENDED, 0, name, "%s", say_new(c, path));
	else if (!c->config->keys)
		vxcap_evidence_remark(c, VXCAP_APPENDED, 0, name,
				      "no entry names it; by its name recover made it of %s: -i "
				      "shows whether it has the same packets",
				      of->name);
	else if (!is_recovered(c, of, name, &why))
		vxcap_evidence_remark(
			c, VXCAP_APPENDED, 0, name,
			"no entry names it; by its name recover made it of %s, but: %s", of->name,
			why.text);
}

/* ---- all files ---- */

/* True: some went away meanwhile. */
static bool compare_present(struct check *c, const struct vxcap_files *files)
{
	bool any_gone = false;

	for (size_t i = 0; i < files->n; i++) {
		const char *path = files->file[i].path, *name = base_of(path);
		struct known *k = vxcap_evidence_find(c, name);

		if (!is_wanted(c, name))
			continue;
		if (name[0] == '.')
			c->result->open++;
		else if (k)
			compare_file(c, k);
		else
			compare_unnamed(c, files, path);
		if (k)
			k->is_seen = !k->is_gone;
		any_gone |= k && k->is_gone;
	}
	return any_gone;
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
	k->is_gone = fstatat(c->dir_fd, k->name, &st, AT_SYMLINK_NOFOLLOW) != 0;
	if (!k->is_gone)
		compare_file(c, k);
	if (k->is_gone && k->deleted)
		c->result->expired++;
	else if (k->is_gone)
		vxcap_evidence_remark(c, VXCAP_MISSING, k->entry, k->name,
				      "no entry says that it was deleted");
	k->is_seen = true;
}

/* Files that were asked for and that neither side has. */
static void compare_unknown(struct check *c, const struct vxcap_files *files)
{
	for (unsigned i = 0; i < c->config->n_names; i++) {
		bool is_there = vxcap_evidence_find(c, c->config->names[i]);
		for (size_t j = 0; j < files->n; j++)
			is_there |= !strcmp(base_of(files->file[j].path), c->config->names[i]);
		if (!is_there)
			vxcap_evidence_remark(c, VXCAP_MISSING, 0, c->config->names[i],
					      "no entry names it");
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

static int compare_all(struct check *c, const struct vxcap_files *files, struct err *err)
{
	int ret = vxcap_evidence_read(c, err);

	/* A probe may be at work: what it deletes meanwhile is entered soon after. */
	if (!ret && compare_present(c, files))
		ret = vxcap_evidence_reread(c, err);
	if (ret)
		return ret;
	current = c;
	twalk(c->known, compare_absent);
	compare_unknown(c, files);
	return 0;
}

static void remark_counts(struct check *c)
{
	if (c->unhashed)
		vxcap_evidence_remark(
			c, VXCAP_NOTE, 0, NULL,
			"%" PRIu64 " files or events got no entry when they came: the disk was too "
			"slow to read them back",
			c->unhashed);
	if (c->result->unopened)
		vxcap_evidence_remark(c, VXCAP_NOTE, 0, NULL,
				      "%" PRIu64 " files are sealed to others: their bytes are as "
				      "entered, their content was not looked at",
				      c->result->unopened);
}

static int check_folder(struct check *c, struct err *err)
{
	struct vxcap_files files = {0};
	char *folder = (char *)c->config->folder;
	int ret = vxcap_files_find(&files, &folder, 1, err);

	if (!ret) {
		progress_begin("verifying", bytes_of(c, &files));
		ret = compare_all(c, &files, err);
		progress_end();
	}
	vxcap_files_fini(&files);
	remark_counts(c);
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
	vxcap_evidence_free(&c);
	(void)close(c.dir_fd);
	return ret;
}
