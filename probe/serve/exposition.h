/*
 * exposition: a page of metrics, written as Prometheus text 0.0.4 or as OpenMetrics 1.0.
 *
 *   exposition_open, then for each family: exposition_family, its samples; exposition_close
 *
 * One thread per page. Owns the page's memory: len_max bytes from the start, of which the system
 * gives what is written; it never grows. Names, units and help texts are the caller's, valid to the
 * next family; label values may hold any text and are escaped.
 */
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum exposition_format { EXPOSITION_TEXT, EXPOSITION_OPENMETRICS };

enum exposition_type {
	EXPOSITION_COUNTER, /* samples get _total, which the name is without */
	EXPOSITION_SECONDS, /* a counter; its samples are given in ns */
	EXPOSITION_GAUGE,
	EXPOSITION_INFO, /* samples get _info and are 1 */
	EXPOSITION_HISTOGRAM,
};

/* One value of a bucket: OpenMetrics alone shows it. */
struct exposition_exemplar {
	uint64_t value_ns;
	uint64_t time_ns;          /* since 1970; 0: there is none */
	const char *const *labels; /* of LABELS */
};

struct exposition_histogram {
	const uint64_t *edge_ns;    /* [n_edges], rising */
	const uint64_t *cumulative; /* [n_edges]: values up to each edge */
	unsigned n_edges;
	uint64_t count, sum_ns;                     /* of all values */
	const struct exposition_exemplar *exemplar; /* [n_edges + 1], or NULL */
};

struct exposition;

int exposition_open(struct exposition **out, enum exposition_format format, size_t len_max,
		    struct err *err);
/* Ends page and exposition. *text is the caller's to free. -ENOSPC: it is longer than len_max. */
int exposition_close(struct exposition *e, char **text, size_t *len, struct err *err);

/* Begins a family, which a page has once; the samples that follow are of it. The name ends with
 * the unit, which may be "". */
void exposition_family(struct exposition *e, enum exposition_type type, const char *name,
		       const char *unit, const char *help);

/* Names and values of labels by turns. */
#define LABELS(...) ((const char *const[]){__VA_ARGS__, NULL})
/* In the place of a name: what follows is labels as they are written, l4="tcp", or "". */
#define LABELS_WRITTEN ""

/* A sample. labels is of LABELS; NULL: none. */
void exposition_integer(struct exposition *e, uint64_t value, const char *const *labels);
void exposition_signed(struct exposition *e, int64_t value, const char *const *labels);
void exposition_seconds(struct exposition *e, uint64_t ns, const char *const *labels);
void exposition_ratio(struct exposition *e, double value, const char *const *labels);
void exposition_histogram(struct exposition *e, const struct exposition_histogram *h,
			  const char *const *labels);

/* Samples so far. A histogram has one for each edge and three more. */
uint64_t exposition_series(const struct exposition *e);
/* The content type of a format. */
const char *exposition_content_type(enum exposition_format format);
