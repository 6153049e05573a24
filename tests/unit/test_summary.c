#include "serve/summary_show.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "../support/served.h"

#define MS UINT64_C(1000000)

static void count(struct view *v, unsigned worker, uint32_t id, enum kpi kpi, uint64_t n)
{
	stats_kpi(v->ledger.stats, worker, id)->value[kpi] += n;
}

static void see(struct view *v, uint32_t id, uint32_t groups)
{
	stats_kpi(v->ledger.stats, 0, id)->groups = groups;
}

#define GROUP(name) (1u << KPI_GROUP_##name)

/* A session whose figures are all known: 1,000 packets of 100 bytes in 10 s. */
static struct view *one_session(void)
{
	static const struct {
		enum kpi kpi;
		uint64_t n;
	} rows[] = {{KPI_EGRESS_PACKETS, 300},       {KPI_EGRESS_BYTES, 30000},
		    {KPI_UNDIRECTED_PACKETS, 100},   {KPI_UNDIRECTED_BYTES, 10000},
		    {KPI_TRUNCATED_PACKETS, 250},    {KPI_DUPLICATE_PACKETS, 30},
		    {KPI_EXCLUDED_PACKETS, 200},     {KPI_VISIBLE_BYTES, 50000},
		    {KPI_UNIDIRECTIONAL_TCP, 1},     {KPI_UNIDIRECTIONAL_ICMP, 1},
		    {KPI_BIDIRECTIONAL_UDP, 6},      {KPI_TCP_ATTEMPTED, 9},
		    {KPI_TCP_DATA_PACKETS, 400},     {KPI_TCP_RETRANSMITTED_RTO, 1},
		    {KPI_TCP_RETRANSMITTED_FAST, 2}, {KPI_TCP_RETRANSMITTED_SPURIOUS, 1},
		    {KPI_TCP_RETRANSMITTED_SYN, 77}, {KPI_TCP_FAILED_REFUSED, 1},
		    {KPI_TCP_FAILED_TIMEOUT, 2},     {KPI_SCTP_CHUNK_DATA, 8},
		    {KPI_SCTP_CHUNK_I_DATA, 2},      {KPI_SCTP_RETRANSMITTED, 5},
		    {KPI_SCTP_ATTEMPTED, 3},         {KPI_SCTP_FAILED_ABORTED, 2}};
	struct view *v = served_open(4);
	const uint32_t id = served_add(v, "10.0.0.1", 7, 600, 20000 * MS);

	stats_kpi(v->ledger.stats, 0, id)->first_ns = 10000 * MS;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		count(v, i % SERVED_WORKERS, id, rows[i].kpi, rows[i].n);
	see(v, id, GROUP(FEED) | GROUP(TCP) | GROUP(TCP_BOTH) | GROUP(SCTP));
	for (unsigned i = 0; i < 5000; i++)
		loss_add(&stats_kpi(v->ledger.stats, i % 2, id)->loss[LOSS_TCP], 1, 100,
			 i % 50 ? 0 : 100);
	loss_add(&stats_kpi(v->ledger.stats, 0, id)->loss[LOSS_SCTP], 1, 1, 1);
	for (unsigned i = 0; i < 100; i++) {
		served_time(v, id, KPI_TCP_RTT_SERVER, i < 90 ? 10 * MS : 100 * MS);
		served_time(v, id, KPI_TCP_RTT_CLIENT, MS);
	}
	return v;
}

static struct summary_table read_all(struct view *v)
{
	struct summary_table table;
	struct err err;

	cr_assert_eq(summary_read(&table, v, &err), 0, "%s", err.text);
	return table;
}

#define NEAR(value, wanted)                                                                        \
	cr_expect_lt(fabs((value) - (wanted)), 1e-9 + 0.046 * (wanted), "%g", (value))

