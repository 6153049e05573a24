#define _GNU_SOURCE /* memmem */
#include "serve/metrics.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../support/page.h"
#include "../support/served.h"
#include "base/reason.h"

#define SECOND_NS UINT64_C(1000000000)

Test(metrics, a_session_has_its_series_by_source_vni_and_generation)
{
	struct view *v = served_open(4);

	served_add(v, "10.0.0.1", 7, 11, SERVED_NOW_NS);
	served_add(v, "fd00::1", 7, 22, SERVED_NOW_NS);
	v->ledger.stats->offset_ns = SECOND_NS / 2;
	page_text(v);
	page_has("vxprobe_session_ingress_packets_total" S("10.0.0.1", "7") "} 11");
	page_has("vxprobe_session_ingress_packets_total" S("fd00::1", "7") "} 22");
	page_has("vxprobe_session_ingress_bytes_total" S("fd00::1", "7") "} 2200");
	page_has("vxprobe_session_egress_packets_total" S("fd00::1", "7") "} 0");
	page_has("vxprobe_session_last_packet_timestamp_seconds" S("10.0.0.1", "7") "} 3600.5");
	page_has("vxprobe_flows" S("10.0.0.1", "7") ",l4=\"tcp\"} 0");
	page_has("vxprobe_sessions 2");
	page_has("vxprobe_sessions_active 2");
}

Test(metrics, renaming_changes_the_info_alone)
{
	struct view *v = served_open(4);
	const uint32_t id = served_add(v, "10.0.0.1", 7, 11, SERVED_NOW_NS);
	const struct session_labels renamed = {"amf-1", "amf", "core", "4711", "eni-1", "headers"};

	page_text(v);
	page_has("vxprobe_session_info" S("10.0.0.1",
					  "7") ",name=\"10.0.0.1-7\",nf=\"\",vrf=\"\","
					       "account=\"\",eni=\"\",policy=\"full\"} 1");
	const unsigned before = page_count(S("10.0.0.1", "7"));
	stats_set_labels(v->ledger.stats, id, &renamed);
	page_text(v);
	page_has(
		"vxprobe_session_info" S("10.0.0.1", "7") ",name=\"amf-1\",nf=\"amf\",vrf=\"core\","
							  "account=\"4711\",eni=\"eni-1\","
							  "policy=\"headers\"} 1");
	cr_expect_eq(page_count("\nvxprobe_session_info{"), 1);
	cr_expect_eq(page_count(S("10.0.0.1", "7")), before);
}

Test(metrics, series_end_15_minutes_after_the_last_packet)
{
	struct view *v = served_open(4);

	served_add(v, "10.0.0.1", 7, 1, SERVED_NOW_NS - 901 * SECOND_NS);
	served_add(v, "10.0.0.2", 7, 1, SERVED_NOW_NS - 899 * SECOND_NS);
	served_add(v, "10.0.0.3", 7, 0, 0);
	page_text(v);
	page_has_not("10.0.0.1");
	page_has_not("10.0.0.3");
	page_has("vxprobe_session_ingress_packets_total" S("10.0.0.2", "7") "} 1");
	page_has("vxprobe_sessions 3");
	page_has("vxprobe_sessions_active 1");
}

Test(metrics, sessions_beyond_the_limit_are_left_out_whole_and_counted)
{
	struct view *v = served_open(4);
	char line[64];

	served_add(v, "10.0.0.1", 7, 1, SERVED_NOW_NS);
	page_text(v);
	const unsigned each = page_count(S("10.0.0.1", "7"));
	served_add(v, "10.0.0.2", 7, 1, SERVED_NOW_NS);
	served_add(v, "10.0.0.3", 7, 1, SERVED_NOW_NS);
	v->facts.series_max = 2 * each + each - 1;
	page_text(v);
	cr_expect_eq(page_count(S("10.0.0.1", "7")), each);
	cr_expect_eq(page_count(S("10.0.0.2", "7")), each);
	page_has_not("10.0.0.3");
	(void)snprintf(line, sizeof(line), "vxprobe_series %u", 2 * each);
	page_has(line);
	(void)snprintf(line, sizeof(line), "vxprobe_series_dropped_total %u", each);
	page_has(line);
	page_has("vxprobe_sessions_active 3");
	page_text(v);
	(void)snprintf(line, sizeof(line), "vxprobe_series_dropped_total %u", 2 * each);
	page_has(line);
}

