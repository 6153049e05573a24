#include "doctor/doctor.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "doctor/facts_json.h"
#include "doctor/judge.h"

enum { EXIT_FIT, EXIT_MEND, EXIT_USAGE };

/* clang-format off */
static const char HELP[] =
	"usage: vxprobe doctor -i IFACE [-o DIR] [--json]\n"
	"       vxprobe doctor --from FILE [--json]\n"
	"\n"
	"Says whether this host and the interface IFACE can do a probe's work, and for what is in the\n"
	"way the command that mends it. It only looks: IFACE goes on as before. Run it as the user that\n"
	"will run the probe.\n"
	"\n"
	"  -i, --interface IFACE  the interface that mirrored packets come to\n"
	"  -o, --output DIR       judge this output folder, too\n"
	"      --json             facts, findings and verdict as JSON\n"
	"      --from FILE        judge the facts in FILE, which --json wrote, maybe on another host\n"
	"  -h, --help\n"
	"\n"
	"Verdicts:\n"
	"  fail  vxprobe would be refused, lose packets, or fall back to a slower mode than the driver's\n"
	"        own: mend it first\n"
	"  warn  it works, and would work better\n"
	"  note  worth knowing, or not to be learnt here\n"
	"  ok    as it should be\n"
	"\n"
	"Exit code: 0 it can do the job (no fail); 1 something must be mended first; 2 wrong usage, or\n"
	"nothing could be looked at.\n"
	"\n"
	"examples:\n"
	"  vxprobe doctor -i eth1 -o /var/lib/vxprobe\n"
	"  vxprobe doctor -i eth1 --json > probe-7.json     # there\n"
	"  vxprobe doctor --from probe-7.json               # here\n"
	"  vxprobe doctor -i eth1 --json | jq -r '.findings[].command | select(.)'\n";
/* clang-format on */

struct options {
	const char *interface, *folder, *from;
	bool json, help;
};

enum { OPTION_JSON = 256, OPTION_FROM };

static const struct option long_options[] = {{"interface", required_argument, NULL, 'i'},
					     {"output", required_argument, NULL, 'o'},
					     {"json", no_argument, NULL, OPTION_JSON},
					     {"from", required_argument, NULL, OPTION_FROM},
					     {"help", no_argument, NULL, 'h'},
					     {0}};

static int check(const struct options *o, struct err *err)
{
	if (o->help)
		return 0;
	if (o->from && (o->interface || o->folder))
		return err_set(err, -EINVAL,
			       "--from judges the facts in a file, -i and -o ask this host: take "
			       "one of them");
	if (!o->from && (!o->interface || !*o->interface))
		return err_set(err, -EINVAL,
			       "which interface? -i IFACE; 'ip link' lists those there are");
	if (o->folder && !*o->folder)
		return err_set(err, -EINVAL, "-o wants the name of a folder");
	return 0;
}

static int parse(struct options *o, int argc, char **argv, struct err *err)
{
	int letter;

	opterr = 0;
	optind = 0; /* glibc: a fresh start */
	while ((letter = getopt_long(argc, argv, ":i:o:h", long_options, NULL)) != -1) {
		if (letter == 'i')
			o->interface = optarg;
		else if (letter == 'o')
			o->folder = optarg;
		else if (letter == OPTION_JSON)
			o->json = true;
		else if (letter == OPTION_FROM)
			o->from = optarg;
		else if (letter == 'h')
			o->help = true;
		else if (letter == ':')
			return err_set(err, -EINVAL, "%s wants an argument", argv[optind - 1]);
		else if (optopt)
			return err_set(err, -EINVAL, "-%c is no option here; --help lists them",
				       optopt);
		else
			return err_set(err, -EINVAL, "%s is no option here; --help lists them",
				       argv[optind - 1]);
	}
	if (optind < argc)
		return err_set(err, -EINVAL, "%s: doctor takes options only; --help lists them",
			       argv[optind]);
	return check(o, err);
}

/* ---- as a table ---- */

