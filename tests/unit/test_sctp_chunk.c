#include "kpi/sctp_chunk.h"

#include <criterion/criterion.h>
#include <string.h>

#include "../support/packet.h"

static struct kpi_session session;
static const struct kpi_sink sink = {.session = &session};
static struct sctp_chunk chunks[16];

/* Takes the bytes, behind which nothing can be read. Returns the number of chunks. */
static unsigned walk(const uint8_t *bytes, uint32_t len)
{
	const uint8_t *at = packet_guard(bytes, len);
	struct sctp_walk w = {at, at + len};
	unsigned n = 0;

	while (n < 16 && sctp_chunk_next(&w, &chunks[n]))
		sctp_chunk_count(&sink, &chunks[n++]);
	return n;
}

#define WALK(...)                                                                                  \
	walk((const uint8_t[]){__VA_ARGS__}, (uint32_t)sizeof((const uint8_t[]){__VA_ARGS__}))

static uint64_t value(enum kpi kpi)
{
	return session.value[kpi];
}

Test(sctp_chunk, all_are_walked_over_their_padding)
{
	cr_assert_eq(WALK(10, 0, 0, 5, 1, 0, 0, 0, 3, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 0,
			  11, 0, 0, 4),
		     3);
	cr_assert_eq(chunks[0].len, 5);
	cr_assert_eq(chunks[1].type, SCTP_SACK);
	cr_assert_eq(chunks[2].type, SCTP_COOKIE_ACK);
	cr_assert_eq(value(KPI_SCTP_CHUNK_COOKIE_ECHO), 1);
	cr_assert_eq(value(KPI_SCTP_CHUNK_SACK), 1);
	cr_assert_eq(value(KPI_SCTP_CHUNK_COOKIE_ACK), 1);
}

Test(sctp_chunk, cut_one_is_there_as_far_as_its_bytes)
{
	cr_assert_eq(WALK(0, 3, 0, 100, 1, 2, 3, 4), 1);
	cr_assert_eq(chunks[0].len, 100);
	cr_assert_eq(chunks[0].there, 8);
	cr_assert_eq(value(KPI_SCTP_CHUNK_DATA), 1);
}

Test(sctp_chunk, length_below_that_of_a_header_ends_the_walk)
{
	cr_assert_eq(WALK(11, 0, 0, 4, 0, 3, 0, 3, 11, 0, 0, 4), 1);
	cr_assert_eq(WALK(0, 3, 0, 0, 0, 0, 0, 0), 0);
	cr_assert_eq(value(KPI_SCTP_CHUNK_DATA), 0);
}

Test(sctp_chunk, less_than_a_header_is_none)
{
	cr_assert_eq(WALK(0, 3, 0), 0);
}

Test(sctp_chunk, greatest_length_does_not_wrap)
{
	cr_assert_eq(WALK(0, 3, 0xff, 0xff, 0, 0, 0, 1, 11, 0, 0, 4), 1);
	cr_assert_eq(WALK(0, 3, 0xff, 0xfd, 0, 0, 0, 1), 1);
}

Test(sctp_chunk, unknown_types_are_counted_as_other)
{
	WALK(16, 0, 0, 4, 255, 0, 0, 4);
	cr_assert_eq(value(KPI_SCTP_CHUNK_OTHER), 2);
}

Test(sctp_chunk, part_of_a_message_is_fragmented)
{
	WALK(0, 3, 0, 4, 0, 2, 0, 4, 0, 0, 0, 4, 0, 1, 0, 4, 64, 7, 0, 4, 64, 5, 0, 4, 3, 0, 0, 4);
	cr_assert_eq(value(KPI_SCTP_FRAGMENTED_DATA), 4);
	cr_assert_eq(value(KPI_SCTP_CHUNK_I_DATA), 2);
}

Test(sctp_chunk, abort_is_counted_by_its_first_cause)
{
	WALK(6, 0, 0, 4, 6, 0, 0, 12, 0, 12, 0, 4, 0, 13, 0, 4, 6, 0, 0, 8, 0, 13, 0, 4);
	cr_assert_eq(value(KPI_SCTP_ABORT_NONE), 1);
	cr_assert_eq(value(KPI_SCTP_ABORT_USER_INITIATED), 1);
	cr_assert_eq(value(KPI_SCTP_ABORT_PROTOCOL_VIOLATION), 1);
	WALK(6, 0, 0, 8, 0, 14, 0, 4, 6, 0, 0, 8, 0, 0, 0, 4, 6, 0, 0, 8);
	cr_assert_eq(value(KPI_SCTP_ABORT_OTHER), 3, "14, 0, and one whose cause is cut away");
	WALK(6, 0, 0, 8, 0, 1, 0, 4);
	cr_assert_eq(value(KPI_SCTP_ABORT_INVALID_STREAM), 1);
}

Test(sctp_chunk, abort_and_shutdown_complete_alone_reflect_a_tag)
{
	WALK(6, 1, 0, 4, 6, 0, 0, 4, 14, 1, 0, 4, 0, 1, 0, 4);
	cr_assert(sctp_chunk_reflects_tag(&chunks[0]));
	cr_assert_not(sctp_chunk_reflects_tag(&chunks[1]));
	cr_assert(sctp_chunk_reflects_tag(&chunks[2]));
	cr_assert_not(sctp_chunk_reflects_tag(&chunks[3]));
}
