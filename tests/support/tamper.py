#!/usr/bin/env python3
"""tamper: alters a store and its chain in every way there is, and wants each to be named.

    tamper.py VXCAP FOLDER TIMES EVERY

Each time in a copy of FOLDER; vxcap verify and the judge (chain.py) must both name what was touched,
vxcap an altered entry or file that alone. TIMES: places altered in each file and entry; EVERY: of how many
files and entries one is taken, 1 is all. The attacker holds the folder and the key file; the head, where it is
needed, was anchored elsewhere before."""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import chain
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

counts = {}


class Copy:
    """The store anew: files are links until they are written to."""

    def __init__(self, original, scratch):
        self.folder = Path(tempfile.mkdtemp(dir=scratch))
        for path in original.iterdir():
            os.link(path, self.folder / path.name)
        self.lines = (original / chain.CHAIN).read_bytes().split(b"\n")[:-1]

    def write(self, name, data):
        (self.folder / name).unlink(missing_ok=True)
        (self.folder / name).write_bytes(data)

    def write_chain(self, lines):
        self.write(chain.CHAIN, b"".join(line + b"\n" for line in lines))

    def close(self):
        shutil.rmtree(self.folder)


class Tamper:
    def __init__(self, vxcap, original, scratch):
        self.vxcap, self.original, self.scratch = vxcap, original, scratch
        self.lines = (original / chain.CHAIN).read_bytes().split(b"\n")[:-1]
        self.head = chain.sha256(self.lines[-1])
        self.first_key = json.loads(self.lines[0])["key"]
        self.files = sorted(p.name for p in original.iterdir() if chain.STORED.fullmatch(p.name))

    def verify(self, folder, pins):
        options = ["--head", self.head] * ("head" in pins) + ["--first-key", self.first_key] * ("key" in pins)
        done = subprocess.run([self.vxcap, "verify", folder, "--json", *options], capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1):
            sys.exit(f"tamper: vxcap verify: exit code {done.returncode}: {done.stderr}")
        remarks = [r for f in json.loads(done.stdout)["folders"] for r in f["remarks"] if r["kind"] != "note"]
        if bool(remarks) != bool(done.returncode):
            sys.exit(f"tamper: vxcap verify: exit code {done.returncode} with {remarks}")
        return remarks

    @staticmethod
    def names(remark, target):
        if target in ("head", "key"):
            return remark["kind"] == {"head": "no-head", "key": "other-key"}[target]
        if isinstance(target, int):
            return "file" not in remark and remark.get("entry", 0) <= target <= remark.get("last", -1)
        return remark.get("file") == target

    def expect(self, what, copy, targets, exact=False, pins=(), innocent=(), enough=all):
        """Each of targets is named by both (enough: or any); exact: vxcap names nothing else."""
        remarks = self.verify(copy.folder, pins)
        judged = chain.judge(copy.folder, self.head if "head" in pins else None, self.first_key if "key" in pins else None)
        if not enough(any(self.names(r, target) for r in remarks) for target in targets):
            sys.exit(f"tamper: {what}: vxcap does not name {targets}: {remarks}")
        if not enough(target in judged for target in targets):
            sys.exit(f"tamper: {what}: the judge does not name {targets}: {judged}")
        if any(self.names(r, i) for r in remarks for i in innocent):
            sys.exit(f"tamper: {what}: vxcap names {innocent}: {remarks}")
        if exact and not all(any(self.names(r, t) for t in targets) for r in remarks):
            sys.exit(f"tamper: {what}: vxcap names more than {targets}: {remarks}")
        counts[what.split(",")[0]] = counts.get(what.split(",")[0], 0) + 1
        copy.close()

    def copy(self):
        return Copy(self.original, self.scratch)


def altered(data, rng):
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ rng.randrange(1, 256)]) + data[at + 1:], at


def altered_line(line, rng):
    """Another printable byte; a line end would make two entries of one."""
    at = rng.randrange(len(line))
    return line[:at] + bytes([rng.choice([c for c in range(0x20, 0x7F) if c != line[at]])]) + line[at + 1:]


def tamper_files(t, times, every, rng):
    for name in t.files[::every]:
        data = (t.original / name).read_bytes()
        for _ in range(times):
            copy = t.copy()
            bad, at = altered(data, rng)
            copy.write(name, bad)
            t.expect(f"byte of a file, {name} at {at}", copy, {name}, exact=True)
        for what, bad in (("cut file", data[:-1]), ("lengthened file", data + b"\0")):
            copy = t.copy()
            copy.write(name, bad)
            t.expect(what, copy, {name}, exact=True)
        copy = t.copy()
        (copy.folder / name).unlink()
        t.expect(f"removed file, {name}", copy, {name}, exact=True)
        copy = t.copy()
        copy.write("vxprobe_000999_20260101T000000Z_20260101T000001Z.pcapng.zst.age", data)
        t.expect("appended file", copy, {"vxprobe_000999_20260101T000000Z_20260101T000001Z.pcapng.zst.age"}, exact=True)
        other = rng.choice([f for f in t.files if f != name])
        copy = t.copy()
        copy.write(name, (t.original / other).read_bytes())
        copy.write(other, data)
        t.expect(f"swapped files, {name} and {other}", copy, {name, other}, exact=True)


