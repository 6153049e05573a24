#define _GNU_SOURCE
#include "run/retention.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "config/value.h"
#include "run/retention_part.h"

#define TURN_MS 1000
/* Deletions are changes too, and a writer may seal many files: they are followed so often. */
#define PAUSE_MS 100
/* What another host changes is not told. */
#define RESCAN_NS (60 * SECOND_NS)
/* Where there are more files than the catalogue holds: what came since is still to be counted. */
#define RESCAN_STALE_NS (10 * SECOND_NS)
/* A file system that refuses is not asked about every file in every turn. */
#define FAILURES_MAX 16
/* When more happens than so many times EVENTS_LEN can tell, the folder is read anew instead. */
#define READS_MAX 16
/* Part of a limit that is kept for what open files may grow by, at most. */
#define RESERVE_PART 8

/* Sealing, deleting, pinning; a file that is only written to is measured anyway. */
#define WATCHED (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR)

/* ---- what is there ---- */

static void read_events(struct retention *r)
{
	ssize_t len;

	for (unsigned i = 0; (len = read(r->inotify, r->events, EVENTS_LEN)) > 0; i++) {
		if (i == READS_MAX) {
			r->scanned_ns = 0;
			return;
		}
		const struct inotify_event *e;
		for (ssize_t at = 0; at < len; at += (ssize_t)(sizeof(*e) + e->len)) {
			e = (const void *)(r->events + at);
			if (e->mask & (IN_Q_OVERFLOW | IN_IGNORED))
				r->scanned_ns = 0;
			else if (e->len)
				catalogue_look(r->catalogue, e->name);
		}
	}
}

static void scan(struct retention *r, uint64_t monotonic_ns)
{
	struct err err;

	const int ret = catalogue_scan(r->catalogue, &err);
	if (ret && !r->is_failing)
		log_line("retention: %s: %s", r->config.dir, err.text);
	r->is_failing = ret;
	r->scanned_ns = monotonic_ns;
}

static void follow_folder(struct retention *r)
{
	const uint64_t now_ns = clock_monotonic_ns();

	read_events(r); /* before the scan, which sees what they tell */
	const uint64_t rescan_ns = catalogue_is_stale(r->catalogue) ? RESCAN_STALE_NS : RESCAN_NS;
	if (!r->scanned_ns || now_ns - r->scanned_ns >= rescan_ns)
		scan(r, now_ns);
	catalogue_measure_open(r->catalogue);
}

static uint64_t growth_of(const struct retention *r, const struct catalogue_file *f)
{
	if (f->kind != CATALOGUE_OPEN || f->bytes >= r->settings.rotate_len)
		return 0;
	return r->settings.rotate_len - f->bytes;
}

/* Counts all that is there. */
static void account(struct retention *r)
{
	struct stats_retention *s = r->config.stats;
	uint64_t files, pinned = 0, pinned_bytes = 0, oldest_s = UINT64_MAX;
	uint32_t n;
	const struct catalogue_file *f = catalogue_files(r->catalogue, &n);

	files = n + catalogue_beyond(r->catalogue, &r->bytes);
	r->reserve = 0;
	for (uint32_t i = 0; i < n; i++) {
		r->bytes += f[i].bytes;
		r->reserve += growth_of(r, &f[i]);
		pinned += f[i].is_pinned;
		pinned_bytes += f[i].is_pinned ? f[i].bytes : 0;
		oldest_s = f[i].end_s < oldest_s ? f[i].end_s : oldest_s;
	}
	stats_set(&s->files, files);
	stats_set(&s->bytes, r->bytes);
	stats_set(&s->pinned_files, pinned);
	stats_set(&s->pinned_bytes, pinned_bytes);
	stats_set(&s->oldest_ns, oldest_s > UINT64_MAX / SECOND_NS ? 0 : oldest_s * SECOND_NS);
}

/* ---- deleting ---- */

