#include "vxcap_merge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "path/block_read.h"
#include "path/pack.h"
#include "vxcap.h"
#include "vxcap_heap.h"

struct input {
	struct vxcap_file *file;            /* borrowed */
	struct vxcap_interface **interface; /* by number in the file; NULL: not wanted */
	size_t n_interfaces, interfaces_cap;
	unsigned frames; /* of the file, when it was added */
	unsigned wanted; /* frames still to be loaded */
	bool is_gone;    /* deleted before all of them were */
};

/* A frame to be loaded. */
struct waiting {
	struct vxcap_place place;
	uint64_t first_ns;
};

struct vxcap_merge {
	const struct vxcap_filter *filter;
	struct vxcap_output *output;
	struct input **input; /* by their number */
	size_t n_inputs, inputs_cap;
	struct waiting *waiting;
	size_t n_waiting, waiting_cap, next_waiting;
	uint64_t size;       /* of the frames that wait, before the first is loaded */
	unsigned n_open;     /* files, of those that waiting frames are in */
	uint64_t loaded_len; /* of the frames in memory */
	struct vxcap_merge_counts counts;
	struct vxcap_heap heap;
};

static struct input *input_of(const struct vxcap_merge *merge, const struct vxcap_place *place)
{
	return merge->input[place->file];
}

/* ---- adding files ---- */

/* An interface becomes the one of the output, NULL when it is not wanted. Names are those of the
 * interface in front of them. */
static int take_definition(const struct vxcap_merge *merge, const struct block_reader *reader,
			   struct block *block, struct vxcap_interface **interface, struct err *err)
{
	struct block_name name;
	int ret = 0;

	if (block->kind == BLOCK_INTERFACE) {
		const bool wanted = vxcap_filter_interface(merge->filter, &block->interface);
		*interface =
			wanted ? vxcap_output_interface(merge->output, &block->interface) : NULL;
		return wanted && !*interface ? err_set(err, -ENOMEM, "out of memory") : 0;
	}
	while (!ret && block->kind == BLOCK_NAMES && *interface &&
	       block_names_next(reader, &block->names, &name))
		ret = vxcap_output_name(merge->output, *interface, &name, err);
	return ret;
}

static int add_interfaces(struct vxcap_merge *merge, struct input *input,
			  struct block_reader *reader, struct err *err)
{
	struct vxcap_interface *interface = NULL;
	size_t len, used;
	const uint8_t *p = unpack_interfaces(input->file->unpack, &len);

	for (struct block block; len > 0; p += used, len -= used) {
		int ret = block_read(reader, p, len, &block, &used, err);
		if (!ret)
			ret = take_definition(merge, reader, &block, &interface, err);
		if (ret)
			return ret;
		if (block.kind != BLOCK_INTERFACE)
			continue;
		if (array_grow((void **)&input->interface, &input->interfaces_cap,
			       input->n_interfaces + 1, sizeof(struct vxcap_interface *)))
			return err_set(err, -ENOMEM, "out of memory");
		input->interface[input->n_interfaces++] = interface;
	}
	return 0;
}

static bool wants_interface(const struct input *input)
{
	for (size_t i = 0; i < input->n_interfaces; i++)
		if (input->interface[i])
			return true;
	return false;
}

static bool has_wanted_interface(const struct input *input, unsigned frame)
{
	for (size_t i = 0; i < input->n_interfaces; i++)
		if (input->interface[i] &&
		    unpack_may_have_interface(input->file->unpack, frame, (uint32_t)i))
			return true;
	return false;
}

/* False: the index rules out a wanted packet. */
static bool wants_frame(const struct vxcap_merge *merge, const struct input *input, unsigned i)
{
	const struct unpack_frame *frame = unpack_frame(input->file->unpack, i);

	return vxcap_filter_range(merge->filter, frame->first_ns, frame->last_ns) &&
	       (!vxcap_filter_by_interface(merge->filter) || has_wanted_interface(input, i)) &&
	       vxcap_flows_frame(&merge->filter->flows, input->file->unpack, i);
}

