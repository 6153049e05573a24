/*
 * gzip: a text in the form that HTTP calls gzip (RFC 1952). Any thread; pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Replaces *text, which malloc made, by its compressed form. False: it stays as it is. */
bool gzip_text(char **text, size_t *len);
/* Bytes that gzip_text takes besides for a text of so many, at most. */
size_t gzip_memory(size_t len);
