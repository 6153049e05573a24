#include "run/plan.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../support/configured.h"
#include "doctor/judge.h"

#define QUEUES 2

static struct engine_config engine;
static struct stats_config stats;

TestSuite(plan, .init = configured_init, .fini = configured_fini);

static int plan(const char *more)
{
	assert_takes(ENOUGH, more);
	return plan_engine(&configured.config, QUEUES, 0, &engine, &stats, &configured.err);
}

static uint64_t bound(const char *more)
{
	cr_assert_eq(plan(more), 0, "%s", configured.err.text);
	return stats.memory_bound;
}

Test(plan, gives_the_engine_what_is_configured)
{
	cr_assert_eq(plan("--workers 3 --port 4790 --flows-max 100 --chunks 7 --chunk-size 256KiB "
			  "--split session --sessions-max 50 --level 5"),
		     0);
	cr_assert_eq(engine.workers, 3);
	cr_assert_eq(engine.decap.port, 4790);
	cr_assert_eq(engine.flows_max, 100);
	cr_assert_eq(engine.chunks, 7);
	cr_assert_eq(engine.chunk_len, 256 << 10);
	cr_assert(engine.split);
	cr_assert_eq(engine.sessions_max, 50);
	cr_assert_eq(engine.output.pack.level, 5);
}

Test(plan, gives_each_store_its_settings)
{
	struct engine_settings settings;

	assert_takes(ENOUGH "writers: 2\nretain-time: 1d\nstores:\n"
			    "  a: {recipient: [" OTHER ", " RECIPIENT "], rotate-time: 1s}\n"
			    "  b: {retain-size: 4GiB, retain-time: 2d, rotate-size: 1GiB}\n",
		     "");
	cr_assert_eq(plan_engine(&configured.config, QUEUES, 0, &engine, &stats, &configured.err),
		     0);
	cr_assert_eq(engine.writers, 2);
	cr_assert_eq(engine.n_stores, 3);
	cr_assert_str_eq(engine.stores[0], "vxprobe");
	cr_assert_str_eq(engine.stores[1], "a");
	cr_assert_str_eq(engine.stores[2], "b");
	plan_settings(&configured.config, &settings);
	cr_assert_eq(settings.stores[0].n_recipients, 1);
	cr_assert_eq(settings.stores[1].n_recipients, 2);
	cr_assert_eq(settings.stores[1].rotate_ns, 1000000000);
	cr_assert_eq(settings.stores[1].flush_ns, settings.stores[0].flush_ns);
	cr_assert_eq(settings.stores[2].rotate_len, 1 << 30);
	cr_assert_arr_eq(&settings.stores[0], &engine.output.settings[0],
			 sizeof(engine.output.settings));
	const struct retention_settings *r = &settings.retention;
	cr_assert_eq(r->rotate_len, 1 << 30, "that of the store with the longest");
	cr_assert_eq(r->n_stores, 2);
	cr_assert_str_eq(r->stores[1].name, "b");
	cr_assert_eq(r->stores[0].size, 0);
	cr_assert_eq(r->stores[0].time_ns, r->time_ns);
	cr_assert_eq(r->stores[1].size, 4ull << 30);
	cr_assert_eq(r->stores[1].time_ns, 2 * r->time_ns);
}

Test(plan, gives_the_statistics_what_is_configured)
{
	cr_assert_eq(plan("--workers 3 --histograms-max 9 --chunks 7"), 0);
	cr_assert_eq(stats.workers, 3);
	cr_assert_eq(stats.queues, QUEUES);
	cr_assert_eq(stats.histograms_max, 9);
	cr_assert_eq(stats.chunks, 7);
	cr_assert(stats.is_live);
}

Test(plan, leaves_room_for_sessions_that_a_reload_adds)
{
	cr_assert_eq(plan("--sessions-max 50"), 0);
	cr_assert_eq(engine.sessions_max, 50);
	cr_assert_eq(engine.sessions_room, 50 * CONFIG_SESSIONS_GROWTH);
	cr_assert_eq(stats.sessions_max, engine.sessions_room);
}

Test(plan, bounds_the_memory_of_all_that_has_a_limit)
{
	const char *const more[] = {"--workers 5 ",         "--chunks 17",
				    "--chunk-size 2MiB",    "--flows-max 70000",
				    "--sessions-max 5000",  "--series-max 110000",
				    "--histograms-max 5000"};
	const uint64_t usual = bound("--workers 4");

	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		char options[64];

		(void)snprintf(options, sizeof(options), "--workers 4 %s", more[i]);
		cr_assert_gt(bound(i ? options : more[i]), usual, "%s", more[i]);
	}
}

Test(plan, bounds_the_memory_of_stores_and_writers)
{
	assert_takes(ENOUGH "stores: {a: {}}\n", "--workers 4");
	cr_assert_eq(plan_engine(&configured.config, QUEUES, 0, &engine, &stats, &configured.err),
		     0);
	const uint64_t two_stores = stats.memory_bound;
	cr_assert_eq(stats.chunks, 16);
	cr_assert_gt(two_stores, bound("--workers 4") + (16 << 20), "an open file more");
	assert_takes(ENOUGH "stores: {a: {}}\n", "--workers 4 --writers 2");
	cr_assert_eq(plan_engine(&configured.config, QUEUES, 0, &engine, &stats, &configured.err),
		     0);
	cr_assert_gt(stats.memory_bound, two_stores + (64 << 20), "64 chunks more");
	cr_assert_eq(stats.chunks, 32, "of a worker, to all writers");
}

Test(plan, keeps_memory_for_the_names_that_a_reload_may_bring)
{
	cr_assert_geq(bound(""), 4 * (uint64_t)NAMES_MEMORY_MAX);
	cr_assert_eq(bound(""), bound("--names FILE"));
}

Test(plan, refuses_more_than_memory_allows)
{
	cr_assert_eq(plan("--memory 50MiB"), -ENOMEM);
	assert_mentions("--memory allows 50 MiB: raise it, or lower --ring");
	cr_assert_eq(plan("--memory 2GiB"), 0);
}

/* MiB that the doctor finds needed on a host of so many CPUs, with an interface of QUEUES. */
static int64_t mib_of_doctor(unsigned cpus)
{
	struct doctor_facts facts;
	struct findings findings;
	int64_t mib = -1;

	facts_init(&facts);
	facts.memory_available = 1ll << 30;
	facts.cpus = cpus;
	facts.queues = QUEUES;
	judge(&findings, &facts);
	for (unsigned i = 0; i < findings.n; i++)
		if (!strcmp(findings.finding[i].id, "memory"))
			(void)sscanf(findings.finding[i].text,
				     "1024 MiB are available, at most %" SCNd64, &mib);
	return mib;
}

Test(plan, bounds_the_memory_at_what_the_doctor_says)
{
	for (unsigned workers = 1; workers <= 4; workers++) {
		char more[32];

		(void)snprintf(more, sizeof(more), "--workers %u", workers);
		const uint64_t packets = QUEUES * (workers * 4096 + 256) * UINT64_C(4096);
		const int64_t mib = (int64_t)((bound(more) + packets) >> 20);
		const int64_t off = mib_of_doctor(workers) - mib;
		cr_assert(off >= 0 && off <= 2, "%u workers, %" PRId64 " MiB: %" PRId64 " off",
			  workers, mib, off);
	}
}
