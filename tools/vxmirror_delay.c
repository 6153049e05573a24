#include "vxmirror_delay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_FIRST 1024u

struct item {
	uint64_t order; /* of being put */
	struct mirrored mirrored;
	uint8_t data[];
};

/* A binary heap: no item is before its parent, that of i being (i - 1) / 2. */
struct delay {
	struct item **heap;
	size_t n, room;
	uint64_t order;
	struct item *lent;
};

int delay_open(struct delay **out, struct err *err)
{
	struct delay *d = calloc(1, sizeof(*d));

	if (!d)
		return err_set(err, -ENOMEM, "out of memory");
	*out = d;
	return 0;
}

void delay_close(struct delay *delay)
{
	if (!delay)
		return;
	for (size_t i = 0; i < delay->n; i++)
		free(delay->heap[i]);
	free(delay->heap);
	free(delay->lent);
	free(delay);
}

static bool is_before(const struct item *a, const struct item *b)
{
	const uint64_t a_ns = a->mirrored.packet.time_ns, b_ns = b->mirrored.packet.time_ns;

	return a_ns != b_ns ? a_ns < b_ns : a->order < b->order;
}

static int make_room(struct delay *d, struct err *err)
{
	const size_t room = d->room ? 2 * d->room : ROOM_FIRST;

	if (d->n < d->room)
		return 0;
	struct item **heap = realloc(d->heap, room * sizeof(struct item *));
	if (!heap)
		return err_set(err, -ENOMEM, "out of memory for %zu delayed packets", room);
	d->heap = heap;
	d->room = room;
	return 0;
}

int delay_put(struct delay *delay, const struct mirrored *mirrored, struct err *err)
{
	const int ret = make_room(delay, err);
	const uint32_t len = mirrored->packet.cap_len;

	if (ret)
		return ret;
	struct item *item = malloc(sizeof(*item) + len);
	if (!item)
		return err_set(err, -ENOMEM, "out of memory for a delayed packet");
	item->order = delay->order++;
	item->mirrored = *mirrored;
	item->mirrored.packet.data = memcpy(item->data, mirrored->packet.data, len);

	size_t i = delay->n++;
	for (; i && is_before(item, delay->heap[(i - 1) / 2]); i = (i - 1) / 2)
		delay->heap[i] = delay->heap[(i - 1) / 2];
	delay->heap[i] = item;
	return 0;
}

/* Puts the last item in the place of the first, which has gone. */
static void close_gap(struct delay *d)
{
	struct item *last = d->heap[--d->n];
	size_t i = 0;

	for (size_t child = 1; child < d->n; child = 2 * i + 1) {
		if (child + 1 < d->n && is_before(d->heap[child + 1], d->heap[child]))
			child++;
		if (!is_before(d->heap[child], last))
			break;
		d->heap[i] = d->heap[child];
		i = child;
	}
	d->heap[i] = last;
}

const struct mirrored *delay_take(struct delay *delay, uint64_t until_ns)
{
	struct delay *d = delay;

	free(d->lent);
	d->lent = NULL;
	if (d->n == 0 || d->heap[0]->mirrored.packet.time_ns > until_ns)
		return NULL;
	d->lent = d->heap[0];
	close_gap(d);
	return &d->lent->mirrored;
}
