/*
 * vxcap_url: sftp://[USER@]HOST[:PORT]/PATH, taken apart. Pure functions.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>

struct vxcap_url {
	char user[65], host[256]; /* user: "" where none is said */
	unsigned port;            /* 0: none is said */
	const char *path;         /* in the text, from its slash on; nothing in it is decoded */
};

/* By how it begins. */
bool vxcap_url_is(const char *text);
/* 0: it is no URL; -EINVAL: it is one, and err says which commands take those. */
int vxcap_url_refuse(const char *text, struct err *err);
/* An IPv6 address stands in brackets. -EINVAL: none of that form, or the user or host is too long.
 */
int vxcap_url_parse(struct vxcap_url *url, const char *text, struct err *err);
