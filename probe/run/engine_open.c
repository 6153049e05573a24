#include "run/engine_part.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "kpi/kpi.h"

static void ring_control(void *arg)
{
	bell_ring(arg);
}

static void serve_oneself(void *arg)
{
	enroll_serve(*(struct enroll **)arg);
}

static void identify_session(void *arg, const struct address *source, uint32_t vni,
			     uint64_t time_ns, struct enroll_identity *out)
{
	const struct engine *e = arg;
	const int64_t offset_ns = engine_offset(e);

	naming_identify(e->naming, source, vni, (int64_t)time_ns + offset_ns, out);
	if (out->until_ns != UINT64_MAX)
		out->until_ns -= (uint64_t)offset_ns;
}

static void label_session(void *arg, uint32_t session, int64_t at_ns, struct session_labels *out)
{
	const struct engine *e = arg;

	naming_labels(e->naming, &stats_sessions(e->stats)[session], at_ns, out);
}

static void tell_policy(void *arg, uint32_t session, int64_t at_ns, struct describe_policy *out)
{
	const struct engine *e = arg;

	naming_policy(e->naming, &stats_sessions(e->stats)[session], at_ns, out);
}

static size_t write_names(void *arg, uint32_t session, int64_t at_ns, uint8_t *out, size_t cap)
{
	const struct engine *e = arg;

	return naming_block(e->naming, &stats_sessions(e->stats)[session], at_ns, out, cap);
}

/* Writer. */
static void make_room(void *arg)
{
	retention_hurry(((struct engine *)arg)->retention);
}

/* Control thread; of files each worker, and the first one's word counts. */
static void publish_session(void *arg, uint32_t id, const struct session *session, uint64_t time_ns)
{
	struct engine *e = arg;
	struct session_labels labels;

	naming_labels(e->naming, session, (int64_t)time_ns + engine_offset(e), &labels);
	(void)pthread_mutex_lock(&e->publishing);
	if (id == e->stats->n_sessions || time_ns > e->labels_ns[id]) {
		e->labels_ns[id] = time_ns;
		stats_set_labels(e->stats, id, &labels);
	}
	if (id == e->stats->n_sessions) {
		stats_sessions(e->stats)[id] = *session;
		/* Release: who sees the count finds the session; pairs with the exporter. */
		__atomic_store_n(&e->stats->n_sessions, id + 1, __ATOMIC_RELEASE);
	}
	(void)pthread_mutex_unlock(&e->publishing);
}

static struct handoff_config handoff_config(const struct engine_config *c, struct bell *worker,
					    struct bell *writer)
{
	return (struct handoff_config){
		.chunks = c->chunks, .chunk_len = c->chunk_len, .worker = worker, .writer = writer};
}

static struct kpi_config kpi_config(const struct engine_config *c, struct stats *stats,
				    uint32_t number)
{
	struct kpi_config k = {.sessions_max = c->sessions_room,
			       .flows_max = c->flows_max,
			       .associations_max = c->associations_max};

	memcpy(k.key, c->decap.key.word, sizeof(k.key));
	if (!stats)
		return k;
	struct stats_worker *w = stats_worker(stats, number);
	k.memory = (struct kpi_memory){.sessions = stats_kpi(stats, number, 0),
				       .histograms = stats_histograms(stats, number),
				       .histograms_max = stats->histograms_max,
				       .histograms_used = &w->histograms_used,
				       .histograms_missed = &w->histograms_missed};
	return k;
}

size_t engine_memory(const struct engine_config *c)
{
	const struct handoff_config handoff = handoff_config(c, NULL, NULL);
	const struct kpi_config kpi = kpi_config(c, NULL, 0);
	struct stats stats = {.sessions_max = c->sessions_room};
	const struct writer_config writer = {.writers = c->writers,
					     .n_stores = c->n_stores,
					     .stats = &stats,
					     .output = c->output,
					     .split = c->split};

	/* An enroll for each worker is more than one for all. */
	return sizeof(struct engine) + c->workers * enroll_memory(c->sessions_room, 1) +
	       (2 + c->workers) * c->sessions_room * sizeof(uint64_t) +
	       c->workers * (c->writers * handoff_memory(&handoff) + kpi_memory(&kpi)) +
	       writer_memory(&writer) + c->workers * sizeof(struct filter_pairs) +
	       (c->evidence ? evidence_memory() : 0);
}

/* A worker's, one to each writer. */
static int open_handoffs(struct engine *e, uint32_t worker, struct err *err)
{
	struct bell *bell = &e->worker_bells[worker];
	int ret = bell_init(bell, err);

	for (uint32_t i = 0; i < e->config.writers && !ret; i++) {
		const struct handoff_config c =
			handoff_config(&e->config, bell, writer_bell(e->writers[i]));
		struct handoff **handoff = &e->handoffs[worker][i];
		ret = handoff_open(handoff, &c, err);
		if (ret)
			break;
		e->workers[worker].config.handoff[i] = *handoff;
		writer_set_handoff(e->writers[i], worker, *handoff);
	}
	return ret;
}

static int open_worker(struct engine *e, uint32_t number, struct err *err)
{
	const struct kpi_config kpi = kpi_config(&e->config, e->stats, number);
	struct worker_config *w = &e->workers[number].config;

	*w = (struct worker_config){.number = number,
				    .workers = e->config.workers,
				    .enroll = e->enroll[e->stats->is_live ? 0 : number],
				    .enroll_as = e->stats->is_live ? number : 0,
				    .writers = e->config.writers,
				    .split = e->config.split,
				    .bell = &e->worker_bells[number],
				    .stats = e->stats,
				    .pairs = &e->pairs[e->stats->is_live ? 0 : number],
				    .told_drops = calloc(e->config.sessions_room, sizeof(uint64_t)),
				    .decap = &e->config.decap,
				    .stop_at = &e->stop_at,
				    .policies = &e->policies,
				    .control = &e->bell};
	if (!w->told_drops)
		return err_set(err, -ENOMEM, "out of memory");
	const int ret = open_handoffs(e, number, err);
	return ret ? ret : kpi_open(&w->kpi, &kpi, err);
}

