#include "serve/top.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/reason.h"
#include "serve/ask.h"
#include "serve/status.h"
#include "serve/summary_show.h"
#include "serve/top_screen.h"

/* clang-format off */
static const char HELP[] =
	"usage: vxprobe top [-i IFACE] [--json] [--interval TIME] [--by session|nf]\n"
	"\n"
	"How the sessions and network functions of a running vxprobe are, live: rates, loss of the\n"
	"mirror, round trips, retransmissions. Where standard output is no terminal it looks once and\n"
	"prints a plain table. Only root and the probe's own user get an answer.\n"
	"\n"
	"  -i, --interface IFACE  the probe on this interface; may be left out where only one runs\n"
	"      --json             look once, and print all figures for programs\n"
	"      --interval TIME    how often to look; rates are told over it (2s)\n"
	"      --by session|nf    what a line is: a session, or all sessions of an NF; live it begins with\n"
	"                         sessions, without a terminal it tells both\n"
	"  -h, --help             this text\n"
	"\n"
	"Keys: q quit; s and S sort by the next column and the one before; n sessions or NFs; t all but\n"
	"the rates over the last 30 to 60 s or since the start of the probe; arrows, PgUp, PgDn, Home.\n"
	"\n"
	"  LOST      by the mirror, not by the network: what receivers acknowledged and nobody mirrored;\n"
	"            - is no estimate: nothing was acknowledged, or one direction is mirrored\n"
	"  95 %      the interval that the true loss lies in, 95 times of 100\n"
	"  VISIBLE   the share of the bytes whose loss would show\n"
	"  OF        the transport with the most data; what follows is of it; ue: TCP inside GTP-U\n"
	"  RTT       from data to its ACK, from the mirrored interface to the clients (tcp>c) or to the\n"
	"            servers (tcp>s) and back, whichever has the larger p50: the other side is the near\n"
	"            one; --json has both; of sctp both sides together; half of the round trips take at\n"
	"            most p50, 99 of 100 at most p99 (within 5 %)\n"
	"  RESENT    data that was sent again      FAILED  connections and associations not established\n"
	"  CUT       packets that the mirror has cut       TWICE   the same as one up to 5 ms before\n"
	"  ONE-WAY   flows of which one direction was seen\n";
/* clang-format on */

/* The window of the last minute begins anew so often. */
#define WINDOW_S 30

/* One answer of the probe. */
struct look {
	json_t *document;
	struct summary_table table;
	double monotonic, uptime;
};

struct top {
	const struct ask_options *options;
	enum summary_by by;
	struct look previous, latest;
	struct look base, next_base; /* of the window; without document */
};

static int set_by(enum summary_by *by, const char *text, struct err *err)
{
	const bool by_nf = !strcmp(text, "nf");

	if (!by_nf && strcmp(text, "session") != 0)
		return err_set(err, -EINVAL, "--by %s: session or nf is wanted", text);
	*by = by_nf ? SUMMARY_BY_NF : SUMMARY_BY_SESSION;
	return 0;
}

/* ---- looking ---- */

static void look_drop(struct look *l)
{
	json_decref(l->document);
	summary_close(&l->table);
	*l = (struct look){0};
}

static int look(struct look *out, const char *interface, struct err *err)
{
	struct look l = {0};
	int ret = ask_probe(&l.document, interface, err);

	if (!ret)
		ret = summary_from_json(&l.table, l.document, err);
	if (ret) {
		json_decref(l.document);
		return ret;
	}
	l.monotonic = status_number(l.document, "monotonic");
	l.uptime = status_number(l.document, "uptime");
	*out = l;
	return 0;
}

/* The counts of a look, without its document. */
static int look_keep(struct look *out, const struct look *from, struct err *err)
{
	struct look l = {.monotonic = from->monotonic, .uptime = from->uptime};
	const int ret = summary_copy(&l.table, &from->table, err);

	if (ret)
		return ret;
	look_drop(out);
	*out = l;
	return 0;
}

