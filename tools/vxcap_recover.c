/*
 * vxcap recover: of a file that its writer did not finish, a whole one with the same blocks.
 *
 *   unfinished file -> unseal -> unpack: frames -> blocks -> pack -> seal -> whole file beside it
 */
#define _GNU_SOURCE /* asprintf */
#include "vxcap.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

#include "base/plain.h"
#include "base/progress.h"
#include "path/block_read.h"
#include "path/pack.h"
#include "vxcap_file.h"
#include "vxcap_find.h"
#include "vxcap_recipients.h"
#include "vxcap_time.h"
#include "vxcap_whole.h"

#define SUFFIX    ".pcapng.zst.age"
#define FRAME_LEN (1u << 20)
#define LEVEL     3 /* 2 % smaller than level 1 (storage.md 2.1), and nobody waits */
#define NS_PER_S  1000000000u

struct recover {
	struct vxcap_files files;
	struct vxcap_keys keys;
	struct vxcap_recipients recipients;
	const char *out_path; /* NULL: beside the original */
};

/* One file on its way. */
struct rescue {
	struct vxcap_file *file; /* open */
	struct vxcap_whole *whole;
	struct packer *packer;
	struct pack *pack;
	struct seal *seal;
	struct block_reader *reader;
	uint8_t *raw; /* the current frame */
	size_t raw_cap;
	uint8_t *sealed;
	size_t sealed_cap;
	uint64_t packets, bytes, first_ns, last_ns; /* saved */
	uint64_t lost_packets;                      /* of frames that the index knows of */
	unsigned lost_frames;
};

/* ---- writing ---- */

static int grow(uint8_t **buf, size_t *cap, size_t want, struct err *err)
{
	if (want <= *cap)
		return 0;
	uint8_t *bigger = realloc(*buf, want);
	if (!bigger)
		return err_set(err, -ENOMEM, "out of memory for %zu bytes", want);
	*buf = bigger;
	*cap = want;
	return 0;
}

static int write_sealed(struct rescue *rescue, const uint8_t *packed, size_t len, struct err *err)
{
	size_t n = 0;
	int ret = grow(&rescue->sealed, &rescue->sealed_cap, seal_bound(rescue->seal, len), err);

	if (!ret && seal_update(rescue->seal, packed, len, rescue->sealed, &n))
		ret = err_set(err, -EIO, "OpenSSL cannot seal the file");
	return ret ? ret : vxcap_whole_write(rescue->whole, rescue->sealed, n, err);
}

static int flush(struct rescue *rescue, struct err *err)
{
	const uint8_t *packed;
	size_t len;
	const int ret = pack_flush(rescue->pack, &packed, &len);

	if (ret)
		return err_set(err, ret, "cannot pack a frame: %s", strerror(-ret));
	return len ? write_sealed(rescue, packed, len, err) : 0;
}

static int finish(struct rescue *rescue, struct err *err)
{
	const uint8_t *packed;
	size_t len, n = 0;
	int ret = flush(rescue, err);

	if (ret)
		return ret;
	if (pack_finish(rescue->pack, &packed, &len))
		return err_set(err, -ENOMEM, "out of memory");
	ret = write_sealed(rescue, packed, len, err);
	if (ret)
		return ret;
	if (seal_final(rescue->seal, rescue->sealed, &n))
		return err_set(err, -EIO, "OpenSSL cannot seal the file");
	return vxcap_whole_write(rescue->whole, rescue->sealed, n, err);
}

/* ---- blocks ---- */

/* pack takes little endian and enhanced packet blocks alone; block_read any. */
static bool is_ours(const struct block *block, const uint8_t *p, size_t len)
{
	if (len > PACK_BLOCK_MAX)
		return false;
	if (block->kind == BLOCK_SECTION)
		return p[8] == 0x4d; /* low end of the byte-order magic */
	return block->kind != BLOCK_PACKET || block_is_packet(p);
}

static int add_block(struct rescue *rescue, const struct block *block, const uint8_t *p, size_t len,
		     struct err *err)
{
	const bool is_names = block->kind == BLOCK_NAMES;
	int ret = 0;

