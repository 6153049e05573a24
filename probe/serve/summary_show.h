/*
 * summary_show: the figures of summary.h as columns: cells for 'vxprobe top', and the whole report
 * as plain text of at most 100 columns.
 *
 * Any thread; writes nothing but to the stream that it is given.
 */
#pragma once

#include "serve/cell.h"
#include "serve/summary.h"

#include <stdio.h>

enum summary_column {
	COLUMN_PACKETS,
	COLUMN_PACKET_RATE,
	COLUMN_BIT_RATE,
	COLUMN_LOST,
	COLUMN_LOST_INTERVAL,
	COLUMN_VISIBLE,
	COLUMN_TRUNCATED,
	COLUMN_DUPLICATES,
	COLUMN_ONE_WAY,
	/* of a transport */
	COLUMN_TRANSPORT,
	COLUMN_P50,
	COLUMN_P95,
	COLUMN_P99,
	COLUMN_SAMPLES,
	COLUMN_DATA,
	COLUMN_RESENT,
	COLUMN_ATTEMPTED,
	COLUMN_FAILED,
	SUMMARY_COLUMNS
};

const char *summary_title(enum summary_column column);
unsigned summary_width(enum summary_column column);
struct cell summary_cell(enum summary_column column, const struct summary_figures *figures,
			 enum summary_transport transport);
/* To sort by; NAN: nothing. Of a column of words, the packets. */
double summary_value(enum summary_column column, const struct summary_figures *figures,
		     enum summary_transport transport);

/* Rows of one table that are shown. */
#define SUMMARY_ROWS 20

/* What is told: of NFs in text only where the NF of some session is known. */
enum summary_by { SUMMARY_BY_BOTH, SUMMARY_BY_SESSION, SUMMARY_BY_NF };

struct summary_report {
	enum summary_by by;                     /* the caller's to change */
	struct summary_figures *sessions, *nfs; /* by volume, the most first */
	size_t n_sessions, n_nfs;
	double seconds; /* of the rates */
	bool has_nfs;   /* of some session the NF is known */

	/* summary's own */
	struct summary_table session_counts, nf_counts, nf_rates;
};

/* Makes all figures. counts is taken over, in every case; rates, of the same sessions in the same
 * places, or NULL for counts itself, is lent. */
int summary_report_open(struct summary_report *out, struct summary_table *counts,
			const struct summary_table *rates, double seconds, struct err *err);
/* Takes zeroes. */
void summary_report_close(struct summary_report *report);
/* Two tables of NFs and two of sessions, and what the columns mean. */
void summary_show(const struct summary_report *report, FILE *out);
/* {"seconds": of the rates, "sessions": [...], "nfs": [...]}; NULL: out of memory. */
json_t *summary_report_to_json(const struct summary_report *report);

/* What 'vxprobe read' ends with: rates over the time from the first measured packet of all sessions
 * to the last. */
int summary_print_capture(const struct view *view, bool as_json, FILE *out, struct err *err);
