/*
 * setting: the values as they were given, on the command line and in the file, and where.
 *
 * Internal to config/. Main thread. Settings and texts are the config's, until config_close.
 */
#pragma once

#include "config/config.h"
#include "config/option.h"

struct config_setting {
	const struct option_row *row;
	const char *text;
	const struct yamldoc_node *node; /* NULL: on the command line */
};

/* Options of the command line become settings, the rest inputs; -c becomes config->file.
 * -ECANCELED: help is asked for. */
int setting_read_line(struct config *config, struct err *err);
/* Opens config->file; its keys become settings. Refused with the line: what is no key of ours, a
 * list or a map where one value is wanted, an empty list. */
int setting_read_file(struct config *config, struct err *err);

/* Sets the field. "--ring 1000: sentence" or "FILE:LINE: ring: 1000: sentence". The sentence of a
 * recipient names its text itself, unless that is a secret. */
int setting_apply(struct config *config, const struct config_setting *setting, struct err *err);
/* The one that counts, the last of the command line before any of the file; NULL: not given. */
const struct config_setting *setting_of(const struct config *config, const char *name);

/* "FILE:LINE: KEY: sentence" or "--option: sentence". Returns -EINVAL. */
int setting_fail(const struct config *config, const struct config_setting *setting, struct err *err,
		 const char *format, ...) __attribute__((format(printf, 4, 5)));
/* "FILE:LINE: KEY" or "--option", for the middle of a sentence. */
#define SETTING_PLACE_LEN 192
const char *setting_place(char out[static SETTING_PLACE_LEN], const struct config *config,
			  const struct config_setting *setting);
