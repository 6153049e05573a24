#include "vxcap_time.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#define NS_PER_S 1000000000u

/* Reads text by pattern: '0' is a digit, '\0' ends, anything else is itself. The digits of each run
 * become one number. Returns what is behind, or NULL. */
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
		if (!isdigit((unsigned char)*text))
			return NULL;
		*numbers = (in_number ? *numbers * 10 : 0) + (*text - '0');
		in_number = true;
	}
	return text;
}

/* numbers: year month day hour minute second, UTC. False: no such time, or before 1970. */
static bool seconds_since_1970(const int numbers[6], time_t *out)
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
	return *out >= 0 && tm.tm_year == asked.tm_year && tm.tm_mon == asked.tm_mon &&
	       tm.tm_mday == asked.tm_mday && tm.tm_hour == asked.tm_hour &&
	       tm.tm_min == asked.tm_min && tm.tm_sec == asked.tm_sec;
}

/* Reads .123 if it is there. Returns what is behind, or NULL when the fraction is malformed. */
static const char *parse_fraction(const char *text, uint32_t *out)
{
	uint32_t unit = NS_PER_S;

	*out = 0;
	if (*text != '.')
		return text;
	for (text++; isdigit((unsigned char)*text) && unit > 1; text++) {
		unit /= 10;
		*out += unit * (uint32_t)(*text - '0');
	}
	return unit == NS_PER_S || isdigit((unsigned char)*text) ? NULL : text;
}

/* Reads Z or +01:00. *out is what UTC lacks. */
static bool parse_zone(const char *text, time_t *out)
{
	int numbers[2];

	if (!strcmp(text, "Z")) {
		*out = 0;
		return true;
	}
	const char *end = match(text + (*text != '\0'), "00:00", numbers);
	if ((*text != '+' && *text != '-') || !end || *end || numbers[0] > 23 || numbers[1] > 59)
		return false;
	*out = (numbers[0] * 60 + numbers[1]) * (*text == '+' ? -60 : 60);
	return true;
}

static int parse_seconds(const char *text, time_t *out, uint32_t *fraction)
{
	uint64_t seconds = 0;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	for (; isdigit((unsigned char)*text); text++) {
		seconds = seconds * 10 + (uint64_t)(*text - '0');
		if (seconds >= UINT64_MAX / NS_PER_S)
			return -EINVAL;
	}
	*out = (time_t)seconds;
	text = parse_fraction(text, fraction);
	return text && *text == '\0' ? 0 : -EINVAL;
}

static int parse_date(const char *text, time_t *out, uint32_t *fraction)
{
	int numbers[6];
	time_t zone;

	text = match(text, "0000-00-00T00:00:00", numbers);
	if (!text || !seconds_since_1970(numbers, out))
		return -EINVAL;
	text = parse_fraction(text, fraction);
	if (!text || !parse_zone(text, &zone))
		return -EINVAL;
	*out += zone;
	return *out >= 0 && (uint64_t)*out < UINT64_MAX / NS_PER_S ? 0 : -EINVAL;
}

int vxcap_time_parse(uint64_t *out, const char *text)
{
	uint32_t fraction;
	time_t seconds;

	if (parse_date(text, &seconds, &fraction) && parse_seconds(text, &seconds, &fraction))
		return -EINVAL;
	*out = (uint64_t)seconds * NS_PER_S + fraction;
	return 0;
}

void vxcap_time_format(char out[VXCAP_TIME_LEN], uint64_t time_ns)
{
	const time_t seconds = (time_t)(time_ns / NS_PER_S);
	struct tm utc;

	gmtime_r(&seconds, &utc); /* 2^64 ns are the year 2554: four digits */
	(void)strftime(out, VXCAP_TIME_LEN, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

const char *vxcap_time_from_name(uint64_t *out, const char *name)
{
	int numbers[6];
	time_t seconds;

	for (; (name = strchr(name, '_')); name++) {
		/* match separates numbers at what is no digit, so the fields are taken one by one
		 */
		const char *end = match(name, "_00000000T000000Z", numbers);
		if (!end)
			continue;
		const int date = numbers[0], clock = numbers[1];
		const int fields[6] = {date / 10000,  date / 100 % 100,  date % 100,
				       clock / 10000, clock / 100 % 100, clock % 100};
		if (!seconds_since_1970(fields, &seconds))
			continue;
		*out = (uint64_t)seconds * NS_PER_S;
		return end;
	}
	return NULL;
}
