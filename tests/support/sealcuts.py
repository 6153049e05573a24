#!/usr/bin/env python3
"""sealcuts VXCAP KEY KEY2 RECIPIENT2 FILE SCRATCH PLACES: a sealed file cut at PLACES random lengths and
around every chunk edge, judged by age, zstd and the format's own arithmetic.

At each cut: `age -d | zstd -dc` gives an exact prefix of the whole, with all frames that lie in whole
chunks; `vxcap recover` gives a sealed file that the stock tools open to the same prefix, up to its last
whole block. The random places are the same in every run."""

import random
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CHUNK = 65536
SEALED = CHUNK + 16
SEEK_MAGIC = 0x184D2A5E
SEEK_END = 0x8F92EAB1


def opened(key, sealed):
    """What the stock pipeline gives, however it ends; and whether both ended well."""
    with subprocess.Popen(["age", "-d", "-i", key], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as age:
        packed = age.communicate(sealed)[0]
    zstd = subprocess.run(["zstd", "-dcq"], input=packed, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return packed, zstd.stdout, age.returncode == 0 and zstd.returncode == 0


def frames(packed):
    """(packed end, raw end) of every frame, out of the seek table at the end."""
    count, _, magic = struct.unpack("<IBI", packed[-9:])
    assert magic == SEEK_END, "no seek table"
    table = len(packed) - 17 - 8 * count
    assert struct.unpack_from("<I", packed, table)[0] == SEEK_MAGIC
    ends, at, raw = [], 0, 0
    for i in range(count):
        packed_len, raw_len = struct.unpack_from("<II", packed, table + 8 + 8 * i)
        at, raw = at + packed_len, raw + raw_len
        ends.append((at, raw))
    return ends


def whole_blocks(pcapng):
    """Length of the pcapng blocks that are there in full."""
    at = 0
    while at + 8 <= len(pcapng):
        size = struct.unpack_from("<I", pcapng, at + 4)[0]
        if at + size > len(pcapng):
            break
        at += size
    return at


class Judge:
    def __init__(self, vxcap, key, key2, recipient2, file, scratch):
        self.vxcap, self.key, self.key2, self.recipient2 = vxcap, key, key2, recipient2
        self.sealed = Path(file).read_bytes()
        self.scratch = Path(scratch)
        packed, self.pcapng, well = opened(key, self.sealed)
        assert well, "the stock tools do not open the whole file"
        self.frames = frames(packed)
        self.head = self.sealed.index(b"\n--- ") + 1
        self.head = self.sealed.index(b"\n", self.head) + 1 + 16

    def places(self, count):
        """Chunk edges +-2, then random ones; a cut in the header leaves no file to open."""
        edges = range(self.head, len(self.sealed) + 1, SEALED)
        near = {edge + d for edge in [*edges, len(self.sealed)] for d in (-2, -1, 0, 1, 2)}
        near = {cut for cut in near if self.head <= cut < len(self.sealed)}
        return sorted(near), random.Random(5).sample(range(self.head, len(self.sealed)), count)

    def owed(self, cut):
        whole = (cut - self.head) // SEALED * CHUNK
        return max([raw for end, raw in self.frames if end <= whole], default=0)

    def check(self, cut):
        """None, or what is wrong at this cut."""
        _, got, _ = opened(self.key, self.sealed[:cut])
        if not self.pcapng.startswith(got):
            return f"cut at {cut}: not a prefix"
        if len(got) < self.owed(cut):
            return f"cut at {cut}: {len(got)} bytes, {self.owed(cut)} are in whole chunks and frames"
        return self.check_recovery(cut, whole_blocks(got))

    def check_recovery(self, cut, wanted):
        part, whole = self.scratch / f"{cut}.part.pcapng.zst.age", self.scratch / f"{cut}.pcapng.zst.age"
        part.write_bytes(self.sealed[:cut])
        run = subprocess.run([self.vxcap, "recover", part, "-i", self.key, "-r", self.recipient2, "-w", whole],
                             capture_output=True, text=True, check=False)
        try:
            if wanted == 0:
                return None if run.returncode == 1 and not whole.exists() else f"cut at {cut}: recovered from nothing"
            if run.returncode:
                return f"cut at {cut}: recover says {run.stderr}"
            if part.read_bytes() != self.sealed[:cut]:
                return f"cut at {cut}: recover touched the original"
            _, got, well = opened(self.key2, whole.read_bytes())
            if not well or got != self.pcapng[:wanted]:
                return f"cut at {cut}: {len(got)} bytes recovered, {wanted} are readable"
            return None
        finally:
            part.unlink()
            whole.unlink(missing_ok=True)


def main():
    *arguments, count = sys.argv[1:]
    judge = Judge(*arguments)
    near, anywhere = judge.places(int(count))
    with ThreadPoolExecutor(2) as pool:
        wrong = [text for text in pool.map(judge.check, near + anywhere) if text]
    if wrong:
        sys.exit("\n".join(wrong[:5]))
    total = len(near) + len(anywhere)
    print(f"{len(near)} cuts at chunk edges and {len(anywhere)} others by age and zstd: {total}/{total} exact prefixes,"
          f" {total}/{total} recovered")


if __name__ == "__main__":
    main()
