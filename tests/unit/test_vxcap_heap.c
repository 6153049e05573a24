#include "../../tools/vxcap_heap.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define FRAMES  40u
#define PACKETS 25u

/* Frame i of file i / 7, times scattered by a seed, sorted. */
static struct vxcap_loaded *make(unsigned i, unsigned seed)
{
	struct vxcap_loaded *loaded = calloc(1, sizeof(*loaded));

	loaded->place = (struct vxcap_place){.file = i / 7, .frame = i % 7};
	loaded->raw = malloc(PACKETS);
	loaded->packet = calloc(PACKETS, sizeof(*loaded->packet));
	for (unsigned k = 0; k < PACKETS; k++) {
		seed = seed * 1103515245u + 12345u;
		loaded->packet[loaded->n++] = (struct block_packet){
			.data = loaded->raw + k,
			.time_ns = seed >> 16 & 31,
			.id = k % 5 ? (uint64_t)i << 48 | (seed >> 21 & 3) : UINT64_MAX};
	}
	vxcap_loaded_sort(loaded);
	return loaded;
}

static uint64_t sequence(const struct block_packet *p)
{
	return p->id == UINT64_MAX ? 0 : p->id & 0xffffffffffffu;
}

/* True when a may not stand before b. */
static bool is_wrong(const struct block_packet *a, const struct vxcap_place *in_a,
		     const struct block_packet *b, const struct vxcap_place *in_b)
{
	if (a->time_ns != b->time_ns)
		return a->time_ns > b->time_ns;
	if (sequence(a) != sequence(b))
		return sequence(a) > sequence(b);
	const int by_place = vxcap_place_compare(in_a, in_b);
	return by_place ? by_place > 0 : a->data > b->data;
}

Test(vxcap_heap, packets_of_all_frames_come_in_one_order)
{
	struct vxcap_heap heap = {0};
	struct block_packet last = {0};
	struct vxcap_place in_last = {0};
	unsigned n = 0;

	for (unsigned i = 0; i < FRAMES; i++)
		cr_assert_eq(vxcap_heap_push(&heap, make((i * 17) % FRAMES, i)), 0);
	while (heap.n) {
		struct vxcap_loaded *least = vxcap_heap_least(&heap);
		const struct block_packet packet = least->packet[least->next++];
		const struct vxcap_place place = least->place;
		if (n++)
			cr_assert_not(is_wrong(&last, &in_last, &packet, &place));
		last = packet;
		in_last = place;
		vxcap_heap_settle(&heap);
	}
	cr_assert_eq(n, FRAMES * PACKETS);
	vxcap_heap_fini(&heap);
}

Test(vxcap_heap, what_is_left_is_freed)
{
	struct vxcap_heap heap = {0};

	for (unsigned i = 0; i < 3; i++)
		cr_assert_eq(vxcap_heap_push(&heap, make(i, i)), 0);
	vxcap_heap_fini(&heap); /* ASan tells */
	vxcap_loaded_free(NULL);
}
