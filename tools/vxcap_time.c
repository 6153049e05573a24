#include "vxcap_time.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "config/value.h"

#define NS_PER_S 1000000000u
#define DIGITS   "0123456789"

/* Seconds since 1970, with up to nine digits of fraction. */
static bool parse_seconds(uint64_t *ns, const char *text)
{
	char whole[21] = "", fraction[] = "000000000";
	uint64_t seconds, rest;
	const size_t n = strspn(text, DIGITS);
	const bool has_fraction = text[n] == '.';
	const char *digits = text + n + has_fraction;
	const size_t n_digits = has_fraction ? strspn(digits, DIGITS) : 0;

	if (n >= sizeof(whole) || n_digits > strlen(fraction) || digits[n_digits] ||
	    has_fraction != (n_digits > 0))
		return false;
	memcpy(whole, text, n);
	memcpy(fraction, digits, n_digits);
	if (!value_number(&seconds, whole) || !value_number(&rest, fraction) ||
	    seconds >= UINT64_MAX / NS_PER_S)
		return false;
	*ns = seconds * NS_PER_S + rest;
	return true;
}

int vxcap_time_parse(uint64_t *out, const char *text)
{
	int64_t instant;

	if (!value_instant(&instant, text))
		return parse_seconds(out, text) ? 0 : -EINVAL;
	*out = (uint64_t)instant;
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
	static const size_t len = VXCAP_TIME_NAME_LEN;

	for (; (name = strchr(name, '_')); name++) {
		char text[VXCAP_TIME_LEN];
		int64_t instant;

		if (strlen(name) < len || name[9] != 'T' || name[len - 1] != 'Z')
			continue;
		(void)snprintf(text, sizeof(text), "%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ", name + 1,
			       name + 5, name + 7, name + 10, name + 12, name + 14);
		if (!value_instant(&instant, text))
			continue;
		*out = (uint64_t)instant;
		return name + len;
	}
	return NULL;
}

bool vxcap_time_name(struct vxcap_name *out, const char *path)
{
	const char *const slash = strrchr(path, '/');
	const char *const base = slash ? slash + 1 : path;
	const char *const name = base + (*base == '.');
	const char *const number = strchr(name, '_');
	const size_t len = number ? (size_t)(number - name) : 0;
	const size_t digits = number ? strspn(number + 1, DIGITS) : 0;

	if (len == 0 || len >= sizeof(out->name) || digits < 6)
		return false;
	(void)snprintf(out->name, sizeof(out->name), "%.*s", (int)len, name);
	const char *const start = number + 1 + digits;
	const char *rest = vxcap_time_from_name(&out->start_ns, start);
	if (rest != start + VXCAP_TIME_NAME_LEN)
		return false;
	out->end_ns = UINT64_MAX;
	if (!strcmp(rest, ".part") || !strncmp(rest, "_trunc.", 7)) {
		out->start_ns = 0; /* what began it need not be the earliest */
		return true;
	}
	const char *const end = rest;
	rest = vxcap_time_from_name(&out->end_ns, end);
	if (rest != end + VXCAP_TIME_NAME_LEN || strncmp(rest, ".pcapng.zst", 11) ||
	    out->end_ns < out->start_ns)
		return false;
	out->end_ns += NS_PER_S - 1; /* the name has the second only */
	return true;
}
