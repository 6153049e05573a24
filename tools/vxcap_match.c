#include "vxcap_match.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "path/pack.h"

/* ---- rewrapped ---- */

static int hash_as_before(struct vxcap_file *file, const struct vxcap_keys *keys, uint64_t bytes,
			  bool (*did)(void *, uint64_t), uint8_t out[static CHAIN_HASH],
			  struct err *err)
{
	static struct seal_rewrapped head; /* large */
	const struct unseal_source source = vxcap_file_source(file);
	const struct unseal_keys all = vxcap_keys_unseal(keys);
	uint64_t len;

	int ret = seal_rewrap_undo(&source, &all, bytes, &head, err);
	if (ret)
		return ret;
	ret = chain_hash_behind(head.header, head.len, file->fd, head.old_len, did, NULL, out,
				&len);
	return ret ? err_set(err, ret, "%s", strerror(-ret)) : 0;
}

int vxcap_match_rewrapped(const char *path, const struct vxcap_keys *keys, uint64_t bytes,
			  const uint8_t sha256[static CHAIN_HASH],
			  bool (*did)(void *arg, uint64_t more), struct err *err)
{
	struct vxcap_file file = {.path = (char *)path, .fd = -1};
	uint8_t before[CHAIN_HASH];
	int ret = vxcap_file_hold(&file, err);

	if (ret)
		return ret;
	ret = file.is_sealed ? hash_as_before(&file, keys, bytes, did, before, err)
			     : err_set(err, -ENOENT, "it is not sealed");
	if (!ret && memcmp(before, sha256, CHAIN_HASH) != 0)
		ret = err_set(err, -ENOENT, "its payload is another");
	vxcap_file_close(&file);
	return ret;
}

/* ---- recovered ---- */

/* The blocks of a file, frame by frame. */
struct stream {
	struct vxcap_file file;
	unsigned next; /* frame */
	uint8_t *frame;
	size_t at, len; /* of frame */
};

/* Sees to it that there is something at s->at, but at the end. */
static int fill(struct stream *s, struct err *err)
{
	const unsigned n = s->file.unpack ? unpack_frames(s->file.unpack) : 0;

	while (s->at == s->len && s->next < n) {
		const size_t len = unpack_frame(s->file.unpack, s->next)->raw_len;
		uint8_t *frame = realloc(s->frame, len ? len : 1);
		if (!frame)
			return err_set(err, -ENOMEM, "out of memory");
		s->frame = frame;
		const int ret = unpack_read(s->file.unpack, s->next++, frame, err);
		if (ret)
			return ret;
		s->at = 0;
		s->len = len;
	}
	return 0;
}

static int compare(struct stream *a, struct stream *b, struct err *err)
{
	for (;;) {
		int ret = fill(a, err);
		if (!ret)
			ret = fill(b, err);
		if (ret)
			return ret;
		const size_t left_a = a->len - a->at, left_b = b->len - b->at;
		const size_t n = left_a < left_b ? left_a : left_b;
		if (!n)
			return left_a == left_b ? 0 : err_set(err, -ENOENT, "more blocks");
		if (memcmp(a->frame + a->at, b->frame + b->at, n) != 0)
			return err_set(err, -ENOENT, "other blocks");
		a->at += n;
		b->at += n;
	}
}

int vxcap_match_recovered(const char *whole, const char *unfinished, const struct vxcap_keys *keys,
			  struct err *err)
{
	struct stream made = {.file = {.path = (char *)whole, .fd = -1}};
	struct stream of = {.file = {.path = (char *)unfinished, .fd = -1, .ends_at_damage = true}};
	int ret = vxcap_file_open(&made.file, keys, err);

	if (!ret)
		ret = vxcap_file_open(&of.file, keys, err);
	if (!ret)
		ret = compare(&made, &of, err);
	vxcap_file_close(&made.file);
	vxcap_file_close(&of.file);
	free(made.frame);
	free(of.frame);
	return ret;
}
