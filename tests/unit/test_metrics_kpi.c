#define _GNU_SOURCE /* memmem */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "../support/page.h"
#include "../support/served.h"
#include "serve/metrics.h"

#define SECOND_NS UINT64_C(1000000000)
#define NF(name)  "{nf=\"" name "\""

/* A session of an NF with so many TCP flows, and the same number of connections. */
static uint32_t add(struct view *v, const char *source, const char *nf, uint64_t flows,
		    uint64_t last_ns)
{
	const uint32_t id = served_add(v, source, 7, 1, last_ns);
	struct kpi_session *kpi = stats_kpi(v->ledger.stats, 0, id);

	served_nf(v, id, nf);
	kpi->groups |= 1u << KPI_GROUP_TCP;
	kpi->value[KPI_FLOWS_TCP] = flows;
	kpi->value[KPI_TCP_ATTEMPTED] = flows;
	kpi->value[KPI_TCP_ZERO_WINDOW_DURATION] = flows * SECOND_NS / 2;
	return id;
}

static struct view *open_by(enum view_by by)
{
	struct view *v = served_open(400);

	v->facts.by = by;
	return v;
}

Test(metrics_kpi, of_an_nf_are_the_sums_of_its_sessions)
{
	struct view *v = open_by(VIEW_BY_NF);
	const uint32_t first = add(v, "10.0.0.1", "amf", 3, SERVED_NOW_NS);

	add(v, "10.0.0.2", "smf", 100, SERVED_NOW_NS);
	const uint32_t other = add(v, "10.0.0.3", "amf", 4, SERVED_NOW_NS);
	served_time(v, first, KPI_TCP_RTT_SERVER, 50000);
	served_time(v, other, KPI_TCP_RTT_SERVER, 60000);
	served_time(v, other, KPI_TCP_RTT_SERVER, 1000000);
	page_text(v);
	page_has("vxprobe_nf_flows" NF("amf") ",l4=\"tcp\"} 7");
	page_has("vxprobe_nf_tcp_connections_attempted_total" NF("amf") ",layer=\"mirror\"} 7");
	page_has("vxprobe_nf_tcp_connections_attempted_total" NF("smf") ",layer=\"mirror\"} 100");
	page_has("vxprobe_nf_tcp_zero_window_duration_seconds_total" NF("amf") ",layer=\"mirror\"} "
									       "3.5");
	page_has("vxprobe_nf_tcp_rtt_seconds_bucket" NF(
		"amf") ",layer=\"mirror\",side=\"server\",le=\"0.0001\"} 2");
	page_has("vxprobe_nf_tcp_rtt_seconds_count" NF(
		"amf") ",layer=\"mirror\",side=\"server\"} 3");
	page_has("vxprobe_nf_tcp_rtt_seconds_sum" NF(
		"amf") ",layer=\"mirror\",side=\"server\"} 0.00111");
}

Test(metrics_kpi, of_the_mirror_are_told_by_session_always)
{
	struct view *v = open_by(VIEW_BY_NF);

	add(v, "10.0.0.1", "amf", 3, SERVED_NOW_NS);
	page_text(v);
	page_has("vxprobe_session_ingress_packets_total" S("10.0.0.1", "7") "} 1");
	page_has_not("vxprobe_nf_session_");
	page_has_not("vxprobe_flows{");
	page_has_not("# TYPE vxprobe_tcp_rtt_seconds");
}

Test(metrics_kpi, are_told_by_session_alone_unless_asked)
{
	struct view *v = served_open(4);

	add(v, "10.0.0.1", "amf", 3, SERVED_NOW_NS);
	page_text(v);
	page_has("vxprobe_flows" S("10.0.0.1", "7") ",l4=\"tcp\"} 3");
	page_has_not("vxprobe_nf_");
}

Test(metrics_kpi, can_be_told_by_both)
{
	struct view *v = open_by(VIEW_BY_BOTH);

	add(v, "10.0.0.1", "amf", 3, SERVED_NOW_NS);
	page_text(v);
	page_has("vxprobe_flows" S("10.0.0.1", "7") ",l4=\"tcp\"} 3");
	page_has("vxprobe_nf_flows" NF("amf") ",l4=\"tcp\"} 3");
}

Test(metrics_kpi, of_a_session_without_an_nf_are_in_none)
{
	struct view *v = open_by(VIEW_BY_NF);

	add(v, "10.0.0.1", "", 3, SERVED_NOW_NS);
	page_text(v);
	page_has_not("vxprobe_nf_flows{");
	page_has("vxprobe_sessions_active 1");
}

