/*
 * top_screen: what 'vxprobe top' draws with ncurses, and what its keys do.
 *
 * Main thread of a process of its own, which it gives signal handlers: SIGINT, SIGTERM, SIGHUP and
 * SIGQUIT are noted and arrive in top_screen_wait alone, as do SIGWINCH and SIGTSTP. Whoever opened
 * it closes it, which gives the terminal back as it was.
 */
#pragma once

#include "serve/summary_show.h"

struct top_screen {
	bool by_nf;
	bool is_total;        /* since the start of the probe */
	unsigned sort, first; /* place in the columns; row */
	unsigned rows;        /* of the last drawing */
};

struct top_picture {
	const struct summary_report *report;
	char head[160], state[160];
};

/* -ENOTTY with a sentence: ncurses knows no such terminal. */
int top_screen_open(struct top_screen *out, bool by_nf, struct err *err);
void top_screen_close(void);
void top_screen_draw(struct top_screen *screen, const struct top_picture *picture);

enum top_event { TOP_TIME, TOP_REDRAW, TOP_QUIT };
/* Waits until a key, a signal or until_ns (CLOCK_MONOTONIC), and does what the key asks for. */
enum top_event top_screen_wait(struct top_screen *screen, uint64_t until_ns);
/* The signal that ended it; 0: none did. */
int top_screen_signal(void);
