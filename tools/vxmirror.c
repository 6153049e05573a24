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
#include "vxmirror_file.h"
#include "vxmirror_mishap.h"
#include "vxmirror_options.h"
#include "vxmirror_send.h"
#include "vxmirror_wrap.h"

#define LINKTYPES  65536u
#define EXIT_USAGE 2

/* Where the packets go: into a file or onto an interface. */
struct sink {
	const struct mirror_options *options;
	const char *out;          /* wrap: the output */
	struct mirror_file *file; /* NULL until the first input could be opened */
	struct mirror_file *lost; /* NULL: nobody asked for it, or not yet */
	struct sender *sender;
	struct mishap *mishap;
	bool has_begun;
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

/* ---- outputs ---- */

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

static int open_output(struct mirror_file **out, const struct sink *sink, const char *path,
		       const char *why, struct err *err)
{
	if (is_input(sink->options, path))
		return err_set(err, -EINVAL, "%s is input and output: %s", path, why);
	return mirror_file_open(out, path, err);
}

/* Once the first input is open: what is in the outputs' place must not be lost to a run that has
 * none. */
static int begin(struct sink *sink, struct err *err)
{
	const char *lost = sink->options->lost;
	int ret = 0;

	sink->has_begun = true;
	if (sink->out)
		ret = open_output(&sink->file, sink, sink->out, "the last name is the output", err);
	if (ret == 0 && lost)
		ret = open_output(&sink->lost, sink, lost, "--lost overwrites it", err);
	return ret;
}

static int lose(void *arg, const struct mirrored *mirrored, struct err *err)
{
	const struct sink *sink = arg;

	if (!sink->lost)
		return 0;
	return mirror_file_put(sink->lost, &sink->options->mirror, mirrored, err);
}

/* What became of the packets of the inputs. */
static void report_mishaps(const struct sink *sink)
{
	const struct mishap_config *c = &sink->options->mishap;
	const struct mishap_counts n = mishap_counts(sink->mishap);

	if (c->only != MISHAP_BOTH)
		say("left out as of the other direction: %" PRIu64 " packets of %" PRIu64,
		    n.other_direction, n.packets);
	if (c->has_loss)
		say("lost %" PRIu64 " packets (%" PRIu64 " bytes)", n.lost, n.lost_bytes);
	if (c->duplicate_rate > 0)
		say("doubled %" PRIu64 " packets", n.doubled);
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
	p->cap_len = mirror_cut(&sink->options->mirror, p->cap_len);
	if (p->cap_len > MIRROR_INNER_MAX) {
		left->too_long++;
		return 0;
	}
	return mishap_packet(sink->mishap, p, err);
}

static int take_all(struct sink *sink, struct capfile *file, struct left_out *left, struct err *err)
{
	struct capfile_packet packet;
	int ret = 0;

	while (!is_stopped && (ret = capfile_next(file, &packet, err)) == 0) {
		ret = take_packet(sink, &packet, left, err);
		if (ret)
			return ret;
		progress_show(sink->read + capfile_offset(file));
	}
	if (is_stopped)
		return -EINTR;
	/* Damage is said and is no failure: what was whole has been taken. */
	if (ret == -EBADMSG)
		left->damage = *err;
	return ret == -ENODATA || ret == -EBADMSG ? mishap_flush(sink->mishap, err) : ret;
}

static int take_file(struct sink *sink, const char *path, struct left_out *left, struct err *err)
{
	struct capfile *file;
	int ret = capfile_open(&file, path, err);

	if (ret)
		return ret;
	if (!sink->has_begun)
		ret = begin(sink, err);
	if (ret == 0)
		ret = take_all(sink, file, left, err);
	sink->read += capfile_offset(file);
	capfile_close(file);
	return ret;
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

static int pass_into_file(void *arg, const struct mirrored *mirrored, struct err *err)
{
	struct sink *sink = arg;

	sink->packets++;
	return mirror_file_put(sink->file, &sink->options->mirror, mirrored, err);
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

/* Closes the output, whose last bytes are written only then; an error of before goes first. */
static int close_output(struct mirror_file *file, int ret, struct err *err)
{
	struct err of_close;
	const int closed = mirror_file_close(file, &of_close);

	if (ret || !closed)
		return ret;
	*err = of_close;
	return closed;
}

static int wrap_into(struct sink *sink, struct err *err)
{
	const struct mirror_options *o = sink->options;
	int ret;

	progress_begin("wrapping", progress_size(o->paths, (unsigned)o->n));
	ret = take_files(sink, o, true, err);
	progress_end();
	ret = close_output(sink->file, ret, err);
	ret = close_output(sink->lost, ret, err);
	if (ret == 0) {
		say("wrapped %" PRIu64 " packets", sink->packets);
		report_mishaps(sink);
	}
	return ret;
}

static int wrap(struct mirror_options *o, struct err *err)
{
	struct sink sink = {.options = o, .out = o->paths[--o->n]};
	int ret = check_inputs(o, err);

	if (ret || (ret = mishap_open(&sink.mishap, &o->mishap, pass_into_file, lose, &sink, err)))
		return ret;
	ret = wrap_into(&sink, err);
	mishap_close(sink.mishap);
	return ret;
}

/* ---- send ---- */

static int pass_onto_interface(void *arg, const struct mirrored *mirrored, struct err *err)
{
	const struct sink *sink = arg;
	const size_t len =
		mirror_wrap(send_buffer(sink->sender), &sink->options->mirror,
			    mirrored->packet.data, mirrored->packet.cap_len, mirrored->is_far_end);

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

static int send_onto(struct sink *sink, struct mirror_options *o, struct err *err)
{
	int ret = find_macs(o, sink->sender, err);

	if (ret ||
	    (ret = mishap_open(&sink->mishap, &o->mishap, pass_onto_interface, lose, sink, err)))
		return ret;
	ret = send_loop(sink, o, err);
	ret = close_output(sink->lost, ret, err);
	const struct send_counts c = send_counts(sink->sender);
	say("sent %" PRIu64 " packets (%" PRIu64 " bytes); the kernel refused %" PRIu64, c.packets,
	    c.bytes, c.refused);
	report_mishaps(sink);
	mishap_close(sink->mishap);
	return ret;
}

static int send_all(struct mirror_options *o, struct err *err)
{
	const struct sigaction action = {.sa_handler = stop}; /* no SA_RESTART: sleeps end */
	struct sink sink = {.options = o};
	int ret = send_open(&sink.sender, &o->send, err);

	if (ret)
		return ret;
	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
	ret = send_onto(&sink, o, err);
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
