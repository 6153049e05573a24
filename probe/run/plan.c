#include "run/plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "path/store.h"
#include "serve/exporter.h"
#include "serve/metrics.h"
#include "serve/summary_show.h"

/* Input per zstd frame: 1 MiB compresses 20 to 40 % faster than 64 KiB at the same ratio. */
#define FRAME_LEN (1u << 20)
/* With a file per session the frames shrink so that all of them fit into a quarter of the budget,
 * and the buffers in front of the disk into a sixteenth. */
#define FRAME_LEN_MIN  (64u << 10)
#define BUFFER_LEN_MIN (4 * STORE_BLOCK)

/* A file's index: frames and interface blocks. One file for all sessions has many of both; a file
 * of its own for each session has one interface block, and ends earlier. */
#define INDEX_FRAMES            16384
#define INDEX_DEFINITIONS       PACK_DEFINITIONS_MAX
#define INDEX_FILTERS           (16u << 20)
#define INDEX_FRAMES_SPLIT      1024
#define INDEX_FILTERS_SPLIT     (24u << 10)
#define INDEX_DEFINITIONS_SPLIT 4096

/* Of the names in force and of those that follow: the starter's two; the capture process's, one
 * more while workers use those before. */
#define NAMES_COPIES 5

/* Programs, libraries, stacks and HTTP of the three processes: 31 MiB were measured. */
#define BASE_LEN (48u << 20)

/* Of a part of the budget what each file may have. */
static size_t share(const struct config *c, uint64_t part, size_t min, size_t max)
{
	const uint64_t fair = c->split ? part / c->sessions_max : max;

	return fair > max ? max : fair < min ? min : fair;
}

static size_t buffer_len(const struct config *c)
{
	const size_t len = share(c, c->memory / 16, BUFFER_LEN_MIN, STORE_BUFFER);

	return len - len % STORE_BLOCK;
}

/* So that a reload can raise the cap; a file per session has its memory and descriptors counted at
 * start. */
static uint64_t sessions_room(const struct config *c)
{
	return c->split || c->command == CONFIG_READ ? c->sessions_max
						     : CONFIG_SESSIONS_GROWTH * c->sessions_max;
}

_Static_assert(CONFIG_STORES_MAX + 1 == OUTPUT_STORES_MAX, "and the default one");
_Static_assert(CONFIG_STORES_MAX == RETENTION_STORES_MAX, "each may have a quota");

static struct output_settings settings_of(const struct output_settings *all,
					  const struct config_store *store)
{
	struct output_settings s = *all;

	memcpy(s.recipients, store->recipients, sizeof(s.recipients));
	s.n_recipients = store->n_recipients;
	s.rotate_len = store->rotate_len;
	s.rotate_ns = store->rotate_ns;
	return s;
}

static void add_retention(struct retention_settings *all, const struct config_store *store)
{
	struct retention_store *s = &all->stores[all->n_stores++];

	(void)snprintf(s->name, sizeof(s->name), "%s", store->name);
	s->size = store->retain_len;
	s->time_ns = store->retain_ns;
	if (store->rotate_len > all->rotate_len)
		all->rotate_len = store->rotate_len;
}

void plan_settings(const struct config *c, struct engine_settings *settings)
{
	memset(settings, 0, sizeof(*settings));
	settings->sessions_max = (uint32_t)c->sessions_max;
	settings->unknown = (enum session_policy)c->unknown_sessions;
	settings->sample_key = c->sample_key;
	settings->stores[0] = (struct output_settings){.n_recipients = c->n_recipients,
						       .rotate_len = c->rotate_len,
						       .rotate_ns = c->rotate_ns,
						       .flush_ns = c->flush_ns,
						       .sync_ns = c->sync_ns,
						       .statistics_ns = c->statistics_ns};
	memcpy(settings->stores[0].recipients, c->recipients, sizeof(c->recipients));
	for (unsigned i = 0; i < c->n_stores; i++)
		settings->stores[1 + i] = settings_of(&settings->stores[0], &c->stores[i]);
	settings->retention = (struct retention_settings){.size = c->retain_len,
							  .session_size = c->retain_session_len,
							  .time_ns = c->retain_ns,
							  .free = c->retain_free,
							  .rotate_len = c->rotate_len};
	for (unsigned i = 0; i < c->n_stores; i++)
		add_retention(&settings->retention, &c->stores[i]);
	config_hash(c, settings->sha256);
}

static struct engine_config engine_config(const struct config *c)
{
	struct engine_config e = {
		.workers = (uint32_t)c->workers,
		.writers = (uint32_t)c->writers,
		.n_stores = 1 + c->n_stores,
		.stores = {CONFIG_DEFAULT_STORE},
		.sessions_max = (uint32_t)c->sessions_max,
		.sessions_room = (uint32_t)sessions_room(c),
		.flows_max = (uint32_t)c->flows_max,
		.associations_max = (uint32_t)c->associations_max,
		.chunks = (uint32_t)c->chunks,
		.chunk_len = (uint32_t)c->chunk_len,
		.split = c->split,
		.evidence = c->evidence,
		.decap = {.port = (uint16_t)c->port},
		.output = {.dir = c->dir,
			   .buffer_len = buffer_len(c),
			   .pack = {.frame_len = share(c, c->memory / 4, FRAME_LEN_MIN, FRAME_LEN),
				    .level = (int)c->level,
				    .frames_max = c->split ? INDEX_FRAMES_SPLIT : INDEX_FRAMES,
				    .filters_max = c->split ? INDEX_FILTERS_SPLIT : INDEX_FILTERS,
				    .definitions_max = c->split ? INDEX_DEFINITIONS_SPLIT
								: INDEX_DEFINITIONS}}};
	struct engine_settings settings;