static int begin_window(struct top *t, struct err *err)
{
	const int ret = look_keep(&t->base, &t->latest, err);

	return ret ? ret : look_keep(&t->next_base, &t->latest, err);
}

static int move_window(struct top *t, struct err *err)
{
	if (t->latest.monotonic - t->next_base.monotonic < WINDOW_S)
		return 0;
	look_drop(&t->base);
	t->base = t->next_base;
	t->next_base = (struct look){0};
	return look_keep(&t->next_base, &t->latest, err);
}

static int look_again(struct top *t, struct err *err)
{
	struct look l;
	int ret = look(&l, t->options->interface, err);

	if (ret)
		return ret;
	look_drop(&t->previous);
	t->previous = t->latest;
	t->latest = l;
	if (!t->previous.document)
		return begin_window(t, err);
	status_add_rates(t->previous.document, t->latest.document);
	/* Another probe on the same interface. */
	if (l.uptime < t->previous.uptime)
		return begin_window(t, err);
	return move_window(t, err);
}

static int difference(struct summary_table *out, const struct look *later,
		      const struct look *earlier, struct err *err)
{
	const int ret = summary_copy(out, &later->table, err);

	if (!ret)
		summary_subtract(out, &earlier->table);
	return ret;
}

static int make_report(struct summary_report *out, const struct top *t, bool is_total,
		       struct err *err)
{
	static const struct look start;
	struct summary_table counts, rates;
	int ret = difference(&counts, &t->latest, is_total ? &start : &t->base, err);

	if (ret)
		return ret;
	ret = difference(&rates, &t->latest, &t->previous, err);
	if (ret) {
		summary_close(&counts);
		return ret;
	}
	ret = summary_report_open(out, &counts, &rates, t->latest.monotonic - t->previous.monotonic,
				  err);
	summary_close(&rates);
	return ret;
}

/* ---- telling ---- */

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static void tell_head(const json_t *d, char *out, size_t len)
{
	const bool ready = json_is_true(json_object_get(d, "ready"));
	const bool healthy = json_is_true(json_object_get(d, "healthy"));

	(void)snprintf(out, len, "vxprobe %s on %s, up %s: %s, %s", text_of(d, "version"),
		       text_of(d, "interface"), cell_duration(status_number(d, "uptime")).text,
		       ready ? "capturing" : "NOT CAPTURING YET",
		       healthy ? "healthy" : "NOT HEALTHY: its control thread stands still");
}

/* Packets that the probe itself did not take or store, per second. */
static double probe_loss(const json_t *rates)
{
	static const enum fate losses[] = {FATE_WORKER_FULL, FATE_RING_FULL,   FATE_RX_DROPPED,
					   FATE_SESSION_CAP, FATE_WRITER_FULL, FATE_DISK_FULL,
					   FATE_IO_ERROR};
	double sum = 0;

	for (unsigned i = 0; i < sizeof(losses) / sizeof(losses[0]); i++)
		sum += status_number(rates, fate_text[losses[i]].label);
	return sum;
}

static void tell_state(const struct top *t, bool is_total, char *out, size_t len)
{
	const json_t *rates =
		json_object_get(json_object_get(t->latest.document, "ledger"), "per_second");
	const double loss = probe_loss(rates);

	const int n = snprintf(out, len, "%s packets/s",
			       cell_rate(status_number(rates, "seen"), 16).text);
	const int m = snprintf(
		out + n, len - (size_t)n, ", %s/s %s; all but the rates ", cell_rate(loss, 16).text,
		loss > 0 ? "LOST BY THE PROBE: see vxprobe status" : "lost by the probe");
	(void)snprintf(out + n + m, len - (size_t)(n + m),
		       is_total ? "since the start" : "over the last %.0f s",
		       t->latest.monotonic - t->base.monotonic);
}

