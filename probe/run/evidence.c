#define _GNU_SOURCE /* pthread_setname_np */
#include "run/evidence.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/log.h"
#include "path/chain.h"
#include "run/evidence_log.h"
#include "version.h"

/* Entries wait so long at most for others to be committed with them, and a failed commit for the
 * next try. */
#define COMMIT_NS UINT64_C(1000000000)
/* A deletion waits so long at most for room in the queue. */
#define ROOM_NS UINT64_C(2000000000)
/* Tries of the last commit, once nothing more comes. */
#define LAST_TRIES 3
/* Hashing is nobody's hurry: workers and writers go first. */
#define NICE 10
/* Files of a folder that are looked at once at the start: 17 bytes each. More are "unhashed". */
#define LISTED_MAX 262144u

/* What was told and is not yet entered. */
struct item {
	enum chain_event event;
	char file[CHAIN_NAME_MAX];
	uint64_t bytes, packets, drops;
	int64_t step_ns;
	uint8_t sha256[32];
	char reason[CHAIN_TEXT_MAX];
	unsigned n_recipients;
	struct seal_recipient recipients[SEAL_RECIPIENTS_MAX];
};

/* A file that lay in the folder at the start. */
struct listed {
	uint8_t id[16]; /* the beginning of its name's SHA-256: nobody can make two alike */
	bool is_known;
};

struct evidence {
	struct evidence_config config;
	int dir_fd;
	pthread_t thread;
	bool is_started;
	struct listed *listed;
	size_t n_listed, listed_cap;
	uint64_t n_unlisted;
	pthread_mutex_t mutex; /* over the queue */
	pthread_cond_t changed;
	struct item *queue;
	unsigned first, n;
	uint64_t missed; /* tellers that found it full */
	uint64_t told, entered;
	bool is_ending, is_stuck; /* the last commit failed */
	uint8_t configured[32];   /* the last that was told */
	bool is_configured;
	/* the thread's */
	struct evidence_log log;
	struct chain_entry entry;
	struct item item;
	uint64_t committed_ns;
	bool is_failing;
};

size_t evidence_memory(void)
{
	/* A piece of a file that is hashed, key file and tail of the chain at open. */
	return sizeof(struct evidence) + EVIDENCE_QUEUE * sizeof(struct item) +
	       LISTED_MAX * sizeof(struct listed) + (1u << 20) + 4 * EVIDENCE_LOG_PENDING;
}

static uint64_t now_ns(void)
{
	uint64_t error_ns;
	const int64_t offset_ns = clock_offset_ns(&error_ns);

	return clock_monotonic_ns() + (uint64_t)offset_ns;
}

/* ---- telling ---- */

/* Room for one more, with the mutex held; NULL: there is none, and that is counted. */
static struct item *place(struct evidence *e)
{
	if (e->n == e->config.queue) {
		e->missed++;
		stats_add(&e->config.stats->evidence.unhashed, 1);
		return NULL;
	}
	struct item *item = &e->queue[(e->first + e->n++) % e->config.queue];
	memset(item, 0, offsetof(struct item, recipients));
	e->told++;
	return item;
}

static void set_recipients(struct item *item, const struct seal_recipient *recipients, unsigned n)
{
	item->n_recipients = n;
	memcpy(item->recipients, recipients, n * sizeof(*recipients));
}

static void lock(struct evidence *e)
{
	(void)pthread_mutex_lock(&e->mutex);
}

static void unlock(struct evidence *e)
{
	(void)pthread_cond_broadcast(&e->changed);
	(void)pthread_mutex_unlock(&e->mutex);
}

void evidence_sealed(struct evidence *e, const struct evidence_file *file)
{
	if (!e)
		return;
	lock(e);
	struct item *item = place(e);
	if (item) {
		item->event = file->is_broken ? CHAIN_BROKEN : CHAIN_SEALED;
		(void)snprintf(item->file, sizeof(item->file), "%s", file->name);
		item->bytes = file->bytes;
		item->packets = file->packets;
		item->drops = file->drops;
		set_recipients(item, file->recipients, file->n_recipients);
	}
	unlock(e);
}