Test(metrics, loss_is_there_with_its_interval_once_there_is_an_estimate)
{
	struct view *v = served_open(4);
	const uint32_t id = served_add(v, "10.0.0.1", 7, 1, SERVED_NOW_NS);
	char line[64];

	page_text(v);
	page_has_not("vxprobe_session_capture_loss_ratio{");
	page_has("vxprobe_session_loss_visible_ratio" S("10.0.0.1", "7") "} 0.000000000");
	const unsigned before = page_count(S("10.0.0.1", "7"));
	for (unsigned w = 0; w < 2; w++)
		for (unsigned i = 0; i < 1000; i++)
			loss_add(&stats_kpi(v->ledger.stats, w, id)->loss[LOSS_SCTP], 1, 1000,
				 i % 10 ? 0 : 100);
	stats_kpi(v->ledger.stats, 1, id)->value[KPI_VISIBLE_BYTES] = 25;
	page_text(v);
	page_has("vxprobe_session_capture_loss_ratio" S("10.0.0.1",
							"7") ",transport=\"sctp\"} 0.010000000");
	cr_expect_eq(page_count("vxprobe_session_capture_loss_low_ratio{"), 1);
	cr_expect_eq(page_count("vxprobe_session_capture_loss_high_ratio{"), 1);
	page_has("vxprobe_session_loss_visible_ratio" S("10.0.0.1", "7") "} 0.250000000");
	page_has_not("transport=\"tcp\"");
	cr_expect_eq(page_count(S("10.0.0.1", "7")), before + 3);
	(void)snprintf(line, sizeof(line), "vxprobe_series %u", before + 3);
	page_has(line);
}

Test(metrics, a_histogram_is_there_once_it_has_a_sample)
{
	struct view *v = served_open(4);
	const uint32_t id = served_add(v, "10.0.0.1", 7, 1, SERVED_NOW_NS);

	served_add(v, "10.0.0.2", 7, 1, SERVED_NOW_NS);
	page_text(v);
	page_has("# TYPE vxprobe_tcp_handshake_server_seconds histogram");
	page_has_not("vxprobe_tcp_handshake_server_seconds_bucket");
	const unsigned before = page_count(S("10.0.0.1", "7"));
	served_time(v, id, KPI_TCP_HANDSHAKE_SERVER, 100000);
	served_time(v, id, KPI_TCP_HANDSHAKE_SERVER, 3000000000);
	served_time(v, id, KPI_TCP_HANDSHAKE_SERVER, 20000000000);
	page_text(v);
	cr_expect_eq(page_count(S("10.0.0.1", "7")), before + 19);
	page_has("vxprobe_tcp_handshake_server_seconds_bucket" S(
		"10.0.0.1", "7") ",layer=\"mirror\",le=\"0.0001\"} 1");
	page_has("vxprobe_tcp_handshake_server_seconds_bucket" S(
		"10.0.0.1", "7") ",layer=\"mirror\",le=\"2.5\"} 1");
	page_has("vxprobe_tcp_handshake_server_seconds_bucket" S(
		"10.0.0.1", "7") ",layer=\"mirror\",le=\"5.0\"} 2");
	page_has("vxprobe_tcp_handshake_server_seconds_bucket" S(
		"10.0.0.1", "7") ",layer=\"mirror\",le=\"10.0\"} 2");
	page_has("vxprobe_tcp_handshake_server_seconds_bucket" S(
		"10.0.0.1", "7") ",layer=\"mirror\",le=\"+Inf\"} 3");
	page_has("vxprobe_tcp_handshake_server_seconds_sum" S("10.0.0.1",
							      "7") ",layer=\"mirror\"} 23.0001");
	page_has("vxprobe_tcp_handshake_server_seconds_count" S("10.0.0.1",
								"7") ",layer=\"mirror\"} 3");
	page_has("vxprobe_histograms{worker=\"0\"} 1");
	char line[64];
	(void)snprintf(line, sizeof(line), "vxprobe_series %u", 2 * before + 19);
	page_has(line);
}

