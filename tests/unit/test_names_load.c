#include "config/names.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/memfile.h"
#include "config/value.h"
#include "config/yamldoc.h"

#define UNTOUCHED ((struct names *)1)

static struct err err;
static char path[MEMFILE_PATH];

static int load_bytes(struct names **out, const char *bytes, size_t len)
{
	const int fd = memfile(bytes, len);

	memfile_path(path, fd);
	const int ret = names_load(out, path, &err);
	close(fd);
	return ret;
}

static struct names *loaded(const char *text)
{
	struct names *names = UNTOUCHED;

	cr_assert_eq(load_bytes(&names, text, strlen(text)), 0, "%s", err.text);
	return names;
}

static struct address address(const char *text)
{
	struct address a;

	cr_assert(value_address(&a, text), "%s", text);
	return a;
}

static bool find(const struct names *names, const char *source, uint32_t vni, int64_t at_ns,
		 struct names_session *out, int64_t *change_ns)
{
	const struct address a = address(source);

	return names_find(names, &a, vni, at_ns, out, change_ns);
}

#define SESSION "sessions:\n  - source: 10.0.0.1\n    vni: 1\n"

Test(names_load, a_file_may_name_nothing)
{
	const char *const texts[] = {"", "# nothing yet\n", "sessions:\n", "sessions: []\n"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct names *names = loaded(texts[i]);
		struct names_session s;
		int64_t change;
		cr_assert_eq(names_count(names), 0);
		cr_assert_not(find(names, "10.0.0.1", 1, 1, &s, &change));
		cr_assert_eq(change, NAMES_NEVER);
		names_close(names);
	}
}

Test(names_load, policies_are_four_words)
{
	const char *const words[] = {"full", "headers", "count", "drop"};

	for (unsigned i = 0; i < 4; i++) {
		char text[128];
		struct names_session s;
		int64_t change;
		(void)snprintf(text, sizeof(text), SESSION "    policy: %s\n", words[i]);
		struct names *names = loaded(text);
		cr_assert(find(names, "10.0.0.1", 1, 1, &s, &change));
		cr_assert_eq(s.policy, i, "%s", words[i]);
		names_close(names);
	}
}

/* ---- mistakes ---- */

#define L48 "012345678901234567890123456789012345678901234567"
#define L63 L48 "012345678901234"

struct refused {
	const char *text;
	unsigned line;
	const char *says; /* behind FILE:LINE: */
};

