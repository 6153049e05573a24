#include "doctor/judge.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "abi.h"
#include "doctor/judge_part.h"

const char *const verdict_text[] = {[VERDICT_OK] = "ok",
				    [VERDICT_NOTE] = "note",
				    [VERDICT_WARN] = "warn",
				    [VERDICT_FAIL] = "fail"};

enum verdict judge_say(struct finding *f, enum verdict verdict, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(f->text, sizeof(f->text), format, args);
	va_end(args);
	return verdict;
}

void judge_mend(struct finding *f, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(f->command, sizeof(f->command), format, args);
	va_end(args);
}

static bool version_is(const char *text, unsigned major, unsigned minor)
{
	unsigned a, b;

	return sscanf(text, "%u.%u", &a, &b) != 2 || a > major || (a == major && b >= minor);
}

bool judge_kernel_is(const struct subject *s, unsigned major, unsigned minor)
{
	return version_is(s->facts->kernel, major, minor);
}

/* ---- what follows from the facts ---- */

/* Interfaces and folders may be called "a;b". */
static void quote(char *out, size_t len, const char *text)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				   "_./:@%+=,-";
	size_t n = 0;

	if (*text && *text != '-' && !text[strspn(text, safe)]) {
		(void)snprintf(out, len, "%s", text);
		return;
	}
	out[n++] = '\'';
	for (; *text && n + 6 < len; text++)
		n += (size_t)snprintf(out + n, len - n, *text == '\'' ? "'\\''" : "%c", *text);
	(void)snprintf(out + n, len - n, "'");
}

/* ENA of amzn-drivers says "2.13.2g"; the kernel's own has no version, so that ethtool gives the
 * kernel's release, or before 5.7 one such as "2.1.0K". */
static void find_ena(struct subject *s)
{
	const struct doctor_facts *f = s->facts;
	unsigned a, b, c;
	char kind;

	s->ena = !strcmp(f->driver, "ena");
	if (!s->ena || !*f->driver_version)
		return;
	s->ena_in_tree = strcmp(f->driver_version, f->kernel) == 0 ||
			 sscanf(f->driver_version, "%u.%u.%u%c", &a, &b, &c, &kind) != 4 ||
			 kind != 'g';
	if (!s->ena_in_tree)
		s->ena_version = a * 10000L + b * 100L + c;
}

/* What a page holds beside 256 bytes of headroom, skb_shared_info (320) and Ethernet with a VLAN
 * tag (18) and, in ENA before 2.14 and in the kernel's, a checksum (4). */
#define ONE_BUFFER_MTU     3498
#define ONE_BUFFER_MTU_ENA 3502

/* ENA clears its XDP features while more than half of its queues are in use (ena_set_channels), so
 * what it is able to do follows from its version. It says that it has several buffers from 2.14 on,
 * also where they are compiled out. */
static void find_ena_modes(struct subject *s)
{
	const bool known = s->ena_in_tree || s->ena_version;

	s->native = 1;
	s->zero_copy = known ? s->ena_version >= 21302 : FACT_UNKNOWN;
	s->multi_buffer = !known || s->ena_version >= 21400 ? FACT_UNKNOWN : 0;
	s->mtu_one_buffer = s->ena_version >= 21400 ? ONE_BUFFER_MTU_ENA : ONE_BUFFER_MTU;
	s->mtu_zero_copy = s->mtu_one_buffer;
	/* 2 * queues <= max (ena_xdp_legal_queue_count): XDP takes a TX queue for each RX queue. */
	if (known && s->ena_version < 21700 && s->facts->queues_max != FACT_UNKNOWN) {
		s->queues_usable = s->facts->queues_max / 2;
		s->queues_block = s->facts->queues > s->queues_usable;
	}
}

/* attach.c asks for several buffers where a frame (Ethernet with two VLAN tags: 22) and the header
 * that XDP writes do not fit into a chunk; zero-copy then is not to be had. 3,770. */
#define ONE_CHUNK_MTU (STEER_CHUNK_DATA - 22 - sizeof(struct steer_header))

static void find_modes(struct subject *s)
{
	const struct doctor_facts *f = s->facts;

	s->native = f->xdp_native;
	s->zero_copy = f->xdp_zero_copy;
	s->multi_buffer = f->xdp_multi_buffer;
	s->queues_usable = f->queues_max;
	s->mtu_one_buffer = ONE_BUFFER_MTU;
	s->mtu_one_chunk = ONE_CHUNK_MTU;
	s->mtu_zero_copy = f->xdp_zero_copy_buffers > 1 ? INT64_MAX : s->mtu_one_chunk;
	if (s->ena)
		find_ena_modes(s);
	s->mtu_blocks = s->native == 1 && s->multi_buffer == 0 && f->mtu > s->mtu_one_buffer;
}

static void know(struct subject *s, const struct doctor_facts *facts)
{
	*s = (struct subject){.facts = facts};
	quote(s->interface, sizeof(s->interface), facts->interface);
	quote(s->elsewhere, sizeof(s->elsewhere), facts->xdp_elsewhere);
	quote(s->folder, sizeof(s->folder), facts->folder);
	quote(s->mount, sizeof(s->mount), facts->folder_mount);
	find_ena(s);
	find_modes(s);
}

/* ---- all rules, in the order in which they are shown ---- */

static const struct {
	const char *id;
	rule *judge;
	bool of_folder;
} rules[] = {
	{"kernel", judge_kernel, false},
	{"btf", judge_btf, false},
	{"capabilities", judge_capabilities, false},
	{"memlock", judge_memlock, false},
	{"memory", judge_memory, false},
	{"huge-pages", judge_huge_pages, false},
	{"clock", judge_clock, false},
	{"link", judge_link, false},
	{"driver", judge_driver, false},
	{"program", judge_program, false},
	{"xdp", judge_xdp, false},
	{"af-xdp", judge_af_xdp, false},
	{"mtu", judge_mtu, false},
	{"queues", judge_queues, false},
	{"rings", judge_rings, false},
	{"offloads", judge_offloads, false},
	{"route", judge_route, false},
	{"folder", judge_folder, true},
	{"space", judge_space, true},
	{"encryption", judge_encryption, true},
	{"direct-io", judge_direct, true},
};
#define N_RULES (sizeof(rules) / sizeof(rules[0]))
static_assert(N_RULES <= FINDINGS_MAX, "a finding for each rule");

void judge(struct findings *out, const struct doctor_facts *facts)
{
	struct subject subject;

	know(&subject, facts);
	out->n = 0;
	for (size_t i = 0; i < N_RULES; i++) {
		if (rules[i].of_folder && !*facts->folder)
			continue;
		struct finding *finding = &out->finding[out->n++];
		*finding = (struct finding){.id = rules[i].id};
		finding->verdict = rules[i].judge(finding, &subject);
	}
}

enum verdict judge_worst(const struct findings *findings)
{
	enum verdict worst = VERDICT_OK;

	for (unsigned i = 0; i < findings->n; i++)
		if (findings->finding[i].verdict > worst)
			worst = findings->finding[i].verdict;
	return worst == VERDICT_NOTE ? VERDICT_OK : worst;
}