/* On the clock of e->changed. */
static struct timespec after(uint64_t ns)
{
	const uint64_t at = clock_monotonic_ns() + ns;

	return (struct timespec){.tv_sec = (time_t)(at / 1000000000),
				 .tv_nsec = (long)(at % 1000000000)};
}

/* Deletions come in bursts, and who deletes has time; but not while the disk is full, since then it
 * waits for the deletions. */
static void wait_for_room(struct evidence *e)
{
	const struct timespec until = after(ROOM_NS);
	int ret = 0;

	while (e->n == e->config.queue && e->is_started && !e->is_stuck && !ret)
		ret = pthread_cond_timedwait(&e->changed, &e->mutex, &until);
}

void evidence_deleted(struct evidence *e, const char *name, const char *reason)
{
	if (!e)
		return;
	lock(e);
	wait_for_room(e);
	struct item *item = place(e);
	if (item) {
		item->event = CHAIN_DELETED;
		(void)snprintf(item->file, sizeof(item->file), "%s", name);
		(void)snprintf(item->reason, sizeof(item->reason), "%s", reason);
	}
	unlock(e);
}

void evidence_configured(struct evidence *e, const uint8_t sha256[static 32],
			 const struct seal_recipient *recipients, unsigned n_recipients)
{
	if (!e)
		return;
	lock(e);
	const bool is_new = !e->is_configured || memcmp(e->configured, sha256, 32) != 0;
	struct item *item = is_new ? place(e) : NULL;
	if (item) {
		item->event = CHAIN_CONFIGURED;
		memcpy(item->sha256, sha256, sizeof(item->sha256));
		memcpy(e->configured, sha256, sizeof(e->configured));
		e->is_configured = true;
		set_recipients(item, recipients, n_recipients);
	}
	unlock(e);
}

void evidence_clock(struct evidence *e, int64_t step_ns)
{
	if (!e)
		return;
	lock(e);
	struct item *item = place(e);
	if (item) {
		item->event = CHAIN_CLOCK;
		item->step_ns = step_ns;
	}
	unlock(e);
}

