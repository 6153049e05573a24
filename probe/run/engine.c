#define _GNU_SOURCE
#include "run/engine.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "kpi/kpi.h"
#include "path/enroll.h"
#include "path/handoff.h"
#include "run/evidence.h"
#include "run/naming.h"
#include "run/worker.h"
#include "run/writer.h"

/* Frames that no worker reads while engine_stop looks where they are. */
#define STOP_AHEAD 65536
/* A worker is done with a batch in microseconds, and looks up every 100 ms on an idle link. */
#define OLD_POLICIES_TURN_MS 5

struct engine {
	struct engine_config config;
	struct stats *stats;
	struct bell bell;         /* rung by workers that ask and by threads that end */
	_Atomic uint64_t stop_at; /* frames lent after which every worker ends */
	_Atomic int64_t offset_ns;
	_Atomic uint64_t policies; /* how often they were set */
	bool has_old_policies;     /* which workers may use */
	/* Live: one for all workers. Of files: one each, and the mutex orders what they publish. */
	struct enroll *enroll[STEER_WORKERS_MAX];
	pthread_mutex_t publishing;
	struct filter_pairs *pairs; /* live: one; of files: one for each worker */
	uint64_t *labels_ns;        /* [sessions_room] time of the packet that labels are of */
	struct naming *naming;
	struct evidence *evidence; /* NULL: none is kept */
	struct writer *writers[STATS_WRITERS_MAX];
	struct retention *retention; /* live */
	struct handoff *handoffs[STEER_WORKERS_MAX][STATS_WRITERS_MAX];
	struct bell worker_bells[STEER_WORKERS_MAX];
	struct worker workers[STEER_WORKERS_MAX];
	pthread_t worker_threads[STEER_WORKERS_MAX], writer_threads[STATS_WRITERS_MAX];
	pthread_t retention_thread;
	uint32_t n_workers, n_writers; /* started */
	bool retention_started;
};

static void ring_control(void *arg)
{
	bell_ring(arg);
}

static void serve_oneself(void *arg)
{
	enroll_serve(*(struct enroll **)arg);
}

static int64_t offset_of(const struct engine *e)
{
	return atomic_load_explicit(&e->offset_ns, memory_order_relaxed);
}

static void identify_session(void *arg, const struct address *source, uint32_t vni,
			     uint64_t time_ns, struct enroll_identity *out)
{
	const struct engine *e = arg;
	const int64_t offset_ns = offset_of(e);

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

	naming_labels(e->naming, session, (int64_t)time_ns + offset_of(e), &labels);
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
	       (1 + c->workers) * c->sessions_room * sizeof(uint64_t) +
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
	int ret = open_evidence(e, err);
	if (ret)
		goto fail;
	e->config.output.evidence = e->evidence;
	e->labels_ns = calloc(config->sessions_room, sizeof(*e->labels_ns));
	e->pairs = calloc(config->workers, sizeof(*e->pairs));
	for (uint32_t i = 0; i < config->workers && e->pairs; i++)
		e->pairs[i].key = config->decap.key;
	ret = e->labels_ns && e->pairs ? bell_init(&e->bell, err)
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
	free(e->pairs);
	(void)pthread_mutex_destroy(&e->publishing);
	bell_fini(&e->bell);
	free(e);
}

void engine_set_source(struct engine *e, unsigned worker, struct capture *source)
{
	e->workers[worker].config.capture = source;
}

/* Policies that no worker uses any more. */
static void forget_policies(struct engine *e)
{
	const uint64_t now = atomic_load_explicit(&e->policies, memory_order_relaxed);

	for (uint32_t i = 0; i < e->n_workers; i++)
		/* Acquire: pairs with worker_run. */
		if (atomic_load_explicit(&e->workers[i].passed, memory_order_acquire) < now)
			return;
	naming_forget(e->naming);
	e->has_old_policies = false;
}

static void set_policies(struct engine *e, const struct engine_settings *settings,
			 struct names *names)
{
	while (e->has_old_policies)
		engine_turn(e, -1, OLD_POLICIES_TURN_MS);
	naming_set(e->naming, names, settings->unknown, &settings->sample_key);
	if (e->stats->is_live)
		enroll_review(e->enroll[0], clock_monotonic_ns(), true);
	/* Release: no session leads to the policies before; pairs with worker_run. */
	atomic_fetch_add_explicit(&e->policies, 1, memory_order_release);
	e->has_old_policies = true;
	forget_policies(e); /* where no worker runs */
}

/* Whether it was none of the n before. */
static bool add_recipient(struct seal_recipient *all, unsigned n, const struct seal_recipient *r)
{
	for (unsigned i = 0; i < n; i++)
		if (!memcmp(&all[i], r, sizeof(*r)))
			return false;
	all[n] = *r;
	return true;
}

/* The recipients of all stores, each once. */
static void tell_configured(struct engine *e, const struct engine_settings *settings)
{
	struct seal_recipient all[SEAL_RECIPIENTS_MAX];
	unsigned n = 0;

	for (uint32_t i = 0; i < e->config.n_stores; i++) {
		const struct output_settings *s = &settings->stores[i];
		for (unsigned k = 0; k < s->n_recipients && n < SEAL_RECIPIENTS_MAX; k++)
			n += add_recipient(all, n, &s->recipients[k]);
	}
	evidence_configured(e->evidence, settings->sha256, all, n);
}

