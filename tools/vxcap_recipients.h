/*
 * vxcap_recipients: -r and -R of the commands that seal.
 */
#pragma once

#include "base/err.h"
#include "path/seal.h"

struct vxcap_recipients {
	struct seal_recipient recipient[SEAL_RECIPIENTS_MAX];
	unsigned n;
};

/* For getopt_long. */
#define VXCAP_RECIPIENTS_SHORT "r:R:"
#define VXCAP_RECIPIENTS_LONG                                                                      \
	{"recipient", required_argument, NULL, 'r'},                                               \
	{                                                                                          \
		"recipients-file", required_argument, NULL, 'R'                                    \
	}

/* Takes -r age1... and -R FILE, one age1... per line. 0; -ENOENT: another option; else err says
 * why.
 */
int vxcap_recipients_option(struct vxcap_recipients *recipients, int option, const char *value,
			    struct err *err);