bool evidence_settle(struct evidence *e, int timeout_ms)
{
	if (!e)
		return true;
	const struct timespec until = after((uint64_t)timeout_ms * 1000000);
	(void)pthread_mutex_lock(&e->mutex);
	const uint64_t told = e->told;
	int ret = 0;
	while (e->entered < told && !ret)
		ret = pthread_cond_timedwait(&e->changed, &e->mutex, &until);
	const bool is_settled = e->entered >= told;
	(void)pthread_mutex_unlock(&e->mutex);
	return is_settled;
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
	lock(e);
	e->is_stuck = ret;
	unlock(e);
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
		const struct timespec until = after(COMMIT_NS);
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

/* e->entry is filled in but for what the chain adds. */
static void add(struct evidence *e)
{
	make_room(e);
	e->entry.time_ns = now_ns();
	const int ret = evidence_log_add(&e->log, &e->entry);
	if (ret)
		say_failure(e, ret);
}

static void begin_entry(struct evidence *e, enum chain_event event)
{
	memset(&e->entry, 0, sizeof(e->entry));
	e->entry.event = event;
}

static int hash_open_file(int fd, const uint64_t *want, struct chain_entry *entry)
{
	uint64_t len;
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	const int ret = chain_hash_fd(fd, NULL, entry->sha256, &len);
	entry->bytes = (int64_t)len;
	if (ret || !want || *want == len)
		return ret;
	(void)snprintf(entry->reason, sizeof(entry->reason), "it gives %" PRIu64 " bytes", len);
	return -EBADMSG;
}

/* Reads the file back. What it does not give as it was written becomes an event of its own. */
static void hash_file(struct evidence *e, const char *name, const uint64_t *want)
{
	struct chain_entry *entry = &e->entry;
	/* A pipe under this name must not stop the thread. */
	const int fd = openat(e->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	const int ret = fd < 0 ? -errno : hash_open_file(fd, want, entry);

	(void)snprintf(entry->file, sizeof(entry->file), "%s", name);
	if (fd >= 0)
		(void)close(fd);
	if (!ret)
		return;
	if (ret != -EBADMSG)
		(void)snprintf(entry->reason, sizeof(entry->reason), "%s", strerror(-ret));
	entry->event = CHAIN_UNREADABLE;
	entry->bytes = want ? (int64_t)*want : 0;
	if (ret != -ENOENT) /* retention was faster */
		log_line("%s/%s is not as it was written: %s", e->config.dir, name, entry->reason);
}

static void enter_content(struct evidence *e, const struct item *item)
{
	hash_file(e, item->file, &item->bytes);
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

	begin_entry(e, item->event);
	(void)snprintf(entry->file, sizeof(entry->file), "%s", item->file);
	memcpy(entry->reason, item->reason, sizeof(entry->reason));
	memcpy(entry->sha256, item->sha256, sizeof(entry->sha256));
	entry->step_ns = item->step_ns;
	name_recipients(entry, item);
	if (chain_has_file_hash(item->event))
		enter_content(e, item);
	add(e);
}

static void enter_missed(struct evidence *e, uint64_t n)
{
	begin_entry(e, CHAIN_UNHASHED);
	e->entry.files = (int64_t)n;
	add(e);
	log_line("%" PRIu64 " files are without evidence: the disk does not keep up with "
		 "reading them back",
		 n);
}

/* ---- the start ---- */

static void enter_start(struct evidence *e)
{
	begin_entry(e, CHAIN_START);
	(void)snprintf(e->entry.version, sizeof(e->entry.version), "%s", VERSION);
	if (gethostname(e->entry.host, sizeof(e->entry.host) - 1))
		e->entry.host[0] = 0;
	add(e);
	if (!*e->log.aside)
		return;
	begin_entry(e, CHAIN_FOUND);
	hash_file(e, e->log.aside, NULL);
	add(e);
}

static struct listed id_of(const char *name)
{
	uint8_t hash[CHAIN_HASH];
	struct listed listed = {.is_known = false};

	chain_hash(name, strlen(name), hash);
	memcpy(listed.id, hash, sizeof(listed.id));
	return listed;
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(((struct listed *)0)->id));
}

static struct listed *find_listed(struct evidence *e, const char *name)
{
	const struct listed wanted = id_of(name);

	return e->n_listed ? bsearch(&wanted, e->listed, e->n_listed, sizeof(wanted), compare)
			   : NULL;
}

static DIR *open_listing(const struct evidence *e)
{
	const int fd = openat(e->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir && fd >= 0)
		(void)close(fd);
	return dir;
}

/* Before anything is written: what comes later is told of. */
static int list_folder(struct evidence *e, struct err *err)
{
	DIR *dir = open_listing(e);

	if (!dir)
		return err_set(err, -errno, "cannot list the folder %s: %s", e->config.dir,
			       strerror(errno));
	for (const struct dirent *d; (d = readdir(dir));) {
		if (!chain_is_stored(d->d_name))
			continue;
		if (e->n_listed == LISTED_MAX || array_grow((void **)&e->listed, &e->listed_cap,
							    e->n_listed + 1, sizeof(*e->listed)))
			e->n_unlisted++;
		else
			e->listed[e->n_listed++] = id_of(d->d_name);
	}
	(void)closedir(dir);
	if (e->n_listed)
		qsort(e->listed, e->n_listed, sizeof(*e->listed), compare);
	return 0;
}

/* Those that the chain has. Whether it says so rightly is for the reader to see. */
static void strike_known(struct evidence *e)
{
	const int fd = openat(e->dir_fd, CHAIN_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	char *line = malloc(CHAIN_LINE_MAX + 1);
	struct err err;
	size_t len;
	int ret;

	while (file && line && e->n_listed && (ret = chain_read_line(file, line, &len)) &&
	       ret != -EIO) {
		if (ret < 0 || chain_parse(&e->entry, line, len, &err))
			continue;
		struct listed *known = find_listed(e, e->entry.file);
		if (known)
			known->is_known = true;
	}
	free(line);
	if (file)
		(void)fclose(file);
	else if (fd >= 0)
		(void)close(fd);
}

static void enter_found(struct evidence *e)
{
	DIR *dir = open_listing(e);

	strike_known(e);
	for (const struct dirent *d; dir && (d = readdir(dir));) {
		const struct listed *found =
			chain_is_stored(d->d_name) ? find_listed(e, d->d_name) : NULL;
		if (!found || found->is_known)
			continue;
		begin_entry(e, strstr(d->d_name, "_trunc.") ? CHAIN_RECOVERED : CHAIN_FOUND);
		hash_file(e, d->d_name, NULL);
		add(e);
	}
	if (dir)
		(void)closedir(dir);
	if (e->n_unlisted)
		enter_missed(e, e->n_unlisted);
	free(e->listed);
	e->listed = NULL;
	e->n_listed = 0;
}

/* ---- thread ---- */

/* What to do next, or *missed. False: neither, and lines are to be committed, or the end. */
static bool take(struct evidence *e, uint64_t *missed, bool *is_ending)
{
	(void)pthread_mutex_lock(&e->mutex);
	while (!e->n && !e->missed && !e->is_ending && !e->log.pending)
		(void)pthread_cond_wait(&e->changed, &e->mutex);
	*missed = e->n ? 0 : e->missed;
	const bool any = e->n;
	if (any) {
		e->item = e->queue[e->first];
		e->first = (e->first + 1) % e->config.queue;
		e->n--;
	} else {
		e->missed = 0;
	}
	stats_set(&e->config.stats->evidence.waiting, e->n);
	*is_ending = e->is_ending;
	unlock(e); /* there is room */
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
	const struct timespec until = after(COMMIT_NS);

	(void)pthread_mutex_lock(&e->mutex);
	if (!e->n && !e->is_ending)
		(void)pthread_cond_timedwait(&e->changed, &e->mutex, &until);
	(void)pthread_mutex_unlock(&e->mutex);
}

static void settle(struct evidence *e, uint64_t entered)
{
	lock(e);
	e->entered = entered;
	unlock(e);
}

static void enter_stop(struct evidence *e)
{
	begin_entry(e, CHAIN_STOP);
	add(e);
	for (unsigned i = 1; !commit(e) && i < LAST_TRIES; i++)
		clock_nap(COMMIT_NS);
}

static void *run(void *arg)
{
	struct evidence *e = arg;
	uint64_t missed, taken = 0;
	bool is_ending;

	(void)setpriority(PRIO_PROCESS, 0, NICE); /* this thread alone: setpriority(2), BUGS */
	enter_start(e);
	enter_found(e);
	for (;;) {
		const bool more = take(e, &missed, &is_ending);
		if (more)
			enter(e, &e->item);
		if (missed)
			enter_missed(e, missed);
		taken += more;
		if (is_due(e, more) && commit(e))
			settle(e, taken);
		if (e->is_failing && !more && !is_ending)
			wait_for_retry(e);
		if (is_ending && !more && !missed)
			break;
	}
	enter_stop(e);
	settle(e, taken);
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
	e->dir_fd = e->log.chain_fd = e->log.key_fd = -1;
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
	return ret ? err_set(err, ret, "%s: %s", e->config.dir, why.text) : list_folder(e, err);
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
	lock(e);
	e->is_ending = true;
	unlock(e);
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