static int add_frame(struct vxcap_merge *merge, struct input *input, unsigned i, struct err *err)
{
	const struct unpack_frame *frame = unpack_frame(input->file->unpack, i);

	if (array_grow((void **)&merge->waiting, &merge->waiting_cap, merge->n_waiting + 1,
		       sizeof(*merge->waiting)))
		return err_set(err, -ENOMEM, "out of memory");
	merge->waiting[merge->n_waiting++] = (struct waiting){
		.place = {(unsigned)merge->n_inputs - 1, i}, .first_ns = frame->first_ns};
	merge->size += frame->len;
	merge->counts.frames_wanted++;
	input->wanted++;
	return 0;
}

/* Of an open file the last frame may not be all written: it is read only if it is wanted. */
static int add_frames(struct vxcap_merge *merge, struct input *input, struct err *err)
{
	struct unpack *unpack = input->file->unpack;
	int ret = 0;

	merge->counts.files++;
	merge->counts.frames += unpack_frames(unpack);
	for (unsigned i = 0; !ret && i < unpack_frames(unpack) && wants_interface(input); i++) {
		if (!wants_frame(merge, input, i))
			continue;
		if (unpack_is_unsettled(unpack, i))
			ret = unpack_settle(unpack, err);
		if (!ret && i < unpack_frames(unpack))
			ret = add_frame(merge, input, i, err);
	}
	input->frames = unpack_frames(unpack);
	return ret;
}

/* When no frame of it is wanted, or more than max files are open. One without index stays: finding
 * its frames took a pass. */
static void close_when_due(struct vxcap_merge *merge, const struct input *input, unsigned max)
{
	struct vxcap_file *file = input->file;

	if (!file->unpack ||
	    (input->wanted > 0 && (merge->n_open <= max || !unpack_is_indexed(file->unpack))))
		return;
	vxcap_file_close(file);
	merge->n_open--;
}

static int input_new(struct vxcap_merge *merge, struct vxcap_file *file, struct input **out,
		     struct err *err)
{
	struct input *input = calloc(1, sizeof(*input));

	if (!input || array_grow((void **)&merge->input, &merge->inputs_cap, merge->n_inputs + 1,
				 sizeof(*merge->input))) {
		free(input);
		return err_set(err, -ENOMEM, "out of memory");
	}
	input->file = file;
	merge->input[merge->n_inputs++] = input;
	*out = input;
	return 0;
}

int vxcap_merge_add(struct vxcap_merge *merge, struct vxcap_file *file, struct err *err)
{
	struct block_reader *reader;
	struct input *input = NULL;

	if (!file->unpack) { /* empty */
		vxcap_file_close(file);
		return 0;
	}
	int ret = input_new(merge, file, &input, err);
	if (ret)
		return ret;
	ret = block_reader_open(&reader, err);
	if (ret)
		return ret;
	ret = add_interfaces(merge, input, reader, err);
	block_reader_close(reader);
	if (!ret)
		ret = add_frames(merge, input, err);
	merge->n_open++;
	close_when_due(merge, input,
		       file->far || file->keys->unwrap ? VXCAP_MERGE_OPEN : VXCAP_MERGE_KEPT);
	return ret;
}

/* ---- loading a frame ---- */

/* Takes the packet when it is wanted. */
static int load_packet(const struct vxcap_merge *merge, struct vxcap_loaded *loaded,
		       const struct block_packet *packet, uint64_t first_ns, struct err *err)
{
	const struct input *input = input_of(merge, &loaded->place);

	if (packet->interface >= input->n_interfaces || packet->time_ns < first_ns)
		return err_set(err, -EBADMSG, "%s: its frame %u is not as the index says",
			       input->file->path, loaded->place.frame);
	if (!input->interface[packet->interface] || !vxcap_filter_packet(merge->filter, packet))
		return 0;
	if (array_grow((void **)&loaded->packet, &loaded->cap, loaded->n + 1,
		       sizeof(*loaded->packet)))
		return err_set(err, -ENOMEM, "out of memory");
	loaded->packet[loaded->n++] = *packet;
	return 0;
}

