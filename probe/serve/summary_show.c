#include "serve/summary_show.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "version.h"

#define LINE_MAX_LEN 100

static const struct {
	const char *title;
	unsigned width;
} columns[SUMMARY_COLUMNS] = {
	[COLUMN_PACKETS] = {"PACKETS", 9},
	[COLUMN_PACKET_RATE] = {"PACKETS/S", 9},
	[COLUMN_BIT_RATE] = {"BITS/S", 9},
	[COLUMN_LOST] = {"LOST", 7},
	[COLUMN_LOST_INTERVAL] = {"95 %", 12},
	[COLUMN_VISIBLE] = {"VISIBLE", 7},
	[COLUMN_TRUNCATED] = {"CUT", 7},
	[COLUMN_DUPLICATES] = {"TWICE", 7},
	[COLUMN_ONE_WAY] = {"ONE-WAY", 7},
	[COLUMN_TRANSPORT] = {"OF", 6},
	[COLUMN_P50] = {"RTT p50", 7},
	[COLUMN_P95] = {"p95", 7},
	[COLUMN_P99] = {"p99", 7},
	[COLUMN_SAMPLES] = {"SAMPLES", 9},
	[COLUMN_DATA] = {"DATA", 9},
	[COLUMN_RESENT] = {"RESENT", 7},
	[COLUMN_ATTEMPTED] = {"BEGUN", 9},
	[COLUMN_FAILED] = {"FAILED", 9},
};

static const char *const transport_texts[] = {
	[SUMMARY_TCP] = "tcp", [SUMMARY_SCTP] = "sctp", [SUMMARY_UE] = "ue"};
static const char *const side_texts[] = {
	[SUMMARY_CLIENT] = ">c", [SUMMARY_SERVER] = ">s", [SUMMARY_BOTH] = ""};

const char *summary_title(enum summary_column column)
{
	return columns[column].title;
}

unsigned summary_width(enum summary_column column)
{
	return columns[column].width;
}

double summary_value(enum summary_column column, const struct summary_figures *f,
		     enum summary_transport transport)
{
	const struct summary_transport_figures *t = &f->transport[transport];
	const struct summary_rtt *rtt = &t->rtt[t->far];
	const double seen = t->is_seen ? 0 : NAN;

	switch (column) {
	case COLUMN_PACKET_RATE:
		return f->packets_per_second;
	case COLUMN_BIT_RATE:
		return f->bits_per_second;
	case COLUMN_LOST:
	case COLUMN_LOST_INTERVAL:
		return f->lost;
	case COLUMN_VISIBLE:
		return isnan(f->lost) ? NAN : f->visible;
	case COLUMN_TRUNCATED:
		return f->truncated;
	case COLUMN_DUPLICATES:
		return f->duplicates;
	case COLUMN_ONE_WAY:
		return f->one_way;
	case COLUMN_P50:
		return rtt->p50;
	case COLUMN_P95:
		return rtt->p95;
	case COLUMN_P99:
		return rtt->p99;
	case COLUMN_SAMPLES:
		return rtt->samples + seen;
	case COLUMN_DATA:
		return t->data + seen;
	case COLUMN_RESENT:
		return t->resent;
	case COLUMN_ATTEMPTED:
		return t->attempted + seen;
	case COLUMN_FAILED:
		return t->failed;
	case COLUMN_PACKETS:
	case COLUMN_TRANSPORT:
	case SUMMARY_COLUMNS:
		break;
	}
	return f->packets;
}

/* The transport, and to which side the round trips go that are told of it. */
static struct cell transport_cell(const struct summary_transport_figures *t, const char *text)
{
	struct cell c = {"-"};

	if (t->is_seen)
		(void)snprintf(c.text, sizeof(c.text), "%s%s", text,
			       t->rtt[t->far].samples ? side_texts[t->far] : "");
	return c;
}

