#include "kpi/sctp.h"

#include <errno.h>
#include <stdlib.h>

#include "kpi/sctp_chunk.h"
#include "kpi/sctp_join.h"
#include "kpi/sctp_life.h"
#include "kpi/sctp_setup.h"
#include "wire.h"

/* ---- chunks ---- */

static void take_sack(const struct kpi_sink *sink, struct sctp_data *acked,
		      const struct sctp_chunk *chunk)
{
	if (chunk->there < 16)
		return;
	const uint32_t gaps = wire_u16(chunk->data + 12), duplicates = wire_u16(chunk->data + 14);
	const uint32_t room = (chunk->len - 16) / 4, there = (chunk->there - 16) / 4;
	const struct sctp_sack sack = {.cum = wire_u32(chunk->data + 4),
				       .window = wire_u32(chunk->data + 8),
				       .gaps = chunk->data + 16,
				       .n_gaps = gaps < there ? gaps : there};

	if (gaps + duplicates <= room) /* else one of them is a lie */
		kpi_count(sink, KPI_SCTP_DUPLICATE_TSNS, duplicates);
	sctp_data_sack(sink, acked, &sack);
}

static void take_heartbeat(const struct sctp *sctp, const struct sctp_arrival *p,
			   struct sctp_member m, const struct sctp_chunk *chunk)
{
	if (chunk->there < chunk->len) /* cut: it cannot be told from others */
		return;
	const uint32_t info = sctp_hash(sctp->table, chunk->data + 4, chunk->len - 4);

	if (chunk->type == SCTP_HEARTBEAT)
		sctp_path_heartbeat(p->sink, &m.a->paths, m.side,
				    sctp_path_of(&m.a->paths, (uint32_t)p->addresses | 1), info);
	else
		sctp_path_heartbeat_ack(p->sink, &m.a->paths, !m.side, info);
}

static void take_data(const struct sctp_arrival *p, struct sctp_member m,
		      const struct sctp_chunk *chunk)
{
	if (chunk->there >= 8 &&
	    sctp_data_sent(p->sink, &m.a->data[m.side], wire_u32(chunk->data + 4)))
		sctp_path_data(p->sink, &m.a->paths, m.side,
			       sctp_path_of(&m.a->paths, (uint32_t)p->addresses | 1));
}

static void take_cumulative(const struct sctp_arrival *p, struct sctp_member m,
			    const struct sctp_chunk *chunk)
{
	if (chunk->there < 8)
		return;
	if (chunk->type == SCTP_SHUTDOWN)
		sctp_data_acked(p->sink, &m.a->data[!m.side], wire_u32(chunk->data + 4));
	else
		sctp_data_forward(p->sink, &m.a->data[m.side], wire_u32(chunk->data + 4));
}

static void take_abort(const struct kpi_sink *sink, struct sctp_association *a)
{
	if (a->state == SCTP_ASKED)
		sctp_setup_failed(sink, a, KPI_SCTP_FAILED_ABORTED);
	sctp_life_end(sink, a, KPI_SCTP_ENDED_ABORT);
}

/* The answer to an INIT carries the tag of what the asker sends from now on. */
static void take_tag(struct sctp *sctp, const struct sctp_arrival *p, struct sctp_member m,
		     const struct sctp_chunk *chunk)
{
	if (chunk->type == SCTP_INIT_ACK && chunk->there >= 8 && m.a->state == SCTP_ASKED)
		sctp_table_name(sctp->table, m.a, !m.side,
				sctp_id_of_tag(sctp->table, p->session, p->to, p->from,
					       wire_u32(chunk->data + 4)));
}

static void take_chunk(struct sctp *sctp, const struct sctp_arrival *p, struct sctp_member m,
		       const struct sctp_chunk *chunk)
{
	switch (chunk->type) {
	case SCTP_DATA:
	case SCTP_I_DATA:
		take_data(p, m, chunk);
		break;
	case SCTP_INIT:
	case SCTP_INIT_ACK:
	case SCTP_COOKIE_ECHO:
	case SCTP_COOKIE_ACK:
		take_tag(sctp, p, m, chunk);
		sctp_setup_chunk(p->sink, m.a, m.side, chunk);
		break;
	case SCTP_SACK:
		take_sack(p->sink, &m.a->data[!m.side], chunk);
		break;
	case SCTP_HEARTBEAT:
	case SCTP_HEARTBEAT_ACK:
		take_heartbeat(sctp, p, m, chunk);
		break;
	case SCTP_SHUTDOWN:
	case SCTP_FORWARD_TSN:
	case SCTP_I_FORWARD_TSN:
		take_cumulative(p, m, chunk);
		break;
	case SCTP_SHUTDOWN_ACK:
		m.a->is_shutting = true;
		break;
	case SCTP_SHUTDOWN_COMPLETE:
		sctp_life_end(p->sink, m.a, KPI_SCTP_ENDED_SHUTDOWN);
		break;
	case SCTP_ABORT:
		take_abort(p->sink, m.a);
		break;
	default:
		break;
	}
}

/* ---- packets ---- */

