/*
 * siphash: SipHash-1-3 (Aumasson, Bernstein) over whole 64-bit words: a keyed hash whose collisions
 * nobody without the key can make. Both halves; pure.
 *
 *   sip_init, sip_word for each word, sip_final
 *
 * 1-3 rather than 2-4: half the rounds per word; Linux, Python and Rust use it for their hash
 * tables.
 */
#pragma once

#include "wire.h"

#include <linux/types.h>

/* Random, from the starter, new at each start. */
struct siphash_key {
	__u64 word[2];
};

struct siphash {
	__u64 v[4];
	__u64 len; /* bytes so far */
};

WIRE_INLINE __u64 sip_rotate(__u64 x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

WIRE_INLINE void sip_round(__u64 v[4])
{
	v[0] += v[1];
	v[1] = sip_rotate(v[1], 13) ^ v[0];
	v[0] = sip_rotate(v[0], 32);
	v[2] += v[3];
	v[3] = sip_rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = sip_rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = sip_rotate(v[1], 17) ^ v[2];
	v[2] = sip_rotate(v[2], 32);
}

/* The constants spell "somepseudorandomlygeneratedbytes". */
WIRE_INLINE void sip_init(struct siphash *s, const struct siphash_key *key)
{
	s->v[0] = key->word[0] ^ 0x736f6d6570736575ull;
	s->v[1] = key->word[1] ^ 0x646f72616e646f6dull;
	s->v[2] = key->word[0] ^ 0x6c7967656e657261ull;
	s->v[3] = key->word[1] ^ 0x7465646279746573ull;
	s->len = 0;
}

WIRE_INLINE void sip_word(struct siphash *s, __u64 word)
{
	s->v[3] ^= word;
	sip_round(s->v);
	s->v[0] ^= word;
	s->len += 8;
}

WIRE_INLINE __u64 sip_final(struct siphash *s)
{
	sip_word(s, s->len << 56);
	s->v[2] ^= 0xff;
	sip_round(s->v);
	sip_round(s->v);
	sip_round(s->v);
	return s->v[0] ^ s->v[1] ^ s->v[2] ^ s->v[3];
}
