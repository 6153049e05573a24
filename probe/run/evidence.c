#define _GNU_SOURCE /* pthread_setname_np */
#include "run/evidence.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "run/evidence_part.h"
#include "version.h"

/* Entries wait so long at most for others to be committed with them, and a failed commit for the
 * next try. */
#define COMMIT_NS UINT64_C(1000000000)
/* Tries of the last commit, once nothing more comes. */
#define LAST_TRIES 3
/* Hashing is nobody's hurry: workers and writers go first. */
#define NICE 10

size_t evidence_memory(void)
{
	/* A piece of a file that is hashed, key file and tail of the chain at open. */
	return sizeof(struct evidence) + EVIDENCE_QUEUE * sizeof(struct item) +
	       EVIDENCE_LISTED_MAX * sizeof(struct listed) + (1u << 20) + 4 * EVIDENCE_LOG_PENDING;
}

static uint64_t now_ns(void)
{
	uint64_t error_ns;
	const int64_t offset_ns = clock_offset_ns(&error_ns);

	return clock_monotonic_ns() + (uint64_t)offset_ns;
}

/* ---- entering ---- */

static void say_failure(struct evidence *e, int error)
{
	if (!e->is_failing)
		log_line("cannot write the evidence in %s: %s; it is tried again every second",
			 e->config.dir, strerror(-error));
	e->is_failing = true;
}

static void note_head(struct evidence *e)
{
	stats_set(&e->config.stats->evidence.entries, (uint64_t)e->log.signer.sequence);
	stats_set_head(e->config.stats, e->log.signer.hash);
}

static bool commit(struct evidence *e)
{
	const int ret = evidence_log_commit(&e->log);

	e->committed_ns = clock_monotonic_ns();
	evidence_lock(e);
	e->is_stuck = ret;
	evidence_unlock(e);
	if (ret) {
		say_failure(e, ret);
		return false;
	}
	if (e->is_failing)
		log_line("the evidence in %s can be written again", e->config.dir);
	e->is_failing = false;
	note_head(e);
	return true;
}

/* Until there is room for another line. The queue holds what comes meanwhile. */
static void make_room(struct evidence *e)
{
	unsigned tries = 0;

	while (evidence_log_is_full(&e->log) && !commit(e)) {
		(void)pthread_mutex_lock(&e->mutex);
		const struct timespec until = evidence_after(COMMIT_NS);
		if (!e->is_ending)
			(void)pthread_cond_timedwait(&e->changed, &e->mutex, &until);
		const bool gives_up = e->is_ending && ++tries >= LAST_TRIES;
		(void)pthread_mutex_unlock(&e->mutex);
		if (gives_up)
			return;
		while (clock_monotonic_ns() - e->committed_ns < COMMIT_NS)
			clock_nap(COMMIT_NS / 10); /* each teller wakes it */
	}
}

/* entry is filled in but for what the chain adds. */
void evidence_add(struct evidence *e, struct chain_entry *entry)
{
	make_room(e);
	entry->time_ns = now_ns();
	const int ret = evidence_log_add(&e->log, entry);
	if (ret)
		say_failure(e, ret);
}

void evidence_begin_entry(struct chain_entry *entry, enum chain_event event)
{
	memset(entry, 0, sizeof(*entry));
	entry->event = event;
}

static int hash_open_file(struct evidence *e, int fd, const uint64_t *want,
			  bool (*did)(void *, uint64_t), struct chain_entry *entry)
{
	uint64_t len;
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	/* Of another size it need not be read: it may be made as large as files can be. */
	len = (uint64_t)st.st_size;
	const int ret = want && *want != len ? 0 : chain_hash_fd(fd, did, e, entry->sha256, &len);
	entry->bytes = (int64_t)len;
	if (ret || !want || *want == len)
		return ret;
	(void)snprintf(entry->reason, sizeof(entry->reason), "it gives %" PRIu64 " bytes", len);
	return -EBADMSG;
}

