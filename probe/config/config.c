#include "config/config.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum type { TEXT, NUMBER, LEVEL, SIZE, TIME, CHOICE, FLAG, RECIPIENT, ALLOW };

struct option_row {
	const char *name;
	char letter;
	unsigned commands; /* bit per enum config_command */
	enum type type;
	size_t offset; /* in struct config */
	uint64_t min, max;
	const char *value; /* what the help calls the argument; for CHOICE the words, '|' between */
	const char *help;
};

#define RUN       (1u << CONFIG_RUN)
#define READ      (1u << CONFIG_READ)
#define AT(field) offsetof(struct config, field)

static const struct option_row rows[] = {
	{"interface", 'i', RUN, TEXT, AT(interface), 0, 0, "IFACE", "capture on this interface"},
	{"output", 'o', RUN | READ, TEXT, AT(dir), 0, 0, "DIR", "write files into this folder"},
	{"recipient", 'r', RUN | READ, RECIPIENT, 0, 0, 0, "AGE1...",
	 "encrypt to this age recipient; repeat for more"},
	{"unencrypted", 0, RUN | READ, FLAG, AT(unencrypted), 0, 0, NULL,
	 "write files that anyone can read, instead of -r"},
	{"allow", 0, RUN, ALLOW, 0, 0, 0, "CIDR",
	 "take mirrored packets from these outer sources only; repeat for more"},
	{"mode", 0, RUN, CHOICE, AT(mode), 0, 0, "auto|native|generic",
	 "XDP mode; auto: native, else generic"},
	{"workers", 0, RUN | READ, NUMBER, AT(workers), 1, STEER_WORKERS_MAX, "N",
	 "worker threads (run: one per CPU, at most 4; read: 1)"},
	{"port", 0, RUN | READ, NUMBER, AT(port), 1, 65535, "N", "UDP port of VXLAN (4789)"},
	{"ring", 0, RUN, NUMBER, AT(ring), 64, 65536, "N",
	 "RX descriptors per queue and worker, a power of two (4096)"},
	{"slack", 0, RUN, TIME, AT(slack_ns), 0, 10000000000u, "TIME",
	 "how long a packet waits for earlier ones of other queues (20ms)"},
	{"sessions-max", 0, RUN | READ, NUMBER, AT(sessions_max), 1, 1u << 20, "N",
	 "sessions known at most; packets of further ones end as session_cap (4096)"},
	{"flows-max", 0, RUN | READ, NUMBER, AT(flows_max), 64, 16u << 20, "N",
	 "flows per worker (65536)"},
	{"chunks", 0, RUN | READ, NUMBER, AT(chunks), 2, HANDOFF_CHUNKS_MAX, "N",
	 "chunks between a worker and the writer (16)"},
	{"chunk-size", 0, RUN | READ, SIZE, AT(chunk_len), 128u << 10, 64u << 20, "SIZE",
	 "size of a chunk (1MiB)"},
	{"split", 0, RUN | READ, CHOICE, AT(split), 0, 0, "none|session",
	 "one file for all sessions, or one for each"},
	{"rotate-size", 0, RUN | READ, SIZE, AT(rotate_len), 64u << 10, UINT64_MAX, "SIZE",
	 "begin a new file after so many bytes (256MiB)"},
	{"rotate-time", 0, RUN | READ, TIME, AT(rotate_ns), 0, UINT64_MAX, "TIME",
	 "begin a new file after so much packet time; 0: never (5m)"},
	{"level", 0, RUN | READ, LEVEL, AT(level), 0, 0, "N", "zstd level, -7 to 19 (1)"},
	{"memory", 0, RUN | READ, SIZE, AT(memory), 1u << 20, UINT64_MAX, "SIZE",
	 "refuse to start if more could be needed (2GiB)"},
	{"listen", 0, RUN, TEXT, AT(listen), 0, 0, "ADDR:PORT",
	 "serve /metrics there, or 'none' (127.0.0.1:9789)"},
	{"metrics", 0, RUN | READ, TEXT, AT(metrics), 0, 0, "FILE",
	 "write the last numbers there in Prometheus text; - is standard output"},
	{"help", 'h', RUN | READ, FLAG, 0, 0, 0, NULL, "this text"},
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))
/* getopt_long's value of a row without a letter. */
#define ROW_VALUE 1000

/* ---- values ---- */

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit size_units[] = {{"", 1},
					 {"B", 1},
					 {"KiB", 1ull << 10},
					 {"MiB", 1ull << 20},
					 {"GiB", 1ull << 30},
					 {"TiB", 1ull << 40},
					 {NULL, 0}};
static const struct unit time_units[] = {
	{"ns", 1},          {"us", 1000},         {"ms", 1000000}, {"s", 1000000000},
	{"m", 60000000000}, {"h", 3600000000000}, {NULL, 0}};
static const struct unit no_units[] = {{"", 1}, {NULL, 0}};

