#!/usr/bin/env python3
"""transport_tcp: is every TCP segment what tshark says it is?

Usage: transport_tcp.py BUILD_DIR SCRATCH LAYERS CAPTURE...

LAYERS: mirror (TCP right in the mirrored frame), ue (TCP right inside GTP-U), or mirror,ue.

Every capture is wrapped by vxmirror; the probe's events are compared with tshark's, frame by frame:

  classes   tcp.analysis.retransmission (without fast and spurious ones), fast_retransmission and so
            on: the sets of every frame must be equal
  RTT       every sample of data and of handshakes must be tcp.analysis.ack_rtt of its frame within
            1 us. Not the other way round: tshark measures segments sent twice, too (kpis.md 1.2);
            that no sample of a handshake is missing, O5 shows

Of a capture made-up-*.pcap (segments.py) the classes alone count: what an RTT is there is anyone's guess.
tshark gets the layer's frames alone: it does not tell a connection in a tunnel from the same
outside, and believes segments that an ICMP error quotes.
What a capture has twice both get once (oracle.wrap).

A difference may be explained by a rule of this list, and by nothing else:

  impossible header   the conversation, as tshark has it, holds a segment whose header is shorter than
                      20 bytes or longer than the segment. The probe reads no such segment; tshark
                      lets it begin a conversation and end one
  fragment            a sample whose ACK lies in a fragment: tshark analyses no segment of a fragmented
                      packet (ip.defragment is off, as the probe puts none together)
  silent flow         at or behind a silence in the conversation after which the probe's flow has ended
                      and begins anew (path/flow.h, kpi/tcp.c): 70 s with no answer to a SYN, 30 s when
                      reset or closed from both sides, else 10 minutes. tshark never forgets

Explained differences are at most 1 % of the events of real captures. Prints a table; exit 1 with one
sentence if something differs, or nothing was compared."""

import re
import sys
from collections import Counter, defaultdict, namedtuple
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import oracle

TOLERANCE_NS = 1000
EXPLAINED_MAX = 0.01
CLASSES = ("retransmission fast_retransmission spurious_retransmission out_of_order duplicate_ack zero_window "
           "zero_window_probe window_full keep_alive lost_segment ack_lost_segment").split()
SAMPLES = ("tcp_rtt", "tcp_handshake_server", "tcp_handshake_client")
MADE_UP = "made-up-"
UNANSWERED_NS, CLOSED_NS, IDLE_NS = (s * 10**9 for s in (70, 30, 600))
FIN, SYN, RST, ACK = 1, 2, 4, 16
IMPOSSIBLE = ("tcp.short_segment", "tcp.bogus_header_length")
FIELDS = ("frame.number", "frame.time_epoch", "frame.protocols", "ip.src", "ipv6.src", "tcp.srcport", "tcp.flags",
          "tcp.len", "tcp.stream", "tcp.analysis.ack_rtt", "tcp.analysis.acks_frame",
          *IMPOSSIBLE, *(f"tcp.analysis.{name}" for name in CLASSES))
# TCP directly in the outermost IP.
OUTERMOST = re.compile(r"eth:ethertype:(?:vlan:ethertype:){0,2}(ip|ipv6)(?::ipv6\.\w+)*:tcp(?!.*:tcp)")
CLASS = re.compile(r'vxprobe_tcp_wireshark_packets{layer="(\w+)",class="(\w+)"}')
SAMPLE = re.compile(r'vxprobe_(\w+)_seconds{layer="(\w+)"')

# What is said of one segment. rtt_ns: None if there is none; rules: those that explain a difference here.
Segment = namedtuple("Segment", "classes rtt_ns rules")
Difference = namedtuple("Difference", "frame what tshark probe rule")


# ---- layers ----

LAYERS = {"mirror": lambda frame: frame, "ue": oracle.inside_gtpu}


# ---- what tshark says ----

def is_outermost(row):
    return OUTERMOST.match(row["frame.protocols"][0])


def rows_of(wrapped, folder, layer):
    """[(frame's number in wrapped, row)] of the layer's segments."""
    inside = LAYERS[layer]
    path, numbers = oracle.mirrored(wrapped, folder / f"{layer}.pcap", inside=inside)
    rows = list(oracle.tshark(path, FIELDS, "tcp"))
    if not all(map(is_outermost, rows)):
        wanted = {numbers[int(row["frame.number"][0]) - 1] for row in rows if is_outermost(row)}
        path, numbers = oracle.mirrored(wrapped, folder / f"{layer}-alone.pcap", wanted, inside)
        rows = list(oracle.tshark(path, FIELDS, "tcp"))
    return [(numbers[int(row["frame.number"][0]) - 1], row) for row in rows]


class Conversation:
    """How one of tshark's goes on, for the rules."""

    def __init__(self):
        self.last_ns, self.kept_ns = 0, IDLE_NS
        self.sources, self.closed, self.has_answer = set(), set(), False
        self.rules = set()

    def take(self, row):
        """The rules that explain a difference in this segment."""
        time_ns, flags = int(Decimal(row["frame.time_epoch"][0]) * 10**9), int(row["tcp.flags"][0] or "0", 0)
        source = row["ip.src"][0] or row["ipv6.src"][0], row["tcp.srcport"][0]
        if any(row[field][0] for field in IMPOSSIBLE):
            self.rules.add("impossible header")
        if self.last_ns and time_ns - self.last_ns > self.kept_ns:
            self.rules.add("silent flow")
        self.last_ns = max(time_ns, self.last_ns)
        self.sources.add(source)
        self.has_answer |= len(self.sources) > 1 or flags & (SYN | ACK) != SYN
        if flags & RST:
            self.closed |= {"by", "reset"}
        elif flags & FIN:
            self.closed.add(source)
        self.kept_ns = CLOSED_NS if len(self.closed) > 1 else IDLE_NS if self.has_answer else UNANSWERED_NS
        is_fragment = not row["tcp.len"][0]
        return self.rules | ({"fragment"} if is_fragment else set())


