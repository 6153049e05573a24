/*
 * fuzz_seal: an age file: its head without a key; with the identity of the corpus, all of it.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

#include "fuzz.h"
#include "path/seal.h"
#include "path/seal_parse.h"

/* Of the age test vectors. */
static const char identity_text[] =
	"AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0\n";

static void count_stanza(void *arg, const char *kind, int identity)
{
	FUZZ_CHECK(*kind && identity < 1);
	++*(unsigned *)arg;
}

static bool check_head(const uint8_t *data, size_t size)
{
	struct seal_head head;
	struct seal_stanza stanza;
	struct err err;
	unsigned n = 0;

	if (seal_parse_head(data, size < SEAL_PARSE_MAX ? size : SEAL_PARSE_MAX, &head, &err))
		return false;
	FUZZ_CHECK(head.mac_len <= head.len && head.len <= size);
	for (const uint8_t *p = head.stanzas; seal_parse_stanza(&p, head.stanzas_end, &stanza);)
		n++;
	FUZZ_CHECK(n == head.n_stanzas);
	return true;
}

/* Stanzas are shown to anyone; a recipient is added by who can open the file, and then opens it. */
static void check_rewrap(const struct unseal_source *source, const struct unseal_keys *keys)
{
	static struct seal_rewrapped out;
	struct seal_recipient own;
	struct seal_head head;
	struct err err;
	unsigned seen = 0;

	const int n = unseal_stanzas(source, keys, count_stanza, &seen, &err);
	FUZZ_CHECK(n > 0 && seen == (unsigned)n);
	FUZZ_CHECK(!seal_identity_recipient(keys->identities, &own));
	if (seal_rewrap(source, keys, &own, 1, seal_random, &out, &err))
		return;
	FUZZ_CHECK(!seal_parse_head(out.header, out.len, &head, &err));
	FUZZ_CHECK(head.n_stanzas == seen + 1 && head.len == out.len);
}

static void read_all(struct unseal *unseal)
{
	uint8_t buf[4096];
	uint64_t at = 0;
	ssize_t n;

	while ((n = unseal_read(unseal, at, buf, sizeof(buf))) > 0)
		at += (uint64_t)n;
	FUZZ_CHECK(n < 0 || at == unseal_size(unseal));
	(void)unseal_is_complete(unseal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct seal_identity identity;
	static int n_identities;
	const struct unseal_keys keys = {.identities = &identity, .n = 1};
	struct unseal_source source;
	struct unseal *unseal;
	struct err err;

	if (!n_identities) {
		const char *path =
			fuzz_file((const uint8_t *)identity_text, sizeof(identity_text) - 1);
		n_identities = seal_identities_read(&identity, 1, path, &err);
		FUZZ_CHECK(n_identities == 1);
	}
	const bool has_head = check_head(data, size);
	const int fd = open(fuzz_file(data, size), O_RDONLY | O_CLOEXEC);
	FUZZ_CHECK(fd >= 0 && !unseal_source_of(&source, fd));
	FUZZ_CHECK((unseal_count_recipients(&source, &err) >= 0) == has_head);
	/* What has no head is refused by the function above too, and without locked memory. */
	if (has_head && !unseal_open(&unseal, &source, &keys, &err)) {
		read_all(unseal);
		unseal_close(unseal);
	}
	if (has_head)
		check_rewrap(&source, &keys);
	(void)close(fd);
	return 0;
}
