#include "path/seal.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#define ENTRIES 5u

static struct seal_identity identity = {{1, 2, 3}};
static uint8_t file[SEAL_CHUNK + 8192];

static ssize_t read_file(void *arg, uint64_t offset, void *buf, size_t len)
{
	(void)arg;
	memcpy(buf, file + offset, len);
	return (ssize_t)len;
}

/* A file whose entries are sealed into out, one behind the other. */
static struct unseal *make(uint8_t out[ENTRIES][16 + SEAL_TAG])
{
	const struct unseal_keys keys = {.identities = &identity, .n = 1};
	struct unseal_source source = {.read = read_file};
	struct seal_recipient recipient;
	struct unseal *unseal;
	struct seal *seal;
	struct err err;
	size_t n;

	cr_assert_eq(seal_identity_recipient(&identity, &recipient), 0);
	cr_assert_eq(seal_open(&seal, &recipient, 1, seal_random, &err), 0, "%s", err.text);
	source.size = seal_header(seal, file);
	for (unsigned i = 0; i < ENTRIES; i++) {
		memset(out[i], (int)i, 16);
		cr_assert_eq(seal_index_entry(seal, out[i], 16, out[i]), 0);
	}
	cr_assert_eq(seal_final(seal, file + source.size, &n), 0);
	source.size += n;
	seal_close(seal);
	cr_assert_eq(unseal_open(&unseal, &source, &keys, &err), 0, "%s", err.text);
	return unseal;
}

Test(seal_index, entries_open_by_their_number_in_any_order_and_in_place)
{
	uint8_t sealed[ENTRIES][16 + SEAL_TAG], want[16];
	struct unseal *unseal = make(sealed);

	for (unsigned i = ENTRIES; i-- > 0;) {
		memset(want, (int)i, sizeof(want));
		cr_assert_neq(memcmp(sealed[i], want, 16), 0);
		cr_assert_eq(unseal_index_entry(unseal, i, sealed[i], 16 + SEAL_TAG, sealed[i]), 0);
		cr_assert_eq(memcmp(sealed[i], want, 16), 0);
	}
	unseal_close(unseal);
}

Test(seal_index, what_is_altered_cut_or_elsewhere_does_not_open)
{
	uint8_t sealed[ENTRIES][16 + SEAL_TAG], out[16 + SEAL_TAG];
	struct unseal *unseal = make(sealed), *other;

	cr_assert_eq(unseal_index_entry(unseal, 1, sealed[0], sizeof(out), out), -EBADMSG);
	cr_assert_eq(unseal_index_entry(unseal, 0, sealed[0], sizeof(out) - 1, out), -EBADMSG);
	cr_assert_eq(unseal_index_entry(unseal, 0, sealed[0], SEAL_TAG - 1, out), -EBADMSG);
	cr_assert_eq(unseal_index_entry(unseal, 0, sealed[0], 0, out), -EBADMSG);
	for (size_t i = 0; i < sizeof(out); i++) {
		sealed[0][i] ^= 1;
		cr_assert_eq(unseal_index_entry(unseal, 0, sealed[0], sizeof(out), out), -EBADMSG);
		sealed[0][i] ^= 1;
	}
	cr_assert_eq(unseal_index_entry(unseal, 0, sealed[0], sizeof(out), out), 0);
	unseal_close(unseal);
	uint8_t theirs[ENTRIES][16 + SEAL_TAG];
	other = make(theirs);
	cr_assert_eq(unseal_index_entry(other, 0, sealed[0], sizeof(out), out), -EBADMSG);
	unseal_close(other);
}

/* The first chunk and the first entry have the same nonce, so they must not have the same key: an
 * entry as long as a chunk would be one. */
Test(seal_index, entries_have_another_key_than_the_payload)
{
	static uint8_t entry[SEAL_CHUNK];
	const struct unseal_keys keys = {.identities = &identity, .n = 1};
	struct unseal_source source = {.read = read_file};
	struct seal_recipient recipient;
	struct unseal *unseal;
	struct seal *seal;
	struct err err;

	cr_assert_eq(seal_identity_recipient(&identity, &recipient), 0);
	cr_assert_eq(seal_open(&seal, &recipient, 1, seal_random, &err), 0, "%s", err.text);
	source.size = seal_header(seal, file);
	cr_assert_eq(seal_index_entry(seal, entry, sizeof(entry), file + source.size), 0);
	source.size += sizeof(entry) + SEAL_TAG;
	seal_close(seal);
	cr_assert_eq(unseal_open(&unseal, &source, &keys, &err), 0, "%s", err.text);
	cr_assert_eq(unseal_size(unseal), 0);
	unseal_close(unseal);
}
