#!/usr/bin/env python3
"""transport_udp: are UDP flows, ICMP and QUIC what tshark says? Usage: transport_udp.py BUILD_DIR SCRATCH CAPTURE...

Every capture is wrapped as a mirror would, and what each of its frames changes in the probe's
numbers is compared with what must follow from tshark's fields of the same frame: UDP packets, where
UDP flows begin and are refused, ICMP errors by kind, echoes and their RTT (icmp.resptime, within 1 us), QUIC
by version and both halves of its handshake. Exit 1 with the differences.

A difference may be explained by one of EXPLAINED alone; they are under 1 % of what is compared."""

import re
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path

import oracle

TOLERANCE_NS = 1000
SECOND = 10**9
IDLE_NS, IDLE_SINGLE_NS = 120 * SECOND, 10 * SECOND
IDLE_KEPT_TO_NS = 3 * SECOND  # flow.h: to about a second, at either end
EXPLAINED = {
    "echo: of a tunnel": "tshark answers a request in a tunnel by a reply outside, or the reverse",
    "echo: late": "a reply 5 s after its request, or later, is none",
    "echo: sent again": "tshark takes the second reply under a number as well",
    "flow: silence near its limit": "a flow ends when the table comes by, to about a second",
    "flow: time runs backwards": "frames before others by number and behind them by time",
    "quic: short": "a client's first Initial of less than 1200 bytes is none (RFC 9000 section 14.1)",
}
OUTERMOST = re.compile(r"eth:ethertype:(?:(?:vlan|ieee8021ad):(?:ethertype:)?){0,2}(?:ip|ipv6)(?::ipv6\.\w+)*:"
                       r"(udp|icmp|icmpv6)(?::|$)")
LATER_FRAGMENT = re.compile(r"eth:ethertype:(?:(?:vlan|ieee8021ad):(?:ethertype:)?){0,2}(?:ip|ipv6)(?::ipv6\.\w+)*:data$")
PROTOCOLS = {"17": "udp", "1": "icmp", "58": "icmp"}
FIELDS = ("frame.number frame.time_epoch frame.protocols ip.proto ipv6.fraghdr.nxt ip.src ip.dst ipv6.src ipv6.dst "
          "udp.srcport udp.dstport udp.length icmp.type icmp.code icmp.ident icmp.seq icmp.resptime "
          "icmp.resp_to icmpv6.type icmpv6.code icmpv6.echo.identifier icmpv6.echo.sequence_number "
          "icmpv6.resptime icmpv6.resp_to quic.header_form quic.version quic.long.packet_type "
          "quic.long.packet_type_v2").split()
UNREACHABLE = {0: "net_unreachable", 1: "host_unreachable", 2: "protocol_unreachable", 3: "port_unreachable",
               4: "packet_too_big", 9: "admin_prohibited", 10: "admin_prohibited", 13: "admin_prohibited"}
UNREACHABLE_V6 = {0: "net_unreachable", 3: "host_unreachable", 4: "port_unreachable",
                  1: "admin_prohibited", 5: "admin_prohibited", 6: "admin_prohibited"}
EXCEEDED = {1: "reassembly_timeout"}
PACKETS = "vxprobe_protocol_packets"
FLOW, REFUSED, UNANSWERED = ('vxprobe_flows_created{l4="udp"}', "vxprobe_udp_refused{}", "vxprobe_udp_unanswered{}")
REQUEST, REPLY, RTT = ("vxprobe_icmp_echo_requests{}", "vxprobe_icmp_echo_replies{}", "vxprobe_icmp_echo_rtt_seconds{}")
ATTEMPT, RETRY, NEGOTIATION = ("vxprobe_quic_connections_attempted{}", "vxprobe_quic_retries{}",
                               "vxprobe_quic_version_negotiations{}")
HALVES = ("vxprobe_quic_handshake_server_seconds{}", "vxprobe_quic_handshake_client_seconds{}")
COMPARED = re.compile(r'vxprobe_(protocol_packets\{protocol="(udp|icmp)|flows_created\{l4="udp|udp_refused|icmp_e(?!cho_(un|sk))|quic_)')


def number(text):
    return int(text, 0) if text else None


# ---- what tshark says ----

class Frame:
    """One frame whose outermost IP packet is UDP or ICMP; fields are of that packet."""

    def __init__(self, row):
        self.row = row
        self.number = int(row["frame.number"][0])
        self.ns = int(Decimal(row["frame.time_epoch"][0]) * SECOND)
        self.kind = OUTERMOST.match(row["frame.protocols"][0])[1]
        self.source, self.target = self.ends(0)

    def ends(self, nth):
        """(source, target) addresses of the nth IP packet from outside."""
        row = self.row
        # The two versions are listed apart: the order of a mix is that of the protocols.
        order = [p for p in row["frame.protocols"][0].split(":") if p in ("ip", "ipv6")]
        if nth >= len(order):
            return None, None
        at = order[:nth].count(order[nth])
        pair = [row[f"{order[nth]}.{end}"] for end in ("src", "dst")]
        return tuple(list_[at] if at < len(list_) else None for list_ in pair)

    def first(self, field, nth=0):
        values = self.row[field]
        return number(values[nth]) if nth < len(values) else None

    def ports(self, nth=0):
        return self.first("udp.srcport", nth), self.first("udp.dstport", nth)