static bool parse_units(const char *text, const struct unit *units, uint64_t *out)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	const uint64_t n = strtoull(text, &end, 10);
	if (errno)
		return false;
	if (!n && !*end) /* nothing of any unit */
		units = no_units;
	for (; units->name; units++)
		if (!strcmp(end, units->name))
			return !__builtin_mul_overflow(n, units->factor, out);
	return false;
}

static const char *example(enum type type)
{
	return type == SIZE   ? "a size such as 64MiB"
	       : type == TIME ? "a time such as 20ms or 5m"
			      : "a number";
}

static int set_number(const struct option_row *row, const char *text, void *field, struct err *err)
{
	const struct unit *units = row->type == SIZE   ? size_units
				   : row->type == TIME ? time_units
						       : no_units;
	uint64_t value;

	if (!parse_units(text, units, &value))
		return err_set(err, -EINVAL, "--%s %s: %s is wanted", row->name, text,
			       example(row->type));
	if (value < row->min || value > row->max)
		return err_set(err, -EINVAL, "--%s %s: allowed is %" PRIu64 " to %" PRIu64,
			       row->name, text, row->min, row->max);
	*(uint64_t *)field = value;
	return 0;
}

static int set_level(const char *text, int64_t *field, struct err *err)
{
	char *end;
	const long value = strtol(text, &end, 10);

	if (!strchr("-0123456789", *text) || end == text || *end || value < -7 || value > 19)
		return err_set(err, -EINVAL, "--level %s: allowed is -7 (fast) to 19 (small)",
			       text);
	*field = value;
	return 0;
}

static int set_choice(const struct option_row *row, const char *text, uint64_t *field,
		      struct err *err)
{
	const size_t len = strcspn(text, "|");
	uint64_t number = 0;

	for (const char *word = row->value; word && len && !text[len]; number++) {
		if (!strncmp(word, text, len) && (word[len] == '|' || !word[len])) {
			*field = number;
			return 0;
		}
		word = strchr(word, '|');
		word = word ? word + 1 : NULL;
	}
	return err_set(err, -EINVAL, "--%s %s: one of %s is wanted", row->name, text, row->value);
}

static int add_recipient(struct config *c, const char *text, struct err *err)
{
	if (c->n_recipients == SEAL_RECIPIENTS_MAX)
		return err_set(err, -EINVAL, "--recipient: more than %d recipients",
			       SEAL_RECIPIENTS_MAX);
	return seal_recipient_parse(&c->recipients[c->n_recipients++], text, err);
}

static int add_allow(struct config *c, const char *text, struct err *err)
{
	if (c->n_allow == CONFIG_ALLOW_MAX)
		return err_set(err, -EINVAL, "--allow: more than %d prefixes", CONFIG_ALLOW_MAX);
	c->allow[c->n_allow++] = text;
	return 0;
}

static int set(struct config *c, const struct option_row *row, const char *text, struct err *err)
{
	void *field = (char *)c + row->offset;

	switch (row->type) {
	case TEXT:
		*(const char **)field = text;
		return 0;
	case FLAG:
		*(bool *)field = true;
		return 0;
	case LEVEL:
		return set_level(text, field, err);
	case CHOICE:
		return set_choice(row, text, field, err);
	case RECIPIENT:
		return add_recipient(c, text, err);
	case ALLOW:
		return add_allow(c, text, err);
	default:
		return set_number(row, text, field, err);
	}
}

/* ---- the whole ---- */

static uint64_t default_workers(enum config_command command)
{
	const long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (command == CONFIG_READ)
		return 1;
	return cpus < 1 ? 1 : cpus > 4 ? 4 : (uint64_t)cpus;
}

static struct config defaults(enum config_command command)
{
	return (struct config){.command = command,
			       .workers = default_workers(command),
			       .port = 4789,
			       .ring = 4096,
			       .slack_ns = 20000000,
			       .sessions_max = 4096,
			       .flows_max = 65536,
			       .chunks = 16,
			       .chunk_len = 1 << 20,
			       .rotate_len = 256 << 20,
			       .rotate_ns = 300000000000,
			       .level = 1,
			       .memory = 2ull << 30,
			       .listen = "127.0.0.1:9789"};
}

/* Each worker reads all input for itself. What does not exist is for the reader to say. */
static bool can_be_read_again(const char *input)
{
	struct stat st;

	return strcmp(input, "-") && (stat(input, &st) || S_ISREG(st.st_mode));
}

