/*
 * metrics: all numbers of the probe as one page.
 *
 * Exporter process, one thread; at the end of a run whoever writes --metrics. A scrape reads shared
 * memory and /proc; no worker notices.
 *
 * A session's series have the labels source, vni and generation, which no renaming changes; its
 * names are in vxprobe_session_info, to be joined by them. They end 15 minutes after its last
 * packet. KPIs of what the mirror carries (class SERVICE of kpi/groups.def) are told by session, by
 * NF or both, as view->facts.by says: an NF's families are vxprobe_nf_..., their label nf, their
 * numbers the sums of all its sessions, until all of them are silent. A session without an NF is in
 * none.
 *
 * There are at most view->facts.series_max series: further sessions are left out as a whole, those
 * known later first, then NFs, by name; they are counted in view->series_dropped.
 */
#pragma once

#include "serve/exposition.h"
#include "serve/view.h"

/* now_ns: CLOCK_MONOTONIC. *text is the caller's to free. */
int metrics_text(struct view *view, enum exposition_format format, uint64_t now_ns, char **text,
		 size_t *len, struct err *err);
/* Bytes that a page takes while it is made, at most; facts: series_max, by. */
size_t metrics_memory(const struct stats_config *config, const struct view_facts *facts);
