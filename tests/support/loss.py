#!/usr/bin/env python3
"""loss: what a mirror lost of TCP, and what of it the ACKs that it kept give away.
Usage: loss.py BUILD_DIR SCRATCH CAPTURE RUNS SHORT_CAPTURE

Judges the probe's counts and its interval of the loss, on captures that are whole (nothing missing)
and that vxmirror lost parts of, by chance, in bursts and by flows. Its own reader of packets, its own
intervals; of the probe it takes the metrics, of vxmirror which packets are kept and which lost.

Knowledge of a direction begins with the first number kept: of a segment, or of an ACK of the other
side. Each byte from there that is acknowledged counts; it is missing unless a packet with it was kept
before the ACK, or up to 5 ms behind it. Of what is above all kept data the last byte may be a FIN and
counts as soon as more data, or a FIN behind it, shows that it is not. Flows of which one direction was kept do not count.

The true loss: bytes of data in lost packets by bytes of data, of flows of which any packet was kept.
Whole flows that are lost leave no trace, in the estimate as in here."""

import json
import re
import shutil
import struct
import subprocess
import sys
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path

KINDS, RATES = ("random", "burst", "flow"), (0, .001, .01, .05)
# The probe waits for late data from the latest of the ACKs that came in 5 ms: up to 10 ms from the first.
LATE_NS, LATEST_NS = 5_000_000, 10_000_000
UNSURE_SHARE = .001  # of what is missing, that may have a copy which came in between
FIN, SYN, RST, ACK = 1, 2, 4, 16
OUTER = 50


def fail(text):
    sys.exit(f"loss: {text}")


# ---- packets ----

def frames(data):
    """(time in ns, place of the frame, its bytes) of a pcap file in this machine's byte order, in ns."""
    if data[:4] != struct.pack("=I", 0xA1B23C4D):
        fail("not a pcap file with ns")
    head, at = struct.Struct("=IIII"), 24
    while at < len(data):
        seconds, ns, captured, _ = head.unpack_from(data, at)
        yield seconds * 10**9 + ns, at + 16, captured
        at += 16 + captured


def ids(path):
    """epb_packetid of each packet of a file of vxmirror's: behind the options epb_flags and epb_dropcount."""
    data = path.read_bytes()
    head, found, at = struct.Struct("<II"), [], 0
    while at < len(data):
        kind, length = head.unpack_from(data, at)
        if kind == 6:
            captured, = struct.unpack_from("<I", data, at + 20)
            found += struct.unpack_from("<Q", data, at + 28 + captured + -captured % 4 + 24)
        at += length
    return found


class Traffic:
    """Segments (way, way of the other side, time, start, end, ack or None, flags) of TCP over IPv4.

    Numbers are counted from the first one of their way, so that they do not wrap."""

    def __init__(self, path):
        self.ways, self.base, self.segments = {}, [], []
        data = path.read_bytes()
        for time_ns, at, _ in frames(data):
            if data[at + 12:at + 14] != b"\x08\0" or data[at + 23] != 6:
                fail(f"packet {len(self.segments) + 1} is not TCP over IPv4")
            self.segments.append(self.segment(data, time_ns, at + 14))
        self.sent = sum(s[4] - s[3] for s in self.segments)
        self.again = self.sent_again()

    def way(self, ends, first):
        number = self.ways.setdefault(ends, len(self.ways))
        if number == len(self.base):
            self.base.append(first)
        return number

    def relative(self, number, way):
        return ((number - self.base[way] + 2**31) & (2**32 - 1)) - 2**31

    def segment(self, data, time_ns, ip):
        ip_len, = struct.unpack_from(">H", data, ip + 2)
        source, target = data[ip + 12:ip + 16], data[ip + 16:ip + 20]
        tcp = ip + 4 * (data[ip] & 15)
        seq, ack = struct.unpack_from(">II", data, tcp + 4)
        length = ip_len - (tcp - ip) - 4 * (data[tcp + 12] >> 4)
        flags = data[tcp + 13]
        here = (source, data[tcp:tcp + 2]), (target, data[tcp + 2:tcp + 4])
        seq = seq + 1 & 2**32 - 1 if flags & SYN else seq
        way = self.way(here, seq)
        back = self.way(here[::-1], ack) if flags & ACK else self.ways.get(here[::-1])
        start = self.relative(seq, way)
        if flags & SYN and start:
            fail(f"packet {len(self.segments) + 1}: ports are used again")
        return (way, back, time_ns, start, start + length,
                self.relative(ack, back) if flags & ACK and not flags & RST else None, flags)

    def sent_again(self):
        """{number of a segment whose data, SYN or FIN had been sent before: numbers of the ones that had it}."""
        found, top, before = {}, defaultdict(lambda: -1), defaultdict(list)
        for number, (way, _, _, start, end, _, flags) in enumerate(self.segments):
            start, end = start - bool(flags & SYN), end + bool(flags & FIN)
            if end > start and not flags & RST:
                if start < top[way]:
                    found[number] = [n for s, e, n in before[way] if s < end and start < e]
                top[way] = max(top[way], end)
                before[way].append((start, end, number))
        return found


