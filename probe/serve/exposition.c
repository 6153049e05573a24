#define _GNU_SOURCE /* fmemopen */
#include "serve/exposition.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct exposition {
	FILE *file; /* over text */
	char *text;
	size_t len_max;
	enum exposition_format format;
	const char *name; /* of the family that is being written */
	enum exposition_type type;
	uint64_t series;
};

int exposition_open(struct exposition **out, enum exposition_format format, size_t len_max,
		    struct err *err)
{
	struct exposition *e = calloc(1, sizeof(*e));

	/* fmemopen puts a NUL behind the text, or in the place of its last byte. */
	if (e && (e->text = malloc(len_max + 1)))
		e->file = fmemopen(e->text, len_max + 1, "w");
	if (!e || !e->file) {
		if (e)
			free(e->text);
		free(e);
		return err_set(err, -ENOMEM, "no %zu bytes of memory for the metrics", len_max);
	}
	e->len_max = len_max;
	e->format = format;
	*out = e;
	return 0;
}

int exposition_close(struct exposition *e, char **text, size_t *len, struct err *err)
{
	if (e->format == EXPOSITION_OPENMETRICS)
		fputs("# EOF\n", e->file);
	const bool fits = !fflush(e->file) && !ferror(e->file);
	const long written = ftell(e->file);
	char *shorter = NULL;

	(void)fclose(e->file);
	if (fits && written > 0 && (size_t)written <= e->len_max)
		shorter = realloc(e->text, (size_t)written);
	if (!shorter)
		free(e->text);
	free(e);
	if (!shorter)
		return err_set(err, -ENOSPC, "the metrics are longer than they may be");
	*text = shorter;
	*len = (size_t)written;
	return 0;
}

static void write_escaped(FILE *f, const char *s, bool with_quotes)
{
	for (; *s; s++) {
		if (*s == '\n') {
			fputs("\\n", f);
			continue;
		}
		if (*s == '\\' || (with_quotes && *s == '"'))
			fputc('\\', f);
		fputc(*s, f);
	}
}

/* What the samples' names have behind the family's. */
static const char *suffix(enum exposition_type type)
{
	if (type == EXPOSITION_COUNTER || type == EXPOSITION_SECONDS)
		return "_total";
	return type == EXPOSITION_INFO ? "_info" : "";
}

static bool ends_with(const char *text, const char *end)
{
	const size_t n = strlen(text), m = strlen(end);

	return n > m && text[n - m - 1] == '_' && !strcmp(text + n - m, end);
}

void exposition_family(struct exposition *e, enum exposition_type type, const char *name,
		       const char *unit, const char *help)
{
	static const char *const type_text[] = {"counter", "counter", "gauge", "info", "histogram"};
	const bool open = e->format == EXPOSITION_OPENMETRICS;
	/* Text 0.0.4 knows no info, and its families are called as their samples. */
	const char *end = open ? "" : suffix(type);
	const char *type_name =
		type_text[!open && type == EXPOSITION_INFO ? EXPOSITION_GAUGE : type];

	assert(!*unit || ends_with(name, unit));
	e->name = name;
	e->type = type;
	fprintf(e->file, "# HELP %s%s ", name, end);
	write_escaped(e->file, help, open);
	fprintf(e->file, "\n# TYPE %s%s %s\n", name, end, type_name);
	if (open && *unit)
		fprintf(e->file, "# UNIT %s %s\n", name, unit);
}

/* False: there is nothing to write. */
static bool write_label(FILE *f, const char *separator, const char *name, const char *value)
{
	if (*name) {
		fprintf(f, "%s%s=\"", separator, name);
		write_escaped(f, value, true);
		fputc('"', f);
	} else if (*value) {
		fprintf(f, "%s%s", separator, value);
	}
	return *name || *value;
}

