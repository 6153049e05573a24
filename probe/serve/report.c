#define _GNU_SOURCE /* accept4, struct ucred */
#include "serve/report.h"

#include <errno.h>
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/reason.h"
#include "serve/summary.h"
#include "version.h"

/* The processes of a probe that was killed take some milliseconds to go. */
#define BUSY_NAP_NS 50000000u
#define BUSY_NAPS   40u

/* With a peer that does not do its part. */
static const struct timeval patience = {.tv_sec = 2};

/* ---- the socket ---- */

static socklen_t address_of(const char *interface, struct sockaddr_un *out)
{
	*out = (struct sockaddr_un){.sun_family = AF_UNIX};
	const int n = snprintf(out->sun_path + 1, sizeof(out->sun_path) - 1, REPORT_PREFIX "%s",
			       interface);

	return (socklen_t)offsetof(struct sockaddr_un, sun_path) + 1 + (socklen_t)n;
}

/* Of root's or our own user's: such a client gets an answer, and such a probe is believed. Abstract
 * names are anybody's to take. */
static bool is_peer_trusted(int fd)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) &&
	       (who.uid == 0 || who.uid == geteuid());
}

static int bind_waiting(int fd, const struct sockaddr_un *address, socklen_t len)
{
	for (unsigned i = 0; bind(fd, (const struct sockaddr *)address, len); i++) {
		if (errno != EADDRINUSE || i == BUSY_NAPS)
			return -errno;
		clock_nap(BUSY_NAP_NS);
	}
	return 0;
}

static int fail_busy(const char *interface, struct err *err)
{
	int fd;
	const int ret = report_connect(&fd, interface);

	if (ret == -EPERM)
		return err_set(err, -EADDRINUSE,
			       "a process of another user has taken the name of the socket of "
			       "'vxprobe status', @" REPORT_PREFIX
			       "%s: 'ss -xlp' shows which; end it",
			       interface);
	if (!ret)
		(void)close(fd);
	return err_set(err, -EADDRINUSE,
		       "another vxprobe has its XDP program on %s: 'vxprobe status -i %s' shows it",
		       interface, interface);
}

int report_listen(int *out, const char *interface, struct err *err)
{
	struct sockaddr_un address;
	const socklen_t len = address_of(interface, &address);
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int ret = fd < 0 ? -errno : bind_waiting(fd, &address, len);

	if (!ret && listen(fd, 4))
		ret = -errno;
	if (!ret) {
		*out = fd;
		return 0;
	}
	if (fd >= 0)
		(void)close(fd);
	return ret == -EADDRINUSE
		       ? fail_busy(interface, err)
		       : err_set(err, ret, "cannot make the socket of 'vxprobe status': %s",
				 strerror(-ret));
}

int report_connect(int *out, const char *interface)
{
	struct sockaddr_un address;
	const socklen_t len = address_of(interface, &address);
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	/* connect too waits no longer, where nobody accepts. */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	const int ret = connect(fd, (const struct sockaddr *)&address, len) ? -errno
			: is_peer_trusted(fd)                               ? 0
									    : -EPERM;
	if (ret)
		(void)close(fd);
	else
		*out = fd;
	return ret;
}

/* ---- the document ---- */