static const struct refused refused[] = {
	{"a text\n", 1, "wanted here are keys and values: sessions: ..."},
	{"- a list\n", 1, "wanted here are keys and values: sessions: ..."},
	{"\nsession: []\n", 2, "session: unknown key; is sessions meant?"},
	{"\nports: []\n", 2,
	 "ports: unknown key; known here: sessions, policies, nfs, unknown-sessions"},
	{"sessions: 5\n", 1, "sessions: '5': wanted is a list, each item with source and vni"},
	{"sessions: {a: b}\n", 1, "sessions: this is keys and values; wanted is a list"},
	{"sessions:\n  - 10.0.0.1\n", 2, "wanted here are keys and values: source: ..."},
	{"sessions:\n  - nf: x\n    vni: 1\n", 2, "source: missing; it is the outer source"},
	{"sessions:\n  - source: 10.0.0.1\n", 2, "vni: missing; it is the VNI"},
	{"sessions:\n  - source:\n    vni: 1\n", 2, "source: missing"},
	{SESSION "    nams: x\n", 4, "nams: unknown key; is name meant?"},
	{SESSION "    colour: x\n", 4,
	 "colour: unknown key; known here: source, vni, name, nf, vrf, account, eni, mac, from, "
	 "until, policy, store, addresses"},
	{SESSION "    vni: 2\n", 4, "vni: given twice; the first is in line 3"},
	{"sessions:\n  - source: 10.0.0.256\n    vni: 1\n", 2,
	 "source: '10.0.0.256': wanted is an IPv4 or IPv6 address such as 10.0.0.1"},
	{"sessions:\n  - source: [10.0.0.1]\n    vni: 1\n", 2, "source: this is a list; wanted is"},
	{"sessions:\n  - source: 10.0.0.1\n    vni: 16777216\n", 3,
	 "vni: '16777216': wanted is a number from 0 to 16777215"},
	{"sessions:\n  - source: 10.0.0.1\n    vni: -1\n", 3, "vni: '-1': wanted"},
	{"sessions:\n  - source: 10.0.0.1\n    vni: 0x10\n", 3, "vni: '0x10': wanted"},
	{"sessions:\n  - source: 10.0.0.1\n    vni: {a: 1}\n", 3, "vni: this is keys and values;"},
	{SESSION "    name: .x\n", 4, "name: '.x': wanted is up to 48 of A-Z a-z 0-9"},
	{SESSION "    name: a/b\n", 4, "name: 'a/b': wanted"},
	{SESSION "    name: a b\n", 4, "name: 'a b': wanted"},
	{SESSION "    name: é\n", 4, "name: 'é': wanted"},
	{SESSION "    name: " L48 "8\n", 4, "name: '" L48 "8': wanted"},
	{SESSION "    name: [a]\n", 4, "name: this is a list; wanted"},
	{SESSION "    nf: " L63 "3\n", 4, "nf: '" L63 "3': wanted is a text of up to 63 bytes"},
	{SESSION "    vrf: \"a\\tb\"\n", 4, "vrf: 'a?b': wanted is a text"},
	{SESSION "    account: \"a\\x7f\"\n", 4, "account: 'a?': wanted is a text"},
	{SESSION "    eni: \"\\x9f\"\n", 4, "eni: '"},
	{SESSION "    nf: \xc3\x28\n", 4, "no text in UTF-8"},
	{SESSION "    nf: [amf]\n", 4, "nf: this is a list; wanted is a text"},
	{SESSION "    mac: 2:0:0:0:0:1\n", 4, "mac: '2:0:0:0:0:1': wanted is the MAC of one"},
	{SESSION "    mac: 00:00:00:00:00:00\n", 4, "mac: '00:00:00:00:00:00': wanted"},
	{SESSION "    mac: 01:00:00:00:00:01\n", 4, "mac: '01:00:00:00:00:01': wanted"},
	{SESSION "    mac: [1]\n", 4, "mac: this is a list"},
	{SESSION "    from: 2026-11-21\n", 4,
	 "from: '2026-11-21': wanted is an instant by RFC 3339"},
	{SESSION "    until: tomorrow\n", 4, "until: 'tomorrow': wanted is an instant"},
	{SESSION "    from: []\n", 4, "from: this is a list"},
	{SESSION "    from: 2026-11-21T10:00:00Z\n    until: 2026-11-21T10:00:00Z\n", 5,
	 "until: must be later than from"},
	{SESSION "    until: 2026-11-21T10:00:00Z\n    from: 2026-11-21T10:00:01Z\n", 4,
	 "until: must be later than from"},
	{SESSION "    until: 1970-01-01T00:00:00Z\n", 4, "until: must be later than from"},
	{SESSION "    policy: fall\n", 4,
	 "policy: 'fall': wanted is full, headers, count, drop or a"},
	{SESSION "    store: a_b\n", 4, "store: 'a_b': wanted is up to 48 of"},
	{SESSION "    policy: [full]\n", 4, "policy: this is a list; wanted is full"},
	{SESSION "    addresses: 10.0.0.1\n", 4, "addresses: '10.0.0.1': wanted is a list"},
	{SESSION "    addresses:\n      - 10.0.0.1\n", 5,
	 "wanted here are keys and values: address: ..."},
	{SESSION "    addresses:\n      - nf: x\n", 5, "address: missing; it is an address"},
	{SESSION "    addresses:\n      - address: 10.0.0.1\n", 5,
	 "nf: missing; it is the network"},
	{SESSION "    addresses:\n      - address: x\n        nf: x\n", 5, "address: 'x': wanted"},
	{SESSION "    addresses:\n      - address: 10.0.0.1\n        nf: \"\\e\"\n", 6, "nf: '?'"},
	{SESSION "    addresses:\n      - address: 10.0.0.1\n        name: x\n", 6,
	 "name: unknown key; known here: address, nf, from, until"},
	{SESSION "    addresses:\n      - address: 10.0.0.1\n        nf: x\n"
		 "        until: 1970-01-01T00:00:00Z\n",
	 7, "until: must be later than from"},
	{SESSION "    addresses:\n      - address: 10.0.0.1\n        nf: x\n"
		 "      - address: 10.0.0.2\n        nf: x\n"
		 "      - address: ::ffff:10.0.0.1\n        nf: y\n",
	 9, "address: has a name at the same time in line 5; set from and until so that"},
	{SESSION "    addresses:\n"
		 "      - {address: 10.0.0.1, nf: x, until: 1970-01-01T00:00:10.000000001Z}\n"
		 "      - {address: 10.0.0.1, nf: y, from: 1970-01-01T00:00:10Z}\n",
	 6, "address: has a name at the same time in line 5"},
	{SESSION "  - source: 10.0.0.1\n    vni: 1\n", 4,
	 "source: '10.0.0.1' is taken at the same time by the entry in line 2 with the same vni; "
	 "set from and until so that one ends before the other begins"},
	{"sessions:\n"
	 "  - {source: 10.0.0.1, vni: 1, from: 1970-01-01T00:00:10Z}\n"
	 "  - {source: 10.0.0.1, vni: 2}\n"
	 "  - {source: 10.0.0.1, vni: 1, until: 1970-01-01T00:00:10.000000001Z}\n",
	 4, "source: '10.0.0.1' is taken at the same time by the entry in line 2"},
	{SESSION "    name: a\n  - source: 10.0.0.2\n    vni: 1\n    name: a\n", 7,
	 "name: 'a' is taken at the same time by the entry in line 2; set from and until"},
	{SESSION "    name: a.2\n  - source: 10.0.0.2\n    vni: 1\n    name: a\n", 4,
	 "name: 'a.2' is what 'a' is called when another ENI gets its source and vni"},
	{"sessions:\n"
	 "  - {source: 10.0.0.1, vni: 1, name: a, from: 1970-01-01T00:00:10Z}\n"
	 "  - {source: 10.0.0.1, vni: 2, name: a, until: 1970-01-01T00:00:10.000000001Z}\n",
	 3, "name: 'a' is taken at the same time by the entry in line 2"},
	{"sessions:\n"
	 "  - {source: 10.0.0.1, vni: 1, name: a}\n"
	 "  - {source: 10.0.0.1, vni: 2, name: b}\n"
	 "  - {source: 10.0.0.1, vni: 3, name: a}\n",
	 4, "name: 'a' is taken at the same time by the entry in line 2"},
	{SESSION "    name: 10.0.0.1-2\n", 4,
	 "name: '10.0.0.1-2' is what another session is called that has no name"},
	{SESSION "    name: 10.0.0.2-1\n", 4, "name: '10.0.0.2-1' is what another"},
	{SESSION "    name: 10.0.0.1-1.2\n", 4, "name: '10.0.0.1-1.2' is what another"},
	{SESSION "    name: 2001:DB8::5-16777215\n", 4,
	 "name: '2001:DB8::5-16777215' is what another"},
};

