#include "base/reason.h"

#include <assert.h>

const struct reason_text fate_text[] = {
#define FATE(name, label, counted_by, help) [FATE_##name] = {label, counted_by, help},
#define MARK(name, label, help)
#include "reasons.def"
#undef FATE
#undef MARK
};
static_assert(sizeof(fate_text) / sizeof(fate_text[0]) == FATE_MAX, "a text for each fate");

const struct reason_text mark_text[] = {
#define FATE(name, label, counted_by, help)
#define MARK(name, label, help) [MARK_##name] = {label, "worker", help},
#include "reasons.def"
#undef FATE
#undef MARK
};
static_assert(sizeof(mark_text) / sizeof(mark_text[0]) == MARK_MAX, "a text for each mark");