Test(metrics, a_session_whose_histograms_do_not_fit_is_left_out_whole)
{
	struct view *v = served_open(4);
	const uint32_t id = served_add(v, "10.0.0.1", 7, 1, SERVED_NOW_NS);

	served_time(v, id, KPI_TCP_HANDSHAKE_SERVER, 1);
	page_text(v);
	v->facts.series_max = page_count(S("10.0.0.1", "7"));
	page_text(v);
	cr_expect_eq(page_count(S("10.0.0.1", "7")), v->facts.series_max);
	v->facts.series_max--;
	page_text(v);
	page_has_not("10.0.0.1");
}

Test(metrics, behind_a_session_that_is_left_out_none_is_there)
{
	struct view *v = served_open(4);

	served_add(v, "10.0.0.1", 7, 1, SERVED_NOW_NS);
	page_text(v);
	const unsigned each = page_count(S("10.0.0.1", "7"));
	served_time(v, served_add(v, "10.0.0.2", 7, 1, SERVED_NOW_NS), KPI_TCP_HANDSHAKE_SERVER, 1);
	served_add(v, "10.0.0.3", 7, 1, SERVED_NOW_NS);
	v->facts.series_max = 2 * each; /* the third would fit, the second does not */
	page_text(v);
	cr_expect_eq(page_count(S("10.0.0.1", "7")), each);
	page_has_not("10.0.0.2");
	page_has_not("10.0.0.3");
}

/* Every text as long as it may be and full of what has to be escaped, every number as large. */
static void add_longest(struct view *v)
{
	struct stats *s = v->ledger.stats;
	const uint32_t id = served_add(v, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", UINT32_MAX, 0,
				       SERVED_NOW_NS);
	struct session_labels l = {0};

	stats_sessions(s)[id].generation = UINT32_MAX;
	memset(l.policy, 'p', sizeof(l.policy) - 1);
	memset(l.name, '"', 63);
	memset(l.nf, '"', 63);
	memset(l.vrf, '\\', 63);
	memset(l.account, '"', 63);
	memset(l.eni, '"', 63);
	stats_set_labels(s, id, &l);
	stats_kpi(s, 0, id)->groups = (1u << KPI_GROUPS) - 1;
	for (unsigned kpi = 0; kpi < KPI_MAX; kpi++)
		stats_kpi(s, 0, id)->value[kpi] = INT64_MAX;
	for (unsigned t = 0; t < LOSS_TRANSPORTS; t++)
		loss_add(&stats_kpi(s, 0, id)->loss[t], 1, 1, 1);
	for (unsigned i = 0; i < KPI_HISTOGRAMS; i++)
		served_time(v, id, i, INT64_MAX);
}

Test(metrics, the_longest_page_is_within_the_bound_and_not_far_below)
{
	const struct stats_config config = {
		.workers = SERVED_WORKERS, .queues = SERVED_QUEUES, .sessions_max = 150};
	struct view *v = served_open(config.sessions_max);

	for (uint32_t i = 0; i < config.sessions_max; i++)
		add_longest(v);
	page_render(v, EXPOSITION_OPENMETRICS, SERVED_NOW_NS);
	const size_t bound = metrics_memory(&config, &v->facts);
	cr_expect_eq(page_count("\nvxprobe_session_info{"), config.sessions_max);
	cr_expect_leq(page.len, bound);
	cr_expect_geq(page.len, bound / 2, "%zu bytes of %zu", page.len, bound);
}

Test(metrics, the_bound_follows_the_limit_of_series)
{
	const struct stats_config config = {
		.workers = SERVED_WORKERS, .queues = SERVED_QUEUES, .sessions_max = 1 << 20};
	struct view *v = served_open(1000);

	v->facts.series_max = 1000;
	for (uint32_t i = 0; i < 1000; i++)
		add_longest(v);
	page_text(v);
	cr_expect_leq(page.len, metrics_memory(&config, &v->facts));
	cr_expect_leq(metrics_memory(&config, &v->facts), 512 << 10);
}

