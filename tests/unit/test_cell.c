#include "serve/cell.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#define SHOWS(text_of, wanted) cr_expect_str_eq((text_of).text, wanted)

Test(cell, what_has_no_number_is_a_dash)
{
	SHOWS(cell_count(NAN), "-");
	SHOWS(cell_count_in(NAN, 9), "-");
	SHOWS(cell_rate(NAN, 9), "-");
	SHOWS(cell_bits(NAN), "-");
	SHOWS(cell_bytes(NAN), "-");
	SHOWS(cell_time(NAN), "-");
	SHOWS(cell_share(NAN), "-");
	SHOWS(cell_interval(NAN, .1), "-");
	SHOWS(cell_interval(.1, NAN), "-");
}

Test(cell, counts_are_grouped_or_scaled_where_they_are_too_wide)
{
	SHOWS(cell_count(0), "0");
	SHOWS(cell_count(999), "999");
	SHOWS(cell_count(1234567), "1,234,567");
	SHOWS(cell_count_in(9999999, 9), "9,999,999");
	SHOWS(cell_count_in(12345678, 9), "12.3 M");
	SHOWS(cell_rate(0, 9), "0");
	SHOWS(cell_rate(.01, 9), "<0.1");
	SHOWS(cell_rate(1.26, 9), "1.3");
	SHOWS(cell_rate(9.96, 9), "10");
	SHOWS(cell_rate(12345678, 9), "12.3 M");
}

Test(cell, units_are_those_that_people_use)
{
	SHOWS(cell_bits(999), "999 bit");
	SHOWS(cell_bits(1234567), "1.2 Mbit");
	SHOWS(cell_bytes(1023), "1023 B");
	SHOWS(cell_bytes(1536), "1.5 KiB");
	SHOWS(cell_duration(119), "119 s");
	SHOWS(cell_duration(7000), "117 min");
	SHOWS(cell_duration(-1), "0 s");
	SHOWS(cell_time(0.00085), "850 us");
	SHOWS(cell_time(0.00123456), "1.23 ms");
	SHOWS(cell_time(0.0123456), "12.3 ms");
	SHOWS(cell_time(0.123456), "123 ms");
	SHOWS(cell_time(0.9996), "1.00 s");
	SHOWS(cell_time(64), "64.0 s");
}

Test(cell, nothing_and_all_are_told_only_of_exactly_that)
{
	SHOWS(cell_share(0), "0 %");
	SHOWS(cell_share(1e-9), "<0.01 %");
	SHOWS(cell_share(.0012), "0.12 %");
	SHOWS(cell_share(.1), "10.0 %");
	SHOWS(cell_share(.9995), ">99.9 %");
	SHOWS(cell_share(1), "100 %");
	SHOWS(cell_interval(0, .0012), "0-0.12 %");
	SHOWS(cell_interval(.00101, .5), "0.10-50.0 %");
}

Test(cell, a_name_has_exactly_its_columns)
{
	SHOWS(cell_name("amf", 5), "amf  ");
	SHOWS(cell_name("amf-1", 5), "amf-1");
	SHOWS(cell_name("10.123.234.123-16777215", 15), "10.123...777215");
	SHOWS(cell_name("abcdef", 2), "..");
	SHOWS(cell_name("abcdef", 1), ".");
	SHOWS(cell_name("abcdef", 0), "");
	SHOWS(cell_name("", 3), "   ");
	SHOWS(cell_name("Zürich", 8), "Zürich  ");
	SHOWS(cell_name("ÄÖÜäöüß", 6), "ÄÖ..üß");
	cr_expect_eq(cell_name_width("Zürich"), 6);
	const char wide[] = "0123456789012345678901234567890123456789012345678901234567890123";
	cr_expect_eq(strlen(cell_name(wide, 1000).text), CELL_NAME_MAX);
}

Test(cell, a_name_has_no_control_character)
{
	SHOWS(cell_name("a\x1b[2Jb", 6), "a?[2Jb");
	SHOWS(cell_name("a\r\n\t\x7f", 5), "a????");
	SHOWS(cell_name("\xc2\x9b"
			"31m",
			4),
	      "?31m"); /* C1: CSI */
	SHOWS(cell_name("\xe2\x80\xae"
			"evil",
			5),
	      "?evil"); /* turns the line around */
	SHOWS(cell_name("\xff\xfe", 2), "??");
	SHOWS(cell_name("a\xe2\x80", 2), "a?"); /* cut */
	SHOWS(cell_name("\x80\x80", 2), "? ");
	SHOWS(cell_name("\xf0\x9f\x98\x80", 2), "\xf0\x9f\x98\x80 ");
}

/* Whatever bytes come: no control, no more than the room, whole characters. */
Test(cell, no_bytes_do_harm)
{
	char text[64];

	srand(1);
	for (unsigned i = 0; i < 200000; i++) {
		const unsigned len = (unsigned)rand() % (sizeof(text) - 1);
		for (unsigned k = 0; k < len; k++)
			text[k] = (char)(rand() % 4 ? 128 + rand() % 128 : 1 + rand() % 255);
		text[len] = 0;
		const unsigned width = (unsigned)rand() % 50;
		const struct name_cell c = cell_name(text, width);
		cr_assert_eq(cell_name_width(c.text),
			     width < CELL_NAME_MAX ? width : CELL_NAME_MAX);
		for (const char *s = c.text; *s; s++)
			cr_assert((unsigned char)*s >= ' ' && *s != 0x7f);
	}
}
