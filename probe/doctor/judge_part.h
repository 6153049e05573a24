/*
 * judge_part: what the rules of judge.c, judge_nic.c and judge_folder.c share.
 *
 * A rule looks at facts and says one sentence. Rules do not know of each other; what several of
 * them need is worked out once, in struct subject.
 */
#pragma once

#include "doctor/judge.h"

#include <stdbool.h>

/* The facts, and what follows from them. */
struct subject {
	const struct doctor_facts *facts;
	/* Quoted for a shell. */
	char interface[64];
	char elsewhere[64];
	char folder[4160];
	char mount[4160];
	/* ENA: Amazon ships its driver beside the kernel's own, under numbers of its own. */
	bool ena, ena_in_tree;
	long ena_version; /* 21302 is 2.13.2; 0: in-tree or unknown */
	/* What the driver is able to do, once nothing blocks it: 0, 1, FACT_UNKNOWN. */
	int64_t native, multi_buffer, zero_copy;
	int64_t queues_usable;  /* under XDP; may be FACT_UNKNOWN */
	int64_t mtu_one_buffer; /* the driver's limit for native XDP without multi-buffer */
	int64_t mtu_one_chunk;  /* our own: beyond it a packet takes several AF_XDP chunks */
	int64_t mtu_zero_copy;
	bool queues_block, mtu_blocks; /* as things are, the driver refuses native XDP */
};

/* Says the sentence and, where something can be mended, the command; returns the verdict. */
typedef enum verdict rule(struct finding *finding, const struct subject *subject);

/* Kernel and host. */
rule judge_kernel, judge_btf, judge_capabilities, judge_memlock, judge_memory, judge_huge_pages,
	judge_clock;
/* Interface. */
rule judge_link, judge_driver, judge_program, judge_xdp, judge_af_xdp, judge_mtu, judge_queues,
	judge_rings, judge_offloads, judge_route;
/* Output folder. */
rule judge_folder, judge_space, judge_encryption, judge_direct;

/* Returns the verdict that it was given. */
enum verdict judge_say(struct finding *finding, enum verdict verdict, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void judge_mend(struct finding *finding, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The kernel is of that version or later; unknown ones are. */
bool judge_kernel_is(const struct subject *subject, unsigned major, unsigned minor);
/* Mends the driver: the newest of Amazon's. */
void judge_mend_ena(struct finding *finding, const struct subject *subject);
