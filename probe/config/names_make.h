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

struct names_content {
	const struct names_entry *entries; /* in the order of names_compare */
	const struct names_policy *policies;
	uint32_t n_entries, n_policies;
	uint32_t unknown;
};

/* The order of a snapshot: by source, VNI, from. */
int names_compare(const struct names_entry *a, const struct names_entry *b);
/* Everything is copied. */
int names_make(struct names **out, const struct names_content *content, struct err *err);
