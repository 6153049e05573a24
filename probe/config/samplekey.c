#include "config/samplekey.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "path/chain.h"
#include "wire.h"

static uint64_t word_at(const uint8_t *p)
{
	return (uint64_t)wire_u32(p) << 32 | wire_u32(p + 4);
}

static int make_key(struct siphash_key *out, const char *text, size_t len, const char *path,
		    struct err *err)
{
	uint8_t hash[CHAIN_HASH];

	while (len && strchr(" \t\r\n", text[len - 1]) && text[len - 1])
		len--;
	if (len < SAMPLEKEY_MIN || len > SAMPLEKEY_MAX)
		return err_set(err, -EINVAL,
			       "%s: a key has %d to %d bytes; 'openssl rand -hex 16' makes one",
			       path, SAMPLEKEY_MIN, SAMPLEKEY_MAX);
	chain_hash(text, len, hash);
	*out = (struct siphash_key){{word_at(hash), word_at(hash + 8)}};
	return 0;
}

int samplekey_read(struct siphash_key *out, const char *path, struct err *err)
{
	char text[SAMPLEKEY_MAX + 1];
	FILE *file = fopen(path, "re");

	if (!file)
		return err_set(err, -errno, "cannot open the sample key file %s: %s", path,
			       strerror(errno));
	const size_t len = fread(text, 1, sizeof(text), file);
	const int error = ferror(file) ? errno : 0;
	(void)fclose(file);
	return error ? err_set(err, -error, "cannot read the sample key file %s: %s", path,
			       strerror(error))
		     : make_key(out, text, len, path, err);
}
