/*
 * vxcap ls: one row for each file.
 */
#include "vxcap.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/plain.h"
#include "base/progress.h"
#include "path/block_read.h"
#include "path/pack.h"
#include "vxcap_file.h"
#include "vxcap_find.h"
#include "vxcap_json.h"
#include "vxcap_time.h"

#define ROW     "%-*s %-9s %-20s %-20s %14s %10s %12s %8s\n"
#define UNKNOWN "-"

struct list {
	struct vxcap_files files;
	struct vxcap_keys keys;
	bool has_sessions;   /* a line for each */
	int width;           /* of the names' column */
	json_t *rows;        /* NULL: a table for people */
	unsigned for_others; /* files of folders that no key opens */
};

/* What is known of a file: by its name, and by its content where that can be read. */
struct row {
	char first[VXCAP_TIME_LEN], last[VXCAP_TIME_LEN]; /* "": not known */
	bool has_content;
	uint64_t packets;
	json_t *sessions; /* array of their names and descriptions */
};

/* ---- what is there ---- */

static json_t *sessions_of(const struct unpack *unpack)
{
	json_t *all = json_array();
	struct block_reader *reader;
	struct err ignored;
	size_t len, used;

	const uint8_t *p = unpack_interfaces(unpack, &len);
	if (block_reader_open(&reader, &ignored))
		return all;
	for (struct block block; len > 0 && !block_read(reader, p, len, &block, &used, &ignored);) {
		if (block.kind == BLOCK_INTERFACE)
			(void)json_array_append_new(
				all, json_pack("{s:o, s:o}", "name",
					       vxcap_json_text(plain_text(block.interface.name)),
					       "description",
					       vxcap_json_text(
						       plain_text(block.interface.description))));
		p += used;
		len -= used;
	}
	block_reader_close(reader);
	return all;
}

static void read_name(struct row *row, const char *path)
{
	const char *slash = strrchr(path, '/');
	uint64_t time_ns;

	const char *rest = vxcap_time_from_name(&time_ns, slash ? slash : path);
	if (rest)
		vxcap_time_format(row->first, time_ns);
	if (rest && vxcap_time_from_name(&time_ns, rest))
		vxcap_time_format(row->last, time_ns);
}

