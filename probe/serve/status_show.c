#include "serve/status.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "serve/cell.h"

#define HEAD_LEN 14 /* of an inner Ethernet header: KPIs count IP lengths */

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static bool is_true(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

/* ---- the parts ---- */

static void show_head(const json_t *d, FILE *out)
{
	const json_t *mode = json_object_get(d, "mode"), *flows = json_object_get(d, "flows");

	fprintf(out, "vxprobe %s on %s, up %s: %s, %s\n", text_of(d, "version"),
		text_of(d, "interface"), cell_duration(status_number(d, "uptime")).text,
		is_true(d, "ready") ? "capturing" : "NOT CAPTURING YET",
		is_true(d, "healthy") ? "healthy" : "NOT HEALTHY: its control thread stands still");
	fprintf(out, "XDP %s, %s, %s; MTU %.0f; %.0f queues, %.0f workers; memory at most %s\n",
		text_of(mode, "xdp"), strcmp(text_of(mode, "copy"), "zero") ? "copy" : "zero-copy",
		is_true(mode, "multi_buffer") ? "several buffers per packet"
					      : "one buffer per packet",
		status_number(mode, "mtu"), status_number(mode, "queues"),
		status_number(mode, "workers"), cell_bytes(status_number(d, "memory_bound")).text);
	fprintf(out, "flows: %s now", cell_count(status_number(flows, "active")).text);
	fprintf(out, ", %s since the start\n", cell_count(status_number(flows, "created")).text);
}

static void show_reload(const json_t *d, const char *key, const char *what, FILE *out)
{
	const json_t *r = json_object_get(d, key);

	if (!status_number(r, "successes") && !status_number(r, "failures"))
		return;
	fprintf(out, "%s: loaded anew %.0f times, %.0f times in vain; as of %s ago%s\n", what,
		status_number(r, "successes"), status_number(r, "failures"),
		cell_duration(status_number(d, "time") - status_number(r, "last_success")).text,
		is_true(r, "is_ok") ? "" : "; THE LAST RELOAD FAILED");
}

static void show_count(FILE *out, const char *what, double total, double rate)
{
	fprintf(out, "%-16s %20s", what, cell_count(total).text);
	fprintf(out, " %16s\n", cell_count(rate).text);
}

static void show_ledger(const json_t *ledger, FILE *out)
{
	const json_t *rates = json_object_get(ledger, "per_second");
	json_t *fates = json_object_get(ledger, "fates"), *n;
	const char *name;

	fprintf(out, "\n%-16s %20s %16s\n", "PACKETS", "TOTAL", "PER SECOND");
	show_count(out, "seen", status_number(ledger, "seen"), status_number(rates, "seen"));
	json_object_foreach(fates, name, n)
		if (json_number_value(n) > 0)
			show_count(out, name, json_number_value(n), status_number(rates, name));
	fprintf(out, "%-16s %20s\n", "in flight",
		cell_count(status_number(ledger, "in_flight")).text);
}

/* The most packets first, then the latest. */
static int compare(const void *a, const void *b)
{
	const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
	const double packets =
		status_number(y, "packets_per_second") - status_number(x, "packets_per_second");
	const double last = status_number(y, "last_packet") - status_number(x, "last_packet");

	return packets > 0 ? 1 : packets < 0 ? -1 : last > 0 ? 1 : last < 0 ? -1 : 0;
}

static struct cell captured(const json_t *s)
{
	const double whole = status_number(s, "bytes") + HEAD_LEN * status_number(s, "packets");
	const double share = 100 * status_number(s, "session_captured_bytes") / whole;
	struct cell c = {"-"};

	if (whole > 0)
		(void)snprintf(c.text, sizeof(c.text), "%.1f %%", share < 100 ? share : 100);
	return c;
}

static void show_session(const json_t *d, const json_t *s, const int width[2], FILE *out)
{
	const json_t *last = json_object_get(s, "last_packet");

	fprintf(out, "%-*s  %-*s %9.0f", width[0], text_of(s, "name"), width[1],
		text_of(s, "source"), status_number(s, "vni"));
	fprintf(out, " %11s", cell_count(status_number(s, "packets_per_second")).text);
	fprintf(out, " %11s", cell_bits(status_number(s, "bits_per_second")).text);
	fprintf(out, " %9s", captured(s).text);
	fprintf(out, " %12s", cell_count(status_number(s, "session_truncated_packets")).text);
	fprintf(out, " %12s", cell_count(status_number(s, "session_dropped_packets")).text);
	fprintf(out, " %8s\n",
		json_is_number(last)
			? cell_duration(status_number(d, "time") - json_number_value(last)).text
			: "never");
}

static void widen(int *width, const char *text)
{
	const int n = (int)strlen(text);

	*width = n > *width ? n : *width;
}

static void show_sessions(const json_t *d, FILE *out)
{
	const json_t *sessions = json_object_get(d, "sessions");
	const size_t n = json_array_size(sessions);
	const json_t **sorted = malloc((n + 1) * sizeof(*sorted));
	int width[2] = {7, 6};

	if (!sorted)
		return;
	for (size_t i = 0; i < n; i++) {
		sorted[i] = json_array_get(sessions, i);
		widen(&width[0], text_of(sorted[i], "name"));
		widen(&width[1], text_of(sorted[i], "source"));
	}
	qsort(sorted, n, sizeof(*sorted), compare);
	fprintf(out, "\n%-*s  %-*s %9s %11s %11s %9s %12s %12s %8s\n", width[0], "SESSION",
		width[1], "SOURCE", "VNI", "PACKETS/S", "BITS/S", "CAPTURED", "TRUNCATED", "LOST",
		"LAST");
	for (size_t i = 0; i < n; i++)
		show_session(d, sorted[i], width, out);
	if (!n)
		fputs("none yet\n", out);
	free(sorted);
}

static void show_files(const json_t *files, FILE *out)
{
	fprintf(out, "\nfiles: %s sealed", cell_count(status_number(files, "sealed")).text);
	fprintf(out, "; %s written", cell_bytes(status_number(files, "written_bytes")).text);
	fprintf(out, ", %s per second",
		cell_bytes(status_number(files, "written_bytes_per_second")).text);
	fprintf(out, ", of %s of pcapng\n", cell_bytes(status_number(files, "raw_bytes")).text);
}

void status_show(const json_t *d, FILE *out)
{
	show_head(d, out);
	show_reload(d, "config", "configuration", out);
	show_reload(d, "names", "names file", out);
	show_ledger(json_object_get(d, "ledger"), out);
	show_sessions(d, out);
	show_files(json_object_get(d, "files"), out);
}