def segment(row, conversation):
    said = {name for name in CLASSES if row[f"tcp.analysis.{name}"][0]}
    if said & {"fast_retransmission", "spurious_retransmission"}:
        said.discard("retransmission")
    rtt = row["tcp.analysis.ack_rtt"][0] or "0"  # of 0 ns it says nothing
    has_rtt = row["tcp.analysis.acks_frame"][0]
    return Segment(said, int(Decimal(rtt) * 10**9) if has_rtt else None, conversation.take(row))


def segments_of(wrapped, folder, layer):
    """{frame: Segment}"""
    conversations = defaultdict(Conversation)
    return {number: segment(row, conversations[row["tcp.stream"][0]])
            for number, row in rows_of(wrapped, folder, layer)}


# ---- what the probe says ----

def probed(build, wrapped):
    """{layer: ({frame: classes}, [(frame, which, ns)])}"""
    found = {layer: (defaultdict(set), []) for layer in LAYERS}
    for frame, metric, change in oracle.events(build, wrapped):
        if name := CLASS.match(metric):
            found[name[1]][0][frame].add(name[2])
        elif (sample := SAMPLE.match(metric)) and sample[1] in SAMPLES:
            found[sample[2]][1].append((frame, sample[1], change))
    return found


# ---- the judgement ----

NOTHING = Segment(set(), None, set())


def differences(segments, classes, samples):
    for frame in sorted(segments.keys() | classes.keys()):
        s, got = segments.get(frame, NOTHING), classes.get(frame, set())
        if s.classes != got:
            rule = min(s.rules - {"fragment"}, default=None)
            yield Difference(frame, "classes", sorted(s.classes), sorted(got), rule)
    for frame, which, ns in samples:
        s = segments.get(frame, NOTHING)
        if s.rtt_ns is None or abs(s.rtt_ns - ns) > TOLERANCE_NS:
            yield Difference(frame, which, s.rtt_ns, ns, min(s.rules, default=None))


def judge(build, scratch, layers, path):
    """(path, Counter of events, [Difference]) of a capture."""
    folder = scratch / path.name
    folder.mkdir()
    wrapped = oracle.wrap(build, path, folder)
    probe = probed(build, wrapped)
    events, found = Counter(), []
    for layer in layers:
        segments = segments_of(wrapped, folder, layer)
        classes, samples = probe[layer]
        if path.name.startswith(MADE_UP):
            samples = []
        events.update(f"{layer} {name}" for s in segments.values() for name in s.classes)
        events.update(f"{layer} {which}" for _, which, _ in samples)
        found += differences(segments, classes, samples)
    return path, events, found


def counted(judged):
    """(Counter of events, Counter of rules) of some captures."""
    events = sum((events for _, events, _ in judged), Counter())
    return events, Counter(d.rule for _, _, found in judged for d in found if d.rule)


def show(real, made_up):
    print(f"{'layer and event':36}{'captures':>10}{'made up':>10}")
    for kind, rows in ((0, real[0] + made_up[0]), (1, real[1] + made_up[1])):
        for name in sorted(rows):
            label = f"explained: {name}" if kind else name
            print(f"{label:36}{real[kind][name]:10}{made_up[kind][name]:10}")


def check_differences(judged):
    for path, _, found in judged:
        for d in found:
            if not d.rule:
                raise oracle.Wrong(f"{path.name}: frame {d.frame}, {d.what}: tshark says {d.tshark}, "
                                   f"the probe {d.probe}")


def check_enough(layers, total):
    names = [f"{layers[0]} {what}" for what in (*CLASSES, *SAMPLES)]
    for name in names + layers:
        if not any(event.startswith(name) for event in total):
            raise oracle.Wrong(f"{name}: nothing was compared")


def verdict(layers, judged):
    """One sentence, below a table."""
    captures = [one for one in judged if not one[0].name.startswith(MADE_UP)]
    real, made_up = counted(captures), counted([one for one in judged if one not in captures])
    show(real, made_up)
    check_differences(judged)
    check_enough(layers, real[0] + made_up[0])
    events, explained = (sum(counts.values()) for counts in real)
    if explained > EXPLAINED_MAX * events:
        raise oracle.Wrong(f"{explained} of {events} events differ by a rule, which is too many")
    with_tcp = sum(bool(found) for _, found, _ in captures)
    return (f"{len(captures)} captures, {with_tcp} with events of TCP: {events} events, {explained} of them different "
            f"by a rule; {sum(made_up[0].values())} of conversations made up, all equal")


def main():
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    build, scratch, *paths = map(Path, sys.argv[1:3] + sys.argv[4:])
    layers = sys.argv[3].split(",")
    with ThreadPoolExecutor(2) as pool:
        judged = list(pool.map(lambda path: judge(build, scratch, layers, path), paths))
    print(verdict(layers, judged))


if __name__ == "__main__":
    try:
        main()
    except oracle.Wrong as wrong:
        sys.exit(f"transport_tcp: {wrong}")
