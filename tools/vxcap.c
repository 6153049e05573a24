/*
 * vxcap: lists stored captures and takes packets out of them.
 */

#include "vxcap.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/progress.h"
#include "version.h"

/* clang-format off */
static const char HELP[] =
	"usage: vxcap ls  FILE|DIR... [-i IDENTITY] [-s]\n"
	"       vxcap cat FILE|DIR... [-i IDENTITY] [selection] [-w FILE|-]\n"
	"       vxcap --help | --version\n"
	"\n"
	"Works on the files that vxprobe stores: sealed ones (.pcapng.zst.age), which only the holder\n"
	"of an identity can read, and plain ones (.pcapng.zst). What a file is shows in its content; of\n"
	"a DIR, the files with these endings and the hidden .part files count.\n"
	"\n"
	"ls   one row for each file: name, state, first and last second (UTC), bytes, recipients; with\n"
	"     an identity, or for plain files, also packets and sessions. States:\n"
	"       sealed     complete and encrypted\n"
	"       plain      complete, not encrypted\n"
	"       truncated  its writer did not finish it: a crash, or a full disk\n"
	"       open       being written, or left by a crash and not yet found by the next start\n"
	"     A file that cannot be read is named, and the others are listed; exit code 1.\n"
	"       -s, --sessions  below each file its sessions: name, VNI, source, what they are called\n"
	"\n"
	"cat  the packets of all files as one plain pcapng, ordered by (time, sequence number in the\n"
	"     packet id, order of the files, position). Sessions become interfaces, the same in all\n"
	"     files. Frames outside --from and --to are not even read. Of a truncated or open file it\n"
	"     gives what is readable and says so.\n"
	"\n"
	"  -i IDENTITY      file with AGE-SECRET-KEY-1... lines, as age-keygen writes it; - is standard\n"
	"                   input; may be given again\n"
	"  -w FILE          where to write; - is standard output (the default; never a terminal)\n"
	"Selection; a packet must meet all that are given:\n"
	"  --session NAME   interface name: <source>-<vni>, or the name that was configured\n"
	"  --vni N          VXLAN network identifier\n"
	"  --nf NF          network function, as the probe's names file calls it\n"
	"  --from T         at T or later\n"
	"  --to T           before T\n"
	"  -f 'BPF'         capture filter in libpcap's syntax (pcap-filter(7)), on the inner packets\n"
	"  T is like 2026-11-21T10:00:00Z or 2026-11-21T11:00:00.5+01:00 (RFC 3339), or seconds since\n"
	"  1970 like 1795255200.25.\n"
	"\n"
	"examples:\n"
	"  vxcap ls /var/lib/vxprobe\n"
	"  vxcap cat /var/lib/vxprobe -i key.txt -f 'tcp port 443' -w - | wireshark -k -i -\n"
	"  vxcap cat /var/lib/vxprobe -i key.txt --session 10.0.0.1-4321 \\\n"
	"        --from 2026-11-21T10:00:00Z --to 2026-11-21T10:05:00Z -w five-minutes.pcapng\n"
	"\n"
	"Without vxcap: age -d -i key.txt FILE | zstd -dc | tshark -r -\n";
/* clang-format on */

static void say(const char *format, va_list args)
{
	progress_hide();
	(void)fputs("vxcap: ", stderr);
	(void)vfprintf(stderr, format, args);
	(void)fputc('\n', stderr);
}

void vxcap_say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
}

int vxcap_usage(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
	(void)fputs("vxcap: see vxcap --help\n", stderr);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	/* A reader that goes away is no error: write then says EPIPE. */
	(void)signal(SIGPIPE, SIG_IGN);
	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return fputs(HELP, stdout) < 0 ? EXIT_FAILED : EXIT_DONE;
	if (argc < 2)
		return vxcap_usage("what to do is missing: ls or cat");
	if (!strcmp(argv[1], "ls"))
		return vxcap_ls(argc - 1, argv + 1);
	if (!strcmp(argv[1], "cat"))
		return vxcap_cat(argc - 1, argv + 1);
	if (!strcmp(argv[1], "--version"))
		return puts("vxcap " VERSION) < 0 ? EXIT_FAILED : EXIT_DONE;
	return vxcap_usage("there is no command \"%s\": ls and cat are", argv[1]);
}
