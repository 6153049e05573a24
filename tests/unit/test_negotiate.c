#include "serve/negotiate.h"

#include <criterion/criterion.h>

#define OPENMETRICS "application/openmetrics-text"

/* Of Prometheus 2.42 and of 3.5, as they send them. */
static const char prometheus_2[] =
	"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;"
	"q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
static const char prometheus_3[] =
	"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
	"application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;"
	"escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
static const char browser[] =
	"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";

static const struct {
	const char *accept;
	enum exposition_format format;
} formats[] = {
	{NULL, EXPOSITION_TEXT},
	{"", EXPOSITION_TEXT},
	{"*/*", EXPOSITION_TEXT},
	{browser, EXPOSITION_TEXT},
	{prometheus_2, EXPOSITION_OPENMETRICS},
	{prometheus_3, EXPOSITION_OPENMETRICS},
	{OPENMETRICS, EXPOSITION_OPENMETRICS},
	{"Application/OpenMetrics-Text", EXPOSITION_OPENMETRICS},
	{OPENMETRICS ";version=1.0.0", EXPOSITION_OPENMETRICS},
	{OPENMETRICS "; version=\"1.0.0\"; charset=utf-8", EXPOSITION_OPENMETRICS},
	{OPENMETRICS ";version=0.0.1", EXPOSITION_TEXT},
	{OPENMETRICS ";q=0", EXPOSITION_TEXT},
	{OPENMETRICS ";q=none", EXPOSITION_TEXT},
	{OPENMETRICS ";q=0.5, text/plain;q=0.5", EXPOSITION_TEXT},
	{OPENMETRICS ";q=0.501, text/plain;q=0.5", EXPOSITION_OPENMETRICS},
	{OPENMETRICS ";q=0.4, text/*;q=0.5", EXPOSITION_TEXT},
	{"text/plain;version=1.0.0, " OPENMETRICS ";q=0.1", EXPOSITION_OPENMETRICS},
	{"application/*", EXPOSITION_OPENMETRICS},
	{"*/*, text/plain;q=0.1", EXPOSITION_OPENMETRICS},
	{"text/plain;q=0, */*;q=0.1", EXPOSITION_OPENMETRICS},
	{"application/json", EXPOSITION_TEXT},
	{",;,=;q", EXPOSITION_TEXT},
};

Test(negotiate, chooses_the_format_by_quality_and_closeness)
{
	for (unsigned i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		cr_expect_eq(negotiate_format(formats[i].accept), formats[i].format, "Accept: %s",
			     formats[i].accept);
}

static const struct {
	const char *accept;
	bool gzip;
} encodings[] = {
	{NULL, false},
	{"", false},
	{"gzip", true},
	{"GZIP", true},
	{"deflate, br", false},
	{"deflate, gzip;q=0.5", true},
	{"gzip;q=0", false},
	{"*", true},
	{"*;q=0, gzip", true},
	{"identity", false},
	{"identity, gzip;q=0.5", false},
	{"gzip;q=1.0, identity; q=0.5", true},
	{"gzip;q=0, *", false},
};

Test(negotiate, compresses_only_for_those_who_want_it)
{
	for (unsigned i = 0; i < sizeof(encodings) / sizeof(encodings[0]); i++)
		cr_expect_eq(negotiate_gzip(encodings[i].accept), encodings[i].gzip,
			     "Accept-Encoding: %s", encodings[i].accept);
}

Test(negotiate, an_element_of_any_length_does_no_harm)
{
	static char header[4096];

	for (unsigned i = 0; i < sizeof(header) - 40; i++)
		header[i] = 'a';
	cr_expect_eq(negotiate_format(header), EXPOSITION_TEXT);
	strcat(header, "," OPENMETRICS);
	cr_expect_eq(negotiate_format(header), EXPOSITION_OPENMETRICS);
}
