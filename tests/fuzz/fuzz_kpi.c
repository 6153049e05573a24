/*
 * fuzz_kpi: all that is measured, over a few packets with their times: flows, TCP, SCTP, UDP, ICMP.
 *
 * An input is packets, each: u16 (low 12 bits: bytes of the inner frame; high: session), u32 (low
 * 28 bits: microseconds since the one before; a bit: earlier instead; high: direction), the bytes;
 * little endian.
 */
#include <string.h>

#include "fuzz.h"
#include "kpi/kpi.h"

#define HEAD     6
#define SESSIONS 4
#define SECOND   UINT64_C(1000000000)

static struct kpi_session sessions[SESSIONS];
static struct histogram histograms[SESSIONS * KPI_HISTOGRAMS];
static uint64_t used, missed;

static uint32_t number(const uint8_t *p, unsigned len)
{
	uint32_t n = 0;

	while (len--)
		n = n << 8 | p[len];
	return n;
}

/* No counter was ever below zero, no time is. */
static void check_numbers(void)
{
	for (unsigned s = 0; s < SESSIONS; s++)
		for (unsigned i = 0; sessions[s].first_ns && i < KPI_MAX; i++)
			FUZZ_CHECK((int64_t)sessions[s].value[i] >= 0);
	for (uint64_t i = 0; i < used; i++)
		FUZZ_CHECK((int64_t)histograms[i].sum_ns >= 0);
	FUZZ_CHECK(!missed);
}

static void take_packet(struct kpis *kpi, uint32_t head, uint32_t time, const uint8_t *data,
			uint32_t len, uint64_t *now_ns)
{
	const uint64_t step_ns = (time & 0xfffffff) * UINT64_C(1000);
	struct dissected d;

	*now_ns = time >> 28 & 1 ? *now_ns - step_ns / 1000 : *now_ns + step_ns;
	const struct packet p = {.time_ns = *now_ns, .data = data, .len = len, .cap_len = len};
	dissect_frame(data, len, len, &d);
	kpi_packet(kpi, &(struct kpi_packet){&p, &d, head >> 12 & (SESSIONS - 1),
					     (enum session_direction)((time >> 29) % 3)});
}

static void take_all(struct kpis *kpi, const uint8_t *p, size_t left)
{
	uint64_t now_ns = 1000000 * SECOND;

	while (left >= HEAD) {
		const uint32_t head = number(p, 2), time = number(p + 2, 4);
		const uint32_t len =
			(head & 0xfff) < left - HEAD ? head & 0xfff : (uint32_t)left - HEAD;
		/* Of its own memory, so that no byte behind it can be read unseen. */
		uint8_t *frame = malloc(len ? len : 1);
		FUZZ_CHECK(frame);
		memcpy(frame, p + HEAD, len);
		take_packet(kpi, head, time, frame, len, &now_ns);
		free(frame);
		kpi_expire(kpi, now_ns);
		p += HEAD + len;
		left -= HEAD + len;
	}
	check_numbers();
	kpi_finish(kpi, now_ns + 3600 * SECOND);
	check_numbers();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct kpi_config config = {.memory = {.sessions = sessions,
						     .histograms = histograms,
						     .histograms_max = SESSIONS * KPI_HISTOGRAMS,
						     .histograms_used = &used,
						     .histograms_missed = &missed},
					  .sessions_max = SESSIONS,
					  .flows_max = 8,
					  .associations_max = 2,
					  .latest_max = 64};
	struct kpis *kpi;
	struct err err;

	memset(sessions, 0, sizeof(sessions));
	memset(histograms, 0, used * sizeof(histograms[0]));
	used = 0;
	FUZZ_CHECK(!kpi_open(&kpi, &config, &err));
	take_all(kpi, data, size);
	kpi_close(kpi);
	return 0;
}
