#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "run/live.h"
#include "run/offline.h"
#include "version.h"

static void usage(FILE *f)
{
	fputs("usage: vxprobe COMMAND [option...]\n\n"
	      "The probe for VPC Traffic Mirroring: VXLAN in, encrypted pcapng out.\n\n"
	      "  run -i IFACE -o DIR -r RECIPIENT        capture live\n"
	      "  read CAPTURE... -o DIR -r RECIPIENT     the same from capture files\n"
	      "  COMMAND --help                          its options\n"
	      "  --version\n\n"
	      "vxcap lists and reads what was stored; vxmirror plays a mirror for tests.\n",
	      f);
}

static int run(enum config_command command, int argc, char **argv)
{
	static struct config config;
	struct err err = {""};
	int ret = config_parse(&config, command, argc, argv, &err);

	if (ret == -ECANCELED) {
		config_help(command);
		return 0;
	}
	if (ret) {
		fprintf(stderr, "vxprobe: %s\n", err.text);
		return 2;
	}
	ret = command == CONFIG_RUN ? live_run(&config, &err) : offline_run(&config, &err);
	if (ret && *err.text)
		fprintf(stderr, "vxprobe: %s\n", err.text);
	return ret ? 1 : 0;
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";

	if (!strcmp(command, "run"))
		return run(CONFIG_RUN, argc - 1, argv + 1);
	if (!strcmp(command, "read"))
		return run(CONFIG_READ, argc - 1, argv + 1);
	if (!strcmp(command, "--version")) {
		puts("vxprobe " VERSION);
		return 0;
	}
	if (!strcmp(command, "--help") || !strcmp(command, "-h")) {
		usage(stdout);
		return 0;
	}
	if (*command)
		fprintf(stderr, "vxprobe: %s is no command\n", command);
	usage(stderr);
	return 2;
}