Test(names_load, refuses_with_file_line_and_key)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		const struct refused *r = &refused[i];
		struct names *names = UNTOUCHED;
		char expected[512];
		cr_assert_eq(load_bytes(&names, r->text, strlen(r->text)), -EINVAL, "%s", r->text);
		cr_assert_eq(names, UNTOUCHED, "untouched on failure");
		(void)snprintf(expected, sizeof(expected), "%s:%u: %s", path, r->line, r->says);
		cr_assert_eq(strncmp(err.text, expected, strlen(expected)), 0,
			     "'%s' does not begin with '%s'", err.text, expected);
	}
}

Test(names_load, says_which_file_it_cannot_open)
{
	struct names *names = UNTOUCHED;

	cr_assert_eq(names_load(&names, "/nonexistent/names.yaml", &err), -ENOENT);
	cr_assert(strstr(err.text, "/nonexistent/names.yaml"), "%s", err.text);
	cr_assert_eq(names, UNTOUCHED);
}

/* What is near to a mistake and none. */
static const char *const taken[] = {
	SESSION "    name: 10.0.0.1-1\n", /* its own automatic name */
	SESSION "    name: 10.0.0.1-16777216\n",
	SESSION "    name: 10.0.0.1-x\n",
	SESSION "    name: 10.0.0.1-2.x\n",
	SESSION "    name: 10.0.0.1\n",
	SESSION "    name: amf-1\n",
	SESSION "    name: " L48 "\n",
	SESSION "    nf: " L63 "\n",
	SESSION "  - {source: 10.0.0.1, vni: 2}\n  - {source: 10.0.0.2, vni: 1}\n",
	"sessions:\n"
	"  - {source: 10.0.0.1, vni: 1, name: a, until: 1970-01-01T00:00:10Z}\n"
	"  - {source: 10.0.0.1, vni: 1, name: a, from: 1970-01-01T00:00:10Z}\n",
	"sessions:\n"
	"  - {source: 10.0.0.1, vni: 1, name: a, until: 1970-01-01T00:00:10Z}\n"
	"  - {source: 10.0.0.1, vni: 2, name: a, from: 1970-01-01T00:00:10Z}\n",
	SESSION "    addresses:\n"
		"      - {address: 10.0.0.1, nf: y, from: 1970-01-01T00:00:10Z}\n"
		"      - {address: 10.0.0.1, nf: x, until: 1970-01-01T00:00:10Z}\n",
};

