#define _GNU_SOURCE
#include "run/stats.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Offsets of the arrays behind struct stats; each begins a cache line. */
struct layout {
	size_t session, labels, worker, kpi, histogram, queue, end;
};

#define LABELS_TRIES 100000

/* Texts of one writer: odd while it writes. */
struct labels {
	uint32_t sequence;
	struct session_labels labels;
};

const char *const retention_reasons[RETENTION_REASONS] = {
	[RETENTION_AGE] = "age",
	[RETENTION_SESSION_SIZE] = "session_size",
	[RETENTION_SIZE] = "size",
	[RETENTION_FREE] = "free",
	[RETENTION_DISK_FULL] = "disk_full",
};

static size_t lines(size_t len)
{
	return (len + 63) & ~(size_t)63;
}

static struct layout layout_of(const struct stats_config *c)
{
	const size_t workers = c->workers;
	struct layout l = {.session = lines(sizeof(struct stats))};

	l.labels = l.session + lines(c->sessions_max * sizeof(struct session));
	l.worker = l.labels + lines(c->sessions_max * sizeof(struct labels));
	l.kpi = l.worker + workers * sizeof(struct stats_worker);
	l.histogram = l.kpi + lines(workers * c->sessions_max * sizeof(struct kpi_session));
	l.queue = l.histogram + workers * c->histograms_max * sizeof(struct histogram);
	l.end = l.queue + c->queues * sizeof(struct stats_queue);
	return l;
}

static struct layout layout(const struct stats *s)
{
	return layout_of(&(struct stats_config){.workers = s->workers,
						.queues = s->queues,
						.sessions_max = s->sessions_max,
						.histograms_max = s->histograms_max});
}

size_t stats_memory(const struct stats_config *c)
{
	return layout_of(c).end;
}

int stats_open(struct stats **out, int *fd, const struct stats_config *c, struct err *err)
{
	const size_t len = stats_memory(c);

	*fd = memfd_create("vxprobe-stats", MFD_CLOEXEC);
	if (*fd < 0 || ftruncate(*fd, (off_t)len))
		return err_set(err, -errno, "cannot make %zu bytes of shared memory: %s", len,
			       strerror(errno));
	struct stats *s = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (s == MAP_FAILED)
		return err_set(err, -errno, "cannot map %zu bytes of shared memory: %s", len,
			       strerror(errno));
	s->version = STATS_VERSION;
	s->workers = c->workers;
	s->queues = c->queues;
	s->sessions_max = c->sessions_max;
	s->histograms_max = c->histograms_max;
	s->chunks = c->chunks;
	s->is_live = c->is_live;
	s->memory_bound = c->memory_bound;
	*out = s;
	return 0;
}

void stats_close(struct stats *s)
{
	(void)munmap(s, layout(s).end);
}

int stats_map(struct stats **out, int fd, bool may_write, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st))
		return err_set(err, -errno, "cannot find the shared memory: %s", strerror(errno));
	struct stats *s = mmap(NULL, (size_t)st.st_size, PROT_READ | (may_write ? PROT_WRITE : 0),
			       MAP_SHARED, fd, 0);
	if (s == MAP_FAILED)
		return err_set(err, -errno, "cannot map the shared memory: %s", strerror(errno));
	if (s->version != STATS_VERSION || layout(s).end != (size_t)st.st_size)
		return err_set(err, -EPROTO, "the shared memory is of another version of vxprobe");
	*out = s;
	return 0;
}

static void *at(struct stats *s, size_t offset)
{
	return (uint8_t *)s + offset;
}

static void add_level(struct stats_writer *sum, const struct stats_writer *w)
{
	/* Acquire: pairs with stats_set_level. */
	if (!__atomic_load_n(&w->has_level, __ATOMIC_ACQUIRE))
		return;
	const int64_t level = __atomic_load_n(&w->level, __ATOMIC_RELAXED);
	sum->level = !sum->has_level || level < sum->level ? level : sum->level;
	sum->has_level = 1;
}

struct stats_writer stats_writers(const struct stats *stats)
{
	struct stats_writer sum = {0};

	for (unsigned i = 0; i < STATS_WRITERS_MAX; i++) {
		const struct stats_writer *w = &stats->writer[i];
		for (unsigned f = 0; f < FATE_MAX; f++)
			sum.fate[f] += stats_get(&w->fate[f]);
		sum.bytes_in += stats_get(&w->bytes_in);
		sum.bytes_out += stats_get(&w->bytes_out);
		sum.files += stats_get(&w->files);
		sum.bytes_suspect += stats_get(&w->bytes_suspect);
		sum.late += stats_get(&w->late);
		sum.level_changes += stats_get(&w->level_changes);
		add_level(&sum, w);
	}
	return sum;
}

