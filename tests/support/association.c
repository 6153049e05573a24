#include "association.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "inner.h"
#include "packet.h"

struct kpi_session sessions[4];
static struct histogram histograms[4 * KPI_HISTOGRAMS];
static uint64_t used, missed;
const struct kpi_memory memory = {sessions, histograms, 4 * KPI_HISTOGRAMS, &used, &missed};
struct sctp *sctp;
uint32_t session;
uint16_t port_a = 3000;
uint32_t cut;

void prepare_association(void)
{
	const struct sctp_config c = {PLACES, 4, "sixteen bytes...", &memory};
	struct err err;

	cr_assert_eq(sctp_open(&sctp, &c, &err), 0, "%s", err.text);
}

void tear_down_association(void)
{
	sctp_close(sctp);
}

static void put32(uint8_t *p, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

struct chunks chunk(uint8_t type, uint8_t flags, unsigned n, const uint32_t *words)
{
	struct chunks c = {.len = 4 + 4 * n};

	put32(c.bytes, (uint32_t)type << 24 | (uint32_t)flags << 16 | c.len);
	for (unsigned i = 0; i < n; i++)
		put32(c.bytes + 4 + 4 * (size_t)i, words[i]);
	return c;
}

struct chunks both(struct chunks a, struct chunks b)
{
	memcpy(a.bytes + a.len, b.bytes, b.len);
	a.len += b.len;
	return a;
}

void take_frame(uint64_t ms, struct build *b)
{
	const uint32_t len = cut ? cut : b->len;
	const struct packet p = {.time_ns = START + ms * MS,
				 .data = packet_guard(build_data(b), len),
				 .len = len,
				 .cap_len = len};
	const struct kpi_sink sink = {
		.memory = &memory, .session = &sessions[session], .time_ns = p.time_ns};
	struct dissected d;

	dissect_frame(p.data, len, len, &d);
	d.key.session = session;
	cr_assert(d.has_flow);
	sctp_packet(sctp, &sink, &p, &d);
}

void take(uint64_t ms, const char *from, const char *to, uint32_t tag, struct chunks c)
{
	struct build b = build_payload(c.len);
	const bool is_a = !strcmp(from, A1) || !strcmp(from, A2);

	memcpy(build_data(&b), c.bytes, c.len);
	build_sctp(&b, is_a ? port_a : 3868, is_a ? 3868 : port_a);
	put32(build_data(&b) + 4, tag);
	build_ipv4(&b, INNER_SCTP, from, to);
	build_ethernet(&b, 0x0800);
	take_frame(ms, &b);
}

void from_a(uint64_t ms, struct chunks c)
{
	take(ms, A1, B1, TAG_B, c);
}

void from_b(uint64_t ms, struct chunks c)
{
	take(ms, B1, A1, TAG_A, c);
}

void set_up(uint64_t ms)
{
	take(ms, A1, B1, 0, INIT(TAG_A, 100));
	from_b(ms + 10, INIT_ACK(TAG_B, 500));
	from_a(ms + 30, COOKIE_ECHO);
	from_b(ms + 60, COOKIE_ACK);
}

void expire_associations(uint64_t ms)
{
	sctp_expire(sctp, START + ms * MS, UINT32_MAX);
}

void finish_associations(uint64_t ms)
{
	sctp_finish(sctp, START + ms * MS);
}

void sees_both(void)
{
	sessions[0].value[KPI_BIDIRECTIONAL_TCP] = 1;
}

uint64_t value(enum kpi kpi)
{
	return sessions[0].value[kpi];
}

void assert_times(enum kpi_histogram which, uint64_t n, uint64_t sum_ms)
{
	const uint32_t place = sessions[0].histogram[which];
	const uint64_t sum_ns = place ? histograms[place - 1].sum_ns : 0;

	cr_assert_eq(place ? histogram_count(&histograms[place - 1]) : 0, n);
	cr_assert_lt((uint64_t)llabs((int64_t)(sum_ns - sum_ms * MS)), 256 * n + 1);
}

bool is_group_seen(enum kpi_group group)
{
	return sessions[0].groups >> group & 1;
}

uint64_t ended_in_all(void)
{
	return value(KPI_SCTP_ENDED_SHUTDOWN) + value(KPI_SCTP_ENDED_ABORT) +
	       value(KPI_SCTP_ENDED_RESTART) + value(KPI_SCTP_ENDED_IDLE) +
	       value(KPI_SCTP_ENDED_EVICTED);
}

void assert_ended(enum kpi how, uint64_t alive)
{
	cr_assert_eq(value(how), 1);
	cr_assert_eq(ended_in_all(), 1);
	cr_assert_eq(value(KPI_SCTP_ASSOCIATIONS), alive);
}