	if (!is_ours(block, p, len))
		return err_set(err, -EBADMSG, "it has a block of %zu bytes: none of vxprobe's",
			       len);
	if (pack_is_full(rescue->pack))
		ret = flush(rescue, err);
	if (ret)
		return ret;
	if (block->kind == BLOCK_PACKET) {
		const uint64_t time_ns = block->packet.time_ns;

		pack_add_packet(rescue->pack, p, len, time_ns);
		rescue->packets++;
		rescue->first_ns = time_ns < rescue->first_ns ? time_ns : rescue->first_ns;
		rescue->last_ns = time_ns > rescue->last_ns ? time_ns : rescue->last_ns;
	} else if (is_names || block->kind == BLOCK_SECTION || block->kind == BLOCK_INTERFACE) {
		if (pack_add_definition(rescue->pack, p, len, is_names ? len : 0))
			return err_set(err, -ENOMEM, "no room for its interface blocks");
	} else {
		pack_add_other(rescue->pack, p, len);
	}
	rescue->bytes += len;
	return 0;
}

static int add_blocks(struct rescue *rescue, const uint8_t *p, size_t len, bool has_definitions,
		      struct err *err)
{
	struct block block;
	size_t used;

	for (const uint8_t *const end = p + len; p < end; p += used) {
		int ret = block_read(rescue->reader, p, (size_t)(end - p), &block, &used, err);
		const bool is_definition =
			!ret && (block.kind == BLOCK_SECTION || block.kind == BLOCK_INTERFACE);

		if (ret == -EAGAIN)
			ret = err_set(err, -EBADMSG, "a frame of it ends inside a block");
		if (!ret && (has_definitions || !is_definition))
			ret = add_block(rescue, &block, p, used, err);
		if (ret)
			return ret;
	}
	return 0;
}

static int read_frame(struct rescue *rescue, unsigned i, struct err *err)
{
	const struct unpack_frame *frame = unpack_frame(rescue->file->unpack, i);
	const int ret = grow(&rescue->raw, &rescue->raw_cap, frame->raw_len, err);

	return ret ? ret : unpack_read(rescue->file->unpack, i, rescue->raw, err);
}

/* Counts what was altered. Only an index tells where the next frame begins, so without one the file
 * ends there. */
static int find_altered(struct rescue *rescue, struct err *err)
{
	const struct unpack *unpack = rescue->file->unpack;

	for (unsigned i = 0; unpack_is_indexed(unpack) && i < unpack_frames(unpack); i++) {
		const int ret = read_frame(rescue, i, err);
		if (ret && ret != -EBADMSG)
			return ret;
		rescue->lost_frames += ret != 0;
		rescue->lost_packets += ret ? unpack_frame(unpack, i)->packets : 0;
	}
	return 0;
}

/* All frames that can be read. Packets name interfaces by number, and an altered frame can have had
 * an interface: then all of them come first, out of the index. */
static int add_frames(struct rescue *rescue, struct err *err)
{
	struct unpack *const unpack = rescue->file->unpack;
	const bool is_patched = rescue->lost_frames > 0;
	size_t len;
	const uint8_t *const definitions = unpack_interfaces(unpack, &len);
	int ret = is_patched ? add_blocks(rescue, definitions, len, true, err) : 0;

	for (unsigned i = 0; !ret && i < unpack_frames(unpack); i++) {
		ret = read_frame(rescue, i, err);
		if (is_patched && ret == -EBADMSG)
			ret = 0;
		else if (!ret)
			ret = add_blocks(rescue, rescue->raw, unpack_frame(unpack, i)->raw_len,
					 !is_patched, err);
	}
	return ret;
}

/* ---- one file ---- */

static int open_tools(struct rescue *rescue, const struct recover *recover, const char *path,
		      struct err *err)
{
	const struct packer_config config = {.frame_len = FRAME_LEN,
					     .level = LEVEL,
					     .frames_max = PACK_FRAMES_MAX,
					     .definitions_max = PACK_DEFINITIONS_MAX,
					     .filters_max = PACK_FILTERS_MAX};
	int ret = block_reader_open(&rescue->reader, err);

	if (!ret)
		ret = packer_open(&rescue->packer, &config, err);
	if (!ret)
		ret = pack_open(&rescue->pack, rescue->packer, err);
	if (!ret)
		ret = seal_open(&rescue->seal, recover->recipients.recipient, recover->recipients.n,
				seal_random, err);
	if (!ret)
		ret = grow(&rescue->sealed, &rescue->sealed_cap, seal_bound(rescue->seal, 0), err);
	if (!ret)
		ret = vxcap_whole_open(&rescue->whole, path, rescue->file->fd, err);
	return ret ? ret
		   : vxcap_whole_write(rescue->whole, rescue->sealed,
				       seal_header(rescue->seal, rescue->sealed), err);
}

