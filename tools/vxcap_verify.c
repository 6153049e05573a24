/*
 * vxcap verify: are files and chain as the probe left them?
 */
#define _GNU_SOURCE /* asprintf */
#include "vxcap.h"

#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

#include "base/plain.h"
#include "base/progress.h"
#include "vxcap_evidence.h"
#include "vxcap_json.h"
#include "vxcap_url.h"

static const char *const kind_name[] = {
	[VXCAP_ALTERED] = "altered",     [VXCAP_MISSING] = "missing",
	[VXCAP_MISPLACED] = "misplaced", [VXCAP_UNPROVEN] = "unproven",
	[VXCAP_SWAPPED] = "swapped",     [VXCAP_APPENDED] = "appended",
	[VXCAP_REPEATED] = "repeated",   [VXCAP_UNREADABLE] = "unreadable",
	[VXCAP_DAMAGED] = "damaged",     [VXCAP_NO_CHAIN] = "no-chain",
	[VXCAP_NO_HEAD] = "no-head",     [VXCAP_OTHER_KEY] = "other-key",
	[VXCAP_REWRAPPED] = "rewrapped", [VXCAP_RECOVERED] = "recovered",
	[VXCAP_NOTE] = "note",
};

struct verify {
	uint8_t head[CHAIN_HASH], first_key[CHAIN_KEY];
	bool has_head, has_first_key, is_json;
	struct vxcap_keys keys;
	json_t *folders; /* of --json */
	json_t *remarks; /* of the folder in work */
	bool has_findings;
};

/* ---- output ---- */

/* Names come from folders and chains. */
static void print_plain(const char *text)
{
	char plain[PATH_MAX];

	(void)snprintf(plain, sizeof(plain), "%s", text);
	(void)fputs(plain_text(plain), stdout);
}

static void print_remark(const struct vxcap_remark *r)
{
	progress_hide();
	(void)printf("%-10s ", kind_name[r->kind]);
	if (r->file)
		print_plain(r->file);
	if (r->file && r->entry)
		(void)fputs(", ", stdout);
	if (r->entry && r->last != r->entry)
		(void)printf("entries %" PRId64 " to %" PRId64, r->entry, r->last);
	else if (r->entry)
		(void)printf("entry %" PRId64, r->entry);
	(void)fputs(r->file || r->entry ? ": " : "", stdout);
	print_plain(*r->why ? r->why : "-");
	(void)putchar('\n');
}

static void say(void *arg, const struct vxcap_remark *r)
{
	struct verify *v = arg;

	if (!v->is_json) {
		print_remark(r);
		return;
	}
	json_t *o =
		json_pack("{s:s, s:o}", "kind", kind_name[r->kind], "why", vxcap_json_text(r->why));
	if (r->file)
		(void)json_object_set_new(o, "file", vxcap_json_text(r->file));
	if (r->entry) {
		(void)json_object_set_new(o, "entry", json_integer(r->entry));
		(void)json_object_set_new(o, "last", json_integer(r->last));
	}
	(void)json_array_append_new(v->remarks, o);
}

static void print_ends(const struct verify *v, const struct vxcap_evidence_result *r)
{
	char head[2 * CHAIN_HASH + 1], key[2 * CHAIN_KEY + 1];

	chain_hex(r->head, CHAIN_HASH, head);
	chain_hex(r->first_key, CHAIN_KEY, key);
	(void)printf("first key  %s%s\n", key,
		     v->has_first_key ? "" : " (taken on trust: --first-key pins it)");
	(void)printf("head       %s%s\n", head,
		     v->has_head ? "" : " (that nothing is cut off behind it, --head shows)");
}

static void print_result(const struct verify *v, const char *folder,
			 const struct vxcap_evidence_result *r)
{
	(void)printf("%s: %" PRIu64 " files as they were entered, %" PRIu64
		     " rewrapped or recovered, %" PRIu64 " expired, %" PRIu64 " open; %" PRId64
		     " entries\n",
		     folder, r->good, r->made, r->expired, r->open, r->entries);
	if (r->entries)
		print_ends(v, r);
	if (r->anchored)
		(void)printf("anchored   entry %" PRId64 " has the hash of --head\n", r->anchored);
	if (r->findings)
		(void)printf("%" PRIu64 " findings\n", r->findings);
	else
		(void)puts("all is well");
}

static void add_result(struct verify *v, const char *folder, const struct vxcap_evidence_result *r)
{
	char head[2 * CHAIN_HASH + 1], key[2 * CHAIN_KEY + 1];

	chain_hex(r->head, CHAIN_HASH, head);
	chain_hex(r->first_key, CHAIN_KEY, key);
	(void)json_array_append_new(
		v->folders,
		json_pack("{s:o, s:b, s:I, s:s?, s:s?, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:O}",
			  "folder", vxcap_json_text(folder), "ok", !r->findings, "entries",
			  (json_int_t)r->entries, "head", r->entries ? head : NULL, "first_key",
			  r->entries ? key : NULL, "anchored", (json_int_t)r->anchored, "good",
			  (json_int_t)r->good, "made", (json_int_t)r->made, "expired",
			  (json_int_t)r->expired, "open", (json_int_t)r->open, "unopened",
			  (json_int_t)r->unopened, "findings", (json_int_t)r->findings, "remarks",
			  v->remarks));
}

