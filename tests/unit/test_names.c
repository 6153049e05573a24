#define _GNU_SOURCE /* F_ADD_SEALS */
#include "config/names.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/memfile.h"
#include "config/value.h"

#define NS_PER_S  1000000000
#define UNTOUCHED ((struct names *)1)

static struct err err;

static struct names *loaded(const char *text)
{
	struct names *names = UNTOUCHED;
	const int fd = memfile(text, strlen(text));
	char path[MEMFILE_PATH];

	memfile_path(path, fd);
	cr_assert_eq(names_load(&names, path, &err), 0, "%s", err.text);
	close(fd);
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

static const char everything[] =
	"policies:\n"
	"  signalling:\n"
	"    user-plane: headers\n"
	"    snap-length: 256B\n"
	"    filter: not port 22\n"
	"    sample: 1/16\n"
	"    only: [10.1.0.0/16, \"2001:db8::/32\"]\n"
	"  little: {keep: count, filter: sctp}\n"
	"nfs: {amf-1: little}\n"
	"unknown-sessions: signalling\n"
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
	"    store: signalling\n"
	"    addresses:\n"
	"      - address: 10.1.2.3\n"
	"        nf: smf-1\n"
	"        from: 1970-01-01T00:00:11Z\n"
	"        until: 1970-01-01T00:00:12Z\n"
	"      - {address: \"2001:db8::1\", nf: Zürich}\n"
	"      - {address: 10.1.2.3, nf: smf-2, from: 1970-01-01T00:00:12Z}\n"
	"  - {source: 2001:db8::5, vni: 0}\n";

static void assert_everything(const struct names *names)
{
	struct names_session s;
	struct names_address a;
	int64_t change;

	cr_assert(find(names, "10.0.0.1", 4321, 15 * (int64_t)NS_PER_S, &s, &change));
	cr_assert_str_eq(s.name, "amf-eu1");
	cr_assert_str_eq(s.nf, "amf-1");
	cr_assert_str_eq(s.vrf, "signalling");
	cr_assert_str_eq(s.account, "012345678901", "text, although nobody quoted it");
	cr_assert_str_eq(s.eni, "eni-0123456789abcdef0");
	cr_assert_eq(s.mac, 0x020000000001);
	cr_assert_eq(s.policy, SESSION_COUNT);
	cr_assert_str_eq(s.store, "signalling");
	cr_assert_eq(s.from_ns, 10 * (int64_t)NS_PER_S);
	cr_assert_eq(s.until_ns, 20 * (int64_t)NS_PER_S);
	const struct address v4 = address("10.1.2.3"), v6 = address("2001:db8::1");
	cr_assert(names_address(names, &s, 0, &a));
	cr_assert_arr_eq(a.address.byte, v4.byte, 16);
	cr_assert_str_eq(a.nf, "smf-1");
	cr_assert_eq(a.from_ns, 11 * (int64_t)NS_PER_S);
	cr_assert_eq(a.until_ns, 12 * (int64_t)NS_PER_S);
	cr_assert(names_address(names, &s, 1, &a));
	cr_assert_arr_eq(a.address.byte, v6.byte, 16);
	cr_assert_str_eq(a.nf, "Zürich");
	cr_assert_eq(a.from_ns, 0);
	cr_assert_eq(a.until_ns, NAMES_NEVER);
	cr_assert(names_address(names, &s, 2, &a));
	cr_assert_str_eq(a.nf, "smf-2");
	cr_assert_not(names_address(names, &s, 3, &a));
}

Test(names, load_reads_everything)
{
	struct names *names = loaded(everything);

	assert_everything(names);
	cr_assert_eq(names_count(names), 2);
	names_close(names);
}

Test(names, entries_come_one_after_the_other)
{
	struct names *names = loaded(everything);
	struct names_session s;
	unsigned named = 0;

	for (uint32_t i = 0; i < 2; i++) {
		cr_assert(names_entry(names, i, &s));
		named += !strcmp(s.store, "signalling");
	}
	cr_assert_eq(named, 1);
	cr_assert_not(names_entry(names, 2, &s));
	names_close(names);
}

Test(names, automatic_name_is_an_address_and_a_number)
{
	cr_assert(names_is_automatic("10.0.0.1-42"));
	cr_assert(names_is_automatic("10.0.0.1-42.2"));
	cr_assert(names_is_automatic("2001:db8::5-16777215"));
	cr_assert_not(names_is_automatic("10.0.0.1-16777216"));
	cr_assert_not(names_is_automatic("10.0.0.1"));
	cr_assert_not(names_is_automatic("user-1"));
}

Test(names, what_the_file_does_not_give_is_empty)
{
	struct names *names = loaded("sessions:\n  - {source: 2001:db8::5, vni: 16777215, nf: ~, "
				     "mac: , from: null, addresses: }\n");
	struct names_session s;
	struct names_address a;
	int64_t change;

	cr_assert(find(names, "2001:db8::5", 16777215, 1, &s, &change));
	cr_assert_str_empty(s.name);
	cr_assert_str_empty(s.nf);
	cr_assert_str_empty(s.vrf);
	cr_assert_str_empty(s.account);
	cr_assert_str_empty(s.eni);
	cr_assert_str_empty(s.store);
	cr_assert_eq(s.mac, 0);
	cr_assert_eq(s.policy, SESSION_FULL);
	cr_assert_eq(s.from_ns, 0);
	cr_assert_eq(s.until_ns, NAMES_NEVER);
	cr_assert_eq(change, NAMES_NEVER);
	cr_assert_not(names_address(names, &s, 0, &a));
	names_close(names);
}

/* ---- time ---- */

#define S(n) ((n) * (int64_t)NS_PER_S)

struct moment {
	int64_t at_ns;
	const char *name; /* NULL: there is none */
	int64_t change_ns;
};

static const struct moment moments[] = {
	{0, NULL, S(10)},
	{S(10) - 1, NULL, S(10)},
	{S(10), "a", S(20)},
	{S(20) - 1, "a", S(20)},
	{S(20), "b", S(30)},
	{S(30) - 1, "b", S(30)},
	{S(30), NULL, S(40)},
	{S(40) - 1, NULL, S(40)},
	{S(40), "c", NAMES_NEVER},
	{S(50), "c", NAMES_NEVER},
	{NAMES_NEVER - 1, "c", NAMES_NEVER},
};

Test(names, find_knows_the_instant_and_when_the_answer_changes)
{
	struct names *names =
		loaded("sessions:\n"
		       "  - {source: 10.0.0.1, vni: 1, name: x}\n"
		       "  - {source: 10.0.0.1, vni: 2, name: c, from: 1970-01-01T00:00:40Z}\n"
		       "  - {source: 10.0.0.1, vni: 2, name: a, from: 1970-01-01T00:00:10Z, "
		       "until: 1970-01-01T00:00:20Z}\n"
		       "  - {source: 10.0.0.1, vni: 2, name: b, from: 1970-01-01T00:00:20Z, "
		       "until: 1970-01-01T00:00:30Z}\n"
		       "  - {source: 10.0.0.1, vni: 3, name: y}\n");

	for (size_t i = 0; i < sizeof(moments) / sizeof(moments[0]); i++) {
		const struct moment *m = &moments[i];
		struct names_session s = {.name = "untouched"};
		int64_t change = 0;
		cr_assert_eq(find(names, "10.0.0.1", 2, m->at_ns, &s, &change), !!m->name, "%ld",
			     m->at_ns);
		cr_assert_str_eq(s.name, m->name ? m->name : "untouched", "%ld", m->at_ns);
		cr_assert_eq(change, m->change_ns, "%ld: %ld", m->at_ns, change);
	}
	names_close(names);
}

Test(names, find_never_changes_behind_the_last_until)
{
	struct names *names = loaded(SESSION "    until: 1970-01-01T00:00:10Z\n"
					     "  - {source: 10.0.0.1, vni: 2}\n");
	struct names_session s;
	int64_t change;

	cr_assert_not(find(names, "10.0.0.1", 1, S(10), &s, &change));
	cr_assert_eq(change, NAMES_NEVER);
	names_close(names);
}

Test(names, find_tells_sources_and_vnis_apart)
{
	struct names *names = loaded("sessions:\n"
				     "  - {source: 10.0.0.2, vni: 1, name: c}\n"
				     "  - {source: 10.0.0.1, vni: 2, name: b}\n"
				     "  - {source: 10.0.0.1, vni: 1, name: a}\n"
				     "  - {source: \"::10.0.0.1\", vni: 1, name: d}\n");
	struct names_session s;
	int64_t change;

	cr_assert(find(names, "10.0.0.1", 1, 0, &s, &change));
	cr_assert_str_eq(s.name, "a");
	cr_assert(find(names, "10.0.0.1", 2, 0, &s, &change));
	cr_assert_str_eq(s.name, "b");
	cr_assert(find(names, "10.0.0.2", 1, 0, &s, &change));
	cr_assert_str_eq(s.name, "c");
	cr_assert(find(names, "::10.0.0.1", 1, 0, &s, &change));
	cr_assert_str_eq(s.name, "d");
	cr_assert_not(find(names, "10.0.0.2", 2, 0, &s, &change));
	cr_assert_not(find(names, "10.0.0.3", 1, 0, &s, &change));
	cr_assert_not(find(names, "::1", 1, 0, &s, &change));
	names_close(names);
}

/* ---- handed on ---- */

static int sent(const struct names *names)
{
	int fd = -1;

	cr_assert_eq(names_send(names, &fd, &err), 0, "%s", err.text);
	return fd;
}

Test(names, another_process_maps_what_was_sent)
{
	struct names *names = loaded(everything);
	const int fd = sent(names);

	names_close(names); /* the memfd lives on its own */
	const pid_t child = fork();
	if (!child) {
		struct names *mapped;
		struct names_session s;
		struct names_address a;
		int64_t change;
		const struct address source = {.byte = {[10] = 0xff, 0xff, 10, 0, 0, 1}};
		_exit(names_map(&mapped, fd, &err) ||
		      !names_find(mapped, &source, 4321, S(15), &s, &change) ||
		      strcmp(s.name, "amf-eu1") || !names_address(mapped, &s, 1, &a) ||
		      strcmp(a.nf, "Zürich"));
	}
	int status;
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0);
	close(fd);
}

