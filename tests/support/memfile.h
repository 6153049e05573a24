/*
 * memfile: files in memory for tests of what reads or maps files. The test asserts.
 */
#pragma once

#include <stddef.h>

#define MEMFILE_PATH 32

/* A memfd with these bytes that can be sealed; the caller's. */
int memfile(const void *bytes, size_t len);
/* Under which the file can be opened while fd is open. */
void memfile_path(char out[static MEMFILE_PATH], int fd);
