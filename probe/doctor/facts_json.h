/*
 * facts_json: facts as a JSON object, and back. The keys are those of facts.def; what is unknown is
 * null, or not there. Main thread.
 */
#pragma once

#include "doctor/facts.h"

#include <jansson.h>

/* A new reference; NULL: out of memory. */
json_t *facts_to_json(const struct doctor_facts *facts);
/* Reads the object "facts" of a file that 'vxprobe doctor --json' wrote. Keys that it does not know
 * are of a later version and ignored. facts is untouched on error. */
int facts_from_file(struct doctor_facts *facts, const char *path, struct err *err);