struct session *stats_sessions(struct stats *s)
{
	return at(s, layout(s).session);
}

static struct labels *labels_of(struct stats *s, uint32_t session)
{
	return (struct labels *)at(s, layout(s).labels) + session;
}

void stats_set_labels(struct stats *s, uint32_t session, const struct session_labels *labels)
{
	struct labels *l = labels_of(s, session);
	const uint32_t sequence = l->sequence;

	__atomic_store_n(&l->sequence, sequence + 1, __ATOMIC_RELAXED);
	/* Release: who sees any new byte sees the odd sequence; pairs with stats_labels. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	l->labels = *labels;
	/* Release: the even sequence comes after all bytes; pairs with stats_labels. */
	__atomic_store_n(&l->sequence, sequence + 2, __ATOMIC_RELEASE);
}

void stats_labels(struct stats *s, uint32_t session, struct session_labels *out)
{
	const struct labels *l = labels_of(s, session);

	/* A bound: the process that writes may have been killed at it. */
	for (unsigned i = 0; i < LABELS_TRIES; i++) {
		/* Acquire: pairs with the releases of stats_set_labels. */
		const uint32_t before = __atomic_load_n(&l->sequence, __ATOMIC_ACQUIRE);
		*out = l->labels;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (!(before & 1) && before == __atomic_load_n(&l->sequence, __ATOMIC_RELAXED))
			return;
		(void)sched_yield(); /* the writer may be waiting for this CPU */
	}
}

void stats_set_head(struct stats *s, const uint8_t head[static 32])
{
	struct stats_evidence *e = &s->evidence;
	const uint32_t sequence = e->sequence;

	__atomic_store_n(&e->sequence, sequence + 1, __ATOMIC_RELAXED);
	/* Release: who sees any new byte sees the odd sequence; pairs with stats_head. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	memcpy(e->head, head, sizeof(e->head));
	__atomic_store_n(&e->is_kept, 1, __ATOMIC_RELAXED);
	/* Release: the even sequence comes after all bytes; pairs with stats_head. */
	__atomic_store_n(&e->sequence, sequence + 2, __ATOMIC_RELEASE);
}

bool stats_head(const struct stats *s, uint8_t head[static 32])
{
	const struct stats_evidence *e = &s->evidence;

	/* A bound: the process that writes may have been killed at it. */
	for (unsigned i = 0; i < LABELS_TRIES; i++) {
		/* Acquire: pairs with the releases of stats_set_head. */
		const uint32_t before = __atomic_load_n(&e->sequence, __ATOMIC_ACQUIRE);
		memcpy(head, e->head, sizeof(e->head));
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (!(before & 1) && before == __atomic_load_n(&e->sequence, __ATOMIC_RELAXED))
			break;
		(void)sched_yield(); /* the writer may be waiting for this CPU */
	}
	return __atomic_load_n(&e->is_kept, __ATOMIC_RELAXED);
}

struct stats_worker *stats_worker(struct stats *s, unsigned worker)
{
	return (struct stats_worker *)at(s, layout(s).worker) + worker;
}

struct kpi_session *stats_kpi(struct stats *s, unsigned worker, uint32_t session)
{
	return (struct kpi_session *)at(s, layout(s).kpi) + (size_t)worker * s->sessions_max +
	       session;
}

struct histogram *stats_histograms(struct stats *s, unsigned worker)
{
	return (struct histogram *)at(s, layout(s).histogram) + (size_t)worker * s->histograms_max;
}

const struct histogram *stats_histogram(struct stats *s, unsigned worker, uint32_t session,
					enum kpi_histogram which)
{
	const uint32_t place =
		__atomic_load_n(&stats_kpi(s, worker, session)->histogram[which], __ATOMIC_RELAXED);

	return place && place <= s->histograms_max ? stats_histograms(s, worker) + place - 1 : NULL;
}

struct stats_queue *stats_queue(struct stats *s, unsigned queue)
{
	return (struct stats_queue *)at(s, layout(s).queue) + queue;
}

void stats_address(const struct address *address, char out[static SESSION_NAME_MAX])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	const bool v4 = !memcmp(address->byte, mapped, sizeof(mapped));

	(void)inet_ntop(v4 ? AF_INET : AF_INET6, address->byte + (v4 ? 12 : 0), out,
			SESSION_NAME_MAX);
}

void stats_session_name(const struct session *session, char out[static SESSION_NAME_MAX])
{
	stats_address(&session->source, out);
	size_t n = strlen(out);
	n += (size_t)snprintf(out + n, SESSION_NAME_MAX - n, "-%u", session->vni);
	if (session->generation > 1)
		(void)snprintf(out + n, SESSION_NAME_MAX - n, ".%u", session->generation);
}