def frames(path):
    """(all frames whose outermost IP packet is UDP or ICMP, [(number, protocol)] of the later fragments of such)."""
    found, fragments = [], []
    for row in oracle.tshark(path, FIELDS, "ip || ipv6"):
        protocol = PROTOCOLS.get(row["ip.proto"][0] or row["ipv6.fraghdr.nxt"][0])
        if OUTERMOST.match(row["frame.protocols"][0]):
            found.append(Frame(row))
        elif LATER_FRAGMENT.match(row["frame.protocols"][0]) and protocol:
            fragments.append((int(row["frame.number"][0]), protocol))
    return found, fragments


# ---- what must follow ----

class Flow:
    """A UDP flow as far as it was seen."""

    def __init__(self, frame):
        self.since_ns = self.last_ns = frame.ns
        self.packets = Counter()
        self.client = frame.source, frame.ports()[0]
        self.phase, self.phase_ns = None, 0
        self.is_refused = False

    def silence_limit(self):
        return IDLE_SINGLE_NS if sum(self.packets.values()) == 1 else IDLE_NS


class Expected:
    """What the probe must count: found[frame, metric] = change, or the sample in ns."""

    def __init__(self):
        self.found, self.may, self.flows = {}, {}, {}
        self.latest_ns, self.silent, self.is_backwards = 0, 0, False
        self.echo_frames, self.answered = {}, set()

    def count(self, frame, metric, value=1):
        self.found[frame.number, metric] = value

    def explain(self, frame, metric, why):
        """A difference at this frame, or a sample of no value, has a reason."""
        self.may[frame.number, metric] = why

    # ---- UDP ----

    def end(self, flow):
        self.silent += len(flow.packets) == 1 and not flow.is_refused

    def flow_of(self, frame, key):
        flow = self.flows.get(key)
        if flow:
            over = frame.ns - flow.last_ns - flow.silence_limit()
            if over > 0:
                self.end(flow)
                flow = None
            if abs(over) <= IDLE_KEPT_TO_NS:
                self.explain(frame, FLOW, "flow: silence near its limit")
        return flow

    def udp(self, frame):
        ports = frame.ports()
        if None in ports:
            return
        ends = (frame.source, ports[0]), (frame.target, ports[1])
        key = frozenset(ends)
        flow = self.flow_of(frame, key)
        is_first = not flow
        if is_first:
            flow = self.flows[key] = Flow(frame)
            self.count(frame, FLOW)
        flow.last_ns = max(flow.last_ns, frame.ns)
        flow.packets[ends[0]] += 1
        self.quic(frame, flow, is_first, ends[0] == flow.client)

    # ---- QUIC ----

    def quic(self, frame, flow, is_first, is_client):
        version, is_long = frame.first("quic.version"), frame.first("quic.header_form") == 1
        kind = frame.first("quic.long.packet_type")
        kind = (frame.first("quic.long.packet_type_v2") or 0) - 1 if kind is None and version == 0x6B3343CF else kind
        if is_first and is_long and kind == 0 and version:
            if (frame.first("udp.length") or 0) - 8 < 1200:
                self.explain(frame, "quic", "quic: short")
            else:
                self.count(frame, ATTEMPT)
                flow.phase, flow.phase_ns = "asked", frame.ns
        if not flow.phase:
            return
        if is_long and version:
            name = {1: "1", 0x6B3343CF: "2"}.get(version, "draft" if version >> 8 == 0xFF0000 else "other")
            self.count(frame, f'vxprobe_quic_datagrams{{version="{name}"}}')
        if is_long and not is_client and version == 0:
            self.count(frame, NEGOTIATION)
        if is_long and not is_client and version and kind in (3, -1):
            self.count(frame, RETRY)
        half = {("asked", False): 0, ("answered", True): 1}.get((flow.phase, is_client))
        if half == 1 or half == 0 and is_long:
            self.count(frame, HALVES[half], frame.ns - flow.phase_ns)
            flow.phase, flow.phase_ns = ("answered", "confirmed")[half], frame.ns

    # ---- ICMP ----

    def icmp(self, frame):
        prefix = "icmp" if frame.kind == "icmp" else "icmpv6"
        kind, code = frame.first(f"{prefix}.type"), frame.first(f"{prefix}.code")
        if kind in ((8, 0) if prefix == "icmp" else (128, 129)):
            self.echo(frame, prefix, kind in (8, 128))
            return
        of = {"icmp": {3: UNREACHABLE.get(code, "other_unreachable"), 4: "source_quench", 5: "redirect",
                       11: EXCEEDED.get(code, "ttl_exceeded"), 12: "parameter_problem"},
              "icmpv6": {1: UNREACHABLE_V6.get(code, "other_unreachable"), 2: "packet_too_big",
                         3: EXCEEDED.get(code, "ttl_exceeded"), 4: "parameter_problem"}}[prefix]
        if kind not in of or code is None:
            return
        self.count(frame, f'vxprobe_icmp_errors{{kind="{of[kind]}"}}')
        if of[kind] == "port_unreachable":
            self.refused(frame)

    def refused(self, frame):
        (source, target), ports = frame.ends(1), frame.ports()
        flow = self.flows.get(frozenset(((source, ports[0]), (target, ports[1]))))
        if flow and frame.ns - flow.last_ns <= flow.silence_limit():
            self.count(frame, REFUSED)
            flow.is_refused = True

    def echo(self, frame, prefix, is_request):
        sequence = frame.first("icmp.seq" if prefix == "icmp" else "icmpv6.echo.sequence_number")
        if sequence is None:
            return
        self.count(frame, REQUEST if is_request else REPLY)
        self.echo_frames[frame.number] = frame
        if is_request or not frame.row[f"{prefix}.resptime"][0]:
            return
        ns = int(Decimal(frame.row[f"{prefix}.resptime"][0]) * 10**6)
        request = frame.first(f"{prefix}.resp_to")
        self.count(frame, RTT, ns)
        if request not in self.echo_frames:
            self.explain(frame, RTT, "echo: of a tunnel")
        elif ns >= 5 * SECOND:
            self.explain(frame, RTT, "echo: late")
        elif request in self.answered:
            self.explain(frame, RTT, "echo: sent again")
        self.answered.add(request)

    def take(self, frame):
        protocol = "udp" if frame.kind == "udp" else "icmp"
        self.count(frame, f'{PACKETS}{{protocol="{protocol}"}}')
        self.is_backwards |= frame.ns < self.latest_ns - IDLE_KEPT_TO_NS
        self.latest_ns = max(self.latest_ns, frame.ns)
        (self.udp if frame.kind == "udp" else self.icmp)(frame)

    def finish(self):
        for flow in self.flows.values():
            if self.latest_ns - flow.last_ns > flow.silence_limit():
                self.end(flow)


