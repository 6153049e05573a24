/*
 * vxcap: lists stored captures, takes packets out of them, mends them, and tells who can open them.
 */

#include "vxcap.h"

#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/plain.h"
#include "base/progress.h"
#include "version.h"

/* clang-format off */
static const char HELP[] =
	"usage: vxcap ls      FILE|DIR... [KEY] [-s] [--json]\n"
	"       vxcap cat     FILE|DIR... [KEY] [selection] [-w FILE|-]\n"
	"       vxcap recover FILE|DIR... KEY -r RECIPIENT... [-w FILE]\n"
	"       vxcap keys    FILE|DIR... [KEY] [-l]\n"
	"       vxcap rewrap  FILE|DIR... KEY -r RECIPIENT... -w FILE|DIR | --in-place\n"
	"       vxcap verify  FILE|DIR... [KEY] [--head HASH] [--first-key KEY] [--json]\n"
	"       vxcap pin     FILE... | unpin FILE... | pins DIR...\n"
	"       vxcap --help | --version\n"
	"\n"
	"Works on the files that vxprobe stores: sealed ones (.pcapng.zst.age), which only the holder\n"
	"of an identity can read, and plain ones (.pcapng.zst). What a file is shows in its content; of\n"
	"a DIR, the files with these endings and the hidden .part files count. For ls, cat and keys it\n"
	"may be on another host: sftp://[USER@]HOST[:PORT]/PATH. Only what is needed is read, and keys\n"
	"stay here. Keys of the agent and ssh_config(5) count; the host has to be in known_hosts.\n"
	"  --ssh-config FILE  instead of the usual ones\n"
	"\n"
	"ls   one row for each file: name, state, first and last second (UTC), bytes, recipients; with\n"
	"     an identity, or for plain files, also packets and sessions. States:\n"
	"       sealed     complete and encrypted\n"
	"       plain      complete, not encrypted\n"
	"       truncated  its writer did not finish it: a crash, or a full disk\n"
	"       open       being written, or left by a crash and not yet found by the next start\n"
	"       recovered  `vxcap recover` has made a whole file of it, by its name, in this folder\n"
	"     A file that cannot be read is named, files of a DIR that KEY does not open are counted,\n"
	"     and the others are listed; exit code 1.\n"
	"       -s, --sessions  below each file its sessions: name, VNI, source, what they are called\n"
	"       --json          the list as JSON, sessions included; null is what is not known\n"
	"\n"
	"cat  the packets of all files as one plain pcapng, ordered by (time, sequence number in the\n"
	"     packet id, order of the files, position). Sessions become interfaces, the same in all\n"
	"     files. What file names and indexes rule out is not even read. Of a truncated or open file\n"
	"     it gives what is readable and says so. Files of a DIR that are sealed to others are left\n"
	"     out and counted; exit code 1. One that is deleted meanwhile is named.\n"
	"       -v, --verbose   at the end, how many files, frames and bytes were read, and memory\n"
	"\n"
	"recover  of each file that its writer did not finish a whole one with the same blocks, sealed\n"
	"     to the recipients; beside it under the name it was to have, or as -w says. Also of a file\n"
	"     with altered parts: without their packets. Reads every file in full, leaves whole ones\n"
	"     alone, writes over nothing, keeps the original; says what was saved and lost.\n"
	"\n"
	"keys  who can open what: files with the same kinds of stanzas and the same openers are one row.\n"
	"     A stanza does not say whose it is, and a public key cannot be looked for: without KEY it\n"
	"     tells number and kind of the stanzas alone.\n"
	"       -l, --list  a row for each file\n"
	"\n"
	"rewrap  adds recipients to the header, from one that can open it; the payload is copied as it\n"
	"     is. To another FILE or into a DIR, or --in-place by a temporary file and rename. It does\n"
	"     not revoke: who could open the file still can.\n"
	"\n"
	"verify  are files and entries as the probe left them? Walks the folder's chain (vxprobe.chain)\n"
	"     from its first entry and holds each file against it; names what is altered, swapped, missing,\n"
	"     appended, and tells it from what expired. With KEY it also decrypts every file that KEY\n"
	"     opens, checks all that is in it, and tells what rewrap and recover made. Exit code 0 only\n"
	"     if all is well.\n"
	"       --head HASH      the chain must have the entry with this hash, which the probe logged or\n"
	"                        gave as metric: shows that no end was cut off\n"
	"       --first-key KEY  the first entry must have this key; without it, it is taken on trust\n"
	"       --json           the result as JSON\n"
	"\n"
	"pin, unpin  the probe's retention deletes pinned files never, however old; pins lists them. A\n"
	"     pin is an empty file .FILE.pin beside FILE.\n"
	"\n"
	"KEY, for all commands but those of pins:\n"
	"  -i IDENTITY      file with AGE-SECRET-KEY-1... lines, as age-keygen writes it; - is standard\n"
	"                   input; may be given again\n"
	"  --unwrap CMD     run CMD by sh -c for each file that no identity opens: it gets the stanzas\n"
	"                   of the header on standard input, then a line of three -, and prints the\n"
	"                   file key, 32 hexadecimal digits or 22 characters of base64, within 60 s\n"
	"Recipients, for recover and rewrap:\n"
	"  -r RECIPIENT     age1..., may be given again\n"
	"  -R FILE          one age1... per line\n"
	"cat:\n"
	"  -w FILE          where to write; - is standard output (the default; never a terminal)\n"
	"Selection; a packet must meet all that are given:\n"
	"  --session NAME   interface name: <source>-<vni>, or the name that was configured; also NAME.2,\n"
	"                   NAME.3 and on, which later ENIs behind the same two are called\n"
	"  --vni N          VXLAN network identifier\n"
	"  --nf NF          network function, as the probe's names file calls it\n"
	"  --from T         at T or later\n"
	"  --to T           before T\n"
	"  --flow 'PROTO A[:PORT] B[:PORT]'   of this flow, in both directions; PROTO is tcp, udp, sctp,\n"
	"                   icmp, icmp6 or a number; without PORT any; [2001:db8::1]:443 for IPv6\n"
	"  --community-id 1:...   of the flow with this Community ID (version 1, seed 0)\n"
	"  --host ADDR      from or to this address\n"
	"                   these three may be given again: any of their values; also inside GTP-U\n"
	"  -f 'BPF'         capture filter in libpcap's syntax (pcap-filter(7)), on the inner packets\n"
	"  T is like 2026-11-21T10:00:00Z or 2026-11-21T11:00:00.5+01:00 (RFC 3339), or seconds since\n"
	"  1970 like 1795255200.25.\n"
	"\n"
	"examples:\n"
	"  vxcap ls /var/lib/vxprobe\n"
	"  vxcap cat /var/lib/vxprobe -i key.txt -f 'tcp port 443' -w - | wireshark -k -i -\n"
	"  vxcap cat sftp://probe/var/lib/vxprobe -i key.txt --flow 'tcp 10.0.0.1:443 10.0.0.2' -w one.pcapng\n"
	"  vxcap cat /var/lib/vxprobe -i key.txt --session 10.0.0.1-4321 \\\n"
	"        --from 2026-11-21T10:00:00Z --to 2026-11-21T10:05:00Z -w five-minutes.pcapng\n"
	"\n"
	"Without vxcap: age -d -i key.txt FILE | zstd -dc | tshark -r -\n";
