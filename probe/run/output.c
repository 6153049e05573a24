#include "run/output.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/reason.h"
#include "path/block.h"
#include "path/store.h"
#include "run/describe.h"
#include "run/output_session.h"
#include "version.h"

/* Input below which no frame is ended early for the sake of a thin output: 64 KiB compress 4 %
 * worse than 1 MiB (facts: storage.md 2.1), less much worse. */
#define EARLY_LEN (64u << 10)

struct output_tools {
	struct output_config config;
	struct stats *stats;
	pthread_mutex_t mutex;           /* over the next field */
	struct output_settings next;     /* control */
	struct output_settings settings; /* of files that began since; the writer's */
	struct packer *packer;
	uint32_t n_open;      /* outputs with an open file */
	struct output *turn;  /* the thin output that has waited longest; NULL: not known */
	uint64_t next_pad_ns; /* it is not padded before */
	uint8_t *sealed;      /* room for one packed frame */
	size_t sealed_cap;
	uint8_t definition[PACK_BLOCK_MAX]; /* of one session: interface block, names block */
};

/* Packets that are written together: those of a frame, or of several. */
struct portion {
	uint64_t end;      /* bytes of the file that make them readable; UINT64_MAX: not packed */
	uint64_t packets;
	uint64_t first_ns; /* when the first one came */
};

