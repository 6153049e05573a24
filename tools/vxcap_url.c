#include "vxcap_url.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SCHEME "sftp://"

bool vxcap_url_is(const char *path)
{
	return !strncmp(path, SCHEME, strlen(SCHEME));
}

int vxcap_url_refuse(const char *path, struct err *err)
{
	if (!vxcap_url_is(path))
		return 0;
	return err_set(err, -EINVAL, "%s: of another host's files there are ls, cat and keys alone",
		       path);
}

static bool take_text(char *out, size_t cap, const char *from, const char *to)
{
	const size_t len = (size_t)(to - from);

	if (len == 0 || len >= cap)
		return false;
	memcpy(out, from, len);
	out[len] = '\0';
	return true;
}

static bool take_port(unsigned *out, const char *from, const char *to)
{
	char *end;
	const unsigned long port = *from >= '0' && *from <= '9' ? strtoul(from, &end, 10) : 0;

	*out = (unsigned)port;
	return port > 0 && port <= 65535 && end == to;
}

int vxcap_url_parse(struct vxcap_url *url, const char *text, struct err *err)
{
	const char *p = text + strlen(SCHEME), *const slash = strchr(p, '/');
	const char *const end = slash ? slash : p + strlen(p);
	const char *const at = memchr(p, '@', (size_t)(end - p));
	bool is_good = slash != NULL;

	*url = (struct vxcap_url){.path = slash};
	if (at) {
		is_good &= take_text(url->user, sizeof(url->user), p, at);
		p = at + 1;
	}
	const bool is_bracketed = *p == '[';
	p += is_bracketed;
	const char *host_end = memchr(p, is_bracketed ? ']' : ':', (size_t)(end - p));
	const char *rest = host_end ? host_end + is_bracketed : end;
	is_good &= (host_end || !is_bracketed) && rest <= end &&
		   take_text(url->host, sizeof(url->host), p, host_end ? host_end : end);
	if (is_good && rest < end)
		is_good = *rest == ':' && take_port(&url->port, rest + 1, end);
	return is_good ? 0
		       : err_set(err, -EINVAL,
				 "%s is no place: write sftp://[USER@]HOST[:PORT]/FOLDER", text);
}