/* No line of a family stands outside it, and no family comes twice. */
static void check_families(enum exposition_format format)
{
	char name[128] = "", *rest = page.text, *line;

	while ((line = strsep(&rest, "\n"))) {
		char head[160];
		if (sscanf(line, "# TYPE %127s", name) == 1) {
			(void)snprintf(head, sizeof(head), "# TYPE %s ", name);
			cr_expect(!rest || !strstr(rest, head), "%s comes twice", name);
		} else if (*line && *line != '#') {
			cr_expect(!strncmp(line, name, strlen(name)), "%s stands under %s", line,
				  name);
		}
	}
	cr_expect_str_eq(name, "vxprobe_exporter_render_seconds", "format %d", format);
}

Test(metrics, families_are_not_interleaved)
{
	struct view *v = served_open(4);

	served_add(v, "10.0.0.1", 7, 11, SERVED_NOW_NS);
	served_add(v, "10.0.0.2", 7, 11, SERVED_NOW_NS);
	v->facts.starter = v->facts.capture = getpid();
	page_text(v);
	check_families(EXPOSITION_TEXT);
	page_render(v, EXPOSITION_OPENMETRICS, SERVED_NOW_NS);
	check_families(EXPOSITION_OPENMETRICS);
}

Test(metrics, what_is_known_in_advance_begins_with_0)
{
	struct view *v = served_open(4);
	char line[128];

	page_text(v);
	for (unsigned i = 0; i < FATE_MAX; i++) {
		(void)snprintf(line, sizeof(line), "vxprobe_packets_total{reason=\"%s\"} 0",
			       fate_text[i].label);
		page_has(line);
	}
	page_has("vxprobe_rx_dropped_total{queue=\"1\",reason=\"ring_full\"} 0");
	page_has("vxprobe_config_reload_failures_total 0");
	page_has("vxprobe_names_reloads_total 0");
	page_has("vxprobe_series_dropped_total 0");
}

Test(metrics, reloads_are_told)
{
	struct view *v = served_open(4);

	v->ledger.stats->config = (struct stats_reload){3, 2, 1500000000, false, 0};
	v->ledger.stats->names = (struct stats_reload){4, 0, 2500000000, true, 0};
	v->ledger.stats->n_names = 5;
	page_text(v);
	page_has("vxprobe_config_reloads_total 5");
	page_has("vxprobe_config_reload_failures_total 2");
	page_has("vxprobe_config_last_reload_successful 0");
	page_has("vxprobe_config_last_reload_success_timestamp_seconds 1.5");
	page_has("vxprobe_names_reloads_total 4");
	page_has("vxprobe_names_last_reload_successful 1");
	page_has("vxprobe_names_last_reload_success_timestamp_seconds 2.5");
	page_has("vxprobe_names_entries 5");
}

Test(metrics, the_head_of_the_evidence_is_told_where_there_is_one)
{
	static const uint8_t head[32] = {0xab, [31] = 0xcd};
#define ZEROES "000000000000000000000000000000000000000000000000000000000000"
	struct view *v = served_open(4);

	page_text(v);
	page_has_not("vxprobe_evidence");
	stats_set_head(v->ledger.stats, head);
	v->ledger.stats->evidence.entries = 7;
	v->ledger.stats->evidence.unhashed = 2;
	v->ledger.stats->evidence.waiting = 3;
	page_text(v);
	page_has("vxprobe_evidence_head_info{hash=\"ab" ZEROES "cd\"} 1");
	page_has("vxprobe_evidence_entries_total 7");
	page_has("vxprobe_evidence_unhashed_total 2");
	page_has("vxprobe_evidence_waiting 3");
}

Test(metrics, the_level_of_the_next_frame_is_told)
{
	struct view *v = served_open(4);

	stats_set_level(&v->ledger.stats->writer[0], 3);
	stats_set_level(&v->ledger.stats->writer[1], -131072);
	v->ledger.stats->writer[0].level_changes = 3;
	v->ledger.stats->writer[1].level_changes = 2;
	page_text(v);
	page_has("vxprobe_zstd_level -131072");
	page_has("vxprobe_zstd_level_changes_total 5");
}

