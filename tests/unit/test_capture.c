/*
 * The conformance suite over the sources that take no privilege (tests/netns/conform has the live
 * one), and over sources that break its rules.
 */
#define _GNU_SOURCE /* memfd_create */

#include "../support/conform.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "path/block.h"

#define FRAMES (3 * BATCH_MAX + 7)

static uint8_t bytes[FRAMES][9216];
static struct conform_frame frames[FRAMES];
static struct conform_expect expect = {.frames = frames, .n = FRAMES};
static struct err err;

/* Lengths of 60 to len_max; a number in front makes each frame another. Times stand still now and
 * then, and every 50th frame is late. */
static void make_frames(uint32_t len_max)
{
	for (unsigned i = 0; i < FRAMES; i++) {
		const uint32_t len = 60 + i * 397 % (len_max - 59);
		uint8_t *data = bytes[i];

		for (uint32_t j = 0; j < len; j++)
			data[j] = (uint8_t)(j * 7);
		memcpy(data, &i, sizeof(i));
		frames[i] = (struct conform_frame){
			.data = data, .len = len, .time_ns = 2000 + i / 3 - (i % 50 == 49) * 1000};
	}
}

static void make_short_frames(void)
{
	make_frames(1514);
}

TestSuite(capture, .init = make_short_frames);

static void conforms(struct capture *source)
{
	cr_assert(conform(source, &expect, &err) == 0, "%s", err.text);
}

/* ---- memory ---- */

static void memory_conforms(void)
{
	static struct mem_frame mem[FRAMES];
	struct capture *source;

	for (unsigned i = 0; i < FRAMES; i++)
		mem[i] = (struct mem_frame){frames[i].data, frames[i].len, frames[i].time_ns};
	cr_assert_eq(capture_mem_open(&source, mem, FRAMES, &err), 0);
	conforms(source);
}

Test(capture, memory_keeps_the_contract)
{
	memory_conforms();
}

Test(capture, memory_keeps_the_contract_with_frames_in_segments)
{
	make_frames(9216);
	memory_conforms();
}

/* ---- files, in memory ---- */

static void put(int fd, const void *data, size_t len)
{
	cr_assert_eq(write(fd, data, len), (ssize_t)len);
}

/* The magic number of nanoseconds, version 2.4, snap length, Ethernet. */
static void write_pcap(int fd)
{
	const uint32_t head[] = {0xa1b23c4d, 4u << 16 | 2, 0, 0, 262144, 1};

	put(fd, head, sizeof(head));
	for (unsigned i = 0; i < FRAMES; i++) {
		const uint32_t record[] = {0, (uint32_t)frames[i].time_ns, frames[i].len,
					   frames[i].len};
		put(fd, record, sizeof(record));
		put(fd, frames[i].data, frames[i].len);
	}
}

static void write_pcapng(int fd)
{
	const struct block_interface ethernet = {.linktype = BLOCK_LINKTYPE_ETHERNET,
						 .snaplen = BLOCK_SNAPLEN};
	static uint8_t block[16384];

	put(fd, block, block_section(block, sizeof(block), NULL, NULL));
	put(fd, block, block_interface(block, sizeof(block), &ethernet));
	for (unsigned i = 0; i < FRAMES; i++) {
		const struct block_packet p = {.time_ns = frames[i].time_ns,
					       .cap_len = frames[i].len,
					       .wire_len = frames[i].len};
		memcpy(block + BLOCK_PACKET_HEAD, frames[i].data, frames[i].len);
		put(fd, block, block_packet_frame(block, &p));
	}
}

static void file_conforms(void (*write_file)(int fd))
{
	const int fd = memfd_create("capture", 0);
	char path[32];
	const char *const paths[] = {path};
	struct capture *source;

	cr_assert(fd >= 0);
	write_file(fd);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	cr_assert(capture_pcap_open(&source, paths, 1, &err) == 0, "%s", err.text);
	conforms(source);
}

Test(capture, pcap_keeps_the_contract)
{
	file_conforms(write_pcap);
}

Test(capture, pcapng_keeps_the_contract)
{
	file_conforms(write_pcapng);
}

Test(capture, files_keep_the_contract_with_long_frames)
{
	make_frames(9216);
	file_conforms(write_pcap);
	make_frames(9216);
	file_conforms(write_pcapng);
}

/* ---- sources that break a rule ---- */