static void close_tools(struct rescue *rescue)
{
	vxcap_whole_close(rescue->whole);
	seal_close(rescue->seal);
	pack_close(rescue->pack);
	packer_close(rescue->packer);
	if (rescue->reader)
		block_reader_close(rescue->reader);
	free(rescue->raw);
	free(rescue->sealed);
}

/* As the store does: _20261121T230254Z */
static void name_time(char out[static VXCAP_TIME_LEN], uint64_t time_ns)
{
	const time_t seconds = (time_t)(time_ns / NS_PER_S);
	struct tm utc;

	gmtime_r(&seconds, &utc);
	(void)strftime(out, VXCAP_TIME_LEN, "_%Y%m%dT%H%M%SZ", &utc);
}

/* Earliest and latest packet of all frames; without packets the earliest is later. */
static void find_times(const struct unpack *unpack, uint64_t *first_ns, uint64_t *last_ns)
{
	*first_ns = UINT64_MAX;
	*last_ns = 0;
	for (unsigned i = 0; i < unpack_frames(unpack); i++) {
		const struct unpack_frame *frame = unpack_frame(unpack, i);
		if (frame->packets && frame->first_ns < *first_ns)
			*first_ns = frame->first_ns;
		if (frame->packets && frame->last_ns > *last_ns)
			*last_ns = frame->last_ns;
	}
}

/* NAME_000007_START_END.pcapng.zst.age in the original's folder; NAME_recovered... of another name.
 * NULL: out of memory. */
static char *whole_path(const struct vxcap_file *file)
{
	const char *slash = strrchr(file->path, '/'), *stem;
	const char *name = slash ? slash + 1 : file->path;
	size_t len = vxcap_file_stem(name, &stem);
	char start[VXCAP_TIME_LEN] = "", end[VXCAP_TIME_LEN] = "_recovered";
	uint64_t first_ns, last_ns, ignored;
	char *path;

	find_times(file->unpack, &first_ns, &last_ns);
	const bool is_stored = len > 0;
	if (is_stored)
		name_time(end, last_ns);
	else if ((len = vxcap_file_base(stem = name)) == 0)
		len = strcspn(name, ".");
	/* The stem has when the file was begun; a packet that came late may be earlier. */
	if (is_stored && first_ns <= last_ns && len > VXCAP_TIME_NAME_LEN &&
	    vxcap_time_from_name(&ignored, stem + len - VXCAP_TIME_NAME_LEN) == stem + len) {
		name_time(start, first_ns);
		len -= VXCAP_TIME_NAME_LEN;
	}
	if (asprintf(&path, "%.*s%.*s%s%s" SUFFIX, (int)(name - file->path), file->path, (int)len,
		     stem, start, end) < 0)
		return NULL;
	return path;
}

/* Bytes of the file behind the last frame that could be read. */
static uint64_t tail_len(const struct vxcap_file *file)
{
	const unsigned n = unpack_frames(file->unpack);
	const struct unpack_frame *last = unpack_frame(file->unpack, n - 1);
	const uint64_t used = last->offset + last->len;

	return file->size - (file->unseal ? unseal_stored(file->unseal, used) : used);
}

static void tell(const struct rescue *rescue, const char *path)
{
	const struct vxcap_file *file = rescue->file;
	const double seconds =
		rescue->packets ? (double)(rescue->last_ns - rescue->first_ns) / NS_PER_S : 0;

	char made[PATH_MAX], of[PATH_MAX];

	progress_hide();
	(void)snprintf(made, sizeof(made), "%s", path);
	(void)snprintf(of, sizeof(of), "%s", file->path);
	(void)printf("%s: %" PRIu64 " packets, %" PRIu64 " bytes, %.3f s saved; lost: ",
		     plain_text(made), rescue->packets, rescue->bytes, seconds);
	if (unpack_is_indexed(file->unpack))
		(void)printf("%" PRIu64 " packets in %u altered frames of %s\n",
			     rescue->lost_packets, rescue->lost_frames, plain_text(of));
	else
		(void)printf("what the last %" PRIu64 " bytes of %s held\n", tail_len(file),
			     plain_text(of));
}

/* Takes what can be read to path. */
static int rescue_to(struct rescue *rescue, const struct recover *recover, const char *path,
		     struct err *err)
{
	int ret = open_tools(rescue, recover, path, err);

