#!/usr/bin/env python3
"""handshakes: is each half of each TCP handshake what tshark says? Usage: handshakes.py BUILD_DIR SCRATCH CAPTURE...

Every capture, made Ethernet of one interface, is wrapped by vxmirror in three sessions, and the
probe's samples, one by one and as its metrics, are compared with tcp.analysis.ack_rtt of tshark on
the same file. Exit 1 at the first difference, with one sentence.

What tshark measures and the probe does not (kpis.md 1.2: one SYN and one SYN-ACK seen):
see Attempt.exclusion. tshark counts an encapsulated TCP as well, the probe the outermost alone."""

import re
import sys
from collections import Counter, namedtuple
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import capture
from oracle import Wrong, run, tshark, wrap

TOLERANCE_NS = 1000
SESSIONS = 3
FLOW_IDLE_NS = 600 * 10**9
FIN, SYN, RST, ACK = 1, 2, 4, 16
HALVES = ("server", "client")
# IP directly in the mirrored Ethernet frame, TCP directly in IP.
OUTERMOST = re.compile(r"eth:ethertype:ip:udp:vxlan:eth:ethertype:(?:vlan:ethertype:){0,2}"
                       r"(ip|ipv6)(?::ipv6\.\w+)*:tcp(?!.*:tcp)")
FIELDS = ("frame.number vxlan.vni ip.src ip.dst ipv6.src ipv6.dst tcp.srcport tcp.dstport "
          "tcp.flags tcp.seq_raw tcp.ack_raw tcp.analysis.ack_rtt tcp.analysis.acks_frame").split()
SAMPLE = re.compile(r'vxprobe_tcp_handshake_(server|client)_seconds_(count|sum|bucket)\{(.*)\} (\S+)')

Segment = namedtuple("Segment", "frame vni source target flags seq ack rtt_ns acks")


def fail(sentence):
    sys.exit(f"handshakes: {sentence}")


def outermost(wrapped, out):
    """(out, a copy with the outermost TCP alone; its frames' numbers in wrapped; SYN-ACKs left out).

    tshark does not tell a connection in a tunnel from the same outside."""
    numbers, left_out = set(), 0
    for row in tshark(wrapped, ("frame.number", "frame.protocols", "tcp.flags")):
        if OUTERMOST.match(row["frame.protocols"][0]):
            numbers.add(int(row["frame.number"][0]))
        else:
            left_out += int(row["tcp.flags"][0], 0) & (SYN | ACK) == SYN | ACK
    with open(wrapped, "rb") as stream, capture.Pcap(out) as file:
        for number, p in enumerate(capture.Capture(stream), 1):
            if number in numbers:
                file.add(p.time_ns, p.data)
    return out, sorted(numbers), left_out


def segments(path, numbers):
    """The segments of what outermost() made, under their numbers in the wrapped capture."""
    for row in tshark(path, FIELDS):
        source, target = ((row[f"ip.{end}"][1:] or row[f"ipv6.{end}"])[0] for end in ("src", "dst"))
        frame, acks, flags, seq, ack = (int(row[f][0] or "0", 0) for f in (
            "frame.number", "tcp.analysis.acks_frame", "tcp.flags", "tcp.seq_raw", "tcp.ack_raw"))
        rtt = row["tcp.analysis.ack_rtt"][0] or "0"  # of 0 ns it says nothing
        yield Segment(numbers[frame - 1], int(row["vxlan.vni"][0]), (source, row["tcp.srcport"][0]),
                      (target, row["tcp.dstport"][0]), flags, seq, ack,
                      int(Decimal(rtt) * 10**9), acks and numbers[acks - 1])


class Attempt:
    """One attempt to open a connection, as far as it was seen."""

    def __init__(self, client, isn):
        self.client, self.isn = client, isn
        self.syns, self.answers = 0, 0
        self.is_acked_early = False

    def is_of(self, syn):
        both_ask = self.syns and not self.answers and syn.source != self.client
        return both_ask or (syn.source, syn.seq) == (self.client, self.isn)

    def exclusion(self, half, s):
        """Why tshark's sample on segment s does not count; None: it does."""
        if self.syns != 1:
            return "SYN more than once, or from both sides" if self.syns else "no SYN"
        if self.answers > (half == "client"):
            return "SYN-ACK more than once"
        if self.is_acked_early and half == "client":
            return "ACK before its SYN-ACK"
        if s.flags & RST:
            return "ended by RST"
        if s.rtt_ns > FLOW_IDLE_NS:
            return "later than a silent flow is kept"
        return "negative" if s.rtt_ns < 0 else None


