#include "run/output_session.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/reason.h"
#include "path/block.h"

void output_session_declare(struct output_session *s, uint32_t session, uint32_t interface)
{
	s->session = session;
	s->interface = interface;
	s->packets = s->last_ns = s->told = 0;
	s->first_ns = UINT64_MAX;
}

void output_session_add(struct output_session *s, uint64_t portion, uint64_t wall_ns,
			uint64_t drops)
{
	__typeof__(s->waiting[0]) *w = &s->waiting[portion % OUTPUT_PORTIONS];

	if (w->portion != portion) {
		w->portion = portion;
		w->packets = w->drops = 0;
	}
	w->packets++;
	w->drops += drops;
	s->packets++;
	s->first_ns = wall_ns < s->first_ns ? wall_ns : s->first_ns;
	s->last_ns = wall_ns > s->last_ns ? wall_ns : s->last_ns;
}

void output_session_lose(struct output_session *s, enum fate fate, uint64_t packets, uint64_t drops)
{
	*(fate == FATE_DISK_FULL ? &s->lost.disk_full : &s->lost.io_error) += packets;
	s->untold += packets + drops;
}

void output_session_lose_portions(struct output_session *s, enum fate fate, uint64_t first,
				  uint64_t last)
{
	for (unsigned i = 0; i < OUTPUT_PORTIONS; i++)
		if (s->waiting[i].portion >= first && s->waiting[i].portion <= last)
			output_session_lose(s, fate, s->waiting[i].packets, s->waiting[i].drops);
}

static void add_text(char *out, size_t cap, enum fate fate, uint64_t n)
{
	const size_t len = strlen(out);

	if (n)
		(void)snprintf(out + len, cap - len, "%s%s=%" PRIu64, len ? " " : "",
			       fate_text[fate].label, n);
}

size_t output_session_statistics(struct output_session *s, uint64_t dropped, uint64_t time_ns,
				 bool only_news, uint8_t out[static OUTPUT_STATISTICS_LEN])
{
	s->lost.writer_full += dropped;
	const uint64_t here = s->lost.writer_full - s->before.writer_full,
		       disk_full = s->lost.disk_full - s->before.disk_full,
		       io_error = s->lost.io_error - s->before.io_error,
		       all = s->packets + here + disk_full + io_error;
	if (only_news && all == s->told)
		return 0;
	s->told = all;
	struct block_statistics block = {.interface = s->interface,
					 .time_ns = time_ns,
					 .start_ns = s->first_ns,
					 .end_ns = s->last_ns,
					 .received = all,
					 .dropped = here,
					 .os_dropped = disk_full + io_error,
					 .delivered = s->packets};
	add_text(block.comment, sizeof(block.comment), FATE_WRITER_FULL, here);
	add_text(block.comment, sizeof(block.comment), FATE_DISK_FULL, disk_full);
	add_text(block.comment, sizeof(block.comment), FATE_IO_ERROR, io_error);
	return block_statistics(out, OUTPUT_STATISTICS_LEN, &block);
}

uint64_t output_session_drops(const struct output_session *s)
{
	return s->lost.writer_full + s->lost.disk_full + s->lost.io_error -
	       (s->before.writer_full + s->before.disk_full + s->before.io_error);
}

void output_session_sealed(struct output_session *s)
{
	s->before = s->lost;
}
