#include "config/value.h"

#include <criterion/criterion.h>
#include <string.h>

#define UNTOUCHED 77

/* text: what is refused is refused with *out untouched. */
static void refuses(bool (*parse)(uint64_t *, const char *), const char *const *texts)
{
	for (; *texts; texts++) {
		uint64_t out = UNTOUCHED;
		cr_assert_not(parse(&out, *texts), "'%s'", *texts);
		cr_assert_eq(out, UNTOUCHED, "'%s'", *texts);
	}
}

struct good {
	const char *text;
	uint64_t value;
};

static void takes(bool (*parse)(uint64_t *, const char *), const struct good *rows)
{
	for (; rows->text; rows++) {
		uint64_t out = UNTOUCHED;
		cr_assert(parse(&out, rows->text), "'%s'", rows->text);
		cr_assert_eq(out, rows->value, "'%s': %lu", rows->text, out);
	}
}

Test(value, takes_numbers)
{
	takes(value_number,
	      (const struct good[]){
		      {"0", 0}, {"4096", 4096}, {"18446744073709551615", UINT64_MAX}, {NULL, 0}});
}

Test(value, refuses_what_is_no_number)
{
	refuses(value_number, (const char *const[]){"", "-1", "+1", " 1", "1 ", "1k", "0x10", "1.5",
						    "one", "18446744073709551616", NULL});
}

Test(value, takes_sizes)
{
	takes(value_size, (const struct good[]){{"0", 0},
						{"512", 512},
						{"512B", 512},
						{"64KiB", 64 << 10},
						{"64MiB", 64 << 20},
						{"1GiB", 1 << 30},
						{"2TiB", 2ull << 40},
						{"16777215TiB", 16777215ull << 40},
						{NULL, 0}});
}

Test(value, refuses_what_is_no_size)
{
	refuses(value_size, (const char *const[]){"", "64MB", "64M", "64mib", "64 MiB", "MiB",
						  "-1MiB", "1.5GiB", "16777216TiB", "1ms", NULL});
}

Test(value, takes_sizes_and_per_cent_as_space)
{
	takes(value_space, (const struct good[]){{"0", 0},
						 {"0%", 0},
						 {"5%", VALUE_PERCENT | 5},
						 {"99%", VALUE_PERCENT | 99},
						 {"20GiB", 20ull << 30},
						 {"8388607TiB", 8388607ull << 40},
						 {NULL, 0}});
}

Test(value, refuses_what_is_no_space)
{
	refuses(value_space,
		(const char *const[]){"", "%", "100%", "5 %", "-5%", "5.5%", "5%%", "5MB",
				      "8388608TiB", "18446744073709551615", NULL});
}

Test(value, takes_times)
{
	takes(value_time, (const struct good[]){{"0", 0},
						{"20ns", 20},
						{"7us", 7000},
						{"20ms", 20000000},
						{"1s", 1000000000},
						{"5m", 300000000000},
						{"24h", 86400000000000},
						{"30d", 2592000000000000},
						{NULL, 0}});
}

Test(value, refuses_what_is_no_time)
{
	refuses(value_time, (const char *const[]){"", "5", "5min", "5 m", "-5m", "m", "1h30m",
						  "18446744073709551615s", NULL});
}

static const uint8_t v4[16] = {[10] = 0xff, 0xff, 10, 0, 0, 1};
static const uint8_t v6[16] = {0x20, 1, 0xd, 0xb8, [15] = 5};

Test(value, takes_addresses_of_both_kinds)
{
	struct address a;

	cr_assert(value_address(&a, "10.0.0.1"));
	cr_assert_arr_eq(a.byte, v4, 16);
	cr_assert(value_address(&a, "2001:db8::5"));
	cr_assert_arr_eq(a.byte, v6, 16);
	cr_assert(value_address(&a, "::ffff:10.0.0.1"), "IPv4 under its other name");
	cr_assert_arr_eq(a.byte, v4, 16);
}

