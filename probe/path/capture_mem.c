/*
 * capture_mem: frames from an array, and the police of the capture contract.
 *
 *   | ... | bytes, read-only | guard page |     one mapping per segment, gone at release
 *
 * A read beyond a frame, a write to it, or a use after release is a fault at the culprit's line; a
 * batch not given back whole is an abort. Frames longer than a UMEM chunk come in segments, as from
 * AF_XDP, if a batch of them fits.
 */
#include "path/capture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SEGMENTS_PER_FRAME (1 + BATCH_SEGMENTS / BATCH_MAX)

struct capture_mem {
	struct capture capture;
	const struct mem_frame *frames; /* the caller's */
	unsigned n, next;
	uint64_t clock_ns;
	bool is_out;
	struct batch out; /* what was lent */
};

static void require(bool kept, const char *rule)
{
	if (kept)
		return;
	(void)fprintf(stderr, "capture contract broken: %s\n", rule);
	abort();
}

/* Pages for len bytes, without the guard; at least one, for a frame of no bytes. */
static size_t pages_len(uint32_t len)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return len ? (len + page - 1) / page * page : page;
}

static const uint8_t *guard_map(const uint8_t *data, uint32_t len)
{
	const size_t room = pages_len(len), page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *map = mmap(NULL, room + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	require(map != MAP_FAILED && !mprotect(map, room, PROT_READ | PROT_WRITE),
		"(no memory for a guarded frame)");
	if (len)
		memcpy(map + room - len, data, len);
	require(!mprotect(map, room, PROT_READ), "(no memory for a guarded frame)");
	return map + room - len;
}

static void guard_unmap(const uint8_t *data, uint32_t len)
{
	const size_t room = pages_len(len), page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *map = (uint8_t *)(uintptr_t)data + len - room;

	require(!munmap(map, room + page), "a frame's pointer or length was changed");
}

static uint32_t segment_len(uint32_t frame_len)
{
	return frame_len <= SEGMENTS_PER_FRAME * STEER_CHUNK_DATA ? STEER_CHUNK_DATA : UINT32_MAX;
}

static void frame_lend(struct batch *batch, const struct mem_frame *from, unsigned sequence)
{
	const uint32_t limit = segment_len(from->len);
	const uint32_t first = from->len < limit ? from->len : limit;
	struct frame *f = &batch->frame[batch->n++];

	*f = (struct frame){
		.data = guard_map(from->data, first),
		.len = first,
		.more = (uint16_t)batch->n_segments,
		.time_ns = from->time_ns,
		.sequence = sequence,
	};
	for (uint32_t at = first; at < from->len; f->n_more++) {
		const uint32_t len = from->len - at < limit ? from->len - at : limit;

		batch->segment[batch->n_segments++] =
			(struct segment){guard_map(from->data + at, len), len};
		at += len;
	}
}

static int mem_recv(struct capture *capture, struct batch *batch, int wait_ms)
{
	struct capture_mem *m = (struct capture_mem *)capture;

	(void)wait_ms; /* there is nobody to wait for */
	require(!m->is_out, "recv before the last batch was released");
	batch->n = batch->n_segments = 0;
	for (; m->next < m->n && batch->n < BATCH_MAX; m->next++) {
		frame_lend(batch, &m->frames[m->next], m->next);
		if (m->frames[m->next].time_ns > m->clock_ns)
			m->clock_ns = m->frames[m->next].time_ns;
	}
	batch->clock_ns = batch->n ? m->clock_ns : CAPTURE_END;
	if (!batch->n)
		return -ENODATA;
	m->out = *batch;
	m->is_out = true;
	return 0;
}

static void mem_release(struct capture *capture, const struct batch *batch)
{
	struct capture_mem *m = (struct capture_mem *)capture;

	require(m->is_out, "release without a batch");
	require(batch->n == m->out.n && batch->n_segments == m->out.n_segments,
		"a batch is released whole");
	for (unsigned i = 0; i < batch->n; i++) {
		require(batch->frame[i].data == m->out.frame[i].data &&
				batch->frame[i].len == m->out.frame[i].len,
			"frames are released as they were lent");
		guard_unmap(m->out.frame[i].data, m->out.frame[i].len);
	}
	for (unsigned i = 0; i < batch->n_segments; i++)
		guard_unmap(m->out.segment[i].data, m->out.segment[i].len);
	m->is_out = false;
}

static void mem_close(struct capture *capture)
{
	struct capture_mem *m = (struct capture_mem *)capture;

	require(!m->is_out, "close with a batch out");
	free(m);
}

int capture_mem_open(struct capture **out, const struct mem_frame *frames, unsigned n,
		     struct err *err)
{
	static const struct capture_ops ops = {mem_recv, mem_release, mem_close};
	struct capture_mem *m = calloc(1, sizeof(*m));

	if (!m)
		return err_set(err, -ENOMEM, "out of memory for a source of %u frames", n);
	m->capture = (struct capture){.ops = &ops, .is_live = false};
	m->frames = frames;
	m->n = n;
	*out = &m->capture;
	return 0;
}
