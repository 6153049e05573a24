/*
 * summary: the numbers of the report for people: of each session, or of all sessions of an NF.
 *
 *   counts: can be added (sessions of an NF), subtracted (two looks at a probe), sent as JSON
 *   figures: what people read: rates, shares, quantiles
 *
 * Who has a view makes the counts: the exporter, or 'vxprobe read' at its end. Who asks the probe
 * gets them as JSON: 'vxprobe top'. Any thread; a table is its caller's.
 */
#pragma once

#include "base/err.h"
#include "kpi/histogram.h"
#include "kpi/loss.h"
#include "serve/view.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

enum summary_count {
#define COUNT(name, ...) SUMMARY_##name,
#include "serve/summary.def"
#undef COUNT
	SUMMARY_COUNTS
};

/* UE: TCP inside GTP-U. */
enum summary_transport { SUMMARY_TCP, SUMMARY_SCTP, SUMMARY_UE, SUMMARY_TRANSPORTS };

/* Where round trips go, seen from the mirrored interface: one side is near and says nothing of the
 * network. BOTH: of a transport whose KPIs do not tell the sides apart. */
enum summary_side { SUMMARY_CLIENT, SUMMARY_SERVER, SUMMARY_BOTH, SUMMARY_SIDES };

struct summary {
	char name[64]; /* of the session, or of the NF */
	char nf[64];   /* of the session; "": not known */
	uint32_t sessions;
	uint32_t groups; /* bit per enum kpi_group */
	uint64_t n[SUMMARY_COUNTS];
	struct loss loss[LOSS_TRANSPORTS];
	/* Its own; NULL: no sample. */
	struct histogram *rtt[SUMMARY_TRANSPORTS][SUMMARY_SIDES];
};

struct summary_table {
	struct summary *row;
	size_t n;
};

/* ---- counts ---- */

/* n rows of zeroes. -ENOMEM with a sentence, as all that make one. */
int summary_open(struct summary_table *out, size_t n, struct err *err);
/* All sessions, in the order of their ids. */
int summary_read(struct summary_table *out, const struct view *view, struct err *err);
/* One of them. -ENOMEM; what it got is to be freed by summary_drop. */
int summary_read_session(struct summary *out, const struct view *view, uint32_t session);
void summary_drop(struct summary *summary);
/* Adds samples. -ENOMEM. */
int summary_add_rtt(struct summary *summary, enum summary_transport transport,
		    enum summary_side side, const struct histogram *samples);
/* Takes one that was opened, or zeroes. */
void summary_close(struct summary_table *table);
/* The sums over sessions of the same NF, each under its name; a session without one under its own.
 * The table of sessions stays. */
int summary_by_nf(struct summary_table *out, const struct summary_table *sessions, struct err *err);
/* Leaves in later what came since earlier, of the same sessions in the same places. */
void summary_subtract(struct summary_table *later, const struct summary_table *earlier);
int summary_copy(struct summary_table *out, const struct summary_table *from, struct err *err);

/* One session's counts as an object; NULL: out of memory. */
json_t *summary_to_json(const struct view *view, uint32_t session);
/* Out of a document of report.h: what is missing in it is 0. */
int summary_from_json(struct summary_table *out, const json_t *document, struct err *err);

/* ---- figures ---- */

/* NAN: there is nothing to tell. Shares are 0 to 1, times in seconds. */
struct summary_rtt {
	double samples, p50, p95, p99;
};

struct summary_transport_figures {
	bool is_seen;
	struct summary_rtt rtt[SUMMARY_SIDES];
	enum summary_side far;    /* of those with samples the one with the largest p50 */
	double data, resent;      /* segments or chunks with data; share of them sent again */
	double attempted, failed; /* connections or associations */
};

struct summary_figures {
	const struct summary *of;
	double packets, bytes;
	double packets_per_second, bits_per_second;
	double truncated, duplicates; /* shares of the packets */
	double one_way;               /* share of the flows of which it is known */
	/* Share of what was sent that the mirror did not bring, with its 95 % interval, of TCP or
	 * SCTP, whichever had more ACKs; the share of the bytes whose loss would show. */
	double lost, lost_low, lost_high, visible;
	struct summary_transport_figures transport[SUMMARY_TRANSPORTS];
	enum summary_transport main; /* the one with the most data */
};

/* Rates are those of rate over so many seconds; all else is told of counts. Both are lent to the
 * figures. */
void summary_figures(struct summary_figures *out, const struct summary *counts,
		     const struct summary *rate, double seconds);
/* As an object, of which what is NAN is null and transports not seen are not there. */
json_t *summary_figures_to_json(const struct summary_figures *figures);