static json_t *integer(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *seconds(uint64_t ns)
{
	return json_real((double)ns / 1e9);
}

static json_t *mode(const struct attach_facts *f)
{
	return json_pack("{ss ss sb si si si}", "xdp", f->native ? "native" : "generic", "copy",
			 f->zero_copy ? "zero" : "copy", "multi_buffer", f->multi_buffer, "mtu",
			 (int)f->mtu, "queues", (int)f->queues, "workers", (int)f->workers);
}

static json_t *ledger(const struct view *v)
{
	json_t *fates = json_object(), *marks = json_object();
	struct ledger l;

	ledger_read(&v->ledger, &l);
	for (unsigned i = 0; i < FATE_MAX; i++)
		(void)json_object_set_new(fates, fate_text[i].label, integer(l.fate[i]));
	for (unsigned i = 0; i < MARK_MAX; i++)
		(void)json_object_set_new(marks, mark_text[i].label, integer(l.mark[i]));
	return json_pack("{so so so so}", "seen", integer(l.seen), "in_flight",
			 integer(l.in_rings + l.at_workers + l.at_writer), "fates", fates, "marks",
			 marks);
}

static json_t *flows(struct stats *s)
{
	uint64_t active = 0, created = 0;

	for (uint32_t w = 0; w < s->workers; w++) {
		active += stats_get(&stats_worker(s, w)->flows_active);
		created += stats_get(&stats_worker(s, w)->flows_created);
	}
	return json_pack("{so so}", "active", integer(active), "created", integer(created));
}

static json_t *files(const struct stats *s)
{
	const struct stats_writer w = stats_writers(s);

	return json_pack("{so so so}", "sealed", integer(w.files), "raw_bytes", integer(w.bytes_in),
			 "written_bytes", integer(w.bytes_out));
}

static json_t *reload(const struct stats_reload *r)
{
	return json_pack("{so so sb so}", "successes", integer(stats_get(&r->successes)),
			 "failures", integer(stats_get(&r->failures)), "is_ok", r->is_ok,
			 "last_success", seconds(stats_get(&r->success_ns)));
}

/* Everything but the sessions. */
static json_t *health(const struct view *v)
{
	struct stats *s = v->ledger.stats;
	const uint64_t now_ns = clock_monotonic_ns();
	struct err err;

	return json_pack(
		"{ss ss so so so sb sb so so so so so so so si}", "version", VERSION, "interface",
		v->facts.interface, "time",
		seconds(now_ns + (uint64_t)__atomic_load_n(&s->offset_ns, __ATOMIC_RELAXED)),
		"monotonic", seconds(now_ns), "uptime", seconds(now_ns - v->started_ns), "healthy",
		!view_check_healthy(v, now_ns, &err), "ready", !view_check_ready(v, &err), "mode",
		mode(v->ledger.facts), "memory_bound", integer(s->memory_bound), "ledger",
		ledger(v), "flows", flows(s), "files", files(s), "config", reload(&s->config),
		"names", reload(&s->names), "names_entries", (int)s->n_names);
}

/* {"tcp,fin": value} under the family's name for labels l4="tcp",reason="fin"; without labels the
 * value. */
static void set_row(json_t *object, const char *metric, const char *labels, json_t *value)
{
	const char *name = metric + strlen("vxprobe_");
	json_t *of_family = json_object_get(object, name);
	char key[64];
	size_t n = 0;
	bool quoted = false;

	if (!*labels) {
		(void)json_object_set_new(object, name, value);
		return;
	}
	for (const char *s = labels; *s && n < sizeof(key) - 1; s++) {
		if (*s == '"')
			quoted = !quoted;
		else if (quoted || *s == ',')
			key[n++] = *s;
	}
	key[n] = 0;
	if (!of_family) {
		of_family = json_object();
		(void)json_object_set_new(object, name, of_family);
	}
	(void)json_object_set_new(of_family, key, value);
}

/* Of the groups that were seen: else a zero would say that nothing happened. */
static void set_kpis(json_t *object, const struct view *v, uint32_t id)
{
	const uint32_t groups = view_groups(v, id);

	for (unsigned kpi = 0; kpi < KPI_MAX; kpi++) {
		const struct view_kpi_row *row = &view_kpi_rows[kpi];
		const uint64_t value = view_kpi(v, id, kpi);
		if (groups >> row->group & 1)
			set_row(object, row->metric, row->labels,
				row->type == EXPOSITION_SECONDS ? seconds(value) : integer(value));
	}
}

/* {"count": 3, "sum": 0.5} in seconds. */
static void set_histograms(json_t *object, const struct view *v, uint32_t id)
{
	struct histogram h;

	for (unsigned i = 0; i < KPI_HISTOGRAMS; i++)
		if (view_histogram(v, id, i, &h))
			set_row(object, view_histogram_rows[i].metric,
				view_histogram_rows[i].labels,
				json_pack("{so so}", "count", integer(histogram_count(&h)), "sum",
					  seconds(h.sum_ns)));
}

static json_t *session(const struct view *v, uint32_t id)
{
	const struct session *s = &stats_sessions(v->ledger.stats)[id];
	const uint64_t last_ns = view_last_packet_ns(v, id);
	char source[SESSION_NAME_MAX];
	struct session_labels l;

	stats_address(&s->source, source);
	stats_labels(v->ledger.stats, id, &l);
	json_t *out =
		json_pack("{ss so so ss ss ss ss ss ss so}", "source", source, "vni",
			  integer(s->vni), "generation", integer(s->generation), "name", l.name,
			  "nf", l.nf, "vrf", l.vrf, "account", l.account, "eni", l.eni, "policy",
			  l.policy, "last_packet", last_ns ? seconds(last_ns) : json_null());
	if (!out)
		return NULL;
	set_kpis(out, v, id);
	set_histograms(out, v, id);
	(void)json_object_set_new(out, "summary", summary_to_json(v, id));
	return out;
}

/* Takes the object. */
static bool write_object(FILE *f, json_t *object, size_t flags)
{
	const bool written = object && !json_dumpf(object, f, flags | JSON_REAL_PRECISION(15));

	json_decref(object);
	return written;
}

/* Whole, or the client sees that it is not: what is cut is no JSON. */
static void write_document(const struct view *v, FILE *f)
{
	const uint32_t n = view_sessions(v);

	fputc('{', f);
	if (!write_object(f, health(v), JSON_EMBED))
		return;
	fputs(", \"sessions\": [", f);
	for (uint32_t id = 0; id < n; id++) {
		fputs(id ? ",\n" : "\n", f);
		if (!write_object(f, session(v, id), 0) || ferror(f))
			return;
	}
	fputs("]}\n", f);
}

void report_answer(const struct view *v, int listener)
{
	const int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	FILE *f = NULL;

	if (fd < 0)
		return;
	if (is_peer_trusted(fd) &&
	    !setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)))
		f = fdopen(fd, "w");
	if (!f) {
		(void)close(fd);
		return;
	}
	write_document(v, f);
	(void)fclose(f); /* a client that has gone has what it wanted */
}
