/*
 * err: one sentence for the operator, written where the names are known, printed once by main.
 *
 * Any thread; the struct is the caller's. Never allocates.
 */
#pragma once

struct err {
	char text[1024]; /* all keys of a configuration fit */
};

/* Writes the sentence and returns code, so that reporting and returning are one statement. For a
 * control character there is a question mark: names of files and sessions may be anybody's, and
 * would steer the operator's terminal. */
int err_set(struct err *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
