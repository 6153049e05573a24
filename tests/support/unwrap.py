#!/usr/bin/env python3
"""unwrap KEYFILE FOLDER [base64]: for vxcap --unwrap: the stanzas of a header come on standard input, the file key
goes to standard output. Stands for an HSM or a KMS. Made from the text of age.md and openssl's commands; FOLDER is
for their files. Takes the first X25519 stanza, unproven: a wrong key fails the header's MAC."""

import base64
import subprocess
import sys
from pathlib import Path

DIGITS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
# RFC 8410: what stands before the 32 bytes of an X25519 key.
PUBLIC = bytes.fromhex("302a300506032b656e032100")
PRIVATE = bytes.fromhex("302e020100300506032b656e04220420")


def openssl(*arguments, data=b""):
    return subprocess.run(["openssl", *arguments], input=data, stdout=subprocess.PIPE, check=True).stdout


def secret_of(path):
    lines = Path(path).read_text(encoding="ascii").splitlines()
    text = next(line for line in lines if line.startswith("AGE-SECRET-KEY-1")).lower()
    value = 0
    for c in text[len("age-secret-key-1"):-6]:
        value = value << 5 | DIGITS.index(c)
    return (value >> 4).to_bytes(32, "big")


def main():
    key, folder = sys.argv[1], Path(sys.argv[2])
    lines = sys.stdin.read().split("\n")
    assert lines[-2:] == ["---", ""], lines[-2:]
    at = next(i for i, line in enumerate(lines) if line.startswith("-> X25519 "))
    share, body = (base64.b64decode(text + "=") for text in (lines[at].split()[2], lines[at + 1]))
    private, peer = folder / "private.der", folder / "peer.der"
    private.write_bytes(PRIVATE + secret_of(key))
    peer.write_bytes(PUBLIC + share)
    recipient = openssl("pkey", "-inform", "DER", "-in", private, "-pubout", "-outform", "DER")[-32:]
    shared = openssl("pkeyutl", "-derive", "-keyform", "DER", "-inkey", private, "-peerform", "DER", "-peerkey", peer)
    wrap = openssl("kdf", "-keylen", "32", "-kdfopt", "digest:SHA256", "-kdfopt", f"hexkey:{shared.hex()}",
                   "-kdfopt", f"hexsalt:{(share + recipient).hex()}", "-kdfopt", "info:age-encryption.org/v1/X25519",
                   "-binary", "HKDF")
    # ChaCha20-Poly1305 encrypts from block 1 on (RFC 8439 section 2.8); the nonce is zero.
    file_key = openssl("enc", "-d", "-chacha20", "-K", wrap.hex(), "-iv", "01" + 15 * "00", data=body[:16])
    print(base64.b64encode(file_key).decode() if sys.argv[3:] else file_key.hex())


if __name__ == "__main__":
    main()
