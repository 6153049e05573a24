#include "run/output.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "path/block.h"
#include "run/output_file.h"

/* Input below which no frame is ended early for the sake of a thin output: 64 KiB compress 4 %
 * worse than 1 MiB (facts: storage.md 2.1), less much worse. */
#define EARLY_LEN (64u << 10)

/* ---- shared tools ---- */

/* seal_bound without a seal: tags for whole chunks, the chunk held back, the header. */
static size_t sealed_bound(size_t len)
{
	return len + (len / SEAL_CHUNK + 2) * SEAL_TAG + SEAL_CHUNK + 256 +
	       128 * SEAL_RECIPIENTS_MAX;
}

size_t output_tools_memory(const struct output_config *c)
{
	return sizeof(struct output_tools) + packer_memory(&c->pack) +
	       sealed_bound(output_packed_bound(c));
}

size_t output_memory(const struct output_config *c, uint32_t sessions)
{
	return pack_memory(&c->pack) + seal_memory() + store_memory(c->buffer_len) +
	       sizeof(struct output) + sessions * sizeof(struct output_session);
}

uint64_t output_padding_a_day(const struct output_settings *s)
{
	const uint64_t day_ns = UINT64_C(86400000000000);

	return s->n_recipients && s->flush_ns ? day_ns / s->flush_ns * (SEAL_CHUNK + 8) : 0;
}

int output_tools_open(struct output_tools **out, const struct output_config *config,
		      struct stats *stats, struct err *err)
{
	struct output_tools *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set(err, -ENOMEM, "out of memory");
	t->config = *config;
	t->stats = stats;
	t->counted = &stats->writer[config->writer];
	memcpy(t->settings, config->settings, sizeof(t->settings));
	output_effort_init(&t->effort, config->pack.level);
	stats_set_level(t->counted, config->pack.level);
	(void)pthread_mutex_init(&t->mutex, NULL);
	t->sealed_cap = sealed_bound(output_packed_bound(config));
	t->sealed = malloc(t->sealed_cap);
	int ret = t->sealed ? packer_open(&t->packer, &config->pack, err)
			    : err_set(err, -ENOMEM, "out of memory");
	if (ret) {
		output_tools_close(t);
		return ret;
	}
	*out = t;
	return 0;
}

void output_tools_close(struct output_tools *t)
{
	if (!t)
		return;
	packer_close(t->packer);
	(void)pthread_mutex_destroy(&t->mutex);
	free(t->sealed);
	free(t);
}

void output_tools_judged(struct output_tools *t, uint64_t policies)
{
	if (policies > t->policies)
		t->policies = policies;
}

void output_tools_set(struct output_tools *t,
		      const struct output_settings settings[static OUTPUT_STORES_MAX])
{
	(void)pthread_mutex_lock(&t->mutex);
	memcpy(t->settings, settings, sizeof(t->settings));
	(void)pthread_mutex_unlock(&t->mutex);
}

void output_tools_set_pressure(struct output_tools *t, unsigned percent)
{
	t->pressure = percent;
}

/* For the next file. */
static void take_settings(struct output *o)
{
	struct output_tools *t = o->tools;

	(void)pthread_mutex_lock(&t->mutex);
	o->settings = t->settings[o->of];
	(void)pthread_mutex_unlock(&t->mutex);
}

/* ---- files ---- */

static void undeclare_all(struct output *o)
{
	o->n_interfaces = 0;
	for (uint32_t i = 0; i < o->n_sessions; i++)
		o->session[i].interface = OUTPUT_NOT_DECLARED;
}

static int begin_seal(struct output *o, struct err *err)
{
	const struct output_settings *s = &o->settings;

	if (!s->n_recipients)
		return 0;
	const int ret = seal_open(&o->seal, s->recipients, s->n_recipients, seal_random, err);
	if (ret)
		return ret;
	o->head_len = seal_header(o->seal, o->tools->sealed);
	return store_write(o->store, o->tools->sealed, o->head_len);
}

static int open_store(struct output *o, const char *name, bool is_first, struct err *err)
{
	const struct output_config *c = &o->tools->config;
	const struct store_config config = {.dir = c->dir,
					    .name = name,
					    .suffix = o->settings.n_recipients ? ".pcapng.zst.age"
									       : ".pcapng.zst",
					    .recover_all_names = is_first,
					    .is_late = o->is_named_by_session,
					    .highest = c->highest,
					    .buffer_len = c->buffer_len};
	struct store *before = o->store;
	const int ret = store_open(&o->store, &config, err);

	if (!ret)
		store_close(before);
	return ret;
}

