#include "run/reload.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "run/capturer.h"
#include "run/plan.h"

/* Who writes a file in several steps is waited for, but not for ever: others may write beside it.
 */
#define SETTLE_NS 100000000u
#define LATEST_NS 1000000000u
/* What is being written still may be right YAML already: not IN_CREATE, not IN_MODIFY. */
#define WATCHED (IN_CLOSE_WRITE | IN_MOVED_TO)

struct reload {
	const struct config *config; /* in force */
	struct config *loaded;       /* the same if it came by a reload, else NULL */
	struct engine_settings settings;
	struct names *names;
	struct stat seen; /* of the names file that was read last */
	struct stats *stats;
	int capture, inotify, watch;
	uint64_t due_ns;    /* when to look at the names file; 0: no need */
	uint64_t latest_ns; /* due_ns can be put off until then */
};

/* ---- names file ---- */

static void watch_names(struct reload *r)
{
	char path[PATH_MAX];

	if (r->watch >= 0)
		(void)inotify_rm_watch(r->inotify, r->watch);
	r->watch = -1;
	if (!r->config->names)
		return;
	(void)snprintf(path, sizeof(path), "%s", r->config->names);
	r->watch = inotify_add_watch(r->inotify, dirname(path), WATCHED);
	if (r->watch < 0)
		log_line("cannot watch %s: %s; SIGHUP reads it anew", r->config->names,
			 strerror(errno));
}

static bool names_differ(const struct reload *r)
{
	struct stat now;

	if (stat(r->config->names, &now))
		return r->seen.st_ino; /* said once that it is gone */
	return now.st_ino != r->seen.st_ino || now.st_dev != r->seen.st_dev ||
	       now.st_size != r->seen.st_size || now.st_mtim.tv_sec != r->seen.st_mtim.tv_sec ||
	       now.st_mtim.tv_nsec != r->seen.st_mtim.tv_nsec;
}

static void put_off(struct reload *r, uint64_t now_ns)
{
	const uint64_t settled_ns = now_ns + SETTLE_NS;

	if (!r->due_ns)
		r->latest_ns = now_ns + LATEST_NS;
	r->due_ns = settled_ns < r->latest_ns ? settled_ns : r->latest_ns;
}

/* The file as it is looked at now: what is written to it later is seen as a change. */
static int load_names(struct names **names, struct stat *seen, const struct config *config,
		      struct err *err)
{
	memset(seen, 0, sizeof(*seen));
	if (config->names)
		(void)stat(config->names, seen);
	return config_load_names(names, config, err);
}

/* ---- life ---- */

static void drop_config(struct config *config)
{
	if (config)
		config_close(config);
	free(config);
}

int reload_open(struct reload **out, const struct config *config, struct err *err)
{
	struct reload *r = calloc(1, sizeof(*r));

	if (!r)
		return err_set(err, -ENOMEM, "out of memory");
	r->config = config;
	r->inotify = r->watch = -1;
	const int ret = load_names(&r->names, &r->seen, config, err);
	if (ret) {
		reload_close(r);
		return ret;
	}
	plan_settings(config, &r->settings);
	*out = r;
	return 0;
}

void reload_close(struct reload *r)
{
	if (!r)
		return;
	if (r->inotify >= 0)
		(void)close(r->inotify);
	names_close(r->names);
	drop_config(r->loaded);
	free(r);
}

const struct engine_settings *reload_settings(const struct reload *r)
{
	return &r->settings;
}

struct names *reload_names(const struct reload *r)
{
	return r->names;
}

static void count_names(struct reload *r)
{
	r->stats->n_names = r->names ? names_count(r->names) : 0;
}

/* ---- outcome ---- */

static void set_outcome(struct stats_reload *s, bool is_ok)
{
	uint64_t error_ns;

	if (is_ok)
		stats_set(&s->success_ns,
			  clock_monotonic_ns() + (uint64_t)clock_offset_ns(&error_ns));
	__atomic_store_n(&s->is_ok, is_ok, __ATOMIC_RELAXED);
}

static void count_outcome(struct stats_reload *s, bool is_ok)
{
	stats_add(is_ok ? &s->successes : &s->failures, 1);
	set_outcome(s, is_ok);
}

/* Where there is no names file none is wrong. */
static void forget_names(struct stats_reload *s)
{
	stats_set(&s->success_ns, 0);
	__atomic_store_n(&s->is_ok, true, __ATOMIC_RELAXED);
}

