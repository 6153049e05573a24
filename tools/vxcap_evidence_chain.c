#define _GNU_SOURCE /* tdestroy */
#include "vxcap_evidence_part.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <search.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/progress.h"
#include "path/chain_walk.h"

void vxcap_evidence_remark(struct check *c, enum vxcap_kind kind, int64_t entry, const char *file,
			   const char *format, ...)
{
	char why[256];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	c->result->findings += vxcap_is_finding(kind);
	c->config->say(c->config->arg, &(struct vxcap_remark){kind, entry, entry, file, why});
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct known *)a)->name, ((const struct known *)b)->name);
}

struct known *vxcap_evidence_find(const struct check *c, const char *name)
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
	struct known *k = vxcap_evidence_find(c, name);

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
		vxcap_evidence_remark(c, VXCAP_REPEATED, e->sequence, e->file,
				      "entry %" PRId64 " was its first", k->entry);
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

	if (c->rereads) {
		if (is_good && e->event == CHAIN_DELETED)
			take_deleted(c, e);
		return;
	}
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
		vxcap_evidence_remark(c, VXCAP_NOTE, e->sequence, NULL,
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

	if (c->rereads)
		return;
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
	if (!c->rereads) {
		(void)chain_walk_head(walk, c->result->head);
		memcpy(c->result->first_key, chain_walk_first_key(walk), CHAIN_KEY);
		c->result->anchored = chain_walk_anchored(walk);
	}
	chain_walk_close(walk);
	return ret;
}

int vxcap_evidence_read(struct check *c, struct err *err)
{
	const int fd =
		openat(c->dir_fd, CHAIN_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");

	if (!file) {
		if (fd >= 0)
			(void)close(fd);
		vxcap_evidence_remark(c, VXCAP_NO_CHAIN, 0, NULL, "%s: %s", CHAIN_FILE,
				      strerror(errno));
		return 0;
	}
	const int ret = walk_chain(c, file, err);
	(void)fclose(file);
	return ret;
}

int vxcap_evidence_reread(struct check *c, struct err *err)
{
	c->rereads = true;
	return vxcap_evidence_read(c, err);
}

void vxcap_evidence_free(struct check *c)
{
	tdestroy(c->known, free_known);
}
