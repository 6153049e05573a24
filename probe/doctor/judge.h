/*
 * judge: what the facts mean for a probe on this interface. Pure: the same facts, the same
 * findings, on whatever host. Main thread.
 *
 *   fail  vxprobe would be refused, would lose packets, or would silently fall back to a mode that
 *         is slower than this driver's own: mend it first
 *   warn  it works, and would work better
 *   note  worth knowing; nothing that must be mended
 *   ok    as it should be
 *
 * Every fail and every warn has a command that mends it, ready for a shell: names are quoted. What
 * a kernel or driver did not tell is a note.
 */
#pragma once

#include "doctor/facts.h"

enum verdict { VERDICT_OK, VERDICT_NOTE, VERDICT_WARN, VERDICT_FAIL, VERDICT_MAX };

/* "ok", "note", "warn", "fail". */
extern const char *const verdict_text[VERDICT_MAX];

struct finding {
	const char *id;
	enum verdict verdict;
	char text[320];
	char command[512]; /* empty: none */
};

#define FINDINGS_MAX 24

struct findings {
	unsigned n;
	struct finding finding[FINDINGS_MAX];
};

void judge(struct findings *out, const struct doctor_facts *facts);
/* The worst of them; notes count as ok. */
enum verdict judge_worst(const struct findings *findings);
