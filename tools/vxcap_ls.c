/*
 * vxcap ls: one row for each file.
 */
#include "vxcap.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/progress.h"
#include "path/block_read.h"
#include "path/pack.h"
#include "vxcap_file.h"
#include "vxcap_time.h"

#define ROW     "%-*s %-9s %-20s %-20s %14s %10s %12s %8s\n"
#define UNKNOWN "-"

struct list {
	struct vxcap_files files;
	struct vxcap_keys keys;
	bool has_sessions; /* a line for each */
	int width;         /* of the names' column */
};

/* What needs the content. */
struct summary {
	uint64_t packets, first_ns, last_ns;
	unsigned sessions;
};

/* Without what would steer the terminal. */
static void print_text(char *text)
{
	for (char *p = text; *p; p++)
		if (iscntrl((unsigned char)*p))
			*p = '?';
	(void)fputs(text, stdout);
}

static void print_session(struct block_interface *i)
{
	(void)fputs("  ", stdout);
	print_text(i->name);
	(void)fputs("  ", stdout);
	print_text(i->description);
	(void)putchar('\n');
}

/* Counts the sessions, and prints a line for each if asked to. */
static unsigned visit_sessions(const struct unpack *unpack, bool prints)
{
	struct block_reader *reader;
	struct err ignored;
	unsigned n = 0;
	size_t len, used;

	const uint8_t *p = unpack_interfaces(unpack, &len);
	if (block_reader_open(&reader, &ignored))
		return 0;
	for (struct block block; len > 0 && !block_read(reader, p, len, &block, &used, &ignored);) {
		if (block.kind == BLOCK_INTERFACE && prints)
			print_session(&block.interface);
		n += block.kind == BLOCK_INTERFACE;
		p += used;
		len -= used;
	}
	block_reader_close(reader);
	return n;
}

static struct summary summarise(const struct unpack *unpack)
{
	struct summary sum = {.first_ns = UINT64_MAX, .sessions = visit_sessions(unpack, false)};

	for (unsigned i = 0; i < unpack_frames(unpack); i++) {
		const struct unpack_frame *frame = unpack_frame(unpack, i);

		sum.packets += frame->packets;
		if (frame->packets && frame->first_ns < sum.first_ns)
			sum.first_ns = frame->first_ns;
		if (frame->packets && frame->last_ns > sum.last_ns)
			sum.last_ns = frame->last_ns;
	}
	return sum;
}

static const char *state_name(const struct vxcap_file *file)
{
	if (file->is_recovered)
		return "recovered";
	if (file->is_part)
		return "open";
	if (file->is_trunc)
		return "truncated";
	return file->is_sealed ? "sealed" : "plain";
}

static void print_row(const struct vxcap_file *file, int width)
{
	char start[VXCAP_TIME_LEN] = UNKNOWN, end[VXCAP_TIME_LEN] = UNKNOWN;
	char bytes[24], recipients[12], packets[24] = UNKNOWN, sessions[12] = UNKNOWN;
	uint64_t time_ns;

	const char *slash = strrchr(file->path, '/');
	const char *rest = vxcap_time_from_name(&time_ns, slash ? slash : file->path);
	if (rest)
		vxcap_time_format(start, time_ns);
	if (rest && vxcap_time_from_name(&time_ns, rest))
		vxcap_time_format(end, time_ns);
	(void)snprintf(bytes, sizeof(bytes), "%" PRIu64, file->size);
	(void)snprintf(recipients, sizeof(recipients), "%d", file->recipients);
	if (file->unpack) {
		const struct summary sum = summarise(file->unpack);

		(void)snprintf(packets, sizeof(packets), "%" PRIu64, sum.packets);
		(void)snprintf(sessions, sizeof(sessions), "%u", sum.sessions);
		if (sum.packets) {
			vxcap_time_format(start, sum.first_ns);
			vxcap_time_format(end, sum.last_ns);
		}
	}
	(void)printf(ROW, width, file->path, state_name(file), start, end, bytes, recipients,
		     packets, sessions);
}

/* Prints what can be known of the file even when its content cannot be read. */
static int list_file(const struct list *list, struct vxcap_file *file)
{
	struct err err;
	int ret = vxcap_file_look(file, &err);

	if (ret) {
		vxcap_say("%s", err.text);
		return ret;
	}
	if (!file->is_sealed || !vxcap_keys_are_none(&list->keys))
		ret = vxcap_file_open(file, &list->keys, &err);
	progress_hide();
	print_row(file, list->width);
	if (file->unpack && list->has_sessions)
		(void)visit_sessions(file->unpack, true);
	if (ret)
		vxcap_say("%s", err.text);
	vxcap_file_close(file);
	return ret;
}

static int widest_path(const struct vxcap_files *files)
{
	size_t width = strlen("NAME");

	for (size_t i = 0; i < files->n; i++)
		if (strlen(files->file[i].path) > width)
			width = strlen(files->file[i].path);
	return (int)width;
}

static int list_files(struct list *list)
{
	int code = EXIT_DONE;

	list->width = widest_path(&list->files);
	(void)printf(ROW, list->width, "NAME", "STATE", "START", "END", "BYTES", "RECIPIENTS",
		     "PACKETS", "SESSIONS");
	progress_begin("reading indexes", 0);
	for (size_t i = 0; i < list->files.n; i++)
		if (list_file(list, &list->files.file[i]))
			code = EXIT_FAILED;
	progress_end();
	if (fflush(stdout) && errno != EPIPE) {
		vxcap_say("cannot write the list: %s", strerror(errno));
		return EXIT_FAILED;
	}
	return code;
}

int vxcap_ls(int argc, char **argv)
{
	static const struct option OPTIONS[] = {
		VXCAP_KEYS_LONG, {"sessions", no_argument, NULL, 's'}, {0}};
	struct list list = {.has_sessions = false};
	struct err err;
	int option, code = EXIT_FAILED;

	opterr = 0;
	while ((option = getopt_long(argc, argv, VXCAP_KEYS_SHORT "s", OPTIONS, NULL)) != -1) {
		const int ret = vxcap_keys_option(&list.keys, option, optarg, &err);

		list.has_sessions |= option == 's';
		if (ret == -ENOENT && option != 's')
			return vxcap_usage(
				"ls takes -i IDENTITY, --unwrap CMD, -s and paths, no more");
		if (ret && ret != -ENOENT) {
			vxcap_say("%s", err.text);
			return EXIT_FAILED;
		}
	}
	if (optind == argc)
		return vxcap_usage("ls needs a FILE or a DIR");
	if (vxcap_files_find(&list.files, argv + optind, argc - optind, &err))
		vxcap_say("%s", err.text);
	else
		code = list_files(&list);
	vxcap_files_fini(&list.files);
	vxcap_keys_wipe(&list.keys);
	return code;
}