/* The session may have got another NAME since the last file. */
static int follow_name(struct output *o, uint32_t session, int64_t at_ns, struct err *err)
{
	struct session_labels labels;

	if (!o->is_named_by_session)
		return 0;
	o->tools->config.describe(o->tools->config.arg, session, at_ns, &labels);
	if (o->store && !strcmp(labels.name, o->name))
		return 0;
	const int ret = open_store(o, labels.name, false, err);
	if (!ret)
		(void)snprintf(o->name, sizeof(o->name), "%s", labels.name);
	return ret;
}

static bool begin_file(struct output *o, uint32_t session, uint64_t time_ns, int64_t offset_ns)
{
	const int64_t wall_ns = (int64_t)time_ns + offset_ns;
	struct err err;

	o->offset_ns = offset_ns;
	o->has_kept = false;
	o->packed = o->counted = o->packets = 0;
	o->started_ns = o->earliest_ns = o->latest_ns = o->told_ns = time_ns;
	o->policies = o->tools->policies;
	o->policies_until_ns = INT64_MAX;
	undeclare_all(o);
	take_settings(o);
	int ret = follow_name(o, session, wall_ns, &err);
	if (ret || (ret = store_begin(o->store, (uint64_t)wall_ns, &err)) ||
	    (ret = begin_seal(o, &err)) || (ret = pack_open(&o->pack, o->tools->packer, &err))) {
		output_file_fail(o, ret, "begin");
		return false;
	}
	o->tools->n_open++;
	if ((ret = output_file_section(o)))
		output_file_fail(o, ret, "begin");
	return !ret;
}

void output_end_file(struct output *o)
{
	struct err err;
	int ret;

	if (!o->pack)
		return;
	if ((ret = output_file_statistics(o, false)) || (ret = output_file_finish(o))) {
		output_file_fail(o, ret, "finish");
		return;
	}
	ret = store_commit(o->store, o->earliest_ns + (uint64_t)o->offset_ns,
			   o->latest_ns + (uint64_t)o->offset_ns, &err);
	output_file_tell(o, ret != 0);
	if (ret) {
		output_file_make_room(o, ret);
		output_file_suspect(o, err.text);
	} else {
		stats_add(&o->tools->counted->files, 1);
		for (uint32_t i = 0; i < o->n_sessions; i++)
			if (o->session[i].interface != OUTPUT_NOT_DECLARED)
				output_session_sealed(&o->session[i]);
	}
	output_file_forget(o);
}

void output_set_store(struct output *o, uint32_t store)
{
	if (o->of == store)
		return;
	output_end_file(o);
	o->of = store;
	*o->name = 0; /* its files may have another suffix */
}

void output_end_before(struct output *o, uint64_t time_ns)
{
	if (o->pack && time_ns < o->latest_ns)
		output_end_file(o);
}

/* A failed sync is not tried again; what waits still goes into the file. */
static void sync_file(struct output *o)
{
	int ret = store_sync(o->store);

	if (!ret)
		return;
	output_file_make_room(o, ret);
	if ((ret = output_file_statistics(o, false)) || (ret = output_file_finish(o))) {
		output_file_fail(o, ret, "finish");
		return;
	}
	output_file_abandon(o);
	output_file_forget(o);
}

/* ---- what is due ---- */

static bool is_over(uint64_t limit_ns, uint64_t since_ns, uint64_t now_ns)
{
	return limit_ns && now_ns > since_ns && now_ns - since_ns >= limit_ns;
}

static uint64_t waiting_since(struct output *o)
{
	return output_portion(o, o->first)->first_ns;
}

/* Who has waited longest is next: of n thin outputs each has its turn within n intervals. */
static void queue_up(struct output *o)
{
	struct output_tools *t = o->tools;

	if (!t->turn || !output_has_waiting(t->turn) || waiting_since(o) < waiting_since(t->turn))
		t->turn = o;
}

/* Where turns would come later than files end, padding would be for a few of many alone. */
static bool has_turn(struct output *o, uint64_t now_ns)
{
	struct output_tools *t = o->tools;
	const struct output_settings *s = &o->settings;

	if (t->turn != o || now_ns < t->next_pad_ns ||
	    (s->rotate_ns && s->flush_ns * t->n_open > s->rotate_ns))
		return false;
	t->next_pad_ns = now_ns + s->flush_ns;
	return true;
}

/* Writes what has waited too long. */
static int flush_early(struct output *o, uint64_t now_ns)
{
	bool all = has_turn(o, now_ns);
	int ret = all || pack_pending(o->pack) >= EARLY_LEN ? output_file_flush(o) : 0;

	if (!ret && o->seal && o->packed && (o->packed - 1) % SEAL_CHUNK >= SEAL_CHUNK / 2)
		all = true;
	if (!ret && all)
		ret = output_file_flush(o);
	if (!ret && all && o->seal)
		ret = output_file_pad(o);
	if (ret || (ret = store_flush(o->store)))
		return ret;
	output_file_settle(o);
	return 0;
}

