#include "served.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct attach_facts facts = {.queues = SERVED_QUEUES,
				    .workers = SERVED_WORKERS,
				    .chunks = 512,
				    .cpus = 1,
				    .mtu = 9001,
				    .native = true};
static struct steer_counters counters[1];
static struct credit_given given[SERVED_QUEUES * SERVED_WORKERS];
static struct attach_maps maps = {counters, given};
static struct view view;
static int fd;

struct view *served_open(uint32_t sessions_max)
{
	const struct stats_config config = {.workers = SERVED_WORKERS,
					    .queues = SERVED_QUEUES,
					    .sessions_max = sessions_max,
					    .histograms_max = sessions_max * KPI_HISTOGRAMS,
					    .chunks = 4,
					    .is_live = true,
					    .memory_bound = 64 << 20};
	struct err err;

	view = (struct view){.ledger = {.facts = &facts, .maps = &maps},
			     .facts = {.interface = "eth0", .series_max = 100000}};
	cr_assert_eq(stats_open(&view.ledger.stats, &fd, &config, &err), 0);
	view.ledger.stats->heartbeat_ns = SERVED_NOW_NS;
	view.ledger.stats->is_capturing = 1;
	return &view;
}

static struct address parse_address(const char *text)
{
	struct address a = {.byte = {[10] = 0xff, [11] = 0xff}};

	if (inet_pton(AF_INET, text, a.byte + 12) != 1)
		cr_assert_eq(inet_pton(AF_INET6, text, a.byte), 1, "%s", text);
	return a;
}

uint32_t served_add(struct view *v, const char *source, uint32_t vni, uint64_t packets,
		    uint64_t last_ns)
{
	struct stats *s = v->ledger.stats;
	const uint32_t id = s->n_sessions;
	const struct session session = {
		.source = parse_address(source), .vni = vni, .generation = 1};
	struct session_labels labels = {.policy = "full"};
	struct kpi_session *kpi = stats_kpi(s, 0, id);

	cr_assert_lt(id, s->sessions_max);
	stats_sessions(s)[id] = session;
	stats_session_name(&session, labels.name);
	stats_set_labels(s, id, &labels);
	kpi->last_ns = last_ns;
	kpi->groups = 1u << KPI_GROUP_FLOWS;
	kpi->value[KPI_INGRESS_PACKETS] = packets;
	kpi->value[KPI_INGRESS_BYTES] = 100 * packets;
	s->n_sessions = id + 1;
	return id;
}

void served_nf(struct view *v, uint32_t session, const char *nf)
{
	struct session_labels labels;

	stats_labels(v->ledger.stats, session, &labels);
	(void)snprintf(labels.nf, sizeof(labels.nf), "%s", nf);
	stats_set_labels(v->ledger.stats, session, &labels);
}

void served_time(struct view *v, uint32_t session, enum kpi_histogram which, uint64_t ns)
{
	struct stats *s = v->ledger.stats;
	uint32_t *place = &stats_kpi(s, 0, session)->histogram[which];

	if (!*place)
		*place = (uint32_t)++stats_worker(s, 0)->histograms_used;
	histogram_add(stats_histograms(s, 0) + *place - 1, ns, SERVED_NOW_NS);
}

int served_fd(void)
{
	return fd;
}
