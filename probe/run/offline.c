#include "run/offline.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/progress.h"
#include "path/capture.h"
#include "path/seal.h"
#include "run/ledger.h"
#include "run/plan.h"

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

static void say_skipped(const struct capture *source)
{
	const uint64_t skipped = capture_pcap_skipped(source);

	if (skipped)
		log_line("%llu packets are not Ethernet and were skipped",
			 (unsigned long long)skipped);
}

/* SIGINT and SIGTERM end the reading, not the files: what was read is stored. A second one ends the
 * process; while a pipe gives nothing it takes that, since a thread waits in read(2). */
static int open_signals(struct err *err)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	const int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return err_set(err, -errno, "cannot wait for signals: %s", strerror(errno));
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	return fd;
}

static void take_signal(struct engine *engine, int signals, unsigned *n)
{
	struct signalfd_siginfo info;

	if (read(signals, &info, sizeof(info)) != sizeof(info))
		return;
	if ((*n)++)
		_exit(128 + (int)info.ssi_signo);
	log_line("ending: what was read is stored; a second signal ends it at once");
	engine_stop(engine);
}

static uint64_t frames_seen(struct stats *stats)
{
	struct ledger ledger;

	ledger_read(&(struct ledger_source){.stats = stats}, &ledger);
	return ledger.seen;
}

static int verdict(struct stats *stats, const struct capture *first, int damaged, bool was_ended,
		   struct err *err)
{
	const struct stats_writer writers = stats_writers(stats);
	const uint64_t lost = writers.fate[FATE_DISK_FULL] + writers.fate[FATE_IO_ERROR];
	const bool any = writers.fate[FATE_KEPT];

	if (lost)
		return err_set(err, -EIO, "%" PRIu64 " packets could not be stored", lost);
	if (was_ended)
		return err_set(err, -EINTR, "ended by a signal before the end of the input");
	if (damaged)
		return err_set(err, damaged, "%s%s", capture_pcap_error(first),
			       any ? "; what came before it is stored" : "");
	if (capture_pcap_skipped(first) && !frames_seen(stats))
		return err_set(err, -EINVAL,
			       "no packet is Ethernet: a capture of an interface that mirrored "
			       "packets come to is wanted");
	return 0;
}

static int run_engine(struct engine *engine, const struct config *c,
		      const struct stats_config *stats_config, struct stats *stats, struct err *err)
{
	const struct ledger_source source = {.stats = stats};
	struct capture *first = NULL;
	unsigned n_signals = 0;
	const int signals = open_signals(err);
	int ret = signals < 0 ? signals : open_sources(engine, c, &first, err);

	if (ret)
		return ret;
	plan_log_bounds(c, stats_config, 0);
	if (engine_start(engine, err)) {
		/* Threads that did start have what is to be closed. */
		log_line("%s", err->text);
		_exit(1);
	}
	progress_begin("reading", progress_size(c->inputs, c->n_inputs));
	while (!engine_is_done(engine)) {
		engine_turn(engine, signals, TURN_MS);
		take_signal(engine, signals, &n_signals);
		progress_show(capture_pcap_done(first));
	}
	progress_end();
	const int damaged = engine_join(engine);
	say_skipped(first);
	ret = plan_report(c, &source, err);
	return ret ? ret : verdict(stats, first, damaged, n_signals, err);
}

int offline_run(const struct config *c, struct err *err)
{
	struct engine_config config;
	struct stats_config stats_config;
	struct engine *engine = NULL;
	struct stats *stats = NULL;
	int fd = -1;
	struct engine_settings settings;
	struct names *names = NULL;
	int ret = plan_check_metrics(c, err);

	seal_protect_process();
	if (ret || (ret = config_load_names(&names, c, err)) ||
	    (ret = plan_engine(c, 0, 0, &config, &stats_config, err)) ||
	    (ret = stats_open(&stats, &fd, &stats_config, err)) ||
	    (ret = engine_open(&engine, &config, stats, err)))
		goto done;
	plan_settings(c, &settings);
	engine_set(engine, &settings, names);
	names = NULL;
	ret = run_engine(engine, c, &stats_config, stats, err);
done:
	names_close(names);
	engine_close(engine);
	if (stats)
		stats_close(stats);
	if (fd >= 0)
		(void)close(fd);
	return ret;
}