# ---- what can be known ----

class Way:
    """What one side sent, as far as it was kept."""
    __slots__ = ("top", "acked", "ack", "first", "holes", "missing", "is_seen")

    def __init__(self):
        self.first = None
        self.holes, self.missing = [], []  # missing: [start, end, ns of the ACK]
        self.is_seen = False

    def begin(self, number):
        if self.first is None:
            self.first = self.top = self.acked = number
            self.ack = number, 0  # and when

    def take(self, start, end, time_ns):
        """Returns how many bytes came too late to tell whether they are missing."""
        unsure = 0
        if start > self.top:
            self.holes.append((self.top, start))
        elif start < self.top and self.holes:
            self.holes = [piece for hole in self.holes for piece in without(*hole, start, end)]
        if start < self.top and self.missing:
            kept = []
            for s, e, acked_ns in self.missing:
                late = time_ns - acked_ns
                common = min(e, end) - max(s, start)
                unsure += max(common, 0) if LATE_NS <= late < LATEST_NS else 0
                kept += [(*piece, acked_ns) for piece in without(s, e, start, end)] \
                    if common > 0 and late < LATE_NS else [(s, e, acked_ns)]
            self.missing = kept
        self.top = max(self.top, end)
        return unsure

    def take_ack(self, ack, time_ns):
        end = ack if ack <= self.top else ack - 1
        if end <= self.acked:
            return
        if end > self.top:
            self.holes.append((self.top, end))
            self.top = end
        self.acked = end
        if self.holes and self.holes[0][0] < end:
            self.missing += [(s, min(e, end), time_ns) for s, e in self.holes if s < end]
            self.holes = [(max(s, end), e) for s, e in self.holes if e > end]


def without(start, end, left_out, to):
    """What of [start, end) is not in [left_out, to)."""
    if to <= start or end <= left_out:
        return [(start, end)]
    return [(s, e) for s, e in ((start, left_out), (to, end)) if s < e]


def known(traffic, lost):
    """(bytes acknowledged, of these missing, bytes of which a copy came 5 to 10 ms too late, {way: Way})."""
    ways, unsure = defaultdict(Way), 0
    for number, (way, back, time_ns, start, end, ack, flags) in enumerate(traffic.segments):
        if number in lost or flags & RST:
            continue
        w = ways[way]
        w.is_seen = True
        w.begin(start)
        if end > start or flags & FIN:
            unsure += w.take(start, end, time_ns)
            w.take_ack(*w.ack)  # what its last byte was may be known now
        if ack is not None:
            b = ways[back]
            b.begin(ack)
            if ack > b.ack[0]:
                b.ack = ack, time_ns
            b.take_ack(*b.ack)
    other = {traffic.ways[ends]: traffic.ways.get(ends[::-1]) for ends in traffic.ways}
    ways = {n: w for n, w in ways.items() if w.is_seen and other[n] in ways and ways[other[n]].is_seen}
    return (sum(w.acked - w.first for w in ways.values()),
            sum(e - s for w in ways.values() for s, e, _ in w.missing), unsure, ways)


def removed(traffic, lost, ways):
    """Bytes that were lost with every copy and then acknowledged; and of missing ones, those copied later."""
    gone, kept = defaultdict(list), defaultdict(list)
    for number, (way, _, _, start, end, _, flags) in enumerate(traffic.segments):
        if end > start and way in ways and not flags & RST:
            (gone if number in lost else kept)[way].append((start, end))
    bytes_gone = copied = 0
    for way, pieces in gone.items():
        w = ways[way]
        cut = [(max(s, w.first), min(e, w.acked)) for s, e in pieces]
        there = union(kept[way])
        bytes_gone += length(minus(union(p for p in cut if p[0] < p[1]), there))
    for way, w in ways.items():
        missing = union((s, e) for s, e, _ in w.missing)
        if missing:
            copied += length(missing) - length(minus(missing, union(kept[way])))
    return bytes_gone, copied