Test(metrics_kpi, of_a_silent_session_stay_in_the_sum_while_another_is_not)
{
	struct view *v = open_by(VIEW_BY_NF);

	add(v, "10.0.0.1", "amf", 3, SERVED_NOW_NS - 901 * SECOND_NS);
	add(v, "10.0.0.2", "amf", 4, SERVED_NOW_NS - 899 * SECOND_NS);
	add(v, "10.0.0.3", "smf", 5, SERVED_NOW_NS - 901 * SECOND_NS);
	page_text(v);
	page_has("vxprobe_nf_flows" NF("amf") ",l4=\"tcp\"} 7");
	page_has_not("smf\"}");
	page_has_not(NF("smf"));
}

Test(metrics_kpi, of_nfs_beyond_the_limit_are_left_out_whole_and_counted)
{
	struct view *v = open_by(VIEW_BY_BOTH);
	char line[64];

	add(v, "10.0.0.1", "a", 1, SERVED_NOW_NS);
	served_time(v, add(v, "10.0.0.2", "b", 1, SERVED_NOW_NS), KPI_TCP_RTT_SERVER, 1);
	add(v, "10.0.0.3", "c", 1, SERVED_NOW_NS);
	page_text(v);
	const unsigned a = page_count(NF("a")), b = page_count(NF("b")), c = page_count(NF("c"));
	const unsigned sessions = page_count(",generation=\"1\"");
	cr_expect_eq(b, a + 19);
	(void)snprintf(line, sizeof(line), "vxprobe_series %u", sessions + a + b + c);
	page_has(line);
	v->facts.series_max = sessions + a + b - 1; /* c would fit, b does not */
	page_text(v);
	cr_expect_eq(page_count(",generation=\"1\""), sessions);
	cr_expect_eq(page_count(NF("a")), a);
	page_has_not(NF("b"));
	page_has_not(NF("c"));
	(void)snprintf(line, sizeof(line), "vxprobe_series %u", sessions + a);
	page_has(line);
	(void)snprintf(line, sizeof(line), "vxprobe_series_dropped_total %u", b + c);
	page_has(line);
}

static void add_longest(struct view *v, unsigned number)
{
	struct stats *s = v->ledger.stats;
	const uint32_t id = add(v, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "", 0, SERVED_NOW_NS);
	char nf[64] = "";

	memset(nf, '"', 63);
	for (unsigned bit = 0; bit < 16; bit++)
		nf[bit] = number >> bit & 1 ? '\\' : '"';
	served_nf(v, id, nf);
	stats_kpi(s, 0, id)->groups = (1u << KPI_GROUPS) - 1;
	for (unsigned kpi = 0; kpi < KPI_MAX; kpi++)
		stats_kpi(s, 0, id)->value[kpi] = INT64_MAX;
	for (unsigned i = 0; i < KPI_HISTOGRAMS; i++)
		served_time(v, id, i, INT64_MAX);
}

Test(metrics_kpi, of_both_are_within_the_bound)
{
	const struct stats_config config = {
		.workers = SERVED_WORKERS, .queues = SERVED_QUEUES, .sessions_max = 60};
	struct view *v = open_by(VIEW_BY_BOTH);
	unsigned rows = 0;

	for (unsigned i = 0; i < KPI_MAX; i++)
		rows += !strcmp(view_kpi_rows[i].metric, "vxprobe_flows_created");
	for (uint32_t i = 0; i < config.sessions_max; i++)
		add_longest(v, i);
	page_render(v, EXPOSITION_OPENMETRICS, SERVED_NOW_NS);
	cr_expect_eq(page_count("\nvxprobe_nf_flows_created_total{nf="),
		     rows * config.sessions_max);
	cr_expect_leq(page.len, metrics_memory(&config, &v->facts));
}

/* ---- exemplars ---- */

Test(metrics_kpi, histograms_have_exemplars_by_the_wall_clock_in_openmetrics)
{
	struct view *v = served_open(4);
	const uint32_t id = served_add(v, "10.0.0.1", 7, 1, SERVED_NOW_NS);

	v->ledger.stats->offset_ns = SECOND_NS / 2;
	served_time(v, id, KPI_TCP_HANDSHAKE_SERVER, 50000);
	page_render(v, EXPOSITION_OPENMETRICS, SERVED_NOW_NS);
	page_has("vxprobe_tcp_handshake_server_seconds_bucket" S(
		"10.0.0.1", "7") ",layer=\"mirror\",le=\"0.0001\"} 1 # "
				 "{source=\"10.0.0.1\",vni=\"7\"} 0.00005 3600.5");
	page_has("vxprobe_tcp_handshake_server_seconds_bucket" S(
		"10.0.0.1", "7") ",layer=\"mirror\",le=\"0.00025\"} 1");
	page_text(v);
	page_has("vxprobe_tcp_handshake_server_seconds_bucket" S(
		"10.0.0.1", "7") ",layer=\"mirror\",le=\"0.0001\"} 1");
}