Test(names_load, takes_what_is_just_allowed)
{
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		names_close(loaded(taken[i]));
}

Test(names_load, the_example_loads)
{
	struct names *names = UNTOUCHED;
	struct names_session s;
	int64_t change;

	cr_assert_eq(names_load(&names, "tools/deploy/names.yaml", &err), 0, "%s", err.text);
	cr_assert_eq(names_count(names), 3);
	cr_assert(find(names, "2001:db8::5", 7, 1, &s, &change));
	cr_assert_eq(s.policy, SESSION_HEADERS);
	names_close(names);
}

/* ---- bounds ---- */

/* A file with n addresses in one session. */
static char *many_addresses(unsigned n)
{
	char *text = malloc(128 + n * 64);
	size_t len = (size_t)sprintf(text, SESSION "    addresses:\n");

	cr_assert(text);
	for (unsigned i = 0; i < n; i++)
		len += (size_t)sprintf(text + len, "      - {address: 10.0.%u.%u, nf: nf-%u}\n",
				       i / 256, i % 256, i);
	return text;
}

Test(names_load, bounds_the_addresses_of_a_session)
{
	char *text = many_addresses(NAMES_ADDRESSES_MAX);
	struct names *names = loaded(text);
	struct names_session s;
	struct names_address a;
	int64_t change;

	cr_assert(find(names, "10.0.0.1", 1, 1, &s, &change));
	cr_assert(names_address(names, &s, NAMES_ADDRESSES_MAX - 1, &a));
	cr_assert_str_eq(a.nf, "nf-511");
	cr_assert_not(names_address(names, &s, NAMES_ADDRESSES_MAX, &a));
	names_close(names);
	free(text);
	text = many_addresses(NAMES_ADDRESSES_MAX + 1);
	cr_assert_eq(load_bytes(&names, text, strlen(text)), -EINVAL);
	cr_assert(strstr(err.text, ":4: addresses: 513 addresses; allowed are 512"), "%s",
		  err.text);
	free(text);
}

/* A file with n sessions. */
static char *many_sessions(unsigned n)
{
	char *text = malloc(64 + n * 128);
	size_t len = (size_t)sprintf(text, "sessions:\n");

	cr_assert(text);
	for (unsigned i = 0; i < n; i++)
		len += (size_t)sprintf(text + len,
				       "- {source: 10.0.%u.%u, vni: %u, name: s-%u, nf: amf-%u, "
				       "eni: eni-%017x}\n",
				       i % 7, i % 256, i, i, i % 100, i);
	return text;
}

Test(names_load, bounds_the_sessions, .timeout = 120)
{
	char *text = many_sessions(NAMES_SESSIONS_MAX);
	struct names *names = loaded(text);

	cr_assert_eq(names_count(names), NAMES_SESSIONS_MAX);
	for (unsigned i = 0; i < NAMES_SESSIONS_MAX; i++) {
		struct names_session s;
		int64_t change;
		char source[32], name[32];
		(void)sprintf(source, "10.0.%u.%u", i % 7, i % 256);
		(void)sprintf(name, "s-%u", i);
		cr_assert(find(names, source, i, 1, &s, &change));
		cr_assert_str_eq(s.name, name);
		cr_assert_not(find(names, source, i + 1, 1, &s, &change));
	}
	cr_assert_leq(names_memory(names), NAMES_MEMORY_MAX);
	names_close(names);
	free(text);
	text = many_sessions(NAMES_SESSIONS_MAX + 1);
	cr_assert_eq(load_bytes(&names, text, strlen(text)), -EINVAL);
	cr_assert(strstr(err.text, ":1: sessions: 65537 entries; allowed are 65536"), "%s",
		  err.text);
	free(text);
}

/* As many addresses as YAMLDOC_NODES_MAX lets through, in sessions as full as they may be: 20 MiB.
 */
Test(names_load, memory_is_bounded, .timeout = 240)
{
	const unsigned n_sessions = YAMLDOC_NODES_MAX / (3 * NAMES_ADDRESSES_MAX + 4) - 1;
	char *text = malloc(YAMLDOC_LEN_MAX + 65536);
	size_t len = (size_t)sprintf(text, "sessions:\n");

	for (unsigned i = 0; i < n_sessions; i++) {
		len += (size_t)sprintf(text + len, "- {source: \"::\", vni: %u, addresses: [", i);
		for (unsigned j = 0; j < NAMES_ADDRESSES_MAX; j++)
			len += (size_t)sprintf(text + len, "{address: \"::%x\", nf: \"%08x\"},", j,
					       j);
		len += (size_t)sprintf(text + len, "]}\n");
	}
	struct names *names;
	cr_assert_eq(load_bytes(&names, text, len), -EFBIG);
	cr_assert(strstr(err.text, "allowed are 16"), "%s", err.text);
	free(text);
}

