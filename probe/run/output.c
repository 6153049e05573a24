#include "run/output.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/reason.h"
#include "path/block.h"
#include "path/store.h"
#include "run/describe.h"
#include "version.h"

#define NOT_DECLARED UINT32_MAX

struct output_tools {
	struct output_config config;
	struct stats *stats;
	pthread_mutex_t mutex;           /* over the next field */
	struct output_settings next;     /* control */
	struct output_settings settings; /* of files that began since; the writer's */
	struct packer *packer;
	uint8_t *sealed; /* room for one packed frame */
	size_t sealed_cap;
	uint8_t definition[PACK_BLOCK_MAX]; /* of one session: interface block, names block */
};

/* A session in the current file. */
struct output_session {
	uint32_t session;
	uint32_t interface; /* its number in the file, or NOT_DECLARED */
	uint64_t packets, dropped_before, first_ns, last_ns; /* wall clock */
};

struct output {
	struct output_tools *tools;
	struct store *store;
	char name[64]; /* of the store, when files are named after their one session */
	bool is_named_by_session;
	struct pack *pack; /* NULL: no file is open */
	struct seal *seal; /* NULL: not encrypted */
	int64_t offset_ns;
	uint64_t started_ns, latest_ns; /* source clock */
	uint64_t retry_ns;              /* no new file before */
	enum fate failure;              /* how packets end until then */
	bool is_failing;                /* and the operator has been told */
	bool has_kept;                  /* the current file has packets that count as kept */
	uint64_t unwritten; /* packets in flushed frames whose last bytes seal still holds */
	uint32_t n_interfaces, n_sessions;
	struct output_session session[];
};

/* ---- shared tools ---- */

/* A packed frame is at most its input and a little more (zstd: 1/256). */
static size_t packed_bound(const struct output_config *c)
{
	return c->pack.frame_len + PACK_BLOCK_MAX + (c->pack.frame_len >> 7) + 4096;
}

/* seal_bound without a seal: tags for whole chunks, the chunk held back, the header. */
static size_t sealed_bound(size_t len)
{
	return len + (len / SEAL_CHUNK + 2) * SEAL_TAG + SEAL_CHUNK + 256 +
	       128 * SEAL_RECIPIENTS_MAX;
}

size_t output_tools_memory(const struct output_config *c)
{
	return sizeof(struct output_tools) + packer_memory(&c->pack) +
	       sealed_bound(packed_bound(c));
}

size_t output_memory(const struct output_config *c, uint32_t sessions)
{
	return pack_memory(&c->pack) + seal_memory() + sizeof(struct output) +
	       sessions * sizeof(struct output_session);
}

