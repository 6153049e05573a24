/*
 * vxcap_json: texts of others, names of files and sessions, as JSON.
 */
#pragma once

#include <jansson.h>

/* A string; the caller's. jansson takes UTF-8 alone: of other text each byte that is not ASCII
 * becomes a question mark. */
json_t *vxcap_json_text(const char *text);
