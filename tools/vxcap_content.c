#include "vxcap_content.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "path/block_read.h"
#include "path/pack.h"

struct seen {
	uint64_t packets, first_ns, last_ns;
};

static int read_blocks(struct block_reader *reader, const uint8_t *p, size_t len, struct seen *seen,
		       struct err *err)
{
	struct block block;
	size_t used;

	*seen = (struct seen){.first_ns = UINT64_MAX};
	for (; len > 0; p += used, len -= used) {
		const int ret = block_read(reader, p, len, &block, &used, err);
		if (ret)
			return ret == -EAGAIN ? err_set(err, -EBADMSG, "a block is cut") : ret;
		if (block.kind != BLOCK_PACKET)
			continue;
		seen->packets++;
		if (block.packet.time_ns < seen->first_ns)
			seen->first_ns = block.packet.time_ns;
		if (block.packet.time_ns > seen->last_ns)
			seen->last_ns = block.packet.time_ns;
	}
	return 0;
}

static bool is_as_said(const struct unpack_frame *said, const struct seen *seen)
{
	return said->packets == seen->packets &&
	       (!seen->packets ||
		(said->first_ns == seen->first_ns && said->last_ns == seen->last_ns));
}

static int check_frame(struct vxcap_file *file, struct block_reader *reader, unsigned i,
		       uint64_t *packets, struct err *err)
{
	const struct unpack_frame *frame = unpack_frame(file->unpack, i);
	uint8_t *raw = malloc(frame->raw_len ? frame->raw_len : 1);
	struct seen seen;
	struct err why;

	if (!raw)
		return err_set(err, -ENOMEM, "out of memory");
	int ret = unpack_read(file->unpack, i, raw, &why);
	if (!ret)
		ret = read_blocks(reader, raw, frame->raw_len, &seen, &why);
	free(raw);
	if (ret)
		return err_set(err, ret, "frame %u: %s", i, why.text);
	*packets += seen.packets;
	return is_as_said(frame, &seen)
		       ? 0
		       : err_set(err, -EBADMSG, "frame %u: the index says other packets or times",
				 i);
}

static int check_frames(struct vxcap_file *file, uint64_t *packets, struct err *err)
{
	struct block_reader *reader;
	int ret = block_reader_open(&reader, err);

	if (ret)
		return ret;
	for (unsigned i = 0; i < unpack_frames(file->unpack) && !ret; i++)
		ret = check_frame(file, reader, i, packets, err);
	block_reader_close(reader);
	return ret;
}

int vxcap_content_check(const char *path, const struct vxcap_keys *keys, bool is_whole,
			int64_t packets, struct err *err)
{
	struct vxcap_file file = {.path = (char *)path, .fd = -1};
	uint64_t found = 0;
	int ret = vxcap_file_open(&file, keys, err);

	if (ret)
		return ret;
	if (is_whole && file.is_trunc)
		ret = err_set(err, -EBADMSG, "it ends too early");
	else if (is_whole && file.is_sealed && !unpack_is_indexed(file.unpack))
		ret = err_set(err, -EBADMSG, "its index or seek table does not fit it");
	else if (file.unpack)
		ret = check_frames(&file, &found, err);
	vxcap_file_close(&file);
	if (ret || packets < 0 || (uint64_t)packets == found)
		return ret;
	return err_set(err, -EBADMSG, "it has %" PRIu64 " packets, its entry says %" PRId64, found,
		       packets);
}
