#include "kpi/tcp_gaps.h"

#include <errno.h>
#include <stdlib.h>

#include "kpi/tcp_segment.h"

struct gap {
	uint32_t start, end, since;
	uint32_t next; /* in its list or among the free ones: place + 1; 0: the last */
};

struct tcp_gaps {
	uint32_t n_max, n_used;
	uint32_t n_touched; /* places that were in use once; memory beyond is not touched */
	uint32_t free;      /* first of these that is free again: place + 1; 0: none */
	struct gap gap[];
};

size_t tcp_gaps_memory(uint32_t n_max)
{
	return sizeof(struct tcp_gaps) + n_max * sizeof(struct gap);
}

int tcp_gaps_open(struct tcp_gaps **out, uint32_t n_max, struct err *err)
{
	struct tcp_gaps *gaps = calloc(1, tcp_gaps_memory(n_max));

	if (!gaps)
		return err_set(err, -ENOMEM, "out of memory for %u gaps of TCP flows", n_max);
	gaps->n_max = n_max;
	*out = gaps;
	return 0;
}

void tcp_gaps_close(struct tcp_gaps *gaps)
{
	free(gaps);
}

static struct gap *at(struct tcp_gaps *gaps, uint32_t place)
{
	return &gaps->gap[place - 1];
}

static bool has_room(const struct tcp_gaps *gaps, const struct tcp_gap_list *list)
{
	return list->n < TCP_GAPS_LIST_MAX && list->n <= gaps->n_max - gaps->n_used;
}

/* Puts a gap where *link points to what shall follow it. */
static bool insert(struct tcp_gaps *gaps, struct tcp_gap_list *list, uint32_t *link, struct gap gap)
{
	uint32_t place = gaps->free;

	if (!has_room(gaps, list))
		return false;
	if (place)
		gaps->free = at(gaps, place)->next;
	else if (gaps->n_touched < gaps->n_max)
		place = ++gaps->n_touched;
	else
		return false;
	gap.next = *link;
	*at(gaps, place) = gap;
	*link = place;
	list->n++;
	gaps->n_used++;
	return true;
}

/* Gives the gap back that *link names; *link names the next then. */
static void take_out(struct tcp_gaps *gaps, struct tcp_gap_list *list, uint32_t *link)
{
	const uint32_t place = *link;
	struct gap *gap = at(gaps, place);

	*link = gap->next;
	gap->next = gaps->free;
	gaps->free = place;
	list->n--;
	gaps->n_used--;
}

bool tcp_gaps_add(struct tcp_gaps *gaps, struct tcp_gap_list *list, uint32_t start, uint32_t end,
		  uint32_t since)
{
	uint32_t *link = &list->first;

	if (!has_room(gaps, list))
		return false;
	while (*link)
		link = &at(gaps, *link)->next;
	return insert(gaps, list, link, (struct gap){.start = start, .end = end, .since = since});
}

/* Takes [start, end) out of the gap that *link names. Returns the link behind it. */
static uint32_t *fill_gap(struct tcp_gaps *gaps, struct tcp_gap_list *list, uint32_t *link,
			  uint32_t start, uint32_t end, struct tcp_gaps_filled *filled)
{
	struct gap *gap = at(gaps, *link);
	const struct gap was = *gap;

	if (tcp_is_behind(was.start, start))
		start = was.start;
	if (tcp_is_behind(end, was.end))
		end = was.end;
	filled->len += end - start;
	filled->since = was.since;
	if (start == was.start && end == was.end) {
		take_out(gaps, list, link);
		return link;
	}
	if (start == was.start) {
		gap->start = end;
		return &gap->next;
	}
	gap->end = start;
	if (end != was.end)
		filled->is_trimmed =
			!insert(gaps, list, &gap->next, (struct gap){end, was.end, was.since, 0});
	return &gap->next;
}

struct tcp_gaps_filled tcp_gaps_fill(struct tcp_gaps *gaps, struct tcp_gap_list *list,
				     uint32_t start, uint32_t end)
{
	struct tcp_gaps_filled filled = {0};
	uint32_t *link = &list->first;

	while (*link && tcp_is_behind(end, at(gaps, *link)->start)) {
		if (tcp_is_behind(at(gaps, *link)->end, start))
			link = fill_gap(gaps, list, link, start, end, &filled);
		else
			link = &at(gaps, *link)->next;
	}
	return filled;
}

bool tcp_gaps_below(const struct tcp_gaps *gaps, const struct tcp_gap_list *list, uint32_t up_to)
{
	return list->first && tcp_is_behind(up_to, gaps->gap[list->first - 1].start);
}

uint32_t tcp_gaps_forget(struct tcp_gaps *gaps, struct tcp_gap_list *list, uint32_t up_to)
{
	uint32_t missing = 0;

	while (tcp_gaps_below(gaps, list, up_to)) {
		struct gap *gap = at(gaps, list->first);
		if (tcp_is_behind(gap->end, up_to)) {
			missing += up_to - gap->start;
			gap->start = up_to;
			break;
		}
		missing += gap->end - gap->start;
		take_out(gaps, list, &list->first);
	}
	return missing;
}

void tcp_gaps_drop(struct tcp_gaps *gaps, struct tcp_gap_list *list)
{
	while (list->first)
		take_out(gaps, list, &list->first);
}