/* ---- work ---- */

static int check(struct verify *v, const char *folder, char *const *names, unsigned n)
{
	const struct vxcap_evidence_config config = {
		.folder = folder,
		.names = n ? names : NULL,
		.n_names = n,
		.head = v->has_head ? v->head : NULL,
		.first_key = v->has_first_key ? v->first_key : NULL,
		.keys = vxcap_keys_are_none(&v->keys) ? NULL : &v->keys,
		.say = say,
		.arg = v};
	struct vxcap_evidence_result result;
	struct err err;

	v->remarks = json_array();
	const int ret = vxcap_evidence_check(&config, &result, &err);
	if (ret)
		vxcap_say("%s", err.text);
	else if (v->is_json)
		add_result(v, folder, &result);
	else
		print_result(v, folder, &result);
	json_decref(v->remarks);
	v->has_findings |= ret || result.findings;
	return ret;
}

static bool is_folder(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

/* Files of one folder that stand behind each other are one walk through its chain. */
static unsigned count_alike(char **paths, int n, const char *folder)
{
	unsigned alike = 0;

	while ((int)alike < n && !is_folder(paths[alike])) {
		char *copy = strdup(paths[alike]);
		const bool is_same = copy && !strcmp(dirname(copy), folder);
		free(copy);
		if (!is_same)
			break;
		alike++;
	}
	return alike;
}

static int check_files(struct verify *v, char **paths, int n)
{
	char *copy = strdup(paths[0]), *folder = copy ? strdup(dirname(copy)) : NULL;
	const unsigned alike = folder ? count_alike(paths, n, folder) : 0;
	char **names = calloc(alike + 1, sizeof(*names));

	for (unsigned i = 0; i < alike && names; i++) {
		char *slash = strrchr(paths[i], '/');
		names[i] = slash ? slash + 1 : paths[i];
	}
	if (alike && names)
		(void)check(v, folder, names, alike);
	else
		v->has_findings = true;
	free(names);
	free(folder);
	free(copy);
	return alike ? (int)alike : n;
}

static int check_paths(struct verify *v, char **paths, int n)
{
	struct err err;

	for (int i = 0; i < n; i++) {
		if (vxcap_url_refuse(paths[i], &err)) {
			vxcap_say("%s", err.text);
			return EXIT_FAILED;
		}
	}
	for (int i = 0; i < n;) {
		if (is_folder(paths[i]))
			(void)check(v, paths[i++], NULL, 0);
		else
			i += check_files(v, paths + i, n - i);
	}
	if (v->is_json) {
		json_t *all =
			json_pack("{s:b, s:O}", "ok", !v->has_findings, "folders", v->folders);
		(void)json_dumpf(all, stdout, JSON_INDENT(2));
		(void)putchar('\n');
		json_decref(all);
	}
	if (fflush(stdout) && errno != EPIPE) {
		vxcap_say("cannot write the result: %s", strerror(errno));
		return EXIT_FAILED;
	}
	return v->has_findings ? EXIT_FAILED : EXIT_DONE;
}

/* EXIT_DONE, or what the program ends with. */
static int take_option(struct verify *v, int option)
{
	struct err err;
	const int ret = vxcap_keys_option(&v->keys, option, optarg, &err);

	if (ret && ret != -ENOENT) {
		vxcap_say("%s", err.text);
		return EXIT_FAILED;
	}
	if (!ret)
		return EXIT_DONE;
	switch (option) {
	case 'j':
		v->is_json = true;
		return EXIT_DONE;
	case 'h':
		v->has_head = chain_unhex(optarg, v->head, CHAIN_HASH);
		return v->has_head ? EXIT_DONE : vxcap_usage("--head wants 64 hex digits");
	case 'k':
		v->has_first_key = chain_unhex(optarg, v->first_key, CHAIN_KEY);
		return v->has_first_key ? EXIT_DONE
					: vxcap_usage("--first-key wants 64 hex digits");
	default:
		return vxcap_usage("verify takes -i, --unwrap, --head, --first-key, --json and "
				   "paths, no more");
	}
}

int vxcap_verify(int argc, char **argv)
{
	static const struct option OPTIONS[] = {{"head", required_argument, NULL, 'h'},
						{"first-key", required_argument, NULL, 'k'},
						{"json", no_argument, NULL, 'j'},
						VXCAP_KEYS_LONG,
						{0}};
	struct verify v = {.folders = json_array()};
	int option, code = EXIT_DONE;

	while (code == EXIT_DONE &&
	       (option = vxcap_option(argc, argv, VXCAP_KEYS_SHORT, OPTIONS)) != -1)
		code = take_option(&v, option);
	if (code == EXIT_DONE && optind == argc)
		code = vxcap_usage("verify needs a DIR or a FILE");
	if (code == EXIT_DONE)
		code = check_paths(&v, argv + optind, argc - optind);
	json_decref(v.folders);
	vxcap_keys_wipe(&v.keys);
	return code;
}
