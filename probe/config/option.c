#include "config/option.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/value.h"

#define READ      (1u << CONFIG_READ)
#define RUN       (1u << CONFIG_RUN | 1u << CONFIG_CHECK)
#define AT(field) offsetof(struct config, field)

/* clang-format off */
const struct option_row option_rows[] = {
	/* name, letter, commands, type, change, field, min, max, fallback, value, help */
	{"config", 'c', RUN | READ, OPTION_FILE, OPTION_AT_START, AT(file), 0, 0,
	 NULL, "FILE", "take options from this YAML file; those of the command line override it"},
	{"interface", 'i', RUN, OPTION_TEXT, OPTION_AT_START, AT(interface), 0, 0,
	 NULL, "IFACE", "capture on this interface"},
	{"output", 'o', RUN | READ, OPTION_TEXT, OPTION_AT_START, AT(dir), 0, 0,
	 NULL, "DIR", "write files into this folder"},
	{"recipient", 'r', RUN | READ, OPTION_RECIPIENT, OPTION_ANY_TIME, 0, 0, 0,
	 NULL, "AGE1...", "encrypt to this age recipient; repeat for more"},
	{"recipients-file", 'R', RUN | READ, OPTION_TEXT, OPTION_ANY_TIME, AT(recipients_file), 0, 0,
	 NULL, "FILE", "encrypt to the age recipients in this file too, one per line"},
	{"unencrypted", 0, RUN | READ, OPTION_FLAG, OPTION_AT_START, AT(unencrypted), 0, 0,
	 "false", NULL, "write files that anyone can read, instead of -r and -R"},
	{"names", 0, RUN | READ, OPTION_TEXT, OPTION_ANY_TIME, AT(names), 0, 0,
	 NULL, "FILE", "take the names of sessions and of addresses inside them from this file"},
	{"unknown-sessions", 0, RUN | READ, OPTION_CHOICE, OPTION_ANY_TIME, AT(unknown_sessions), 0, 0,
	 "full", "full|headers|count|drop", "what is kept of sessions that the names file does not have"},
	{"sample-key-file", 0, RUN | READ, OPTION_TEXT, OPTION_ANY_TIME, AT(sample_key_file), 0, 0,
	 NULL, "FILE", "the key by which flows are chosen where a policy of the names file has a sample"},
	{"allow", 0, RUN, OPTION_ALLOW, OPTION_AT_START, 0, 0, 0,
	 NULL, "CIDR", "take mirrored packets from these outer sources only; repeat for more"},
	{"mode", 0, RUN, OPTION_CHOICE, OPTION_AT_START, AT(mode), 0, 0,
	 "auto", "auto|native|generic", "XDP mode; auto: native, else generic"},
	{"workers", 0, RUN | READ, OPTION_NUMBER, OPTION_AT_START, AT(workers), 1, STEER_WORKERS_MAX,
	 NULL, "N", "worker threads (run: one per CPU, at most 4; read: 1)"},
	{"writers", 0, RUN | READ, OPTION_NUMBER, OPTION_AT_START, AT(writers), 1, 8,
	 "1", "N", "writer threads; stores or, with --split session, sessions are spread over them"},
	{"port", 0, RUN | READ, OPTION_NUMBER, OPTION_AT_START, AT(port), 1, 65535,
	 "4789", "N", "UDP port of VXLAN"},
	{"ring", 0, RUN, OPTION_POWER, OPTION_AT_START, AT(ring), 64, 65536,
	 "4096", "N", "RX descriptors per queue and worker, a power of two"},
	{"slack", 0, RUN, OPTION_TIME, OPTION_AT_START, AT(slack_ns), 0, 10000000000u,
	 "20ms", "TIME", "how long a packet waits for earlier ones of other queues"},
	{"sessions-max", 0, RUN | READ, OPTION_NUMBER, OPTION_UPWARD, AT(sessions_max), 1, 1u << 20,
	 "4096", "N", "sessions known at most; packets of further ones end as session_cap"},
	{"flows-max", 0, RUN | READ, OPTION_NUMBER, OPTION_AT_START, AT(flows_max), 64, 16u << 20,
	 "65536", "N", "flows per worker"},
	{"associations-max", 0, RUN | READ, OPTION_NUMBER, OPTION_AT_START, AT(associations_max), 16, 1u << 20,
	 "4096", "N", "SCTP associations per worker"},
	{"series-max", 0, RUN | READ, OPTION_NUMBER, OPTION_AT_START, AT(series_max), 100, 10000000,
	 "100000", "N", "series of sessions and NFs in the metrics at most"},
	{"metrics-by", 0, RUN | READ, OPTION_CHOICE, OPTION_AT_START, AT(metrics_by), 0, 0,
	 "session", "session|nf|both", "whose KPIs the metrics have; those of the mirror itself: by session always"},
	{"histograms-max", 0, RUN | READ, OPTION_NUMBER, OPTION_AT_START, AT(histograms_max), 1, 1u << 20,
	 "4096", "N", "histograms per worker at most"},
	{"chunks", 0, RUN | READ, OPTION_NUMBER, OPTION_AT_START, AT(chunks), 2, HANDOFF_CHUNKS_MAX,
	 "16", "N", "chunks between each worker and each writer"},
	{"chunk-size", 0, RUN | READ, OPTION_SIZE, OPTION_AT_START, AT(chunk_len), 128u << 10, 64u << 20,
	 "1MiB", "SIZE", "size of a chunk"},
	{"split", 0, RUN | READ, OPTION_CHOICE, OPTION_AT_START, AT(split), 0, 0,
	 "none", "none|session", "one file for all sessions of a store, or one for each"},
	{"rotate-size", 0, RUN | READ, OPTION_SIZE, OPTION_ANY_TIME, AT(rotate_len), 64u << 10, UINT64_MAX,
	 "256MiB", "SIZE", "begin a new file after so many bytes"},
	{"rotate-time", 0, RUN | READ, OPTION_TIME, OPTION_ANY_TIME, AT(rotate_ns), 0, UINT64_MAX,
	 "5m", "TIME", "begin a new file after so much packet time; 0: never"},
	{"flush-interval", 0, RUN | READ, OPTION_TIME, OPTION_ANY_TIME, AT(flush_ns), 0, 3600000000000u,
	 "2s", "TIME", "write packets so long after they came; 0, as for read: not by time"},
	{"sync-interval", 0, RUN | READ, OPTION_TIME, OPTION_ANY_TIME, AT(sync_ns), 0, UINT64_MAX,
	 "5s", "TIME", "sync what is written after so long; 0, as for read: when the file ends"},
	{"statistics-interval", 0, RUN | READ, OPTION_TIME, OPTION_ANY_TIME, AT(statistics_ns), 0, UINT64_MAX,
	 "60s", "TIME", "time between statistics blocks of a session; 0: when the file ends"},
	{"evidence", 0, RUN | READ, OPTION_CHOICE, OPTION_AT_START, AT(evidence), 0, 0,
	 "true", "false|true", "keep a signed chain of what is sealed and deleted, for vxcap verify"},
	{"retain-size", 0, RUN, OPTION_SIZE, OPTION_ANY_TIME, AT(retain_len), 0, UINT64_MAX,
	 "0", "SIZE", "delete the oldest files when all take more on the disk than this; 0: no limit"},
	{"retain-session-size", 0, RUN, OPTION_SIZE, OPTION_ANY_TIME, AT(retain_session_len), 0, UINT64_MAX,
	 "0", "SIZE", "the same for the files of each NAME, that is of each session with --split session"},
	{"retain-time", 0, RUN, OPTION_TIME, OPTION_ANY_TIME, AT(retain_ns), 0, UINT64_MAX,
	 "0", "TIME", "delete files whose last packet is older than this; 0: no limit"},
	{"retain-free", 0, RUN, OPTION_SPACE, OPTION_ANY_TIME, AT(retain_free), 0, UINT64_MAX,
	 "5%", "SIZE|N%", "delete the oldest files when less than this is free on the file system; 0: no limit"},
	{"stores", 0, RUN | READ, OPTION_STORES, OPTION_AT_START, 0, 0, 0,
	 NULL, "NAME: {...}", "sessions whose files have recipients, rotation and retention of their own"},
	{"level", 0, RUN | READ, OPTION_LEVEL, OPTION_AT_START, AT(level), 0, 0,
	 "1", "N", "zstd level, -7 to 19"},
	{"memory", 0, RUN | READ, OPTION_SIZE, OPTION_AT_START, AT(memory), 1u << 20, UINT64_MAX,
	 "2GiB", "SIZE", "refuse to start if more could be needed"},
	{"listen", 0, RUN, OPTION_LISTEN, OPTION_AT_START, AT(listen), 0, 0,
	 "127.0.0.1:9789", "ADDR:PORT", "serve /metrics there, or 'none'"},
	{"health-listen", 0, RUN, OPTION_LISTEN, OPTION_AT_START, AT(health_listen), 0, 0,
	 "none", "ADDR:PORT", "serve /-/healthy and /-/ready alone there, for load balancers"},
	{"counters-file", 0, RUN, OPTION_TEXT, OPTION_AT_START, AT(counters_file), 0, 0,
	 NULL, "FILE", "keep a copy of what is counted there, which outlives a kill (in /run/vxprobe)"},
	{"metrics", 0, RUN | READ, OPTION_TEXT, OPTION_AT_START, AT(metrics), 0, 0,
	 NULL, "FILE", "write the last numbers there in Prometheus text; - is standard output"},
	{"json", 0, READ, OPTION_FLAG, OPTION_AT_START, AT(json), 0, 0,
	 "false", NULL, "write the report to standard output too, as JSON"},
	{"help", 'h', RUN | READ, OPTION_HELP, OPTION_AT_START, 0, 0, 0,
	 NULL, NULL, "this text"},
};
/* clang-format on */

