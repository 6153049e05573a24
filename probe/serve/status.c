#include "serve/status.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "serve/ask.h"

/* clang-format off */
static const char HELP[] =
	"usage: vxprobe status [-i IFACE] [--json] [--interval TIME]\n"
	"\n"
	"What a running vxprobe is doing. It asks twice and shows what happened in between: packets by\n"
	"how they ended, sessions by their rate, files. Only root and the probe's own user get an answer.\n"
	"\n"
	"  -i, --interface IFACE  the probe on this interface; may be left out where only one runs\n"
	"      --json             the whole document, for programs: every session with all its counters\n"
	"      --interval TIME    how long to look, such as 500ms or 10s (1s)\n"
	"  -h, --help             this text\n"
	"\n"
	"In the table of sessions:\n"
	"  CAPTURED    how much of its packets' bytes the mirror has sent\n"
	"  TRUNCATED   packets that the mirror has cut\n"
	"  LOST        packets that were measured but not stored, the disk being behind\n"
	"  LAST        how long ago its last packet came\n"
	"\n"
	"It sees the probes of its own network namespace: 'ip netns exec NAME vxprobe status' for another.\n";
/* clang-format on */

/* ---- rates ---- */

double status_number(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

/* Per second; a counter that is not in the earlier document was 0, one that fell began anew. */
static json_t *rate(const json_t *before, const json_t *after, const char *key, double seconds)
{
	const double n = status_number(after, key) - status_number(before, key);

	return json_real(n > 0 && seconds > 0 ? n / seconds : 0);
}

static void rate_ledger(const json_t *before, json_t *after, double seconds)
{
	const json_t *fates = json_object_get(before, "fates");
	json_t *fates_after = json_object_get(after, "fates"), *rates = json_object(), *value;
	const char *name;

	(void)json_object_set_new(rates, "seen", rate(before, after, "seen", seconds));
	json_object_foreach(fates_after, name, value)
		(void)json_object_set_new(rates, name, rate(fates, fates_after, name, seconds));
	(void)json_object_set_new(after, "per_second", rates);
}

static double sum_of(const json_t *session, const char *what)
{
	static const char *const directions[] = {"ingress", "egress", "undirected"};
	double sum = 0;

	for (unsigned i = 0; i < 3; i++) {
		char key[64];
		(void)snprintf(key, sizeof(key), "session_%s_%s", directions[i], what);
		sum += status_number(session, key);
	}
	return sum;
}

static json_t *total(double n)
{
	return json_integer((json_int_t)n);
}

static void rate_session(const json_t *before, json_t *after, double seconds)
{
	const double packets = sum_of(after, "packets") - sum_of(before, "packets");
	const double bytes = sum_of(after, "bytes") - sum_of(before, "bytes");
	const bool counts = packets > 0 && bytes >= 0 && seconds > 0;

	(void)json_object_set_new(after, "packets", total(sum_of(after, "packets")));
	(void)json_object_set_new(after, "bytes", total(sum_of(after, "bytes")));
	(void)json_object_set_new(after, "packets_per_second",
				  json_real(counts ? packets / seconds : 0));
	(void)json_object_set_new(after, "bits_per_second",
				  json_real(counts ? 8 * bytes / seconds : 0));
}

void status_add_rates(const json_t *before, json_t *after)
{
	const double seconds =
		status_number(after, "monotonic") - status_number(before, "monotonic");
	const json_t *sessions = json_object_get(before, "sessions");
	json_t *files = json_object_get(after, "files"), *session;
	size_t i;

	rate_ledger(json_object_get(before, "ledger"), json_object_get(after, "ledger"), seconds);
	(void)json_object_set_new(
		files, "written_bytes_per_second",
		rate(json_object_get(before, "files"), files, "written_bytes", seconds));
	/* Sessions keep their places; new ones come behind. */
	json_array_foreach(json_object_get(after, "sessions"), i, session)
		rate_session(json_array_get(sessions, i), session, seconds);
}

/* ---- the command ---- */

static int ask_twice(const struct ask_options *o, json_t **out, struct err *err)
{
	json_t *before;
	int ret = ask_probe(&before, o->interface, err);

	if (ret)
		return ret;
	clock_nap(o->interval_ns);
	ret = ask_probe(out, o->interface, err);
	if (!ret)
		status_add_rates(before, *out);
	json_decref(before);
	return ret;
}

int status_main(int argc, char **argv)
{
	struct err err = {""};
	struct ask_options o = {.interval_ns = 1000000000};
	json_t *document;
	int ret = ask_parse(&o, false, argc, argv, &err);

	if (ret == -ECANCELED)
		return fputs(HELP, stdout) < 0;
	if (ret) {
		(void)fprintf(stderr, "vxprobe: %s\n", err.text);
		return 2;
	}
	if ((ret = ask_choose(o.interface, &err)) || (ret = ask_twice(&o, &document, &err))) {
		(void)fprintf(stderr, "vxprobe: %s\n", err.text);
		return 1;
	}
	if (!o.json)
		status_show(document, stdout);
	else if (!json_dumpf(document, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(15)))
		(void)putchar('\n');
	json_decref(document);
	return fflush(stdout) ? 1 : 0;
}
