#include "run/describe.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void append(char *text, size_t cap, const char *key, const char *value)
{
	const size_t len = strlen(text);

	if (*value)
		(void)snprintf(text + len, cap - len, " %s=%s", key, value);
}

static void append_number(char *text, size_t cap, const char *key, uint32_t value)
{
	const size_t len = strlen(text);

	(void)snprintf(text + len, cap - len, " %s%" PRIu32, key, value);
}

/* Nothing where all is kept. */
static void describe_policy(const struct describe_policy *p, char *text, size_t cap)
{
	if (!strcmp(p->name, filter_words[SESSION_FULL]))
		return;
	append(text, cap, "policy", p->name);
	if (p->keep != SESSION_FULL && strcmp(p->name, filter_words[p->keep]))
		append(text, cap, "keep", filter_words[p->keep]);
	if (p->user_plane != p->keep)
		append(text, cap, "user-plane", filter_words[p->user_plane]);
	if (p->snap_len != UINT32_MAX)
		append_number(text, cap, "snap-length=", p->snap_len);
	if (p->sample > 1)
		append_number(text, cap, "sample=1/", p->sample);
	if (p->n_only)
		append_number(text, cap, "only=", p->n_only);
}

void describe_session(const struct session *session, const struct session_labels *labels,
		      const struct describe_policy *policy, const uint64_t *clock_error_ns,
		      struct block_interface *out)
{
	char source[SESSION_NAME_MAX], *text = out->description;
	const size_t cap = sizeof(out->description);

	memset(out, 0, sizeof(*out));
	out->linktype = BLOCK_LINKTYPE_ETHERNET;
	out->snaplen = BLOCK_SNAPLEN;
	(void)snprintf(out->name, sizeof(out->name), "%s", labels->name);
	stats_address(&session->source, source);
	(void)snprintf(text, cap, "vni=%u source=%s", session->vni, source);
	append(text, cap, "nf", labels->nf);
	append(text, cap, "vrf", labels->vrf);
	append(text, cap, "account", labels->account);
	append(text, cap, "eni", labels->eni);
	describe_policy(policy, text, cap);
	(void)snprintf(out->filter, sizeof(out->filter), "%s", policy->filter);
	if (clock_error_ns)
		(void)snprintf(
			out->comment, sizeof(out->comment),
			"time: arrival at the probe's XDP program (CLOCK_MONOTONIC), as wall "
			"clock to within %" PRIu64 " ns",
			*clock_error_ns);
}