def union(pieces):
    out = []
    for s, e in sorted(pieces):
        if out and s <= out[-1][1]:
            out[-1] = out[-1][0], max(e, out[-1][1])
        else:
            out.append((s, e))
    return out


def minus(pieces, others):
    """Both sorted and apart."""
    out, i = [], 0
    for s, e in pieces:
        while i < len(others) and others[i][1] <= s:
            i += 1
        k = i
        while k < len(others) and others[k][0] < e:
            if others[k][0] > s:
                out.append((s, others[k][0]))
            s = max(s, others[k][1])
            k += 1
        if s < e:
            out.append((s, e))
    return out


def length(pieces):
    return sum(e - s for s, e in pieces)


def true_loss(traffic, lost, flow_of):
    """Share of the bytes of data, in flows of which a packet was kept."""
    left, sent, gone = defaultdict(int), defaultdict(int), defaultdict(int)
    for number, (way, _, _, start, end, _, _) in enumerate(traffic.segments):
        flow = flow_of[way]
        sent[flow] += end - start
        if number in lost:
            gone[flow] += end - start
        else:
            left[flow] += 1
    total = sum(n for flow, n in sent.items() if left[flow])
    return sum(n for flow, n in gone.items() if left[flow]) / total if total else 0


# ---- the programs ----

def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        fail(f"{' '.join(map(str, command))}: {done.stderr}")
    return done.stdout


def read(build, wrapped, folder):
    """{metric: {labels without those of the session: value}}, and the report, of vxprobe."""
    found, out = defaultdict(dict), folder / "out"
    out.mkdir(exist_ok=True)
    report = run(build / "vxprobe", "read", wrapped, "-o", out, "--unencrypted", "--unknown-sessions", "count",
                 "--json", "--metrics", folder / "metrics")
    for name, labels, number in re.findall(r"^vxprobe_(\w+)\{(.*)\} (\S+)$", (folder / "metrics").read_text(), re.M):
        label = re.sub(r'(^|,)(source|vni|generation)="[^"]*"', "", labels)
        found[name][label.strip(",")] = float(number)
    shutil.rmtree(folder)
    return found, json.loads(report)


def lose(build, folder, capture, kind, rate, seed):
    """(what was kept, wrapped; numbers of what was lost)."""
    folder.mkdir(parents=True, exist_ok=True)
    kept, lost = folder / "kept", folder / "lost"
    run(build / "vxmirror", "wrap", capture, kept, "--loss", f"{rate * 100:g}%,{kind}", "--lost", lost,
        "--seed", str(seed))
    return kept, set(ids(lost))


def value(found, name, what, labels='layer="mirror"'):
    if labels not in found[name]:
        fail(f"{what}: no {name}{{{labels}}}: it waits for tcp_stream (TCP_LOSS)" if "acked" in name else
             f"{what}: no {name}{{{labels}}}")
    return found[name][labels]


def interval(report, what):
    """(estimate, low, high)"""
    loss = report["sessions"][0]["mirror_loss"] or {}
    if any(loss.get(key) is None for key in ("share", "low", "high")):
        fail(f"{what}: no interval of mirror_loss in the report ({loss}): it waits for loss_add in tcp_loss "
             "and loss_estimate in the summary")
    return loss["share"], loss["low"], loss["high"]


def again(found):
    return sum(number for name in ("tcp_retransmitted_packets_total", "tcp_out_of_order_packets_total")
               for labels, number in found[name].items() if 'layer="mirror"' in labels)


# ---- to the byte ----

