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

void describe_session(const struct session *session, const struct session_labels *labels,
		      const uint64_t *clock_error_ns, struct block_interface *out)
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
	if (clock_error_ns)
		(void)snprintf(
			out->comment, sizeof(out->comment),
			"time: arrival at the probe's XDP program (CLOCK_MONOTONIC), as wall "
			"clock to within %" PRIu64 " ns",
			*clock_error_ns);
}