/* The index may not have all names: they are looked for in the frame too. */
static int load_blocks(const struct vxcap_merge *merge, struct vxcap_loaded *loaded,
		       struct block_reader *reader, struct err *err)
{
	const struct vxcap_file *file = input_of(merge, &loaded->place)->file;
	const uint64_t first_ns = unpack_frame(file->unpack, loaded->place.frame)->first_ns;
	struct vxcap_interface *interface = NULL;
	const uint8_t *p = loaded->raw;
	struct block block;
	struct err cause;
	size_t used;

	for (size_t len = loaded->len; len > 0; p += used, len -= used) {
		int ret = block_read(reader, p, len, &block, &used, &cause);
		if (ret)
			return err_set(err, ret == -EAGAIN ? -EBADMSG : ret, "%s: frame %u: %s",
				       file->path, loaded->place.frame,
				       ret == -EAGAIN ? "it ends inside a block" : cause.text);
		if (block.kind == BLOCK_PACKET)
			ret = load_packet(merge, loaded, &block.packet, first_ns, err);
		else
			ret = take_definition(merge, reader, &block, &interface, err);
		if (ret)
			return ret;
	}
	return 0;
}

static int read_definitions(struct block_reader *reader, const uint8_t *p, size_t len,
			    struct err *err)
{
	struct block block;
	size_t used;

	for (; len > 0; p += used, len -= used) {
		const int ret = block_read(reader, p, len, &block, &used, err);
		if (ret)
			return ret;
	}
	return 0;
}

/* The interfaces first: all but the first frame of a file need them. */
static int load_content(const struct vxcap_merge *merge, struct vxcap_loaded *loaded,
			struct err *err)
{
	struct vxcap_file *file = input_of(merge, &loaded->place)->file;
	struct block_reader *reader;
	size_t len;

	loaded->len = unpack_frame(file->unpack, loaded->place.frame)->raw_len;
	if (merge->loaded_len + loaded->len > VXCAP_MERGE_LEN)
		return err_set(err, -E2BIG,
			       "%s: more than 4 GiB of frames overlap in time: select fewer files",
			       file->path);
	loaded->raw = malloc(loaded->len);
	if (!loaded->raw)
		return err_set(err, -ENOMEM, "out of memory");
	int ret = vxcap_file_read_frame(file, loaded->place.frame, loaded->raw, err);
	if (!ret)
		ret = block_reader_open(&reader, err);
	if (ret)
		return ret;
	const uint8_t *interfaces = unpack_interfaces(file->unpack, &len);
	ret = read_definitions(reader, interfaces, len, err);
	if (!ret)
		ret = load_blocks(merge, loaded, reader, err);
	block_reader_close(reader);
	vxcap_loaded_sort(loaded);
	return ret;
}

/* Opens the file again where vxcap_merge_add had closed it. */
static int reopen(struct vxcap_merge *merge, const struct input *input, struct err *err)
{
	struct vxcap_file *file = input->file;

	if (file->unpack)
		return 0;
	const int ret = vxcap_file_open(file, file->keys, err);
	if (ret)
		return ret;
	merge->n_open++;
	if (!file->unpack || unpack_frames(file->unpack) != input->frames)
		return err_set(err, -EBADMSG, "%s was changed while it was read", file->path);
	return 0;
}

/* Retention goes on: a file of a folder may go, and the others are given. */
static int leave_deleted(struct input *input)
{
	if (!input->is_gone)
		vxcap_say("%s was deleted meanwhile: %u of its frames are left out",
			  input->file->path, input->wanted);
	input->is_gone = true;
	return 0;
}

