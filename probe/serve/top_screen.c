#define _GNU_SOURCE /* ppoll */
#include "serve/top_screen.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <ncurses.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <term.h>
#include <unistd.h>

#include "base/clock.h"

#define HEAD_ROWS      4 /* above the first row of the table, the titles among them */
#define NAME_WIDTH_MIN 12

/* The first ones are on 80 columns too; of the others as many as there is room for. */
static const enum summary_column shown[] = {
	COLUMN_PACKET_RATE, COLUMN_BIT_RATE, COLUMN_LOST,         COLUMN_TRANSPORT,
	COLUMN_P50,         COLUMN_P95,      COLUMN_P99,          COLUMN_RESENT,
	COLUMN_TRUNCATED,   COLUMN_ONE_WAY,  COLUMN_FAILED,       COLUMN_DUPLICATES,
	COLUMN_VISIBLE,     COLUMN_SAMPLES,  COLUMN_LOST_INTERVAL};
#define COLUMNS     (sizeof(shown) / sizeof(shown[0]))
#define COLUMNS_MIN 8

static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
static volatile sig_atomic_t ended_by;
static SCREEN *terminal;
static sigset_t while_waiting;

/* ---- the terminal ---- */

static void note(int signal)
{
	ended_by = signal;
}

/* Signals come while it waits, and never into the middle of a drawing or an answer. */
static void take_signals(void)
{
	const struct sigaction action = {.sa_handler = note};
	sigset_t blocked;

	(void)sigemptyset(&blocked);
	for (unsigned i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		(void)sigaction(ends[i], &action, NULL);
		(void)sigaddset(&blocked, ends[i]);
	}
	(void)sigaddset(&blocked, SIGWINCH);
	(void)sigaddset(&blocked, SIGTSTP);
	(void)sigprocmask(SIG_BLOCK, &blocked, &while_waiting);
}

int top_screen_open(struct top_screen *out, bool by_nf, struct err *err)
{
	const char *term = getenv("TERM");

	(void)setlocale(LC_CTYPE, "C.UTF-8");
	terminal = newterm(NULL, stdout, stdin);
	if (!terminal || !tigetstr("cup")) {
		if (terminal)
			top_screen_close();
		return err_set(
			err, -ENOTTY,
			"TERM is '%.40s', a terminal that ncurses cannot draw on: set TERM, or "
			"use --json",
			term ? cell_name(term, CELL_NAME_MAX).text : "");
	}
	take_signals();
	*out = (struct top_screen){.by_nf = by_nf};
	(void)cbreak();
	(void)noecho();
	(void)nonl();
	(void)curs_set(0);
	(void)keypad(stdscr, TRUE);
	(void)nodelay(stdscr, TRUE);
	set_escdelay(25);
	return 0;
}

void top_screen_close(void)
{
	/* Where there is no second screen the drawing stays, and what is said next comes there. */
	if (stdscr) {
		(void)move(LINES - 1, 0);
		(void)clrtoeol();
		(void)refresh();
	}
	(void)endwin();
	delscreen(terminal);
	terminal = NULL;
}

int top_screen_signal(void)
{
	return ended_by;
}

/* ---- drawing ---- */

static unsigned sort_by;

static int compare(const void *a, const void *b)
{
	const struct summary_figures *x = *(const struct summary_figures *const *)a,
				     *y = *(const struct summary_figures *const *)b;
	const double p = summary_value(shown[sort_by], x, x->main);
	const double q = summary_value(shown[sort_by], y, y->main);

	if (isnan(p) != isnan(q))
		return isnan(p) ? 1 : -1;
	if (p < q || p > q)
		return p < q ? 1 : -1;
	return strcmp(x->of->name, y->of->name);
}

static unsigned name_width(const struct summary_figures *f, size_t n)
{
	int room = COLS;
	unsigned width = NAME_WIDTH_MIN;

	for (unsigned i = 0; i < COLUMNS_MIN; i++)
		room -= 1 + (int)summary_width(shown[i]);
	for (size_t i = 0; i < n; i++) {
		const unsigned wanted = cell_name_width(f[i].of->name);
		width = wanted > width ? wanted : width;
	}
	if (room < NAME_WIDTH_MIN)
		room = NAME_WIDTH_MIN;
	width = width > (unsigned)room ? (unsigned)room : width;
	return width > CELL_NAME_MAX ? CELL_NAME_MAX : width;
}