static void expect_figures(const struct summary *s)
{
	struct summary_figures f;

	summary_figures(&f, s, s, 10);
	cr_expect_eq(f.packets, 1000);
	cr_expect_eq(f.bytes, 100000);
	cr_expect_eq(f.packets_per_second, 100);
	cr_expect_eq(f.bits_per_second, 80000);
	cr_expect_eq(f.truncated, .25);
	cr_expect_eq(f.duplicates, .025); /* of all that came: the excluded ones too */
	cr_expect_eq(f.one_way, .25);
	cr_expect_eq(f.lost, .02);
	cr_expect(f.lost_low > 0 && f.lost_low < .02 && f.lost_high > .02 && f.lost_high < .06);
	cr_expect_eq(f.visible, .5);
	cr_expect_eq(f.main, SUMMARY_TCP);
	const struct summary_transport_figures *tcp = &f.transport[SUMMARY_TCP];
	cr_expect(tcp->is_seen);
	cr_expect_eq(tcp->far, SUMMARY_SERVER);
	cr_expect_eq(tcp->rtt[SUMMARY_SERVER].samples, 100);
	NEAR(tcp->rtt[SUMMARY_SERVER].p50, .010);
	NEAR(tcp->rtt[SUMMARY_SERVER].p95, .100);
	NEAR(tcp->rtt[SUMMARY_SERVER].p99, .100);
	cr_expect_eq(tcp->rtt[SUMMARY_CLIENT].samples, 100);
	NEAR(tcp->rtt[SUMMARY_CLIENT].p99, .001);
	cr_expect_eq(tcp->data, 400);
	cr_expect_eq(tcp->resent, .01); /* a SYN is no data */
	cr_expect_eq(tcp->attempted, 9);
	cr_expect_eq(tcp->failed, 3);
	const struct summary_transport_figures *sctp = &f.transport[SUMMARY_SCTP];
	cr_expect(sctp->is_seen);
	cr_expect_eq(sctp->data, 10);
	cr_expect_eq(sctp->resent, .5);
	cr_expect_eq(sctp->attempted, 3);
	cr_expect(isnan(sctp->failed)); /* one direction: nothing is known of answers */
	cr_expect(isnan(sctp->rtt[sctp->far].p50));
	cr_expect(!f.transport[SUMMARY_UE].is_seen);
}

Test(summary, figures_are_those_of_the_counters)
{
	struct summary_table t = read_all(one_session());

	cr_assert_eq(t.n, 1);
	cr_expect_str_eq(t.row[0].name, "10.0.0.1-7");
	expect_figures(&t.row[0]);
	summary_close(&t);
}

Test(summary, counts_survive_the_way_to_who_asks)
{
	struct view *v = one_session();
	struct summary_table t;
	struct err err;
	json_t *d = json_pack("{s[{ss ss so}]}", "sessions", "name", "x", "nf", "y", "summary",
			      summary_to_json(v, 0));

	cr_assert_eq(summary_from_json(&t, d, &err), 0);
	cr_assert_eq(t.n, 1);
	cr_expect_str_eq(t.row[0].name, "x");
	cr_expect_str_eq(t.row[0].nf, "y");
	expect_figures(&t.row[0]);
	summary_close(&t);
	json_decref(d);
}

Test(summary, a_document_that_is_odd_gives_no_numbers)
{
	static const char *const documents[] = {"{}", "{\"sessions\": 3}",
						"{\"sessions\": [null, 1, {}]}",
						"{\"sessions\": [{\"name\": 1, \"summary\": "
						"{\"packets\": -1, \"tcp\": {\"client\": [[-1, "
						"5], [223, 5], [1], 7, [1, -3]]}, "
						"\"ue_tcp\": [[1, 5]], \"sctp\": {}}}]}"};
	struct summary_table t;
	struct err err;

	for (unsigned i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
		json_t *d = json_loads(documents[i], 0, NULL);
		cr_assert_not_null(d);
		cr_assert_eq(summary_from_json(&t, d, &err), 0);
		for (size_t k = 0; k < t.n; k++) {
			cr_expect_eq(t.row[k].n[SUMMARY_PACKETS], 0);
			cr_expect_null(t.row[k].rtt[SUMMARY_TCP][SUMMARY_CLIENT]);
			cr_expect_null(t.row[k].rtt[SUMMARY_UE][SUMMARY_CLIENT]);
		}
		summary_close(&t);
		json_decref(d);
	}
}

