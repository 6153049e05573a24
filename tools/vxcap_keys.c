/*
 * vxcap keys: who can open what.
 *
 * A stanza of age's X25519 does not say whose it is: only the secret key tells. So with identities
 * (or a command that has them) this is an answer, and without a count of stanzas.
 */
#include "vxcap.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/plain.h"
#include "base/progress.h"
#include "vxcap_file.h"
#include "vxcap_find.h"
#include "vxcap_time.h"

#define KINDS_MAX   4u     /* different ones of a header that are named */
#define GROUPS_MAX  10000u /* that differ; more are counted together */
#define TEXT_MAX    128u
#define OPENERS_MAX 256u

struct kinds {
	struct {
		char name[UNSEAL_KIND_LEN];
		unsigned n;
	} kind[KINDS_MAX];
	unsigned n, others; /* kinds; stanzas of further kinds */
	uint64_t openers;   /* bit i: identity i opens a stanza */
};

/* Files with the same kinds of stanzas and the same openers. */
struct group {
	char stanzas[TEXT_MAX];
	uint64_t openers;
	bool is_open, by_command; /* not encrypted; opened by --unwrap */
	uint64_t files, bytes, first_ns, last_ns;
};

struct keys {
	struct vxcap_files files;
	struct vxcap_keys keys;
	struct group *groups; /* owned */
	size_t n_groups, groups_cap;
	bool is_list;
};

/* ---- one file ---- */

static void count_kind(void *arg, const char *name, int identity)
{
	struct kinds *kinds = arg;
	unsigned i = 0;

	if (identity >= 0)
		kinds->openers |= UINT64_C(1) << identity;
	while (i < kinds->n && strcmp(kinds->kind[i].name, name))
		i++;
	if (i == KINDS_MAX) {
		kinds->others++;
		return;
	}
	if (i == kinds->n)
		(void)snprintf(kinds->kind[kinds->n++].name, UNSEAL_KIND_LEN, "%s", name);
	kinds->kind[i].n++;
}

static void print_kinds(char out[static TEXT_MAX], const struct kinds *kinds)
{
	size_t at = 0;

	for (unsigned i = 0; i < kinds->n; i++)
		at += (size_t)snprintf(out + at, TEXT_MAX - at, "%s%u %s", i ? ", " : "",
				       kinds->kind[i].n, kinds->kind[i].name);
	if (kinds->others && at < TEXT_MAX)
		(void)snprintf(out + at, TEXT_MAX - at, ", %u others", kinds->others);
}

/* That a stanza opens shows little: anyone can add one. The MAC shows that all belong together. */
static int confirm(const struct keys *keys, struct vxcap_file *file, struct group *group,
		   struct err *err)
{
	const struct unseal_source source = vxcap_file_source(file);
	const struct unseal_keys all = vxcap_keys_unseal(&keys->keys);
	struct unseal *unseal = NULL;

	if (vxcap_keys_are_none(&keys->keys))
		return 0;
	const int ret = unseal_open(&unseal, &source, &all, err);
	group->by_command = !ret && !group->openers;
	unseal_close(unseal);
	return ret == -EACCES ? 0 : ret;
}

/* file is open. */
static int look_at(const struct keys *keys, struct vxcap_file *file, struct group *group,
		   struct err *err)
{
	const struct unseal_source source = vxcap_file_source(file);
	const struct unseal_keys identities = {.identities = keys->keys.identity,
					       .n = keys->keys.n};
	struct kinds kinds = {0};
	const char *name = strrchr(file->path, '/');
	const char *rest;

	*group = (struct group){.stanzas = "-", .files = 1, .bytes = file->size};
	rest = vxcap_time_from_name(&group->first_ns, name ? name : file->path);
	if (rest && !vxcap_time_from_name(&group->last_ns, rest))
		group->last_ns = group->first_ns;
	group->is_open = !file->is_sealed;
	if (group->is_open)
		return 0;
	const int n = unseal_stanzas(&source, &identities, count_kind, &kinds, err);
	if (n < 0)
		return n;
	print_kinds(group->stanzas, &kinds);
	group->openers = kinds.openers;
	return confirm(keys, file, group, err);
}

/* ---- groups ---- */

static bool is_same(const struct group *a, const struct group *b)
{
	return a->openers == b->openers && a->is_open == b->is_open &&
	       a->by_command == b->by_command && !strcmp(a->stanzas, b->stanzas);
}

static int add_to_group(struct keys *keys, const struct group *one, struct err *err)
{
	struct group *group = keys->groups, *const end = group + keys->n_groups;

	while (group < end && !is_same(group, one))
		group++;
	if (group == end && keys->n_groups == GROUPS_MAX)
		return err_set(err, -E2BIG, "over %u different headers: name fewer files",
			       GROUPS_MAX);
	if (group == end) {
		if (array_grow((void **)&keys->groups, &keys->groups_cap, keys->n_groups + 1,
			       sizeof(*group)))
			return err_set(err, -ENOMEM, "out of memory");
		keys->groups[keys->n_groups++] = *one;
		return 0;
	}
	group->files++;
	group->bytes += one->bytes;
	if (one->first_ns && (!group->first_ns || one->first_ns < group->first_ns))
		group->first_ns = one->first_ns;
	if (one->last_ns > group->last_ns)
		group->last_ns = one->last_ns;
	return 0;
}

/* ---- showing ---- */