/* f NULL: the titles. What does not fit is not begun. */
static void draw_line(int y, const char *name, unsigned width, const struct summary_figures *f)
{
	int x = (int)width;

	(void)mvaddstr(y, 0, cell_name(name, width).text);
	for (unsigned i = 0; i < COLUMNS; i++) {
		const int w = (int)summary_width(shown[i]);
		if (x + 1 + w > COLS)
			return;
		if (!f && i == sort_by)
			(void)attron(A_UNDERLINE | A_BOLD);
		(void)mvprintw(y, x + 1, "%*s", w,
			       f ? summary_cell(shown[i], f, f->main).text
				 : summary_title(shown[i]));
		(void)attroff(A_UNDERLINE | A_BOLD);
		x += 1 + w;
	}
}

static void draw_table(struct top_screen *s, const struct summary_report *r)
{
	const struct summary_figures *f = s->by_nf ? r->nfs : r->sessions;
	const size_t n = s->by_nf ? r->n_nfs : r->n_sessions;
	const unsigned width = name_width(f, n);
	const struct summary_figures **sorted = calloc(n + 1, sizeof(*sorted));

	s->rows = LINES > HEAD_ROWS + 1 ? (unsigned)LINES - HEAD_ROWS - 1 : 0;
	if (s->first + s->rows > n)
		s->first = n > s->rows ? (unsigned)(n - s->rows) : 0;
	sort_by = s->sort;
	(void)attron(A_REVERSE);
	(void)mvhline(HEAD_ROWS - 1, 0, ' ', COLS);
	draw_line(HEAD_ROWS - 1, s->by_nf ? "NF" : "SESSION", width, NULL);
	(void)attroff(A_REVERSE);
	for (size_t i = 0; sorted && i < n; i++)
		sorted[i] = &f[i];
	if (sorted)
		qsort(sorted, n, sizeof(*sorted), compare);
	for (size_t i = s->first; sorted && i < n && i < s->first + s->rows; i++)
		draw_line(HEAD_ROWS + (int)(i - s->first), sorted[i]->of->name, width, sorted[i]);
	if (!n)
		(void)mvaddstr(HEAD_ROWS, 0, "none yet");
	free(sorted);
}

void top_screen_draw(struct top_screen *s, const struct top_picture *p)
{
	(void)erase();
	(void)mvaddnstr(0, 0, p->head, COLS);
	(void)mvaddnstr(1, 0, p->state, COLS);
	draw_table(s, p->report);
	(void)mvaddnstr(LINES - 1, 0,
			"q quit  s sort by the next column  n sessions/NFs  t last minute/since "
			"the start  arrows scroll",
			COLS - 1);
	(void)refresh();
}

/* ---- keys ---- */

static void scroll_rows(struct top_screen *s, int rows)
{
	const int first = (int)s->first + rows;

	s->first = first > 0 ? (unsigned)first : 0; /* drawing knows the end */
}

static enum top_event take_key(struct top_screen *s, int key)
{
	switch (key) {
	case 'q':
	case 'Q':
		return TOP_QUIT;
	case 's':
		s->sort = (s->sort + 1) % COLUMNS;
		break;
	case 'S':
		s->sort = (s->sort + COLUMNS - 1) % COLUMNS;
		break;
	case 'n':
		s->by_nf = !s->by_nf;
		s->first = 0;
		break;
	case 't':
		s->is_total = !s->is_total;
		break;
	case KEY_UP:
		scroll_rows(s, -1);
		break;
	case KEY_DOWN:
		scroll_rows(s, 1);
		break;
	case KEY_PPAGE:
		scroll_rows(s, -(int)s->rows);
		break;
	case KEY_NPAGE:
		scroll_rows(s, (int)s->rows);
		break;
	case KEY_HOME:
		s->first = 0;
		break;
	default: /* KEY_RESIZE too */
		break;
	}
	return TOP_REDRAW;
}

enum top_event top_screen_wait(struct top_screen *s, uint64_t until_ns)
{
	const uint64_t now_ns = clock_monotonic_ns();
	const uint64_t wait_ns = until_ns > now_ns ? until_ns - now_ns : 0;
	const struct timespec wait = {.tv_sec = (time_t)(wait_ns / 1000000000),
				      .tv_nsec = (long)(wait_ns % 1000000000)};
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	int key = getch(); /* ncurses may have read ahead */

	if (key == ERR) {
		const int n = ppoll(&in, 1, &wait, &while_waiting);
		if (ended_by)
			return TOP_QUIT;
		if (!n)
			return TOP_TIME;
		if (n > 0 && in.revents & (POLLHUP | POLLERR | POLLNVAL))
			return TOP_QUIT; /* the terminal is gone */
		key = getch();
	}
	return key == ERR ? TOP_REDRAW : take_key(s, key);
}