Test(summary, what_was_not_is_not_a_number)
{
	struct view *v = served_open(4);
	struct summary_figures f;

	(void)served_add(v, "10.0.0.1", 7, 0, 0);
	struct summary_table t = read_all(v);
	summary_figures(&f, &t.row[0], &t.row[0], 0);
	cr_expect(isnan(f.packets_per_second) && isnan(f.bits_per_second));
	cr_expect(isnan(f.truncated) && isnan(f.duplicates) && isnan(f.one_way));
	cr_expect(isnan(f.lost) && isnan(f.lost_low) && isnan(f.lost_high));
	cr_expect(isnan(f.transport[0].rtt[0].p50) && isnan(f.transport[0].resent));
	json_t *d = summary_figures_to_json(&f);
	cr_expect(json_is_null(json_object_get(d, "packets_per_second")));
	cr_expect(json_is_null(json_object_get(d, "mirror_loss")));
	cr_expect_null(json_object_get(d, "tcp"));
	json_decref(d);
	summary_close(&t);
}

static void name(struct view *v, uint32_t id, const char *session, const char *nf)
{
	struct session_labels l = {.policy = "full"};

	(void)snprintf(l.name, sizeof(l.name), "%s", session);
	(void)snprintf(l.nf, sizeof(l.nf), "%s", nf);
	stats_set_labels(v->ledger.stats, id, &l);
}

/* Two of NF amf, one without NF that is called the same, one of smf. */
static struct view *four_sessions(void)
{
	static const char *const names[][2] = {
		{"s1", "amf"}, {"amf", ""}, {"s3", "smf"}, {"s4", "amf"}};
	struct view *v = served_open(4);

	for (uint32_t id = 0; id < 4; id++) {
		(void)served_add(v, "10.0.0.1", id, 10 * (id + 1), 1000 * MS);
		name(v, id, names[id][0], names[id][1]);
		see(v, id, GROUP(FEED) | GROUP(TCP));
		served_time(v, id, KPI_TCP_RTT_SERVER, MS << id);
	}
	return v;
}

Test(summary, an_nf_is_the_sum_of_its_sessions)
{
	struct summary_table t = read_all(four_sessions()), nfs;
	struct err err;
	unsigned found = 0;

	cr_assert_eq(summary_by_nf(&nfs, &t, &err), 0);
	cr_assert_eq(nfs.n, 3);
	for (size_t i = 0; i < nfs.n; i++) {
		const struct summary *s = &nfs.row[i];
		if (strcmp(s->name, "amf") != 0 || !*s->nf)
			continue;
		found++;
		cr_expect_eq(s->sessions, 2);
		cr_expect_eq(s->n[SUMMARY_PACKETS], 50);
		cr_expect_eq(histogram_count(s->rtt[SUMMARY_TCP][SUMMARY_SERVER]), 2);
		cr_expect_eq(s->groups, GROUP(FEED) | GROUP(TCP));
	}
	cr_expect_eq(found, 1);
	cr_expect_eq(t.row[0].n[SUMMARY_PACKETS], 10);
	summary_close(&nfs);
	summary_close(&t);
}