const unsigned option_n = sizeof(option_rows) / sizeof(option_rows[0]);
_Static_assert(sizeof(option_rows) / sizeof(option_rows[0]) <= OPTION_ROWS_MAX, "room for all");

const struct option_row *option_find(const char *name)
{
	for (unsigned i = 0; i < option_n; i++)
		if (!strcmp(option_rows[i].name, name))
			return &option_rows[i];
	return NULL;
}

bool option_is_key(const struct option_row *row)
{
	return row->type != OPTION_FILE && row->type != OPTION_HELP && row->commands & RUN;
}

bool option_is_line(const struct option_row *row)
{
	return row->type != OPTION_STORES;
}

bool option_is_list(const struct option_row *row)
{
	return row->type == OPTION_RECIPIENT || row->type == OPTION_ALLOW;
}

/* ---- numbers ---- */

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit size_units[] = {
	{"GiB", 1u << 30}, {"MiB", 1u << 20}, {"KiB", 1u << 10}, {"B", 1}};
static const struct unit time_units[] = {{"s", 1000000000}, {"ms", 1000000}, {"ns", 1}};
static const struct unit no_units[] = {{"", 1}};

/* A bound as people write it, in the largest unit of which it is a multiple. */
static void format_bound(char *out, size_t len, enum option_type type, uint64_t value)
{
	const struct unit *unit = type == OPTION_SIZE   ? size_units
				  : type == OPTION_TIME ? time_units
							: no_units;

	if (!value)
		unit = no_units;
	while (value % unit->factor)
		unit++;
	(void)snprintf(out, len, "%" PRIu64 "%s", value / unit->factor, unit->name);
}