def some(lines, every):
    """(number, line): of the first and the last, and of some between."""
    return [(i, line) for i, line in enumerate(lines) if i % every == 0 or i + 1 == len(lines)]


def tamper_entries(t, times, every, rng):
    n = len(t.lines)
    for i, line in some(t.lines, every):
        for _ in range(times):
            copy = t.copy()
            copy.write_chain(t.lines[:i] + [altered_line(line, rng)] + t.lines[i + 1:])
            # Of the key that an entry names only the next entry can tell, and of the last none.
            t.expect(f"byte of an entry, {i + 1}", copy, {i + 1}, innocent=set(range(1, n + 1)) - {i + 1} - ({i + 2} if i + 2 == n else set()))
        copy = t.copy()
        copy.write_chain(t.lines[:i] + t.lines[i + 1:])
        t.expect(f"removed entry, {i + 1}", copy, {i + 1} if i + 1 < n else {"head"}, pins={"head"})
        copy = t.copy()
        copy.write_chain(t.lines[:i + 1] + t.lines[i:])
        t.expect(f"repeated entry, {i + 1}", copy, {i + 1})
        copy = t.copy()
        copy.write_chain(t.lines + [line])
        t.expect(f"appended entry, {i + 1}", copy, {i + 1})
        j = rng.choice([k for k in range(n) if k != i])
        swapped = list(t.lines)
        swapped[i], swapped[j] = swapped[j], swapped[i]
        copy = t.copy()
        copy.write_chain(swapped)
        t.expect(f"reordered entries, {i + 1} and {j + 1}", copy, {i + 1, j + 1}, enough=any)
        copy = t.copy()
        copy.write_chain(t.lines[:i])
        t.expect(f"chain cut off, behind {i}", copy, {"head"} | {json.loads(x)["file"] for x in t.lines[i:] if "sha256" in json.loads(x) and json.loads(x).get("file") in t.files}, pins={"head"})
        copy = t.copy()
        copy.write(chain.CHAIN, b"".join(x + b"\n" for x in t.lines[:i]) + line[:rng.randrange(1, len(line))])
        t.expect(f"chain cut off, within {i + 1}", copy, {i + 1}, pins=set())


def resigned(writer, line, secret=None, **changes):
    entry = json.loads(line)
    del entry["sig"]
    entry.update(changes)
    writer.secret = secret or writer.secret
    return writer.sign(entry)


def fabricate(t, copy, i, changes, first_secret):
    """All entries from i on anew, with keys of the attacker's; the first signed with first_secret."""
    writer = chain.Writer(copy.folder)
    lines, secret = list(t.lines[:i]), first_secret
    for k in range(i, len(t.lines)):
        following = Ed25519PrivateKey.generate()
        new = {"prev": chain.sha256(lines[-1]) if lines else "0" * 64, "next": writer.public(following)}
        if k == 0:
            new["key"] = writer.public(secret)
        lines.append(resigned(writer, t.lines[k], secret, **new, **(changes if k == i else {})))
        secret = following
    return lines


def tamper_with_key(t, every, rng):
    """All that the probe holds at the end: no entry before can be changed unseen."""
    for i, line in some(t.lines, every):
        entry = json.loads(line)
        changes = {"time": "2026-01-01T00:00:00.000000000Z"}
        name = entry.get("file") if entry["event"] in chain.CONTENT else None
        for what in ("entry re-signed with the current key", "chain made anew from an entry on", "chain cut and continued with the current key"):
            copy = t.copy()
            if name:  # and the file to match
                bad = rng.randbytes(70000)
                copy.write(name, bad)
                changes |= {"bytes": len(bad), "sha256": chain.sha256(bad)}
            current = chain.Writer(copy.folder).secret
            if what.startswith("entry"):
                lines = t.lines[:i] + [resigned(chain.Writer(copy.folder), line, **changes)] + t.lines[i + 1:]
            else:
                lines = fabricate(t, copy, i, changes, current)
                lines = lines[:i + 1] if "cut" in what else lines
            copy.write_chain(lines)
            # A first entry with a key of its own is a chain of its own: that shows who pinned the first.
            own = i == 0 and not what.startswith("entry")
            t.expect(f"{what}, {i + 1}", copy, {"key"} if own else {i + 1}, pins={"key"} if own else set())


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    vxcap, original, times, every = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    rng = random.Random(13)
    with tempfile.TemporaryDirectory(dir=original.parent) as scratch:
        t = Tamper(vxcap, original, scratch)
        clean = t.copy()
        if t.verify(clean.folder, {"head", "key"}) or chain.judge(clean.folder, t.head, t.first_key):
            sys.exit(f"tamper: the untouched store is not clean: {chain.judge(clean.folder, t.head)}")
        clean.close()
        tamper_files(t, times, every, rng)
        tamper_entries(t, times, every, rng)
        tamper_with_key(t, every, rng)
    for what, n in counts.items():
        print(f"  {what}: {n}/{n} named")
    print(f"{sum(counts.values())}/{sum(counts.values())}")


if __name__ == "__main__":
    main()