void engine_set(struct engine *e, const struct engine_settings *settings, struct names *names)
{
	if (e->stats->is_live)
		enroll_raise_cap(e->enroll[0], settings->sessions_max);
	set_policies(e, settings, names);
	for (uint32_t i = 0; i < e->config.writers; i++)
		writer_set(e->writers[i], settings->stores);
	tell_configured(e, settings);
	if (!e->stats->is_live)
		return;
	retention_set(e->retention, &settings->retention);
}

static int start_thread(pthread_t *thread, const char *name, void *(*run)(void *), void *arg,
			struct err *err)
{
	const int ret = pthread_create(thread, NULL, run, arg);

	if (ret)
		return err_set(err, -ret, "cannot start thread %s: %s", name, strerror(ret));
	(void)pthread_setname_np(*thread, name);
	return 0;
}

/* The far end first: a packet that a worker gives finds its writer. */
static int start_threads(struct engine *e, struct err *err)
{
	char name[24];
	int ret = 0;

	for (uint32_t i = 0; i < e->config.writers && !ret; i++) {
		(void)snprintf(name, sizeof(name), "writer-%u", i);
		ret = start_thread(&e->writer_threads[i], name, writer_run, e->writers[i], err);
		e->n_writers += !ret;
	}
	for (uint32_t i = 0; i < e->config.workers && !ret; i++) {
		(void)snprintf(name, sizeof(name), "worker-%u", i);
		ret = start_thread(&e->worker_threads[i], name, worker_run, &e->workers[i], err);
		e->n_workers += !ret;
	}
	if (ret || !e->retention)
		return ret;
	ret = start_thread(&e->retention_thread, "retention", retention_run, e->retention, err);
	e->retention_started = !ret;
	return ret;
}

int engine_start(struct engine *e, struct err *err)
{
	sigset_t all, before;

	int ret = e->evidence ? evidence_start(e->evidence, err) : 0;
	if (ret)
		return ret;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	ret = start_threads(e, err);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return ret;
}

/* True: it was set, so names hold until other instants of the source's clock. */
static bool follow_clock(struct engine *e)
{
	const int64_t before = offset_of(e);
	uint64_t error_ns;
	const int64_t now = clock_offset_ns(&error_ns);
	const bool is_set = llabs(now - before) > CLOCK_STEP_NS;

	stats_set(&e->stats->clock_error_ns, error_ns);

	if (is_set) {
		evidence_clock(e->evidence, now - before);
		log_line("the clock was set by %+.3f s: files are closed",
			 (double)(now - before) / 1e9);
		__atomic_store_n(&e->stats->clock_steps, e->stats->clock_steps + 1,
				 __ATOMIC_RELAXED);
	}
	atomic_store_explicit(&e->offset_ns, now, memory_order_relaxed); /* the writer polls it */
	__atomic_store_n(&e->stats->offset_ns, now, __ATOMIC_RELAXED);
	return is_set;
}

static void count_places(struct engine *e)
{
	for (uint32_t i = 0; i < e->config.workers; i++) {
		struct stats_chunks sum = {0};
		for (uint32_t k = 0; k < e->config.writers; k++) {
			const struct handoff_places p = handoff_count(e->handoffs[i][k]);
			sum.worker += p.worker;
			sum.full += p.full;
			sum.writer += p.writer;
			sum.empty += p.empty;
		}
		e->stats->place[i] = sum;
	}
}

static void answer_workers(struct engine *e)
{
	if (!e->stats->is_live)
		return;
	enroll_serve(e->enroll[0]);
	for (uint32_t i = 0; i < e->config.workers; i++)
		bell_ring(&e->worker_bells[i]);
}

void engine_turn(struct engine *e, int fd, int timeout_ms)
{
	struct pollfd p[] = {{.fd = e->bell.fd, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
	uint64_t rung;

	bell_announce(&e->bell);
	answer_workers(e); /* who asked before the announcement did not ring */
	if (!engine_is_done(e) && poll(p, 2, timeout_ms) > 0 && p[0].revents)
		(void)!read(e->bell.fd, &rung, sizeof(rung));
	bell_leave(&e->bell);
	answer_workers(e);
	count_places(e);
	if (e->has_old_policies)
		forget_policies(e);
	if (!e->stats->is_live)
		return;
	const bool is_set = follow_clock(e);
	const uint64_t now_ns = clock_monotonic_ns();
	enroll_review(e->enroll[0], now_ns, is_set);
	stats_set(&e->stats->heartbeat_ns, now_ns);
}

void engine_stop(struct engine *e)
{
	uint64_t lent = 0;

	for (uint32_t i = 0; i < e->config.workers; i++) {
		const uint64_t n = stats_get(&stats_worker(e->stats, i)->lent);
		lent = n > lent ? n : lent;
	}
	/* Each worker has its share of the same frames: they must end at the same one. */
	lent += e->config.workers > 1 ? STOP_AHEAD : 0;
	atomic_store_explicit(&e->stop_at, lent, memory_order_relaxed); /* pairs with worker_run */
}

bool engine_is_done(const struct engine *e)
{
	for (uint32_t i = 0; i < e->config.writers; i++)
		if (!writer_is_done(e->writers[i]))
			return false;
	return true;
}

int engine_join(struct engine *e)
{
	int ret = 0;

	for (uint32_t i = 0; i < e->n_workers; i++) {
		(void)pthread_join(e->worker_threads[i], NULL);
		ret = ret ? ret : e->workers[i].error;
	}
	for (uint32_t i = 0; i < e->n_writers; i++)
		(void)pthread_join(e->writer_threads[i], NULL);
	retention_stop(e->retention);
	if (e->retention_started)
		(void)pthread_join(e->retention_thread, NULL);
	evidence_stop(e->evidence); /* all files have ended, and none is deleted any more */
	count_places(e);
	return ret;
}
