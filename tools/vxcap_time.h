/*
 * vxcap_time: times as people write them. Pure functions.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* RFC 3339 section 5.6 date-time, or seconds since 1970, with up to nine digits of fraction.
 * Strict: every field in its range, nothing behind it. Nanoseconds since 1970. -EINVAL. */
int vxcap_time_parse(uint64_t *out, const char *text);
/* Writes 2026-11-21T10:00:00Z; the fraction is left out. */
#define VXCAP_TIME_LEN sizeof("2026-11-21T10:00:00Z")
void vxcap_time_format(char out[VXCAP_TIME_LEN], uint64_t time_ns);
#define VXCAP_TIME_NAME_LEN (sizeof("_20261121T230254Z") - 1)
/* Finds _20261121T230254Z in a file name. Returns what is behind it; NULL: there is none. */
const char *vxcap_time_from_name(uint64_t *out, const char *name);

/* What the name of a stored file says: NAME_000007_START_END.pcapng.zst,
 * NAME_000007_START_trunc..., .NAME_000007_START.part. */
struct vxcap_name {
	char name[65];
	uint64_t start_ns; /* floor of the second; 0: not known */
	uint64_t end_ns;   /* last nanosecond; UINT64_MAX: not known */
};

/* False: it is not called so, or ends before it starts. */
bool vxcap_time_name(struct vxcap_name *out, const char *path);
