#include "vxmirror_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "path/block.h"
#include "version.h"

struct mirror_file {
	FILE *stream;
	const char *path;
	uint8_t *block; /* of the longest packet */
};

static int write_block(struct mirror_file *f, size_t len, struct err *err)
{
	if (fwrite(f->block, 1, len, f->stream) != len)
		return err_set(err, -errno, "cannot write %s: %s", f->path, strerror(errno));
	return 0;
}

static int write_head(struct mirror_file *f, struct err *err)
{
	const struct block_interface interface = {
		.linktype = BLOCK_LINKTYPE_ETHERNET,
		.snaplen = BLOCK_SNAPLEN,
		.name = "mirror",
	};
	const size_t cap = block_packet_len(MIRROR_FRAME_MAX);
	const size_t n = block_section(f->block, cap, "vxmirror " VERSION, NULL);
	const int ret = write_block(f, n, err);

	return ret ? ret : write_block(f, block_interface(f->block, cap, &interface), err);
}

static int open_stream(struct mirror_file *f, struct err *err)
{
	const bool is_stdout = strcmp(f->path, "-") == 0;

	if (is_stdout && isatty(STDOUT_FILENO))
		return err_set(err, -EINVAL, "standard output is a terminal: name a file, or pipe");
	f->stream = is_stdout ? stdout : fopen(f->path, "wbe");
	if (!f->stream)
		return err_set(err, -errno, "cannot write %s: %s", f->path, strerror(errno));
	return 0;
}

int mirror_file_open(struct mirror_file **out, const char *path, struct err *err)
{
	struct mirror_file *f = calloc(1, sizeof(*f));
	struct err of_close;
	int ret;

	if (!f)
		return err_set(err, -ENOMEM, "out of memory");
	f->path = path;
	f->block = malloc(block_packet_len(MIRROR_FRAME_MAX));
	ret = f->block ? open_stream(f, err) : err_set(err, -ENOMEM, "out of memory");
	if (ret || (ret = write_head(f, err))) {
		(void)mirror_file_close(f, &of_close); /* err has the reason */
		return ret;
	}
	*out = f;
	return 0;
}

int mirror_file_close(struct mirror_file *file, struct err *err)
{
	int ret = 0;

	if (!file)
		return 0;
	if (file->stream && fclose(file->stream) != 0)
		ret = err_set(err, -errno, "cannot write %s: %s", file->path, strerror(errno));
	free(file->block);
	free(file);
	return ret;
}

int mirror_file_put(struct mirror_file *file, const struct mirror *mirror,
		    const struct mirrored *mirrored, struct err *err)
{
	const struct capfile_packet *p = &mirrored->packet;
	const uint32_t len = (uint32_t)mirror_wrap(file->block + BLOCK_PACKET_HEAD, mirror, p->data,
						   p->cap_len, mirrored->is_far_end);
	const struct block_packet head = {
		.time_ns = p->time_ns,
		.cap_len = len,
		.wire_len = len,
		.id = mirrored->id,
	};

	return write_block(file, block_packet_frame(file->block, &head), err);
}
