/*
 * vxmirror: plays VPC Traffic Mirroring. Wraps the packets of captures as a mirror would, into a
 * capture file or onto an interface.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/progress.h"
#include "path/block.h"
#include "path/capfile.h"
#include "version.h"
#include "vxmirror_options.h"
#include "vxmirror_send.h"
#include "vxmirror_wrap.h"

#define LINKTYPES  65536u
#define EXIT_USAGE 2

/* What takes the packets: an open file or interface. */
struct sink {
	const struct mirror *mirror;
	int (*take)(struct sink *sink, const struct capfile_packet *packet, struct err *err);
	/* When the first input could be opened; NULL: nothing to do then. */
	int (*begin)(struct sink *sink, struct err *err);
	const struct mirror_options *options;
	const char *out;
	struct sender *sender;
	FILE *file;
	uint8_t *block; /* of the longest packet */
	uint64_t packets;
	uint64_t read; /* bytes of the inputs that were taken to their end */
};

static volatile sig_atomic_t is_stopped;

static void stop(int number)
{
	(void)number;
	is_stopped = 1;
}

static __attribute__((format(printf, 1, 2))) void say(const char *format, ...)
{
	va_list args;

	progress_hide();
	(void)fputs("vxmirror: ", stderr);
	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	(void)fputc('\n', stderr);
}

/* ---- inputs ---- */

/* What of one input is left out. */
struct left_out {
	struct err damage; /* and what comes after it; empty: none */
	uint64_t too_long;
	uint64_t of_linktype[LINKTYPES];
};

static void report_left_out(const char *path, const struct left_out *left)
{
	if (*left->damage.text)
		say("%s", left->damage.text);
	if (left->too_long)
		say("%s: left out as over %u bytes, more than IPv4 carries: %" PRIu64, path,
		    MIRROR_INNER_MAX, left->too_long);
	for (unsigned i = 0; i < LINKTYPES; i++)
		if (left->of_linktype[i])
			say("%s: left out as of link type %u, not Ethernet: %" PRIu64, path, i,
			    left->of_linktype[i]);
}

static int take_packet(struct sink *sink, struct capfile_packet *p, struct left_out *left,
		       struct err *err)
{
	if (p->linktype != BLOCK_LINKTYPE_ETHERNET) {
		left->of_linktype[p->linktype]++;
		return 0;
	}
	p->cap_len = mirror_cut(sink->mirror, p->cap_len);
	if (p->cap_len > MIRROR_INNER_MAX) {
		left->too_long++;
		return 0;
	}
	return sink->take(sink, p, err);
}

/* Damage is said and is no failure: what was whole has been taken. */
static int take_file(struct sink *sink, const char *path, struct left_out *left, struct err *err)
{
	struct capfile *file;
	struct capfile_packet packet;
	int taken = 0, ret = capfile_open(&file, path, err);

	if (ret)
		return ret;
	if (sink->begin) {
		taken = sink->begin(sink, err);
		sink->begin = NULL;
	}
	while (taken == 0 && !is_stopped && (ret = capfile_next(file, &packet, err)) == 0) {
		taken = take_packet(sink, &packet, left, err);
		progress_show(sink->read + capfile_offset(file));
	}
	sink->read += capfile_offset(file);
	capfile_close(file);
	if (is_stopped)
		return -EINTR;
	if (ret == -EBADMSG)
		left->damage = *err;
	return ret == -ENODATA || ret == -EBADMSG ? 0 : ret ? ret : taken;
}

static int take_files(struct sink *sink, const struct mirror_options *o, bool is_last,
		      struct err *err)
{
	int ret = 0;

	for (int i = 0; i < o->n && ret == 0; i++) {
		struct left_out *left = calloc(1, sizeof(*left));
		if (!left)
			return err_set(err, -ENOMEM, "out of memory");
		ret = take_file(sink, o->paths[i], left, err);
		if (is_last)
			report_left_out(o->paths[i], left);
		free(left);
	}
	return ret;
}

/* ---- wrap ---- */

static int write_block(struct sink *sink, size_t len, struct err *err)
{
	if (fwrite(sink->block, 1, len, sink->file) != len)
		return err_set(err, -errno, "cannot write the output: %s", strerror(errno));
	return 0;
}

static int take_into_file(struct sink *sink, const struct capfile_packet *packet, struct err *err)
{
	const uint32_t len = (uint32_t)mirror_wrap(sink->block + BLOCK_PACKET_HEAD, sink->mirror,
						   packet->data, packet->cap_len);
	const struct block_packet head = {
		.time_ns = packet->time_ns,
		.cap_len = len,
		.wire_len = len,
		.id = sink->packets++,
	};

	return write_block(sink, block_packet_frame(sink->block, &head), err);
}

static int write_head(struct sink *sink, struct err *err)
{
	const struct block_interface interface = {
		.linktype = BLOCK_LINKTYPE_ETHERNET,
		.snaplen = BLOCK_SNAPLEN,
		.name = "mirror",
	};
	const size_t cap = block_packet_len(MIRROR_FRAME_MAX);
	const size_t n = block_section(sink->block, cap, "vxmirror " VERSION, NULL);
	const int ret = write_block(sink, n, err);

	return ret ? ret : write_block(sink, block_interface(sink->block, cap, &interface), err);
}

