#!/usr/bin/env python3
"""chain: the judge of a folder's evidence, written from vxprobe-files(7) alone.

    chain.py FOLDER [HEAD]     exit 0 when entries and files are as they were written

As a module: judge() gives what is wrong as a set, Writer continues a chain as the probe does."""

import hashlib
import json
import os
import re
import sys
from datetime import datetime, timezone
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

CHAIN = "vxprobe.chain"
KEY = ".vxprobe.chain.key"
LINE = re.compile(rb'(\{"chain":1,.*),"sig":"([0-9a-f]{128})"\}')
STORED = re.compile(r"(?!\.).*\.pcapng\.zst(\.age)?$")
CONTENT = ("sealed", "broken", "found", "recovered")


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def is_signed(line, key):
    match = LINE.fullmatch(line)
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(bytes.fromhex(match[2].decode()), match[1])
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def parse(line):
    """The entry, or None."""
    try:
        entry = json.loads(line) if LINE.fullmatch(line) else None
        ok = entry and re.fullmatch("[0-9a-f]{64}", entry["prev"]) and re.fullmatch("[0-9a-f]{64}", entry["next"])
        return entry if ok and isinstance(entry["seq"], int) and isinstance(entry["event"], str) else None
    except (ValueError, KeyError, TypeError):
        return None


def judge_entries(data):
    """What is wrong with the chain, as entry numbers; the entries that count."""
    wrong, good = set(), []
    hash_before, key, number = "0" * 64, None, 0
    for line in data.split(b"\n")[:-1]:
        entry = parse(line)
        if entry is None:
            number += 1
            wrong.add(number)
            hash_before, key = sha256(line), None
            continue
        if number == 0 and entry["seq"] == 1:
            key = entry.get("key")
        if entry["seq"] != number + 1:
            wrong |= {number + 1, entry["seq"]}
        if key is not None and not is_signed(line, key):
            wrong.add(entry["seq"])
        elif entry["prev"] != hash_before:
            wrong.add(number)
        good.append(entry)
        hash_before, key, number = sha256(line), entry["next"], entry["seq"]
    if not data.endswith(b"\n"):
        wrong.add(number + 1)
    return wrong, good


def judge(folder, head=None, first_key=None):
    """What is wrong: entry numbers, names of files, "head", "key"."""
    folder = Path(folder)
    data = (folder / CHAIN).read_bytes()
    wrong, entries = judge_entries(data)
    if head and head not in {sha256(line) for line in data.split(b"\n")}:
        wrong.add("head")
    if first_key and (not entries or entries[0].get("key") != first_key):
        wrong.add("key")
    content, deleted = {}, set()
    for entry in entries:
        name = entry.get("file")
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_:-][A-Za-z0-9._:-]{0,254}", name):
            continue
        if entry["event"] in CONTENT:
            if name in content:
                wrong.add(name)
            content.setdefault(name, entry)
        if entry["event"] == "deleted":
            deleted.add(name)
    for name, entry in content.items():
        path = folder / name
        if not path.exists():
            wrong |= set() if name in deleted else {name}
        elif entry.get("bytes") != path.stat().st_size or entry.get("sha256") != sha256(path.read_bytes()):
            wrong.add(name)
    return wrong | {p.name for p in folder.iterdir() if STORED.fullmatch(p.name) and p.name not in content}


class Writer:
    """Holds what the probe holds: the chain, and the secret of the next entry."""

    def __init__(self, folder):
        self.folder = Path(folder)
        head, _, lines = (self.folder / KEY).read_bytes().partition(b"\n")
        self.secret = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(head.split()[2].decode()))
        last = lines.rstrip(b"\n").split(b"\n")[-1]
        self.sequence, self.hash = json.loads(last)["seq"], sha256(last)

    @staticmethod
    def public(secret):
        return secret.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()

    def sign(self, entry):
        """The line of an entry that is complete, signed with the secret at hand."""
        body = json.dumps(entry, separators=(",", ":")).encode()[:-1]
        return body + b',"sig":"' + self.secret.sign(body).hex().encode() + b'"}'

    def add(self, event, **members):
        """Appends an entry as the probe would, key file and all."""
        following = Ed25519PrivateKey.generate()
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"
        line = self.sign({"chain": 1, "seq": self.sequence + 1, "time": now, "prev": self.hash,
                          "next": self.public(following), "event": event, **members})
        chain = self.folder / CHAIN
        length = chain.stat().st_size
        raw = following.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()).hex()
        with open(chain, "ab") as f:
            f.write(line + b"\n")
        (self.folder / KEY).write_bytes(f"vxprobe-chain-key 1 {raw} {length}\n".encode() + line + b"\n")
        self.secret, self.sequence, self.hash = following, self.sequence + 1, sha256(line)

    def delete(self, name, reason):
        os.unlink(self.folder / name)
        self.add("deleted", file=name, reason=reason)


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    wrong = judge(*sys.argv[1:])
    for what in sorted(map(str, wrong)):
        print(what)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