/* "{...}" or nothing; le is a bucket's label, or NULL. */
static void write_labels(FILE *f, const char *le, const char *const *labels)
{
	const char *separator = "{";

	for (; labels && *labels; labels += 2)
		if (write_label(f, separator, labels[0], labels[1]))
			separator = ",";
	if (le && write_label(f, separator, "le", le))
		separator = ",";
	if (*separator == ',')
		fputc('}', f);
}

/* Name and labels of a sample. */
static void begin(struct exposition *e, const char *end, const char *le, const char *const *labels)
{
	fprintf(e->file, "%s%s", e->name, end);
	write_labels(e->file, le, labels);
	fputc(' ', e->file);
	e->series++;
}

/* Exact, and with a point always, as OpenMetrics wants it of "le": 0.0001, 1.0, 2.5. */
static void seconds_text(char out[static 40], uint64_t ns)
{
	int n = snprintf(out, 40, "%" PRIu64 ".%09" PRIu64, ns / 1000000000, ns % 1000000000);

	while (out[n - 1] == '0' && out[n - 2] != '.')
		out[--n] = 0;
}

static void write_integer(struct exposition *e, const char *end, uint64_t value,
			  const char *const *labels)
{
	begin(e, end, NULL, labels);
	fprintf(e->file, "%" PRIu64 "\n", value);
}

static void write_seconds(struct exposition *e, const char *end, uint64_t ns,
			  const char *const *labels)
{
	char text[40];

	seconds_text(text, ns);
	begin(e, end, NULL, labels);
	fprintf(e->file, "%s\n", text);
}

void exposition_integer(struct exposition *e, uint64_t value, const char *const *labels)
{
	write_integer(e, suffix(e->type), value, labels);
}

void exposition_signed(struct exposition *e, int64_t value, const char *const *labels)
{
	begin(e, suffix(e->type), NULL, labels);
	fprintf(e->file, "%" PRId64 "\n", value);
}

void exposition_seconds(struct exposition *e, uint64_t ns, const char *const *labels)
{
	write_seconds(e, suffix(e->type), ns, labels);
}

void exposition_ratio(struct exposition *e, double value, const char *const *labels)
{
	begin(e, suffix(e->type), NULL, labels);
	fprintf(e->file, "%.9f\n", value);
}

/* OpenMetrics 1.0, "Exemplars". */
static void write_exemplar(struct exposition *e, const struct exposition_exemplar *exemplar)
{
	char value[40], time[40];

	if (!exemplar || !exemplar->time_ns || e->format != EXPOSITION_OPENMETRICS)
		return;
	seconds_text(value, exemplar->value_ns);
	seconds_text(time, exemplar->time_ns);
	fputs(" # ", e->file);
	write_labels(e->file, NULL, exemplar->labels);
	fprintf(e->file, " %s %s", value, time);
}

static void write_bucket(struct exposition *e, const char *le, uint64_t value,
			 const struct exposition_exemplar *exemplar, const char *const *labels)
{
	begin(e, "_bucket", le, labels);
	fprintf(e->file, "%" PRIu64, value);
	write_exemplar(e, exemplar);
	fputc('\n', e->file);
}

void exposition_histogram(struct exposition *e, const struct exposition_histogram *h,
			  const char *const *labels)
{
	const struct exposition_exemplar *exemplar = h->exemplar;
	char le[40];

	for (unsigned i = 0; i < h->n_edges; i++) {
		seconds_text(le, h->edge_ns[i]);
		write_bucket(e, le, h->cumulative[i], exemplar ? exemplar + i : NULL, labels);
	}
	write_bucket(e, "+Inf", h->count, exemplar ? exemplar + h->n_edges : NULL, labels);
	write_seconds(e, "_sum", h->sum_ns, labels);
	write_integer(e, "_count", h->count, labels);
}

uint64_t exposition_series(const struct exposition *e)
{
	return e->series;
}

const char *exposition_content_type(enum exposition_format format)
{
	return format == EXPOSITION_OPENMETRICS
		       ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
		       : "text/plain; version=0.0.4; charset=utf-8";
}
