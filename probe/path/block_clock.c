#include "path/block_clock.h"

#define NS_PER_S 1000000000

static __int128 power_of_10(unsigned n)
{
	__int128 power = 1;

	while (n-- > 0)
		power *= 10;
	return power;
}

uint64_t block_clock_ns(const struct block_clock *c, uint64_t units)
{
	const unsigned exponent = c->resolution & 0x7f;
	__int128 ns;

	if (c->resolution & 0x80)
		ns = (__int128)((unsigned __int128)units * NS_PER_S >> exponent);
	else if (exponent <= 9)
		ns = units * power_of_10(9 - exponent);
	else if (exponent <= 9 + 19) /* 10^20 is more than 64 bits hold */
		ns = units / power_of_10(exponent - 9);
	else
		ns = 0;
	ns += (__int128)c->offset_s * NS_PER_S;
	if (ns < 0)
		return 0;
	return ns > INT64_MAX ? INT64_MAX : (uint64_t)ns;
}
