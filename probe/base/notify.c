#include "base/notify.h"

#include <inttypes.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"

void notify_ready(void)
{
	(void)sd_notify(0, "READY=1");
}

/* systemd of version 253 and later tells by the time which reload this is (Type=notify-reload). */
void notify_reloading(void)
{
	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_monotonic_ns() / 1000);
}

void notify_stopping(void)
{
	(void)sd_notify(0, "STOPPING=1");
}

/* A second line would be an order of its own, such as MAINPID=. */
void notify_status(const char *text)
{
	(void)sd_notifyf(0, "STATUS=%.*s", (int)strcspn(text, "\r\n"), text);
}

int notify_watchdog_interval_ms(void)
{
	uint64_t patience_us;

	if (sd_watchdog_enabled(0, &patience_us) <= 0)
		return 0;
	const uint64_t interval_ms = patience_us / 2 / 1000;
	return interval_ms > INT_MAX ? INT_MAX : interval_ms ? (int)interval_ms : 1;
}

void notify_alive(void)
{
	(void)sd_notify(0, "WATCHDOG=1");
}
