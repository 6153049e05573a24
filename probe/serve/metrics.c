#include "serve/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "serve/metrics_part.h"
#include "version.h"

struct number number(uint32_t n)
{
	struct number out;

	(void)snprintf(out.text, sizeof(out.text), "%" PRIu32, n);
	return out;
}

void metrics_single(struct exposition *e, enum exposition_type type, const char *name,
		    const char *unit, const char *help, uint64_t value)
{
	exposition_family(e, type, name, unit, help);
	exposition_integer(e, value, NULL);
}

void metrics_single_seconds(struct exposition *e, enum exposition_type type, const char *name,
			    const char *help, uint64_t ns)
{
	exposition_family(e, type, name, "seconds", help);
	exposition_seconds(e, ns, NULL);
}

size_t metrics_memory(const struct stats_config *config, const struct view_facts *facts)
{
	return metrics_health_memory(config) + metrics_sessions_memory(config->sessions_max, facts);
}

static size_t len_max(const struct view *v)
{
	const struct stats *s = v->ledger.stats;
	const struct stats_config config = {
		.workers = s->workers, .queues = s->queues, .sessions_max = s->sessions_max};

	return metrics_memory(&config, &v->facts);
}

int metrics_text(struct view *v, enum exposition_format format, uint64_t now_ns, char **text,
		 size_t *len, struct err *err)
{
	const uint64_t began_ns = clock_monotonic_ns();
	struct exposition *e;
	struct err unused;
	int ret = exposition_open(&e, format, len_max(v), err);

	if (ret)
		return ret;
	exposition_family(e, EXPOSITION_INFO, "vxprobe_build", "", "Version of vxprobe.");
	exposition_integer(e, 1, LABELS("version", VERSION));
	metrics_health(e, v);
	metrics_process(e, v);
	ret = metrics_sessions(e, v, now_ns, err);
	metrics_single_seconds(e, EXPOSITION_GAUGE, "vxprobe_exporter_render_seconds",
			       "Time that it took to make this page.",
			       clock_monotonic_ns() - began_ns);
	if (!ret)
		return exposition_close(e, text, len, err);
	if (!exposition_close(e, text, len, &unused))
		free(*text);
	return ret;
}