int reload_begin(struct reload *r, struct stats *stats, int capture, struct err *err)
{
	r->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (r->inotify < 0)
		return err_set(err, -errno, "cannot watch files: %s", strerror(errno));
	watch_names(r);
	put_off(r, clock_monotonic_ns()); /* it may have changed since it was read */
	r->stats = stats;
	r->capture = capture;
	set_outcome(&stats->config, true);
	if (r->config->names)
		set_outcome(&stats->names, true);
	else
		forget_names(&stats->names);
	count_names(r);
	return 0;
}

/* ---- change ---- */

/* Puts new ones in force, everywhere; on failure they are the caller's still. */
static int take(struct reload *r, const struct engine_settings *settings, struct names *names,
		struct err *err)
{
	const int ret = capturer_order(r->capture, settings, names, err);

	if (ret)
		return ret;
	names_close(r->names);
	r->names = names;
	r->settings = *settings;
	count_names(r);
	return 0;
}

static int reload_names_file(struct reload *r, struct err *err)
{
	struct names *names;
	int ret = load_names(&names, &r->seen, r->config, err);

	if (!ret && (ret = take(r, &r->settings, names, err)))
		names_close(names);
	count_outcome(&r->stats->names, !ret);
	if (ret == -ETIMEDOUT)
		return ret;
	if (ret)
		log_line("%s; the names before stay in force", err->text);
	else
		log_line("%s: read anew: %u sessions", r->config->names, r->stats->n_names);
	return 0;
}

int reload_fd(const struct reload *r)
{
	return r->inotify;
}

int reload_timeout_ms(const struct reload *r)
{
	const uint64_t now_ns = clock_monotonic_ns();

	if (!r->due_ns)
		return -1;
	return r->due_ns <= now_ns ? 0 : (int)((r->due_ns - now_ns) / 1000000) + 1;
}

int reload_follow(struct reload *r, struct err *err)
{
	char events[4096];
	bool any = false;

	while (read(r->inotify, events, sizeof(events)) > 0)
		any = true;
	const uint64_t now_ns = clock_monotonic_ns();
	if (any)
		put_off(r, now_ns);
	if (!r->due_ns || now_ns < r->due_ns)
		return 0;
	r->due_ns = 0;
	return r->config->names && names_differ(r) ? reload_names_file(r, err) : 0;
}

/* ---- SIGHUP ---- */

static int load(struct reload *r, struct config *config, struct names **names, struct stat *seen,
		struct err *err)
{
	struct engine_settings settings;
	int ret = config_reload(config, r->config, err);

	if (ret)
		return ret;
	ret = load_names(names, seen, config, err);
	if (ret) {
		count_outcome(&r->stats->names, false);
		return ret;
	}
	plan_settings(config, &settings);
	ret = take(r, &settings, *names, err);
	if (ret)
		names_close(*names);
	return ret;
}

static bool is_other_set(const struct seal_recipient *a, unsigned n_a,
			 const struct seal_recipient *b, unsigned n_b)
{
	return n_a != n_b || memcmp(a, b, n_a * sizeof(*a)) != 0;
}

static bool has_other_recipients(const struct config *a, const struct config *b)
{
	bool differ = is_other_set(a->recipients, a->n_recipients, b->recipients, b->n_recipients);

	for (unsigned i = 0; i < a->n_stores; i++) /* a reload changes neither number nor order */
		differ |= is_other_set(a->stores[i].recipients, a->stores[i].n_recipients,
				       b->stores[i].recipients, b->stores[i].n_recipients);
	return differ;
}

int reload_all(struct reload *r, struct err *err)
{
	struct config *config = calloc(1, sizeof(*config));
	struct names *names;
	struct stat seen = {0};
	const int ret = config ? load(r, config, &names, &seen, err)
			       : err_set(err, -ENOMEM, "out of memory");

	count_outcome(&r->stats->config, !ret);
	if (ret)
		drop_config(config);
	if (ret == -ETIMEDOUT)
		return ret;
	if (ret) {
		log_line("%s; the configuration before stays in force", err->text);
		return 0;
	}
	const bool is_new = has_other_recipients(config, r->config);
	drop_config(r->loaded);
	r->config = r->loaded = config;
	r->seen = seen;
	if (config->names)
		count_outcome(&r->stats->names, true);
	else
		forget_names(&r->stats->names);
	watch_names(r);
	log_line("the configuration was read anew (recipients: %u, names: %u)",
		 r->settings.stores[0].n_recipients, r->stats->n_names);
	if (is_new && config_warning(config))
		log_line("%s", config_warning(config));
	return 0;
}