struct cell summary_cell(enum summary_column column, const struct summary_figures *f,
			 enum summary_transport transport)
{
	static const struct cell less_than_a_bit = {"<1 bit"};
	const double value = summary_value(column, f, transport);

	switch (column) {
	case COLUMN_PACKET_RATE:
		return cell_rate(value, columns[column].width);
	case COLUMN_BIT_RATE:
		return value > 0 && value < 1 ? less_than_a_bit : cell_bits(value);
	case COLUMN_LOST:
	case COLUMN_VISIBLE:
	case COLUMN_TRUNCATED:
	case COLUMN_DUPLICATES:
	case COLUMN_ONE_WAY:
	case COLUMN_RESENT:
		return cell_share(value);
	case COLUMN_LOST_INTERVAL:
		return cell_interval(f->lost_low, f->lost_high);
	case COLUMN_P50:
	case COLUMN_P95:
	case COLUMN_P99:
		return cell_time(value);
	case COLUMN_TRANSPORT:
		return transport_cell(&f->transport[transport], transport_texts[transport]);
	default:
		return cell_count_in(value, columns[column].width);
	}
}

/* ---- the report ---- */

static int compare_volume(const void *a, const void *b)
{
	const struct summary_figures *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? 1 : -1;
	return strcmp(x->of->name, y->of->name);
}

static struct summary_figures *figures_of(const struct summary_table *counts,
					  const struct summary_table *rates, double seconds)
{
	struct summary_figures *out = calloc(counts->n + 1, sizeof(*out));

	for (size_t i = 0; out && i < counts->n; i++)
		summary_figures(&out[i], &counts->row[i], &rates->row[i], seconds);
	if (out)
		qsort(out, counts->n, sizeof(*out), compare_volume);
	return out;
}

/* NFs of both tables are the same, by their sessions. */
static int open_nfs(struct summary_report *r, const struct summary_table *rates, struct err *err)
{
	const int ret = summary_by_nf(&r->nf_counts, &r->session_counts, err);

	return ret ? ret : summary_by_nf(&r->nf_rates, rates, err);
}

int summary_report_open(struct summary_report *out, struct summary_table *counts,
			const struct summary_table *rates, double seconds, struct err *err)
{
	*out = (struct summary_report){.session_counts = *counts, .seconds = seconds};
	*counts = (struct summary_table){0};
	if (!rates)
		rates = &out->session_counts;
	const int ret = open_nfs(out, rates, err);
	if (!ret) {
		out->sessions = figures_of(&out->session_counts, rates, seconds);
		out->nfs = figures_of(&out->nf_counts, &out->nf_rates, seconds);
	}
	if (ret || !out->sessions || !out->nfs) {
		summary_report_close(out);
		return ret ? ret : err_set(err, -ENOMEM, "out of memory for the report");
	}
	out->n_sessions = out->session_counts.n;
	out->n_nfs = out->nf_counts.n;
	for (size_t i = 0; i < out->n_sessions; i++)
		out->has_nfs |= *out->session_counts.row[i].nf != 0;
	return 0;
}

void summary_report_close(struct summary_report *r)
{
	free(r->sessions);
	free(r->nfs);
	summary_close(&r->session_counts);
	summary_close(&r->nf_counts);
	summary_close(&r->nf_rates);
	*r = (struct summary_report){0};
}

/* ---- as text ---- */

static const enum summary_column of_mirror[] = {
	COLUMN_PACKETS,   COLUMN_PACKET_RATE,   COLUMN_BIT_RATE,
	COLUMN_TRUNCATED, COLUMN_DUPLICATES,    COLUMN_ONE_WAY,
	COLUMN_LOST,      COLUMN_LOST_INTERVAL, COLUMN_VISIBLE};
static const enum summary_column of_transport[] = {
	COLUMN_TRANSPORT, COLUMN_P50,    COLUMN_P95,       COLUMN_P99,   COLUMN_SAMPLES,
	COLUMN_DATA,      COLUMN_RESENT, COLUMN_ATTEMPTED, COLUMN_FAILED};

