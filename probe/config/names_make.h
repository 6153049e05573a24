/*
 * names_make: from what names_load.c read to a snapshot. Nobody else includes this.
 */
#pragma once

#include "config/names.h"

struct names_entry {
	struct address source;
	uint32_t vni;
	struct names_session session; /* without index */
	const struct names_address *addresses;
	uint32_t n_addresses;
};

/* The order of a snapshot: by source, VNI, from. */
int names_compare(const struct names_entry *a, const struct names_entry *b);
/* entries in that order; everything is copied. */
int names_make(struct names **out, const struct names_entry *entries, uint32_t n, struct err *err);
