#include "run/offline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "path/capture.h"
#include "run/ledger.h"
#include "run/plan.h"
#include "serve/metrics.h"

#define TURN_MS 1000

/* Every worker reads the files for itself and keeps its share: no hand-over, the same order always.
 */
static int open_sources(struct engine *engine, const struct config *c, struct capture **first,
			struct err *err)
{
	for (unsigned i = 0; i < c->workers; i++) {
		struct capture *source;
		const int ret = capture_pcap_open(&source, (const char *const *)c->inputs,
						  c->n_inputs, err);
		if (ret)
			return ret;
		engine_set_source(engine, i, source);
		if (!i)
			*first = source;
	}
	return 0;
}

static int report(const struct config *c, struct stats *stats, struct err *err)
{
	const struct ledger_source source = {.stats = stats};
	char *text;
	size_t len;
	int ret = metrics_text(&source, &text, &len, err);

	ledger_log(&source);
	if (ret)
		return ret;
	ret = plan_write_metrics(c, text, len, err);
	free(text);
	return ret;
}

static void say_skipped(const struct capture *source)
{
	const uint64_t skipped = capture_pcap_skipped(source);

	if (skipped)
		log_line("%llu packets are not Ethernet and were skipped",
			 (unsigned long long)skipped);
}

static int run_engine(struct engine *engine, const struct config *c, struct stats *stats,
		      struct err *err)
{
	struct capture *first = NULL;
	int ret = open_sources(engine, c, &first, err);

	if (ret || (ret = engine_start(engine, err)))
		return ret;
	while (!engine_is_done(engine))
		engine_turn(engine, -1, TURN_MS);
	const int damaged = engine_join(engine);
	stats->skipped = capture_pcap_skipped(first);
	say_skipped(first);
	ret = report(c, stats, err);
	if (!ret && damaged)
		ret = err_set(err, damaged, "%s; what came before it is stored",
			      capture_pcap_error(first));
	return ret;
}

int offline_run(const struct config *c, struct err *err)
{
	struct engine_config config;
	struct stats_config stats_config;
	struct engine *engine = NULL;
	struct stats *stats = NULL;
	int fd = -1;
	int ret = plan_engine(c, 0, 0, &config, &stats_config, err);

	if (ret || (ret = stats_open(&stats, &fd, &stats_config, err)) ||
	    (ret = engine_open(&engine, &config, stats, err)))
		goto done;
	ret = run_engine(engine, c, stats, err);
done:
	engine_close(engine);
	if (stats)
		stats_close(stats);
	if (fd >= 0)
		(void)close(fd);
	return ret;
}
