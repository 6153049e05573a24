#include "path/capture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <string.h>

#define LONG_LEN (2 * STEER_CHUNK_DATA + 1000)

static uint8_t bytes[65536];
static struct mem_frame frames[3 * BATCH_MAX];
static struct batch batch;

static void make_frames(void)
{
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7);
	for (unsigned i = 0; i < 3 * BATCH_MAX; i++)
		frames[i] = (struct mem_frame){bytes + i, i * 10, 1000 + i};
}

TestSuite(capture_mem, .init = make_frames);

static struct capture *open_mem(unsigned n)
{
	struct capture *c;
	struct err err;

	cr_assert_eq(capture_mem_open(&c, frames, n, &err), 0);
	return c;
}

Test(capture_mem, lends_every_frame_once_in_order)
{
	struct capture *c = open_mem(3 * BATCH_MAX - 10);
	unsigned n = 0;
	int ret;

	cr_assert_not(c->is_live);
	while (!(ret = capture_recv(c, &batch, 0))) {
		for (unsigned i = 0; i < batch.n; i++, n++) {
			const struct frame *f = &batch.frame[i];
			cr_assert_eq(f->len, frames[n].len);
			cr_assert_eq(memcmp(f->data, frames[n].data, f->len), 0);
			cr_assert_eq(f->time_ns, frames[n].time_ns);
			cr_assert_eq(f->sequence, n);
			cr_assert_null(f->steer);
			cr_assert_eq(f->n_more, 0);
		}
		cr_assert_eq(batch.clock_ns, frames[n - 1].time_ns);
		capture_release(c, &batch);
	}
	cr_assert_eq(ret, -ENODATA);
	cr_assert_eq(batch.n, 0);
	cr_assert_eq(batch.clock_ns, CAPTURE_END);
	cr_assert_eq(n, 3 * BATCH_MAX - 10);
	capture_close(c);
}

Test(capture_mem, frames_longer_than_a_chunk_come_in_segments)
{
	for (unsigned i = 0; i < BATCH_MAX; i++)
		frames[i] = (struct mem_frame){bytes + i, LONG_LEN, 1};
	struct capture *c = open_mem(BATCH_MAX);

	cr_assert_eq(capture_recv(c, &batch, 0), 0);
	cr_assert_eq(batch.n_segments, BATCH_SEGMENTS);
	for (unsigned i = 0; i < BATCH_MAX; i++) {
		const struct frame *f = &batch.frame[i];
		const struct segment *s = &batch.segment[f->more];
		cr_assert_eq(f->n_more, 2);
		cr_assert_eq(f->len + s[0].len + s[1].len, LONG_LEN);
		cr_assert_eq(memcmp(f->data, bytes + i, f->len), 0);
		cr_assert_eq(memcmp(s[0].data, bytes + i + f->len, s[0].len), 0);
		cr_assert_eq(memcmp(s[1].data, bytes + i + f->len + s[0].len, s[1].len), 0);
	}
	capture_release(c, &batch);
	capture_close(c);
}

Test(capture_mem, frames_too_long_for_segments_come_whole)
{
	frames[0] = (struct mem_frame){bytes, sizeof(bytes), 1};
	struct capture *c = open_mem(1);

	cr_assert_eq(capture_recv(c, &batch, 0), 0);
	cr_assert_eq(batch.frame[0].len, sizeof(bytes));
	cr_assert_eq(batch.frame[0].n_more, 0);
	capture_release(c, &batch);
	capture_close(c);
}

/* ---- the police: each of these must die ---- */

static struct capture *lend(void)
{
	(void)signal(SIGSEGV, SIG_DFL); /* AddressSanitizer's handler would exit instead */
	struct capture *c = open_mem(BATCH_MAX);

	cr_assert_eq(capture_recv(c, &batch, 0), 0);
	return c;
}

Test(capture_mem, reading_beyond_a_frame_faults, .signal = SIGSEGV)
{
	lend();
	(void)*(const volatile uint8_t *)(batch.frame[5].data + batch.frame[5].len);
}

Test(capture_mem, writing_to_a_frame_faults, .signal = SIGSEGV)
{
	lend();
	*(volatile uint8_t *)(uintptr_t)batch.frame[5].data = 1;
}

Test(capture_mem, reading_after_release_faults, .signal = SIGSEGV)
{
	struct capture *c = lend();

	capture_release(c, &batch);
	(void)*(const volatile uint8_t *)batch.frame[5].data;
}

Test(capture_mem, second_batch_aborts, .signal = SIGABRT)
{
	struct batch second;

	capture_recv(lend(), &second, 0);
}

Test(capture_mem, second_release_aborts, .signal = SIGABRT)
{
	struct capture *c = lend();

	capture_release(c, &batch);
	capture_release(c, &batch);
}

Test(capture_mem, partial_release_aborts, .signal = SIGABRT)
{
	struct capture *c = lend();

	batch.n--;
	capture_release(c, &batch);
}

Test(capture_mem, release_of_changed_frames_aborts, .signal = SIGABRT)
{
	struct capture *c = lend();

	batch.frame[3].len++;
	capture_release(c, &batch);
}

Test(capture_mem, close_with_a_batch_out_aborts, .signal = SIGABRT)
{
	capture_close(lend());
}