	for (unsigned i = 0; i < c->n_stores; i++)
		e.stores[1 + i] = c->stores[i].name;
	plan_settings(c, &settings);
	memcpy(e.output.settings, settings.stores, sizeof(e.output.settings));
	if (getrandom(&e.decap.key, sizeof(e.decap.key), 0) != sizeof(e.decap.key))
		memset(&e.decap.key, 0x5a, sizeof(e.decap.key)); /* cannot happen: getrandom(2) */
	return e;
}

/* A socket for each queue and worker, and memory for each queue; with a file per session, three for
 * each session's file, index beside it and folder. */
static int allow_files(const struct config *c, uint32_t queues, struct err *err)
{
	const uint64_t files = c->split ? 3 * c->sessions_max : 0;
	const uint64_t wanted = files + queues * (c->workers + 1) + 256;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= wanted)
		return 0;
	limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur >= wanted
		       ? 0
		       : err_set(err, -EMFILE,
				 "%" PRIu64
				 " open files could be needed and %ju are allowed: raise "
				 "'ulimit -n', or lower --sessions-max or --workers",
				 wanted, (uintmax_t)limit.rlim_max);
}

struct view_facts plan_facts(const struct config *c)
{
	struct view_facts facts = {.series_max = (uint32_t)c->series_max,
				   .by = (enum view_by)c->metrics_by};

	(void)snprintf(facts.interface, sizeof(facts.interface), "%s",
		       c->interface ? c->interface : "");
	return facts;
}

int plan_engine(const struct config *c, uint32_t queues, size_t umem_len,
		struct engine_config *engine, struct stats_config *stats, struct err *err)
{
	const struct view_facts facts = plan_facts(c);

	*engine = engine_config(c);
	*stats = (struct stats_config){.workers = engine->workers,
				       .queues = queues,
				       .sessions_max = engine->sessions_room,
				       .histograms_max = (uint32_t)c->histograms_max,
				       .chunks = engine->writers * engine->chunks,
				       .is_live = c->command == CONFIG_RUN};
	stats->memory_bound = umem_len + engine_memory(engine) + stats_memory(stats) + BASE_LEN +
			      exporter_memory(stats, &facts);
	if (c->command != CONFIG_READ)
		stats->memory_bound += retention_memory(RETENTION_FILES_MAX);
	if (c->names || (c->file && c->command == CONFIG_RUN)) /* a reload may bring some */
		stats->memory_bound +=
			(c->command == CONFIG_READ ? 1 : NAMES_COPIES) * (uint64_t)NAMES_MEMORY_MAX;
	if (stats->memory_bound > c->memory)
		return err_set(
			err, -ENOMEM,
			"up to %" PRIu64
			" MiB of memory could be needed and --memory allows %" PRIu64
			" MiB: raise it, or lower --ring, --chunks, --flows-max or --sessions-max",
			stats->memory_bound >> 20, c->memory >> 20);
	return allow_files(c, queues, err);
}

void plan_log_bounds(const struct config *c, const struct stats_config *stats, size_t umem_len)
{
	struct engine_settings settings;

	plan_settings(c, &settings);
	uint64_t padding = 0;

	for (unsigned i = 0; i <= c->n_stores && !padding; i++) /* encrypted or not, no other */
		padding = c->writers * output_padding_a_day(&settings.stores[i]);
	log_line("memory: at most %" PRIu64 " bytes (%zu MiB for packets in rings, %" PRIu64
		 " MiB for all else)",
		 stats->memory_bound, umem_len >> 20, (stats->memory_bound - umem_len) >> 20);
	if (padding)
		log_line("padding: at most %" PRIu64
			 " MiB a day for thin sessions, for others no more than they store",
			 (padding >> 20) + 1);
}

int plan_check_metrics(const struct config *c, struct err *err)
{
	if (!c->metrics || !strcmp(c->metrics, "-"))
		return 0;
	const bool was_there = !access(c->metrics, F_OK);
	FILE *f = fopen(c->metrics, "ae");
	if (!f)
		return err_set(err, -errno, "cannot write the metrics to %s: %s", c->metrics,
			       strerror(errno));
	(void)fclose(f);
	if (!was_there) /* a start that is refused leaves nothing behind */
		(void)unlink(c->metrics);
	return 0;
}

static int write_metrics(const struct config *c, const char *text, size_t len, struct err *err)
{
	const bool to_stdout = !strcmp(c->metrics, "-");
	FILE *f = to_stdout ? stdout : fopen(c->metrics, "we");
	const bool ok = f && fwrite(text, 1, len, f) == len && !fflush(f);
	const int error = errno;

	if (f && !to_stdout)
		(void)fclose(f);
	return ok ? 0
		  : err_set(err, -error, "cannot write the metrics to %s: %s", c->metrics,
			    strerror(error));
}

/* For people in any case, for programs where it is asked for. */
static int print_summary(const struct config *c, const struct view *view, struct err *err)
{
	const int ret = summary_print_capture(view, false, stderr, err);

	return ret || !c->json ? ret : summary_print_capture(view, true, stdout, err);
}

int plan_report(const struct config *c, const struct ledger_source *source, struct err *err)
{
	struct view view = {.ledger = *source, .facts = plan_facts(c)};
	char *text;
	size_t len;
	int ret;

	ledger_log(source);
	if (c->command == CONFIG_READ && (ret = print_summary(c, &view, err)))
		return ret;
	if (!c->metrics)
		return 0;
	ret = metrics_text(&view, EXPOSITION_TEXT, clock_monotonic_ns(), &text, &len, err);
	if (ret)
		return ret;
	ret = write_metrics(c, text, len, err);
	free(text);
	return ret;
}
