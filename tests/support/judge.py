#!/usr/bin/env python3
"""judge: says whether a result is what it must be. Independent of the probe: see capture.py.

Result files may be pcap, pcapng, or sealed (.age; needs --key). Exit 1 at the first difference,
with one sentence. The laws and rules are DESIGN 5, 7 and 10."""

import argparse
import re
import struct
import subprocess
import sys
from collections import Counter, defaultdict

import capture

# A 65,535-byte outer IPv4 packet less IPv4, UDP and VXLAN headers: larger ones cannot be wrapped.
WRAP_MAX = 65535 - 20 - 8 - 8
VLAN_TAGS = (0x8100, 0x88A8, 0x9100)
FLOW_PROTOCOLS = (6, 17, 132)  # TCP, UDP, SCTP: what has ports in its first four bytes
GTP_U = 2152  # steered by the packet inside, so a pair of its ports has no one worker


def fail(sentence):
    sys.exit(f"judge: {sentence}")


# ---- reading ----

def unsealed(path, key):
    """The stock tools' view of a sealed file, as a stream."""
    age = subprocess.Popen(["age", "-d", "-i", key, path], stdout=subprocess.PIPE)
    zstd = subprocess.Popen(["zstd", "-dc"], stdin=age.stdout, stdout=subprocess.PIPE)
    age.stdout.close()
    return zstd.stdout, (age, zstd)


def read_result(path, key=None):
    """All packets of a result; damage is a failure."""
    stream, tools = unsealed(path, key) if path.endswith(".age") else (open(path, "rb"), ())
    reader = capture.Capture(stream)
    try:
        with stream:
            packets = list(reader)
    except capture.Damaged as damage:
        fail(f"{path}: {damage}")
    for tool in tools:
        if tool.wait():
            fail(f"{path}: {tool.args[0]} cannot read it")
    check_statistics(path, reader, packets)
    return packets


def check_statistics(path, reader, packets):
    """isb_usrdeliv of an interface, where there is one, is in the end the number of its packets."""
    here = Counter(p.interface for p in packets)
    for s in {s.interface.name: s for s in reader.statistics}.values():
        if s.delivered is not None and s.delivered != here[s.interface.name]:
            fail(f"{path}: the statistics of {s.interface.name} say {s.delivered} packets, "
                 f"the file has {here[s.interface.name]}")


def read_results(args):
    return [p for path in args.result for p in read_result(path, args.key)]


def read_original(path):
    """The Ethernet packets that can be wrapped; what cannot is named on stdout."""
    kept, too_large = [], []
    with open(path, "rb") as stream:
        try:
            for p in capture.Capture(stream):
                if p.linktype == capture.ETHERNET:
                    (kept if len(p.data) <= WRAP_MAX else too_large).append(p)
        except capture.Damaged as damage:
            print(f"note: {name(path)}: {damage}; the {len(kept)} packets before count")
    if too_large:
        sizes = ", ".join(str(len(p.data)) for p in too_large)
        print(f"left out: {name(path)}: packets too large to be wrapped: {sizes} bytes")
    return kept


def read_originals(paths, loop=1):
    return [p for path in paths for p in read_original(path)] * loop


def name(path):
    return path.rsplit("/", 1)[-1]


# ---- what a packet says ----

def network(data):
    """(ethertype, offset) behind at most two VLAN tags; None when the frame ends before."""
    offset = 12
    for _ in range(3):
        if len(data) < offset + 2:
            return None
        ethertype, = struct.unpack_from(">H", data, offset)
        if ethertype not in VLAN_TAGS or offset == 20:
            return ethertype, offset + 2
        offset += 4


def original_length(data, cut=None):
    """DESIGN 7, from the first cut bytes of data alone."""
    data = data[:cut]
    ethertype, offset = network(data) or (None, 0)
    length = 0
    if ethertype == 0x0800 and len(data) >= offset + 4 and data[offset] >> 4 == 4:
        length, = struct.unpack_from(">H", data, offset + 2)
    elif ethertype == 0x86DD and len(data) >= offset + 6 and data[offset] >> 4 == 6:
        length, = struct.unpack_from(">H", data, offset + 4)
        length += 40 if length else 0
    return max(len(data), offset + length if length else 0)