Test(metrics_kpi, an_exemplar_of_an_nf_names_its_session)
{
	struct view *v = open_by(VIEW_BY_NF);
	const uint32_t early = add(v, "10.0.0.1", "amf", 1, SERVED_NOW_NS);
	const uint32_t late = add(v, "10.0.0.2", "amf", 1, SERVED_NOW_NS);
	struct stats *s = v->ledger.stats;

	served_time(v, late, KPI_TCP_RTT_SERVER, 70000);
	served_time(v, early, KPI_TCP_RTT_SERVER, 60000);
	served_time(v, early, KPI_TCP_RTT_SERVER, 200000);
	stats_histograms(s, 0)[0].exemplar[0].time_ns += SECOND_NS;
	page_render(v, EXPOSITION_OPENMETRICS, SERVED_NOW_NS);
	page_has("vxprobe_nf_tcp_rtt_seconds_bucket" NF(
		"amf") ",layer=\"mirror\",side=\"server\",le=\"0.0001\"} 2 # "
		       "{source=\"10.0.0.2\",vni=\"7\"} 0.00007 3601.0");
	page_has("vxprobe_nf_tcp_rtt_seconds_bucket" NF(
		"amf") ",layer=\"mirror\",side=\"server\",le=\"0.00025\"} 3 # "
		       "{source=\"10.0.0.1\",vni=\"7\"} 0.0002 3600.0");
}

/* ---- what a label may say ---- */

/* Are labels, behind those of the session or NF, what a row says, and le at most? */
static bool is_constant(const char *labels, size_t len)
{
	const char *le = memmem(labels, len, "le=\"", 4);
	const size_t n = le ? (size_t)(le - labels) : len;
	const size_t row_len = n && labels[n - 1] == ',' ? n - 1 : n;

	if (!row_len)
		return true;
	for (unsigned i = 0; i < KPI_MAX; i++)
		if (strlen(view_kpi_rows[i].labels) == row_len &&
		    !memcmp(view_kpi_rows[i].labels, labels, row_len))
			return true;
	for (unsigned i = 0; i < KPI_HISTOGRAMS; i++)
		if (strlen(view_histogram_rows[i].labels) == row_len &&
		    !memcmp(view_histogram_rows[i].labels, labels, row_len))
			return true;
	return false;
}

Test(metrics_kpi, have_no_labels_but_of_session_or_nf_and_those_of_the_rows)
{
	static const char session[] = S("10.0.0.1", "7"), nf[] = NF("amf");
	struct view *v = open_by(VIEW_BY_BOTH);
	const uint32_t id = add(v, "10.0.0.1", "amf", 1, SERVED_NOW_NS);
	char *rest;
	unsigned n = 0;

	stats_kpi(v->ledger.stats, 0, id)->groups = UINT32_MAX;
	for (unsigned i = 0; i < KPI_HISTOGRAMS; i++)
		served_time(v, id, i, 5);
	page_render(v, EXPOSITION_TEXT, SERVED_NOW_NS);
	rest = page.text;
	for (char *line; (line = strsep(&rest, "\n"));) {
		char *labels = strchr(line, '{'), *end = strrchr(line, '}');
		const bool is_nf = !strncmp(line, "vxprobe_nf_", 11);
		const char *of = is_nf ? nf : session;
		if (*line == '#' || !labels || !strncmp(line, "vxprobe_session_info{", 21) ||
		    (!is_nf && !strstr(line, "{source=")))
			continue;
		cr_expect(!strncmp(labels, of, strlen(of)), "%s", line);
		labels += strlen(of);
		labels += *labels == ',';
		cr_expect(is_constant(labels, (size_t)(end - labels)), "%s", line);
		n++;
	}
	cr_expect_geq(n, KPI_MAX + KPI_HISTOGRAMS * 2);
}

Test(metrics_kpi, of_one_family_are_of_one_class)
{
	for (unsigned i = 0; i < KPI_MAX; i++)
		for (unsigned j = 0; j < i; j++)
			if (!strcmp(view_kpi_rows[i].metric, view_kpi_rows[j].metric))
				cr_expect_eq(view_feed_groups >> view_kpi_rows[i].group & 1,
					     view_feed_groups >> view_kpi_rows[j].group & 1, "%s",
					     view_kpi_rows[i].metric);
}
