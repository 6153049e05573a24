/*
 * config: command line and configuration file as one struct. Only this room knows the options'
 * names: its table of options gives the command line, the keys of the file and the help.
 *
 * Main thread of the starter. Strings point into argv, which must outlive the struct, and into what
 * the struct owns until config_close.
 */
#pragma once

#include "base/err.h"
#include "path/attach.h"
#include "path/enroll.h"
#include "path/handoff.h"
#include "path/seal.h"
#include "siphash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_ALLOW_MAX STEER_ALLOWED_MAX
/* A reload can raise sessions_max to so many times that of the start: memory is laid out for it. */
#define CONFIG_SESSIONS_GROWTH 4

/* Stores besides the default one, which all sessions have that the names file gives no other. */
#define CONFIG_STORES_MAX    15
#define CONFIG_DEFAULT_STORE "vxprobe"

struct names;

struct config_store {
	const char *name; /* and that of its files */
	struct seal_recipient recipients[SEAL_RECIPIENTS_MAX];
	unsigned n_recipients;
	uint64_t rotate_len, rotate_ns;
	uint64_t retain_len, retain_ns; /* of its own files; len 0: no limit */
};

/* "check" takes and wants what "run" does. */
enum config_command { CONFIG_RUN, CONFIG_READ, CONFIG_CHECK };

struct config {
	enum config_command command;
	const char *file;      /* of -c, or NULL */
	const char *interface; /* run */
	char *const *inputs;   /* read: capture files */
	unsigned n_inputs;
	const char *dir;
	const char *recipients_file; /* already read: its recipients are among those here */
	struct seal_recipient recipients[SEAL_RECIPIENTS_MAX];
	unsigned n_recipients;
	bool unencrypted;
	const char *names;           /* names file, or NULL */
	const char *sample_key_file; /* already read, or NULL */
	struct siphash_key sample_key;
	uint64_t unknown_sessions; /* enum session_policy of sessions that it does not have */
	struct attach_prefix allow[CONFIG_ALLOW_MAX];
	unsigned n_allow;
	uint64_t mode, split; /* enum attach_mode; 0: one store for all, 1: one per session */
	uint64_t workers, writers, port, ring, slack_ns;
	uint64_t sessions_max, flows_max, associations_max, chunks, chunk_len;
	uint64_t sessions_start;             /* sessions_max of the start, also after reloads */
	uint64_t series_max, histograms_max; /* of sessions in metrics; per worker */
	uint64_t metrics_by;                 /* enum view_by */
	uint64_t rotate_len, rotate_ns, flush_ns, sync_ns, statistics_ns;
	uint64_t evidence; /* 1: the folder's chain is kept */
	uint64_t retain_len, retain_session_len, retain_ns;
	uint64_t retain_free; /* a value_space */
	struct config_store stores[CONFIG_STORES_MAX];
	unsigned n_stores;
	int64_t level;
	uint64_t memory;           /* budget, bytes */
	const char *listen;        /* ADDRESS:PORT or "none" */
	const char *health_listen; /* the same, for health checks alone */
	bool json;                 /* read: the report as JSON on standard output */
	const char *counters_file; /* outlives a kill; NULL: in COUNTERS_DIR */
	const char *metrics;       /* file for the last numbers, "-": standard output, NULL: none */

	/* config's own */
	int argc;
	char **argv;
	struct yamldoc *doc;
	struct config_setting *settings; /* those of the file, then those of the command line */
	size_t n_settings, settings_cap;
};

/* Parses what follows the command, and the file of -c, whose values the command line overrides;
 * a list there replaces the file's. argv is lent until config_close, and reordered. 0; -EINVAL or
 * the like with a sentence that has option, or file, line and key; -ECANCELED: help is asked for.
 */
int config_parse(struct config *out, enum config_command command, int argc, char **argv,
		 struct err *err);
/* Parses the same command line and its files again, as they are now. Refused, with a sentence: what
 * config_parse refuses, and what differs and takes effect at a start only. out is the caller's
 * beside running, which stays as it is. */
int config_reload(struct config *out, const struct config *running, struct err *err);
/* Takes a config that was parsed, or zeroes. */
void config_close(struct config *config);

/* The names of the names file, or NULL where there is none. Refused is also a policy that samples
 * without a key. */
struct names;
int config_load_names(struct names **out, const struct config *config, struct err *err);
/* What can be told without a start: the names file loads, the folder can be written. */
int config_check_files(const struct config *config, struct err *err);
/* Refused: an entry of names, which were loaded from config->names, has a store that there is not.
 * NULL is right. */
int config_check_stores(const struct config *config, const struct names *names, struct err *err);
/* SHA-256 of all options as they are in force, recipients of files too: equal for equal ones, of
 * one version of the program. */
void config_hash(const struct config *config, uint8_t out[static 32]);
/* One line for people: what a run with it would do. */
void config_summary(const struct config *config, char *out, size_t len);

/* A sentence on what is allowed and unwise; NULL: nothing is. */
const char *config_warning(const struct config *config);

/* The help text of a command. */
void config_help(enum config_command command);
