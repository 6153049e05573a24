#define _GNU_SOURCE /* memfd_create */
#include "memfile.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int memfile(const void *bytes, size_t len)
{
	const int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, bytes, len), (ssize_t)len);
	return fd;
}

void memfile_path(char out[static MEMFILE_PATH], int fd)
{
	(void)snprintf(out, MEMFILE_PATH, "/proc/self/fd/%d", fd);
}
