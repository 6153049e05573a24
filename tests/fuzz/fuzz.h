/*
 * fuzz: what the targets share. A target takes any bytes and aborts when a promise is broken.
 *
 *   make fuzz T=kpi N=1000000    clang's libFuzzer with ASan and UBSan looks for new inputs
 *   make check                   replays the committed corpus/TARGET without libFuzzer
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not assert: it holds in every build. */
#define FUZZ_CHECK(condition)                                                                      \
	do {                                                                                       \
		if (!(condition))                                                                  \
			abort();                                                                   \
	} while (0)

/* A path under which these bytes can be opened until the next call. */
const char *fuzz_file(const uint8_t *data, size_t size);
