/*
 * config: the command line as one const struct. Only this file knows the options' names.
 *
 * Main thread, once. Strings point into argv.
 */
#pragma once

#include "base/err.h"
#include "path/attach.h"
#include "path/handoff.h"
#include "path/seal.h"

#include <stdbool.h>
#include <stdint.h>

#define CONFIG_ALLOW_MAX STEER_ALLOWED_MAX

enum config_command { CONFIG_RUN, CONFIG_READ };

struct config {
	enum config_command command;
	const char *interface; /* run */
	char *const *inputs;   /* read: capture files */
	unsigned n_inputs;
	const char *dir;
	struct seal_recipient recipients[SEAL_RECIPIENTS_MAX];
	unsigned n_recipients;
	bool unencrypted;
	const char *allow[CONFIG_ALLOW_MAX];
	unsigned n_allow;
	uint64_t mode, split; /* enum attach_mode; 0: one store for all, 1: one per session */
	uint64_t workers, port, ring, slack_ns;
	uint64_t sessions_max, flows_max, chunks, chunk_len;
	uint64_t rotate_len, rotate_ns;
	int64_t level;
	uint64_t memory;     /* budget, bytes */
	const char *listen;  /* ADDRESS:PORT or "none" */
	const char *metrics; /* file for the last numbers, "-": standard output, NULL: none */
};

/* Parses what follows the command. 0; -EINVAL with a sentence; -ECANCELED: help is asked for. */
int config_parse(struct config *out, enum config_command command, int argc, char **argv,
		 struct err *err);
/* The help text of a command. */
void config_help(enum config_command command);