static int fail_range(const struct option_row *row, struct err *err)
{
	char min[32], max[32];

	format_bound(min, sizeof(min), row->type, row->min);
	format_bound(max, sizeof(max), row->type, row->max);
	if (row->max == UINT64_MAX)
		return err_set(err, -EINVAL, "allowed is %s or more", min);
	return err_set(err, -EINVAL, "allowed is %s to %s", min, max);
}

static int set_number(const struct option_row *row, const char *text, uint64_t *field,
		      struct err *err)
{
	uint64_t value;

	if (row->type == OPTION_SIZE && !value_size(&value, text))
		return err_set(err, -EINVAL, "a size such as 64MiB is wanted");
	if (row->type == OPTION_SPACE && !value_space(&value, text))
		return err_set(
			err, -EINVAL,
			"a size such as 20GiB, or 0%% to 99%% of the file system, is wanted");
	if (row->type == OPTION_TIME && !value_time(&value, text))
		return err_set(err, -EINVAL, "a time such as 20ms or 5m is wanted");
	if (row->type != OPTION_SIZE && row->type != OPTION_TIME && row->type != OPTION_SPACE &&
	    !value_number(&value, text))
		return err_set(err, -EINVAL, "a number is wanted");
	if (value < row->min || value > row->max)
		return fail_range(row, err);
	if (row->type == OPTION_POWER && (value & (value - 1)))
		return err_set(err, -EINVAL, "a power of two is wanted");
	*field = value;
	return 0;
}

