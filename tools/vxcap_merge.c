#include "vxcap_merge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "path/block_read.h"
#include "path/pack.h"

#define SEQUENCE_BITS 48 /* of a packet id; above them is the worker */

struct input {
	struct vxcap_file *file;            /* borrowed */
	struct vxcap_interface **interface; /* by number in the file; NULL: not wanted */
	size_t n_interfaces, interfaces_cap;
	unsigned order;  /* of the files */
	unsigned frames; /* of the file, when it was added */
	unsigned wanted; /* frames still to be loaded */
};

struct run {
	struct input *input;
	unsigned frame;
	uint64_t first_ns;
};

/* A frame in memory: its wanted packets in order. */
struct loaded {
	struct run run;
	uint8_t *raw; /* what the packets point into */
	uint32_t len; /* of raw */
	struct block_packet *packet;
	size_t n, cap, next;
};

struct vxcap_merge {
	const struct vxcap_filter *filter;
	struct vxcap_output *output;
	struct input **input;
	size_t n_inputs, inputs_cap;
	struct run *waiting;
	size_t n_waiting, waiting_cap, next_waiting;
	uint64_t size;       /* of the frames that wait, before the first is loaded */
	unsigned n_open;     /* files, of those that waiting frames are in */
	uint64_t loaded_len; /* of the frames in memory */
	struct vxcap_merge_counts counts;
	struct loaded **heap; /* least next packet first */
	size_t n_loaded, heap_cap;
};

/* ---- order ---- */

