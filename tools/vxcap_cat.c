/*
 * vxcap cat: the wanted packets of many files as one plain pcapng.
 */
#include "vxcap.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/progress.h"
#include "vxcap_file.h"
#include "vxcap_filter.h"
#include "vxcap_merge.h"
#include "vxcap_output.h"
#include "vxcap_time.h"

#define VNI_MAX 0xFFFFFFu /* RFC 7348 section 5: 24 bits */

struct cat {
	struct vxcap_keys keys;
	struct vxcap_filter filter;
	struct vxcap_files files;
	const char *out_path;
};

/* ---- options ---- */

enum { OPTION_SESSION = 256, OPTION_VNI, OPTION_NF, OPTION_FROM, OPTION_TO };

static const struct option OPTIONS[] = {
	{"session", required_argument, NULL, OPTION_SESSION},
	{"vni", required_argument, NULL, OPTION_VNI},
	{"nf", required_argument, NULL, OPTION_NF},
	{"from", required_argument, NULL, OPTION_FROM},
	{"to", required_argument, NULL, OPTION_TO},
	{0},
};

static int parse_vni(struct vxcap_filter *filter, const char *text, struct err *err)
{
	char *end;
	const unsigned long vni = strtoul(text, &end, 10); /* too long: ULONG_MAX */

	if (!isdigit((unsigned char)*text) || *end || vni > VNI_MAX)
		return err_set(err, -EINVAL, "--vni %s is no VNI: 0 to %u are", text, VNI_MAX);
	filter->vni = (uint32_t)vni;
	filter->has_vni = true;
	return 0;
}

static int parse_time(uint64_t *out, const char *option, const char *text, struct err *err)
{
	if (!vxcap_time_parse(out, text))
		return 0;
	return err_set(err, -EINVAL,
		       "%s %s is no time: write 2026-11-21T10:00:00Z or seconds since 1970", option,
		       text);
}

/* -EINVAL: the command line is wrong. */
static int take_option(struct cat *cat, int option, const char *value, struct err *err)
{
	switch (option) {
	case 'i':
		return vxcap_keys_read(&cat->keys, value, err) ? -EIO : 0;
	case 'f':
		return vxcap_filter_compile(&cat->filter, value, err);
	case 'w':
		cat->out_path = value;
		return 0;
	case OPTION_SESSION:
		cat->filter.session = value;
		return 0;
	case OPTION_VNI:
		return parse_vni(&cat->filter, value, err);
	case OPTION_NF:
		cat->filter.nf = value;
		return 0;
	case OPTION_FROM:
		return parse_time(&cat->filter.from_ns, "--from", value, err);
	case OPTION_TO:
		return parse_time(&cat->filter.to_ns, "--to", value, err);
	default:
		return err_set(err, -EINVAL, "%s: cat has no such option, or its value is missing",
			       value);
	}
}

static int parse(struct cat *cat, int argc, char **argv, struct err *err)
{
	int option, ret;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "i:f:w:", OPTIONS, NULL)) != -1) {
		ret = take_option(cat, option, optarg ? optarg : argv[optind - 1], err);
		if (ret)
			return ret;
	}
	if (optind == argc)
		return err_set(err, -EINVAL, "cat needs a FILE or a DIR");
	if (cat->filter.from_ns >= cat->filter.to_ns)
		return err_set(err, -EINVAL, "--from is not before --to: no packet can be between");
	if (!strcmp(cat->out_path, "-") && isatty(STDOUT_FILENO))
		return err_set(
			err, -EINVAL,
			"packets do not go to a terminal: use -w FILE, or a pipe behind -w -");
	return vxcap_files_find(&cat->files, argv + optind, argc - optind, err) ? -EIO : 0;
}

/* ---- work ---- */

static void warn_when_cut(const struct vxcap_file *file)
{
	if (file->is_part)
		vxcap_say(
			"%s is being written, or was left by a crash: this is what is readable now",
			file->path);
	else if (file->is_trunc)
		vxcap_say("%s is truncated: this is what is readable", file->path);
}

/* Creating the output must not destroy an input. */
static int check_output(const struct cat *cat, struct err *err)
{
	struct stat st;

	if (!strcmp(cat->out_path, "-") || stat(cat->out_path, &st))
		return 0;
	for (size_t i = 0; i < cat->files.n; i++)
		if (cat->files.file[i].dev == st.st_dev && cat->files.file[i].inode == st.st_ino)
			return err_set(err, -EINVAL, "%s is an input: write to another file",
				       cat->out_path);
	return 0;
}

/* Every file is open once, and readable, before the first byte is written. */
static int add_files(struct cat *cat, struct vxcap_merge *merge, struct err *err)
{
	int ret = 0;

	progress_begin("reading indexes", 0);
	for (size_t i = 0; i < cat->files.n && !ret; i++) {
		struct vxcap_file *file = &cat->files.file[i];

		ret = vxcap_file_open(file, &cat->keys, err);
		if (ret)
			break;
		warn_when_cut(file);
		ret = vxcap_merge_add(merge, file, err);
	}
	progress_end();
	return ret ? ret : check_output(cat, err);
}

static int write_packets(struct vxcap_merge *merge, struct vxcap_output *output, uint64_t *n,
			 struct err *err)
{
	progress_begin("reading", vxcap_merge_size(merge));
	int ret = vxcap_merge_run(merge, n, err);
	if (!ret)
		ret = vxcap_output_finish(output, err);
	progress_end();
	return ret;
}

static int run(struct cat *cat, struct err *err)
{
	struct vxcap_output *output = NULL;
	struct vxcap_merge *merge = NULL;
	uint64_t n = 0;

	int ret = vxcap_output_open(&output, err);
	if (!ret)
		ret = vxcap_merge_open(&merge, &cat->filter, output, err);
	if (!ret)
		ret = add_files(cat, merge, err);
	if (!ret)
		ret = vxcap_output_start(output, cat->out_path, err);
	if (!ret)
		ret = write_packets(merge, output, &n, err);
	if (!ret && n == 0)
		vxcap_say("no packet was selected");
	vxcap_merge_close(merge);
	vxcap_output_close(output);
	return ret;
}

int vxcap_cat(int argc, char **argv)
{
	struct cat cat = {.out_path = "-"};
	struct err err;
	int code = EXIT_DONE;

	vxcap_filter_init(&cat.filter);
	int ret = parse(&cat, argc, argv, &err);
	if (ret == -EINVAL) {
		code = vxcap_usage("%s", err.text);
	} else {
		if (!ret)
			ret = run(&cat, &err);
		if (ret && ret != -EPIPE) { /* who read our output has seen enough */
			vxcap_say("%s", err.text);
			code = EXIT_FAILED;
		}
	}
	vxcap_filter_fini(&cat.filter);
	vxcap_files_fini(&cat.files);
	explicit_bzero(&cat.keys, sizeof(cat.keys));
	return code;
}