# ---- the judgement ----

def differs(metric, want, have):
    if want is None or have is None:
        return True
    return abs(want - have) > (TOLERANCE_NS if metric.endswith("seconds{}") else 0)


def reason(expected, frame, metric):
    may = expected.may
    why = may.get((frame, metric)) or ("quic" in metric and may.get((frame, "quic")))
    if not why and metric == FLOW and expected.is_backwards:
        why = "flow: time runs backwards"
    return why


def judge(build, scratch, path):
    """(Counter of what was compared and explained, list of differences)."""
    folder = scratch / path.name
    folder.mkdir()
    wrapped = oracle.wrap(build, path, folder)
    mirrored, numbers = oracle.mirrored(wrapped, folder / "mirrored.pcap")
    expected = Expected()
    found, fragments = frames(mirrored)
    for frame in found:
        frame.number = numbers[frame.number - 1]
        expected.take(frame)
    expected.finish()
    for frame, protocol in fragments:
        expected.found[numbers[frame - 1], f'{PACKETS}{{protocol="{protocol}"}}'] = 1
    got, unanswered = {}, 0
    for frame, metric, change in oracle.events(build, wrapped):
        if metric == UNANSWERED:
            unanswered += change
        elif COMPARED.match(metric):
            got[frame, metric] = change
    counts, wrong = Counter(captures=1), []
    for frame, metric in sorted(expected.found.keys() | got.keys()):
        want, have = expected.found.get((frame, metric)), got.get((frame, metric))
        counts["events"] += 1
        counts[metric.split("{")[0].removeprefix("vxprobe_")] += 1
        if differs(metric, want, have):
            why = reason(expected, frame, metric)
            counts[f"explained: {why}" if why else "wrong"] += 1
            if not why:
                wrong.append(f"{path.name}: frame {frame}: {metric}: tshark says {want}, the probe {have}")
    if unanswered > expected.silent:
        wrong.append(f"{path.name}: {unanswered} UDP flows unanswered, of {expected.silent} that can be")
    counts["unanswered"] += unanswered
    return counts, wrong


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    build, scratch, *paths = map(Path, sys.argv[1:])
    total, wrong = oracle.judge_all(lambda path: judge(build, scratch, path), paths)
    explained = {key: n for key, n in sorted(total.items()) if key.startswith("explained")}
    if wrong:
        sys.exit("\n".join(f"transport_udp: {line}" for line in wrong))
    if sum(explained.values()) * 100 >= total["events"]:
        sys.exit(f"transport_udp: more than 1 % is but explained: {explained} of {total['events']}")
    parts = [f"{n} {key}" for key, n in sorted(total.items())]
    print(f"UDP, ICMP, QUIC: {', '.join(parts)}")


if __name__ == "__main__":
    main()
