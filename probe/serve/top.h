/*
 * top: 'vxprobe top': how the sessions and NFs of a running probe are, live on a terminal.
 *
 * Main thread of a process of its own. Asks the probe's exporter again and again (serve/ask.h).
 */
#pragma once

/* argv[0] is "top". Returns the exit code: 0, 1: no probe, or it has ended, 2: wrong use. */
int top_main(int argc, char **argv);
