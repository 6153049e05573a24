/*
 * cell: numbers and names as people read them, for tables on a terminal.
 *
 * Any thread; pure. What has no number is NAN, and shown as "-". No cell has a control character.
 */
#pragma once

/* One cell's text, to be used in the expression that makes it. */
struct cell {
	char text[64];
};

/* 1,234,567 */
struct cell cell_count(double value);
/* The same, or 12.3 M where it takes more columns than width. */
struct cell cell_count_in(double value, unsigned width);
/* The same per second, with a decimal below 10; <0.1 of what is not nothing. */
struct cell cell_rate(double value, unsigned width);
/* 1.2 Mbit, in steps of 1000. */
struct cell cell_bits(double value);
/* 1.2 MiB, in steps of 1024. */
struct cell cell_bytes(double value);
/* 4 s, 12 min, 3 h, 5 d */
struct cell cell_duration(double seconds);
/* 850 us, 1.23 ms, 12.3 s */
struct cell cell_time(double seconds);
/* 0.12 %, never "0 %" nor "100 %" of what is not exactly that. */
struct cell cell_share(double share);
/* 0.10-0.15 %, both numbers as those of cell_share. */
struct cell cell_interval(double low, double high);

#define CELL_NAME_MAX 40

/* Columns that a text takes: one for each character of UTF-8. */
unsigned cell_name_width(const char *text);
/* The text as UTF-8 on exactly so many columns, at most CELL_NAME_MAX: cut in the middle, where it
 * has "..", or filled with spaces. For controls and what is not UTF-8 it has '?'. */
struct name_cell {
	char text[4 * CELL_NAME_MAX + 1];
};
struct name_cell cell_name(const char *text, unsigned width);
