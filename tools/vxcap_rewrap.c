/*
 * vxcap rewrap: one more recipient in the header of a sealed file, the payload as it is.
 */
#define _GNU_SOURCE /* asprintf */
#include "vxcap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/progress.h"
#include "vxcap_file.h"
#include "vxcap_find.h"
#include "vxcap_recipients.h"
#include "vxcap_whole.h"

enum { OPTION_IN_PLACE = 2000 };

struct rewrap {
	struct vxcap_files files;
	struct vxcap_keys keys;
	struct vxcap_recipients recipients;
	struct seal_rewrapped header;
	const char *out_path; /* a file or a folder; NULL: in place */
	bool is_in_place;
	unsigned n; /* files done */
};

/* Where the file goes; the caller's. NULL: out of memory. */
static char *target_of(const struct rewrap *rewrap, const struct vxcap_file *file)
{
	const char *slash = strrchr(file->path, '/');
	struct stat st;
	char *path;

	if (rewrap->is_in_place)
		return strdup(file->path);
	if (stat(rewrap->out_path, &st) || !S_ISDIR(st.st_mode))
		return strdup(rewrap->out_path);
	return asprintf(&path, "%s/%s", rewrap->out_path, slash ? slash + 1 : file->path) < 0
		       ? NULL
		       : path;
}

static int write_file(const struct rewrap *rewrap, const struct vxcap_file *file,
		      struct vxcap_whole *whole, struct err *err)
{
	const struct seal_rewrapped *header = &rewrap->header;
	int ret = vxcap_whole_write(whole, header->header, header->len, err);

	if (!ret)
		ret = vxcap_whole_copy(whole, file->fd, header->old_len,
				       file->size - header->old_len, err);
	if (!ret)
		ret = vxcap_whole_commit(whole, rewrap->is_in_place, err);
	return ret;
}

static int rewrap_open(struct rewrap *rewrap, struct vxcap_file *file, const char *target,
		       struct err *err)
{
	const struct unseal_source source = vxcap_file_source(file);
	const struct unseal_keys keys = vxcap_keys_unseal(&rewrap->keys);
	struct vxcap_whole *whole = NULL;

	if (!file->is_sealed)
		return err_set(err, -EINVAL, "it is not encrypted");
	if (file->is_part && rewrap->is_in_place)
		return err_set(err, -EBUSY, "it may be being written: recover it, or use -w");
	int ret = seal_rewrap(&source, &keys, rewrap->recipients.recipient, rewrap->recipients.n,
			      seal_random, &rewrap->header, err);
	if (!ret)
		ret = vxcap_whole_open(&whole, target, file->fd, err);
	if (!ret)
		ret = write_file(rewrap, file, whole, err);
	vxcap_whole_close(whole);
	return ret;
}

static int rewrap_file(struct rewrap *rewrap, struct vxcap_file *file)
{
	struct err err, cause;
	int ret = vxcap_file_hold(file, &err);

	if (ret) {
		vxcap_say("%s", err.text);
		return ret;
	}
	char *target = target_of(rewrap, file);
	ret = target ? rewrap_open(rewrap, file, target, &cause)
		     : err_set(&cause, -ENOMEM, "out of memory");
	if (ret)
		vxcap_say("%s: %s", file->path, cause.text);
	rewrap->n += !ret;
	free(target);
	vxcap_file_close(file);
	return ret;
}

static const struct option OPTIONS[] = {
	VXCAP_KEYS_LONG,
	VXCAP_RECIPIENTS_LONG,
	{"in-place", no_argument, NULL, OPTION_IN_PLACE},
	{0},
};

static int take_option(struct rewrap *rewrap, int option, const char *value, struct err *err)
{
	int ret = vxcap_keys_option(&rewrap->keys, option, value, err);

	if (ret == -ENOENT)
		ret = vxcap_recipients_option(&rewrap->recipients, option, value, err);
	if (ret != -ENOENT)
		return ret;
	rewrap->is_in_place |= option == OPTION_IN_PLACE;
	if (option == 'w')
		rewrap->out_path = value;
	return option == 'w' || option == OPTION_IN_PLACE ? 0 : -ENOENT;
}

/* -EINVAL: the command line is wrong. */
static int parse(struct rewrap *rewrap, int argc, char **argv, struct err *err)
{
	int option;

	while ((option = vxcap_option(
			argc, argv, VXCAP_KEYS_SHORT VXCAP_RECIPIENTS_SHORT "w:", OPTIONS)) != -1) {
		const int ret = take_option(rewrap, option, optarg, err);

		if (ret == -ENOENT)
			return err_set(err, -EINVAL,
				       "%s: rewrap has no such option, or its value is missing",
				       argv[optind - 1]);
		if (ret)
			return -EIO;
	}
	if (optind == argc)
		return err_set(err, -EINVAL, "rewrap needs a FILE or a DIR");
	if (rewrap->recipients.n == 0)
		return err_set(err, -EINVAL, "rewrap needs -r RECIPIENT or -R FILE: who is added");
	if (vxcap_keys_are_none(&rewrap->keys))
		return err_set(err, -EINVAL,
			       "rewrap needs a key that opens the files: -i IDENTITY or --unwrap");
	if (!rewrap->out_path == !rewrap->is_in_place)
		return err_set(err, -EINVAL, "rewrap needs -w FILE|DIR or --in-place, one of them");
	return vxcap_files_find(&rewrap->files, argv + optind, argc - optind, err) ? -EIO : 0;
}

static int rewrap_files(struct rewrap *rewrap)
{
	int code = EXIT_DONE;
	uint64_t total = 0;

	for (size_t i = 0; i < rewrap->files.n; i++) {
		struct stat st;
		total += stat(rewrap->files.file[i].path, &st) ? 0 : (uint64_t)st.st_size;
	}
	progress_begin("copying", total);
	for (size_t i = 0; i < rewrap->files.n; i++)
		if (rewrap_file(rewrap, &rewrap->files.file[i]))
			code = EXIT_FAILED;
	progress_end();
	(void)printf("%u of %zu files rewrapped; whoever could open them still can, "
		     "also any copy: rewrap revokes nothing\n",
		     rewrap->n, rewrap->files.n);
	return code;
}

int vxcap_rewrap(int argc, char **argv)
{
	static struct rewrap rewrap; /* its header is large */
	struct err err;
	int code = EXIT_FAILED;

	const int ret = parse(&rewrap, argc, argv, &err);
	if (ret == -EINVAL)
		code = vxcap_usage("%s", err.text);
	else if (ret)
		vxcap_say("%s", err.text);
	else
		code = rewrap_files(&rewrap);
	vxcap_files_fini(&rewrap.files);
	vxcap_keys_wipe(&rewrap.keys);
	return code;
}