Test(value, refuses_what_is_no_address)
{
	const char *const texts[] = {"",          "10.0.0",      "10.0.0.256",   "10.0.0.1/8",
				     "10.0.0.1 ", "2001:db8::g", "fe80::1%eth0", "localhost"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct address a = {.byte = {UNTOUCHED}};
		cr_assert_not(value_address(&a, texts[i]), "'%s'", texts[i]);
		cr_assert_eq(a.byte[0], UNTOUCHED, "'%s'", texts[i]);
	}
}

Test(value, takes_macs)
{
	takes(value_mac, (const struct good[]){{"02:00:00:00:00:01", 0x020000000001},
					       {"0A:1b:2C:3d:4E:5f", 0x0a1b2c3d4e5f},
					       {NULL, 0}});
}

Test(value, refuses_what_is_no_mac)
{
	refuses(value_mac,
		(const char *const[]){"", "02:00:00:00:00", "02:00:00:00:00:01:02",
				      "02-00-00-00-00-01", "2:0:0:0:0:1", "02:00:00:00:00:0g",
				      "020000000001", "02:00:00:00:00:01 ", NULL});
}

struct instant {
	const char *text;
	int64_t ns;
};

/* date -u -d TEXT +%s gave the seconds. */
static const struct instant instants[] = {
	{"1970-01-01T00:00:00Z", 0},
	{"1970-01-01T01:00:00.000000001+01:00", 1},
	{"2026-11-21T10:00:00Z", 1795255200000000000},
	{"2026-11-21T11:00:00.5+01:00", 1795255200500000000},
	{"2026-11-21T04:30:00-05:30", 1795255200000000000},
	{"2024-02-29T23:59:59.123456789Z", 1709251199123456789},
	{"2262-04-11T23:47:15.999999999Z", 9223372035999999999},
};

Test(value, takes_instants)
{
	for (size_t i = 0; i < sizeof(instants) / sizeof(instants[0]); i++) {
		int64_t ns = UNTOUCHED;
		cr_assert(value_instant(&ns, instants[i].text), "%s", instants[i].text);
		cr_assert_eq(ns, instants[i].ns, "%s: %ld", instants[i].text, ns);
	}
}

static const char *const no_instants[] = {
	"",
	"2026-11-21",
	"2026-11-21T10:00:00",   /* no zone */
	"2026-11-21t10:00:00z",  /* no capitals */
	"2026-11-21 10:00:00Z",  /* no T */
	"2026-11-21T10:00Z",     /* no seconds */
	"2026-02-29T10:00:00Z",  /* no leap year */
	"2026-13-01T10:00:00Z",  /* no such month */
	"2026-00-10T10:00:00Z",  /* the same */
	"2026-11-21T24:00:00Z",  /* no such hour */
	"2026-12-31T23:59:60Z",  /* leap second */
	"2026-11-21T10:00:00.Z", /* empty fraction */
	"2026-11-21T10:00:00.1234567890Z",
	"2026-11-21T10:00:00+1:00",
	"2026-11-21T10:00:00+24:00",
	"2026-11-21T10:00:00+01:60",
	"2026-11-21T10:00:00*01:00",
	"2026-11-21T10:00:00Z ",
	"1969-12-31T23:59:59Z",
	"1970-01-01T00:00:00+00:01", /* before 1970 */
	"2262-04-11T23:47:16Z",      /* beyond int64_t */
	"9999-12-31T23:59:59Z",
	"1795255200",
};

Test(value, refuses_what_is_no_instant)
{
	for (size_t i = 0; i < sizeof(no_instants) / sizeof(no_instants[0]); i++) {
		int64_t ns = UNTOUCHED;
		cr_assert_not(value_instant(&ns, no_instants[i]), "'%s'", no_instants[i]);
		cr_assert_eq(ns, UNTOUCHED, "'%s'", no_instants[i]);
	}
}