/* Names come from drivers, folders and files of others: a terminal gets no escapes from them. */
static void print_plain(const char *text)
{
	for (; *text; text++)
		(void)putchar((unsigned char)*text < ' ' || *text == 127 ? '?' : *text);
}

static void print_row(const char *left, const char *id, const char *text)
{
	printf("  %-5s %-13s ", left, id);
	print_plain(text);
	(void)putchar('\n');
}

static unsigned count(const struct findings *findings, enum verdict verdict)
{
	unsigned n = 0;

	for (unsigned i = 0; i < findings->n; i++)
		n += findings->finding[i].verdict == verdict;
	return n;
}

static void print_commands(const struct findings *findings)
{
	bool any = false;

	for (unsigned i = 0; i < findings->n; i++) {
		const struct finding *f = &findings->finding[i];
		if (!*f->command)
			continue;
		if (!any)
			puts("\nWhat mends it:");
		print_row(verdict_text[f->verdict], f->id, f->command);
		any = true;
	}
}

static void print_verdict(const struct findings *findings)
{
	const unsigned fails = count(findings, VERDICT_FAIL), warns = count(findings, VERDICT_WARN);

	if (fails)
		printf("\nverdict: fail: %u to mend first", fails);
	else
		printf("\nverdict: %s: it can do the job", verdict_text[judge_worst(findings)]);
	if (warns)
		printf(", %u to improve", warns);
	(void)putchar('\n');
}

static void print_table(const struct doctor_facts *facts, const struct findings *findings)
{
	print_plain(facts->interface);
	puts(":");
	for (unsigned i = 0; i < findings->n; i++) {
		const struct finding *f = &findings->finding[i];
		print_row(verdict_text[f->verdict], f->id, f->text);
	}
	print_commands(findings);
	print_verdict(findings);
}

/* ---- as JSON ---- */

static json_t *findings_to_json(const struct findings *findings)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < findings->n; i++) {
		const struct finding *f = &findings->finding[i];
		(void)json_array_append_new(array, json_pack("{s:s, s:s, s:s, s:s*}", "id", f->id,
							     "verdict", verdict_text[f->verdict],
							     "text", f->text, "command",
							     *f->command ? f->command : NULL));
	}
	return array;
}

static int print_json(const struct doctor_facts *facts, const struct findings *findings,
		      struct err *err)
{
	json_t *root = json_pack("{s:o, s:o, s:s}", "facts", facts_to_json(facts), "findings",
				 findings_to_json(findings), "verdict",
				 verdict_text[judge_worst(findings)]);
	const bool written = root && !json_dumpf(root, stdout, JSON_INDENT(2)) && puts("") >= 0;

	json_decref(root);
	return written ? 0 : err_set(err, -EIO, "cannot write the JSON");
}

/* ---- the command ---- */

static int examine(const struct options *o, enum verdict *worst, struct err *err)
{
	static struct doctor_facts facts;
	static struct findings findings;
	int ret = o->from ? facts_from_file(&facts, o->from, err)
			  : facts_gather(&facts, o->interface, o->folder, err);

	if (ret)
		return ret;
	judge(&findings, &facts);
	*worst = judge_worst(&findings);
	if (o->json)
		return print_json(&facts, &findings, err);
	print_table(&facts, &findings);
	return 0;
}

int doctor_main(int argc, char **argv)
{
	struct options options = {0};
	struct err err = {""};
	enum verdict worst = VERDICT_OK;

	if (parse(&options, argc, argv, &err)) {
		fprintf(stderr, "vxprobe doctor: %s\n", err.text);
		return EXIT_USAGE;
	}
	if (options.help)
		return fputs(HELP, stdout) < 0 ? EXIT_USAGE : EXIT_FIT;
	if (examine(&options, &worst, &err) || fflush(stdout)) {
		fprintf(stderr, "vxprobe doctor: %s\n",
			*err.text ? err.text : "cannot write to standard output");
		return EXIT_USAGE;
	}
	return worst == VERDICT_FAIL ? EXIT_MEND : EXIT_FIT;
}
