/*
 * vxcap cat: the wanted packets of many files as one plain pcapng.
 */
#include "vxcap.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/progress.h"
#include "vxcap_file.h"
#include "vxcap_filter.h"
#include "vxcap_find.h"
#include "vxcap_merge.h"
#include "vxcap_output.h"
#include "vxcap_remote.h"
#include "vxcap_time.h"

#define VNI_MAX 0xFFFFFFu /* RFC 7348 section 5: 24 bits */

/* Freed memory that is kept for what comes next. */
#define KEPT_LEN (32 << 20)

struct cat {
	struct vxcap_keys keys;
	struct vxcap_filter filter;
	struct vxcap_files files;
	const char *out_path;
	bool is_verbose;
	uint64_t files_len;             /* of all files; verbose only */
	unsigned looked_at, for_others; /* files; of these, of folders and opened by no key */
};

/* ---- options ---- */

enum {
	OPTION_SESSION = 256,
	OPTION_VNI,
	OPTION_NF,
	OPTION_FROM,
	OPTION_TO,
	OPTION_FLOW,
	OPTION_COMMUNITY,
	OPTION_HOST,
};

static const struct option OPTIONS[] = {
	{"session", required_argument, NULL, OPTION_SESSION},
	{"vni", required_argument, NULL, OPTION_VNI},
	{"nf", required_argument, NULL, OPTION_NF},
	{"from", required_argument, NULL, OPTION_FROM},
	{"to", required_argument, NULL, OPTION_TO},
	{"flow", required_argument, NULL, OPTION_FLOW},
	{"community-id", required_argument, NULL, OPTION_COMMUNITY},
	{"host", required_argument, NULL, OPTION_HOST},
	{"verbose", no_argument, NULL, 'v'},
	VXCAP_KEYS_LONG,
	VXCAP_REMOTE_LONG,
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
	int ret = vxcap_keys_option(&cat->keys, option, value, err);

	if (ret == -ENOENT)
		ret = vxcap_remote_option(&cat->files, option, value);
	if (ret != -ENOENT)
		return ret ? -EIO : 0;
	switch (option) {
	case 'f':
		return vxcap_filter_compile(&cat->filter, value, err);
	case 'w':
		cat->out_path = value;
		return 0;
	case 'v':
		cat->is_verbose = true;
		return 0;
	case OPTION_FLOW:
		return vxcap_flows_add(&cat->filter.flows, value, err);
	case OPTION_COMMUNITY:
		return vxcap_flows_add_community(&cat->filter.flows, value, err);
	case OPTION_HOST:
		return vxcap_flows_add_host(&cat->filter.flows, value, err);
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

	while ((option = vxcap_option(argc, argv, VXCAP_KEYS_SHORT "f:w:v", OPTIONS)) != -1) {
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
	if (vxcap_files_find(&cat->files, argv + optind, argc - optind, err))
		return -EIO;
	vxcap_files_leave_recovered(&cat->files);
	return 0;
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
	if (file->is_index_altered)
		vxcap_say("%s.index was altered: what it does not tell was found without it",
			  file->path);
}

/* Creating the output must not destroy an input. */
static int check_output(const struct cat *cat, struct err *err)
{
	struct stat st, input;

	if (!strcmp(cat->out_path, "-") || stat(cat->out_path, &st))
		return 0;
	for (size_t i = 0; i < cat->files.n; i++)
		if (!stat(cat->files.file[i].path, &input) && input.st_dev == st.st_dev &&
		    input.st_ino == st.st_ino)
			return err_set(err, -EINVAL, "%s is an input: write to another file",
				       cat->out_path);
	return 0;
}

static void count_file(struct cat *cat, const struct vxcap_file *file)
{
	struct stat st;

	if (file->remote)
		cat->files_len += file->size;
	else if (cat->is_verbose && !stat(file->path, &st))
		cat->files_len += (uint64_t)st.st_size;
}

/* A file that is open now may be sealed, and have another name, before it is its turn. */
static int open_file(struct cat *cat, struct vxcap_file *file, struct err *err)
{
	file->uses_part_index = true;
	const int ret = vxcap_file_open(file, &cat->keys, err);
	if (ret != -ENOENT)
		return ret;
	switch (vxcap_files_follow(&cat->files, file)) {
	case 0:
		return vxcap_file_open(file, &cat->keys, err);
	case -EEXIST:
		return 0; /* it comes under that name */
	default:
		return ret;
	}
}

static int add_file(struct cat *cat, struct vxcap_merge *merge, struct vxcap_file *file,
		    struct err *err)
{
	const int ret = open_file(cat, file, err);

	cat->looked_at++;
	if (vxcap_file_is_for_others(file, &cat->keys, ret)) {
		cat->for_others++;
		return 0;
	}
	if (ret == -ENOENT && file->is_of_folder) { /* retention goes on */
		vxcap_say("%s was deleted meanwhile", file->path);
		return 0;
	}
	if (ret)
		return ret;
	warn_when_cut(file);
	return vxcap_merge_add(merge, file, err);
}

/* Every file that its name does not rule out is open once, and readable, before the first byte is
 * written. */
static int add_files(struct cat *cat, struct vxcap_merge *merge, struct err *err)
{
	int ret = 0;

	progress_begin("reading indexes", 0);
	for (size_t i = 0; i < cat->files.n && !ret; i++) {
		struct vxcap_file *file = &cat->files.file[i];

		count_file(cat, file);
		if (!vxcap_filter_file(&cat->filter, file->path))
			continue;
		ret = add_file(cat, merge, file, err);
	}
	progress_end();
	if (!ret && cat->for_others && cat->for_others == cat->looked_at)
		return -EACCES; /* err is the last one's */
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

/* Bytes that this process has read so far, by whatever call: proc(5). */
static uint64_t bytes_read(void)
{
	uint64_t n = 0;
	FILE *f = fopen("/proc/self/io", "re");

	if (f && fscanf(f, "rchar: %" SCNu64, &n) != 1)
		n = 0;
	if (f)
		(void)fclose(f);
	return n;
}

static void say_counts(const struct cat *cat, const struct vxcap_merge *merge, uint64_t packets,
		       uint64_t read_len)
{
	const struct vxcap_merge_counts c = vxcap_merge_counts(merge);
	const uint64_t moved = vxcap_remote_moved(cat->files.remote);

	if (moved)
		vxcap_say("%" PRIu64 " bytes moved over SSH, both ways", moved);
	vxcap_say("%" PRIu64 " packets; opened %" PRIu64 " of %zu files, read %" PRIu64
		  " of their %" PRIu64 " frames, %" PRIu64 " of %" PRIu64 " bytes; at most %" PRIu64
		  " MiB of frames at a time",
		  packets, c.files, cat->files.n, c.frames_wanted, c.frames, read_len,
		  cat->files_len, (c.peak_len + (1u << 20) - 1) >> 20);
}

static int run(struct cat *cat, struct err *err)
{
	struct vxcap_output *output = NULL;
	struct vxcap_merge *merge = NULL;
	const uint64_t before = cat->is_verbose ? bytes_read() : 0;
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
	if (!ret && cat->for_others)
		vxcap_say("%u of %u files are sealed to others: left out", cat->for_others,
			  cat->looked_at);
	if (!ret && cat->is_verbose)
		say_counts(cat, merge, n,
			   bytes_read() - before + vxcap_remote_moved(cat->files.remote));
	vxcap_merge_close(merge);
	vxcap_output_close(output);
	return ret;
}

/* Open files stay open until their last frame is read, and a store can have one for each session.
 */
static void allow_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

int vxcap_cat(int argc, char **argv)
{
	struct cat cat = {.out_path = "-", .files = {.may_be_remote = true}};
	struct err err;
	int code = EXIT_DONE;

	/* Each frame's memory is the next one's: given back to the kernel in between, it would be
	 * half of the time. */
	(void)mallopt(M_TRIM_THRESHOLD, KEPT_LEN);
	(void)mallopt(M_MMAP_THRESHOLD, KEPT_LEN);
	allow_files();
	vxcap_filter_init(&cat.filter);
	int ret = parse(&cat, argc, argv, &err);
	if (ret == -EINVAL) {
		code = vxcap_usage("%s", err.text);
	} else {
		if (!ret)
			ret = run(&cat, &err);
		if (cat.for_others)
			code = EXIT_FAILED;
		if (ret && ret != -EPIPE) { /* who read our output has seen enough */
			vxcap_say("%s", err.text);
			code = EXIT_FAILED;
		}
	}
	vxcap_filter_fini(&cat.filter);
	vxcap_files_fini(&cat.files);
	vxcap_keys_wipe(&cat.keys);
	return code;
}