/* False: it stays. */
static bool delete_file(struct retention *r, struct catalogue_file *f, enum retention_reason why)
{
	struct stats_retention *s = r->config.stats;
	char name[NAME_MAX + 1];
	const int ret = catalogue_delete(r->catalogue, f);

	if (ret && !f->is_gone) {
		if (ret != -EBUSY && ret != -EAGAIN) {
			r->failures++;
			r->error = ret;
			stats_add(&s->failures, 1);
		}
		return false;
	}
	r->bytes -= f->bytes;
	r->n_gone++; /* of empty ones nothing else tells */
	if (ret)     /* somebody else did it */
		return true;
	r->freed += f->bytes;
	stats_add(&s->deleted_files[why], 1);
	stats_add(&s->deleted_bytes[why], f->bytes);
	r->files_unsaid[why]++;
	r->bytes_unsaid += f->bytes;
	catalogue_format(f, name);
	if (r->config.deleted)
		r->config.deleted(r->config.arg, name, f->bytes, retention_reasons[why]);
	return true;
}

static bool may_delete(const struct retention *r, const struct catalogue_file *f)
{
	return !f->is_gone && !f->is_pinned && f->kind != CATALOGUE_OPEN &&
	       r->failures < FAILURES_MAX;
}

/* Of a NAME; NULL: it has no limits of its own. */
static const struct retention_store *store_of(const struct retention *r, const char *name)
{
	for (uint32_t i = 0; i < r->settings.n_stores; i++)
		if (!strcmp(r->settings.stores[i].name, name))
			return &r->settings.stores[i];
	return NULL;
}

/* The name has whole seconds: the last packet may be almost one later. */
static bool is_old(uint64_t time_ns, uint64_t end_s, uint64_t now_s)
{
	const uint64_t time_s = time_ns / SECOND_NS + (time_ns % SECOND_NS > 0);

	return time_ns && end_s < now_s && now_s - end_s > time_s;
}

static void delete_old(struct retention *r, uint64_t now_ns)
{
	const uint64_t now_s = now_ns / SECOND_NS;
	uint64_t least_ns = r->settings.time_ns ? r->settings.time_ns : UINT64_MAX;
	uint32_t n;
	struct catalogue_file *f = catalogue_files(r->catalogue, &n);

	for (uint32_t i = 0; i < r->settings.n_stores; i++)
		if (r->settings.stores[i].time_ns && r->settings.stores[i].time_ns < least_ns)
			least_ns = r->settings.stores[i].time_ns;
	/* They are in the order of age: behind one that is not old by any limit none is. */
	for (uint32_t i = 0; i < n && is_old(least_ns, f[i].end_s, now_s); i++) {
		const struct retention_store *s = store_of(r, f[i].name);
		if (is_old(s ? s->time_ns : r->settings.time_ns, f[i].end_s, now_s) &&
		    may_delete(r, &f[i]))
			(void)delete_file(r, &f[i], RETENTION_AGE);
	}
}

static int compare_names(const void *a, const void *b)
{
	const struct catalogue_file *x = *(struct catalogue_file *const *)a;
	const struct catalogue_file *y = *(struct catalogue_file *const *)b;
	const int d = strcmp(x->name, y->name);

	return d ? d : x < y ? -1 : x > y; /* the catalogue's order is that of age */
}

/* Files of one NAME, oldest first. Returns true when they are over the limit still. */
static bool delete_of_name(struct retention *r, struct catalogue_file **f, uint32_t n)
{
	const struct retention_store *s = store_of(r, f[0]->name);
	const uint64_t size = s && s->size ? s->size : r->settings.session_size;
	uint64_t bytes = 0;

	if (!size)
		return false;

	for (uint32_t i = 0; i < n; i++)
		bytes += f[i]->is_gone ? 0 : f[i]->bytes;
	for (uint32_t i = 0; i < n && bytes > size; i++)
		if (may_delete(r, f[i]) && delete_file(r, f[i], RETENTION_SESSION_SIZE))
			bytes -= f[i]->bytes;
	return bytes > size;
}