Test(names, what_is_mapped_equals_what_was_loaded)
{
	struct names *names = loaded(everything), *mapped = NULL;
	const int fd = sent(names);

	cr_assert_eq(names_map(&mapped, fd, &err), 0, "%s", err.text);
	assert_everything(mapped);
	cr_assert_eq(names_memory(mapped), names_memory(names));
	cr_assert_eq(names_count(mapped), names_count(names));
	cr_assert_eq(memcmp(names, mapped, names_memory(names)), 0);
	cr_assert_geq(fcntl(fd, F_GETFD), 0, "fd stays the caller's");
	close(fd);
	assert_everything(mapped);
	names_close(mapped);
	names_close(names);
}

Test(names, what_is_sent_cannot_be_changed)
{
	struct names *names = loaded(everything);
	const int fd = sent(names);

	cr_assert_eq(pwrite(fd, "x", 1, 0), -1);
	cr_assert_eq(errno, EPERM);
	cr_assert_eq(ftruncate(fd, 0), -1);
	cr_assert_eq(ftruncate(fd, 1 << 20), -1);
	cr_assert_eq(mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	cr_assert_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), -1, "the seals are sealed");
	cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	names_close(names);
}

Test(names, close_takes_null)
{
	names_close(NULL);
}

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static int sealed(const void *bytes, size_t len)
{
	const int fd = memfile(bytes, len);

	cr_assert_eq(fcntl(fd, F_ADD_SEALS, SEALS), 0);
	return fd;
}

