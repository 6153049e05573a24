/*
 * names_policies: what the names file says of policies, and whose they are.
 *
 * Internal to config/names*. Main thread; allocates, and libpcap does. Texts are lent by the tree.
 * Errors have file, line, key and what is allowed.
 */
#pragma once

#include "config/names.h"
#include "config/yamldoc.h"

struct names_policies {
	struct names_policy policy[NAMES_POLICIES_MAX]; /* code and ranges are ours */
	uint32_t n;
	struct {
		const char *nf;
		uint32_t policy;
	} nf[YAMLDOC_KEYS_MAX];
	uint32_t n_nfs;
	uint32_t unknown; /* or NAMES_UNKNOWN_UNSAID */
};

/* The values of the keys policies, nfs and unknown-sessions; NULL: not given. Free it in any case.
 */
int names_policies_read(struct names_policies *out, const struct yamldoc *doc,
			const struct yamldoc_node *policies, const struct yamldoc_node *nfs,
			const struct yamldoc_node *unknown, struct err *err);
/* Takes zeroes. */
void names_policies_free(struct names_policies *policies);

/* Whose name the node is: a word of enum session_policy, or NAMES_POLICY and more. */
int names_policies_find(const struct names_policies *policies, const struct yamldoc *doc,
			const struct yamldoc_node *node, uint32_t *policy, struct err *err);
/* Of sessions without their own. */
uint32_t names_policies_of_nf(const struct names_policies *policies, const char *nf);
