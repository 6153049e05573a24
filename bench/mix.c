#include "mix.h"

#include <stdlib.h>
#include <string.h>

#define OUTER    50 /* Ethernet, IPv4, UDP, VXLAN */
#define ETHERNET 14
#define IPV4     20
#define TCP      32 /* with timestamps */
#define START    UINT64_C(1795302174000000000)
#define MSS      1448

enum { FIN = 1, SYN = 2, PSH = 8, ACK = 16 };

struct side {
	uint32_t seq;  /* next to be sent */
	uint32_t sent; /* length of the last segment */
	uint32_t ts;   /* latest timestamp */
};

struct connection {
	struct side side[2]; /* client, server */
	uint16_t port;       /* client's */
	uint32_t left;       /* packets until FIN */
	uint8_t step;        /* 0 SYN, 1 SYN ACK, 2 ACK, 3 talk, 4 FIN, 5 FIN ACK, 6 ACK */
	uint8_t owes;        /* segments of the server that the client has not acknowledged */
};

struct mix {
	struct mix_config config;
	uint64_t random, time_ns;
	struct connection connection[];
};

struct segment {
	unsigned from; /* side */
	uint8_t flags;
	uint32_t seq, payload;
};

/* xorshift64* (Vigna): not for secrets. */
static uint32_t draw(struct mix *mix, uint32_t below)
{
	mix->random ^= mix->random >> 12;
	mix->random ^= mix->random << 25;
	mix->random ^= mix->random >> 27;
	return (uint32_t)((mix->random * UINT64_C(0x2545f4914f6cdd1d) >> 32) * below >> 32);
}

static void put16(uint8_t *p, uint32_t x)
{
	p[0] = (uint8_t)(x >> 8);
	p[1] = (uint8_t)x;
}

static void put32(uint8_t *p, uint32_t x)
{
	put16(p, x >> 16);
	put16(p + 2, x);
}

static void put_ipv4(uint8_t *p, uint8_t proto, uint32_t len, uint32_t from, uint32_t to)
{
	p[0] = 0x45;
	put16(p + 2, len);
	p[8] = 64;
	p[9] = proto;
	put32(p + 12, from);
	put32(p + 16, to);
}

/* The headers around a segment of payload bytes; returns its TCP header. */
static uint8_t *put_headers(struct mix_frame *out, uint32_t vni, uint32_t from, uint32_t to,
			    uint32_t payload)
{
	const uint32_t whole = OUTER + ETHERNET + IPV4 + TCP + payload;
	uint8_t *p = out->data;

	memset(p, 0, sizeof(out->data));
	out->len = whole < MIX_FRAME_MAX ? whole : MIX_FRAME_MAX;
	put16(p + 12, 0x0800);
	put_ipv4(p + 14, 17, out->len - 14, 0x0a000001, 0x0a000002);
	put16(p + 34, 50000);
	put16(p + 36, 4789);
	put16(p + 38, out->len - 34);
	p[42] = 8;
	put32(p + 46, vni << 8);
	p += OUTER;
	memcpy(p, "\2\0\0\0\0\1\2\0\0\0\0\2\x08\0", ETHERNET);
	put_ipv4(p + ETHERNET, 6, IPV4 + TCP + payload, from, to);
	p[ETHERNET + IPV4 + 12] = TCP / 4 << 4;
	return p + ETHERNET + IPV4;
}

static void put_segment(struct mix *mix, uint32_t number, struct connection *c,
			const struct segment *s, struct mix_frame *out)
{
	const uint32_t address[2] = {0x0b000000 + number, 0x0c000000 + number % 1000};
	const uint16_t port[2] = {c->port, 3868};
	const unsigned to = !s->from;
	struct side *side = &c->side[s->from], *peer = &c->side[to];
	uint8_t *t = put_headers(out, mix->config.vni, address[s->from], address[to], s->payload);

	side->ts = (uint32_t)(mix->time_ns / 1000000) + s->from * 1000;
	put16(t, port[s->from]);
	put16(t + 2, port[to]);
	put32(t + 4, s->seq);
	put32(t + 8, s->flags & ACK ? peer->seq : 0);
	t[13] = s->flags;
	put16(t + 14, 60000);
	memcpy(t + 20, "\1\1\x08\x0a", 4);
	put32(t + 24, side->ts);
	put32(t + 28, s->flags & ACK ? peer->ts : 0);
	out->time_ns = mix->time_ns;
}

static struct segment talk(struct mix *mix, struct connection *c)
{
	const unsigned kind = draw(mix, 100);

	c->left--;
	if (c->owes >= 2 || (c->owes && kind < 10)) {
		c->owes = 0;
		return (struct segment){0, ACK, c->side[0].seq, 0};
	}
	const unsigned from = kind < 70; /* more comes from the server */
	struct side *side = &c->side[from];
	if (kind == 99 && side->sent)
		return (struct segment){from, ACK, side->seq - side->sent, side->sent};
	side->sent = from ? MSS : 60 + draw(mix, 400);
	side->seq += side->sent;
	c->owes = from ? c->owes + 1 : 0;
	return (struct segment){from, ACK | PSH, side->seq - side->sent, side->sent};
}

static void begin(struct mix *mix, struct connection *c)
{
	const uint16_t port = c->port < 1024 || c->port > 60000 ? 1024 : c->port;

	*c = (struct connection){
		.side = {{.seq = draw(mix, UINT32_MAX)}, {.seq = draw(mix, UINT32_MAX)}},
		.port = port + 1,
		.left = mix->config.talk + draw(mix, mix->config.talk)};
}

static struct segment next_segment(struct mix *mix, struct connection *c)
{
	static const struct {
		uint8_t from, flags;
	} of_step[] = {{0, SYN},       {1, SYN | ACK}, {0, ACK}, {0, 0},
		       {0, FIN | ACK}, {1, FIN | ACK}, {0, ACK}};
	const unsigned step = c->step;

	if (step == 3) {
		if (c->left == 1)
			c->step++;
		return talk(mix, c);
	}
	const struct segment s = {of_step[step].from, of_step[step].flags,
				  c->side[of_step[step].from].seq, 0};
	c->side[s.from].seq += (s.flags & (SYN | FIN)) != 0;
	c->step++;
	return s;
}

void mix_next(struct mix *mix, struct mix_frame *out)
{
	const uint32_t number = draw(mix, mix->config.flows);
	struct connection *c = &mix->connection[number];

	mix->time_ns += mix->config.step_ns;
	if (!c->port || c->step > 6)
		begin(mix, c);
	const struct segment s = next_segment(mix, c);
	put_segment(mix, number, c, &s, out);
}

void mix_flood(const struct mix *mix, uint64_t number, uint32_t vni, struct mix_frame *out)
{
	uint8_t *t = put_headers(out, vni, 0x0d000000 + (uint32_t)(number >> 16), 0x0c000000, 0);

	put16(t, (uint32_t)number);
	put16(t + 2, 3868);
	t[13] = SYN;
	out->time_ns = mix->time_ns;
}

struct mix *mix_open(const struct mix_config *config)
{
	struct mix *mix = calloc(1, sizeof(*mix) + config->flows * sizeof(mix->connection[0]));

	if (!mix)
		return NULL;
	mix->config = *config;
	mix->random = config->seed * 2 + 1;
	mix->time_ns = START;
	return mix;
}

void mix_close(struct mix *mix)
{
	free(mix);
}
