#include "config/value.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NS_PER_S 1000000000

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* ---- numbers with units ---- */

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit no_units[] = {{"", 1}, {NULL, 0}};
static const struct unit size_units[] = {{"", 1},
					 {"B", 1},
					 {"KiB", 1ull << 10},
					 {"MiB", 1ull << 20},
					 {"GiB", 1ull << 30},
					 {"TiB", 1ull << 40},
					 {NULL, 0}};
static const struct unit time_units[] = {
	{"ns", 1},          {"us", 1000},         {"ms", 1000000},       {"s", 1000000000},
	{"m", 60000000000}, {"h", 3600000000000}, {"d", 86400000000000}, {NULL, 0}};

static bool parse_units(uint64_t *out, const char *text, const struct unit *units)
{
	char *end;

	if (!is_digit(*text)) /* strtoull takes signs and spaces */
		return false;
	errno = 0;
	const uint64_t n = strtoull(text, &end, 10);
	if (errno)
		return false;
	if (!n && !*end) /* nothing of any unit */
		units = no_units;
	for (; units->name; units++) {
		uint64_t product;
		if (strcmp(end, units->name))
			continue;
		if (__builtin_mul_overflow(n, units->factor, &product))
			return false;
		*out = product;
		return true;
	}
	return false;
}

bool value_number(uint64_t *out, const char *text)
{
	return parse_units(out, text, no_units);
}

bool value_size(uint64_t *out, const char *text)
{
	return parse_units(out, text, size_units);
}

bool value_space(uint64_t *out, const char *text)
{
	static const struct unit percent[] = {{"%", 1}, {NULL, 0}};
	uint64_t value;

	if (parse_units(&value, text, percent)) {
		if (value > 99)
			return false;
		*out = value ? VALUE_PERCENT | value : 0;
		return true;
	}
	if (!value_size(&value, text) || value >= VALUE_PERCENT)
		return false;
	*out = value;
	return true;
}

bool value_time(uint64_t *ns, const char *text)
{
	return parse_units(ns, text, time_units);
}

/* ---- addresses ---- */

bool value_address(struct address *out, const char *text)
{
	struct address a = {.byte = {[10] = 0xff, [11] = 0xff}};

	if (inet_pton(AF_INET, text, a.byte + 12) != 1 && inet_pton(AF_INET6, text, a.byte) != 1)
		return false;
	*out = a;
	return true;
}

bool value_prefix(struct address *address, uint32_t *len, const char *text)
{
	const size_t n = strcspn(text, "/");
	struct address a;
	char host[64];

	if (n >= sizeof(host))
		return false;
	memcpy(host, text, n);
	host[n] = 0;
	const uint64_t width = strchr(host, ':') ? 128 : 32;
	uint64_t bits = width;
	if (!value_address(&a, host) || (text[n] && !value_number(&bits, text + n + 1)) ||
	    bits > width)
		return false;
	*address = a;
	*len = (uint32_t)(bits + 128 - width);
	return true;
}

static int hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	c |= 0x20; /* lower case */
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool value_mac(uint64_t *out, const char *text)
{
	uint64_t mac = 0;

	for (int i = 0; i < 17; i++) {
		const int digit = hex_digit(text[i]);
		if (i % 3 == 2 ? text[i] != ':' : digit < 0)
			return false;
		if (i % 3 != 2)
			mac = mac << 4 | (uint64_t)digit;
	}
	if (text[17])
		return false;
	*out = mac;
	return true;
}

/* ---- RFC 3339 ---- */

/* Reads text by pattern: '0' is a digit, anything else is itself. The digits of each run become one
 * number. Returns what is behind, or NULL. */
static const char *match(const char *text, const char *pattern, int *numbers)
{
	bool in_number = false;

	for (; *pattern; pattern++, text++) {
		if (*pattern != '0') {
			if (*text != *pattern)
				return NULL;
			numbers += in_number;
			in_number = false;
			continue;
		}
		if (!is_digit(*text))
			return NULL;
		*numbers = (in_number ? *numbers * 10 : 0) + (*text - '0');
		in_number = true;
	}
	return text;
}

/* numbers: year month day hour minute second, UTC. False: no such time. timegm makes 2 March of 30
 * February; what it had to change is no time. */
static bool seconds_since_1970(const int numbers[6], int64_t *out)
{
	struct tm tm = {
		.tm_year = numbers[0] - 1900,
		.tm_mon = numbers[1] - 1,
		.tm_mday = numbers[2],
		.tm_hour = numbers[3],
		.tm_min = numbers[4],
		.tm_sec = numbers[5],
	};
	const struct tm asked = tm;

	*out = timegm(&tm);
	return tm.tm_year == asked.tm_year && tm.tm_mon == asked.tm_mon &&
	       tm.tm_mday == asked.tm_mday && tm.tm_hour == asked.tm_hour &&
	       tm.tm_min == asked.tm_min && tm.tm_sec == asked.tm_sec;
}

/* Reads .5 or .123456789 if it is there. Returns what is behind, or NULL. */
static const char *parse_fraction(const char *text, int64_t *ns)
{
	int64_t unit = NS_PER_S;

	*ns = 0;
	if (*text != '.')
		return text;
	for (text++; is_digit(*text) && unit > 1; text++) {
		unit /= 10;
		*ns += unit * (*text - '0');
	}
	return unit == NS_PER_S || is_digit(*text) ? NULL : text;
}

/* Reads Z or +01:00. *out is what UTC lacks, in seconds. */
static bool parse_zone(const char *text, int64_t *out)
{
	int numbers[2];

	*out = 0;
	if (!strcmp(text, "Z"))
		return true;
	if (*text != '+' && *text != '-')
		return false;
	const char *end = match(text + 1, "00:00", numbers);
	if (!end || *end || numbers[0] > 23 || numbers[1] > 59)
		return false;
	*out = (numbers[0] * 60 + numbers[1]) * (*text == '+' ? -60 : 60);
	return true;
}

bool value_instant(int64_t *ns, const char *text)
{
	int64_t seconds, fraction, zone;
	int numbers[6];

	text = match(text, "0000-00-00T00:00:00", numbers);
	if (!text || !seconds_since_1970(numbers, &seconds))
		return false;
	text = parse_fraction(text, &fraction);
	if (!text || !parse_zone(text, &zone))
		return false;
	seconds += zone;
	if (seconds < 0 || seconds >= INT64_MAX / NS_PER_S)
		return false;
	*ns = seconds * NS_PER_S + fraction;
	return true;
}
