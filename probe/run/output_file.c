#include "run/output_file.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/reason.h"
#include "run/evidence.h"

/* ---- fates ---- */

static void count(struct output *o, enum fate fate, uint64_t n)
{
	stats_add(&o->tools->counted->fate[fate], n);
}

static enum fate fate_of(int error)
{
	return error == -ENOSPC || error == -EDQUOT ? FATE_DISK_FULL : FATE_IO_ERROR;
}

/* A number that went is not used again: see output_session.h. */
static void drop_portion(struct output *o)
{
	*output_portion(o, o->first) = (struct portion){.end = UINT64_MAX};
	if (o->first++ == o->last)
		o->last++;
}

/* All that was not written is lost. */
static void lose_waiting(struct output *o)
{
	for (uint32_t i = 0; i < o->n_sessions; i++)
		output_session_lose_portions(&o->session[i], o->failure, o->first, o->last);
	while (output_has_waiting(o)) {
		count(o, o->failure, output_portion(o, o->first)->packets);
		drop_portion(o);
	}
}

void output_file_lose(struct output *o, const uint8_t *block, uint32_t session)
{
	count(o, o->failure, 1);
	output_session_lose(output_slot(o, session), o->failure, 1, block_packet_drops(block));
}

void output_file_forget(struct output *o)
{
	if (o->pack)
		o->tools->n_open--;
	if (o->tools->turn == o)
		o->tools->turn = NULL;
	pack_close(o->pack);
	seal_close(o->seal);
	o->pack = NULL;
	o->seal = NULL;
}

void output_file_tell(struct output *o, bool is_broken)
{
	const struct output_settings *s = &o->settings;
	struct evidence_file file = {.name = store_last(o->store),
				     .bytes = store_written(o->store),
				     .packets = o->packets,
				     .recipients = s->recipients,
				     .n_recipients = s->n_recipients,
				     .is_broken = is_broken};

	for (uint32_t i = 0; i < o->n_sessions; i++)
		if (o->session[i].interface != OUTPUT_NOT_DECLARED)
			file.drops += output_session_drops(&o->session[i]);
	if (*file.name)
		evidence_sealed(o->tools->config.evidence, &file);
}

void output_file_settle(struct output *o)
{
	const uint64_t written = store_written(o->store);
	uint64_t kept = 0;

	stats_add(&o->tools->counted->bytes_out, written - o->counted);
	o->counted = written;
	while (output_portion(o, o->first)->end <= written) {
		kept += output_portion(o, o->first)->packets;
		drop_portion(o);
	}
	count(o, FATE_KEPT, kept);
	o->packets += kept;
	o->has_kept |= kept > 0;
	if (o->is_failing && kept)
		log_line("files in %s can be written again", o->tools->config.dir);
	o->is_failing &= !kept;
}

void output_file_make_room(struct output *o, int error)
{
	const struct output_config *c = &o->tools->config;

	if (fate_of(error) == FATE_DISK_FULL && c->disk_full)
		c->disk_full(c->arg);
}

/* Said once, until a file could be written again. */
static void report_failure(struct output *o, int error, const char *doing)
{
	o->failure = fate_of(error);
	if (!o->is_failing)
		log_line("cannot %s a file in %s: %s; packets end as %s until it works again",
			 doing, o->tools->config.dir, strerror(-error),
			 fate_text[o->failure].label);
	o->is_failing = true;
}

void output_file_suspect(struct output *o, const char *why)
{
	const char *const name = store_last(o->store);
	const uint64_t bytes = store_unsynced(o->store);

	stats_add(&o->tools->counted->bytes_suspect, bytes);
	log_line("%s in %s; %" PRIu64 " of its bytes may be lost; %s%s", why, o->tools->config.dir,
		 bytes, *name ? "it lies there as " : "the next start renames it", name);
}

void output_file_abandon(struct output *o)
{
	const int error = store_sync(o->store);
	char why[128];

	store_abandon(o->store);
	output_file_tell(o, true);
	if (!error)
		return;
	(void)snprintf(why, sizeof(why), "cannot sync a file: %s", strerror(-error));
	output_file_suspect(o, why);
}

void output_file_fail(struct output *o, int error, const char *doing)
{
	report_failure(o, error, doing);
	output_file_make_room(o, error);
	o->retry_ns = o->latest_ns + OUTPUT_RETRY_NS;
	if (o->pack)
		output_file_settle(o);
	lose_waiting(o);
	if (o->store && o->has_kept)
		output_file_abandon(o);
	else if (o->store)
		store_discard(o->store);
	output_file_forget(o);
}

/* ---- bytes ---- */

