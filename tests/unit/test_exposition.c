#include "serve/exposition.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROOM 4096

static struct exposition *e;
static char *text;
static size_t len;

static void begin(enum exposition_format format)
{
	struct err err;

	cr_assert_eq(exposition_open(&e, format, ROOM, &err), 0);
}

/* The page is exactly this. */
static void expect(const char *page)
{
	struct err err;

	cr_assert_eq(exposition_close(e, &text, &len, &err), 0, "%s", err.text);
	cr_expect_eq(len, strlen(page), "%zu bytes, not %zu", len, strlen(page));
	cr_expect(len == strlen(page) && !memcmp(text, page, len), "%.*s", (int)len, text);
	free(text);
}

static void write_one_of_each(void)
{
	static const uint64_t edges_ns[] = {100000, 1000000000, 2500000000};
	static const uint64_t counts[] = {1, 3, 3};
	const struct exposition_histogram h = {.edge_ns = edges_ns,
					       .cumulative = counts,
					       .n_edges = 3,
					       .count = 4,
					       .sum_ns = 12000001};

	exposition_family(e, EXPOSITION_COUNTER, "x_read_bytes", "bytes", "Bytes.");
	exposition_integer(e, UINT64_MAX, LABELS("queue", "0"));
	exposition_integer(e, 0, LABELS("queue", "1"));
	exposition_family(e, EXPOSITION_GAUGE, "x_age_seconds", "seconds", "Age.");
	exposition_seconds(e, 1500000000, NULL);
	exposition_family(e, EXPOSITION_INFO, "x_build", "", "Version.");
	exposition_integer(e, 1, LABELS("version", "1.0", "commit", ""));
	exposition_family(e, EXPOSITION_HISTOGRAM, "x_wait_seconds", "seconds", "Waits.");
	exposition_histogram(e, &h, LABELS("vni", "7", LABELS_WRITTEN, "l4=\"tcp\""));
}

Test(exposition, text_has_a_type_and_a_help_for_the_name_of_the_samples)
{
	begin(EXPOSITION_TEXT);
	write_one_of_each();
	expect("# HELP x_read_bytes_total Bytes.\n"
	       "# TYPE x_read_bytes_total counter\n"
	       "x_read_bytes_total{queue=\"0\"} 18446744073709551615\n"
	       "x_read_bytes_total{queue=\"1\"} 0\n"
	       "# HELP x_age_seconds Age.\n"
	       "# TYPE x_age_seconds gauge\n"
	       "x_age_seconds 1.5\n"
	       "# HELP x_build_info Version.\n"
	       "# TYPE x_build_info gauge\n"
	       "x_build_info{version=\"1.0\",commit=\"\"} 1\n"
	       "# HELP x_wait_seconds Waits.\n"
	       "# TYPE x_wait_seconds histogram\n"
	       "x_wait_seconds_bucket{vni=\"7\",l4=\"tcp\",le=\"0.0001\"} 1\n"
	       "x_wait_seconds_bucket{vni=\"7\",l4=\"tcp\",le=\"1.0\"} 3\n"
	       "x_wait_seconds_bucket{vni=\"7\",l4=\"tcp\",le=\"2.5\"} 3\n"
	       "x_wait_seconds_bucket{vni=\"7\",l4=\"tcp\",le=\"+Inf\"} 4\n"
	       "x_wait_seconds_sum{vni=\"7\",l4=\"tcp\"} 0.012000001\n"
	       "x_wait_seconds_count{vni=\"7\",l4=\"tcp\"} 4\n");
}

Test(exposition, openmetrics_has_families_without_suffix_units_and_an_end)
{
	begin(EXPOSITION_OPENMETRICS);
	write_one_of_each();
	expect("# HELP x_read_bytes Bytes.\n"
	       "# TYPE x_read_bytes counter\n"
	       "# UNIT x_read_bytes bytes\n"
	       "x_read_bytes_total{queue=\"0\"} 18446744073709551615\n"
	       "x_read_bytes_total{queue=\"1\"} 0\n"
	       "# HELP x_age_seconds Age.\n"
	       "# TYPE x_age_seconds gauge\n"
	       "# UNIT x_age_seconds seconds\n"
	       "x_age_seconds 1.5\n"
	       "# HELP x_build Version.\n"
	       "# TYPE x_build info\n"
	       "x_build_info{version=\"1.0\",commit=\"\"} 1\n"
	       "# HELP x_wait_seconds Waits.\n"
	       "# TYPE x_wait_seconds histogram\n"
	       "# UNIT x_wait_seconds seconds\n"
	       "x_wait_seconds_bucket{vni=\"7\",l4=\"tcp\",le=\"0.0001\"} 1\n"
	       "x_wait_seconds_bucket{vni=\"7\",l4=\"tcp\",le=\"1.0\"} 3\n"
	       "x_wait_seconds_bucket{vni=\"7\",l4=\"tcp\",le=\"2.5\"} 3\n"
	       "x_wait_seconds_bucket{vni=\"7\",l4=\"tcp\",le=\"+Inf\"} 4\n"
	       "x_wait_seconds_sum{vni=\"7\",l4=\"tcp\"} 0.012000001\n"
	       "x_wait_seconds_count{vni=\"7\",l4=\"tcp\"} 4\n"
	       "# EOF\n");
}