static int order(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static uint64_t sequence(const struct block_packet *packet)
{
	return packet->id == UINT64_MAX ? 0 : packet->id & ((UINT64_C(1) << SEQUENCE_BITS) - 1);
}

static int compare_packets(const struct block_packet *a, const struct block_packet *b)
{
	const int by_time = order(a->time_ns, b->time_ns);

	return by_time ? by_time : order(sequence(a), sequence(b));
}

static int compare_places(const struct run *a, const struct run *b)
{
	const int by_file = order(a->input->order, b->input->order);

	return by_file ? by_file : order(a->frame, b->frame);
}

/* Two packets of one frame: the first in memory was the first in the file. */
static int compare_in_frame(const void *left, const void *right)
{
	const struct block_packet *a = left, *b = right;
	const int by_packet = compare_packets(a, b);

	return by_packet ? by_packet : (a->data > b->data) - (a->data < b->data);
}

static int compare_waiting(const void *left, const void *right)
{
	const struct run *a = left, *b = right;
	const int by_time = order(a->first_ns, b->first_ns);

	return by_time ? by_time : compare_places(a, b);
}

static bool is_before(const struct loaded *a, const struct loaded *b)
{
	const int by_packet = compare_packets(&a->packet[a->next], &b->packet[b->next]);

	return by_packet ? by_packet < 0 : compare_places(&a->run, &b->run) < 0;
}

/* ---- the heap ---- */

static void swap(struct loaded **a, struct loaded **b)
{
	struct loaded *const c = *a;

	*a = *b;
	*b = c;
}

static void sift_up(struct loaded **heap, size_t i)
{
	for (; i > 0 && is_before(heap[i], heap[(i - 1) / 2]); i = (i - 1) / 2)
		swap(&heap[i], &heap[(i - 1) / 2]);
}

static void sift_down(struct loaded **heap, size_t n, size_t i)
{
	for (size_t child; (child = 2 * i + 1) < n; i = child) {
		if (child + 1 < n && is_before(heap[child + 1], heap[child]))
			child++;
		if (!is_before(heap[child], heap[i]))
			return;
		swap(&heap[i], &heap[child]);
	}
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

static int add_frames(struct vxcap_merge *merge, struct input *input, struct err *err)
{
	const struct unpack *unpack = input->file->unpack;

	input->frames = unpack_frames(unpack);
	merge->counts.files++;
	merge->counts.frames += input->frames;
	for (unsigned i = 0; i < input->frames && wants_interface(input); i++) {
		const struct unpack_frame *frame = unpack_frame(unpack, i);

		if (!wants_frame(merge, input, i))
			continue;
		if (array_grow((void **)&merge->waiting, &merge->waiting_cap, merge->n_waiting + 1,
			       sizeof(*merge->waiting)))
			return err_set(err, -ENOMEM, "out of memory");
		merge->waiting[merge->n_waiting++] = (struct run){input, i, frame->first_ns};
		merge->size += frame->len;
		merge->counts.frames_wanted++;
		input->wanted++;
	}
	return 0;
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
	input->order = (unsigned)merge->n_inputs;
	merge->input[merge->n_inputs++] = input;
	*out = input;
	return 0;
}

int vxcap_merge_add(struct vxcap_merge *merge, struct vxcap_file *file, struct err *err)
{
	struct block_reader *reader;
	struct input *input = NULL;

	if (!file->unpack)
		return 0;
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
	/* Few files are open at a time. One without index stays: finding its frames took a pass. */
	if (input->wanted == 0 || unpack_is_indexed(file->unpack))
		vxcap_file_close(file);
	else
		merge->n_open++;
	return ret;
}

/* ---- loading a frame ---- */

static void loaded_free(struct loaded *loaded)
{
	if (!loaded)
		return;
	free(loaded->packet);
	free(loaded->raw);
	free(loaded);
}

/* Takes the packet when it is wanted. */
static int load_packet(const struct vxcap_merge *merge, struct loaded *loaded,
		       const struct block_packet *packet, struct err *err)
{
	const struct input *input = loaded->run.input;

	if (packet->interface >= input->n_interfaces || packet->time_ns < loaded->run.first_ns)
		return err_set(err, -EBADMSG, "%s: its frame %u is not as the index says",
			       input->file->path, loaded->run.frame);
	if (!input->interface[packet->interface] || !vxcap_filter_packet(merge->filter, packet))
		return 0;
	if (array_grow((void **)&loaded->packet, &loaded->cap, loaded->n + 1,
		       sizeof(*loaded->packet)))
		return err_set(err, -ENOMEM, "out of memory");
	loaded->packet[loaded->n++] = *packet;
	return 0;
}

/* The index may not have all names: they are looked for in the frame too. */
static int load_blocks(const struct vxcap_merge *merge, struct loaded *loaded,
		       struct block_reader *reader, const uint8_t *p, size_t len, struct err *err)
{
	const char *path = loaded->run.input->file->path;
	struct vxcap_interface *interface = NULL;
	struct block block;
	struct err cause;
	size_t used;

	for (; len > 0; p += used, len -= used) {
		int ret = block_read(reader, p, len, &block, &used, &cause);
		if (ret)
			return err_set(err, ret == -EAGAIN ? -EBADMSG : ret, "%s: frame %u: %s",
				       path, loaded->run.frame,
				       ret == -EAGAIN ? "it ends inside a block" : cause.text);
		if (block.kind == BLOCK_PACKET)
			ret = load_packet(merge, loaded, &block.packet, err);
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

static bool is_in_order(const struct loaded *loaded)
{
	for (size_t i = 1; i < loaded->n; i++)
		if (compare_packets(&loaded->packet[i - 1], &loaded->packet[i]) > 0)
			return false;
	return true;
}

/* The interfaces first: all but the first frame of a file need them. */
static int load_content(const struct vxcap_merge *merge, struct loaded *loaded, struct err *err)
{
	const struct run *run = &loaded->run;
	struct unpack *unpack = run->input->file->unpack;
	const struct unpack_frame *frame = unpack_frame(unpack, run->frame);
	struct block_reader *reader;
	struct err cause;
	size_t len;

	if (merge->loaded_len + frame->raw_len > VXCAP_MERGE_LEN)
		return err_set(err, -E2BIG,
			       "%s: more than 4 GiB of frames overlap in time: select fewer files",
			       run->input->file->path);
	loaded->len = frame->raw_len;
	loaded->raw = malloc(frame->raw_len);
	if (!loaded->raw)
		return err_set(err, -ENOMEM, "out of memory");
	int ret = unpack_read(unpack, run->frame, loaded->raw, &cause);
	if (ret)
		return err_set(err, ret, "%s: %s", run->input->file->path, cause.text);
	ret = block_reader_open(&reader, err);
	if (ret)
		return ret;
	const uint8_t *interfaces = unpack_interfaces(unpack, &len);
	ret = read_definitions(reader, interfaces, len, err);
	if (!ret)
		ret = load_blocks(merge, loaded, reader, loaded->raw, frame->raw_len, err);
	block_reader_close(reader);
	if (!is_in_order(loaded))
		qsort(loaded->packet, loaded->n, sizeof(*loaded->packet), compare_in_frame);
	return ret;
}

/* Opens the file again where vxcap_merge_add had closed it. */
static int reopen(struct vxcap_merge *merge, const struct run *run, struct err *err)
{
	struct vxcap_file *file = run->input->file;

	if (file->unpack)
		return 0;
	const int ret = vxcap_file_open(file, file->keys, err);
	if (ret)
		return ret;
	merge->n_open++;
	if (!file->unpack || unpack_frames(file->unpack) != run->input->frames)
		return err_set(err, -EBADMSG, "%s was changed while it was read", file->path);
	return 0;
}

/* The last frame of the file was read, or too many others are open. */
static void close_when_due(struct vxcap_merge *merge, struct input *input)
{
	struct vxcap_file *file = input->file;

	if (!file->unpack || (--input->wanted > 0 && (merge->n_open <= VXCAP_MERGE_OPEN ||
						      !unpack_is_indexed(file->unpack))))
		return;
	vxcap_file_close(file);
	merge->n_open--;
}

/* Reads the next waiting frame into the heap. */
static int load_next(struct vxcap_merge *merge, struct err *err)
{
	struct run *run = &merge->waiting[merge->next_waiting++];
	struct loaded *loaded = calloc(1, sizeof(*loaded));
	int ret;

	if (!loaded || array_grow((void **)&merge->heap, &merge->heap_cap, merge->n_loaded + 1,
				  sizeof(struct loaded *))) {
		ret = err_set(err, -ENOMEM, "out of memory");
		goto fail;
	}
	loaded->run = *run;
	ret = reopen(merge, run, err);
	if (!ret)
		ret = load_content(merge, loaded, err);
	close_when_due(merge, run->input);
	if (ret || loaded->n == 0)
		goto fail;
	merge->loaded_len += loaded->len;
	if (merge->loaded_len > merge->counts.peak_len)
		merge->counts.peak_len = merge->loaded_len;
	merge->heap[merge->n_loaded++] = loaded;
	sift_up(merge->heap, merge->n_loaded - 1);
	return 0;
fail:
	loaded_free(loaded);
	return ret;
}

/* ---- merging ---- */

static uint64_t next_time(const struct vxcap_merge *merge)
{
	const struct loaded *least = merge->heap[0];

	return least->packet[least->next].time_ns;
}

/* Loads every frame that may hold a packet before the least one. */
static int load_due(struct vxcap_merge *merge, struct err *err)
{
	int ret = 0;

	while (!ret && merge->next_waiting < merge->n_waiting &&
	       (merge->n_loaded == 0 ||
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
	struct loaded *least = merge->heap[0];
	const struct block_packet *packet = &least->packet[least->next++];
	const int ret = vxcap_output_packet(
		merge->output, least->run.input->interface[packet->interface], packet, err);

	if (least->next == least->n) {
		merge->heap[0] = merge->heap[--merge->n_loaded];
		merge->loaded_len -= least->len;
		loaded_free(least);
	}
	sift_down(merge->heap, merge->n_loaded, 0);
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
		if (ret || merge->n_loaded == 0)
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
	for (size_t i = 0; i < merge->n_loaded; i++)
		loaded_free(merge->heap[i]);
	for (size_t i = 0; i < merge->n_inputs; i++) {
		free(merge->input[i]->interface);
		free(merge->input[i]);
	}
	free(merge->heap);
	free(merge->waiting);
	free(merge->input);
	free(merge);
}