def judge_bytes(case):
    """(a line of the table, what was sent again as the probe counts it) of one kind and rate."""
    build, scratch, capture, kind, rate, before = case
    what = f"{kind} {rate * 100:g}%"
    folder = scratch / f"{kind}-{rate}"
    kept, lost = lose(build, folder, capture, kind, rate, 1)
    if sorted(lost.union(ids(kept))) != list(range(len(TRAFFIC.segments))):
        fail(f"{what}: kept and lost are not all")
    acked, missing, unsure, ways = known(TRAFFIC, lost)
    gone, copied = removed(TRAFFIC, lost, ways)
    if missing - copied != gone:
        fail(f"{what}: {missing} bytes are missing and {copied} of them copied later, {gone} were removed and acknowledged")
    found, report = read(build, kept, folder)
    got = [int(value(found, f"tcp_acked{m}_bytes_total", what)) for m in ("", "_missing")]
    if got[0] != acked or not missing - unsure <= got[1] <= missing or unsure > UNSURE_SHARE * missing:
        fail(f"{what}: the probe says {got} bytes acknowledged and missing, must be {[acked, missing]}; "
             f"{unsure} bytes came too late to tell")
    if value(found, "tcp_gaps_untracked_total", what):
        fail(f"{what}: gaps were not remembered")
    ratio, low, high = interval(report, what)
    truth = true_loss(TRAFFIC, lost, FLOW_OF)
    if not low <= truth <= high or not low <= ratio <= high:
        fail(f"{what}: {low} to {high} does not cover the true loss {truth}, or the estimate {ratio}")
    if rate >= .01 and kind != "flow" and high - low > ratio / 2 and len(TRAFFIC.segments) > 500_000:
        fail(f"{what}: {low} to {high} says nothing")
    hidden = sum(n in lost or any(b in lost for b in before_it) for n, before_it in TRAFFIC.again.items())
    if before is not None and not before - hidden <= again(found) <= before:
        fail(f"{what}: {again(found)} segments out of order or sent again, must be {before - hidden} to {before}")
    line = (f"{what:13} {len(lost):7} lost {acked:11} acked {missing:9} missing ({unsure} unsure) "
            f"true {truth:.5%} estimate {ratio:.5%} [{low:.5%}, {high:.5%}] "
            f"sent again {again(found):.0f} (hidden at most {hidden})")
    return line, again(found)


# ---- 95 of 100 ----

def judge_run(case):
    build, scratch, capture, kind, rate, seed = case
    folder = scratch / f"{kind}-{rate}-{seed}"
    kept, lost = lose(build, folder, capture, kind, rate, seed)
    _, low, high = interval(read(build, kept, folder)[1], f"{kind} {rate * 100:g}%, seed {seed}")
    return low <= true_loss(SHORT, lost, SHORT_FLOW_OF) <= high


def flow_of(traffic):
    return {n: min(n, traffic.ways.get(ends[::-1], n)) for ends, n in traffic.ways.items()}


def main():
    global TRAFFIC, SHORT, FLOW_OF, SHORT_FLOW_OF
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    build, scratch, capture, runs, short = (f(a) for f, a in zip((Path, Path, Path, int, Path), sys.argv[1:]))
    TRAFFIC, SHORT = Traffic(capture), Traffic(short)
    FLOW_OF, SHORT_FLOW_OF = flow_of(TRAFFIC), flow_of(SHORT)
    whole = known(TRAFFIC, set())
    if whole[1]:
        fail(f"{capture} is not whole: {whole[1]} bytes are missing")
    print(f"{len(TRAFFIC.segments)} segments, {TRAFFIC.sent} bytes of data, {len(TRAFFIC.ways) // 2} flows, "
          f"{len(TRAFFIC.again)} segments sent again", flush=True)
    line, before = judge_bytes((build, scratch, capture, "random", 0, None))
    print(line)
    with ProcessPoolExecutor(2) as pool:  # a child has what was read
        cases = [c for c in product(KINDS, RATES) if c != ("random", 0)]
        for line, _ in pool.map(judge_bytes, [(build, scratch, capture, *c, before) for c in cases]):
            print(line, flush=True)
        for kind, rate in product(KINDS, RATES):
            seeds = range(runs) if rate else range(1)
            covers = list(pool.map(judge_run, [(build, scratch, short, kind, rate, s) for s in seeds], chunksize=5))
            if sum(covers) < .95 * len(covers):
                fail(f"{kind} {rate * 100:g}%: the interval covers the true loss in {sum(covers)} of {len(covers)} runs")
            print(f"{kind} {rate * 100:g}%: the interval covers the true loss in {sum(covers)} of {len(covers)} runs",
                  flush=True)


if __name__ == "__main__":
    main()