/* clang-format on */

static void say(const char *format, va_list args)
{
	char text[1024]; /* a path and a reason; what is longer is cut */

	progress_hide();
	(void)vsnprintf(text, sizeof(text), format, args);
	(void)fprintf(stderr, "vxcap: %s\n", plain_text(text));
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

int vxcap_option(int argc, char **argv, const char *short_options, const struct option *options)
{
	int index = -1;

	opterr = 0;
	const int option = getopt_long(argc, argv, short_options, options, &index);
	if (option == -1 || option == '?' || index < 0)
		return option;
	const int word = optind - (optarg && optarg == argv[optind - 1] ? 2 : 1);
	const size_t len = strlen(options[index].name);
	if (!strncmp(argv[word] + 2, options[index].name, len))
		return option;
	optind = word + 1;
	optarg = NULL;
	return '?';
}

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} COMMANDS[] = {
	{"ls", vxcap_ls},     {"cat", vxcap_cat},       {"recover", vxcap_recover},
	{"keys", vxcap_keys}, {"rewrap", vxcap_rewrap}, {"verify", vxcap_verify},
	{"pin", vxcap_pin},   {"unpin", vxcap_unpin},   {"pins", vxcap_pins},
};

int main(int argc, char **argv)
{
	/* A reader that goes away is no error: write then says EPIPE. */
	(void)signal(SIGPIPE, SIG_IGN);
	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return fputs(HELP, stdout) < 0 ? EXIT_FAILED : EXIT_DONE;
	if (argc < 2)
		return vxcap_usage("what to do is missing: ls, cat or another command");
	for (size_t i = 0; i < sizeof(COMMANDS) / sizeof(COMMANDS[0]); i++)
		if (!strcmp(argv[1], COMMANDS[i].name))
			return COMMANDS[i].run(argc - 1, argv + 1);
	if (!strcmp(argv[1], "--version"))
		return puts("vxcap " VERSION) < 0 ? EXIT_FAILED : EXIT_DONE;
	return vxcap_usage("there is no command \"%s\"", argv[1]);
}
