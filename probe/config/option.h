/*
 * option: one option by its name: what it may be, where it lies in struct config, when it may
 * change. The one table from which command line, file, help and reload work.
 *
 * Internal to config/. Main thread.
 */
#pragma once

#include "config/config.h"

enum option_type {
	OPTION_TEXT,
	OPTION_NUMBER,
	OPTION_POWER, /* a number, power of two */
	OPTION_LEVEL,
	OPTION_SIZE,
	OPTION_TIME,
	OPTION_SPACE, /* a size, or per cent of the file system */
	OPTION_CHOICE,
	OPTION_FLAG,
	OPTION_LISTEN,
	OPTION_RECIPIENT, /* may be repeated */
	OPTION_ALLOW,     /* may be repeated */
	OPTION_STORES,    /* a map: file only, see stores.h */
	OPTION_FILE,      /* -c: command line only */
	OPTION_HELP,      /* command line only */
};

/* What a reload may do. */
enum option_change { OPTION_AT_START, OPTION_UPWARD, OPTION_ANY_TIME };

struct option_row {
	const char *name;
	char letter;
	unsigned commands; /* bit per enum config_command */
	enum option_type type;
	enum option_change change;
	size_t offset; /* in struct config */
	uint64_t min, max;
	const char *fallback; /* the value unless given; NULL: none, or the help says it */
	const char *value; /* what the help calls the argument; for CHOICE the words, '|' between */
	const char *help;
};

#define OPTION_ROWS_MAX 48
extern const struct option_row option_rows[];
extern const unsigned option_n;

/* NULL: there is none. */
const struct option_row *option_find(const char *name);
bool option_is_key(const struct option_row *row);  /* of the file too: what run takes */
bool option_is_line(const struct option_row *row); /* of the command line */
bool option_is_list(const struct option_row *row); /* may be repeated */

/* Sets the field; of a list, adds to it. -EINVAL with a sentence that says what is allowed, but
 * neither option nor value. Texts are lent to the config. */
int option_set(struct config *config, const struct option_row *row, const char *text,
	       struct err *err);
/* Empties a list. */
void option_clear(struct config *config, const struct option_row *row);
bool option_is_equal(const struct option_row *row, const struct config *a, const struct config *b);
/* The value of an option that is a number of any kind but LEVEL. */
uint64_t option_number(const struct option_row *row, const struct config *config);
