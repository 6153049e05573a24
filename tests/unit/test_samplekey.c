#include "config/samplekey.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "../support/memfile.h"

static struct siphash_key key;
static struct err err;
static char path[MEMFILE_PATH];

static int read_bytes(const char *bytes, size_t len)
{
	const int fd = memfile(bytes, len);

	memfile_path(path, fd);
	const int ret = samplekey_read(&key, path, &err);
	close(fd);
	return ret;
}

static int read_text(const char *text)
{
	return read_bytes(text, strlen(text));
}

/* printf 0123456789abcdef | sha256sum */
Test(samplekey, key_is_a_part_of_the_sha256)
{
	cr_assert_eq(read_text("0123456789abcdef"), 0, "%s", err.text);
	cr_expect_eq(key.word[0], 0x9f9f5111f7b27a78);
	cr_expect_eq(key.word[1], 0x1f1f1ddde5ebc2dd);
}

Test(samplekey, white_space_at_the_end_says_nothing)
{
	cr_assert_eq(read_text("0123456789abcdef \t\r\n\n"), 0, "%s", err.text);
	cr_expect_eq(key.word[0], 0x9f9f5111f7b27a78);
	cr_assert_eq(read_text(" 0123456789abcdef"), 0, "%s", err.text);
	cr_expect_neq(key.word[0], 0x9f9f5111f7b27a78);
}

Test(samplekey, length_is_bounded)
{
	static char bytes[SAMPLEKEY_MAX + 10];

	memset(bytes, 'k', sizeof(bytes));
	cr_expect_eq(read_bytes(bytes, SAMPLEKEY_MAX), 0);
	cr_expect_eq(read_bytes(bytes, SAMPLEKEY_MAX + 1), -EINVAL);
	cr_expect_eq(read_bytes(bytes, SAMPLEKEY_MIN - 1), -EINVAL);
	cr_expect(strstr(err.text, path) && strstr(err.text, "a key has 16 to 4096 bytes; "), "%s",
		  err.text);
	cr_expect_eq(read_text("0123456789abcde\n"), -EINVAL);
}

Test(samplekey, file_that_cannot_be_read_is_named)
{
	key = (struct siphash_key){{1, 2}};
	cr_expect_eq(samplekey_read(&key, "/nonexistent/key", &err), -ENOENT);
	cr_expect(strstr(err.text, "/nonexistent/key"), "%s", err.text);
	cr_expect_eq(samplekey_read(&key, "/tmp", &err), -EISDIR);
	cr_expect_eq(key.word[0], 1, "untouched");
}