/* Counts all chunks. Has it any with data? */
static bool count_chunks(const struct sctp_arrival *p)
{
	struct sctp_walk walk = p->chunks;
	struct sctp_chunk chunk;
	bool has_data = false;

	while (sctp_chunk_next(&walk, &chunk)) {
		sctp_chunk_count(p->sink, &chunk);
		has_data |= sctp_chunk_is_data(&chunk);
	}
	return has_data;
}

static void take_packet(struct sctp *sctp, const struct sctp_arrival *p, struct sctp_member m,
			bool has_data)
{
	struct sctp_walk walk = p->chunks;
	struct sctp_chunk chunk;

	sctp_life_tend(p->sink, m.a);
	if (p->sink->time_ns > m.a->last_ns)
		m.a->last_ns = p->sink->time_ns;
	m.a->is_seen[m.side] = true;
	if (sctp_is_answered(m.a)) {
		kpi_see(p->sink, KPI_GROUP_SCTP_BOTH);
		if (has_data)
			kpi_add(p->sink->session, KPI_VISIBLE_BYTES, p->bytes);
	}
	if (sctp_setup_shows_up(m.a, &p->first))
		sctp_life_rise(sctp, p->sink, m.a);
	while (m.a->state != SCTP_OVER && sctp_chunk_next(&walk, &chunk))
		take_chunk(sctp, p, m, &chunk);
}

/* The chunks end where the bytes do, or the IP packet: behind it Ethernet pads. */
static const uint8_t *end_of(const struct packet *packet, const struct dissected *d)
{
	const uint32_t ip_end = d->l3 + d->ip_len;

	return packet->data + (d->ip_len && ip_end < packet->len ? ip_end : packet->len);
}

void sctp_packet(struct sctp *sctp, const struct kpi_sink *sink, const struct packet *packet,
		 const struct dissected *d)
{
	const uint8_t *at = packet->data + d->l4, *limit = end_of(packet, d);

	kpi_see(sink, KPI_GROUP_SCTP);
	if (limit - at < (int)SCTP_HEADER_LEN)
		return;
	struct sctp_arrival p = {.sink = sink,
				 .chunks = {at + SCTP_HEADER_LEN, limit},
				 .session = d->key.session,
				 .tag = wire_u32(at + 4),
				 .bytes = d->ip_len ? d->ip_len : d->wire_len - d->l3,
				 .from = wire_u16(at),
				 .to = wire_u16(at + 2),
				 .direction = d->direction & 1,
				 .addresses = sctp_id_of_addresses(sctp->table, &d->key)};
	struct sctp_walk walk = p.chunks;

	if (!sctp_chunk_next(&walk, &p.first))
		return;
	const bool has_data = count_chunks(&p);
	const struct sctp_member m = sctp_join(sctp, &p);
	if (m.a)
		take_packet(sctp, &p, m, has_data);
}

void sctp_unreachable(struct sctp *sctp, const struct kpi_sink *sink, const struct flow_key *quoted,
		      unsigned direction)
{
	const uint64_t id = sctp_id_of_addresses(sctp->table, quoted);
	enum sctp_id kind;
	struct sctp_association *a = NULL;

	while ((a = sctp_table_find(sctp->table, id, SCTP_ADDRESSES, a, &kind)))
		if (a->state == SCTP_ASKED && a->asker == direction)
			sctp_setup_failed(sink, a, KPI_SCTP_FAILED_UNREACHABLE);
}

/* ---- time ---- */

void sctp_expire(struct sctp *sctp, uint64_t now_ns, unsigned n)
{
	const uint32_t n_max = sctp->config.associations_max;

	for (unsigned i = 0; i < n && i < n_max; i++) {
		struct sctp_association *a = sctp_table_at(sctp->table, sctp->cursor);
		sctp->cursor = sctp->cursor + 1 < n_max ? sctp->cursor + 1 : 0;
		if (!a || sctp_life_is_gone(sctp, a, now_ns))
			continue;
		const struct kpi_sink sink = sctp_life_sink(sctp, a->session, now_ns);
		sctp_life_tend(&sink, a);
	}
}

void sctp_finish(struct sctp *sctp, uint64_t now_ns)
{
	sctp_expire(sctp, now_ns, UINT32_MAX);
	for (uint32_t i = 0; i < sctp->config.associations_max; i++) {
		struct sctp_association *a = sctp_table_at(sctp->table, i);
		if (!a)
			continue;
		const struct kpi_sink sink = sctp_life_sink(sctp, a->session, now_ns);
		sctp_data_settle(&sink, &a->data[0], true);
		sctp_data_settle(&sink, &a->data[1], true);
	}
}

/* ---- memory ---- */

int sctp_open(struct sctp **out, const struct sctp_config *config, struct err *err)
{
	struct sctp *s = calloc(1, sizeof(*s));

	if (!s)
		return err_set(err, -ENOMEM, "out of memory for SCTP associations");
	s->config = *config;
	const int ret = sctp_table_open(&s->table, config->associations_max, config->sessions_max,
					config->key, err);
	if (ret) {
		free(s);
		return ret;
	}
	*out = s;
	return 0;
}

void sctp_close(struct sctp *sctp)
{
	if (!sctp)
		return;
	sctp_table_close(sctp->table);
	free(sctp);
}

size_t sctp_memory(const struct sctp_config *config)
{
	return sizeof(struct sctp) +
	       sctp_table_memory(config->associations_max, config->sessions_max);
}