static void read_content(struct row *row, const struct unpack *unpack)
{
	uint64_t first_ns = UINT64_MAX, last_ns = 0;

	for (unsigned i = 0; i < unpack_frames(unpack); i++) {
		const struct unpack_frame *frame = unpack_frame(unpack, i);

		row->packets += frame->packets;
		if (frame->packets && frame->first_ns < first_ns)
			first_ns = frame->first_ns;
		if (frame->packets && frame->last_ns > last_ns)
			last_ns = frame->last_ns;
	}
	row->has_content = true;
	row->sessions = sessions_of(unpack);
	if (row->packets) {
		vxcap_time_format(row->first, first_ns);
		vxcap_time_format(row->last, last_ns);
	}
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

/* ---- as a table ---- */

static void print_sessions(const json_t *sessions)
{
	const json_t *session;
	size_t i;

	json_array_foreach(sessions, i, session) {
		(void)printf("  %s  %s\n", json_string_value(json_object_get(session, "name")),
			     json_string_value(json_object_get(session, "description")));
	}
}

static void print_row(const struct list *list, const struct vxcap_file *file, const struct row *row)
{
	char bytes[24], recipients[12], packets[24] = UNKNOWN, sessions[24] = UNKNOWN;
	char path[PATH_MAX];

	(void)snprintf(bytes, sizeof(bytes), "%" PRIu64, file->size);
	(void)snprintf(recipients, sizeof(recipients), "%d", file->recipients);
	if (row->has_content) {
		(void)snprintf(packets, sizeof(packets), "%" PRIu64, row->packets);
		(void)snprintf(sessions, sizeof(sessions), "%zu", json_array_size(row->sessions));
	}
	(void)snprintf(path, sizeof(path), "%s", file->path);
	(void)printf(ROW, list->width, plain_text(path), state_name(file),
		     *row->first ? row->first : UNKNOWN, *row->last ? row->last : UNKNOWN, bytes,
		     recipients, packets, sessions);
	if (list->has_sessions)
		print_sessions(row->sessions);
}

/* ---- as JSON ---- */

/* null: not known. */
static json_t *time_of(const char *text)
{
	return *text ? json_string(text) : json_null();
}

static json_t *json_of(const struct vxcap_file *file, const struct row *row)
{
	return json_pack("{s:o, s:s, s:o, s:o, s:I, s:i, s:o, s:O?}", "name",
			 vxcap_json_text(file->path), "state", state_name(file), "first",
			 time_of(row->first), "last", time_of(row->last), "bytes",
			 (json_int_t)file->size, "recipients", file->recipients, "packets",
			 row->has_content ? json_integer((json_int_t)row->packets) : json_null(),
			 "sessions", row->sessions);
}

/* ---- both ---- */

/* Lists what can be known of the file even when its content cannot be read. */
static int list_file(struct list *list, struct vxcap_file *file)
{
	struct row row = {.has_content = false};
	struct err err;
	int ret = vxcap_file_hold(file, &err);

	const int follows = ret == -ENOENT ? vxcap_files_follow(&list->files, file) : ret;
	if (follows == -EEXIST)
		return 0;
	if (ret == -ENOENT && !follows)
		ret = vxcap_file_hold(file, &err);
	if (ret == -ENOENT && file->is_of_folder) {
		vxcap_say("%s was deleted meanwhile", file->path);
		return 0;
	}
	if (ret) {
		vxcap_say("%s", err.text);
		return ret;
	}
	file->uses_part_index = true;
	if (!file->is_sealed || !vxcap_keys_are_none(&list->keys))
		ret = vxcap_file_open(file, &list->keys, &err);
	progress_hide();
	read_name(&row, file->path);
	if (file->unpack)
		read_content(&row, file->unpack);
	if (list->rows)
		(void)json_array_append_new(list->rows, json_of(file, &row));
	else
		print_row(list, file, &row);
	if (vxcap_file_is_for_others(file, &list->keys, ret))
		list->for_others++;
	else if (ret)
		vxcap_say("%s", err.text);
	json_decref(row.sessions);
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
	if (!list->rows)
		(void)printf(ROW, list->width, "NAME", "STATE", "START", "END", "BYTES",
			     "RECIPIENTS", "PACKETS", "SESSIONS");
	progress_begin("reading indexes", 0);
	for (size_t i = 0; i < list->files.n; i++)
		if (list_file(list, &list->files.file[i]))
			code = EXIT_FAILED;
	progress_end();
	if (list->for_others)
		vxcap_say("%u of %zu files are sealed to others: what is in them is not known",
			  list->for_others, list->files.n);
	if (list->rows) {
		(void)json_dumpf(list->rows, stdout, JSON_INDENT(2));
		(void)putchar('\n');
	}
	if (fflush(stdout) && errno != EPIPE) {
		vxcap_say("cannot write the list: %s", strerror(errno));
		return EXIT_FAILED;
	}
	return code;
}

int vxcap_ls(int argc, char **argv)
{
	static const struct option OPTIONS[] = {
		VXCAP_KEYS_LONG,
		VXCAP_REMOTE_LONG,
		{"sessions", no_argument, NULL, 's'},
		{"json", no_argument, NULL, 'j'},
		{0},
	};
	struct list list = {.files = {.may_be_remote = true}};
	struct err err;
	int option, code = EXIT_FAILED;

	while ((option = vxcap_option(argc, argv, VXCAP_KEYS_SHORT "s", OPTIONS)) != -1) {
		int ret = vxcap_keys_option(&list.keys, option, optarg, &err);

		if (ret == -ENOENT)
			ret = vxcap_remote_option(&list.files, option, optarg);
		list.has_sessions |= option == 's';
		if (option == 'j' && !list.rows)
			list.rows = json_array();
		if (ret == -ENOENT && option != 's' && option != 'j')
			return vxcap_usage(
				"ls takes -i IDENTITY, --unwrap CMD, --ssh-config FILE, -s, "
				"--json and paths, no more");
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
	json_decref(list.rows);
	return code;
}
