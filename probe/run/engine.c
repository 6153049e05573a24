#define _GNU_SOURCE
#include "run/engine_part.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "path/chain.h"

/* Frames that no worker reads while engine_stop looks where they are. */
#define STOP_AHEAD 65536
/* A worker is done with a batch in microseconds, and looks up every 100 ms on an idle link. */
#define OLD_POLICIES_TURN_MS 5

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

/* The recipients of all stores, each once; the hash is of the names too, with their policies. */
static void tell_configured(struct engine *e, const struct engine_settings *settings,
			    const struct names *names)
{
	struct seal_recipient all[SEAL_RECIPIENTS_MAX];
	uint8_t hash[2][32] = {0};
	unsigned n = 0;

	for (uint32_t i = 0; i < e->config.n_stores; i++) {
		const struct output_settings *s = &settings->stores[i];
		for (unsigned k = 0; k < s->n_recipients && n < SEAL_RECIPIENTS_MAX; k++)
			n += add_recipient(all, n, &s->recipients[k]);
	}
	memcpy(hash[0], settings->sha256, sizeof(hash[0]));
	if (names)
		names_hash(names, hash[1]);
	chain_hash(hash, sizeof(hash), hash[0]);
	evidence_configured(e->evidence, hash[0], all, n);
}

void engine_set(struct engine *e, const struct engine_settings *settings, struct names *names)
{
	if (e->stats->is_live)
		enroll_raise_cap(e->enroll[0], settings->sessions_max);
	tell_configured(e, settings, names);
	set_policies(e, settings, names);
	for (uint32_t i = 0; i < e->config.writers; i++)
		writer_set(e->writers[i], settings->stores);
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
	const int64_t before = engine_offset(e);
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
