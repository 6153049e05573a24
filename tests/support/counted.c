#include "counted.h"

#include <string.h>

static struct kpi_session session;
static struct histogram histograms[KPI_HISTOGRAMS];
static uint64_t used, missed;
static const struct kpi_memory memory = {.sessions = &session,
					 .histograms = histograms,
					 .histograms_max = KPI_HISTOGRAMS,
					 .histograms_used = &used,
					 .histograms_missed = &missed};

void counted_clear(void)
{
	memset(&session, 0, sizeof(session));
	memset(histograms, 0, sizeof(histograms));
	used = missed = 0;
}

struct kpi_sink counted_sink(uint64_t time_ns)
{
	return (struct kpi_sink){.memory = &memory, .session = &session, .time_ns = time_ns};
}

void counted_sees_both(void)
{
	session.value[KPI_BIDIRECTIONAL_TCP] = 1;
}

uint64_t counted(enum kpi kpi)
{
	return session.value[kpi];
}

static const struct histogram *histogram_of(enum kpi_histogram which)
{
	static const struct histogram none;
	const uint32_t place = session.histogram[which];

	return place ? &histograms[place - 1] : &none;
}

uint64_t counted_samples(enum kpi_histogram which)
{
	return histogram_count(histogram_of(which));
}

uint64_t counted_sum(enum kpi_histogram which)
{
	return histogram_of(which)->sum_ns;
}

bool counted_is_seen(enum kpi_group group)
{
	return session.groups >> group & 1;
}