int evidence_hash_file(struct evidence *e, struct chain_entry *entry, const char *name,
		       const uint64_t *want, bool (*did)(void *, uint64_t))
{
	/* A pipe under this name must not stop the thread. */
	const int fd = openat(e->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	const int ret = fd < 0 ? -errno : hash_open_file(e, fd, want, did, entry);

	(void)snprintf(entry->file, sizeof(entry->file), "%s", name);
	if (fd >= 0)
		(void)close(fd);
	if (!ret || ret == -ECANCELED)
		return ret;
	if (ret != -EBADMSG)
		(void)snprintf(entry->reason, sizeof(entry->reason), "%s", strerror(-ret));
	entry->event = CHAIN_UNREADABLE;
	entry->bytes = want ? (int64_t)*want : 0;
	if (ret != -ENOENT) /* retention was faster */
		log_line("%s/%s is not as it was written: %s", e->config.dir, name, entry->reason);
	return ret;
}

static void enter_content(struct evidence *e, const struct item *item)
{
	(void)evidence_hash_file(e, &e->entry, item->file, &item->bytes, NULL);
	e->entry.packets = (int64_t)item->packets;
	e->entry.drops = (int64_t)item->drops;
}

static void name_recipients(struct chain_entry *entry, const struct item *item)
{
	for (unsigned i = 0; i < item->n_recipients; i++) {
		char text[64];
		seal_recipient_format(&item->recipients[i], text);
		if (item->event == CHAIN_CONFIGURED)
			memcpy(entry->recipients[i], text, sizeof(text));
		else
			chain_fingerprint(text, entry->recipients[i]);
	}
	entry->n_recipients = item->n_recipients;
}

static void enter(struct evidence *e, const struct item *item)
{
	struct chain_entry *entry = &e->entry;

	evidence_begin_entry(entry, item->event);
	(void)snprintf(entry->file, sizeof(entry->file), "%s", item->file);
	memcpy(entry->reason, item->reason, sizeof(entry->reason));
	memcpy(entry->sha256, item->sha256, sizeof(entry->sha256));
	entry->step_ns = item->step_ns;
	name_recipients(entry, item);
	if (chain_has_file_hash(item->event))
		enter_content(e, item);
	evidence_add(e, entry);
}

void evidence_enter_missed(struct evidence *e, uint64_t n)
{
	evidence_begin_entry(&e->entry, CHAIN_UNHASHED);
	e->entry.files = (int64_t)n;
	evidence_add(e, &e->entry);
	log_line("%" PRIu64 " files are without evidence: the disk does not keep up with "
		 "reading them back",
		 n);
}

/* ---- the start ---- */

static void enter_start(struct evidence *e)
{
	evidence_begin_entry(&e->entry, CHAIN_START);
	(void)snprintf(e->entry.version, sizeof(e->entry.version), "%s", VERSION);
	if (gethostname(e->entry.host, sizeof(e->entry.host) - 1))
		e->entry.host[0] = 0;
	evidence_add(e, &e->entry);
	if (!*e->log.aside)
		return;
	evidence_begin_entry(&e->entry, CHAIN_FOUND);
	(void)evidence_hash_file(e, &e->entry, e->log.aside, NULL, NULL);
	evidence_add(e, &e->entry);
}

/* ---- thread ---- */

/* What to do next, or *missed. False: neither, and lines are to be committed, or the end. */
static bool take(struct evidence *e, bool waits, uint64_t *missed)
{
	(void)pthread_mutex_lock(&e->mutex);
	while (waits && !e->n && !e->missed && !e->is_ending && !e->log.pending)
		(void)pthread_cond_wait(&e->changed, &e->mutex);
	*missed = e->n ? 0 : e->missed;
	const bool any = e->n;
	if (any) {
		e->item = e->queue[e->first];
		/* An empty one begins anew, so that one which never fills stays small. */
		e->first = --e->n ? (e->first + 1) % e->config.queue : 0;
	} else {
		e->missed = 0;
	}
	stats_set(&e->config.stats->evidence.waiting, e->n);
	if (e->is_ending && !e->ends_ns)
		e->ends_ns = clock_monotonic_ns();
	evidence_unlock(e); /* there is room */
	return any;
}

/* Lines wait for each other while more comes, a second at most; after a failure they all do. */
static bool is_due(const struct evidence *e, bool more)
{
	const bool is_old = clock_monotonic_ns() - e->committed_ns >= COMMIT_NS;

	return e->log.pending && (is_old || (!more && !e->is_failing));
}

static void wait_for_retry(struct evidence *e)
{
	const struct timespec until = evidence_after(COMMIT_NS);

	(void)pthread_mutex_lock(&e->mutex);
	if (!e->n && !e->is_ending)
		(void)pthread_cond_timedwait(&e->changed, &e->mutex, &until);
	(void)pthread_mutex_unlock(&e->mutex);
}

static void settle(struct evidence *e)
{
	evidence_lock(e);
	e->entered = e->taken;
	evidence_unlock(e);
}

/* Enters one thing that was told, commits what is due. False: nothing was there. */
static bool step(struct evidence *e, bool waits)
{
	uint64_t missed;
	const bool more = take(e, waits, &missed);

	if (more)
		enter(e, &e->item);
	if (missed)
		evidence_enter_missed(e, missed);
	e->taken += more;
	if (is_due(e, more || !waits) && commit(e))
		settle(e);
	return more || missed;
}

bool evidence_serve(struct evidence *e)
{
	while (step(e, false))
		;
	return !e->ends_ns;
}

static void enter_stop(struct evidence *e)
{
	evidence_begin_entry(&e->entry, CHAIN_STOP);
	evidence_add(e, &e->entry);
	for (unsigned i = 1; !commit(e) && i < LAST_TRIES; i++)
		clock_nap(COMMIT_NS);
}

static void *run(void *arg)
{
	struct evidence *e = arg;

	(void)setpriority(PRIO_PROCESS, 0, NICE); /* this thread alone: setpriority(2), BUGS */
	enter_start(e);
	evidence_enter_found(e);
	while (step(e, true) || !e->ends_ns)
		if (e->is_failing && !e->ends_ns)
			wait_for_retry(e);
	enter_stop(e);
	settle(e);
	return NULL;
}

/* ---- life ---- */

int evidence_open(struct evidence **out, const struct evidence_config *config, struct err *err)
{
	struct evidence *e = calloc(1, sizeof(*e));
	pthread_condattr_t clock;

	if (!e)
		return err_set(err, -ENOMEM, "out of memory");
	e->config = *config;
	e->config.queue = config->queue ? config->queue : EVIDENCE_QUEUE;
	e->dir_fd = e->log.chain_fd = -1;
	(void)pthread_mutex_init(&e->mutex, NULL);
	(void)pthread_condattr_init(&clock);
	(void)pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&e->changed, &clock);
	(void)pthread_condattr_destroy(&clock);
	e->queue = calloc(e->config.queue, sizeof(*e->queue));
	if (!e->queue) {
		evidence_close(e);
		return err_set(err, -ENOMEM, "out of memory");
	}
	*out = e;
	return 0;
}

