#include "path/capture.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "path/block.h"
#include "path/capfile.h"

/* 64 jumbos of 9,015 bytes fit; a longer packet makes it grow once. */
#define ARENA_LEN (1u << 20)

struct capture_pcap {
	struct capture base;
	const char *const *paths;
	unsigned n, next;     /* paths, the next to be opened */
	struct capfile *file; /* NULL: between two files */
	struct capfile_packet packet;
	bool has_packet; /* packet is read but not yet in a batch */
	int status;      /* what ended the last batch, to be returned once it is gone */
	struct err err;
	uint64_t sequence, skipped;
	uint64_t read;         /* bytes of the files that are closed */
	_Atomic uint64_t done; /* and of the open one: capture_pcap_done, from any thread */
	uint64_t clock_ns;
	uint8_t *arena; /* the bytes of the batch that is out */
	size_t cap;
};

static int open_next(struct capture_pcap *c)
{
	if (c->next == c->n)
		return -ENODATA;
	return capfile_open(&c->file, c->paths[c->next++], &c->err);
}

/* Reads a packet of any link type, whichever file it is in. */
static int read_packet(struct capture_pcap *c)
{
	for (;;) {
		int ret = c->file ? 0 : open_next(c);
		if (ret)
			return ret;
		ret = capfile_next(c->file, &c->packet, &c->err);
		if (ret == 0)
			return 0;
		c->read += capfile_offset(c->file);
		capfile_close(c->file);
		c->file = NULL;
		if (ret != -ENODATA)
			return ret;
	}
}

/* Makes packet the next Ethernet packet, if it is not one already. */
static int next_packet(struct capture_pcap *c)
{
	while (!c->has_packet) {
		const int ret = read_packet(c);
		if (ret)
			return ret;
		c->sequence++;
		c->has_packet = c->packet.linktype == BLOCK_LINKTYPE_ETHERNET;
		c->skipped += !c->has_packet;
	}
	return 0;
}

/* For the first packet of a batch, when nothing is lent. */
static int grow_arena(struct capture_pcap *c)
{
	if (c->packet.cap_len <= c->cap)
		return 0;
	uint8_t *grown = realloc(c->arena, c->packet.cap_len);
	if (!grown)
		return err_set(&c->err, -ENOMEM, "out of memory for a packet of %u bytes",
			       c->packet.cap_len);
	c->arena = grown;
	c->cap = c->packet.cap_len;
	return 0;
}

/* Returns the bytes of the arena that the packet takes. */
static uint32_t lend(struct capture_pcap *c, struct batch *batch, size_t used)
{
	const struct capfile_packet *p = &c->packet;

	memcpy(c->arena + used, p->data, p->cap_len);
	batch->frame[batch->n++] = (struct frame){
		.data = c->arena + used,
		.len = p->cap_len,
		.time_ns = p->time_ns,
		.sequence = c->sequence - 1,
	};
	if (p->time_ns > c->clock_ns)
		c->clock_ns = p->time_ns;
	c->has_packet = false;
	return p->cap_len;
}

static int pcap_recv(struct capture *capture, struct batch *batch, int wait_ms)
{
	struct capture_pcap *c = (struct capture_pcap *)capture;
	size_t used = 0;

	(void)wait_ms; /* a file is always ready; a pipe makes everybody wait */
	batch->n = batch->n_segments = 0;
	while (batch->n < BATCH_MAX && c->status == 0) {
		c->status = next_packet(c);
		if (c->status == 0 && batch->n == 0)
			c->status = grow_arena(c);
		if (c->status || c->packet.cap_len > c->cap - used)
			break;
		used += lend(c, batch, used);
	}
	atomic_store_explicit(&c->done, c->read + (c->file ? capfile_offset(c->file) : 0),
			      memory_order_relaxed);
	batch->clock_ns = c->clock_ns;
	if (batch->n)
		return 0;
	const int status = c->status;
	if (status == -ENODATA)
		batch->clock_ns = CAPTURE_END;
	else
		c->status = 0;
	return status;
}

static void pcap_release(struct capture *capture, const struct batch *batch)
{
	(void)capture, (void)batch; /* the next recv writes over the arena */
}

static void pcap_close_files(struct capture *capture)
{
	struct capture_pcap *c = (struct capture_pcap *)capture;

	capfile_close(c->file);
	free(c->arena);
	free(c);
}

/* What is missing or no capture is said before the first packet is read. A pipe is read once. */
static int check_file(const char *path, struct err *err)
{
	struct capfile *file;
	struct stat st;

	if (strcmp(path, "-") == 0 || (stat(path, &st) == 0 && !S_ISREG(st.st_mode)))
		return 0;
	const int ret = capfile_open(&file, path, err);
	if (ret == 0)
		capfile_close(file);
	return ret;
}

int capture_pcap_open(struct capture **out, const char *const *paths, unsigned n, struct err *err)
{
	static const struct capture_ops ops = {
		.recv = pcap_recv,
		.release = pcap_release,
		.close = pcap_close_files,
	};

	for (unsigned i = 0; i < n; i++) {
		const int ret = check_file(paths[i], err);
		if (ret)
			return ret;
	}
	struct capture_pcap *c = calloc(1, sizeof(*c));
	uint8_t *arena = malloc(ARENA_LEN);
	if (!c || !arena) {
		free(c);
		free(arena);
		return err_set(err, -ENOMEM, "out of memory");
	}
	c->base.ops = &ops;
	c->paths = paths;
	c->n = n;
	c->arena = arena;
	c->cap = ARENA_LEN;
	*out = &c->base;
	return 0;
}

const char *capture_pcap_error(const struct capture *capture)
{
	return ((const struct capture_pcap *)capture)->err.text;
}

uint64_t capture_pcap_skipped(const struct capture *capture)
{
	return ((const struct capture_pcap *)capture)->skipped;
}

uint64_t capture_pcap_done(const struct capture *capture)
{
	return atomic_load_explicit(&((const struct capture_pcap *)capture)->done,
				    memory_order_relaxed); /* pairs with pcap_recv */
}