static bool delete_by_name(struct retention *r)
{
	bool is_over = false;
	uint32_t n, end;
	struct catalogue_file *f = catalogue_files(r->catalogue, &n);

	bool any = r->settings.session_size;
	for (uint32_t i = 0; i < r->settings.n_stores; i++)
		any |= r->settings.stores[i].size > 0;
	if (!any)
		return false;
	for (uint32_t i = 0; i < n; i++)
		r->by_name[i] = &f[i];
	qsort(r->by_name, n, sizeof(struct catalogue_file *), compare_names);
	for (uint32_t i = 0; i < n; i = end) {
		for (end = i + 1; end < n; end++)
			if (strcmp(r->by_name[i]->name, r->by_name[end]->name) != 0)
				break;
		is_over |= delete_of_name(r, r->by_name + i, end - i);
	}
	return is_over;
}

static uint64_t reserve_of(const struct retention *r, uint64_t whole)
{
	return r->reserve < whole / RESERVE_PART ? r->reserve : whole / RESERVE_PART;
}

static bool delete_over_size(struct retention *r)
{
	const uint64_t size = r->settings.size;
	uint32_t n;
	struct catalogue_file *f = catalogue_files(r->catalogue, &n);

	if (!size)
		return false;
	const uint64_t allowed = size - reserve_of(r, size);
	for (uint32_t i = 0; i < n && r->bytes > allowed; i++)
		if (may_delete(r, &f[i]))
			(void)delete_file(r, &f[i], RETENTION_SIZE);
	return r->bytes > allowed;
}

static uint64_t floor_of(const struct retention *r, uint64_t disk_size)
{
	const uint64_t free = r->settings.free;

	return free & VALUE_PERCENT ? disk_size / 100 * (free & ~VALUE_PERCENT) : free;
}

/* What is deleted may be given back some time later (XFS does): it is counted as free, and the next
 * turn measures anew. */
static bool delete_for_space(struct retention *r, bool is_hurried, uint64_t freed_before)
{
	const uint64_t size = stats_get(&r->config.stats->disk_size);
	const uint64_t available = stats_get(&r->config.stats->disk_free) + freed_before;
	const enum retention_reason why = is_hurried ? RETENTION_DISK_FULL : RETENTION_FREE;
	uint32_t n;
	struct catalogue_file *f = catalogue_files(r->catalogue, &n);

	if (!r->settings.free || !size)
		return false;
	const uint64_t wanted = floor_of(r, size) + reserve_of(r, size);
	uint64_t missing = wanted > available ? wanted - available : 0;
	if (!missing && is_hurried)
		missing = 1;
	const uint64_t enough = r->freed + missing;
	for (uint32_t i = 0; i < n && r->freed < enough; i++)
		if (may_delete(r, &f[i]))
			(void)delete_file(r, &f[i], why);
	return r->freed < enough;
}

static void measure_disk(struct retention *r)
{
	struct stats_retention *s = r->config.stats;
	struct statvfs v;

	if (fstatvfs(catalogue_fd(r->catalogue), &v))
		v = (struct statvfs){0};
	stats_set(&s->disk_size, (uint64_t)v.f_blocks * v.f_frsize);
	stats_set(&s->disk_free, (uint64_t)v.f_bavail * v.f_frsize);
}

/* ---- turn ---- */

static void take_settings(struct retention *r)
{
	(void)pthread_mutex_lock(&r->mutex);
	const bool is_new = memcmp(&r->settings, &r->next, sizeof(r->settings)) != 0;
	r->settings = r->next;
	(void)pthread_mutex_unlock(&r->mutex);
	if (is_new)
		retention_say_settings(&r->settings);
}

