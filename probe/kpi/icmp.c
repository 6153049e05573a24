#include "kpi/icmp.h"

#include "inner.h"
#include "wire.h"

#define ECHO_REQUEST    8
#define ECHO_REQUEST_V6 128

#define UNANSWERED_NS (ICMP_UNANSWERED_S * INT64_C(1000000000))

/* ---- echo ---- */

static bool is_taken(const struct icmp *icmp, unsigned place)
{
	return icmp->taken >> place & 1;
}

static bool is_early(const struct icmp *icmp, unsigned place)
{
	return icmp->early >> place & 1;
}

static void clear(struct icmp *icmp, unsigned place)
{
	icmp->taken &= (uint16_t) ~(1u << place);
	icmp->early &= (uint16_t) ~(1u << place);
}

static void expire(const struct kpi_sink *sink, struct icmp *icmp)
{
	for (unsigned i = 0; i < ICMP_PLACES; i++) {
		const int64_t age_ns = (int64_t)(sink->time_ns - icmp->time_ns[i]);
		if (!is_taken(icmp, i) ||
		    age_ns < (is_early(icmp, i) ? KPI_LATE_NS : UNANSWERED_NS))
			continue;
		if (!is_early(icmp, i))
			kpi_count_silence(sink, KPI_GROUP_ICMP_BOTH, KPI_ICMP_UNANSWERED, 1);
		clear(icmp, i);
	}
}

/* Place of the request of this number and direction, or of its reply, or ICMP_PLACES. */
static unsigned find(const struct icmp *icmp, uint16_t sequence, unsigned direction)
{
	unsigned i = 0;

	while (i < ICMP_PLACES && !(is_taken(icmp, i) && icmp->sequence[i] == sequence &&
				    (icmp->direction >> i & 1u) == direction))
		i++;
	return i;
}

/* The first that is free, else that of the oldest. */
static unsigned place_for_next(const struct icmp *icmp)
{
	unsigned oldest = 0;

	for (unsigned i = 0; i < ICMP_PLACES; i++) {
		if (!is_taken(icmp, i))
			return i;
		if (icmp->time_ns[i] < icmp->time_ns[oldest])
			oldest = i;
	}
	return oldest;
}

static void take_place(const struct kpi_sink *sink, struct icmp *icmp, unsigned place,
		       uint16_t sequence, unsigned direction)
{
	icmp->time_ns[place] = sink->time_ns;
	icmp->sequence[place] = sequence;
	icmp->taken |= (uint16_t)(1u << place);
	icmp->direction = (uint16_t)((icmp->direction & ~(1u << place)) | direction << place);
}

static void request(const struct kpi_sink *sink, struct icmp *icmp, uint16_t sequence,
		    unsigned direction)
{
	unsigned place = find(icmp, sequence, direction);

	kpi_count(sink, KPI_ICMP_REQUESTS, 1);
	if (place < ICMP_PLACES && is_early(icmp, place)) {
		clear(icmp, place);
		kpi_see(sink, KPI_GROUP_ICMP_BOTH);
		return;
	}
	if (place == ICMP_PLACES) {
		place = place_for_next(icmp);
		if (is_taken(icmp, place) && !is_early(icmp, place))
			kpi_count(sink, KPI_ICMP_SKIPPED, 1);
		clear(icmp, place);
	}
	take_place(sink, icmp, place, sequence, direction);
}

/* Its request may come yet. */
static void remember_early(const struct kpi_sink *sink, struct icmp *icmp, uint16_t sequence,
			   unsigned direction)
{
	const unsigned place = place_for_next(icmp);

	if (is_taken(icmp, place))
		return;
	take_place(sink, icmp, place, sequence, direction);
	icmp->early |= (uint16_t)(1u << place);
}

static void reply(const struct kpi_sink *sink, struct icmp *icmp, uint16_t sequence,
		  unsigned direction)
{
	const unsigned place = find(icmp, sequence, !direction);

	kpi_count(sink, KPI_ICMP_REPLIES, 1);
	if (place == ICMP_PLACES) {
		remember_early(sink, icmp, sequence, !direction);
		return;
	}
	if (is_early(icmp, place))
		return;
	clear(icmp, place);
	kpi_see(sink, KPI_GROUP_ICMP_BOTH);
	if (sink->time_ns >= icmp->time_ns[place])
		kpi_observe(sink, KPI_ICMP_ECHO_RTT, sink->time_ns - icmp->time_ns[place]);
}

void icmp_packet(const struct kpi_sink *sink, struct icmp *icmp, const struct packet *packet,
		 const struct dissected *d)
{
	/* A flow of ICMP is one of echoes, with all their 8 bytes. */
	const uint8_t *echo = packet->data + d->l4;
	const uint16_t sequence = wire_u16(echo + 6);

	kpi_see(sink, KPI_GROUP_ICMP);
	expire(sink, icmp);
	if (echo[0] == (d->key.version == 4 ? ECHO_REQUEST : ECHO_REQUEST_V6))
		request(sink, icmp, sequence, d->direction);
	else
		reply(sink, icmp, sequence, d->direction);
}

