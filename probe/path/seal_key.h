/*
 * seal_key: what both halves of seal know of age's keys: where they lie and how they are derived.
 *
 *   file key --HKDF--> keys of MAC, payload, open index  wrapped for each recipient under
 *   X25519(secret, peer) --HKDF--> wrap key              a wrap key of its own
 *
 * Internal to seal*.c; stateless, any thread. -EIO: OpenSSL refuses.
 */
#pragma once

#include "path/seal.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEAL_VERSION "age-encryption.org/v1\n"
#define SEAL_KEY     32u
#define SEAL_SALT    16u /* random bytes between header and chunks */
#define SEAL_MAC     32u
#define SEAL_IV      12u
#define SEAL_B64     43u /* 32 bytes in base64 without padding */

/* Zeroed memory that is left out of core dumps; the first locked bytes of it, where the keys are to
 * lie, are never swapped while RLIMIT_MEMLOCK allows: 8 MiB by default, in pages, so 2,000 files
 * that lock one each. The caller's, until seal_key_free, which wipes it and takes NULL. */
void *seal_key_alloc(size_t size, size_t locked);
void seal_key_free(void *memory, size_t size);

int seal_key_public(const uint8_t secret[static SEAL_KEY], uint8_t out[static SEAL_KEY]);
/* The key that wraps the file key in a stanza: one side has the ephemeral secret and the
 * recipient as peer, the other the identity and the share as peer. -EBADMSG: the peer is a point of
 * low order, which age.md says to refuse. */
int seal_key_wrap(const uint8_t secret[static SEAL_KEY], const uint8_t peer[static SEAL_KEY],
		  const uint8_t share[static SEAL_KEY], const uint8_t recipient[static SEAL_KEY],
		  uint8_t out[static SEAL_KEY]);
/* MAC of the header's len bytes, which end with "---". */
int seal_key_mac(const uint8_t file_key[static SEAL_FILE_KEY], const uint8_t *header, size_t len,
		 uint8_t out[static SEAL_MAC]);

/* The key of the payload's chunks; that of the index beside the file while it is open. */
int seal_key_payload(const uint8_t file_key[static SEAL_FILE_KEY],
		     const uint8_t salt[static SEAL_SALT], uint8_t out[static SEAL_KEY]);
int seal_key_index(const uint8_t file_key[static SEAL_FILE_KEY],
		   const uint8_t salt[static SEAL_SALT], uint8_t out[static SEAL_KEY]);
/* A ChaCha20-Poly1305 context, the caller's to EVP_CIPHER_CTX_free; NULL: OpenSSL refuses. OpenSSL
 * has it on its own heap, which cannot be locked from here: so it holds a key only while
 * seal_key_encrypt or seal_key_decrypt runs. */
EVP_CIPHER_CTX *seal_key_cipher(bool encrypt);
/* IV of payload chunk i: 11 bytes big endian, then 1 for the last chunk (age.md, "Payload"). */
void seal_key_iv(uint64_t i, bool is_last, uint8_t out[static SEAL_IV]);

/* Writes len bytes of ciphertext and the tag. -EIO. */
int seal_key_encrypt(EVP_CIPHER_CTX *cipher, const uint8_t key[static SEAL_KEY],
		     const uint8_t iv[static SEAL_IV], const uint8_t *in, size_t len, uint8_t *out);
/* Turns len bytes of ciphertext and the tag into len bytes. -EBADMSG: not authentic, out wiped. */
int seal_key_decrypt(EVP_CIPHER_CTX *cipher, const uint8_t key[static SEAL_KEY],
		     const uint8_t iv[static SEAL_IV], const uint8_t *in, size_t len, uint8_t *out);
