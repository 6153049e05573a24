#include "conform.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"

#define WAIT_MS 10
/* 10 s of nothing from a live source. */
#define EMPTY_MAX 1000
/* Which batch is held: by then frames come steadily. */
#define HELD_BATCH 3

struct conform {
	struct capture *source;
	const struct conform_expect *expect;
	struct err *err;
	struct batch batch;
	unsigned match[BATCH_MAX]; /* what each frame of the batch is, in expect->frames */
	unsigned next;             /* where in the array the next frame probably is */
	unsigned passed[CONFORM_GROUPS_MAX]; /* frames of the group before this one are past */
	uint64_t least_sequence, latest_ns;
	uint64_t clock_ns; /* as the batch before said */
	unsigned batches, empty;
};

#define broken(c, ...) err_set((c)->err, -EPROTO, __VA_ARGS__)

/* ---- a frame ---- */

static bool has_bytes(const struct batch *batch, const struct frame *f,
		      const struct conform_frame *want)
{
	uint32_t at = f->len;

	if (f->len > want->len || (f->len && memcmp(f->data, want->data, f->len)))
		return false;
	for (unsigned i = 0; i < f->n_more; i++) {
		const struct segment *s = &batch->segment[f->more + i];
		if (s->len > want->len - at || memcmp(s->data, want->data + at, s->len))
			return false;
		at += s->len;
	}
	return at == want->len;
}

/* expect->n: there is none with these bytes. */
static unsigned find(const struct conform *c, const struct frame *f)
{
	const struct conform_expect *e = c->expect;

	for (unsigned i = 0; i < e->n; i++) {
		const unsigned at = (c->next + i) % e->n;
		if (has_bytes(&c->batch, f, &e->frames[at]))
			return at;
	}
	return e->n;
}

/* Once, and behind the frames of its group that were lent before. */
static int check_place(struct conform *c, unsigned at)
{
	struct conform_frame *want = &c->expect->frames[at];

	if (__atomic_fetch_add(&want->lent, 1, __ATOMIC_RELAXED))
		return broken(c, "frame %u is lent a second time", at);
	if (at < c->passed[want->group])
		return broken(c, "frame %u is lent after frame %u", at, c->passed[want->group] - 1);
	c->passed[want->group] = c->next = at + 1;
	return 0;
}

/* A file's frame may be behind a later one; any other keeps what the clock said before it. */
static int check_time(struct conform *c, const struct frame *f, unsigned at)
{
	if (!c->expect->is_live && f->time_ns != c->expect->frames[at].time_ns)
		return broken(c, "frame %u has time %" PRIu64 ", not %" PRIu64, at, f->time_ns,
			      c->expect->frames[at].time_ns);
	if (f->time_ns < c->latest_ns)
		return c->expect->is_live
			       ? broken(c, "frame %u is %" PRIu64 " ns before one lent earlier", at,
					c->latest_ns - f->time_ns)
			       : 0;
	if (f->time_ns < c->clock_ns)
		return broken(c, "frame %u is %" PRIu64 " ns before the clock of an earlier batch",
			      at, c->clock_ns - f->time_ns);
	c->latest_ns = f->time_ns;
	return 0;
}

static int check_header(const struct conform *c, const struct frame *f, unsigned at)
{
	if (!c->expect->is_live)
		return f->steer ? broken(c, "frame %u has a header of XDP's", at) : 0;
	if (!f->steer || f->steer->magic != STEER_MAGIC)
		return broken(c, "frame %u has no header of XDP's", at);
	if (f->steer->frame_len != c->expect->frames[at].len || f->steer->time_ns != f->time_ns)
		return broken(c, "frame %u is not the one of its header", at);
	return 0;
}

static int check_frame(struct conform *c, unsigned i)
{
	const struct frame *f = &c->batch.frame[i];
	int ret;

	if (f->n_more && f->more + f->n_more > c->batch.n_segments)
		return broken(c, "a frame has segments that the batch has not");
	if (f->sequence < c->least_sequence)
		return broken(c, "number %" PRIu64 " comes after %" PRIu64, f->sequence,
			      c->least_sequence - 1);
	c->least_sequence = f->sequence + 1;
	const unsigned at = c->match[i] = find(c, f);
	if (at == c->expect->n)
		return broken(c, "number %" PRIu64 " has bytes of no frame", f->sequence);
	if ((ret = check_place(c, at)) || (ret = check_time(c, f, at)))
		return ret;
	return check_header(c, f, at);
}

/* ---- a batch ---- */

/* Into a batch of other bytes, so that what recv does not set is seen. */
static int receive(struct conform *c)
{
	struct batch *b = &c->batch;

	memset(b, 0xa5, sizeof(*b));
	const uint64_t unset = b->clock_ns;
	const int ret = capture_recv(c->source, b, WAIT_MS);
	if (ret && ret != -ENODATA)
		return broken(c, "recv fails: %s", strerror(-ret));
	if (b->clock_ns == unset)
		return broken(c, "recv sets no clock");
	if (b->clock_ns < c->clock_ns)
		return broken(c, "the clock goes back by %" PRIu64 " ns",
			      c->clock_ns - b->clock_ns);
	if (b->n > (ret ? 0 : BATCH_MAX) || b->n_segments > BATCH_SEGMENTS)
		return broken(c, "a batch has %u frames and %u segments", b->n, b->n_segments);
	c->empty = b->n ? 0 : c->empty + 1;
	if (c->empty > EMPTY_MAX)
		return broken(c, "%u empty batches running, and no end", EMPTY_MAX);
	return ret;
}

static int check_unchanged(struct conform *c)
{
	for (unsigned i = 0; i < c->batch.n; i++)
		if (!has_bytes(&c->batch, &c->batch.frame[i], &c->expect->frames[c->match[i]]))
			return broken(c, "frame %u changed while it was lent", c->match[i]);
	return 0;
}

static int take_batch(struct conform *c)
{
	for (unsigned i = 0; i < c->batch.n; i++) {
		const int ret = check_frame(c, i);
		if (ret)
			return ret;
	}
	c->clock_ns = c->batch.clock_ns;
	if (c->batch.n && ++c->batches == HELD_BATCH)
		clock_nap(c->expect->hold_ms * 1000000ull);
	const int ret = check_unchanged(c);
	if (!ret)
		capture_release(c->source, &c->batch);
	return ret;
}

/* ---- the suite ---- */

int conform_all_lent(const struct conform_expect *expect, struct err *err)
{
	for (unsigned i = 0; i < expect->n; i++)
		if (!__atomic_load_n(&expect->frames[i].lent, __ATOMIC_RELAXED))
			return err_set(err, -EPROTO, "frame %u is never lent", i);
	return 0;
}

int conform(struct capture *source, const struct conform_expect *expect, struct err *err)
{
	struct conform c = {.source = source, .expect = expect, .err = err};
	int ret;

	if (source->is_live != expect->is_live)
		return broken(&c, "the source says that it is %slive",
			      source->is_live ? "" : "not ");
	while (!(ret = receive(&c)))
		if ((ret = take_batch(&c)))
			return ret;
	if (ret != -ENODATA)
		return ret;
	ret = receive(&c);
	if (ret != -ENODATA)
		return ret ? ret : broken(&c, "the end is not the end when asked again");
	capture_close(source);
	return expect->is_share ? 0 : conform_all_lent(expect, err);
}