struct table {
	const char *title;
	const enum summary_column *column;
	unsigned n, name_width;
};

static void show_line(FILE *out, const struct table *t, const struct summary_figures *f,
		      enum summary_transport transport)
{
	fputs(cell_name(f ? f->of->name : t->title, t->name_width).text, out);
	for (unsigned i = 0; i < t->n; i++) {
		const enum summary_column c = t->column[i];
		fprintf(out, " %*s", (int)summary_width(c),
			f ? summary_cell(c, f, transport).text : summary_title(c));
	}
	fputc('\n', out);
}

static void show_rows(FILE *out, const struct table *t, const struct summary_figures *f, size_t n)
{
	show_line(out, t, NULL, 0);
	for (size_t i = 0; i < n && i < SUMMARY_ROWS; i++) {
		if (t->column == of_mirror)
			show_line(out, t, &f[i], 0);
		else
			for (unsigned k = 0; k < SUMMARY_TRANSPORTS; k++)
				if (f[i].transport[k].is_seen)
					show_line(out, t, &f[i], k);
	}
	if (n > SUMMARY_ROWS)
		fprintf(out, "and %zu more\n", n - SUMMARY_ROWS);
}

static bool any_transport(const struct summary_figures *f, size_t n)
{
	for (size_t i = 0; i < n && i < SUMMARY_ROWS; i++)
		for (unsigned t = 0; t < SUMMARY_TRANSPORTS; t++)
			if (f[i].transport[t].is_seen)
				return true;
	return false;
}

/* As much as the longest name takes, and a line of 100 columns leaves. */
static unsigned name_width(const struct table *t, const struct summary_figures *f, size_t n)
{
	unsigned room = LINE_MAX_LEN, width = (unsigned)strlen(t->title);

	for (unsigned i = 0; i < t->n; i++)
		room -= 1 + summary_width(t->column[i]);
	for (size_t i = 0; i < n && i < SUMMARY_ROWS; i++) {
		const unsigned wanted = cell_name_width(f[i].of->name);
		width = wanted > width ? wanted : width;
	}
	return width > room ? room : width;
}

static void show_tables(FILE *out, const char *what, const struct summary_figures *f, size_t n)
{
	struct table mirror = {what, of_mirror, sizeof(of_mirror) / sizeof(of_mirror[0]), 0},
		     transport = {what, of_transport,
				  sizeof(of_transport) / sizeof(of_transport[0]), 0};

	mirror.name_width = name_width(&mirror, f, n);
	transport.name_width = name_width(&transport, f, n);
	fputs("\nThe mirror: can it be trusted?\n", out);
	show_rows(out, &mirror, f, n);
	if (!any_transport(f, n))
		return;
	fputs("\nThe transport under the signalling: is it healthy?\n", out);
	show_rows(out, &transport, f, n);
}

/* clang-format off */
static const char LEGEND[] =
	"\n"
	"CUT: packets that the mirror has cut. TWICE: the same as one up to 5 ms before. ONE-WAY: flows\n"
	"seen in one direction. LOST: by the mirror, not by the network: what receivers acknowledged and\n"
	"nobody mirrored; - is no estimate. VISIBLE: the share of the bytes whose loss would show.\n"
	"OF: ue is TCP inside GTP-U. RTT: from data to its ACK, from the mirrored interface to the clients\n"
	"(>c) or the servers (>s) and back, whichever has the larger p50; of sctp both sides together.\n"
	"RESENT: data sent again. FAILED: of the connections and associations BEGUN; - where one direction\n"
	"is mirrored.\n";
/* clang-format on */