static void assert_not_mapped(int fd)
{
	struct names *mapped = UNTOUCHED;

	cr_assert_eq(names_map(&mapped, fd, &err), -EPROTO);
	cr_assert_eq(mapped, UNTOUCHED);
}

Test(names, map_refuses_what_is_no_snapshot)
{
	struct names *names = loaded(everything);
	const size_t len = names_memory(names);
	char *bytes = calloc(2, len);
	int pipes[2];

	memcpy(bytes, names, len);
	char *endless = malloc(len);
	memcpy(endless, names, len);
	endless[len - 1] = 'x';
	cr_assert_eq(pipe(pipes), 0);
	const int fds[] = {
		-1,
		pipes[0],
		open("/etc/passwd", O_RDONLY | O_CLOEXEC),
		memfile(bytes, len), /* right, but not sealed */
		sealed("", 0),
		sealed("garbage", 7),
		sealed(bytes, len - 1),
		sealed(bytes, len + 1),
		sealed(bytes, 2 * len),
		sealed(bytes + 8, len),
		sealed(bytes + len, len), /* zeros */
		sealed(endless, len),     /* the last text has no end */
	};
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		assert_not_mapped(fds[i]);
		close(fds[i]);
	}
	close(pipes[1]);
	free(endless);
	free(bytes);
	names_close(names);
}