void retention_turn(struct retention *r, uint64_t now_ns)
{
	const bool is_hurried =
		atomic_exchange_explicit(&r->is_hurried, false, memory_order_relaxed); /* a hint */
	struct stats_retention *s = r->config.stats;

	take_settings(r);
	follow_folder(r);
	measure_disk(r);
	account(r);
	r->freed = 0;
	r->failures = r->n_gone = 0;
	delete_old(r, now_ns);
	stats_set(&s->exceeded[RETENTION_SESSION_SIZE], delete_by_name(r));
	stats_set(&s->exceeded[RETENTION_SIZE], delete_over_size(r));
	stats_set(&s->exceeded[RETENTION_FREE], delete_for_space(r, is_hurried, r->freed));
	if (r->n_gone) {
		catalogue_sweep(r->catalogue);
		measure_disk(r);
		account(r);
	}
	retention_say(r, false);
}

/* ---- thread ---- */

static uint64_t wall_ns(void)
{
	uint64_t error_ns;

	return clock_monotonic_ns() + (uint64_t)clock_offset_ns(&error_ns);
}

static void wait_for_change(struct retention *r)
{
	struct pollfd p[] = {{.fd = r->wake, .events = POLLIN},
			     {.fd = r->inotify, .events = POLLIN}};
	uint64_t rung;

	if (!poll(p, 1, PAUSE_MS))
		(void)poll(p, 2, TURN_MS - PAUSE_MS);
	(void)!read(r->wake, &rung, sizeof(rung));
}

void *retention_run(void *arg)
{
	struct retention *r = arg;

	/* Of this thread alone, in Linux. */
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), 19);
	while (!atomic_load_explicit(&r->is_stopped, memory_order_relaxed)) {
		retention_turn(r, wall_ns());
		wait_for_change(r);
	}
	retention_say(r, true);
	return NULL;
}

static void wake(struct retention *r)
{
	const uint64_t one = 1;

	(void)!write(r->wake, &one, sizeof(one));
}

void retention_stop(struct retention *r)
{
	if (!r)
		return;
	atomic_store_explicit(&r->is_stopped, true, memory_order_relaxed); /* wake orders it */
	wake(r);
}

void retention_hurry(struct retention *r)
{
	if (!r)
		return;
	atomic_store_explicit(&r->is_hurried, true, memory_order_relaxed); /* wake orders it */
	wake(r);
}

void retention_set(struct retention *r, const struct retention_settings *settings)
{
	(void)pthread_mutex_lock(&r->mutex);
	r->next = *settings;
	(void)pthread_mutex_unlock(&r->mutex);
	wake(r);
}

/* ---- life ---- */

/* Without it the folder is scanned once a minute, and what is sealed meanwhile counts late. */
static void watch(struct retention *r)
{
	r->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (r->inotify < 0 || inotify_add_watch(r->inotify, r->config.dir, WATCHED) < 0)
		log_line("retention: cannot watch %s: %s; looking there once a minute",
			 r->config.dir, strerror(errno));
}

int retention_open(struct retention **out, const struct retention_config *config, struct err *err)
{
	struct retention *r = calloc(1, sizeof(*r));

	if (!r)
		return err_set(err, -ENOMEM, "out of memory");
	r->config = *config;
	r->next = config->settings;
	r->inotify = -1;
	(void)pthread_mutex_init(&r->mutex, NULL);
	r->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->by_name = calloc(config->files_max, sizeof(struct catalogue_file *));
	int ret = r->wake < 0   ? err_set(err, -errno, "cannot make an event: %s", strerror(errno))
		  : !r->by_name ? err_set(err, -ENOMEM, "out of memory")
				: 0;
	if (!ret)
		ret = catalogue_open(&r->catalogue, config->dir, config->files_max, err);
	if (ret) {
		retention_close(r);
		return ret;
	}
	watch(r);
	*out = r;
	return 0;
}

void retention_close(struct retention *r)
{
	if (!r)
		return;
	catalogue_close(r->catalogue);
	if (r->inotify >= 0)
		(void)close(r->inotify);
	if (r->wake >= 0)
		(void)close(r->wake);
	(void)pthread_mutex_destroy(&r->mutex);
	free(r->by_name);
	free(r);
}

size_t retention_memory(uint32_t files_max)
{
	return sizeof(struct retention) + files_max * sizeof(struct catalogue_file *) +
	       catalogue_memory(files_max);
}
