/*
 * conversation: the segments of a TCP connection between a client and a server, and the stream that
 * takes them: for tests, which have one each.
 */
#pragma once

#include <criterion/criterion.h>

#include "kpi/tcp_stream.h"

#define START UINT64_C(1795302174000000000)
#define MS    UINT64_C(1000000)

enum side { CLIENT, SERVER };

/* Numbers of the first byte of either side. */
#define C 1001u
#define S 5001u

static struct histogram histograms[KPI_HISTOGRAMS];
static uint64_t used, missed;
static const struct kpi_memory memory = {.histograms = histograms,
					 .histograms_max = KPI_HISTOGRAMS,
					 .histograms_used = &used,
					 .histograms_missed = &missed};
static struct kpi_session session;
static struct kpi_sink sink = {.memory = &memory, .session = &session};
static struct tcp_stream stream;
static struct tcp_segment next; /* what the next segment has besides */

static inline void prepare_conversation(void)
{
	struct err err;

	cr_assert_eq(tcp_gaps_open(&sink.gaps, 100, &err), 0);
	next = (struct tcp_segment){.window = 1000};
}

static inline void tear_down_conversation(void)
{
	tcp_gaps_close(sink.gaps);
}

static inline void take(uint64_t ms, enum side from, uint8_t flags, uint32_t seq, uint32_t len,
			uint32_t ack)
{
	struct tcp_segment s = next;

	s.time_ns = START + ms * MS;
	s.seq = seq;
	s.ack = ack;
	s.len = len;
	s.ip_len = len + 40;
	s.flags = flags;
	s.direction = from;
	s.end = seq + len + !!(flags & TCP_FLAG_SYN) + !!(flags & TCP_FLAG_FIN);
	tcp_stream_segment(&sink, &stream, &s, CLIENT);
	next = (struct tcp_segment){.window = 1000};
}

/* The client sends what has this offset, the server acknowledges up to it. */
static inline void data(uint64_t ms, uint32_t offset, uint32_t len)
{
	take(ms, CLIENT, TCP_FLAG_ACK, C + offset, len, S);
}

static inline void ack(uint64_t ms, uint32_t offset)
{
	take(ms, SERVER, TCP_FLAG_ACK, S, 0, C + offset);
}

static inline void stamped(uint64_t ms, uint32_t offset, uint32_t len, uint32_t tsval)
{
	next.has_timestamps = true;
	next.tsval = tsval;
	data(ms, offset, len);
}

static inline void sacked(uint64_t ms, uint32_t up_to, uint32_t start, uint32_t end)
{
	next.n_sacks = 1;
	next.sack[0] = (struct tcp_sack){C + start, C + end};
	ack(ms, up_to);
}

static inline void open_connection(void)
{
	take(0, CLIENT, TCP_FLAG_SYN, C - 1, 0, 0);
	take(10, SERVER, TCP_FLAG_SYN | TCP_FLAG_ACK, S - 1, 0, C);
	data(20, 0, 0);
}

#define assert_counted(name, n) cr_assert_eq(session.value[KPI_TCP_##name], n, #name)

static inline uint64_t resent(void)
{
	return session.value[KPI_TCP_RETRANSMITTED_SYN] + session.value[KPI_TCP_RETRANSMITTED_RTO] +
	       session.value[KPI_TCP_RETRANSMITTED_FAST] +
	       session.value[KPI_TCP_RETRANSMITTED_SPURIOUS];
}

static inline const struct histogram *histogram_of(enum kpi_histogram which)
{
	static const struct histogram none;

	return session.histogram[which] ? &histograms[session.histogram[which] - 1] : &none;
}

static inline uint64_t samples(enum kpi_histogram which)
{
	return histogram_count(histogram_of(which));
}