/* Reads a frame into the heap. */
static int load(struct vxcap_merge *merge, struct vxcap_place place, struct err *err)
{
	struct input *const input = input_of(merge, &place);
	struct vxcap_loaded *loaded = calloc(1, sizeof(*loaded));

	if (!loaded)
		return err_set(err, -ENOMEM, "out of memory");
	loaded->place = place;
	int ret = load_content(merge, loaded, err);
	input->wanted--;
	close_when_due(merge, input, VXCAP_MERGE_OPEN);
	if (ret || loaded->n == 0)
		goto out;
	merge->loaded_len += loaded->len;
	if (merge->loaded_len > merge->counts.peak_len)
		merge->counts.peak_len = merge->loaded_len;
	if (!vxcap_heap_push(&merge->heap, loaded))
		return 0;
	ret = err_set(err, -ENOMEM, "out of memory");
out:
	vxcap_loaded_free(loaded);
	return ret;
}

/* Takes the next frame that waits. */
static int load_next(struct vxcap_merge *merge, struct err *err)
{
	const struct vxcap_place place = merge->waiting[merge->next_waiting++].place;
	struct input *const input = input_of(merge, &place);
	const int ret = input->is_gone ? -ENOENT : reopen(merge, input, err);

	if (ret == -ENOENT && input->file->is_of_folder)
		return leave_deleted(input);
	return ret ? ret : load(merge, place, err);
}

static int compare_waiting(const void *left, const void *right)
{
	const struct waiting *a = left, *b = right;

	if (a->first_ns != b->first_ns)
		return a->first_ns < b->first_ns ? -1 : 1;
	return vxcap_place_compare(&a->place, &b->place);
}

/* ---- merging ---- */

static uint64_t next_time(const struct vxcap_merge *merge)
{
	const struct vxcap_loaded *least = vxcap_heap_least(&merge->heap);

	return least->packet[least->next].time_ns;
}

/* Loads every frame that may hold a packet before the least one. */
static int load_due(struct vxcap_merge *merge, struct err *err)
{
	int ret = 0;

	while (!ret && merge->next_waiting < merge->n_waiting &&
	       (merge->heap.n == 0 ||
		merge->waiting[merge->next_waiting].first_ns <= next_time(merge))) {
		/* Reading takes time: who reads our output has the packets before it. */
		ret = vxcap_output_flush(merge->output, err);
		if (!ret)
			ret = load_next(merge, err);
	}
	return ret;
}

static int emit_least(struct vxcap_merge *merge, struct err *err)
{
	struct vxcap_loaded *least = vxcap_heap_least(&merge->heap);
	const struct input *input = input_of(merge, &least->place);
	const struct block_packet *packet = &least->packet[least->next++];
	const int ret = vxcap_output_packet(merge->output, input->interface[packet->interface],
					    packet, err);

	if (least->next == least->n)
		merge->loaded_len -= least->len;
	vxcap_heap_settle(&merge->heap);
	return ret;
}

struct vxcap_merge_counts vxcap_merge_counts(const struct vxcap_merge *merge)
{
	return merge->counts;
}

uint64_t vxcap_merge_size(const struct vxcap_merge *merge)
{
	return merge->size;
}

int vxcap_merge_run(struct vxcap_merge *merge, uint64_t *n, struct err *err)
{
	*n = 0;
	if (merge->n_waiting)
		qsort(merge->waiting, merge->n_waiting, sizeof(*merge->waiting), compare_waiting);
	for (;;) {
		int ret = load_due(merge, err);
		if (ret || merge->heap.n == 0)
			return ret;
		ret = emit_least(merge, err);
		if (ret)
			return ret;
		++*n;
	}
}

int vxcap_merge_open(struct vxcap_merge **out, const struct vxcap_filter *filter,
		     struct vxcap_output *output, struct err *err)
{
	struct vxcap_merge *merge = calloc(1, sizeof(*merge));

	if (!merge)
		return err_set(err, -ENOMEM, "out of memory");
	merge->filter = filter;
	merge->output = output;
	*out = merge;
	return 0;
}

void vxcap_merge_close(struct vxcap_merge *merge)
{
	if (!merge)
		return;
	vxcap_heap_fini(&merge->heap);
	for (size_t i = 0; i < merge->n_inputs; i++) {
		free(merge->input[i]->interface);
		free(merge->input[i]);
	}
	free(merge->waiting);
	free(merge->input);
	free(merge);
}
