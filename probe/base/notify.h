/*
 * notify: what the starter tells its supervisor (systemd; sd_notify(3)) and what that expects of
 * it.
 *
 * Called by the starter's one thread alone: from a child of its the supervisor takes nothing.
 * Without a supervisor, that is without NOTIFY_SOCKET, nothing happens. Owns nothing. A supervisor
 * that does not listen is no error: the capture matters more.
 */
#pragma once

/* It captures; or a reload is over, taken or refused. */
void notify_ready(void);
/* A reload begins; the supervisor waits for notify_ready. */
void notify_reloading(void);
/* The end begins: the files are being sealed. */
void notify_stopping(void);
/* For 'systemctl status': the first line of text. */
void notify_status(const char *text);

/* Every how many ms notify_alive is due: half of the supervisor's patience. 0: it does not ask,
 * or asks another process than this one. */
int notify_watchdog_interval_ms(void);
/* All is well, those that the starter looks after included. */
void notify_alive(void);
