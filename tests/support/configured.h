/*
 * configured: a configuration file in a folder of its own, parsed as vxprobe does, for unit tests.
 */
#pragma once

#include "config/config.h"

/* Keys of the age test vectors. */
#define RECIPIENT "age1xmwwc06ly3ee5rytxm9mflaz2u56jjj36s0mypdrwsvlul66mv4q47ryef"
#define OTHER     "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"

/* Three lines that are enough; what a test adds begins in line 4. */
#define ENOUGH "interface: eth1\noutput: out\nrecipient: " RECIPIENT "\n"

struct configured {
	char folder[64], file[96], recipients[96];
	struct config config; /* the last that was right */
	struct err err;
};
extern struct configured configured;

void configured_init(void);
void configured_fini(void);

void configured_put(const char *path, const char *text);
/* Parses "vxprobe COMMAND -c FILE more...", FILE as it is. */
int configured_parse(enum config_command command, const char *more);
/* The same for run, with this text as the file. */
int configured_run(const char *text, const char *more);
/* For run, with this text as the file of recipients, named in a file. */
int configured_run_recipients(const char *text);
/* Reloads with this text as the file. */
int configured_reload(struct config *out, const char *text);

void assert_takes(const char *text, const char *more);
/* ret is -EINVAL; the sentence begins with this behind the folder's name, and is one line. */
void assert_says(int ret, const char *begins);
void assert_mentions(const char *words);
