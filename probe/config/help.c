#include "config/config.h"

#include <stdio.h>
#include <string.h>

#include "config/option.h"

/* Where the sentences begin; a longer option has its sentence on the next line. */
#define COLUMN 34

/* clang-format off */
static const char *const HELP[] = {
	[CONFIG_RUN] =
	"usage: vxprobe run -i IFACE -o DIR -r RECIPIENT [option...]\n"
	"       vxprobe run -c FILE [option...]\n\n"
	"Captures the VXLAN packets that VPC Traffic Mirroring sends to IFACE, takes them apart per\n"
	"session and writes them as pcapng, compressed and encrypted, into DIR. All other traffic of\n"
	"IFACE goes its usual way. Ctrl-C or SIGTERM ends it; what was captured is sealed. SIGHUP\n"
	"reads the files of -c, -R and --names again.\n\n"
	"  age-keygen -o key.txt\n"
	"  vxprobe run -i eth1 -o /var/lib/vxprobe -r age1...\n"
	"  vxcap cat /var/lib/vxprobe -i key.txt -w - | wireshark -k -i -\n\n",
	[CONFIG_READ] =
	"usage: vxprobe read CAPTURE... -o DIR -r RECIPIENT [option...]\n"
	"       vxprobe read CAPTURE... -c FILE [option...]\n\n"
	"Does with capture files (pcap, pcapng) of VXLAN packets what 'run' does with live ones, and\n"
	"ends with a report: can the mirror be trusted, and how is the transport?\n\n"
	"  vxprobe read mirror.pcap -o out -r age1... --metrics -\n\n",
	[CONFIG_CHECK] =
	"usage: vxprobe check -c FILE [option...]\n\n"
	"Says whether 'vxprobe run' would take this configuration file, with these options beside\n"
	"it, and the files that it names; or what is wrong with them, and where. Starts nothing.\n\n"
	"  vxprobe check -c /etc/vxprobe/vxprobe.yaml && systemctl reload vxprobe\n\n",
};
/* clang-format on */

static void print_row(const struct option_row *row)
{
	const bool says_default = row->fallback && row->type != OPTION_FLAG;
	char left[64];

	const int n = row->letter
			      ? snprintf(left, sizeof(left), "  -%c, --%s", row->letter, row->name)
			      : snprintf(left, sizeof(left), "      --%s", row->name);
	if (!option_is_line(row))
		(void)snprintf(left, sizeof(left), "  stores: (in the file)");
	else if (row->value)
		(void)snprintf(left + n, sizeof(left) - (size_t)n, " %s", row->value);
	if (strlen(left) < COLUMN)
		printf("%-*s ", COLUMN, left);
	else
		printf("%s\n%*s ", left, COLUMN, "");
	printf(says_default ? "%s (%s)\n" : "%s\n", row->help, row->fallback);
}

void config_help(enum config_command command)
{
	(void)fputs(HELP[command], stdout);
	for (unsigned i = 0; i < option_n; i++)
		if (option_rows[i].commands & (1u << command))
			print_row(&option_rows[i]);
}