uint32_t icmp_idle_s(const struct icmp *icmp)
{
	return icmp->taken & ~icmp->early ? ICMP_IDLE_WAITING_S : 0;
}

void icmp_ended(const struct kpi_sink *sink, const struct icmp *icmp)
{
	kpi_count_silence(sink, KPI_GROUP_ICMP_BOTH, KPI_ICMP_UNANSWERED,
			  (unsigned)__builtin_popcount(icmp->taken & (unsigned)~icmp->early));
}

/* ---- errors ---- */

struct error {
	enum kpi kpi;
	enum icmp_verdict verdict; /* ICMP_NO_ERROR: it is none */
};

#define ERROR(kind, verdict) ((struct error){KPI_ICMP_ERROR_##kind, ICMP_##verdict})

static struct error unreachable(uint8_t code)
{
	switch (code) {
	case 0:
		return ERROR(NET_UNREACHABLE, UNREACHABLE);
	case 1:
		return ERROR(HOST_UNREACHABLE, UNREACHABLE);
	case 2:
		return ERROR(PROTOCOL_UNREACHABLE, UNREACHABLE);
	case 3:
		return ERROR(PORT_UNREACHABLE, PORT_UNREACHABLE);
	case 4:
		return ERROR(PACKET_TOO_BIG, OTHER_ERROR);
	case 9:
	case 10:
	case 13: /* RFC 1812 section 5.2.7.1 */
		return ERROR(ADMIN_PROHIBITED, UNREACHABLE);
	default:
		return ERROR(OTHER_UNREACHABLE, UNREACHABLE);
	}
}

static struct error unreachable_v6(uint8_t code)
{
	switch (code) {
	case 0:
		return ERROR(NET_UNREACHABLE, UNREACHABLE);
	case 3:
		return ERROR(HOST_UNREACHABLE, UNREACHABLE);
	case 4:
		return ERROR(PORT_UNREACHABLE, PORT_UNREACHABLE);
	case 1:
	case 5:
	case 6: /* subsets of 1: RFC 4443 section 3.1 */
		return ERROR(ADMIN_PROHIBITED, UNREACHABLE);
	default:
		return ERROR(OTHER_UNREACHABLE, UNREACHABLE);
	}
}

/* Of both versions: code 1 is of fragments that were not reassembled in time. */
static struct error time_exceeded(uint8_t code)
{
	return code == 1 ? ERROR(REASSEMBLY_TIMEOUT, OTHER_ERROR)
			 : ERROR(TTL_EXCEEDED, OTHER_ERROR);
}

static struct error error_v4(uint8_t type, uint8_t code)
{
	switch (type) {
	case 3:
		return unreachable(code);
	case 4:
		return ERROR(SOURCE_QUENCH, OTHER_ERROR);
	case 5:
		return ERROR(REDIRECT, OTHER_ERROR);
	case 11:
		return time_exceeded(code);
	case 12:
		return ERROR(PARAMETER_PROBLEM, OTHER_ERROR);
	default:
		return (struct error){0};
	}
}

static struct error error_v6(uint8_t type, uint8_t code)
{
	switch (type) {
	case 1:
		return unreachable_v6(code);
	case 2:
		return ERROR(PACKET_TOO_BIG, OTHER_ERROR);
	case 3:
		return time_exceeded(code);
	case 4:
		return ERROR(PARAMETER_PROBLEM, OTHER_ERROR);
	default:
		return (struct error){0};
	}
}

static struct error error_of(const struct packet *packet, const struct dissected *d)
{
	const uint8_t *icmp = packet->data + d->l4;

	if (!d->l4 || d->l4 + 2u > dissect_end(d, packet->len))
		return (struct error){0};
	if (d->key.version == 4 && d->key.proto == INNER_ICMP)
		return error_v4(icmp[0], icmp[1]);
	if (d->key.version == 6 && d->key.proto == INNER_ICMPV6)
		return error_v6(icmp[0], icmp[1]);
	return (struct error){0};
}

enum icmp_verdict icmp_error(const struct kpi_sink *sink, const struct packet *packet,
			     const struct dissected *d, struct flow_key *quoted,
			     unsigned *direction)
{
	const struct error error = error_of(packet, d);

	if (error.verdict == ICMP_NO_ERROR)
		return ICMP_NO_ERROR;
	kpi_see(sink, KPI_GROUP_ICMP);
	kpi_count(sink, error.kpi, 1);
	if (!dissect_quoted(packet->data, packet->len, d, quoted, direction))
		return ICMP_NO_ERROR;
	return error.verdict;
}

bool icmp_tells(enum icmp_verdict verdict, uint8_t proto)
{
	const bool is_set_up = proto == INNER_TCP || proto == INNER_SCTP;

	if (verdict == ICMP_PORT_UNREACHABLE)
		return is_set_up || proto == INNER_UDP;
	return verdict == ICMP_UNREACHABLE && is_set_up;
}