static void print_plain(const struct top *t, const struct summary_report *r)
{
	char head[160];

	tell_head(t->latest.document, head, sizeof(head));
	printf("%s\nrates over %s, all else since the start\n", head, cell_time(r->seconds).text);
	summary_show(r, stdout);
}

static int print_json(const struct top *t, const struct summary_report *r, struct err *err)
{
	static const char *const keys[] = {"version", "interface", "time", "uptime"};
	json_t *d = summary_report_to_json(r);

	for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		(void)json_object_set(d, keys[i], json_object_get(t->latest.document, keys[i]));
	const bool written = d && !json_dumpf(d, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(15));
	json_decref(d);
	return written && putchar('\n') >= 0 ? 0 : err_set(err, -EIO, "cannot write the figures");
}

/* ---- the command ---- */

static int look_once(struct top *t, struct err *err)
{
	struct summary_report r;
	int ret = look_again(t, err);

	if (ret)
		return ret;
	clock_nap(t->options->interval_ns);
	if ((ret = look_again(t, err)) || (ret = make_report(&r, t, true, err)))
		return ret;
	r.by = t->by;
	if (t->options->json)
		ret = print_json(t, &r, err);
	else
		print_plain(t, &r);
	summary_report_close(&r);
	return ret;
}

static int draw(struct top *t, struct top_screen *s, struct err *err)
{
	struct summary_report r;
	struct top_picture p = {.report = &r};
	const int ret = make_report(&r, t, s->is_total, err);

	if (ret)
		return ret;
	tell_head(t->latest.document, p.head, sizeof(p.head));
	tell_state(t, s->is_total, p.state, sizeof(p.state));
	top_screen_draw(s, &p);
	summary_report_close(&r);
	return 0;
}

static int run(struct top *t, struct top_screen *s, struct err *err)
{
	enum top_event event = TOP_TIME;
	uint64_t next_ns = clock_monotonic_ns();
	int ret = 0;

	while (!ret && event != TOP_QUIT) {
		if (event == TOP_TIME) {
			next_ns += t->options->interval_ns;
			ret = look_again(t, err);
		}
		if (ret == -ECONNREFUSED || ret == -EPROTO)
			return err_set(err, ret, "the vxprobe on %s has ended",
				       t->options->interface);
		if (!ret)
			ret = draw(t, s, err);
		if (!ret)
			event = top_screen_wait(s, next_ns);
	}
	return ret;
}

static int look_live(struct top *t, struct err *err)
{
	struct top_screen screen;
	int ret = look_again(t, err); /* what is wrong is said before the screen is taken */

	if (ret || (ret = top_screen_open(&screen, t->by == SUMMARY_BY_NF, err)))
		return ret;
	ret = run(t, &screen, err);
	top_screen_close();
	return ret;
}

/* As who sent the signal expects it. */
static void end_as_told(int number)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, number);
	(void)signal(number, SIG_DFL);
	(void)sigprocmask(SIG_UNBLOCK, &set, NULL);
	(void)raise(number);
}

int top_main(int argc, char **argv)
{
	struct err err = {""};
	struct ask_options o = {.interval_ns = 2000000000};
	struct top top = {.options = &o};
	int ret = ask_parse(&o, true, argc, argv, &err);

	if (!ret && o.by)
		ret = set_by(&top.by, o.by, &err);
	if (ret == -ECANCELED)
		return fputs(HELP, stdout) < 0;
	if (ret) {
		(void)fprintf(stderr, "vxprobe: %s\n", err.text);
		return 2;
	}
	ret = ask_choose(o.interface, &err);
	if (!ret)
		ret = o.json || !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)
			      ? look_once(&top, &err)
			      : look_live(&top, &err);
	look_drop(&top.previous);
	look_drop(&top.latest);
	look_drop(&top.base);
	look_drop(&top.next_base);
	if (ret)
		(void)fprintf(stderr, "vxprobe: %s\n", err.text);
	if (top_screen_signal())
		end_as_told(top_screen_signal());
	return ret || fflush(stdout) ? 1 : 0;
}
