/*
 * value: sizes, times, addresses as people write them.
 *
 * Any thread; pure. True: *out is set; false: the text is no such value, and *out is untouched.
 */
#pragma once

#include "abi.h"

#include <stdbool.h>
#include <stdint.h>

bool value_number(uint64_t *out, const char *text); /* 4096 */
bool value_size(uint64_t *out, const char *text);   /* bytes: 0, 512B, 64KiB ... 1TiB */
/* A size, or VALUE_PERCENT and 0 to 99 in the other bits: 0, 64KiB, 5%. */
#define VALUE_PERCENT (UINT64_C(1) << 63)
bool value_space(uint64_t *out, const char *text);
bool value_time(uint64_t *ns, const char *text);           /* 0, 20ns, us, ms, s, 5m, 24h, 30d */
bool value_address(struct address *out, const char *text); /* IPv4 or IPv6 */
/* ADDRESS or ADDRESS/LENGTH; *len of all 128 bits, so of IPv4 96 and more. */
bool value_prefix(struct address *address, uint32_t *len, const char *text);
bool value_mac(uint64_t *out, const char *text); /* 02:00:00:00:00:01, as 48 bits */
/* RFC 3339 with a zone: 2026-11-21T10:00:00Z, 2026-11-21T11:00:00.5+01:00. From 1970 to 2262; T and
 * Z in capitals, no leap seconds. */
bool value_instant(int64_t *ns, const char *text);
