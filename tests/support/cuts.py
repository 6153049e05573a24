#!/usr/bin/env python3
"""cuts: the same KPIs from a mirror that cuts packets. Usage: cuts.py BUILD_DIR SCRATCH CAPTURE...

Each capture is wrapped whole and cut to 128, 256 and 512 bytes; every series of every session must be the
same. What may differ is a closed list, RULES: a row of it holds in captures alone that have a packet whose
bytes of that kind lie beyond the cut, by this script's own reading of its headers (kpis.md 1.6)."""

import re
import shutil
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path

import capture
import oracle

LENGTHS, UNCUT = (128, 256, 512), 65499  # what can be wrapped; longer frames would be left out
SERIES = re.compile(r'^vxprobe_(\w+)\{source="[^"]*",vni="(\d+)",generation="\d+",?(.*)\} (\S+)', re.M)
EXTENSIONS, FRAGMENT = {0, 43, 44, 51, 60, 135}, 44
DATA, I_DATA = 0, 64

# What lies beyond the cut: which series may differ then.
RULES = {
    "bytes": r"session_captured_bytes_total|session_truncated_packets_total",  # any at all: it was cut
    # A frame that is not IP, or does not tell its length, is as long as what came of it.
    "no length": r"(session_\w+|protocol)_bytes_total|session_loss_visible_ratio|tcp_\w+",
    # Nothing is known of a packet whose chain of headers is cut.
    "headers": r".*",
    "tcp": r'tcp_\w+\{layer="mirror"',
    # Bundled chunks; a HEARTBEAT or SACK that is longer.
    "chunks": r"sctp_\w+|session_loss_visible_\w+",
    "ue": r'\w+\{layer="ue"|flows\w*\{l4="ue_tcp"',
}


def fail(text):
    sys.exit(f"cuts: {text}")


# ---- where a packet's headers end ----

def u16(data, at):
    return struct.unpack_from(">H", data, at)[0]


def needs(frame):
    """{kind: bytes from the start of the frame that must be there}; struct.error: it ends earlier anyway."""
    kind, at = u16(frame, 12), 14
    while kind in (0x8100, 0x88A8):
        kind, at = u16(frame, at + 2), at + 4
    if frame[at] >> 4 != {0x0800: 4, 0x86DD: 6}.get(kind):
        return {"no length": len(frame)}
    return ip_needs(frame, at, 0)


def ip_needs(frame, at, depth):
    version = frame[at] >> 4
    if version == 4:
        end, proto = at + 4 * (frame[at] & 15), frame[at + 9]
        total, is_later = u16(frame, at + 2), u16(frame, at + 6) & 0x1FFF
        known = {} if total >= end - at else {"no length": len(frame)}
    elif version == 6:
        end, proto, total, is_later = at + 40, frame[at + 6], u16(frame, at + 4), 0
        known = {} if total else {"no length": len(frame)}
        while proto in EXTENSIONS and end + 8 <= len(frame):
            is_later |= proto == FRAGMENT and u16(frame, end + 2) & 0xFFF8
            size = 8 if proto == FRAGMENT else 4 * (frame[end + 1] + 2) if proto == 51 else 8 * (frame[end + 1] + 1)
            proto, end = frame[end], end + size
    else:
        return {"no length": len(frame)}
    known["headers"] = end + 8 + 12 * (proto in (6, 132))
    if not is_later:
        known.update(transport_needs(frame, end, proto, depth))
    return known


def transport_needs(frame, at, proto, depth):
    if proto == 6 and at + 13 <= len(frame):
        return {"tcp": at + 4 * (frame[at + 12] >> 4)}
    if proto == 132:
        return {"chunks": chunks_end(frame, at + 12)}
    if proto == 17 and not depth and at + 16 <= len(frame) and 2152 in (u16(frame, at), u16(frame, at + 2)):
        return {"ue": inner_end(frame, at + 8)}
    return {}


def chunks_end(frame, at):
    end = at
    while at + 4 <= len(frame):
        kind, size = frame[at], u16(frame, at + 2)
        end = at + (min(size, 20) if kind in (DATA, I_DATA) else size)
        if size < 4:
            break
        at += size + -size % 4
    return end


def inner_end(frame, gtp):
    at = gtp + 8
    if frame[gtp + 1] != 255:
        return at
    if frame[gtp] & 7:
        extension, at = frame[gtp + 11] if frame[gtp] & 4 else 0, gtp + 12
        while extension and at < len(frame):
            size = 4 * frame[at] or 4
            extension, at = frame[at + size - 1], at + size
    if at + 20 > len(frame):
        return at + 40
    return max(ip_needs(frame, at, 1).values())


def beyond(path):
    """{length: kinds of which a packet has bytes beyond it}."""
    found = {length: set() for length in LENGTHS}
    with open(path, "rb") as stream:
        try:
            for p in capture.Capture(stream):
                if p.linktype != capture.ETHERNET:
                    continue
                try:
                    kinds = needs(p.data)
                except (struct.error, IndexError):
                    kinds = {"headers": len(p.data)}
                for length in LENGTHS:
                    if len(p.data) > length:
                        found[length] |= {"bytes"} | {kind for kind, end in kinds.items() if end > length}
        except capture.Damaged:
            pass
    return found


# ---- the comparison ----

def series(build, folder, path, length):
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "out").mkdir(parents=True)
    cut = ["--packet-length", str(length)]
    subprocess.run([build / "vxmirror", "wrap", path, folder / "wrapped", "--sessions", "3", *cut], check=True,
                   stderr=subprocess.DEVNULL)
    text = subprocess.run([build / "vxprobe", "read", folder / "wrapped", "-o", folder / "out", "--unencrypted",
                           "--unknown-sessions", "count", "--flows-max", "16384", "--metrics", "-"], check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    shutil.rmtree(folder)
    return {(vni, f"{name}{{{labels}}}"): value for name, vni, labels, value in SERIES.findall(text)
            if not name.endswith("_info")}


def judge(build, scratch, path):
    """(Counter of series compared, excused by rule and packets beyond; sentences on what is wrong)."""
    counts, wrong = Counter(), []
    folder = scratch / path.name
    whole, excuses = series(build, folder, path, UNCUT), beyond(path)
    for length in LENGTHS:
        cut = series(build, folder, path, length)
        for key in sorted(whole.keys() | cut.keys()):
            counts[f"at {length}"] += 1
            if whole.get(key) == cut.get(key):
                continue
            rule = next((r for r in RULES if r in excuses[length] and re.match(RULES[r], key[1])), None)
            counts[f"may differ ({rule})"] += 1
            if not rule:
                wrong.append(f"{path.name} cut to {length}: {key[1]} is {cut.get(key)}, uncut {whole.get(key)}")
    return counts, wrong


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    build, scratch, *paths = map(Path, sys.argv[1:])
    total, wrong = oracle.judge_all(lambda path: judge(build, scratch, path), paths)
    if wrong:
        fail("\n".join(wrong[:40]))
    if not total["may differ (bytes)"]:
        fail("nothing was cut")
    print(f"{len(paths)} captures, series compared " + ", ".join(f"{n} {what}" for what, n in sorted(total.items())))


if __name__ == "__main__":
    main()