Test(summary, a_difference_is_what_came_between)
{
	struct view *v = four_sessions();
	struct loss *loss = &stats_kpi(v->ledger.stats, 0, 0)->loss[LOSS_TCP];
	struct err err;

	loss_add(loss, 1, 100, 0);
	struct summary_table before = read_all(v), after;
	for (unsigned i = 0; i < 3; i++)
		loss_add(loss, 1, 100, i ? 0 : 100);
	before.n--; /* the last session is new */
	count(v, 1, 0, KPI_INGRESS_PACKETS, 5);
	served_time(v, 0, KPI_TCP_RTT_SERVER, 8 * MS);
	after = read_all(v);
	summary_subtract(&after, &before);
	cr_expect_eq(after.row[0].n[SUMMARY_PACKETS], 5);
	cr_expect_eq(histogram_count(after.row[0].rtt[SUMMARY_TCP][SUMMARY_SERVER]), 1);
	cr_expect_eq(after.row[0].loss[LOSS_TCP].acks, 3);
	cr_expect_eq(after.row[0].loss[LOSS_TCP].acked, 300);
	cr_expect_eq(after.row[0].loss[LOSS_TCP].missing, 100);
	cr_expect_eq(after.row[1].n[SUMMARY_PACKETS], 0);
	cr_expect_eq(histogram_count(after.row[1].rtt[SUMMARY_TCP][SUMMARY_SERVER]), 0);
	cr_expect_eq(after.row[3].n[SUMMARY_PACKETS], 40);
	summary_subtract(&before, &after); /* of a probe that began anew nothing is below 0 */
	summary_subtract(&before, &before);
	cr_expect_eq(before.row[0].n[SUMMARY_PACKETS], 0);
	struct summary_table copy;
	cr_assert_eq(summary_copy(&copy, &after, &err), 0);
	cr_expect_eq(copy.row[0].n[SUMMARY_PACKETS], 5);
	cr_expect_str_eq(copy.row[3].nf, "amf");
	cr_expect_neq(copy.row[0].rtt[SUMMARY_TCP][SUMMARY_SERVER],
		      after.row[0].rtt[SUMMARY_TCP][SUMMARY_SERVER]);
	summary_close(&copy);
	summary_close(&after);
	before.n++;
	summary_close(&before);
}

/* ---- as text ---- */

/* Texts live to the end of their test. */
static char *texts[8];
static unsigned n_texts;

static void free_texts(void)
{
	while (n_texts)
		free(texts[--n_texts]);
}

TestSuite(summary_show, .fini = free_texts);

static char *printed(struct view *v, bool as_json)
{
	char *text = NULL;
	size_t len = 0;
	struct err err = {""};
	FILE *f = open_memstream(&text, &len);

	cr_assert_eq(summary_print_capture(v, as_json, f, &err), 0, "%s", err.text);
	(void)fclose(f);
	cr_assert_lt(n_texts, sizeof(texts) / sizeof(texts[0]));
	return texts[n_texts++] = text;
}

/* clang-format off */
static const char page[] =
	"\n"
	"report: 1,000 packets of 1 session in 10.0 s; 200 copies that the mirror made left out\n"
	"\n"
	"The mirror: can it be trusted?\n"
	"SESSION      PACKETS PACKETS/S    BITS/S     CUT   TWICE ONE-WAY    LOST         95 % VISIBLE\n"
	"10.0.0.1-7     1,000       100 80.0 kbit  25.0 %  2.50 %  25.0 %  2.00 %  0.49-5.34 %  50.0 %\n"
	"\n"
	"The transport under the signalling: is it healthy?\n"
	"SESSION        OF RTT p50     p95     p99   SAMPLES      DATA  RESENT     BEGUN    FAILED\n"
	"10.0.0.1-7  tcp>s 9.65 ms 98.2 ms 98.2 ms       100       400  1.00 %         9         3\n"
	"10.0.0.1-7   sctp       -       -       -         0        10  50.0 %         3         -\n";
/* clang-format on */

Test(summary_show, the_report_of_a_capture)
{
	const char *text = printed(one_session(), false);

	cr_expect_eq(strncmp(text, page, strlen(page)), 0, "%s", text);
}

Test(summary_show, of_a_capture_without_sessions_there_is_none)
{
	cr_expect_str_eq(printed(served_open(4), false), "");
}

Test(summary_show, no_line_is_longer_than_100_columns)
{
	struct view *v = served_open(4);
	const uint32_t id = served_add(v, "fd00:aaaa:bbbb:cccc:dddd:eeee:ffff:1111", 16777215,
				       UINT64_C(987654321987), 3000 * MS);

	stats_kpi(v->ledger.stats, 0, id)->first_ns = 1000 * MS;
	see(v, id, UINT32_MAX);
	count(v, 0, id, KPI_UE_TCP_DATA_PACKETS, UINT64_C(987654321987));
	count(v, 0, id, KPI_UE_TCP_ATTEMPTED, UINT64_C(987654321987));
	count(v, 0, id, KPI_UE_TCP_FAILED_REFUSED, UINT64_C(987654321987));
	for (char *rest = printed(v, false), *line; (line = strsep(&rest, "\n"));)
		cr_expect_leq(strlen(line), 100, "%s", line);
}

