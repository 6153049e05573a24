/*
 * vxcap pin, unpin, pins: what retention must not delete.
 */
#include "vxcap.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "path/catalogue.h"
#include "vxcap_url.h"

static int change_one(const char *path, int (*change)(const char *path, struct err *err),
		      int no_change)
{
	struct err err;
	int ret = vxcap_url_refuse(path, &err);

	if (!ret)
		ret = change(path, &err);
	if (ret)
		vxcap_say("%s", err.text);
	return ret && ret != no_change ? EXIT_FAILED : EXIT_DONE;
}

static int each(int argc, char **argv, int (*change)(const char *path, struct err *err),
		int no_change)
{
	const int first = argc > 1 && !strcmp(argv[1], "--") ? 2 : 1;
	int code = EXIT_DONE;

	if (argc <= first)
		return vxcap_usage("%s needs a FILE", argv[0]);
	for (int i = first; i < argc && first == 1; i++) {
		if (argv[i][0] == '-' && argv[i][1])
			return vxcap_usage("%s takes files, no options: %s", argv[0], argv[i]);
	}
	for (int i = first; i < argc; i++)
		if (change_one(argv[i], change, no_change))
			code = EXIT_FAILED;
	return code;
}

int vxcap_pin(int argc, char **argv)
{
	return each(argc, argv, catalogue_pin, -EEXIST);
}

int vxcap_unpin(int argc, char **argv)
{
	return each(argc, argv, catalogue_unpin, -ENOENT);
}

static int select_pins(const struct dirent *entry)
{
	struct catalogue_file file;

	return catalogue_parse_pin(&file, entry->d_name);
}

/* The name has nothing that could steer a terminal: what catalogue parses is letters and digits. */
static void print_pin(const char *dir, const char *pin)
{
	struct catalogue_file file;
	char name[NAME_MAX + 1], path[PATH_MAX];
	struct stat st;

	(void)catalogue_parse_pin(&file, pin);
	catalogue_format(&file, name);
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (lstat(path, &st))
		(void)printf("%s  gone\n", path);
	else
		(void)printf("%s  %jd bytes\n", path, (intmax_t)st.st_size);
}

static int list(const char *dir)
{
	struct dirent **entries;
	const int n = scandir(dir, &entries, select_pins, alphasort);

	if (n < 0) {
		vxcap_say("cannot list the folder %s: %s", dir, strerror(errno));
		return EXIT_FAILED;
	}
	for (int i = 0; i < n; i++) {
		print_pin(dir, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return EXIT_DONE;
}

int vxcap_pins(int argc, char **argv)
{
	int code = EXIT_DONE;

	if (argc < 2)
		return vxcap_usage("pins needs a DIR");
	for (int i = 1; i < argc; i++)
		if (list(argv[i]))
			code = EXIT_FAILED;
	return fflush(stdout) && errno != EPIPE ? EXIT_FAILED : code;
}
