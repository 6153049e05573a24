#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "run/evidence_part.h"

/* A deletion waits so long at most for room in the queue. */
#define ROOM_NS UINT64_C(2000000000)

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
	if (n) /* else recipients may be NULL */
		memcpy(item->recipients, recipients, n * sizeof(*recipients));
}

void evidence_lock(struct evidence *e)
{
	(void)pthread_mutex_lock(&e->mutex);
}

void evidence_unlock(struct evidence *e)
{
	(void)pthread_cond_broadcast(&e->changed);
	(void)pthread_mutex_unlock(&e->mutex);
}

void evidence_sealed(struct evidence *e, const struct evidence_file *file)
{
	if (!e)
		return;
	evidence_lock(e);
	struct item *item = place(e);
	if (item) {
		item->event = file->is_broken ? CHAIN_BROKEN : CHAIN_SEALED;
		(void)snprintf(item->file, sizeof(item->file), "%s", file->name);
		item->bytes = file->bytes;
		item->packets = file->packets;
		item->drops = file->drops;
		set_recipients(item, file->recipients, file->n_recipients);
	}
	evidence_unlock(e);
}

struct timespec evidence_after(uint64_t ns)
{
	const uint64_t at = clock_monotonic_ns() + ns;

	return (struct timespec){.tv_sec = (time_t)(at / 1000000000),
				 .tv_nsec = (long)(at % 1000000000)};
}

/* Deletions come in bursts, and who deletes has time; but not while the disk is full, since then it
 * waits for the deletions. */
static void wait_for_room(struct evidence *e)
{
	const struct timespec until = evidence_after(ROOM_NS);
	int ret = 0;

	while (e->n == e->config.queue && e->is_started && !e->is_stuck && !ret)
		ret = pthread_cond_timedwait(&e->changed, &e->mutex, &until);
}

void evidence_deleted(struct evidence *e, const char *name, const char *reason)
{
	if (!e)
		return;
	evidence_lock(e);
	wait_for_room(e);
	struct item *item = place(e);
	if (item) {
		item->event = CHAIN_DELETED;
		(void)snprintf(item->file, sizeof(item->file), "%s", name);
		(void)snprintf(item->reason, sizeof(item->reason), "%s", reason);
	}
	evidence_unlock(e);
}

void evidence_configured(struct evidence *e, const uint8_t sha256[static 32],
			 const struct seal_recipient *recipients, unsigned n_recipients)
{
	if (!e)
		return;
	evidence_lock(e);
	const bool is_new = !e->is_configured || memcmp(e->configured, sha256, 32) != 0;
	struct item *item = is_new ? place(e) : NULL;
	if (item) {
		item->event = CHAIN_CONFIGURED;
		memcpy(item->sha256, sha256, sizeof(item->sha256));
		memcpy(e->configured, sha256, sizeof(e->configured));
		e->is_configured = true;
		set_recipients(item, recipients, n_recipients);
	}
	evidence_unlock(e);
}

void evidence_clock(struct evidence *e, int64_t step_ns)
{
	if (!e)
		return;
	evidence_lock(e);
	struct item *item = place(e);
	if (item) {
		item->event = CHAIN_CLOCK;
		item->step_ns = step_ns;
	}
	evidence_unlock(e);
}

bool evidence_settle(struct evidence *e, int timeout_ms)
{
	if (!e)
		return true;
	const struct timespec until = evidence_after((uint64_t)timeout_ms * 1000000);
	(void)pthread_mutex_lock(&e->mutex);
	const uint64_t told = e->told;
	int ret = 0;
	while (e->entered < told && !ret)
		ret = pthread_cond_timedwait(&e->changed, &e->mutex, &until);
	const bool is_settled = e->entered >= told;
	(void)pthread_mutex_unlock(&e->mutex);
	return is_settled;
}
