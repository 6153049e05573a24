/*
 * vxcap_unwrap: a command that gives file keys: the way to an HSM, a KMS or an agent, which keep
 * their private key.
 *
 *   its standard input    the stanzas of one file's header, as age.md writes them, then "---\n"
 *   its standard output   the file key, one line: 32 hexadecimal digits, or base64 (22 characters,
 *                         with or without "==")
 *   exit code             0; anything else: it does not give the key
 *
 * It is run by /bin/sh -c, so that it can have arguments and be a pipe; nothing of a file gets into
 * the command line. One run for each file; standard error is ours.
 */
#pragma once

#include "base/err.h"
#include "path/seal.h"

/* What one run may take: a person can have to touch a token. */
#define VXCAP_UNWRAP_TIMEOUT_S 60

/* For struct unseal_keys: arg is the command. -EACCES: it gives no key; -EBADMSG: what it prints is
 * none; -ETIMEDOUT, after which it is killed; -errno: it cannot be run. */
int vxcap_unwrap(void *arg, const char *stanzas, size_t len, uint8_t file_key[static SEAL_FILE_KEY],
		 struct err *err);