void output_tick(struct output *o, uint64_t now_ns)
{
	const struct output_settings *s = &o->settings;
	int ret = 0;

	if (!o->pack)
		return;
	if (!store_unsynced(o->store))
		o->unsynced_ns = now_ns;
	if (is_over(s->rotate_ns, o->started_ns, now_ns) || pack_is_exhausted(o->pack)) {
		output_end_file(o);
		return;
	}
	if (is_over(s->statistics_ns, o->told_ns, now_ns)) {
		o->told_ns = now_ns;
		ret = output_file_statistics(o, true);
	}
	if (!ret && output_has_waiting(o)) {
		queue_up(o);
		if (is_over(s->flush_ns, waiting_since(o), now_ns))
			ret = flush_early(o, now_ns);
	}
	if (ret)
		output_file_fail(o, ret, "write");
	else if (is_over(s->sync_ns, o->unsynced_ns, now_ns))
		sync_file(o);
}

/* ---- packets ---- */

static int add_packet(struct output *o, uint8_t *block, size_t len, uint32_t session)
{
	struct output_session *slot = output_slot(o, session);
	const uint64_t time_ns = block_packet_time(block);
	const uint64_t wall_ns = time_ns + (uint64_t)o->offset_ns;
	struct portion *p;
	int ret = 0;

	if (slot->interface == OUTPUT_NOT_DECLARED &&
	    (ret = output_file_declare(o, slot, session, (int64_t)wall_ns)))
		return ret;
	if ((ret = output_file_room(o)))
		return ret;
	if (time_ns > o->latest_ns)
		o->latest_ns = time_ns;
	if (time_ns < o->earliest_ns)
		o->earliest_ns = time_ns;
	const uint64_t drops = block_packet_drops(block) + slot->untold;
	block_packet_set(block, slot->interface, wall_ns);
	block_packet_set_drops(block, drops);
	pack_add_packet(o->pack, block, len, wall_ns);
	stats_add(&o->tools->counted->bytes_in, len);
	output_session_add(slot, o->last, wall_ns, drops);
	slot->untold = 0;
	p = output_portion(o, o->last);
	if (!p->packets++)
		p->first_ns = o->latest_ns;
	p->end = UINT64_MAX;
	return 0;
}

/* Without an open file begins one. -EAGAIN: there is none, and who failed has said why. */
static int add_to_file(struct output *o, uint8_t *block, size_t len, uint32_t session,
		       int64_t offset_ns)
{
	const uint64_t time_ns = block_packet_time(block);

	if (!o->pack && (time_ns < o->retry_ns || !begin_file(o, session, time_ns, offset_ns)))
		return -EAGAIN;
	return add_packet(o, block, len, session);
}

void output_packet(struct output *o, uint8_t *block, size_t len, uint32_t session,
		   int64_t offset_ns)
{
	const uint64_t time_ns = block_packet_time(block);

	output_tick(o, time_ns);
	if (o->pack && (store_taken(o->store) >= o->settings.rotate_len ||
			pack_is_exhausted(o->pack) || output_file_has_other_policies(o, time_ns)))
		output_end_file(o);
	int ret = add_to_file(o, block, len, session, offset_ns);
	if (ret == -ENOBUFS && o->pack && o->n_interfaces) { /* the next file's index has room */
		output_end_file(o);
		ret = add_to_file(o, block, len, session, offset_ns);
	}
	if (ret && o->pack)
		output_file_fail(o, ret, "write");
	if (ret)
		output_file_lose(o, block, session);
}

/* ---- life ---- */

int output_open(struct output **out, struct output_tools *tools, const struct output_place *place,
		struct err *err)
{
	struct output *o = calloc(1, sizeof(*o) + place->sessions * sizeof(o->session[0]));

	if (!o)
		return err_set(err, -ENOMEM, "out of memory");
	o->tools = tools;
	o->of = place->store;
	o->n_sessions = place->sessions;
	o->is_named_by_session = !place->name;
	o->first = o->last = 1;
	for (unsigned i = 0; i < OUTPUT_PORTIONS; i++)
		o->portion[i].end = UINT64_MAX;
	take_settings(o);
	const int ret = place->name ? open_store(o, place->name, place->is_first, err) : 0;
	if (ret) {
		output_close(o);
		return ret;
	}
	*out = o;
	return 0;
}

void output_close(struct output *o)
{
	if (!o)
		return;
	output_end_file(o);
	store_close(o->store);
	free(o);
}