	if (!ret)
		ret = add_frames(rescue, err);
	if (!ret)
		ret = finish(rescue, err);
	if (!ret)
		ret = vxcap_whole_commit(rescue->whole, false, err);
	if (!ret)
		tell(rescue, path);
	return ret;
}

/* A writer has its file locked. */
static int check_not_written(const struct vxcap_file *file, struct err *err)
{
	if (!file->is_part || !flock(file->fd, LOCK_SH | LOCK_NB) || errno != EWOULDBLOCK)
		return 0;
	return err_set(err, -EBUSY, "it is being written: its writer will finish it");
}

/* The file is open. */
static int recover_open(const struct recover *recover, struct rescue *rescue, struct err *err)
{
	const struct vxcap_file *file = rescue->file;

	if (check_not_written(file, err))
		return -EBUSY;
	if (!file->unpack || unpack_frames(file->unpack) == 0)
		return err_set(err, -ENODATA, "nothing of it can be read: it was cut too early");
	int ret = find_altered(rescue, err);
	if (ret)
		return ret;
	if (!file->is_part && !file->is_trunc && rescue->lost_frames == 0) {
		vxcap_say("%s is whole: there is nothing to recover", file->path);
		return 0;
	}
	char *made = recover->out_path ? NULL : whole_path(file);
	const char *path = recover->out_path ? recover->out_path : made;
	ret = path ? rescue_to(rescue, recover, path, err) : err_set(err, -ENOMEM, "out of memory");
	free(made);
	return ret;
}

static int recover_file(const struct recover *recover, struct vxcap_file *file)
{
	struct rescue rescue = {.file = file, .first_ns = UINT64_MAX};
	struct err err, cause;

	file->ends_at_damage = true;
	int ret = vxcap_file_open(file, &recover->keys, &err);
	if (ret) {
		vxcap_say("%s", err.text);
		return ret;
	}
	progress_begin("recovering", 0);
	ret = recover_open(recover, &rescue, &cause);
	progress_end();
	if (ret)
		vxcap_say("%s: %s", file->path, cause.text);
	close_tools(&rescue);
	vxcap_file_close(file);
	return ret;
}

/* ---- the command ---- */

static const struct option OPTIONS[] = {
	VXCAP_KEYS_LONG,
	VXCAP_RECIPIENTS_LONG,
	{0},
};

/* -EINVAL: the command line is wrong. */
static int parse(struct recover *recover, int argc, char **argv, struct err *err)
{
	int option;

	while ((option = vxcap_option(
			argc, argv, VXCAP_KEYS_SHORT VXCAP_RECIPIENTS_SHORT "w:", OPTIONS)) != -1) {
		int ret = vxcap_keys_option(&recover->keys, option, optarg, err);

		if (ret == -ENOENT)
			ret = vxcap_recipients_option(&recover->recipients, option, optarg, err);
		if (ret == -ENOENT && option == 'w') {
			recover->out_path = optarg;
			ret = 0;
		}
		if (ret)
			return ret == -ENOENT ? err_set(err, -EINVAL,
							"%s: recover has no such option, or its "
							"value is missing",
							argv[optind - 1])
					      : -EIO;
	}
	if (optind == argc)
		return err_set(err, -EINVAL, "recover needs a FILE");
	if (recover->recipients.n == 0)
		return err_set(
			err, -EINVAL,
			"recover needs -r RECIPIENT or -R FILE: who is to read the new file");
	if (recover->out_path && optind + 1 != argc)
		return err_set(err, -EINVAL, "-w takes one FILE alone: leave it out for more");
	return vxcap_files_find(&recover->files, argv + optind, argc - optind, err) ? -EIO : 0;
}

int vxcap_recover(int argc, char **argv)
{
	struct recover recover = {0};
	struct err err;
	int code = EXIT_DONE;

	const int ret = parse(&recover, argc, argv, &err);
	if (ret == -EINVAL) {
		code = vxcap_usage("%s", err.text);
	} else if (ret) {
		vxcap_say("%s", err.text);
		code = EXIT_FAILED;
	}
	for (size_t i = 0; !ret && i < recover.files.n; i++)
		if (!recover.files.file[i].is_recovered &&
		    recover_file(&recover, &recover.files.file[i]))
			code = EXIT_FAILED;
	vxcap_files_fini(&recover.files);
	vxcap_keys_wipe(&recover.keys);
	return code;
}
