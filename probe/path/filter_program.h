/*
 * filter_program: an expression of pcap-filter(7) over a mirrored frame, as a bounded program.
 *
 * Made by the starter's main thread, which may allocate and takes its time; checked by who receives
 * one; run by workers, pure. libpcap compiles, checks and runs.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define FILTER_TEXT_MAX    255 /* bytes of an expression */
#define FILTER_PROGRAM_MAX 256 /* instructions: at most so many are executed for a packet */

/* An instruction as libpcap has it, whose own name the kernel's headers take for another one. */
struct filter_insn {
	uint16_t code;
	uint8_t jt, jf;
	uint32_t k;
};

/* *n instructions into out. -EINVAL with a sentence: no such expression, too long in either way, or
 * with a name of a host, network, port or protocol: those would be asked of the name service, which
 * may take its time and its answer change. */
int filter_compile(struct filter_insn out[static FILTER_PROGRAM_MAX], uint32_t *n, const char *text,
		   struct err *err);

/* Whatever the instructions are: they read no memory but the packet's, jump forward alone, and end.
 */
bool filter_program_is_sound(const struct filter_insn *code, uint32_t n);

/* Of a sound program. len bytes at data of a frame that had wire_len; what is read beyond them
 * makes no match. */
bool filter_program_matches(const struct filter_insn *code, const uint8_t *data, uint32_t wire_len,
			    uint32_t len);
