#include "run/ledger.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/log.h"
#include "base/reason.h"

static void read_xdp(const struct ledger_source *s, struct ledger *l)
{
	for (uint32_t cpu = 0; cpu < s->facts->cpus; cpu++) {
		const struct steer_counters *c = &s->maps->counters[cpu];
		l->seen += stats_get((const uint64_t *)&c->seen);
		for (unsigned i = 0; i < FATE_MAX; i++)
			l->fate[i] += stats_get((const uint64_t *)&c->fate[i]);
	}
}

static void read_kernel(const struct ledger_source *s, struct ledger *l)
{
	for (uint32_t q = 0; q < s->facts->queues; q++) {
		l->fate[FATE_RING_FULL] += stats_get(&stats_queue(s->stats, q)->ring_full);
		l->fate[FATE_RX_DROPPED] += stats_get(&stats_queue(s->stats, q)->rx_dropped);
	}
}

static void add_all(uint64_t *out, const uint64_t *from, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		out[i] += stats_get(&from[i]);
}

uint64_t ledger_given(const struct ledger_source *s, unsigned queue, unsigned worker)
{
	return stats_get(
		(const uint64_t *)&s->maps->given[queue * s->facts->workers + worker].packets);
}

static uint64_t given_to_all(const struct ledger_source *s)
{
	uint64_t n = 0;

	for (uint32_t q = 0; q < s->facts->queues; q++)
		for (uint32_t w = 0; w < s->facts->workers; w++)
			n += ledger_given(s, q, w);
	return n;
}

/* Numbers of a running probe are read one after the other: a difference may come out below 0. */
static uint64_t difference(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

void ledger_read(const struct ledger_source *s, struct ledger *l)
{
	uint64_t lent = 0, received = 0, at_writer = 0, ended_there = 0;

	*l = (struct ledger){0};
	const struct stats_writer writers = stats_writers(s->stats);
	for (unsigned i = 0; i < FATE_MAX; i++) {
		l->fate[i] += writers.fate[i];
		ended_there += writers.fate[i];
	}
	for (uint32_t w = 0; w < s->stats->workers; w++) {
		const struct stats_worker *worker = stats_worker(s->stats, w);
		add_all(l->fate, worker->fate, FATE_MAX);
		add_all(l->mark, worker->mark, MARK_MAX);
		at_writer += stats_get(&worker->given);
		received += stats_get(&worker->received);
		lent += stats_get(&worker->lent);
	}
	l->at_writer = difference(at_writer, ended_there);
	if (!s->maps) {
		l->seen = stats_get(&stats_worker(s->stats, 0)->lent);
		l->at_workers = difference(l->seen, received);
		return;
	}
	read_xdp(s, l);
	read_kernel(s, l);
	l->at_workers = difference(lent, received);
	l->in_rings = difference(given_to_all(s),
				 lent + l->fate[FATE_RING_FULL] + l->fate[FATE_RX_DROPPED]);
}

static void log_fates(uint64_t seen, const uint64_t fate[static FATE_MAX])
{
	log_line("packets seen: %" PRIu64, seen);
	for (unsigned i = 0; i < FATE_MAX; i++)
		if (fate[i])
			log_line("  %-14s %12" PRIu64 "  %s", fate_text[i].label, fate[i],
				 fate_text[i].help);
}

void ledger_log_last(const struct stats_last_run *last)
{
	const time_t second = (time_t)(last->end_ns / 1000000000u);
	struct tm utc;
	char text[32];

	gmtime_r(&second, &utc);
	(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
	log_line("the last run did not end in order; this is what it had counted at %s:", text);
	log_fates(last->seen, last->fate);
}

void ledger_log(const struct ledger_source *s)
{
	struct ledger l;

	ledger_read(s, &l);
	log_fates(l.seen, l.fate);
	const uint64_t in_flight = l.in_rings + l.at_workers + l.at_writer;
	if (in_flight)
		log_line("  %-14s %12" PRIu64 "  not yet ended", "in flight", in_flight);
}