void summary_show(const struct summary_report *r, FILE *out)
{
	if (!r->n_sessions) {
		fputs("no session yet\n", out);
		return;
	}
	if (r->by == SUMMARY_BY_NF || (r->by == SUMMARY_BY_BOTH && r->has_nfs))
		show_tables(out, "NF", r->nfs, r->n_nfs);
	if (r->by != SUMMARY_BY_NF)
		show_tables(out, "SESSION", r->sessions, r->n_sessions);
	fputs(LEGEND, out);
}

/* ---- as JSON ---- */

static json_t *array(const struct summary_figures *f, size_t n)
{
	json_t *out = json_array();

	for (size_t i = 0; out && i < n; i++)
		(void)json_array_append_new(out, summary_figures_to_json(&f[i]));
	return out;
}

json_t *summary_report_to_json(const struct summary_report *r)
{
	json_t *out = json_pack("{sf}", "seconds", r->seconds);

	if (out && r->by != SUMMARY_BY_NF)
		(void)json_object_set_new(out, "sessions", array(r->sessions, r->n_sessions));
	if (out && r->by != SUMMARY_BY_SESSION)
		(void)json_object_set_new(out, "nfs", array(r->nfs, r->n_nfs));
	return out;
}

/* ---- of a capture ---- */

struct span {
	uint64_t first_ns, last_ns; /* 0: no packet */
};

static struct span span_of(const struct view *v)
{
	const uint32_t n = view_sessions(v);
	struct span span = {0};

	for (uint32_t id = 0; id < n; id++) {
		const uint64_t first_ns = view_first_packet_ns(v, id);
		const uint64_t last_ns = view_last_packet_ns(v, id);
		if (first_ns && (!span.first_ns || first_ns < span.first_ns))
			span.first_ns = first_ns;
		span.last_ns = last_ns > span.last_ns ? last_ns : span.last_ns;
	}
	return span;
}

static double seconds_of(uint64_t ns)
{
	return (double)ns / 1e9;
}

static int print_json(const struct summary_report *r, const struct span *span, FILE *out,
		      struct err *err)
{
	json_t *d = summary_report_to_json(r);
	int ret = 0;

	(void)json_object_set_new(d, "version", json_string(VERSION));
	(void)json_object_set_new(d, "first_packet", json_real(seconds_of(span->first_ns)));
	(void)json_object_set_new(d, "last_packet", json_real(seconds_of(span->last_ns)));
	if (!d || json_dumpf(d, out, JSON_INDENT(1) | JSON_REAL_PRECISION(15)) ||
	    fputc('\n', out) < 0 || fflush(out))
		ret = err_set(err, -EIO, "cannot write the report");
	json_decref(d);
	return ret;
}

static void print_text(const struct summary_report *r, FILE *out)
{
	double packets = 0, excluded = 0;

	if (!r->n_sessions)
		return;
	for (size_t i = 0; i < r->n_sessions; i++)
		packets += r->sessions[i].packets;
	for (size_t i = 0; i < r->n_sessions; i++)
		excluded += (double)r->session_counts.row[i].n[SUMMARY_EXCLUDED];
	fprintf(out, "\nreport: %s packets", cell_count(packets).text);
	fprintf(out, " of %zu session%s", r->n_sessions, r->n_sessions == 1 ? "" : "s");
	fprintf(out, " in %s",
		(r->seconds < 120 ? cell_time(r->seconds) : cell_duration(r->seconds)).text);
	if (excluded > 0)
		fprintf(out, "; %s copies that the mirror made left out",
			cell_count(excluded).text);
	fputc('\n', out);
	summary_show(r, out);
}

int summary_print_capture(const struct view *v, bool as_json, FILE *out, struct err *err)
{
	const struct span span = span_of(v);
	struct summary_table counts;
	struct summary_report r;
	int ret = summary_read(&counts, v, err);

	if (ret || (ret = summary_report_open(&r, &counts, NULL,
					      seconds_of(span.last_ns - span.first_ns), err)))
		return ret;
	if (as_json)
		ret = print_json(&r, &span, out, err);
	else
		print_text(&r, out);
	summary_report_close(&r);
	return ret;
}