/* Packed bytes through the seal. */
static int put(struct output *o, const uint8_t *data, size_t len)
{
	struct output_tools *t = o->tools;
	size_t n;

	o->packed += len;
	if (!o->seal)
		return store_write(o->store, data, len);
	assert(seal_bound(o->seal, len) <= t->sealed_cap);
	const int ret = seal_update(o->seal, data, len, t->sealed, &n);
	return ret ? ret : store_write(o->store, t->sealed, n);
}

/* Bytes of the file with which all that is packed can be read: age reads whole chunks. */
static uint64_t readable_at(const struct output *o)
{
	const uint64_t chunks = (o->packed + SEAL_CHUNK - 1) / SEAL_CHUNK;

	return o->seal ? o->head_len + chunks * (SEAL_CHUNK + SEAL_TAG) : o->packed;
}

/* What the open file is about to get, its index has: a reader asks the file's size first. */
static void note_frame(struct output *o)
{
	struct output_tools *t = o->tools;
	const size_t more = o->seal ? SEAL_TAG : 0;
	uint8_t *const entry = t->sealed + sizeof(uint32_t);
	size_t len;

	if (pack_news(o->pack, entry, t->sealed_cap - sizeof(uint32_t) - more, &len) ||
	    (o->seal && seal_index_entry(o->seal, entry, len, entry))) {
		store_drop_index(o->store);
		return;
	}
	const uint32_t le = htole32((uint32_t)(len + more));
	memcpy(t->sealed, &le, sizeof(le));
	store_write_index(o->store, t->sealed, sizeof(le) + len + more);
}

/* A frame's level is by how long the last one took, and by what has come since. */
static void follow_effort(struct output_tools *t)
{
	if (!output_effort_follow(&t->effort, t->pressure, t->pack_ns, t->write_ns))
		return;
	packer_set_level(t->packer, output_effort_level(&t->effort));
	stats_set_level(t->counted, output_effort_level(&t->effort));
	stats_add(&t->counted->level_changes, 1);
}

/* What is pending as a frame, compressed and written. *len 0: nothing was. */
static int write_frame(struct output *o, size_t *len)
{
	struct output_tools *t = o->tools;
	const uint8_t *data;

	*len = 0;
	if (!pack_pending(o->pack))
		return 0;
	follow_effort(t);
	const uint64_t start_ns = clock_monotonic_ns();
	int ret = pack_flush(o->pack, &data, len);
	const uint64_t packed_ns = clock_monotonic_ns();
	if (!ret && *len) {
		note_frame(o);
		ret = put(o, data, *len);
	}
	t->pack_ns = packed_ns - start_ns;
	t->write_ns = clock_monotonic_ns() - packed_ns;
	return ret;
}

int output_file_flush(struct output *o)
{
	struct portion *p = output_portion(o, o->last);
	size_t len;
	const int ret = write_frame(o, &len);

	if (ret || !len)
		return ret;
	if (p->packets) {
		p->end = readable_at(o);
		/* Where there is no other portion, later packets join this one. */
		o->last += o->last - o->first < OUTPUT_PORTIONS - 1;
	}
	output_file_settle(o);
	return 0;
}

int output_file_room(struct output *o)
{
	return pack_is_full(o->pack) ? output_file_flush(o) : 0;
}

int output_file_finish(struct output *o)
{
	struct output_tools *t = o->tools;
	const uint8_t *data;
	size_t len = 0, n;
	int ret = output_file_flush(o);

	/* Stock readers of plain zstd trip over skippable frames: no index there. */
	if (!ret && o->seal)
		ret = pack_finish(o->pack, &data, &len);
	for (size_t at = 0; at < len && !ret; at += n) { /* it may be longer than a frame */
		n = len - at < output_packed_bound(&t->config) ? len - at
							       : output_packed_bound(&t->config);
		ret = put(o, data + at, n);
	}
	if (!ret && o->seal && !(ret = seal_final(o->seal, t->sealed, &n)))
		ret = store_write(o->store, t->sealed, n);
	if (ret || (ret = store_flush(o->store)))
		return ret;
	for (unsigned i = 0; i < OUTPUT_PORTIONS; i++) /* the last chunk is shorter than others */
		if (o->portion[i].packets)
			o->portion[i].end = store_written(o->store);
	output_file_settle(o);
	return 0;
}

int output_file_pad(struct output *o)
{
	const uint64_t left = SEAL_CHUNK - (o->packed - 1) % SEAL_CHUNK; /* 1 to SEAL_CHUNK */
	const uint8_t *data;
	const size_t len = left < PACK_PADDING_MIN ? PACK_PADDING_MIN : (size_t)left;
	const int ret = pack_pad(o->pack, len, &data);

	if (ret)
		return ret;
	note_frame(o);
	return put(o, data, len);
}