Test(metrics, what_a_killed_run_had_counted_is_told)
{
	struct view *v = served_open(4);

	page_text(v);
	page_has_not("vxprobe_last_run");
	v->ledger.stats->last_run.end_ns = 1500000000;
	v->ledger.stats->last_run.fate[FATE_KEPT] = 7;
	page_text(v);
	page_has("vxprobe_last_run_packets{reason=\"kept\"} 7");
	page_has("vxprobe_last_run_packets{reason=\"disk_full\"} 0");
	page_has("vxprobe_last_run_end_timestamp_seconds 1.5");
}

Test(metrics, bytes_of_files_that_could_not_be_synced_are_told)
{
	struct view *v = served_open(4);

	v->ledger.stats->writer[0].bytes_out = 9;
	v->ledger.stats->writer[1].bytes_suspect = 8;
	page_text(v);
	page_has("vxprobe_written_bytes_total 9");
	page_has("vxprobe_suspect_bytes_total 8");
}

Test(metrics, the_interface_is_told)
{
	struct view *v = served_open(4);

	(void)snprintf(v->facts.driver, sizeof(v->facts.driver), "ena");
	page_text(v);
	page_has("vxprobe_interface_info{device=\"eth0\",driver=\"ena\",xdp_mode=\"native\","
		 "zerocopy=\"false\",multi_buffer=\"false\",timestamp_source=\"xdp_monotonic\"} 1");
	page_has("vxprobe_mtu_bytes{device=\"eth0\"} 9001");
}

Test(metrics, files_have_no_interface_and_no_processes)
{
	struct view *v = served_open(4);

	v->ledger.maps = NULL;
	v->ledger.facts = NULL;
	v->ledger.stats->is_live = false;
	served_add(v, "10.0.0.1", 7, 11, 1);
	page_render(v, EXPOSITION_TEXT, UINT64_MAX);
	page_has("vxprobe_session_ingress_packets_total" S("10.0.0.1", "7") "} 11");
	page_has_not("vxprobe_interface");
	page_has_not("vxprobe_rx_");
	page_has_not("vxprobe_config");
	page_has_not("process_");
}

/* ---- processes ---- */

static double value_of(const char *metric)
{
	char start[128];

	(void)snprintf(start, sizeof(start), "\n%s ", metric);
	const char *found = strstr(page.text, start);
	cr_assert_not_null(found, "no %s", metric);
	return strtod(found + strlen(start), NULL);
}

Test(metrics, processes_are_summed)
{
	struct view *v = served_open(4);
	unsigned descriptors = 0;

	/* This process thrice: the exporter is the one that asks. */
	v->facts.starter = v->facts.capture = getpid();
	page_text(v);
	for (int fd = 0; fd < 256; fd++)
		descriptors += lseek(fd, 0, SEEK_CUR) >= 0 || isatty(fd) || write(fd, "", 0) == 0;
	cr_expect_eq((unsigned)value_of("process_open_fds") % 3, 0);
	cr_expect_geq(value_of("process_open_fds"), 3 * descriptors);
	cr_expect_eq(value_of("process_max_fds"), 3.0 * (double)sysconf(_SC_OPEN_MAX));
	cr_expect_gt(value_of("process_resident_memory_bytes"), 3 * 1e6);
	cr_expect_gt(value_of("process_virtual_memory_bytes"),
		     value_of("process_resident_memory_bytes"));
	cr_expect_geq(value_of("process_cpu_seconds_total"), 0);
	const double age = (double)time(NULL) - value_of("process_start_time_seconds");
	cr_expect(age > -2 && age < 120, "started %f s ago", age);
}

Test(metrics, a_process_that_is_gone_leaves_no_part_of_a_sum)
{
	struct view *v = served_open(4);

	v->facts.starter = getpid();
	v->facts.capture = 0x7ffffffe; /* beyond any PID */
	page_text(v);
	page_has_not("process_");
}