struct output {
	struct output_tools *tools;
	struct store *store;
	char name[64]; /* of the store, when files are named after their one session */
	bool is_named_by_session;
	struct pack *pack; /* NULL: no file is open */
	struct seal *seal; /* NULL: not encrypted */
	uint64_t head_len; /* of seal's header */
	uint64_t packed;   /* bytes given to seal since */
	uint64_t counted;  /* bytes of the file that statistics have */
	int64_t offset_ns;
	uint64_t started_ns, latest_ns; /* source clock */
	uint64_t told_ns;               /* when statistics were written */
	uint64_t unsynced_ns;           /* all that was written before is synced */
	uint64_t retry_ns;              /* no new file before */
	enum fate failure;              /* how packets end until then */
	bool is_failing;                /* and the operator has been told */
	bool has_kept;                  /* the current file has packets that count as kept */
	/* What is not known to be kept: portions first to last by number, each at its number's
	 * remainder. The last one takes packets. */
	uint64_t first, last;
	struct portion portion[OUTPUT_PORTIONS];
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
	return pack_memory(&c->pack) + seal_memory() + c->buffer_len + sizeof(struct output) +
	       sessions * sizeof(struct output_session);
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

static struct portion *portion(struct output *o, uint64_t number)
{
	return &o->portion[number % OUTPUT_PORTIONS];
}

static struct output_session *session_of(struct output *o, uint32_t session)
{
	return &o->session[o->n_sessions == 1 ? 0 : session];
}

static bool has_waiting(const struct output *o)
{
	return o->portion[o->first % OUTPUT_PORTIONS].packets > 0;
}

/* A number that went is not used again: see output_session.h. */
static void drop_portion(struct output *o)
{
	*portion(o, o->first) = (struct portion){.end = UINT64_MAX};
	if (o->first++ == o->last)
		o->last++;
}

/* All that was not written is lost. */
static void lose_waiting(struct output *o)
{
	for (uint32_t i = 0; i < o->n_sessions; i++)
		output_session_lose_portions(&o->session[i], o->failure, o->first, o->last);
	while (has_waiting(o)) {
		count(o, o->failure, portion(o, o->first)->packets);
		drop_portion(o);
	}
}

static void lose_packet(struct output *o, const uint8_t *block, uint32_t session)
{
	count(o, o->failure, 1);
	output_session_lose(session_of(o, session), o->failure, 1, block_packet_drops(block));
}

static void forget_file(struct output *o)
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

/* Counts what has reached the file. */
static void settle(struct output *o)
{
	struct stats *stats = o->tools->stats;
	const uint64_t written = store_written(o->store);
	uint64_t kept = 0;

	stats_add(&stats->bytes_out, written - o->counted);
	o->counted = written;
	while (portion(o, o->first)->end <= written) {
		kept += portion(o, o->first)->packets;
		drop_portion(o);
	}
	count(o, FATE_KEPT, kept);
	o->has_kept |= kept > 0;
	if (o->is_failing && kept)
		log_line("files in %s can be written again", o->tools->config.dir);
	o->is_failing &= !kept;
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

/* The current file takes nothing more: what was not written of it is lost. The rest is kept under
 * its trunc name, if there is any. */
static void fail_file(struct output *o, int error, const char *doing)
{
	report_failure(o, error, doing);
	o->retry_ns = o->latest_ns + OUTPUT_RETRY_NS;
	if (o->pack)
		settle(o);
	lose_waiting(o);
	if (o->store && o->has_kept)
		store_abandon(o->store);
	else if (o->store)
		store_discard(o->store);
	forget_file(o);
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

/* What is pending goes to the store, as a frame. */
static int flush(struct output *o)
{
	struct portion *p = portion(o, o->last);
	const uint8_t *data;
	size_t len;
	int ret = pack_flush(o->pack, &data, &len);

	if (ret || !len || (ret = put(o, data, len)))
		return ret;
	if (p->packets) {
		p->end = readable_at(o);
		/* Where there is no other portion, later packets join this one. */
		o->last += o->last - o->first < OUTPUT_PORTIONS - 1;
	}
	settle(o);
	return 0;
}

/* The end of the file: index, last chunk, and all of it written. */
static int finish(struct output *o)
{
	struct output_tools *t = o->tools;
	const uint8_t *data;
	size_t len = 0, n;
	int ret = flush(o);

	/* Stock readers of plain zstd trip over skippable frames: no index there. */
	if (!ret && o->seal)
		ret = pack_finish(o->pack, &data, &len);
	for (size_t at = 0; at < len && !ret; at += n) { /* it may be longer than a frame */
		n = len - at < packed_bound(&t->config) ? len - at : packed_bound(&t->config);
		ret = put(o, data + at, n);
	}
	if (!ret && o->seal && !(ret = seal_final(o->seal, t->sealed, &n)))
		ret = store_write(o->store, t->sealed, n);
	if (ret || (ret = store_flush(o->store)))
		return ret;
	for (unsigned i = 0; i < OUTPUT_PORTIONS; i++) /* the last chunk is shorter than others */
		if (o->portion[i].packets)
			o->portion[i].end = store_written(o->store);
	settle(o);
	return 0;
}

/* Fills the chunk up, and begins the next: seal gives a chunk when more follows. */
static int pad(struct output *o)
{
	const uint64_t left = SEAL_CHUNK - (o->packed - 1) % SEAL_CHUNK; /* 1 to SEAL_CHUNK */
	const uint8_t *data;
	const size_t len = left < PACK_PADDING_MIN ? PACK_PADDING_MIN : (size_t)left;
	const int ret = pack_pad(o->pack, len, &data);

	return ret ? ret : put(o, data, len);
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
	output_session_declare(slot, session, o->n_interfaces++);
	len += names_len;
	stats_add(&t->stats->bytes_in, len);
	return pack_add_definition(o->pack, t->definition, len, names_len);
}

/* Of all sessions in the file, or of those that have news. */
static int add_statistics(struct output *o, bool only_news)
{
	const uint64_t wall_ns = o->latest_ns + (uint64_t)o->offset_ns;
	uint8_t block[OUTPUT_STATISTICS_LEN];
	int ret = 0;

	for (uint32_t i = 0; i < o->n_sessions && !ret; i++) {
		struct output_session *slot = &o->session[i];
		if (slot->interface == OUTPUT_NOT_DECLARED)
			continue;
		const size_t len = output_session_statistics(slot, dropped(o, slot->session),
							     wall_ns, only_news, block);
		if (!len || (ret = room(o)))
			continue;
		pack_add_other(o->pack, block, len);
		stats_add(&o->tools->stats->bytes_in, len);
	}
	return ret;
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
	const struct output_settings *s = &o->tools->settings;

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
					    .suffix = c->settings.n_recipients ? ".pcapng.zst.age"
									       : ".pcapng.zst",
					    .recover_all_names = is_first,
					    .is_shared = o->is_named_by_session,
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
	o->packed = o->counted = 0;
	o->started_ns = o->latest_ns = o->told_ns = time_ns;
	undeclare_all(o);
	take_settings(o->tools);
	int ret = follow_name(o, session, wall_ns, &err);
	if (ret || (ret = store_begin(o->store, (uint64_t)wall_ns, &err)) ||
	    (ret = begin_seal(o, &err)) || (ret = pack_open(&o->pack, o->tools->packer, &err))) {
		fail_file(o, ret, "begin");
		return false;
	}
	o->tools->n_open++;
	if ((ret = add_section(o)))
		fail_file(o, ret, "begin");
	return !ret;
}

/* What is written of the file may not be on the disk. */
static void suspect(struct output *o, int error)
{
	const uint64_t bytes = store_unsynced(o->store);

	stats_add(&o->tools->stats->bytes_suspect, bytes);
	log_line("cannot sync a file in %s: %s; its last %" PRIu64
		 " bytes may be lost: it keeps a trunc name, and another is begun",
		 o->tools->config.dir, strerror(-error), bytes);
}

void output_end_file(struct output *o)
{
	struct err err;
	int ret;

	if (!o->pack)
		return;
	if ((ret = add_statistics(o, false)) || (ret = finish(o))) {
		fail_file(o, ret, "finish");
		return;
	}
	ret = store_commit(o->store, o->latest_ns + (uint64_t)o->offset_ns, &err);
	if (ret) {
		suspect(o, ret);
	} else {
		stats_add(&o->tools->stats->files, 1);
		for (uint32_t i = 0; i < o->n_sessions; i++)
			if (o->session[i].interface != OUTPUT_NOT_DECLARED)
				output_session_sealed(&o->session[i]);
	}
	forget_file(o);
}

/* A failed sync is not tried again; what waits still goes into the file. */
static void sync_file(struct output *o)
{
	int ret = store_sync(o->store);

	if (!ret)
		return;
	suspect(o, ret);
	if ((ret = add_statistics(o, false)) || (ret = finish(o))) {
		fail_file(o, ret, "finish");
		return;
	}
	store_abandon(o->store);
	forget_file(o);
}

/* ---- what is due ---- */

static bool is_over(uint64_t limit_ns, uint64_t since_ns, uint64_t now_ns)
{
	return limit_ns && now_ns > since_ns && now_ns - since_ns >= limit_ns;
}

static uint64_t waiting_since(struct output *o)
{
	return portion(o, o->first)->first_ns;
}

/* Who has waited longest is next: of n thin outputs each has its turn within n intervals. */
static void queue_up(struct output *o)
{
	struct output_tools *t = o->tools;

	if (!t->turn || !has_waiting(t->turn) || waiting_since(o) < waiting_since(t->turn))
		t->turn = o;
}

/* Where turns would come later than files end, padding would be for a few of many alone. */
static bool has_turn(struct output *o, uint64_t now_ns)
{
	struct output_tools *t = o->tools;
	const struct output_settings *s = &t->settings;

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
	int ret = all || pack_pending(o->pack) >= EARLY_LEN ? flush(o) : 0;

	if (!ret && o->seal && o->packed && (o->packed - 1) % SEAL_CHUNK >= SEAL_CHUNK / 2)
		all = true;
	if (!ret && all)
		ret = flush(o);
	if (!ret && all && o->seal)
		ret = pad(o);
	if (ret || (ret = store_flush(o->store)))
		return ret;
	settle(o);
	return 0;
}

void output_tick(struct output *o, uint64_t now_ns)
{
	const struct output_settings *s = &o->tools->settings;
	int ret = 0;

	if (!o->pack)
		return;
	if (!store_unsynced(o->store))
		o->unsynced_ns = now_ns;
	if (is_over(s->rotate_ns, o->started_ns, now_ns)) {
		output_end_file(o);
		return;
	}
	if (is_over(s->statistics_ns, o->told_ns, now_ns)) {
		o->told_ns = now_ns;
		ret = add_statistics(o, true);
	}
	if (!ret && has_waiting(o)) {
		queue_up(o);
		if (is_over(s->flush_ns, waiting_since(o), now_ns))
			ret = flush_early(o, now_ns);
	}
	if (ret)
		fail_file(o, ret, "write");
	else if (is_over(s->sync_ns, o->unsynced_ns, now_ns))
		sync_file(o);
}

/* ---- packets ---- */

static int add_packet(struct output *o, uint8_t *block, size_t len, uint32_t session)
{
	struct output_session *slot = session_of(o, session);
	const uint64_t wall_ns = block_packet_time(block) + (uint64_t)o->offset_ns;
	struct portion *p;
	int ret = 0;

	if (slot->interface == OUTPUT_NOT_DECLARED &&
	    (ret = declare(o, slot, session, (int64_t)wall_ns)))
		return ret;
	if ((ret = room(o)))
		return ret;
	const uint64_t drops = block_packet_drops(block) + slot->untold;
	block_packet_set(block, slot->interface, wall_ns);
	block_packet_set_drops(block, drops);
	pack_add_packet(o->pack, block, len, wall_ns);
	stats_add(&o->tools->stats->bytes_in, len);
	output_session_add(slot, o->last, wall_ns, drops);
	slot->untold = 0;
	p = portion(o, o->last);
	if (!p->packets++)
		p->first_ns = o->latest_ns;
	p->end = UINT64_MAX;
	return 0;
}

void output_packet(struct output *o, uint8_t *block, size_t len, uint32_t session,
		   int64_t offset_ns)
{
	const uint64_t time_ns = block_packet_time(block);

	output_tick(o, time_ns);
	if (o->pack && (store_taken(o->store) >= o->tools->settings.rotate_len ||
			pack_is_exhausted(o->pack)))
		output_end_file(o);
	if (!o->pack && (time_ns < o->retry_ns || !begin_file(o, session, time_ns, offset_ns))) {
		lose_packet(o, block, session);
		return;
	}
	if (time_ns > o->latest_ns)
		o->latest_ns = time_ns;
	const int ret = add_packet(o, block, len, session);
	if (ret) {
		fail_file(o, ret, "write");
		lose_packet(o, block, session);
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
	o->first = o->last = 1;
	for (unsigned i = 0; i < OUTPUT_PORTIONS; i++)
		o->portion[i].end = UINT64_MAX;
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