def transport(data):
    """(protocol, source, target, offset of the transport header) of an unfragmented IP packet.

    None where the packet ends before its ports by its own length: what lies behind is padding."""
    ethertype, o = network(data) or (None, 0)
    if ethertype == 0x0800 and len(data) >= o + 20 and data[o] >> 4 == 4:
        length, _, fragment = struct.unpack_from(">HHH", data, o + 2)
        head = 4 * (data[o] & 15)
        if fragment & 0x3FFF or head < 20 or 0 < length < head + 4:
            return None
        return data[o + 9], data[o + 12:o + 16], data[o + 16:o + 20], o + head
    if ethertype == 0x86DD and len(data) >= o + 40 and data[o] >> 4 == 6:
        if 0 < struct.unpack_from(">H", data, o + 4)[0] < 4:
            return None
        return data[o + 6], data[o + 8:o + 24], data[o + 24:o + 40], o + 40
    return None


def flow(p):
    """A key that both directions share; None for what is steered otherwise."""
    protocol, source, target, o = transport(p.data) or (None, None, None, 0)
    if protocol not in FLOW_PROTOCOLS or len(p.data) < o + 4:
        return None
    ports = struct.unpack_from(">HH", p.data, o)
    if protocol == 17 and GTP_U in ports:
        return None
    ends = sorted([(source, ports[0]), (target, ports[1])])
    return protocol, *ends[0], *ends[1]


def worker(p):
    if p.id is None:
        fail("a packet without a packet id")
    return p.id >> 48


# ---- the judgements ----

def same(args):
    """RESULT has exactly the Ethernet packets of the originals."""
    want = read_originals(args.original, args.loop)
    want = [(p.time_ns, p.data[:args.cut], original_length(p.data, args.cut)) for p in want]
    got = [(p.time_ns, p.data, p.original) for p in read_results(args)]
    if len(got) != len(want):
        fail(f"{len(want)} packets went in, {len(got)} came out")
    if args.ignore_time:
        compare_any_order(want, got)
    else:
        compare_in_order(sorted(want, key=lambda p: p[0]), got)
    print(f"same: {len(args.original)} captures, {len(got)} packets")


def compare_in_order(want, got):
    for i, (w, g) in enumerate(zip(want, got), 1):
        for field, a, b in zip(("time", "bytes", "original length"), w, g):
            if a != b:
                show = (a, b) if field != "bytes" else (f"{a.hex()} ({len(a)})", f"{b.hex()} ({len(b)})")
                fail(f"packet {i}: {field} is {show[1]}, must be {show[0]}")


def compare_any_order(want, got):
    want, got = (Counter(p[1:] for p in side) for side in (want, got))
    for difference, sentence in ((want - got, "is missing"), (got - want, "was never sent")):
        for (data, original), n in difference.items():
            fail(f"{n} times a packet of {len(data)} bytes (original length {original}) {sentence}: "
                 f"{data[:64].hex()}")


def count(args):
    """Number of packets of originals that can be wrapped."""
    print(len(read_originals(args.original)))


def fits(args):
    """Names of the originals that have packets, none of them larger than --max bytes."""
    for path in args.original:
        with open(path, "rb") as stream:
            try:
                sizes = [len(p.data) if p.linktype == capture.ETHERNET else args.max + 1
                         for p in capture.Capture(stream)]
            except capture.Damaged:
                continue
        if sizes and max(sizes) <= args.max:
            print(path)


def order(args):
    """Times never decrease inside a result file; across files neither, in the order given."""
    packets = read_results(args)
    for i, (a, b) in enumerate(zip(packets, packets[1:]), 2):
        if b.time_ns < a.time_ns:
            fail(f"packet {i} is {a.time_ns - b.time_ns} ns earlier than the one before it")
    print(f"order: {len(packets)} packets in time order")


def shares(args):
    """Every queue and worker has at least --least percent of the packets."""
    packets = read_results(args)
    for what, of, must in (("queue", lambda p: p.queue, args.queues), ("worker", worker, 2)):
        n = Counter(map(of, packets))
        line = ", ".join(f"{what} {k}: {100 * n[k] / len(packets):.1f} %" for k in sorted(n))
        print(f"shares: {line}")
        if len(n) != must:
            fail(f"{len(n)} {what}s had packets, not {must}")
        if min(n.values()) * 100 < args.least * len(packets):
            fail(f"a {what} had less than {args.least} % of the packets")


