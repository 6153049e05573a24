#define _GNU_SOURCE /* openpty */
#include "base/progress.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pty.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define SECOND_NS UINT64_C(1000000000)
#define MIB       UINT64_C(1048576)

static int terminal = -1;

/* Standard error becomes a terminal, whose other end is terminal; standard output no pipe. */
static void open_terminal(void)
{
	const struct winsize size = {.ws_row = 25, .ws_col = 80};
	int end;

	cr_assert_eq(openpty(&terminal, &end, NULL, NULL, &size), 0);
	cr_assert_eq(fcntl(terminal, F_SETFL, O_NONBLOCK), 0);
	cr_assert_geq(dup2(end, STDERR_FILENO), 0);
	const int null = open("/dev/null", O_WRONLY);
	cr_assert_geq(dup2(null, STDOUT_FILENO), 0);
}

/* What was written since the last call. */
static const char *seen(void)
{
	static char text[4096];
	const ssize_t n = read(terminal, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void show_for(uint64_t ns, uint64_t done)
{
	for (const uint64_t end = clock_monotonic_ns() + ns; clock_monotonic_ns() < end;
	     clock_nap(SECOND_NS / 100))
		progress_show(done);
}

Test(progress, first_second_shows_nothing)
{
	open_terminal();
	progress_begin("reading", 10 * MIB);
	show_for(SECOND_NS * 9 / 10, MIB);
	progress_end();
	cr_assert_str_eq(seen(), "");
}

Test(progress, line_says_share_amounts_and_rest)
{
	open_terminal();
	progress_begin("reading", 200 * MIB);
	show_for(SECOND_NS * 11 / 10, 100 * MIB);
	cr_assert_str_eq(seen(), "\rreading: 50 %, 100 MiB of 200 MiB, 1 s left\r");
	progress_end();
}

Test(progress, without_a_total_the_line_says_the_amount)
{
	open_terminal();
	progress_begin("reading", 0);
	show_for(SECOND_NS * 11 / 10, MIB * 3 / 2);
	cr_assert_str_eq(seen(), "\rreading: 1.5 MiB\r");
	progress_end();
}

Test(progress, more_adds_up)
{
	open_terminal();
	progress_begin("reading", 0);
	progress_add(1);
	show_for(SECOND_NS * 11 / 10, 1000);
	(void)seen();
	clock_nap(SECOND_NS / 4);
	progress_add(23);
	cr_assert_str_eq(seen(), "\rreading: 1023 B\r");
	progress_end();
}

Test(progress, five_times_a_second_at_most)
{
	open_terminal();
	progress_begin("reading", 0);
	show_for(SECOND_NS * 2, 1);
	const char *p = seen();
	unsigned n = 0;
	for (; (p = strstr(p, "reading")); p++)
		n++;
	cr_assert_geq(n, 2);
	cr_assert_leq(n, 6);
	progress_end();
}

Test(progress, end_and_other_lines_erase_the_line)
{
	open_terminal();
	progress_begin("reading", 0);
	show_for(SECOND_NS * 11 / 10, 12);
	(void)seen();
	log_line("a line");
	cr_assert_str_eq(seen(), "\r             \rvxprobe: a line\r\n");
	progress_hide();
	cr_assert_str_eq(seen(), "", "once");
	show_for(SECOND_NS / 4, 12);
	cr_assert_str_eq(seen(), "\rreading: 12 B\r", "the next show draws again");
	progress_end();
	cr_assert_str_eq(seen(), "\r             \r");
	show_for(SECOND_NS / 4, 12);
	cr_assert_str_eq(seen(), "");
}

Test(progress, line_is_no_wider_than_the_terminal)
{
	const struct winsize narrow = {.ws_row = 25, .ws_col = 10};

	open_terminal();
	cr_assert_eq(ioctl(terminal, TIOCSWINSZ, &narrow), 0);
	progress_begin("reading", 0);
	show_for(SECOND_NS * 11 / 10, 12);
	cr_assert_str_eq(seen(), "\rreading: \r");
	progress_end();
}

/* Nothing comes out of fd, which both ends of a pipe are. */
static void assert_silent(const int ends[2])
{
	char c;

	cr_assert_eq(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	progress_begin("reading", 0);
	show_for(SECOND_NS * 13 / 10, 12);
	progress_end();
	cr_assert_eq(read(ends[0], &c, 1), -1);
}

Test(progress, no_terminal_shows_nothing)
{
	int ends[2];

	open_terminal();
	cr_assert_eq(pipe(ends), 0);
	cr_assert_geq(dup2(ends[1], STDERR_FILENO), 0);
	assert_silent(ends);
}

Test(progress, output_into_a_pipe_shows_nothing)
{
	int ends[2];

	open_terminal();
	cr_assert_eq(pipe(ends), 0);
	cr_assert_geq(dup2(ends[1], STDOUT_FILENO), 0);
	assert_silent(ends);
	cr_assert_str_eq(seen(), "");
}

Test(progress, size_is_that_of_all_files_or_unknown)
{
	char path[] = "/tmp/test_progress_XXXXXX";
	char *const both[] = {path, path}, *const with_pipe[] = {path, "-"},
		    *const with_device[] = {path, "/dev/null"};
	const int fd = mkstemp(path);

	cr_assert_eq(write(fd, "12345", 5), 5);
	cr_assert_eq(progress_size(both, 2), 10);
	cr_assert_eq(progress_size(with_pipe, 2), 0);
	cr_assert_eq(progress_size(with_device, 2), 0);
	(void)unlink(path);
}