static int check(const struct config *c, struct err *err)
{
	if (c->command == CONFIG_RUN && !c->interface)
		return err_set(err, -EINVAL,
			       "-i IFACE is missing: which interface gets the mirror?");
	if (c->command == CONFIG_READ && !c->n_inputs)
		return err_set(err, -EINVAL, "which capture file? '-' reads standard input");
	for (unsigned i = 0; i < c->n_inputs && c->workers > 1; i++)
		if (!can_be_read_again(c->inputs[i]))
			return err_set(err, -EINVAL,
				       "%s is no file: one worker can read it, not %" PRIu64
				       " (--workers)",
				       strcmp(c->inputs[i], "-") ? c->inputs[i] : "standard input",
				       c->workers);
	if (!c->dir)
		return err_set(err, -EINVAL, "-o DIR is missing: where shall the files go?");
	if (c->n_recipients && c->unencrypted)
		return err_set(err, -EINVAL, "-r and --unencrypted contradict each other");
	if (!c->n_recipients && !c->unencrypted)
		return err_set(err, -EINVAL,
			       "-r RECIPIENT is missing: 'age-keygen -o key.txt' makes a key and "
			       "prints its "
			       "recipient; --unencrypted writes files that anyone can read");
	if (c->ring & (c->ring - 1))
		return err_set(err, -EINVAL, "--ring %" PRIu64 ": a power of two is wanted",
			       c->ring);
	return 0;
}

static const struct option_row *row_of(int value)
{
	for (size_t i = 0; i < N_ROWS; i++)
		if (value == (int)(ROW_VALUE + i) || (rows[i].letter && value == rows[i].letter))
			return &rows[i];
	return NULL;
}

static void make_getopt(enum config_command command, struct option *options, char *letters)
{
	for (size_t i = 0; i < N_ROWS; i++) {
		const struct option_row *r = &rows[i];
		if (!(r->commands & (1u << command)))
			continue;
		*options++ = (struct option){r->name, r->value ? required_argument : no_argument,
					     NULL, r->letter ? r->letter : (int)(ROW_VALUE + i)};
		if (r->letter)
			*letters++ = r->letter;
		if (r->letter && r->value)
			*letters++ = ':';
	}
	*options = (struct option){0};
	*letters = 0;
}

int config_parse(struct config *out, enum config_command command, int argc, char **argv,
		 struct err *err)
{
	struct option options[N_ROWS + 1];
	char letters[2 * N_ROWS + 2] = ":";
	struct config c = defaults(command);
	int value;

	make_getopt(command, options, letters + 1);
	opterr = 0;
	while ((value = getopt_long(argc, argv, letters, options, NULL)) != -1) {
		const struct option_row *row = row_of(value);
		if (value == ':')
			return err_set(err, -EINVAL, "%s wants an argument", argv[optind - 1]);
		if (!row && optopt && optopt < ROW_VALUE)
			return err_set(err, -EINVAL, "-%c is no option here; --help lists them",
				       optopt);
		if (!row)
			return err_set(err, -EINVAL, "%s is no option here; --help lists them",
				       argv[optind - 1]);
		if (row->letter == 'h')
			return -ECANCELED;
		const int ret = set(&c, row, optarg, err);
		if (ret)
			return ret;
	}
	c.inputs = argv + optind;
	c.n_inputs = (unsigned)(argc - optind);
	if (command == CONFIG_RUN && c.n_inputs)
		return err_set(err, -EINVAL,
			       "%s: run takes options only; 'vxprobe read' reads files",
			       c.inputs[0]);
	const int ret = check(&c, err);
	if (!ret)
		*out = c;
	return ret;
}

/* clang-format off */
static const char *const HELP[] = {
	[CONFIG_RUN] =
	"usage: vxprobe run -i IFACE -o DIR -r RECIPIENT [option...]\n\n"
	"Captures the VXLAN packets that VPC Traffic Mirroring sends to IFACE, takes them apart per\n"
	"session and writes them as pcapng, compressed and encrypted, into DIR. All other traffic of\n"
	"IFACE goes its usual way. Ctrl-C or SIGTERM ends it; what was captured is sealed.\n\n"
	"  age-keygen -o key.txt\n"
	"  vxprobe run -i eth1 -o /var/lib/vxprobe -r age1...\n"
	"  vxcap cat /var/lib/vxprobe -i key.txt -w - | wireshark -k -i -\n\n",
	[CONFIG_READ] =
	"usage: vxprobe read CAPTURE... -o DIR -r RECIPIENT [option...]\n\n"
	"Does with capture files (pcap, pcapng) of VXLAN packets what 'run' does with live ones.\n\n"
	"  vxprobe read mirror.pcap -o out -r age1... --metrics -\n\n",
};
/* clang-format on */

void config_help(enum config_command command)
{
	(void)fputs(HELP[command], stdout);
	for (size_t i = 0; i < N_ROWS; i++) {
		const struct option_row *r = &rows[i];
		char left[64];
		if (!(r->commands & (1u << command)))
			continue;
		const int n =
			r->letter ? snprintf(left, sizeof(left), "-%c, --%s", r->letter, r->name)
				  : snprintf(left, sizeof(left), "    --%s", r->name);
		(void)snprintf(left + n, sizeof(left) - (size_t)n, " %s", r->value ? r->value : "");
		printf("  %-32s %s\n", left, r->help);
	}
}