static void say_opened(const struct evidence *e)
{
	uint8_t key[CHAIN_KEY];
	char text[2 * CHAIN_KEY + 1];

	if (e->log.is_altered)
		log_line("%s/" CHAIN_FILE " does not end as it was left: 'vxcap verify' says what "
			 "is wrong with it",
			 e->config.dir);
	if (*e->log.aside)
		log_line("%s/" EVIDENCE_KEY_FILE " is lost: the chain is kept as %s, a new one "
			 "begins",
			 e->config.dir, e->log.aside);
	if (e->log.signer.sequence || chain_public(&e->log.signer, key))
		return;
	chain_hex(key, sizeof(key), text);
	log_line("evidence: %s/" CHAIN_FILE " begins; its first key, to be kept elsewhere: %s",
		 e->config.dir, text);
}

static int open_files(struct evidence *e, struct err *err)
{
	struct err why;

	e->dir_fd = open(e->config.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (e->dir_fd < 0)
		return err_set(err, -errno, "cannot open the folder %s: %s", e->config.dir,
			       strerror(errno));
	const int ret = evidence_log_open(&e->log, e->dir_fd, &why);
	return ret ? err_set(err, ret, "%s: %s", e->config.dir, why.text) : evidence_list(e, err);
}

int evidence_start(struct evidence *e, struct err *err)
{
	sigset_t all, before;
	int ret = open_files(e, err);

	if (ret)
		return ret;
	say_opened(e);
	note_head(e);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	ret = pthread_create(&e->thread, NULL, run, e);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (ret)
		return err_set(err, -ret, "cannot start thread evidence: %s", strerror(ret));
	(void)pthread_setname_np(e->thread, "evidence");
	e->is_started = true;
	return 0;
}

void evidence_stop(struct evidence *e)
{
	char head[2 * CHAIN_HASH + 1];

	if (!e || !e->is_started)
		return;
	e->is_started = false;
	evidence_lock(e);
	e->is_ending = true;
	evidence_unlock(e);
	(void)pthread_join(e->thread, NULL);
	chain_hex(e->log.signer.hash, CHAIN_HASH, head);
	if (e->is_failing)
		log_line("the evidence in %s lacks its last entries: what they tell of is found at "
			 "the next start",
			 e->config.dir);
	else
		log_line("evidence: %" PRId64 " entries, head %s", e->log.signer.sequence, head);
}

void evidence_close(struct evidence *e)
{
	if (!e)
		return;
	evidence_stop(e);
	evidence_log_close(&e->log);
	if (e->dir_fd >= 0)
		(void)close(e->dir_fd);
	(void)pthread_mutex_destroy(&e->mutex);
	(void)pthread_cond_destroy(&e->changed);
	free(e->listed);
	free(e->queue);
	free(e);
}
