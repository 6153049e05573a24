/*
 * doctor: the command 'vxprobe doctor'. Says whether a host and its interface can do a probe's
 * work, and which command mends what is in the way. Main thread; prints; changes nothing.
 *
 *   facts  ──▶  judge  ──▶  findings, here made a table or JSON
 */
#pragma once

/* argv[0] is the word "doctor". The exit code: 0 it can; 1 something must be mended first; 2 wrong
 * usage, or nothing could be looked at. */
int doctor_main(int argc, char **argv);
