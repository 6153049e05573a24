#include "serve/view.h"

#include <errno.h>

#define SECOND_NS UINT64_C(1000000000)
/* Prometheus looks back 5 minutes: a session that is silent for three times that is gone. */
#define ACTIVE_NS (900 * SECOND_NS)
/* The control thread turns every 0.2 s. */
#define HEALTHY_NS (5 * SECOND_NS)

uint32_t view_sessions(const struct view *v)
{
	/* Acquire: sessions below the count are written; pairs with publish_session. */
	return __atomic_load_n(&v->ledger.stats->n_sessions, __ATOMIC_ACQUIRE);
}

/* Of the source's clock. */
static uint64_t last_packet_ns(const struct view *v, uint32_t session)
{
	uint64_t last_ns = 0;

	for (uint32_t w = 0; w < v->ledger.stats->workers; w++) {
		const uint64_t ns = stats_get(&stats_kpi(v->ledger.stats, w, session)->last_ns);
		last_ns = ns > last_ns ? ns : last_ns;
	}
	return last_ns;
}

bool view_is_active(const struct view *v, uint32_t session, uint64_t now_ns)
{
	const uint64_t last_ns = last_packet_ns(v, session);

	return last_ns && (!v->ledger.stats->is_live || last_ns + ACTIVE_NS > now_ns);
}

uint64_t view_wall_ns(const struct view *v, uint64_t time_ns)
{
	const int64_t offset_ns = __atomic_load_n(&v->ledger.stats->offset_ns, __ATOMIC_RELAXED);

	return time_ns ? time_ns + (uint64_t)offset_ns : 0;
}

uint64_t view_first_packet_ns(const struct view *v, uint32_t session)
{
	uint64_t first_ns = 0;

	for (uint32_t w = 0; w < v->ledger.stats->workers; w++) {
		const uint64_t ns = stats_get(&stats_kpi(v->ledger.stats, w, session)->first_ns);
		if (ns && (!first_ns || ns < first_ns))
			first_ns = ns;
	}
	return view_wall_ns(v, first_ns);
}

uint64_t view_last_packet_ns(const struct view *v, uint32_t session)
{
	return view_wall_ns(v, last_packet_ns(v, session));
}

enum group_class { CLASS_SERVICE, CLASS_FEED };

const uint32_t view_feed_groups = 0
#define GROUP(name, class) | (uint32_t)CLASS_##class << KPI_GROUP_##name
#include "kpi/groups.def"
#undef GROUP
	;

uint32_t view_groups(const struct view *v, uint32_t session)
{
	uint32_t groups = 1u << KPI_GROUP_FEED;

	for (uint32_t w = 0; w < v->ledger.stats->workers; w++)
		groups |= __atomic_load_n(&stats_kpi(v->ledger.stats, w, session)->groups,
					  __ATOMIC_RELAXED);
	return groups;
}

uint64_t view_kpi(const struct view *v, uint32_t session, enum kpi kpi)
{
	uint64_t n = 0;

	for (uint32_t w = 0; w < v->ledger.stats->workers; w++)
		n += stats_get(&stats_kpi(v->ledger.stats, w, session)->value[kpi]);
	/* A gauge's parts are not of one moment. */
	return (int64_t)n < 0 ? 0 : n;
}

const struct view_kpi_row view_kpi_rows[KPI_MAX] = {
#define KPI(name, group, type, family, unit, labels, help)                                         \
	[KPI_##name] = {                                                                           \
		"vxprobe_" family, KPI_GROUP_##group, EXPOSITION_##type, unit, labels, help},
#include "kpi/kpis.def"
#undef KPI
};

const struct view_histogram_row view_histogram_rows[KPI_HISTOGRAMS] = {
#define HISTOGRAM(name, group, family, labels, help)                                               \
	[KPI_##name] = {"vxprobe_" family "_seconds", KPI_GROUP_##group, labels, help},
#include "kpi/histograms.def"
#undef HISTOGRAM
};

bool view_histogram(const struct view *v, uint32_t session, enum kpi_histogram which,
		    struct histogram *out)
{
	*out = (struct histogram){0};
	for (uint32_t w = 0; w < v->ledger.stats->workers; w++) {
		const struct histogram *h = stats_histogram(v->ledger.stats, w, session, which);
		if (h)
			histogram_merge(out, h);
	}
	return histogram_count(out);
}

bool view_loss(const struct view *v, uint32_t session, enum loss_transport transport,
	       struct loss_estimate *out)
{
	struct loss sum = {0};

	for (uint32_t w = 0; w < v->ledger.stats->workers; w++)
		loss_sum(&sum, &stats_kpi(v->ledger.stats, w, session)->loss[transport]);
	return loss_estimate(&sum, out);
}

double view_loss_visible(const struct view *v, uint32_t session)
{
	const uint64_t visible = view_kpi(v, session, KPI_VISIBLE_BYTES),
		       all = view_kpi(v, session, KPI_INGRESS_BYTES) +
			     view_kpi(v, session, KPI_EGRESS_BYTES) +
			     view_kpi(v, session, KPI_UNDIRECTED_BYTES);

	/* Numbers of different moments. */
	return !all ? 0 : visible < all ? (double)visible / (double)all : 1;
}

int view_check_healthy(const struct view *v, uint64_t now_ns, struct err *err)
{
	const uint64_t beat_ns = stats_get(&v->ledger.stats->heartbeat_ns);

	if (!beat_ns)
		return err_set(err, -ETIMEDOUT, "the control thread has not begun yet");
	if (now_ns > beat_ns && now_ns - beat_ns > HEALTHY_NS)
		return err_set(err, -ETIMEDOUT, "the control thread has not made a turn for %llu s",
			       (unsigned long long)((now_ns - beat_ns) / SECOND_NS));
	return 0;
}

int view_check_ready(const struct view *v, struct err *err)
{
	return __atomic_load_n(&v->ledger.stats->is_capturing, __ATOMIC_RELAXED)
		       ? 0
		       : err_set(err, -EAGAIN, "the capture has not begun yet");
}
