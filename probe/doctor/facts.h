/*
 * facts: what a host says of itself, of an interface and of an output folder, as far as a probe
 * cares. The list is facts.def.
 *
 *   facts_gather  asks this host          facts_json.h  keeps and recalls the answers
 *
 * Main thread, once; needs no privilege, but says less without (names of foreign programs). Only
 * looks: attaches, binds and changes nothing. An interface that carries traffic does not notice.
 */
#pragma once

#include "base/err.h"

#include <stdint.h>

#define FACT_UNKNOWN (-1)

struct doctor_facts {
#define TEXT(name, len, meaning) char name[len];
#define NUMBER(name, meaning)    int64_t name;
#define FLAG(name, meaning)      int64_t name;
#include "doctor/facts.def"
#undef TEXT
#undef NUMBER
#undef FLAG
};

/* Everything unknown. */
void facts_init(struct doctor_facts *facts);
/* folder may be NULL: then nothing is asked about it. What a kernel or driver does not tell stays
 * unknown; the only errors are -ENODEV, no such interface, and -EINVAL, a name too long. */
int facts_gather(struct doctor_facts *facts, const char *interface, const char *folder,
		 struct err *err);
