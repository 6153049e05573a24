#include "kpi/sctp_chunk.h"

#include "wire.h"

#define CHUNK_HEADER_LEN 4u
#define CAUSE_LAST       13 /* protocol violation: RFC 9260 section 3.3.10 */
static_assert(KPI_SCTP_ABORT_PROTOCOL_VIOLATION - KPI_SCTP_ABORT_NONE == CAUSE_LAST,
	      "rows in the order of the codes");

bool sctp_chunk_next(struct sctp_walk *walk, struct sctp_chunk *chunk)
{
	if (walk->end - walk->at < CHUNK_HEADER_LEN)
		return false;
	const uint32_t left = (uint32_t)(walk->end - walk->at), len = wire_u16(walk->at + 2);
	const uint32_t padded = (len + 3) & ~3u;

	if (len < CHUNK_HEADER_LEN)
		return false;
	*chunk = (struct sctp_chunk){.type = walk->at[0],
				     .flags = walk->at[1],
				     .len = len,
				     .data = walk->at,
				     .there = len < left ? len : left};
	walk->at += padded < left ? padded : left;
	return true;
}

bool sctp_chunk_is_data(const struct sctp_chunk *chunk)
{
	return chunk->type == SCTP_DATA || chunk->type == SCTP_I_DATA;
}

bool sctp_chunk_reflects_tag(const struct sctp_chunk *chunk)
{
	return (chunk->type == SCTP_ABORT || chunk->type == SCTP_SHUTDOWN_COMPLETE) &&
	       chunk->flags & 1;
}

static enum kpi kpi_of(uint8_t type)
{
	switch (type) {
#define TYPE(name)                                                                                 \
	case SCTP_##name:                                                                          \
		return KPI_SCTP_CHUNK_##name
		TYPE(DATA);
		TYPE(INIT);
		TYPE(INIT_ACK);
		TYPE(SACK);
		TYPE(HEARTBEAT);
		TYPE(HEARTBEAT_ACK);
		TYPE(ABORT);
		TYPE(SHUTDOWN);
		TYPE(SHUTDOWN_ACK);
		TYPE(ERROR);
		TYPE(COOKIE_ECHO);
		TYPE(COOKIE_ACK);
		TYPE(SHUTDOWN_COMPLETE);
		TYPE(I_DATA);
		TYPE(FORWARD_TSN);
		TYPE(ASCONF);
		TYPE(ASCONF_ACK);
		TYPE(RECONFIG);
#undef TYPE
	default:
		return KPI_SCTP_CHUNK_OTHER;
	}
}

/* Of the first cause; one that is cut away is none that is known. */
static enum kpi kpi_of_abort(const struct sctp_chunk *chunk)
{
	if (chunk->len < CHUNK_HEADER_LEN + 4)
		return KPI_SCTP_ABORT_NONE;
	if (chunk->there < CHUNK_HEADER_LEN + 2)
		return KPI_SCTP_ABORT_OTHER;
	const unsigned cause = wire_u16(chunk->data + CHUNK_HEADER_LEN);

	return cause && cause <= CAUSE_LAST ? KPI_SCTP_ABORT_NONE + cause : KPI_SCTP_ABORT_OTHER;
}

void sctp_chunk_count(const struct kpi_sink *sink, const struct sctp_chunk *chunk)
{
	kpi_count(sink, kpi_of(chunk->type), 1);
	if (chunk->type == SCTP_ABORT)
		kpi_count(sink, kpi_of_abort(chunk), 1);
	if (sctp_chunk_is_data(chunk) && (chunk->flags & 3) != 3) /* B and E */
		kpi_count(sink, KPI_SCTP_FRAGMENTED_DATA, 1);
}
