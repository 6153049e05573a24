/*
 * reason: the texts of reasons.def, by enum fate and enum mark of include/reason.h.
 *
 * Any thread; constants.
 */
#pragma once

#include <reason.h> /* the one in include/: quotes would find this one */

struct reason_text {
	const char *label;      /* of the metric */
	const char *counted_by; /* "xdp", "kernel", "worker" or "writer"; marks: "worker" */
	const char *help;
};

extern const struct reason_text fate_text[FATE_MAX];
extern const struct reason_text mark_text[MARK_MAX];
