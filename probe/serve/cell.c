#include "serve/cell.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const struct cell nothing = {"-"};

/* ---- numbers ---- */

struct cell cell_count(double value)
{
	struct cell c;
	char digits[32];
	size_t n = 0;

	if (isnan(value))
		return nothing;
	const int len = snprintf(digits, sizeof(digits), "%.0f", value < 1e18 ? value : 1e18);
	for (int i = 0; i < len; i++) {
		if (i && !((len - i) % 3))
			c.text[n++] = ',';
		c.text[n++] = digits[i];
	}
	c.text[n] = 0;
	return c;
}

static struct cell scaled(double value, double step, const char *const units[static 5])
{
	struct cell c;
	unsigned i = 0;

	if (isnan(value))
		return nothing;
	for (; value >= step && i < 4; i++)
		value /= step;
	(void)snprintf(c.text, sizeof(c.text), i && value < 99.95 ? "%.1f %s" : "%.0f %s", value,
		       units[i]);
	return c;
}

struct cell cell_count_in(double value, unsigned width)
{
	static const char *const units[] = {"", "k", "M", "G", "T"};
	const struct cell c = cell_count(value);

	return strlen(c.text) <= width ? c : scaled(value, 1000, units);
}

struct cell cell_rate(double value, unsigned width)
{
	struct cell c = {"<0.1"};

	if (isnan(value) || value <= 0 || value >= 9.95)
		return cell_count_in(value, width);
	if (value >= 0.1)
		(void)snprintf(c.text, sizeof(c.text), "%.1f", value);
	return c;
}

struct cell cell_bits(double value)
{
	static const char *const units[] = {"bit", "kbit", "Mbit", "Gbit", "Tbit"};

	return scaled(value, 1000, units);
}

struct cell cell_bytes(double value)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};

	return scaled(value, 1024, units);
}

struct cell cell_duration(double seconds)
{
	struct cell c;
	const double s = seconds > 0 ? seconds : 0;

	if (s < 120)
		(void)snprintf(c.text, sizeof(c.text), "%.0f s", s);
	else if (s < 7200)
		(void)snprintf(c.text, sizeof(c.text), "%.0f min", s / 60);
	else if (s < 172800)
		(void)snprintf(c.text, sizeof(c.text), "%.0f h", s / 3600);
	else
		(void)snprintf(c.text, sizeof(c.text), "%.0f d", s / 86400);
	return c;
}

struct cell cell_time(double seconds)
{
	struct cell c;
	const char *const unit = seconds < 999.5e-6 ? "us" : seconds < 999.5e-3 ? "ms" : "s";
	const double value = seconds * (*unit == 'u' ? 1e6 : *unit == 'm' ? 1e3 : 1);
	const int decimals = *unit == 'u' || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;

	if (isnan(seconds))
		return nothing;
	(void)snprintf(c.text, sizeof(c.text), "%.*f %s", decimals, value, unit);
	return c;
}

static struct cell percent(double share)
{
	struct cell c;
	const double p = 100 * share;

	if (share <= 0 || share >= 1)
		(void)snprintf(c.text, sizeof(c.text), "%.0f", p);
	else if (p < 0.01)
		(void)snprintf(c.text, sizeof(c.text), "<0.01");
	else if (p > 99.9)
		(void)snprintf(c.text, sizeof(c.text), ">99.9");
	else
		(void)snprintf(c.text, sizeof(c.text), "%.*f", p < 9.995 ? 2 : 1, p);
	return c;
}

struct cell cell_share(double share)
{
	struct cell c = isnan(share) ? nothing : percent(share);

	if (!isnan(share))
		memcpy(c.text + strlen(c.text), " %", sizeof(" %"));
	return c;
}

struct cell cell_interval(double low, double high)
{
	struct cell c;

	if (isnan(low) || isnan(high))
		return nothing;
	(void)snprintf(c.text, sizeof(c.text), "%.20s-%.20s %%", percent(low).text,
		       percent(high).text);
	return c;
}

/* ---- names ---- */

/* Bytes of the character at s that may be shown, 0: it may not. RFC 3629; overlong forms and
 * surrogates do no harm on a terminal. */
static unsigned visible(const unsigned char *s)
{
	const unsigned n = *s < 0x80 ? 1 : *s >= 0xf0 ? 4 : *s >= 0xe0 ? 3 : 2;
	uint32_t c = n == 1 ? *s : *s & (0x7fu >> n);

	if (*s < ' ' || *s == 0x7f || (*s >= 0x80 && *s < 0xc2) || *s > 0xf4)
		return 0;
	for (unsigned i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	/* C1; marks and overrides of direction would turn the line around. */
	const bool hides = (c >= 0x80 && c < 0xa0) || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
			   (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) ||
			   c == 0xfeff;
	return hides ? 0 : n;
}

/* Bytes of one column's worth of text: a character, or what is shown as one '?'. */
static unsigned step(const char *s)
{
	unsigned n = visible((const unsigned char *)s);

	if (n)
		return n;
	do
		n++;
	while ((s[n] & 0xc0) == 0x80);
	return n;
}

unsigned cell_name_width(const char *text)
{
	unsigned n = 0;

	for (; *text; text += step(text))
		n++;
	return n;
}

static char *put(char *out, const char *s, unsigned columns)
{
	for (; columns && *s; columns--, s += step(s)) {
		const unsigned n = visible((const unsigned char *)s);
		memcpy(out, n ? s : "?", n ? n : 1);
		out += n ? n : 1;
	}
	return out;
}

struct name_cell cell_name(const char *text, unsigned width)
{
	struct name_cell c = {""};
	char *out = c.text;
	const unsigned is = cell_name_width(text),
		       max = width < CELL_NAME_MAX ? width : CELL_NAME_MAX;

	if (is <= max) {
		out = put(out, text, is);
		memset(out, ' ', max - is);
		out[max - is] = 0;
		return c;
	}
	/* The end tells sessions of one source apart. */
	const unsigned tail = max > 2 ? (max - 2) / 2 : 0, head = max > 2 ? max - 2 - tail : 0;
	out = put(out, text, head);
	out = put(out, "..", max < 2 ? max : 2);
	for (unsigned skip = is - tail; skip; skip--)
		text += step(text);
	*put(out, text, tail) = 0;
	return c;
}
