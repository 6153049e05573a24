#include "path/catalogue.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TIME_LEN sizeof("20261121T230254Z")
#define SEALED   ".pcapng.zst.age"
#define PLAIN    ".pcapng.zst"
#define PART     ".part"
#define PIN      ".pin"

/* Cuts off an end. */
static bool cut(char *text, const char *end)
{
	const size_t len = strlen(text), end_len = strlen(end);

	if (len < end_len || strcmp(text + len - end_len, end) != 0)
		return false;
	text[len - end_len] = 0;
	return true;
}

/* Takes the next part of a text, up to its "_" or end. */
static const char *part(char **text)
{
	return strsep(text, "_");
}

/* Reads n digits. */
static const char *digits(const char *text, unsigned n, int *out)
{
	*out = 0;
	for (; text && n > 0; n--, text++) {
		if (!isdigit((unsigned char)*text))
			return NULL;
		*out = *out * 10 + *text - '0';
	}
	return text;
}

/* What is no such day or hour comes out as another one, and so is formatted another way. */
static bool parse_time(const char *text, uint64_t *out_s)
{
	struct tm tm = {0};

	text = digits(text, 4, &tm.tm_year);
	text = digits(text, 2, &tm.tm_mon);
	text = digits(text, 2, &tm.tm_mday);
	if (!text || *text++ != 'T')
		return false;
	text = digits(text, 2, &tm.tm_hour);
	text = digits(text, 2, &tm.tm_min);
	text = digits(text, 2, &tm.tm_sec);
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	const time_t s = timegm(&tm);
	*out_s = (uint64_t)s;
	return text && s >= 0;
}

static bool is_name(const char *text)
{
	const size_t len = text ? strlen(text) : 0;

	if (!len || len > CATALOGUE_NAME_MAX || *text == '.')
		return false;
	for (; *text; text++)
		if ((unsigned char)*text > 127 ||
		    !(isalnum((unsigned char)*text) || strchr(".:-", *text)))
			return false;
	return true;
}

static bool parse_sequence(const char *text, uint32_t *out)
{
	char *end;

	if (!text || strlen(text) > 10 || !isdigit((unsigned char)*text))
		return false;
	const unsigned long sequence = strtoul(text, &end, 10);
	*out = (uint32_t)sequence;
	return !*end && sequence < UINT32_MAX;
}

/* NAME, sequence and times, "_" between; what is odd about them shows when they are formatted. */
static bool parse_parts(struct catalogue_file *f, char *text)
{
	const char *name = part(&text);
	const char *sequence = part(&text), *start = part(&text), *end = part(&text);

	if (!is_name(name) || !parse_sequence(sequence, &f->sequence) || !start ||
	    !parse_time(start, &f->start_s))
		return false;
	(void)strcpy(f->name, name); /* its length is checked */
	f->end_s = f->kind == CATALOGUE_OPEN ? UINT64_MAX : f->start_s;
	if (f->kind == CATALOGUE_OPEN)
		return !end;
	if (!end)
		return false;
	if (!strcmp(end, "trunc"))
		f->kind = CATALOGUE_TRUNC;
	return f->kind == CATALOGUE_TRUNC || parse_time(end, &f->end_s);
}

bool catalogue_parse(struct catalogue_file *out, const char *file)
{
	struct catalogue_file f = {.kind = CATALOGUE_SEALED};
	char text[NAME_MAX + 1], again[NAME_MAX + 1];

	if (strlen(file) > NAME_MAX)
		return false;
	(void)strcpy(text, file);
	if (text[0] == '.') {
		f.kind = CATALOGUE_OPEN;
		if (!cut(text, PART) || !parse_parts(&f, text + 1))
			return false;
	} else {
		f.is_plain = !cut(text, SEALED);
		if ((f.is_plain && !cut(text, PLAIN)) || !parse_parts(&f, text))
			return false;
	}
	catalogue_format(&f, again);
	if (strcmp(file, again) != 0)
		return false;
	*out = f;
	return true;
}

static void format_time(char out[static TIME_LEN], uint64_t s)
{
	const time_t seconds = (time_t)s;
	struct tm utc = {0};

	(void)gmtime_r(&seconds, &utc);
	(void)strftime(out, TIME_LEN, "%Y%m%dT%H%M%SZ", &utc);
}

void catalogue_format(const struct catalogue_file *f, char out[static NAME_MAX + 1])
{
	char start[TIME_LEN], end[TIME_LEN] = "trunc";

	format_time(start, f->start_s);
	if (f->kind == CATALOGUE_OPEN) {
		(void)snprintf(out, NAME_MAX + 1, ".%s_%06u_%s" PART, f->name, f->sequence, start);
		return;
	}
	if (f->kind == CATALOGUE_SEALED)
		format_time(end, f->end_s);
	(void)snprintf(out, NAME_MAX + 1, "%s_%06u_%s_%s%s", f->name, f->sequence, start, end,
		       f->is_plain ? PLAIN : SEALED);
}

bool catalogue_parse_pin(struct catalogue_file *out, const char *file)
{
	char text[NAME_MAX + 1];

	if (file[0] != '.' || strlen(file) > NAME_MAX)
		return false;
	(void)strcpy(text, file + 1);
	return cut(text, PIN) && catalogue_parse(out, text) && out->kind != CATALOGUE_OPEN;
}

void catalogue_format_pin(const struct catalogue_file *f, char out[static NAME_MAX + 1])
{
	char file[NAME_MAX + 1];

	catalogue_format(f, file); /* 144 characters at most */
	(void)snprintf(out, NAME_MAX + 1, ".%.*s" PIN, (int)(NAME_MAX - sizeof(PIN)), file);
}
