/*
 * vxcap: works on stored captures. One file per command; main calls one of them.
 *
 * A command reads its own options, returns the exit code (0 done, 1 failed, 2 usage) and may print.
 */
#pragma once

#include "base/err.h"

#include <getopt.h>
#include <stdint.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

int vxcap_ls(int argc, char **argv);
int vxcap_cat(int argc, char **argv);
int vxcap_recover(int argc, char **argv);
int vxcap_keys(int argc, char **argv);
int vxcap_rewrap(int argc, char **argv);
int vxcap_verify(int argc, char **argv);
int vxcap_pin(int argc, char **argv);
int vxcap_unpin(int argc, char **argv);
int vxcap_pins(int argc, char **argv);

/* As getopt_long, which also says nothing; a long option cut short is unknown, as it could mean
 * another one. Of that and of any '?', argv[optind - 1] is the word. */
int vxcap_option(int argc, char **argv, const char *short_options, const struct option *options);

/* One line on standard error, plain. */
void vxcap_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same, and where help is. Returns EXIT_USAGE. */
int vxcap_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));