static int set_level(const char *text, int64_t *field, struct err *err)
{
	char *end;
	const long value = strtol(text, &end, 10);

	if (!strchr("-0123456789", *text) || end == text || *end || value < -7 || value > 19)
		return err_set(err, -EINVAL, "allowed is -7 (fast) to 19 (small)");
	*field = value;
	return 0;
}

/* ---- words ---- */

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
	return err_set(err, -EINVAL, "one of %s is wanted", row->value);
}

static int set_flag(const char *text, bool *field, struct err *err)
{
	const bool is_true = !strcmp(text, "true");

	if (!is_true && strcmp(text, "false"))
		return err_set(err, -EINVAL, "true or false is wanted");
	*field = is_true;
	return 0;
}

static int set_text(const struct option_row *row, const char *text, const char **field,
		    struct err *err)
{
	if (!*text)
		return err_set(err, -EINVAL, "%s is wanted", row->value);
	*field = text;
	return 0;
}

/* ---- addresses ---- */

/* ADDRESS:PORT, [V6]:PORT, or :PORT for every address. */
static bool is_endpoint(const char *text)
{
	char host[64];
	struct address address;
	uint64_t port;
	const char *colon = strrchr(text, ':');

	if (!colon || colon - text >= (int)sizeof(host) || !value_number(&port, colon + 1) ||
	    port < 1 || port > 65535)
		return false;
	(void)snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
	if (!*host)
		return true;
	if (*host != '[')
		return !strchr(host, ':') && value_address(&address, host);
	const size_t n = strlen(host);
	if (host[n - 1] != ']')
		return false;
	host[n - 1] = 0;
	return strchr(host, ':') && value_address(&address, host + 1);
}

static int set_listen(const char *text, const char **field, struct err *err)
{
	if (strcmp(text, "none") && !is_endpoint(text))
		return err_set(err, -EINVAL,
			       "an address and port such as 127.0.0.1:9789 or [::1]:9789, or none, "
			       "is wanted");
	*field = text;
	return 0;
}

static int add_allow(struct config *c, const char *text, struct err *err)
{
	struct attach_prefix prefix;

	if (!value_prefix(&prefix.address, &prefix.len, text))
		return err_set(err, -EINVAL, "an address or prefix such as 10.1.0.0/16 is wanted");
	if (c->n_allow == CONFIG_ALLOW_MAX)
		return err_set(err, -EINVAL, "more than %d prefixes", CONFIG_ALLOW_MAX);
	c->allow[c->n_allow++] = prefix;
	return 0;
}

