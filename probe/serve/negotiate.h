/*
 * negotiate: which of its forms a client wants a page in (RFC 9110, section 12.5).
 *
 * Pure; any thread. A header is its value, or NULL when there is none.
 */
#pragma once

#include "serve/exposition.h"

#include <stdbool.h>

/* By the Accept header. Text 0.0.4 unless the client prefers OpenMetrics, also when it wants
 * neither: an odd page is of more use than none. */
enum exposition_format negotiate_format(const char *accept);
/* By the Accept-Encoding header: is gzip wanted, and at least as much as identity? */
bool negotiate_gzip(const char *accept_encoding);
