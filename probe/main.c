#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "config/config.h"
#include "doctor/doctor.h"
#include "run/live.h"
#include "run/offline.h"
#include "serve/status.h"
#include "serve/top.h"
#include "version.h"

#define USAGE_ERROR 2

static void usage(FILE *f)
{
	fputs("usage: vxprobe COMMAND [option...]\n\n"
	      "The probe for VPC Traffic Mirroring: VXLAN in, encrypted pcapng out.\n\n"
	      "  run -c FILE | -i IFACE -o DIR -r RECIPIENT    capture live\n"
	      "  read CAPTURE... -o DIR -r RECIPIENT           the same from capture files\n"
	      "  check -c FILE                                 is this configuration right?\n"
	      "  doctor -i IFACE                               can this host do the job?\n"
	      "  status                                        what does the probe do now?\n"
	      "  top                                           how are its sessions now?\n"
	      "  COMMAND --help                                its options\n"
	      "  --version\n\n"
	      "vxcap lists and reads what was stored; vxmirror plays a mirror for tests.\n",
	      f);
}

static int complain(const struct err *err, int code)
{
	if (*err->text)
		fprintf(stderr, "vxprobe: %s\n", err->text);
	return code;
}

/* True: config is there and is the caller's; else *code is what the program ends with. */
static bool configure(struct config *config, enum config_command command, int argc, char **argv,
		      int *code)
{
	struct err err = {""};
	const int ret = config_parse(config, command, argc, argv, &err);

	if (ret == -ECANCELED)
		config_help(command);
	*code = ret == -ECANCELED ? 0 : complain(&err, USAGE_ERROR);
	return !ret;
}

static int run(int argc, char **argv)
{
	struct config config;
	struct err err = {""};
	int code;

	if (!configure(&config, CONFIG_RUN, argc, argv, &code))
		return code;
	code = live_run(&config, &err) ? complain(&err, 1) : 0;
	config_close(&config);
	return code;
}

static int read_captures(int argc, char **argv)
{
	struct config config;
	struct err err = {""};
	int code;

	if (!configure(&config, CONFIG_READ, argc, argv, &code))
		return code;
	code = offline_run(&config, &err) ? complain(&err, 1) : 0;
	config_close(&config);
	return code;
}

static int check(int argc, char **argv)
{
	struct config config;
	struct err err = {""};
	char summary[1536]; /* with 15 stores */
	int code;

	if (!configure(&config, CONFIG_CHECK, argc, argv, &code))
		return code;
	const bool is_right = !config_check_files(&config, &err) && !live_check(&config, &err);
	code = is_right ? 0 : complain(&err, USAGE_ERROR);
	config_summary(&config, summary, sizeof(summary));
	if (!code)
		printf("%s: ok: %s\n", config.file, summary);
	if (!code && config_warning(&config))
		log_line("%s", config_warning(&config));
	config_close(&config);
	return code;
}

static const struct {
	const char *name;
	int (*main)(int argc, char **argv);
} commands[] = {{"run", run},
		{"read", read_captures},
		{"check", check},
		{"doctor", doctor_main},
		{"status", status_main},
		{"top", top_main}};

/* What an open file has goes back to the system when the file ends: left to itself, malloc keeps
 * what was freed once in its heaps, where each file left a hole of 1 MiB, up to 10 of them. */
#define OWN_MAPPING (128 << 10)

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	(void)mallopt(M_MMAP_THRESHOLD, OWN_MAPPING);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(name, commands[i].name))
			return commands[i].main(argc - 1, argv + 1);
	if (!strcmp(name, "--version")) {
		puts("vxprobe " VERSION);
		return 0;
	}
	if (!strcmp(name, "--help") || !strcmp(name, "-h")) {
		usage(stdout);
		return 0;
	}
	if (*name)
		fprintf(stderr, "vxprobe: %s is no command; --help lists them\n", name);
	else
		usage(stderr);
	return USAGE_ERROR;
}
