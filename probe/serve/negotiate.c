#define _GNU_SOURCE /* strchrnul */
#include "serve/negotiate.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* One element of such a header, like: text/plain;version=0.0.4;q=0.5 */
struct wish {
	char text[128];
	const char *name, *version; /* into text; "" */
	unsigned q;                 /* thousandths */
};

/* "0.75" is 750. What is no number is 0: not wanted. */
static unsigned parse_q(const char *s)
{
	unsigned q = *s == '1' ? 1000 : 0;

	if (s[0] != '0' || s[1] != '.')
		return q;
	for (unsigned i = 2, weight = 100; weight && isdigit((unsigned char)s[i]); i++) {
		q += (unsigned)(s[i] - '0') * weight;
		weight /= 10;
	}
	return q;
}

/* The word without spaces and quotes around it. */
static char *trim(char *s)
{
	s += strspn(s, " \t\"");
	for (size_t n = strlen(s); n && strchr(" \t\"", s[n - 1]); n--)
		s[n - 1] = 0;
	return s;
}

/* Takes the first element off *rest; false: there is none. One that is too long for what we have
 * is cut, and so is none of ours. */
static bool next_wish(const char **rest, struct wish *w)
{
	if (!**rest)
		return false;
	const size_t len = (size_t)(strchrnul(*rest, ',') - *rest);
	const size_t n = len < sizeof(w->text) ? len : sizeof(w->text) - 1;

	memcpy(w->text, *rest, n);
	w->text[n] = 0;
	*rest += len + ((*rest)[len] == ',');
	w->version = "";
	w->q = 1000;
	char *parameters = w->text, *p;
	w->name = trim(strsep(&parameters, ";"));
	while ((p = strsep(&parameters, ";"))) {
		char *value = p;
		const char *key = trim(strsep(&value, "="));
		if (!strcasecmp(key, "q"))
			w->q = parse_q(value ? trim(value) : "");
		else if (!strcasecmp(key, "version"))
			w->version = value ? trim(value) : "";
	}
	return true;
}

/* How closely a wish names a form: 0 is not at all. */
static unsigned match(const struct wish *w, const char *name, const char *version)
{
	const char *slash = strchr(name, '/');

	if (!strcmp(w->name, slash ? "*/*" : "*"))
		return 1;
	if (slash && !strcmp(w->name + strcspn(w->name, "/"), "/*") &&
	    !strncasecmp(w->name, name, (size_t)(slash - name) + 1))
		return 2;
	if (strcasecmp(w->name, name))
		return 0;
	return !*w->version ? 3 : !strcmp(w->version, version) ? 4 : 0;
}

/* The q of the wish that names the form most closely; 0: not wanted. */
static unsigned quality(const char *header, const char *name, const char *version)
{
	unsigned closest = 0, q = 0;
	struct wish w;

	while (next_wish(&header, &w)) {
		const unsigned m = match(&w, name, version);
		if (m > closest) {
			closest = m;
			q = w.q;
		}
	}
	return q;
}

enum exposition_format negotiate_format(const char *accept)
{
	const char *header = accept ? accept : "";

	return quality(header, "application/openmetrics-text", "1.0.0") >
			       quality(header, "text/plain", "0.0.4")
		       ? EXPOSITION_OPENMETRICS
		       : EXPOSITION_TEXT;
}

bool negotiate_gzip(const char *accept_encoding)
{
	const char *header = accept_encoding ? accept_encoding : "";
	const unsigned q = quality(header, "gzip", "");

	return q && q >= quality(header, "identity", "");
}
