/*
 * metrics_part: the parts that metrics_text puts together, a file each.
 */
#pragma once

#include "serve/exposition.h"
#include "serve/view.h"

/* A number as a label's value: number(3).text, valid to the end of the expression. */
struct number {
	char text[12];
};
struct number number(uint32_t n);

/* A family of one sample without labels. */
void metrics_single(struct exposition *e, enum exposition_type type, const char *name,
		    const char *unit, const char *help, uint64_t value);
void metrics_single_seconds(struct exposition *e, enum exposition_type type, const char *name,
			    const char *help, uint64_t ns);

/* Ledger, queues, workers, writer, reloads. */
void metrics_health(struct exposition *e, const struct view *view);
size_t metrics_health_memory(const struct stats_config *config);
/* All that has the labels of a session. -ENOMEM. */
int metrics_sessions(struct exposition *e, struct view *view, uint64_t now_ns, struct err *err);
size_t metrics_sessions_memory(uint32_t sessions_max, uint32_t series_max);
/* The standard process_ families, of all processes of the probe. */
void metrics_process(struct exposition *e, const struct view *view);
