#include "kpi/quic.h"

#include "wire.h"

#define VERSION_1 1u
#define VERSION_2 0x6b3343cfu /* RFC 9369 section 3.1 */

#define LONG_HEADER 0x80
#define FIXED_BIT   0x40

#define INITIAL_LEN_MIN       1200 /* RFC 9000 section 14.1 */
#define CONNECTION_ID_LEN_MIN 8    /* of the first one: RFC 9000 section 7.2 */
#define CONNECTION_ID_LEN_MAX 20

enum type { INITIAL, ZERO_RTT, HANDSHAKE, RETRY };

struct long_header {
	uint8_t first;
	uint32_t version; /* 0: Version Negotiation */
	uint8_t connection_id_len;
};

/* Bytes of UDP payload by IP length. */
static uint32_t payload_len(const struct dissected *d)
{
	const uint32_t end = d->ip_len ? d->l3 + d->ip_len : d->wire_len;

	return end > d->payload ? end - d->payload : 0;
}

static bool read_long_header(struct long_header *out, const struct packet *packet,
			     const struct dissected *d)
{
	const uint8_t *p = packet->data + d->payload;

	if (d->payload + 6u > dissect_end(d, packet->len) || !(p[0] & LONG_HEADER))
		return false;
	*out = (struct long_header){p[0], wire_u32(p + 1), p[5]};
	return true;
}

/* Version 2 moves every type by one (RFC 9369 section 3.2); all others are as version 1. */
static enum type type_of(const struct long_header *h)
{
	const unsigned bits = h->first >> 4 & 3;

	return h->version == VERSION_2 ? (bits + 3) % 4 : bits;
}

static bool is_draft(uint32_t version)
{
	return version >> 8 == 0xff0000;
}

/* Also those that force a negotiation (RFC 9000 section 15) and those of mvfst, which run widely.
 */
static bool is_plausible(uint32_t version)
{
	return version == VERSION_1 || version == VERSION_2 || is_draft(version) ||
	       (version & 0x0f0f0f0f) == 0x0a0a0a0a || version >> 4 == 0xfaceb00;
}

static bool is_first_initial(const struct long_header *h, const struct dissected *d)
{
	return is_plausible(h->version) && h->first & FIXED_BIT && type_of(h) == INITIAL &&
	       h->connection_id_len >= CONNECTION_ID_LEN_MIN &&
	       h->connection_id_len <= CONNECTION_ID_LEN_MAX && payload_len(d) >= INITIAL_LEN_MIN;
}

static enum kpi version_kpi(uint32_t version)
{
	if (version == VERSION_1)
		return KPI_QUIC_VERSION_1;
	if (version == VERSION_2)
		return KPI_QUIC_VERSION_2;
	return is_draft(version) ? KPI_QUIC_VERSION_DRAFT : KPI_QUIC_VERSION_OTHER;
}

static void count(const struct kpi_sink *sink, const struct long_header *h, bool is_server)
{
	if (h->version)
		kpi_count(sink, version_kpi(h->version), 1);
	else if (is_server)
		kpi_count(sink, KPI_QUIC_NEGOTIATIONS, 1);
	if (h->version && is_server && type_of(h) == RETRY)
		kpi_count(sink, KPI_QUIC_RETRIES, 1);
}

/* A half of the handshake is over. */
static void reach(const struct kpi_sink *sink, struct quic *quic, enum quic_phase phase,
		  enum kpi_histogram half)
{
	if (sink->time_ns >= quic->since_ns)
		kpi_observe(sink, half, sink->time_ns - quic->since_ns);
	quic->since_ns = sink->time_ns;
	quic->phase = (uint8_t)phase;
}

void quic_packet(const struct kpi_sink *sink, struct quic *quic, const struct packet *packet,
		 const struct dissected *d, const struct flow *flow)
{
	const bool is_first = flow->packets[0] + flow->packets[1] == 1;

	if (!is_first && quic->phase == QUIC_NONE)
		return;
	struct long_header h;
	const bool is_long = read_long_header(&h, packet, d);
	if (is_first) {
		if (!is_long || !is_first_initial(&h, d))
			return;
		*quic = (struct quic){sink->time_ns, QUIC_ASKED, d->direction};
		kpi_see(sink, KPI_GROUP_QUIC);
		kpi_count(sink, KPI_QUIC_ATTEMPTED, 1);
	}
	const bool is_server = d->direction != quic->direction;
	if (is_long)
		count(sink, &h, is_server);
	if (is_server)
		kpi_see(sink, KPI_GROUP_QUIC_BOTH);
	if (quic->phase == QUIC_ASKED && is_server && is_long)
		reach(sink, quic, QUIC_ANSWERED, KPI_QUIC_HANDSHAKE_SERVER);
	else if (quic->phase == QUIC_ANSWERED && !is_server)
		reach(sink, quic, QUIC_CONFIRMED, KPI_QUIC_HANDSHAKE_CLIENT);
}
