/*
 * reason: fates and marks of reasons.def as enums, for both halves. Their texts: base/reason.h.
 */
#pragma once

enum fate {
#define FATE(name, label, counted_by, help) FATE_##name,
#define MARK(name, label, help)
#include "reasons.def"
#undef FATE
#undef MARK
	FATE_MAX
};

/* A packet's marks are a bit set: 1u << MARK_... */
enum mark {
#define FATE(name, label, counted_by, help)
#define MARK(name, label, help) MARK_##name,
#include "reasons.def"
#undef FATE
#undef MARK
	MARK_MAX
};
_Static_assert(MARK_MAX <= 32, "marks are bits of 32");