/* `wrap *.pcap` without an output would overwrite the last input. */
static bool is_input(const struct mirror_options *o, const char *out)
{
	struct stat a, b;

	if (stat(out, &a) != 0 || !S_ISREG(a.st_mode))
		return false;
	for (int i = 0; i < o->n; i++)
		if (stat(o->paths[i], &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
			return true;
	return false;
}

/* Only now: what is in the output's place must not be lost to a run that has no input. */
static int begin_file(struct sink *sink, struct err *err)
{
	const char *out = sink->out;
	const bool is_stdout = strcmp(out, "-") == 0;

	if (is_stdout && isatty(STDOUT_FILENO))
		return err_set(err, -EINVAL, "standard output is a terminal: name a file, or pipe");
	if (is_input(sink->options, out))
		return err_set(err, -EINVAL, "%s is input and output: the last name is the output",
			       out);
	sink->file = is_stdout ? stdout : fopen(out, "wbe");
	if (!sink->file)
		return err_set(err, -errno, "cannot write %s: %s", out, strerror(errno));
	return write_head(sink, err);
}

/* Before the first packet, so that no half of the output is written. */
static int check_inputs(const struct mirror_options *o, struct err *err)
{
	for (int i = 0; i < o->n; i++)
		if (strcmp(o->paths[i], "-") != 0 && access(o->paths[i], R_OK) != 0)
			return err_set(err, -errno, "cannot read %s: %s", o->paths[i],
				       strerror(errno));
	return 0;
}

static int wrap(struct mirror_options *o, struct err *err)
{
	struct sink sink = {.mirror = &o->mirror,
			    .take = take_into_file,
			    .begin = begin_file,
			    .options = o,
			    .out = o->paths[--o->n]};
	int ret = check_inputs(o, err);

	if (ret)
		return ret;
	sink.block = malloc(block_packet_len(MIRROR_FRAME_MAX));
	if (!sink.block)
		return err_set(err, -ENOMEM, "out of memory");
	progress_begin("wrapping", progress_size(o->paths, (unsigned)o->n));
	ret = take_files(&sink, o, true, err);
	progress_end();
	free(sink.block);
	if (sink.file && fclose(sink.file) != 0 && ret == 0)
		ret = err_set(err, -errno, "cannot write %s: %s", sink.out, strerror(errno));
	if (ret == 0)
		say("wrapped %" PRIu64 " packets", sink.packets);
	return ret;
}

/* ---- send ---- */

static int take_onto_interface(struct sink *sink, const struct capfile_packet *packet,
			       struct err *err)
{
	const size_t len =
		mirror_wrap(send_buffer(sink->sender), sink->mirror, packet->data, packet->cap_len);

	return send_commit(sink->sender, len, err);
}

static int find_macs(struct mirror_options *o, struct sender *sender, struct err *err)
{
	memcpy(o->mirror.source_mac, send_mac(sender), sizeof(o->mirror.source_mac));
	if (o->target_mac)
		return 0; /* parse_mac has filled it in */
	return send_find_neighbour(sender, o->mirror.target, o->mirror.target_mac, err);
}

static int send_loop(struct sink *sink, const struct mirror_options *o, struct err *err)
{
	uint64_t total;
	int ret = 0;

	if (__builtin_mul_overflow(progress_size(o->paths, (unsigned)o->n), o->loop, &total))
		total = 0;
	progress_begin("sending", total);
	for (uint64_t i = 0; i < o->loop && ret == 0; i++)
		ret = take_files(sink, o, i + 1 == o->loop, err);
	if (ret == 0)
		ret = send_flush(sink->sender, err);
	progress_end();
	return ret == -EINTR || is_stopped ? 0 : ret;
}

static int send_all(struct mirror_options *o, struct err *err)
{
	const struct sigaction action = {.sa_handler = stop}; /* no SA_RESTART: sleeps end */
	struct sink sink = {.mirror = &o->mirror, .take = take_onto_interface};
	int ret = send_open(&sink.sender, &o->send, err);

	if (ret)
		return ret;
	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
	ret = find_macs(o, sink.sender, err);
	if (ret == 0) {
		ret = send_loop(&sink, o, err);
		const struct send_counts c = send_counts(sink.sender);
		say("sent %" PRIu64 " packets (%" PRIu64 " bytes); the kernel refused %" PRIu64,
		    c.packets, c.bytes, c.refused);
	}
	send_close(sink.sender);
	return ret;
}

static int complain(const struct err *err, int code)
{
	say("%s", err->text);
	return code;
}

int main(int argc, char **argv)
{
	struct mirror_options o;
	struct err err;

	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return fputs(MIRROR_HELP, stdout) == EOF || fflush(stdout) != 0;
	if (mirror_options_parse(&o, argc, argv, &err))
		return complain(&err, EXIT_USAGE);
	if (o.is_send ? send_all(&o, &err) : wrap(&o, &err))
		return complain(&err, EXIT_FAILURE);
	return EXIT_SUCCESS;
}