def judged(found):
    """({(frame, half): (vni, ns)}, Counter of exclusions) of tshark's samples of handshakes."""
    expected, excluded = {}, Counter()
    attempts, by_frame = {}, {s.frame: s for s in found}
    for s in found:
        key = s.vni, frozenset((s.source, s.target))
        kind = s.flags & (SYN | ACK)
        attempt = attempts.get(key)
        if kind == SYN and not (attempt and attempt.is_of(s)):
            attempt = attempts[key] = Attempt(s.source, s.seq)
        elif not attempt:
            attempt = attempts[key] = Attempt(s.target, s.ack - 1) if kind == SYN | ACK else Attempt(None, 0)
        acked = by_frame[s.acks].flags & (SYN | ACK) if s.acks else 0
        half = {(SYN | ACK, SYN): "server", (ACK, SYN | ACK): "client"}.get((kind, acked))
        if half:
            why = attempt.exclusion(half, s)
            excluded[why] += 1
            if not why:
                expected[s.frame, half] = s.vni, s.rtt_ns
        attempt.syns += kind == SYN
        attempt.answers += kind == SYN | ACK
        if kind == ACK and s.source == attempt.client and not (attempt.answers and attempt.syns):
            attempt.is_acked_early |= not s.flags & RST
    del excluded[None]
    return expected, excluded


# ---- what the probe says ----

def samples(build, wrapped):
    found = {}
    for line in run(build / "events", wrapped).splitlines():
        vni, frame, metric, ns = line.split()
        half = re.match(r'vxprobe_tcp_handshake_(server|client)_seconds\{layer="mirror"', metric)
        if half:
            found[int(frame), half[1]] = int(vni), int(ns)
    return found


def metrics(build, wrapped, folder, workers):
    """{(vni, half, "count" or "sum" or edge): value} of vxprobe's own metrics."""
    out = folder / f"out{workers}"
    out.mkdir()
    text = run(build / "vxprobe", "read", wrapped, "-o", out, "--unencrypted", "--workers", str(workers),
               "--metrics", "-")
    found = Counter()
    for half, what, labels, value in SAMPLE.findall(text):
        label = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        if label["layer"] != "mirror":
            continue
        found[int(label["vni"]), half, label.get("le", what)] += Decimal(value)
    return found


# ---- the judgement ----

def compare_samples(name, expected, got):
    for frame, half in sorted(expected.keys() | got.keys()):
        want, have = expected.get((frame, half)), got.get((frame, half))
        if not want or not have or want[0] != have[0] or abs(want[1] - have[1]) > TOLERANCE_NS:
            fail(f"{name}: frame {frame}, {half} half: tshark says {want}, the probe {have} (VNI, ns)")


def compare_metrics(name, expected, got, workers):
    for vni, half in {(vni, half) for vni, half, _ in got} | {(v, h) for (_, h), (v, _) in expected.items()}:
        ns = [ns for (_, h), (v, ns) in expected.items() if (v, h) == (vni, half)]
        what = f"{name}: {workers} workers, VNI {vni}, {half} half"
        if got[vni, half, "count"] != len(ns):
            fail(f"{what}: count is {got[vni, half, 'count']}, must be {len(ns)}")
        if abs(got[vni, half, "sum"] * 10**9 - sum(ns)) > TOLERANCE_NS * len(ns):
            fail(f"{what}: sum is {got[vni, half, 'sum']}, must be {sum(ns)} ns")
        for edge in {e for v, h, e in got if (v, h) == (vni, half)} - {"count", "sum"}:
            up_to = sum(Decimal(n) <= Decimal(edge) * 10**9 for n in ns) if edge != "+Inf" else len(ns)
            if got[vni, half, edge] != up_to:
                fail(f"{what}: {got[vni, half, edge]} samples up to {edge} s, must be {up_to}")


def judge(build, scratch, path):
    """Counter of what was compared and why something was not."""
    folder = scratch / path.name
    folder.mkdir()
    wrapped = wrap(build, path, folder, "--sessions", str(SESSIONS))
    path_outermost, numbers, in_tunnels = outermost(wrapped, folder / "outermost.pcap")
    expected, excluded = judged(list(segments(path_outermost, numbers)))
    compare_samples(path.name, expected, samples(build, wrapped))
    if expected:
        for workers in (1, SESSIONS):
            compare_metrics(path.name, expected, metrics(build, wrapped, folder, workers), workers)
    counts = Counter({f"excluded: {why}": n for why, n in excluded.items()})
    counts["excluded: in a tunnel"] = in_tunnels
    counts.update(half for _, half in expected)
    counts["captures"] = bool(expected)
    return counts


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    build, scratch, *paths = map(Path, sys.argv[1:])
    total = Counter()
    with ThreadPoolExecutor(2) as pool:
        for counts in pool.map(lambda path: judge(build, scratch, path), paths):
            total += counts
    if not all(total[half] for half in HALVES):
        fail("nothing was compared")
    why = "; ".join(f"{n} {key}" for key, n in sorted(total.items()) if key.startswith("excluded"))
    print(f"{total['captures']} captures of {len(paths)}, {total['server']} server and {total['client']} client halves "
          f"equal to tshark's within {TOLERANCE_NS} ns, by 1 and by {SESSIONS} workers; {why}")


if __name__ == "__main__":
    try:
        main()
    except Wrong as wrong:
        fail(wrong)