static void print_openers(char out[static OPENERS_MAX], const struct keys *keys,
			  const struct group *group)
{
	size_t at = 0;

	(void)snprintf(out, OPENERS_MAX, "%s",
		       group->is_open                     ? "anyone: not encrypted"
		       : group->by_command                ? "the command of --unwrap"
		       : vxcap_keys_are_none(&keys->keys) ? "not told: no -i"
							  : "none of those given");
	for (unsigned i = 0; i < keys->keys.n; i++)
		if (group->openers >> i & 1)
			at += (size_t)snprintf(out + at, OPENERS_MAX - at, "%s%u",
					       at ? ", " : "identity ", i + 1);
}

static void print_groups(const struct keys *keys)
{
	(void)printf("%8s %15s  %-20s  %-20s  %-12s  %s\n", "FILES", "BYTES", "FIRST", "LAST",
		     "STANZAS", "OPENED BY");
	for (size_t i = 0; i < keys->n_groups; i++) {
		const struct group *group = &keys->groups[i];
		char first[VXCAP_TIME_LEN] = "-", last[VXCAP_TIME_LEN] = "-", by[OPENERS_MAX];

		if (group->first_ns) {
			vxcap_time_format(first, group->first_ns);
			vxcap_time_format(last, group->last_ns);
		}
		print_openers(by, keys, group);
		(void)printf("%8" PRIu64 " %15" PRIu64 "  %-20s  %-20s  %-12s  %s\n", group->files,
			     group->bytes, first, last, group->stanzas, by);
	}
}

static void print_identities(const struct vxcap_keys *keys)
{
	for (unsigned i = 0; i < keys->n; i++) {
		struct seal_recipient recipient;
		char text[64];

		if (seal_identity_recipient(&keys->identity[i], &recipient))
			continue;
		seal_recipient_format(&recipient, text);
		(void)printf("identity %u: %s, of %s\n", i + 1, text, keys->origin[i]);
	}
	if (vxcap_keys_are_none(keys))
		(void)puts(
			"A stanza does not say whose it is: -i IDENTITY tells what that identity "
			"opens.");
}

static void print_file(const struct keys *keys, const struct vxcap_file *file,
		       const struct group *one)
{
	char by[OPENERS_MAX], path[PATH_MAX];

	print_openers(by, keys, one);
	progress_hide();
	(void)snprintf(path, sizeof(path), "%s", file->path);
	(void)printf("%s  %s  %s\n", plain_text(path), one->stanzas, by);
}

/* ---- the command ---- */

static int take_file(struct keys *keys, struct vxcap_file *file)
{
	struct group one;
	struct err err, cause;
	int ret = vxcap_file_hold(file, &err);

	if (ret) {
		vxcap_say("%s", err.text);
		return ret;
	}
	ret = look_at(keys, file, &one, &cause);
	if (!ret && keys->is_list)
		print_file(keys, file, &one);
	else if (!ret)
		ret = add_to_group(keys, &one, &cause);
	if (ret)
		vxcap_say("%s: %s", file->path, cause.text);
	vxcap_file_close(file);
	return ret;
}

static const struct option OPTIONS[] = {
	VXCAP_KEYS_LONG,
	VXCAP_REMOTE_LONG,
	{"list", no_argument, NULL, 'l'},
	{0},
};

/* -EINVAL: the command line is wrong. */
static int parse(struct keys *keys, int argc, char **argv, struct err *err)
{
	int option;

	while ((option = vxcap_option(argc, argv, VXCAP_KEYS_SHORT "lr:", OPTIONS)) != -1) {
		int ret = vxcap_keys_option(&keys->keys, option, optarg, err);

		if (ret == -ENOENT)
			ret = vxcap_remote_option(&keys->files, option, optarg);
		keys->is_list |= option == 'l';
		if (option == 'r')
			return err_set(err, -EINVAL,
				       "a public key cannot be looked for: X25519 stanzas do not "
				       "say whose they are; give the identity with -i");
		if (ret == -ENOENT && option != 'l')
			return err_set(err, -EINVAL,
				       "%s: keys has no such option, or its value is missing",
				       argv[optind - 1]);
		if (ret && ret != -ENOENT)
			return -EIO;
	}
	if (optind == argc)
		return err_set(err, -EINVAL, "keys needs a FILE or a DIR");
	return vxcap_files_find(&keys->files, argv + optind, argc - optind, err) ? -EIO : 0;
}

static int show(struct keys *keys)
{
	int code = EXIT_DONE;

	progress_begin("reading headers", 0);
	for (size_t i = 0; i < keys->files.n; i++)
		if (take_file(keys, &keys->files.file[i]))
			code = EXIT_FAILED;
	progress_end();
	if (!keys->is_list)
		print_groups(keys);
	print_identities(&keys->keys);
	if (fflush(stdout) && errno != EPIPE) {
		vxcap_say("cannot write the list: %s", strerror(errno));
		return EXIT_FAILED;
	}
	return code;
}

int vxcap_keys(int argc, char **argv)
{
	struct keys keys = {.files = {.may_be_remote = true}};
	struct err err;
	int code = EXIT_FAILED;

	const int ret = parse(&keys, argc, argv, &err);
	if (ret == -EINVAL)
		code = vxcap_usage("%s", err.text);
	else if (ret)
		vxcap_say("%s", err.text);
	else
		code = show(&keys);
	free(keys.groups);
	vxcap_files_fini(&keys.files);
	vxcap_keys_wipe(&keys.keys);
	return code;
}
