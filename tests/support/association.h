/*
 * association: packets of an SCTP association of two hosts, A and B, with two paths, and the
 * sctp that takes them: for tests, which have one each.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kpi/sctp.h"

#define MS     UINT64_C(1000000)
#define START  (UINT64_C(1795302174) * 1000 * MS)
#define PLACES 16u

/* Initiate tags: packets to a host carry its own. Addresses: two of each host, whose order differs
 * from path to path. */
#define TAG_A 0xaaaaaaaau
#define TAG_B 0xbbbbbbbbu
#define A1    "10.0.0.1"
#define B1    "10.0.0.2"
#define A2    "10.1.0.9"
#define B2    "10.1.0.3"

extern struct kpi_session sessions[4];
extern const struct kpi_memory memory;
extern struct sctp *sctp;
extern uint32_t session; /* of the next packet */
extern uint16_t port_a;  /* 3000; B has 3868 */
extern uint32_t cut;     /* bytes to leave of the next packet; 0: all */

void prepare_association(void);
void tear_down_association(void);

struct chunks {
	uint32_t len;
	uint8_t bytes[2000];
};

/* A chunk of words behind its header. */
struct chunks chunk(uint8_t type, uint8_t flags, unsigned n, const uint32_t *words);
struct chunks both(struct chunks a, struct chunks b);

#define CHUNK(type, flags, ...)                                                                    \
	chunk(type, flags, sizeof((const uint32_t[]){__VA_ARGS__}) / 4,                            \
	      (const uint32_t[]){__VA_ARGS__})
#define INIT(tag, tsn)       CHUNK(1, 0, tag, 65536, 10 << 16 | 10, tsn)
#define INIT_ACK(tag, tsn)   CHUNK(2, 0, tag, 65536, 10 << 16 | 10, tsn)
#define DATA(tsn)            CHUNK(0, 3, tsn, 0, 46, 0)
#define SACK(cum, window)    CHUNK(3, 0, cum, window, 0)
#define HEARTBEAT(info)      CHUNK(4, 0, 1 << 16 | 8, info)
#define HEARTBEAT_ACK(info)  CHUNK(5, 0, 1 << 16 | 8, info)
#define EMPTY(type)          chunk(type, 0, 0, NULL)
#define COOKIE_ECHO          EMPTY(10)
#define COOKIE_ACK           EMPTY(11)
#define ABORT(flags, cause)  CHUNK(6, flags, (cause) << 16 | 4)
#define SHUTDOWN(cum)        CHUNK(7, 0, cum)
#define SHUTDOWN_ACK         EMPTY(8)
#define SHUTDOWN_COMPLETE(t) chunk(14, t, 0, NULL)

struct build;

/* An Ethernet frame, behind which nothing can be read, at ms. */
void take_frame(uint64_t ms, struct build *b);
void take(uint64_t ms, const char *from, const char *to, uint32_t tag, struct chunks c);
void from_a(uint64_t ms, struct chunks c);
void from_b(uint64_t ms, struct chunks c);
/* Up 60 ms after ms: 10 + 20 + 30. First TSNs: 100 of A, 500 of B. */
void set_up(uint64_t ms);
void expire_associations(uint64_t ms);
void finish_associations(uint64_t ms);
/* The session is known to mirror both directions. */
void sees_both(void);

/* Of session 0. */
uint64_t value(enum kpi kpi);
bool is_group_seen(enum kpi_group group);
void assert_times(enum kpi_histogram which, uint64_t n, uint64_t sum_ms);
/* One ended, and like this; alive are up. */
void assert_ended(enum kpi how, uint64_t alive);
uint64_t ended_in_all(void);