/* ---- damage ---- */

static const char everything[] =
	"policies:\n"
	"  p1: {user-plane: headers, snap-length: 256B, sample: 1/16}\n"
	"  p2: {keep: count, filter: not port 22, only: [10.1.0.0/16]}\n"
	"nfs: {amf-1: p1}\n"
	"unknown-sessions: p2\n"
	"sessions:\n"
	"  - source: 10.0.0.1\n"
	"    vni: 4321\n"
	"    name: amf-eu1\n"
	"    nf: amf-1\n"
	"    vrf: signalling\n"
	"    account: 012345678901\n"
	"    eni: eni-0123456789abcdef0\n"
	"    mac: 02:00:00:00:00:01\n"
	"    from: 1970-01-01T00:00:10Z\n"
	"    until: 1970-01-01T00:00:20Z\n"
	"    policy: count\n"
	"    addresses:\n"
	"      - address: 10.1.2.3\n"
	"        nf: smf-1\n"
	"        from: 1970-01-01T00:00:11Z\n"
	"        until: 1970-01-01T00:00:12Z\n"
	"      - {address: \"2001:db8::1\", nf: Zürich}\n"
	"      - {address: 10.1.2.3, nf: smf-2, from: 1970-01-01T00:00:12Z}\n"
	"  - {source: 2001:db8::5, vni: 0}\n";

/* Uses all there is. */
static void read_all(const struct names *names)
{
	struct names_session s;
	struct names_address a;
	int64_t change;

	if (!find(names, "10.0.0.1", 4321, 15 * (int64_t)1000000000, &s, &change))
		return;
	for (uint32_t i = 0; names_address(names, &s, i, &a); i++)
		cr_assert_leq(strlen(a.nf), NAMES_TEXT_MAX);
	cr_assert_leq(strlen(s.name), NAMES_NAME_MAX);
}

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Puts a piece of YAML, a byte, or a piece of the text itself anywhere. */
static void mutate(char *text, size_t len, uint64_t *state)
{
	static const char *const pieces[] = {": ",  "- ", "\n", "[", "]", "{",  "}", "&a ", "*a",
					     "!t ", "'",  "\"", "|", ">", "\t", "#", "~",   "\\"};
	const size_t at = random_next(state) % (len - 16);

	switch (random_next(state) % 3) {
	case 0:
		text[at] = (char)random_next(state);
		break;
	case 1:
		memmove(text + at, text + random_next(state) % (len - 16), 16);
		break;
	default:
		memcpy(text + at, pieces[random_next(state) % 18], 1 + random_next(state) % 2);
	}
}

static void load_and_read(const char *text, size_t len, unsigned *n_loaded)
{
	struct names *names = UNTOUCHED;

	if (load_bytes(&names, text, len)) {
		cr_assert_eq(names, UNTOUCHED);
		cr_assert(strstr(err.text, path) == err.text, "%s", err.text);
		return;
	}
	read_all(names);
	names_close(names);
	++*n_loaded;
}

/* Of ASan builds: what the end of the process would report without failing a test. */
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

/* The allocator counts what it holds ready for next time; 8 bytes lost a time are more. */
#define HELD_READY 131072

static void assert_no_leak(size_t in_use_before)
{
	cr_assert_lt(mallinfo2().uordblks, in_use_before + HELD_READY);
	if (__lsan_do_recoverable_leak_check)
		cr_assert_not(__lsan_do_recoverable_leak_check());
}

Test(names_load, no_file_makes_it_crash_or_leak, .timeout = 240)
{
	const size_t len = strlen(everything);
	unsigned n_loaded = 0, n = 0;
	uint64_t state = 88172645463325252; /* xorshift64's own example: the same run each time */
	char text[sizeof(everything)];

	const size_t in_use = mallinfo2().uordblks;
	for (size_t i = 0; i <= len; i++, n++)
		load_and_read(everything, i, &n_loaded);
	for (unsigned i = 0; i < 20000; i++, n++) {
		memcpy(text, everything, sizeof(text));
		for (uint64_t j = 1 + random_next(&state) % 4; j; j--)
			mutate(text, len, &state);
		load_and_read(text, len, &n_loaded);
	}
	assert_no_leak(in_use);
	cr_assert_gt(n_loaded, n / 100, "%u of %u loaded", n_loaded, n);
	cr_assert_lt(n_loaded, n - n / 100, "%u of %u loaded", n_loaded, n);
}
