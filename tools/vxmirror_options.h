/*
 * vxmirror_options: the command line of vxmirror, read and explained.
 */
#pragma once

#include "base/err.h"
#include "vxmirror_mishap.h"
#include "vxmirror_send.h"
#include "vxmirror_wrap.h"

#include <stdbool.h>
#include <stdint.h>

struct mirror_options {
	bool is_send; /* else wrap */
	struct mirror mirror;
	struct mishap_config mishap;
	const char *lost; /* where the lost packets go; NULL: nowhere */
	struct send_config send;
	const char *target_mac; /* NULL: auto */
	uint64_t loop;
	char **paths; /* of the inputs, wrap: and behind them of the output; point into argv */
	int n;
};

extern const char MIRROR_HELP[];

/* Defaults, then what argv says. -EINVAL. */
int mirror_options_parse(struct mirror_options *out, int argc, char **argv, struct err *err);
