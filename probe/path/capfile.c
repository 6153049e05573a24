#define _GNU_SOURCE /* fopencookie */

#include "path/capfile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "path/block_read.h"

#define NS_PER_S 1000000000

/* Where a pcap file's header has its snap length. */
#define SNAPLEN_AT  16u
#define SNAPLEN_END 20u

struct capfile {
	const char *name; /* for sentences; the caller's path */
	int fd;           /* file closes it */
	uint64_t offset;  /* read from fd so far */
	bool is_pcapng;
	FILE *file;       /* over fd, by read_some; NULL once libpcap owns it */
	uint64_t packets; /* given so far */

	pcap_t *pcap; /* NULL: pcapng, and what follows is in use */

	struct block_reader *reader;
	uint8_t *buf; /* one block */
	size_t cap;
};

static int fail_open(const struct capfile *f, int error, struct err *err)
{
	return err_set(err, -error, "cannot read %s: %s", f->name, strerror(error));
}

static int fail_damage(const struct capfile *f, const char *what, struct err *err)
{
	return err_set(err, -EBADMSG, "%s is damaged after %" PRIu64 " packets: %.160s", f->name,
		       f->packets, what);
}

static int open_pcap(struct capfile *f, struct err *err)
{
	char why[PCAP_ERRBUF_SIZE];

	f->pcap =
		pcap_fopen_offline_with_tstamp_precision(f->file, PCAP_TSTAMP_PRECISION_NANO, why);
	if (!f->pcap)
		return err_set(err, -EBADMSG, "%s is not a capture file: %.160s", f->name, why);
	f->file = NULL;
	return 0;
}

/* The fread of file. A pcap file's own snap length is read as 0, which is none: libpcap would cut
 * packets to it that were stored with more bytes. */
static ssize_t read_some(void *cookie, char *buf, size_t len)
{
	struct capfile *f = cookie;
	const ssize_t n = read(f->fd, buf, len);

	if (n <= 0)
		return n;
	/* No magic number of pcap begins as the section header block does. */
	if (f->offset == 0)
		f->is_pcapng = buf[0] == (char)(BLOCK_TYPE_SECTION & 0xff);
	for (uint64_t at = SNAPLEN_AT; at < SNAPLEN_END && !f->is_pcapng; at++)
		if (at >= f->offset && at < f->offset + (uint64_t)n)
			buf[at - f->offset] = 0;
	f->offset += (uint64_t)n;
	return n;
}

static int close_fd(void *cookie)
{
	const struct capfile *f = cookie;

	return f->fd == STDIN_FILENO ? 0 : close(f->fd);
}

static int open_file(struct capfile *f, const char *path, struct err *err)
{
	static const cookie_io_functions_t io = {.read = read_some, .close = close_fd};
	const bool is_stdin = strcmp(path, "-") == 0;

	f->name = is_stdin ? "standard input" : path;
	f->fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	if (f->fd < 0)
		return fail_open(f, errno, err);
	f->file = fopencookie(f, "r", io);
	if (!f->file) {
		(void)close_fd(f);
		return err_set(err, -ENOMEM, "out of memory");
	}
	const int first = getc(f->file);
	if (ferror(f->file))
		return fail_open(f, errno, err);
	if (first == EOF)
		return err_set(err, -EBADMSG, "%s is empty: not a capture file", f->name);
	(void)ungetc(first, f->file); /* one byte is always taken back */
	return 0;
}

int capfile_open(struct capfile **out, const char *path, struct err *err)
{
	struct capfile *f = calloc(1, sizeof(*f));

	if (!f)
		return err_set(err, -ENOMEM, "out of memory");
	int ret = open_file(f, path, err);
	if (ret == 0)
		ret = f->is_pcapng ? block_reader_open(&f->reader, err) : open_pcap(f, err);
	if (ret) {
		capfile_close(f);
		return ret;
	}
	*out = f;
	return 0;
}

void capfile_close(struct capfile *file)
{
	if (!file)
		return;
	if (file->pcap)
		pcap_close(file->pcap);
	if (file->file)
		(void)fclose(file->file);
	block_reader_close(file->reader);
	free(file->buf);
	free(file);
}

uint64_t capfile_offset(const struct capfile *file)
{
	return file->offset;
}

static int next_pcap(struct capfile *f, struct capfile_packet *out, struct err *err)
{
	struct pcap_pkthdr *head;
	const uint8_t *data;

	switch (pcap_next_ex(f->pcap, &head, &data)) {
	case 1:
		break;
	case PCAP_ERROR_BREAK:
		return -ENODATA;
	default:
		return fail_damage(f, pcap_geterr(f->pcap), err);
	}
	/* The file's seconds are unsigned; libpcap 1.10 gives those from 2038 on a sign. A damaged
	 * fraction can be negative too. */
	const uint64_t seconds = (uint32_t)head->ts.tv_sec;
	const uint64_t fraction_ns = head->ts.tv_usec < 0 ? 0 : (uint64_t)head->ts.tv_usec;
	*out = (struct capfile_packet){
		.data = data,
		.cap_len = head->caplen,
		.wire_len = head->len,
		.linktype = (uint16_t)pcap_datalink(f->pcap),
		.time_ns = seconds * NS_PER_S + fraction_ns,
	};
	return 0;
}

static int grow(struct capfile *f, size_t need, struct err *err)
{
	if (need <= f->cap)
		return 0;
	uint8_t *grown = realloc(f->buf, need);
	if (!grown)
		return err_set(err, -ENOMEM, "out of memory for a block of %zu bytes", need);
	f->buf = grown;
	f->cap = need;
	return 0;
}

static int next_block(struct capfile *f, struct block *block, struct err *err)
{
	struct err why;
	size_t have = 0, need = 0;
	int ret;

	while ((ret = block_read(f->reader, f->buf, have, block, &need, &why)) == -EAGAIN) {
		ret = grow(f, need, err);
		if (ret)
			return ret;
		have += fread(f->buf + have, 1, need - have, f->file);
		if (ferror(f->file))
			return fail_open(f, errno, err);
		if (have == 0)
			return -ENODATA;
		if (have < need)
			return fail_damage(f, "it ends inside a block", err);
	}
	return ret ? fail_damage(f, why.text, err) : 0;
}

static int next_pcapng(struct capfile *f, struct capfile_packet *out, struct err *err)
{
	struct block block;

	do {
		const int ret = next_block(f, &block, err);
		if (ret)
			return ret;
	} while (block.kind != BLOCK_PACKET);
	*out = (struct capfile_packet){
		.data = block.packet.data,
		.cap_len = block.packet.cap_len,
		.wire_len = block.packet.wire_len,
		.linktype = block_reader_linktype(f->reader, block.packet.interface),
		.time_ns = block.packet.time_ns,
	};
	return 0;
}

int capfile_next(struct capfile *file, struct capfile_packet *out, struct err *err)
{
	const int ret = file->pcap ? next_pcap(file, out, err) : next_pcapng(file, out, err);

	if (ret == 0)
		file->packets++;
	return ret;
}