Test(summary_show, no_name_reaches_the_terminal_as_a_control)
{
	struct view *v = four_sessions();

	name(v, 0, "\x1b[31mred",
	     "\xc2\x9b"
	     "2Jgone");
	const char *text = printed(v, false);
	cr_expect_not_null(strstr(text, "?[31mred"));
	cr_expect_not_null(strstr(text, "?2Jgone"));
	for (const char *s = text; *s; s++)
		cr_assert((unsigned char)*s == '\n' || ((unsigned char)*s >= ' ' && *s != 0x7f));
	cr_expect_null(strstr(text, "\xc2\x9b"));
}

Test(summary_show, shows_20_by_volume_and_says_how_many_more)
{
	enum { N = 23 };
	struct view *v = served_open(N);

	for (uint32_t id = 0; id < N; id++) {
		(void)served_add(v, "10.0.0.1", id, id + 1, 1000 * MS);
		see(v, id, GROUP(FEED));
	}
	const char *text = printed(v, false);
	const char *first = strstr(text, "10.0.0.1-22"), *last = strstr(text, "10.0.0.1-3 ");
	cr_expect(first && last && first < last);
	cr_expect_null(strstr(text, "10.0.0.1-2 "));
	cr_expect_not_null(strstr(text, "\nand 3 more\n"));
}

Test(summary_show, nfs_are_told_where_they_are_known)
{
	cr_expect_not_null(strstr(printed(four_sessions(), false), "\nNF "));
	cr_expect_null(strstr(printed(one_session(), false), "\nNF "));
}

Test(summary_show, as_json)
{
	json_t *d = json_loads(printed(four_sessions(), true), 0, NULL);
	const json_t *sessions = json_object_get(d, "sessions"), *nfs = json_object_get(d, "nfs");

	cr_assert_eq(json_array_size(sessions), 4);
	cr_assert_eq(json_array_size(nfs), 3);
	const json_t *first = json_array_get(sessions, 0), *nf = json_array_get(nfs, 0);
	cr_expect_str_eq(json_string_value(json_object_get(first, "name")), "s4");
	cr_expect_str_eq(json_string_value(json_object_get(nf, "name")), "amf");
	cr_expect_eq(json_integer_value(json_object_get(nf, "sessions")), 2);
	cr_expect_eq(json_integer_value(json_object_get(nf, "packets")), 50);
	cr_expect_eq(json_real_value(json_object_get(d, "last_packet")), 1);
	cr_expect_not_null(json_object_get(d, "version"));
	json_decref(d);
}

/* ---- near and far ---- */

static void times(struct view *v, enum kpi_histogram which, unsigned n, uint64_t ns)
{
	while (n--)
		served_time(v, 0, which, ns);
}

/* A session with these samples alone, shown as text. 20 ms are told as the middle of their bucket:
 * 19.4 ms. */
#define TELLS(name, wanted, ...)                                                                   \
	Test(summary_show, name)                                                                   \
	{                                                                                          \
		struct view *v = served_open(1);                                                   \
		(void)served_add(v, "10.0.0.1", 7, 10, 1000 * MS);                                 \
		see(v, 0, GROUP(FEED) | GROUP(TCP) | GROUP(SCTP) | GROUP(UE_TCP));                 \
		__VA_ARGS__                                                                        \
		const char *text = printed(v, false);                                              \
		cr_expect_not_null(strstr(text, "\n10.0.0.1-7 " wanted), "%s", text);              \
	}

