#include "vxcap_heap.h"

#include <stdlib.h>

#include "base/array.h"

#define SEQUENCE_BITS 48 /* of a packet id; above them is the worker */

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

/* Two packets of one frame: the first in memory was the first in the file. */
static int compare_in_frame(const void *left, const void *right)
{
	const struct block_packet *a = left, *b = right;
	const int by_packet = compare_packets(a, b);

	return by_packet ? by_packet : (a->data > b->data) - (a->data < b->data);
}

int vxcap_place_compare(const struct vxcap_place *a, const struct vxcap_place *b)
{
	const int by_file = order(a->file, b->file);

	return by_file ? by_file : order(a->frame, b->frame);
}

static bool is_before(const struct vxcap_loaded *a, const struct vxcap_loaded *b)
{
	const int by_packet = compare_packets(&a->packet[a->next], &b->packet[b->next]);

	return by_packet ? by_packet < 0 : vxcap_place_compare(&a->place, &b->place) < 0;
}

/* ---- one frame ---- */

void vxcap_loaded_free(struct vxcap_loaded *loaded)
{
	if (!loaded)
		return;
	free(loaded->packet);
	free(loaded->raw);
	free(loaded);
}

static bool is_in_order(const struct vxcap_loaded *loaded)
{
	for (size_t i = 1; i < loaded->n; i++)
		if (compare_packets(&loaded->packet[i - 1], &loaded->packet[i]) > 0)
			return false;
	return true;
}

void vxcap_loaded_sort(struct vxcap_loaded *loaded)
{
	if (!is_in_order(loaded))
		qsort(loaded->packet, loaded->n, sizeof(*loaded->packet), compare_in_frame);
}

/* ---- the heap ---- */

static void swap(struct vxcap_loaded **a, struct vxcap_loaded **b)
{
	struct vxcap_loaded *const c = *a;

	*a = *b;
	*b = c;
}

static void sift_up(struct vxcap_loaded **heap, size_t i)
{
	for (; i > 0 && is_before(heap[i], heap[(i - 1) / 2]); i = (i - 1) / 2)
		swap(&heap[i], &heap[(i - 1) / 2]);
}

static void sift_down(struct vxcap_loaded **heap, size_t n, size_t i)
{
	for (size_t child; (child = 2 * i + 1) < n; i = child) {
		if (child + 1 < n && is_before(heap[child + 1], heap[child]))
			child++;
		if (!is_before(heap[child], heap[i]))
			return;
		swap(&heap[i], &heap[child]);
	}
}

void vxcap_heap_fini(struct vxcap_heap *heap)
{
	for (size_t i = 0; i < heap->n; i++)
		vxcap_loaded_free(heap->loaded[i]);
	free(heap->loaded);
}

int vxcap_heap_push(struct vxcap_heap *heap, struct vxcap_loaded *loaded)
{
	if (array_grow((void **)&heap->loaded, &heap->cap, heap->n + 1,
		       sizeof(struct vxcap_loaded *)))
		return -ENOMEM;
	heap->loaded[heap->n++] = loaded;
	sift_up(heap->loaded, heap->n - 1);
	return 0;
}

struct vxcap_loaded *vxcap_heap_least(const struct vxcap_heap *heap)
{
	return heap->loaded[0];
}

void vxcap_heap_settle(struct vxcap_heap *heap)
{
	struct vxcap_loaded *const least = heap->loaded[0];

	if (least->next == least->n) {
		heap->loaded[0] = heap->loaded[--heap->n];
		vxcap_loaded_free(least);
	}
	sift_down(heap->loaded, heap->n, 0);
}
