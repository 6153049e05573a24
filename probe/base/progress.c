#include "base/progress.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

#define SECOND_NS UINT64_C(1000000000)
#define REDRAW_NS (SECOND_NS / 5)
#define TEXT_MAX  160

static struct {
	const char *doing; /* NULL: nothing is shown */
	uint64_t total, done;
	uint64_t begun_ns, next_ns; /* when the line may be drawn again */
} work;

static atomic_uint drawn; /* characters on the line; whoever erases them takes the number */

static unsigned columns(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || size.ws_col == 0)
		return 80;
	return size.ws_col < TEXT_MAX ? size.ws_col : TEXT_MAX;
}

/* Puts text in the line's place; spaces, not an escape sequence, erase what is longer. A terminal
 * that takes nothing is no reason to fail. */
static void draw(const char *text)
{
	char line[TEXT_MAX + sizeof("\r\r")];
	const unsigned room = columns() - 1, len = (unsigned)strnlen(text, room);
	const unsigned before = atomic_exchange_explicit(&drawn, len, memory_order_relaxed);
	const int n = snprintf(line, sizeof(line), "\r%.*s%*s\r", (int)len, text,
			       before > len ? (int)(before - len) : 0, "");

	(void)!write(STDERR_FILENO, line, (size_t)n);
}

/* "123 MiB"; below ten with a digit behind the point. */
static const char *amount(char out[static 16], uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double value = (double)bytes;
	unsigned unit = 0;

	for (; value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
		value /= 1024;
	(void)snprintf(out, 16, "%.*f %s", unit && value < 10, value, units[unit]);
	return out;
}

static void append_rest(char *line, size_t cap, uint64_t now_ns)
{
	const uint64_t done = work.done < work.total ? work.done : work.total;
	const double left_ns = (double)(now_ns - work.begun_ns) * (double)(work.total - done) /
			       (double)(done ? done : 1);
	const uint64_t left_s = (uint64_t)(left_ns / (double)SECOND_NS);
	const size_t len = strlen(line);

	if (left_s < 100)
		(void)snprintf(line + len, cap - len, ", %" PRIu64 " s left", left_s);
	else
		(void)snprintf(line + len, cap - len, ", %" PRIu64 " min left", left_s / 60);
}

static void redraw(uint64_t now_ns)
{
	char line[TEXT_MAX + 1], done[16], total[16];

	(void)amount(done, work.done);
	if (!work.total) {
		(void)snprintf(line, sizeof(line), "%s: %s", work.doing, done);
	} else {
		const uint64_t percent =
			work.done < work.total ? work.done * 100 / work.total : 100;
		(void)snprintf(line, sizeof(line), "%s: %" PRIu64 " %%, %s of %s", work.doing,
			       percent, done, amount(total, work.total));
		append_rest(line, sizeof(line), now_ns);
	}
	draw(line);
}

static bool is_pipe(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISFIFO(st.st_mode);
}

void progress_begin(const char *doing, uint64_t total)
{
	const uint64_t now_ns = clock_monotonic_ns();

	work.doing = isatty(STDERR_FILENO) && !is_pipe(STDOUT_FILENO) ? doing : NULL;
	work.total = total;
	work.done = 0;
	work.begun_ns = now_ns;
	work.next_ns = now_ns + SECOND_NS;
}

void progress_show(uint64_t done)
{
	if (!work.doing)
		return;
	const uint64_t now_ns = clock_monotonic_ns();
	work.done = done;
	if (now_ns < work.next_ns)
		return;
	work.next_ns = now_ns + REDRAW_NS;
	redraw(now_ns);
}

void progress_add(uint64_t more)
{
	progress_show(work.done + more);
}

void progress_hide(void)
{
	if (atomic_load_explicit(&drawn, memory_order_relaxed))
		draw("");
}

void progress_end(void)
{
	progress_hide();
	work.doing = NULL;
}

uint64_t progress_size(char *const *paths, unsigned n)
{
	uint64_t size = 0;
	struct stat st;

	for (unsigned i = 0; i < n; i++) {
		if (stat(paths[i], &st) || !S_ISREG(st.st_mode))
			return 0;
		size += (uint64_t)st.st_size;
	}
	return size;
}