TELLS(the_far_side_is_told_though_the_near_one_has_more_samples,
      " tcp>s 19.4 ms 19.4 ms 19.4 ms        10 ", times(v, KPI_TCP_RTT_CLIENT, 1000, MS / 10);
      times(v, KPI_TCP_RTT_SERVER, 10, 20 * MS);)
TELLS(the_far_side_may_be_that_of_the_clients, " tcp>c 19.4 ms 19.4 ms 19.4 ms        10 ",
      times(v, KPI_TCP_RTT_SERVER, 1000, MS / 10);
      times(v, KPI_TCP_RTT_CLIENT, 10, 20 * MS);)
TELLS(the_only_side_is_told, " tcp>s ", times(v, KPI_TCP_RTT_SERVER, 1, MS / 10);)
TELLS(without_samples_there_is_no_side, "   tcp       - ", (void)v;)
TELLS(inside_gtp_u_the_sides_are_apart_too, "  ue>c 19.4 ms ",
      times(v, KPI_UE_TCP_RTT_SERVER, 1000, MS / 10);
      times(v, KPI_UE_TCP_RTT_CLIENT, 10, 20 * MS);)
TELLS(of_sctp_both_sides_are_told_together, "  sctp 19.4 ms ",
      times(v, KPI_SCTP_SACK_RTT, 10, 20 * MS);
      times(v, KPI_SCTP_HEARTBEAT_RTT, 90, MS);)

static const json_t *rtt_of(const json_t *document, const char *transport)
{
	const json_t *session = json_array_get(json_object_get(document, "sessions"), 0);

	return json_object_get(json_object_get(session, transport), "rtt");
}

static double number(const json_t *object, const char *side, const char *key)
{
	return json_number_value(json_object_get(json_object_get(object, side), key));
}

Test(summary_show, as_json_both_sides)
{
	struct view *v = served_open(1);

	(void)served_add(v, "10.0.0.1", 7, 10, 1000 * MS);
	see(v, 0, GROUP(FEED) | GROUP(TCP) | GROUP(SCTP) | GROUP(UE_TCP));
	json_t *none = json_loads(printed(v, true), 0, NULL);
	times(v, KPI_TCP_RTT_CLIENT, 1000, MS / 10);
	times(v, KPI_TCP_RTT_SERVER, 10, 20 * MS);
	times(v, KPI_UE_TCP_RTT_SERVER, 3, MS);
	times(v, KPI_SCTP_SACK_RTT, 2, MS);
	json_t *d = json_loads(printed(v, true), 0, NULL);
	const json_t *tcp = rtt_of(d, "tcp"), *ue = rtt_of(d, "ue_tcp"), *sctp = rtt_of(d, "sctp");

	cr_expect(json_is_null(rtt_of(none, "tcp")));
	cr_expect_eq(number(tcp, "client", "samples"), 1000);
	NEAR(number(tcp, "client", "p99"), .0001);
	cr_expect_eq(number(tcp, "server", "samples"), 10);
	NEAR(number(tcp, "server", "p50"), .020);
	cr_expect(json_is_null(json_object_get(ue, "client")));
	cr_expect_eq(number(ue, "server", "samples"), 3);
	cr_expect_eq(json_object_size(sctp), 1);
	cr_expect_eq(number(sctp, "both", "samples"), 2);
	json_decref(none);
	json_decref(d);
}

Test(summary_show, every_column_sorts_by_what_it_shows)
{
	struct summary_table t = read_all(one_session());
	struct summary_figures f;

	summary_figures(&f, &t.row[0], &t.row[0], 10);
	for (unsigned c = 0; c < SUMMARY_COLUMNS; c++) {
		const bool is_nothing = !strcmp(summary_cell(c, &f, SUMMARY_UE).text, "-");
		cr_expect_leq(strlen(summary_title(c)), summary_width(c));
		cr_expect_leq(strlen(summary_cell(c, &f, SUMMARY_TCP).text), summary_width(c));
		if (c != COLUMN_TRANSPORT)
			cr_expect_eq(isnan(summary_value(c, &f, SUMMARY_UE)), is_nothing, "%u", c);
	}
	summary_close(&t);
}
