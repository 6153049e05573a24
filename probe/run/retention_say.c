#include "run/retention_part.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "config/value.h"

#define SAY_NS (60 * SECOND_NS)

static void say_deleted(struct retention *r)
{
	char text[160] = "";
	size_t len = 0;
	uint64_t files = 0;

	for (unsigned i = 0; i < RETENTION_REASONS; i++) {
		if (r->files_unsaid[i])
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s %" PRIu64,
						len ? ", " : "", retention_reasons[i],
						r->files_unsaid[i]);
		files += r->files_unsaid[i];
		r->files_unsaid[i] = 0;
	}
	if (files)
		log_line("retention: %" PRIu64 " files deleted, %" PRIu64 " MiB (%s)", files,
			 r->bytes_unsaid >> 20, text);
	r->bytes_unsaid = 0;
}

static void say_exceeded(const struct retention *r)
{
	const struct stats_retention *s = r->config.stats;

	if (s->exceeded[RETENTION_SIZE])
		log_line("retention: over retain-size with pinned and open files alone: all others "
			 "go as soon as they are sealed; unpin some, or raise it");
	if (s->exceeded[RETENTION_SESSION_SIZE])
		log_line("retention: a session is over retain-session-size, or a store over its "
			 "retain-size, with pinned and open "
			 "files alone: its others go as soon as they are sealed; unpin some, or "
			 "raise it");
	if (s->exceeded[RETENTION_FREE])
		log_line(
			"retention: less than retain-free is free and nothing more may be deleted: "
			"make room in %s",
			r->config.dir);
	if (r->error)
		log_line("retention: cannot delete files in %s: %s", r->config.dir,
			 strerror(-r->error));
}

void retention_say(struct retention *r, bool is_end)
{
	const uint64_t now_ns = clock_monotonic_ns();
	const struct stats_retention *s = r->config.stats;
	bool any = r->error;

	for (unsigned i = 0; i < RETENTION_REASONS; i++)
		any |= r->files_unsaid[i] || s->exceeded[i];
	if (!any || (!is_end && r->said_ns && now_ns - r->said_ns < SAY_NS))
		return;
	r->said_ns = now_ns;
	say_deleted(r);
	say_exceeded(r);
	r->error = 0;
}

/* In the largest unit that says it exactly. */
static const char *size_text(char out[static 32], uint64_t bytes)
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
	unsigned unit = 0;

	for (; unit < 4 && !(bytes & 1023); unit++)
		bytes >>= 10;
	(void)snprintf(out, 32, "%" PRIu64 " %s", bytes, units[unit]);
	return out;
}

static void add(char *text, size_t cap, bool is_set, const char *what, const char *value)
{
	const size_t len = strlen(text);

	if (is_set)
		(void)snprintf(text + len, cap - len, "%s%s %s", len ? ", " : "", what, value);
}

/* True: the store has limits. */
static bool say_store(const struct retention_store *s)
{
	char text[80] = "", value[32]; /* two limits: "over " and ", after " before a value each */

	add(text, sizeof(text), s->size, "over", size_text(value, s->size));
	(void)snprintf(value, sizeof(value), "%" PRIu64 " s", s->time_ns / SECOND_NS);
	add(text, sizeof(text), s->time_ns, "after", value);
	if (*text)
		log_line("retention: the oldest files of %s are deleted: %s", s->name, text);
	return *text;
}

void retention_say_settings(const struct retention_settings *s)
{
	char text[256] = "", value[32]; /* four limits, with their words at most 58 each */
	bool any = false;

	add(text, sizeof(text), s->size, "over", size_text(value, s->size));
	add(text, sizeof(text), s->session_size, "of one NAME over",
	    size_text(value, s->session_size));
	(void)snprintf(value, sizeof(value), "%" PRIu64 " s", s->time_ns / SECOND_NS);
	add(text, sizeof(text), s->time_ns, "after", value);
	if (s->free & VALUE_PERCENT)
		(void)snprintf(value, sizeof(value), "%" PRIu64 " %%", s->free & ~VALUE_PERCENT);
	else
		(void)size_text(value, s->free);
	add(text, sizeof(text), s->free, "when free space is under", value);
	for (uint32_t i = 0; i < s->n_stores; i++)
		any |= say_store(&s->stores[i]);
	if (*text)
		log_line("retention: the oldest files are deleted: %s; 'vxcap pin' keeps a file",
			 text);
	else if (!any)
		log_line("retention: no file is deleted, whatever its age and size");
}