enum lie {
	HONEST,
	SKIPS,
	REPEATS,
	SWAPS,
	INVENTS,
	CUTS,
	WRONG_TIME,
	EARLY_CLOCK,
	CLOCK_BACK,
	NO_CLOCK,
	SEQUENCE_STANDS,
	STEER,
	LIVE,
	ENDS_ONCE,
	NO_END,
	FAILS,
};

/* One frame per batch, without memory of its own. */
struct liar {
	struct capture capture;
	enum lie lie;
	unsigned next, ends;
	uint8_t copy[BLOCK_SNAPLEN];
};

#define LIE_AT 20

/* Which frame comes at a place: all but a few liars lend frame i there. */
static unsigned lent_at(enum lie lie, unsigned i)
{
	if (lie == SKIPS && i >= LIE_AT)
		return i + 1;
	if (lie == REPEATS && i == LIE_AT)
		return i - 1;
	if (lie == SWAPS && (i == LIE_AT || i == LIE_AT + 1))
		return 2 * LIE_AT + 1 - i;
	return i;
}

static void bend(struct liar *l, struct batch *b)
{
	static const struct steer_header steer;
	struct frame *f = b->frame;

	l->copy[f->len - 1] ^= l->lie == INVENTS;
	f->len -= l->lie == CUTS;
	f->time_ns += l->lie == WRONG_TIME;
	f->steer = l->lie == STEER ? &steer : NULL;
	f->sequence -= l->lie == SEQUENCE_STANDS;
	b->clock_ns -= l->lie == CLOCK_BACK ? 1000 : 0;
}

static int liar_end(struct liar *l, struct batch *b)
{
	b->n = 0;
	b->clock_ns = CAPTURE_END;
	return l->lie == NO_END || (l->lie == ENDS_ONCE && l->ends++) ? 0 : -ENODATA;
}

static int liar_recv(struct capture *capture, struct batch *b, int wait_ms)
{
	struct liar *l = (struct liar *)capture;
	const unsigned i = l->next++, at = lent_at(l->lie, i);

	(void)wait_ms;
	b->n_segments = 0;
	if (at >= FRAMES)
		return liar_end(l, b);
	b->n = 1;
	memcpy(l->copy, frames[at].data, frames[at].len);
	b->frame[0] = (struct frame){.data = l->copy,
				     .len = frames[at].len,
				     .time_ns = frames[at].time_ns,
				     .sequence = i};
	if (l->lie != NO_CLOCK)
		b->clock_ns = 2000 + i / 3;
	if (l->lie == EARLY_CLOCK && i >= LIE_AT)
		b->clock_ns += 1000;
	if (i == LIE_AT)
		bend(l, b);
	return i == LIE_AT && l->lie == FAILS ? -EIO : 0;
}

static void liar_release(struct capture *capture, const struct batch *batch)
{
	(void)capture, (void)batch;
}

static void liar_close(struct capture *capture)
{
	(void)capture;
}

Test(capture, suite_finds_each_broken_rule)
{
	static const struct capture_ops ops = {liar_recv, liar_release, liar_close};
	static const struct {
		enum lie lie;
		const char *said;
	} lies[] = {
		{SKIPS, "frame 20 is never lent"},
		{REPEATS, "frame 19 is lent a second time"},
		{SWAPS, "frame 20 is lent after frame 21"},
		{INVENTS, "number 20 has bytes of no frame"},
		{CUTS, "number 20 has bytes of no frame"},
		{WRONG_TIME, "frame 20 has time 2007, not 2006"},
		{EARLY_CLOCK, "before the clock of an earlier batch"},
		{CLOCK_BACK, "the clock goes back by 1000 ns"},
		{NO_CLOCK, "recv sets no clock"},
		{SEQUENCE_STANDS, "number 19 comes after 19"},
		{STEER, "frame 20 has a header of XDP's"},
		{LIVE, "the source says that it is live"},
		{ENDS_ONCE, "the end is not the end when asked again"},
		{NO_END, "1000 empty batches running, and no end"},
		{FAILS, "recv fails: Input/output error"},
	};
	static struct liar liar;

	liar.capture.ops = &ops;
	conforms(&liar.capture);
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		make_short_frames();
		liar = (struct liar){.capture = {&ops, lies[i].lie == LIVE}, .lie = lies[i].lie};
		cr_expect_eq(conform(&liar.capture, &expect, &err), -EPROTO);
		cr_expect(strstr(err.text, lies[i].said), "%s, not %s", err.text, lies[i].said);
	}
}