int output_tools_open(struct output_tools **out, const struct output_config *config,
		      struct stats *stats, struct err *err)
{
	struct output_tools *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set(err, -ENOMEM, "out of memory");
	t->config = *config;
	t->stats = stats;
	t->settings = t->next = config->settings;
	(void)pthread_mutex_init(&t->mutex, NULL);
	t->sealed_cap = sealed_bound(packed_bound(config));
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

void output_tools_set(struct output_tools *t, const struct output_settings *settings)
{
	(void)pthread_mutex_lock(&t->mutex);
	t->next = *settings;
	(void)pthread_mutex_unlock(&t->mutex);
}

static void take_settings(struct output_tools *t)
{
	(void)pthread_mutex_lock(&t->mutex);
	t->settings = t->next;
	(void)pthread_mutex_unlock(&t->mutex);
}

/* ---- fates ---- */

static void count(struct output *o, enum fate fate, uint64_t n)
{
	stats_add(&o->tools->stats->fate[fate], n);
}

static enum fate fate_of(int error)
{
	return error == -ENOSPC || error == -EDQUOT ? FATE_DISK_FULL : FATE_IO_ERROR;
}

static void forget_file(struct output *o)
{
	pack_close(o->pack);
	seal_close(o->seal);
	o->pack = NULL;
	o->seal = NULL;
	o->unwritten = 0;
}

/* The current file takes nothing more: what was not written of it is lost. The rest is kept under
 * its trunc name, if there is any. Said once, until a file could be written again. */
static void fail_file(struct output *o, int error, const char *doing)
{
	o->failure = fate_of(error);
	o->retry_ns = o->latest_ns + OUTPUT_RETRY_NS;
	if (!o->is_failing)
		log_line("cannot %s a file in %s: %s; packets end as %s until it works again",
			 doing, o->tools->config.dir, strerror(-error),
			 fate_text[o->failure].label);
	o->is_failing = true;
	if (o->pack)
		count(o, o->failure, o->unwritten + pack_pending(o->pack));
	if (o->store && o->has_kept)
		store_abandon(o->store);
	else if (o->store)
		store_discard(o->store);
	forget_file(o);
}

/* ---- bytes ---- */

static int write_bytes(struct output *o, const uint8_t *data, size_t len)
{
	const int ret = len ? store_write(o->store, data, len) : 0;

	if (!ret)
		stats_add(&o->tools->stats->bytes_out, len);
	return ret;
}

/* Packed bytes through the seal. *wrote: bytes reached the file, and with them, since seal holds
 * back at most one chunk, all that was put in by earlier calls. */
static int put(struct output *o, const uint8_t *data, size_t len, bool *wrote)
{
	struct output_tools *t = o->tools;
	size_t n;

	if (!o->seal) {
		*wrote = true;
		return write_bytes(o, data, len);
	}
	assert(seal_bound(o->seal, len) <= t->sealed_cap);
	const int ret = seal_update(o->seal, data, len, t->sealed, &n);
	*wrote = n > 0;
	return ret ? ret : write_bytes(o, t->sealed, n);
}

static void keep(struct output *o, uint64_t packets)
{
	count(o, FATE_KEPT, packets);
	o->unwritten -= packets;
	o->has_kept |= packets > 0;
	if (o->is_failing && packets)
		log_line("files in %s can be written again", o->tools->config.dir);
	o->is_failing &= !packets;
}

static int flush(struct output *o)
{
	const uint64_t before = o->unwritten, packets = pack_pending(o->pack);
	const uint8_t *data;
	size_t len;
	bool wrote;
	int ret = pack_flush(o->pack, &data, &len);

	if (ret || !len)
		return ret;
	o->unwritten += packets;
	if ((ret = put(o, data, len, &wrote)))
		return ret;
	if (wrote)
		keep(o, o->seal ? before : o->unwritten);
	return 0;
}

static int finish(struct output *o)
{
	struct output_tools *t = o->tools;
	const uint8_t *data;
	size_t len, n;
	bool wrote;
	int ret = flush(o);

	if (ret || !o->seal) /* stock readers of plain zstd trip over skippable frames: no index */
		return ret;
	ret = pack_finish(o->pack, &data, &len);
	for (size_t at = 0; at < len && !ret; at += n) { /* it may be longer than a frame */
		n = len - at < packed_bound(&t->config) ? len - at : packed_bound(&t->config);
		ret = put(o, data + at, n, &wrote);
	}
	if (ret || (ret = seal_final(o->seal, t->sealed, &n)))
		return ret;
	return write_bytes(o, t->sealed, n);
}

static int room(struct output *o)
{
	return pack_is_full(o->pack) ? flush(o) : 0;
}

/* ---- definitions and statistics ---- */

static int add_section(struct output *o)
{
	uint8_t block[512];
	const size_t len = block_section(block, sizeof(block), "vxprobe " VERSION, "");

	stats_add(&o->tools->stats->bytes_in, len);
	return pack_add_definition(o->pack, block, len, 0);
}

static uint64_t dropped(struct output *o, uint32_t session)
{
	struct stats *s = o->tools->stats;
	uint64_t n = 0;

	for (uint32_t w = 0; w < s->workers; w++)
		n += stats_get(&stats_kpi(s, w, session)->value[KPI_DROPPED_PACKETS]);
	return n;
}

static int declare(struct output *o, struct output_session *slot, uint32_t session, int64_t at_ns)
{
	struct output_tools *t = o->tools;
	const uint64_t clock_error_ns = stats_get(&t->stats->clock_error_ns);
	struct block_interface interface;
	struct session_labels labels;

	t->config.describe(t->config.arg, session, at_ns, &labels);
	describe_session(&stats_sessions(t->stats)[session], &labels,
			 t->stats->is_live ? &clock_error_ns : NULL, &interface);
	size_t len = block_interface(t->definition, sizeof(t->definition), &interface);
	const size_t names_len = t->config.names
					 ? t->config.names(t->config.arg, session, at_ns,
							   t->definition + len, OUTPUT_NAMES_MAX)
					 : 0;
	const int ret = room(o);
	if (ret)
		return ret;
	*slot = (struct output_session){.session = session,
					.interface = o->n_interfaces++,
					.dropped_before = dropped(o, session),
					.first_ns = UINT64_MAX};
	len += names_len;
	stats_add(&t->stats->bytes_in, len);
	return pack_add_definition(o->pack, t->definition, len, names_len);
}

static int add_statistics(struct output *o, const struct output_session *slot)
{
	const uint64_t lost = dropped(o, slot->session) - slot->dropped_before;
	const struct block_statistics s = {.interface = slot->interface,
					   .time_ns = slot->last_ns,
					   .start_ns = slot->first_ns,
					   .end_ns = slot->last_ns,
					   .received = slot->packets + lost,
					   .dropped = lost,
					   .delivered = slot->packets};
	uint8_t block[256];
	const size_t len = block_statistics(block, sizeof(block), &s);
	const int ret = room(o);

	if (ret)
		return ret;
	pack_add_other(o->pack, block, len);
	stats_add(&o->tools->stats->bytes_in, len);
	return 0;
}

/* ---- files ---- */

static void undeclare_all(struct output *o)
{
	o->n_interfaces = 0;
	for (uint32_t i = 0; i < o->n_sessions; i++)
		o->session[i].interface = NOT_DECLARED;
}

static int begin_seal(struct output *o, struct err *err)
{
	const struct output_settings *s = &o->tools->settings;

	if (!s->n_recipients)
		return 0;
	const int ret = seal_open(&o->seal, s->recipients, s->n_recipients, seal_random, err);
	return ret ? ret : write_bytes(o, o->tools->sealed, seal_header(o->seal, o->tools->sealed));
}

static int open_store(struct output *o, const char *name, bool is_first, struct err *err)
{
	const struct output_config *c = &o->tools->config;
	const struct store_config config = {.dir = c->dir,
					    .name = name,
					    .suffix = c->settings.n_recipients ? ".pcapng.zst.age"
									       : ".pcapng.zst",
					    .recover_all_names = is_first,
					    .is_shared = o->is_named_by_session};
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
	o->started_ns = o->latest_ns = time_ns;
	undeclare_all(o);
	take_settings(o->tools);
	int ret = follow_name(o, session, wall_ns, &err);
	if (ret || (ret = store_begin(o->store, (uint64_t)wall_ns, &err)) ||
	    (ret = begin_seal(o, &err)) || (ret = pack_open(&o->pack, o->tools->packer, &err)) ||
	    (ret = add_section(o)))
		fail_file(o, ret, "begin");
	return !ret;
}

static int add_all_statistics(struct output *o)
{
	int ret = 0;

	for (uint32_t i = 0; i < o->n_sessions && !ret; i++)
		if (o->session[i].interface != NOT_DECLARED)
			ret = add_statistics(o, &o->session[i]);
	return ret;
}

void output_end_file(struct output *o)
{
	struct err err;
	int ret;

	if (!o->pack)
		return;
	if ((ret = add_all_statistics(o)) || (ret = finish(o))) {
		fail_file(o, ret, "finish");
		return;
	}
	ret = store_commit(o->store, o->latest_ns + (uint64_t)o->offset_ns, &err);
	if (ret) {
		fail_file(o, ret, "seal");
		return;
	}
	keep(o, o->unwritten);
	stats_add(&o->tools->stats->files, 1);
	forget_file(o);
}

void output_tick(struct output *o, uint64_t now_ns)
{
	const uint64_t limit_ns = o->tools->settings.rotate_ns;

	if (o->pack && limit_ns && now_ns > o->started_ns && now_ns - o->started_ns >= limit_ns)
		output_end_file(o);
}

static int add_packet(struct output *o, uint8_t *block, size_t len, uint32_t session)
{
	struct output_session *slot = &o->session[o->n_sessions == 1 ? 0 : session];
	const uint64_t wall_ns = block_packet_time(block) + (uint64_t)o->offset_ns;
	int ret = 0;

	if (slot->interface == NOT_DECLARED && (ret = declare(o, slot, session, (int64_t)wall_ns)))
		return ret;
	if ((ret = room(o)))
		return ret;
	block_packet_set(block, slot->interface, wall_ns);
	pack_add_packet(o->pack, block, len, wall_ns);
	stats_add(&o->tools->stats->bytes_in, len);
	slot->packets++;
	slot->first_ns = wall_ns < slot->first_ns ? wall_ns : slot->first_ns;
	slot->last_ns = wall_ns > slot->last_ns ? wall_ns : slot->last_ns;
	return 0;
}

void output_packet(struct output *o, uint8_t *block, size_t len, uint32_t session,
		   int64_t offset_ns)
{
	const uint64_t time_ns = block_packet_time(block);

	output_tick(o, time_ns);
	if (o->pack && (store_written(o->store) >= o->tools->settings.rotate_len ||
			pack_is_exhausted(o->pack)))
		output_end_file(o);
	if (!o->pack && (time_ns < o->retry_ns || !begin_file(o, session, time_ns, offset_ns))) {
		count(o, o->failure, 1);
		return;
	}
	if (time_ns > o->latest_ns)
		o->latest_ns = time_ns;
	const int ret = add_packet(o, block, len, session);
	if (ret) {
		fail_file(o, ret, "write");
		count(o, o->failure, 1);
	}
}

/* ---- life ---- */

int output_open(struct output **out, struct output_tools *tools, const char *name,
		uint32_t sessions, bool is_first, struct err *err)
{
	struct output *o = calloc(1, sizeof(*o) + sessions * sizeof(o->session[0]));

	if (!o)
		return err_set(err, -ENOMEM, "out of memory");
	o->tools = tools;
	o->n_sessions = sessions;
	o->is_named_by_session = !name;
	const int ret = name ? open_store(o, name, is_first, err) : 0;
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