static int add_recipient(struct config *c, const char *text, struct err *err)
{
	if (c->n_recipients == SEAL_RECIPIENTS_MAX)
		return err_set(err, -EINVAL, "more than %d recipients", SEAL_RECIPIENTS_MAX);
	const int ret = seal_recipient_parse(&c->recipients[c->n_recipients], text, err);
	c->n_recipients += !ret;
	return ret;
}

/* ---- all of them ---- */

int option_set(struct config *c, const struct option_row *row, const char *text, struct err *err)
{
	void *field = (char *)c + row->offset;

	switch (row->type) {
	case OPTION_HELP:
	case OPTION_STORES: /* stores_read does it */
		return 0;
	case OPTION_TEXT:
	case OPTION_FILE:
		return set_text(row, text, field, err);
	case OPTION_FLAG:
		return set_flag(text, field, err);
	case OPTION_LEVEL:
		return set_level(text, field, err);
	case OPTION_CHOICE:
		return set_choice(row, text, field, err);
	case OPTION_LISTEN:
		return set_listen(text, field, err);
	case OPTION_RECIPIENT:
		return add_recipient(c, text, err);
	case OPTION_ALLOW:
		return add_allow(c, text, err);
	case OPTION_NUMBER:
	case OPTION_POWER:
	case OPTION_SIZE:
	case OPTION_TIME:
	case OPTION_SPACE:
		break;
	}
	return set_number(row, text, field, err);
}

void option_clear(struct config *c, const struct option_row *row)
{
	if (row->type == OPTION_RECIPIENT)
		c->n_recipients = 0;
	if (row->type == OPTION_ALLOW)
		c->n_allow = 0;
}

static bool is_same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static bool is_same_recipients(const struct config *a, const struct config *b)
{
	return a->n_recipients == b->n_recipients &&
	       !memcmp(a->recipients, b->recipients, a->n_recipients * sizeof(a->recipients[0]));
}

static bool is_same_allow(const struct config *a, const struct config *b)
{
	return a->n_allow == b->n_allow &&
	       !memcmp(a->allow, b->allow, a->n_allow * sizeof(a->allow[0]));
}

/* The same ones; what each has may change. */
static bool is_same_stores(const struct config *a, const struct config *b)
{
	bool is_same = a->n_stores == b->n_stores;

	for (unsigned i = 0; i < a->n_stores && is_same; i++)
		is_same = !strcmp(a->stores[i].name, b->stores[i].name);
	return is_same;
}

bool option_is_equal(const struct option_row *row, const struct config *a, const struct config *b)
{
	const void *in_a = (const char *)a + row->offset, *in_b = (const char *)b + row->offset;

	switch (row->type) {
	case OPTION_HELP:
		return true;
	case OPTION_STORES:
		return is_same_stores(a, b);
	case OPTION_TEXT:
	case OPTION_FILE:
	case OPTION_LISTEN:
		return is_same_text(*(const char *const *)in_a, *(const char *const *)in_b);
	case OPTION_FLAG:
		return *(const bool *)in_a == *(const bool *)in_b;
	case OPTION_LEVEL:
		return *(const int64_t *)in_a == *(const int64_t *)in_b;
	case OPTION_RECIPIENT:
		return is_same_recipients(a, b);
	case OPTION_ALLOW:
		return is_same_allow(a, b);
	case OPTION_NUMBER:
	case OPTION_POWER:
	case OPTION_SIZE:
	case OPTION_TIME:
	case OPTION_SPACE:
	case OPTION_CHOICE:
		break;
	}
	return option_number(row, a) == option_number(row, b);
}

uint64_t option_number(const struct option_row *row, const struct config *c)
{
	return *(const uint64_t *)(const void *)((const char *)c + row->offset);
}
