/*
 * report: what the probe is doing, as one JSON document, on a unix socket: 'vxprobe status' reads
 * it.
 *
 *   { version, interface, ..., "ledger": {...}, ..., "sessions": [ {..., "summary": {...}}, ... ] }
 *
 * A session has the KPIs of the groups that were seen of it, and in "summary" what 'vxprobe top'
 * works with (serve/summary.h).
 *
 * The socket is abstract (unix(7)), one for each interface: "@vxprobe/eth0", known in its network
 * namespace alone and gone with the probe. Who connects gets the document, if it is root or of the
 * probe's own user. Exporter process, main thread; one session is in memory at a time.
 */
#pragma once

#include "serve/view.h"

/* In front of the interface's name; behind the NUL that makes it abstract. */
#define REPORT_PREFIX "vxprobe/"

/* Starter: the listening socket of an interface. -EADDRINUSE: another vxprobe has it, and has not
 * gone for 2 s, or a process of another user has. */
int report_listen(int *fd, const char *interface, struct err *err);
/* A socket connected to the one of an interface; -ECONNREFUSED: no vxprobe there; -EPERM: who
 * listens is neither root's nor of our own user; -EAGAIN: nobody accepts for 2 s. */
int report_connect(int *fd, const char *interface);
/* Answers one connection that waits. A client that does not read is dropped after 2 s. */
void report_answer(const struct view *view, int listener);