Test(exposition, escapes_what_a_label_or_a_help_must_not_hold)
{
	begin(EXPOSITION_TEXT);
	exposition_family(e, EXPOSITION_GAUGE, "x", "", "a \\ and \"b\"\nc");
	exposition_integer(e, 1, LABELS("name", "a \\ and \"b\"\nc"));
	expect("# HELP x a \\\\ and \"b\"\\nc\n# TYPE x gauge\n"
	       "x{name=\"a \\\\ and \\\"b\\\"\\nc\"} 1\n");
	begin(EXPOSITION_OPENMETRICS);
	exposition_family(e, EXPOSITION_GAUGE, "x", "", "a \"b\"");
	expect("# HELP x a \\\"b\\\"\n# TYPE x gauge\n# EOF\n");
}

Test(exposition, labels_as_written_may_be_none)
{
	begin(EXPOSITION_TEXT);
	exposition_family(e, EXPOSITION_GAUGE, "x", "", "X.");
	exposition_integer(e, 1, LABELS(LABELS_WRITTEN, ""));
	exposition_integer(e, 2, LABELS("a", "b", LABELS_WRITTEN, ""));
	exposition_integer(e, 3, LABELS(LABELS_WRITTEN, "c=\"d\""));
	expect("# HELP x X.\n# TYPE x gauge\nx 1\nx{a=\"b\"} 2\nx{c=\"d\"} 3\n");
}

Test(exposition, seconds_are_exact_and_have_a_point)
{
	static const uint64_t ns[] = {0, 1, 250000, 10000000000, UINT64_MAX};

	begin(EXPOSITION_TEXT);
	exposition_family(e, EXPOSITION_GAUGE, "x_seconds", "seconds", "X.");
	for (unsigned i = 0; i < sizeof(ns) / sizeof(ns[0]); i++)
		exposition_seconds(e, ns[i], NULL);
	expect("# HELP x_seconds X.\n# TYPE x_seconds gauge\nx_seconds 0.0\nx_seconds 0.000000001\n"
	       "x_seconds 0.00025\nx_seconds 10.0\nx_seconds 18446744073.709551615\n");
}

static void write_exemplars(void)
{
	static const uint64_t edges_ns[] = {100000}, counts[] = {1};
	const char *const *labels = LABELS("source", "10.0.0.1", "vni", "7");
	const struct exposition_exemplar exemplars[] = {{50000, 1500000000000000000, labels},
							{200000, 0, labels}};
	const struct exposition_histogram h = {.edge_ns = edges_ns,
					       .cumulative = counts,
					       .n_edges = 1,
					       .count = 2,
					       .sum_ns = 250000,
					       .exemplar = exemplars};

	exposition_family(e, EXPOSITION_HISTOGRAM, "x_seconds", "seconds", "X.");
	exposition_histogram(e, &h, NULL);
}

Test(exposition, openmetrics_has_exemplars_where_there_are_some)
{
	begin(EXPOSITION_OPENMETRICS);
	write_exemplars();
	expect("# HELP x_seconds X.\n# TYPE x_seconds histogram\n# UNIT x_seconds seconds\n"
	       "x_seconds_bucket{le=\"0.0001\"} 1 # {source=\"10.0.0.1\",vni=\"7\"} 0.00005 "
	       "1500000000.0\n"
	       "x_seconds_bucket{le=\"+Inf\"} 2\nx_seconds_sum 0.00025\nx_seconds_count 2\n"
	       "# EOF\n");
}

Test(exposition, text_has_no_exemplars)
{
	begin(EXPOSITION_TEXT);
	write_exemplars();
	expect("# HELP x_seconds X.\n# TYPE x_seconds histogram\nx_seconds_bucket{le=\"0.0001\"} "
	       "1\n"
	       "x_seconds_bucket{le=\"+Inf\"} 2\nx_seconds_sum 0.00025\nx_seconds_count 2\n");
}

Test(exposition, ratios_have_nine_places)
{
	begin(EXPOSITION_TEXT);
	exposition_family(e, EXPOSITION_GAUGE, "x_ratio", "ratio", "X.");
	exposition_ratio(e, 0, NULL);
	exposition_ratio(e, 0.0123456789, NULL);
	expect("# HELP x_ratio X.\n# TYPE x_ratio gauge\nx_ratio 0.000000000\n"
	       "x_ratio 0.012345679\n");
}

Test(exposition, counts_every_sample)
{
	begin(EXPOSITION_TEXT);
	write_one_of_each();
	cr_expect_eq(exposition_series(e), 2 + 1 + 1 + 6);
	struct err err;
	cr_assert_eq(exposition_close(e, &text, &len, &err), 0);
	free(text);
}

Test(exposition, a_page_takes_no_more_than_it_was_given)
{
	static const char head[] = "# HELP x X.\n# TYPE x gauge\n";
	struct err err = {""};

	for (size_t room = sizeof(head) - 1; room > sizeof(head) - 3; room--) {
		cr_assert_eq(exposition_open(&e, EXPOSITION_TEXT, room, &err), 0);
		exposition_family(e, EXPOSITION_GAUGE, "x", "", "X.");
		text = NULL;
		const int ret = exposition_close(e, &text, &len, &err);
		cr_expect_eq(ret, room == sizeof(head) - 1 ? 0 : -ENOSPC, "%zu: %d", room, ret);
		cr_expect_eq(!text, ret != 0);
		free(text);
	}
	cr_expect_str_eq(err.text, "the metrics are longer than they may be");
}