def flows(args):
    """Both directions of every flow are at one worker, also when they came by several queues."""
    workers, queues = defaultdict(set), defaultdict(set)
    for p in read_results(args):
        key = flow(p)
        if key:
            workers[p.interface, key].add(worker(p))
            queues[p.interface, key].add(p.queue)
    for key, at in workers.items():
        if len(at) > 1:
            fail(f"a flow of session {key[0]} is at the workers {sorted(at)}: {key[1]}")
    several = sum(len(q) > 1 for q in queues.values())
    print(f"flows: {len(workers)} flows, each at one worker; {several} came in by several queues")
    if several < args.several:
        fail(f"only {several} flows came in by several queues: this shows nothing")


def whole(args):
    """Every flow is there, and those that are not at worker --stopped have all their packets."""
    want = Counter(filter(None, map(flow, read_originals(args.original, args.loop))))
    got = Counter((flow(p), worker(p)) for p in read_results(args) if flow(p))
    stopped = {key for key, at in got if at == args.stopped}
    for key in want.keys() - {key for key, _ in got}:
        fail(f"a flow of {want[key]} packets is nowhere: {key}")
    others = {(key, at): n for (key, at), n in got.items() if at != args.stopped}
    for (key, at), n in others.items():
        if key in stopped or n != want[key]:
            fail(f"a flow has {n} of its {want[key]} packets at worker {at}: {key}")
    if not stopped or not others:
        fail(f"{len(stopped)} flows were at worker {args.stopped}, {len(others)} were not: this shows nothing")
    print(f"whole: {len(want)} flows; worker {args.stopped} had {len(stopped)}, "
          f"the other {len(others)} have all their {sum(others.values())} packets")


def spread(args):
    """As many sessions as the metrics say; prints how many pairs of source and VNI, and how many
    workers, had packets. (A pair has several sessions, NAME.2 and so on, where the MAC changes.)"""
    packets = read_results(args)
    found = {p.interface for p in packets}
    known = sum(v for m, _, v in samples(args.metrics) if m == "vxprobe_sessions")
    if len(found) != known:
        fail(f"the metrics say {known} sessions, the result has {len(found)}")
    pairs = {re.sub(r"(-\d+)\.\d+$", r"\1", name) for name in found}
    print(len(pairs), len(set(map(worker, packets))))


def sessions(args):
    """Prints the packets of each interface."""
    for session, n in sorted(Counter(p.interface for p in read_results(args)).items()):
        print(n, session)


def kept(args):
    """The results hold exactly the packets that the metrics call kept."""
    n, m = len(read_results(args)), metrics(args.metrics)
    if n != m["kept"]:
        fail(f"kept is {m['kept']}, the files hold {n} packets")
    print(f"kept: {n} packets in {len(args.result)} files, as the metrics say")


# ---- metrics ----

SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def samples(path):
    with (sys.stdin if path == "-" else open(path, encoding="utf-8")) as text:
        for line in text:
            found = SAMPLE.match(line.rstrip("\n"))
            if found:
                yield found[1], dict(LABEL.findall(found[2] or "")), int(float(found[3]))
            elif line.strip() and not line.startswith("#"):
                fail(f"{path}: not a metric: {line.rstrip()}")


def metrics(path):
    """Fates by reason, and under their own names: seen, in_flight, frames, chunks."""
    m = {"frames": defaultdict(dict), "chunks": defaultdict(dict), "fates": {}, "in_flight": 0}
    for metric, labels, value in samples(path):
        if metric == "vxprobe_packets_total":
            m["fates"][labels["reason"]] = m[labels["reason"]] = value
        elif metric == "vxprobe_seen_packets_total":
            m["seen"] = value
        elif metric == "vxprobe_in_flight_packets":
            m["in_flight"] += value  # by where they are
        elif metric in ("vxprobe_umem_frames_limit", "vxprobe_chunks_per_worker"):
            m[metric] = value
        elif metric == "vxprobe_umem_frames":
            m["frames"][labels["queue"]][labels["state"]] = value
        elif metric == "vxprobe_chunks":
            m["chunks"][labels["worker"]][labels["state"]] = value
    for needed in ("seen", "kept"):
        if needed not in m:
            fail(f"{path}: no {needed}")
    return m


def laws(args):
    """DESIGN's laws, after a stop: seen == sum of fates, nothing in flight, all frames and chunks."""
    m = metrics(args.metrics)
    if m["in_flight"]:
        fail(f"{m['in_flight']} packets are in flight after the stop")
    total = sum(m["fates"].values())
    shown = " ".join(f"{k}={v}" for k, v in m["fates"].items() if v)
    if m["seen"] != total:
        fail(f"seen {m['seen']}, fates {total}: {shown}")
    check_places("frames", m["frames"], m.get("vxprobe_umem_frames_limit"), args.live)
    check_places("chunks", m["chunks"], m.get("vxprobe_chunks_per_worker"), args.live)
    if args.live:
        check_frames_are_back(m)
    if args.sent is not None and m["seen"] - m["fates"].get("passed", 0) != args.sent:
        fail(f"{args.sent} mirrored packets were sent, {m['seen'] - m['passed']} were seen: {shown}")
    check_lost(m, args, shown)
    print(f"laws: seen {m['seen']} == {shown}")