/* Retention. */
static void tell_deleted(void *arg, const char *name, uint64_t bytes, const char *reason)
{
	(void)bytes;
	evidence_deleted(((struct engine *)arg)->evidence, name, reason);
}

/* Files are not deleted where a capture is only read. */
static int open_retention(struct engine *e, struct err *err)
{
	const struct retention_config config = {.dir = e->config.output.dir,
						.files_max = RETENTION_FILES_MAX,
						.stats = &e->stats->retention,
						.deleted = tell_deleted,
						.arg = e};

	return e->stats->is_live ? retention_open(&e->retention, &config, err) : 0;
}

static int open_enrolls(struct engine *e, struct err *err)
{
	const bool shared = e->stats->is_live;
	struct enroll_config config = {.sessions_max = e->config.sessions_max,
				       .sessions_room = e->config.sessions_room,
				       .workers = shared ? e->config.workers : 1,
				       .key = e->config.decap.key,
				       .ask = shared ? ring_control : serve_oneself,
				       .identify = identify_session,
				       .publish = publish_session,
				       .arg = e};
	int ret = 0;

	for (uint32_t i = 0; i < (shared ? 1 : e->config.workers) && !ret; i++) {
		config.ask_arg = shared ? (void *)&e->bell : (void *)&e->enroll[i];
		ret = enroll_open(&e->enroll[i], &config, err);
	}
	return ret;
}

static int open_evidence(struct engine *e, struct err *err)
{
	const struct evidence_config config = {.dir = e->config.output.dir, .stats = e->stats};

	return e->config.evidence ? evidence_open(&e->evidence, &config, err) : 0;
}

static int open_writers(struct engine *e, struct err *err)
{
	struct writer_config c = {.workers = e->config.workers,
				  .writers = e->config.writers,
				  .n_stores = e->config.n_stores,
				  .stores = e->config.stores,
				  .stats = e->stats,
				  .output = e->config.output,
				  .split = e->config.split,
				  .offset_ns = &e->offset_ns,
				  .control = &e->bell};
	int ret = 0;

	for (uint32_t i = 0; i < e->config.writers && !ret; i++) {
		c.output.writer = i;
		ret = writer_open(&e->writers[i], &c, err);
	}
	return ret;
}

int engine_open(struct engine **out, const struct engine_config *config, struct stats *stats,
		struct err *err)
{
	struct engine *e = calloc(1, sizeof(*e));

	if (!e)
		return err_set(err, -ENOMEM, "out of memory");
	e->config = *config;
	e->stats = stats;
	(void)pthread_mutex_init(&e->publishing, NULL);
	e->bell.fd = -1;
	atomic_init(&e->stop_at, UINT64_MAX);
	for (unsigned i = 0; i < STEER_WORKERS_MAX; i++)
		e->worker_bells[i].fd = -1;
	e->config.output.describe = label_session;
	e->config.output.policy = tell_policy;
	e->config.output.names = write_names;
	e->config.output.disk_full = make_room;
	e->config.output.arg = e;
	e->config.output.highest = &e->highest;
	int ret = open_evidence(e, err);
	if (ret)
		goto fail;
	e->config.output.evidence = e->evidence;
	e->labels_ns = calloc(config->sessions_room, sizeof(*e->labels_ns));
	e->claimed_drops = calloc(config->sessions_room, sizeof(*e->claimed_drops));
	e->pairs = calloc(config->workers, sizeof(*e->pairs));
	for (uint32_t i = 0; i < config->workers && e->pairs; i++)
		e->pairs[i].key = config->decap.key;
	e->config.output.claimed_drops = e->claimed_drops;
	ret = e->labels_ns && e->claimed_drops && e->pairs ? bell_init(&e->bell, err)
							   : err_set(err, -ENOMEM, "out of memory");
	if (ret || (ret = naming_open(&e->naming, err)) || (ret = open_enrolls(e, err)) ||
	    (ret = open_writers(e, err)) || (ret = open_retention(e, err)))
		goto fail;
	naming_set_stores(e->naming, e->config.stores, config->n_stores);
	for (uint32_t i = 0; i < config->workers; i++)
		if ((ret = open_worker(e, i, err)))
			goto fail;
	if (stats->is_live)
		e->offset_ns = stats->offset_ns = clock_offset_ns(&stats->clock_error_ns);
	*out = e;
	return 0;
fail:
	engine_close(e);
	return ret;
}

void engine_close(struct engine *e)
{
	if (!e)
		return;
	for (uint32_t i = 0; i < e->config.writers; i++)
		writer_close(e->writers[i]);
	evidence_close(e->evidence); /* it hears of the last file */
	retention_close(e->retention);
	for (uint32_t i = 0; i < e->config.workers; i++) {
		capture_close(e->workers[i].config.capture);
		free(e->workers[i].config.told_drops);
		kpi_close(e->workers[i].config.kpi);
		for (uint32_t k = 0; k < e->config.writers; k++)
			handoff_close(e->handoffs[i][k]);
		bell_fini(&e->worker_bells[i]);
		enroll_close(e->enroll[i]);
	}
	naming_close(e->naming);
	free(e->labels_ns);
	free(e->claimed_drops);
	free(e->pairs);
	(void)pthread_mutex_destroy(&e->publishing);
	bell_fini(&e->bell);
	free(e);
}
