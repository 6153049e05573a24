/*
 * io: reads that are whole. Any thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Bytes read from offset; fewer than len only at the end of the file; -errno. */
ssize_t io_read_at(int fd, void *buf, size_t len, uint64_t offset);