def check_places(what, places, all_of, needed):
    """Each owner's sum over all places is the number it was given at the start."""
    if needed and not places:
        fail(f"the metrics say nothing of {what}")
    for owner, states in places.items():
        if sum(states.values()) != all_of:
            fail(f"{what} of {owner}: {states} is not {all_of}")


def check_frames_are_back(m):
    """A sum alone would hide a wrong count of one place behind another's."""
    for queue, states in m["frames"].items():
        if states != {"fill": m["vxprobe_umem_frames_limit"], "rx": 0, "kernel": 0}:
            fail(f"frames of queue {queue} after the stop: {states}, not all in the fill ring")


def check_lost(m, args, shown):
    """The overload was of the kind that was meant."""
    if args.lost == "any":
        if m["kept"] == args.sent:
            fail("nothing was lost: this was no overload")
    elif args.lost and not m[args.lost]:
        fail(f"nothing ended as {args.lost}: this was another overload: {shown}")


def running(args):
    """Of a probe that runs: no place holds more than there is; prints how many show it under load.

    The numbers are read one after the other, so no sum is a law here."""
    under_load = 0
    for path in args.scrapes:
        m = metrics(path)
        for what, all_of in (("frames", "vxprobe_umem_frames_limit"), ("chunks", "vxprobe_chunks_per_worker")):
            if not m[what]:
                fail(f"{path}: the metrics say nothing of {what}")
            for owner, states in m[what].items():
                if max(states.values()) > m[all_of]:
                    fail(f"{path}: {what} of {owner}: {states}, there are only {m[all_of]}")
        under_load += 0 < m["seen"] - m["passed"] < args.sent
    print(under_load)


def value(args):
    """Prints one fate, or seen, or in_flight."""
    print(metrics(args.metrics).get(args.name, 0))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)

    def command(run, *words):
        sub = commands.add_parser(run.__name__, help=run.__doc__)
        sub.set_defaults(run=run)
        for word in words:
            sub.add_argument(word, **OPTIONS[word])

    command(same, "original", "result1", "--key", "--loop", "--cut", "--ignore-time")
    command(count, "original")
    command(fits, "original", "--max")
    command(order, "result", "--key")
    command(shares, "result", "--key", "--least", "--queues")
    command(flows, "result", "--key", "--several")
    command(whole, "--original", "result", "--key", "--loop", "--stopped")
    command(spread, "metrics", "result", "--key")
    command(sessions, "result", "--key")
    command(kept, "metrics", "result", "--key")
    command(laws, "metrics", "--live", "--sent", "--lost")
    command(running, "scrapes", "--sent")
    command(value, "metrics", "name")
    args = parser.parse_args()
    if hasattr(args, "result1"):
        args.result = [args.result1]
    args.run(args)


OPTIONS = {
    "original": {"nargs": "+"},
    "--original": {"nargs": "+", "required": True},
    "result": {"nargs": "+"},
    "result1": {"metavar": "RESULT"},
    "metrics": {},
    "scrapes": {"nargs": "+", "metavar": "metrics"},
    "name": {},
    "--key": {"help": "age identity file, for sealed results"},
    "--loop": {"type": int, "default": 1, "help": "how often the originals were sent"},
    "--cut": {"type": int, "help": "--packet-length of the mirror"},
    "--ignore-time": {"action": "store_true", "help": "live: times and order are the probe's"},
    "--max": {"type": int, "default": WRAP_MAX},
    "--least": {"type": float, "default": 20.0},
    "--queues": {"type": int, "default": 2},
    "--several": {"type": int, "default": 0},
    "--stopped": {"type": int, "default": 0, "help": "the worker that stood still"},
    "--live": {"action": "store_true", "help": "frames and chunks must be told, and all be back"},
    "--sent": {"type": int, "help": "mirrored packets that the generator sent"},
    "--lost": {"metavar": "FATE", "help": "it must have been an overload, ended so; or any"},
}

if __name__ == "__main__":
    main()
