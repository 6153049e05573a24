/* fuzz_names: a names file, and the YAML reader below it. */
#include <string.h>

#include "config/names.h"
#include "config/yamldoc.h"
#include "fuzz.h"

static void walk(const struct yamldoc *doc, const struct yamldoc_node *node, struct err *err)
{
	static const char *const known[] = {"sessions", "source", "vni", NULL};

	FUZZ_CHECK(yamldoc_fail(doc, node, err, "%s", "odd") < 0);
	for (unsigned i = 0; i < node->n; i++)
		walk(doc, &node->items[i], err);
	if (node->kind != YAMLDOC_MAP || !node->n)
		return;
	const struct yamldoc_node *last = &node->items[node->n - 1];
	FUZZ_CHECK(yamldoc_get(node, last->key) == last);
	FUZZ_CHECK(yamldoc_fail_unknown(doc, last, known, err) < 0);
}

static void look_up(const struct names *names)
{
	const struct address source = {{[10] = 0xff, 0xff, 10, 0, 0, 1}};
	struct names_session session;
	struct names_address address;
	int64_t change_ns = 0;

	for (int64_t at_ns = 0; at_ns < NAMES_NEVER; at_ns = change_ns) {
		if (names_find(names, &source, 101, at_ns, &session, &change_ns))
			for (uint32_t i = 0; names_address(names, &session, i, &address); i++)
				FUZZ_CHECK(i < NAMES_ADDRESSES_MAX);
		FUZZ_CHECK(change_ns > at_ns);
	}
}

static void decide(const struct names *names)
{
	uint8_t frame[64] = {[12] = 8, [14] = 0x45, [23] = 17};
	struct names_policy p;

	for (uint32_t i = 0; names_policy(names, i, &p); i++) {
		FUZZ_CHECK(!p.n_code || filter_program_is_sound(p.code, p.n_code));
		if (p.n_code)
			(void)filter_program_matches(p.code, frame, 1500, sizeof(frame));
		for (uint32_t k = 1; k < p.n_only; k++)
			FUZZ_CHECK(memcmp(&p.only[k - 1].last, &p.only[k].first, 16) < 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *path = fuzz_file(data, size);
	struct yamldoc *doc;
	struct names *names;
	struct err err;

	if (yamldoc_open(&doc, path, &err))
		return 0;
	walk(doc, yamldoc_root(doc), &err);
	yamldoc_close(doc);
	if (!names_load(&names, path, &err)) {
		look_up(names);
		decide(names);
		FUZZ_CHECK(names_memory(names) <= NAMES_MEMORY_MAX);
		names_close(names);
	}
	return 0;
}
