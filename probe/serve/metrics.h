/*
 * metrics: all numbers of the probe as one page.
 *
 * Exporter process, one thread; at the end of a run whoever writes --metrics. A scrape reads shared
 * memory and /proc; no worker notices.
 *
 * A session's series have the labels source, vni and generation, which no renaming changes; its
 * names are in vxprobe_session_info, to be joined by them. They end 15 minutes after its last
 * packet. There are at most view->facts.series_max of them: further sessions are left out as a
 * whole, those known later first, and counted in view->series_dropped.
 */
#pragma once

#include "serve/exposition.h"
#include "serve/view.h"

/* now_ns: CLOCK_MONOTONIC. *text is the caller's to free. */
int metrics_text(struct view *view, enum exposition_format format, uint64_t now_ns, char **text,
		 size_t *len, struct err *err);
/* Bytes that a page takes while it is made, at most. */
size_t metrics_memory(const struct stats_config *config, uint32_t series_max);