/* ---- damage ---- */

static void assert_ends(const char *text, const struct names *names)
{
	cr_assert_lt(strlen(text), names_memory(names));
}

/* As a worker does. */
static void read_policies(const struct names *names)
{
	uint8_t frame[64] = {[12] = 8, [14] = 0x45, [23] = 17};
	struct names_policy p;

	for (uint32_t i = 0; names_policy(names, i, &p); i++) {
		assert_ends(p.name, names);
		assert_ends(p.filter, names);
		if (p.n_code)
			(void)filter_program_matches(p.code, frame, 1500, sizeof(frame));
		const struct filter f = {.only = p.only, .n_only = p.n_only};
		const struct packet packet = {.data = frame, .len = sizeof(frame)};
		const struct dissected dissected = {.l3 = 14};
		(void)filter_is_opted_in(&f, &packet, &dissected);
		cr_assert_gt(p.sample, 0);
	}
	(void)names_sampler(names);
}

/* Uses all there is. */
static void read_all(const struct names *names)
{
	struct names_session s;
	struct names_address a;
	int64_t change;

	read_policies(names);
	(void)find(names, "2001:db8::5", 0, 1, &s, &change);
	if (!find(names, "10.0.0.1", 4321, S(15), &s, &change))
		return;
	assert_ends(s.name, names);
	assert_ends(s.nf, names);
	assert_ends(s.vrf, names);
	assert_ends(s.account, names);
	assert_ends(s.eni, names);
	assert_ends(s.store, names);
	for (uint32_t i = 0; names_address(names, &s, i, &a); i++)
		assert_ends(a.nf, names);
}

Test(names, no_damage_makes_readers_crash, .timeout = 120)
{
	struct names *names = loaded(everything);
	const size_t len = names_memory(names);
	uint8_t *bytes = malloc(len);
	unsigned n_mapped = 0;

	/* Each byte by itself: all bits, the lowest, the highest, zero. */
	for (size_t i = 0; i < 4 * len; i++) {
		const uint8_t flips[] = {0xff, 1, 0x80, ((uint8_t *)names)[i / 4]};
		struct names *mapped;
		memcpy(bytes, names, len);
		bytes[i / 4] ^= flips[i % 4];
		const int fd = sealed(bytes, len);
		if (!names_map(&mapped, fd, &err)) {
			read_all(mapped);
			names_close(mapped);
			n_mapped++;
		}
		close(fd);
	}
	cr_assert_gt(n_mapped, 0, "most of it is text, any of which is right");
	cr_assert_lt(n_mapped, 4 * len);
	free(bytes);
	names_close(names);
}
