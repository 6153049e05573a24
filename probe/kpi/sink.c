#include "kpi/sink.h"

#include <stddef.h>

/* From a row of TCP to the same of layer "ue": kpis.def has the list twice. */
#define UE_HISTOGRAM (KPI_UE_TCP_HANDSHAKE_SERVER - KPI_TCP_HANDSHAKE_SERVER)
static_assert(KPI_GROUP_UE_TCP_BOTH - KPI_GROUP_TCP_BOTH == KPI_UE_GROUP &&
		      KPI_UE_TCP_TIMESTAMP_RTT_CLIENT - KPI_TCP_TIMESTAMP_RTT_CLIENT ==
			      UE_HISTOGRAM,
	      "one distance for all");

static void count(uint64_t *field)
{
	__atomic_store_n(field, *field + 1, __ATOMIC_RELAXED);
}

/* The session's histogram, taken out of the pool for its first sample; NULL: the pool is empty. */
static struct histogram *histogram_of(const struct kpi_sink *sink, enum kpi_histogram which)
{
	const struct kpi_memory *memory = sink->memory;
	uint32_t *place = &sink->session->histogram[which];

	if (!*place) {
		if (*memory->histograms_used == memory->histograms_max)
			return NULL;
		count(memory->histograms_used);
		/* A reader that sees the place finds the zeros that were there from the start, or
		 * samples: nothing is to be ordered. */
		__atomic_store_n(place, (uint32_t)*memory->histograms_used, __ATOMIC_RELAXED);
	}
	return &memory->histograms[*place - 1];
}

void kpi_observe(const struct kpi_sink *sink, enum kpi_histogram which, uint64_t ns)
{
	struct histogram *histogram =
		histogram_of(sink, sink->is_ue ? which + UE_HISTOGRAM : which);

	if (histogram)
		histogram_add(histogram, ns, sink->time_ns);
	else
		count(sink->memory->histograms_missed);
}

bool kpi_sees_both(const struct kpi_sink *sink)
{
	const struct kpi_session *s = sink->session;
	uint64_t one = 0, both = 0;

	if (sink->sees_both)
		return sink->sees_both > 0;

	for (enum kpi_l4 l4 = KPI_L4_TCP; l4 <= KPI_L4_ICMP; l4++) {
		one += s->value[KPI_UNIDIRECTIONAL_TCP + l4];
		both += s->value[KPI_BIDIRECTIONAL_TCP + l4];
	}
	return both > one;
}

void kpi_count_silence(const struct kpi_sink *sink, enum kpi_group group, enum kpi kpi, uint64_t n)
{
	if (!n || !kpi_sees_both(sink))
		return;
	kpi_see(sink, group);
	kpi_count(sink, kpi, n);
}
