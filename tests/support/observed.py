#!/usr/bin/env python3
"""observed: what a session's series are when a mirror doubles, reorders or halves it.
Usage: observed.py twice|once BUILD_DIR SCRATCH CAPTURE...

twice  every packet doubled (copies up to 5 ms later), mirrored at both ends, and one direction up to 2 ms
       late: counts are those of the plain mirror, latencies within 2 ms, none negative; and what a healthy
       session repeats itself (duplicate ACKs, end markers) is no copy
once   one direction alone: nothing that needs both is told, the share of such flows is

Captures that repeat packets themselves cannot be told from a doubled one: left out. Where the
clock of one is set back, its jumps are taken out: time that runs backwards delays nothing.

A difference is allowed by a rule of this list alone; the verdict counts the events of each, and
LIMITS has the most there may be of them where MANY captures are compared:

OF_COPIES  Of what comes twice the copies and the mirror's bytes are told; excluded must be each copy, no other.
unasked    Of pure ACKs without an IPv4 identification, of GTP-U end markers and of frames that are not IP, which
           senders repeat, no copy can be told as long as no other packet has come again; of pure ACKs that
           have one not before two came again under different ones. A doubled session must have exactly the
           counts of one in which these copies, found here in the doubled feed, are honest packets.
left out   Captures that repeat packets themselves, by drop_copies' judgement, not by the probe's.
OF_ORDER   What goes by the order in which the two directions come: an ACK before its data is a duplicate to
           some and none to others; Wireshark's classes go by the order alone.
SHORT      A latency up to LATE_S may be missing where one direction is late: its answer came first.
LOST       A longer one may be missing where the late order hides which data an ACK answers: the ACK of two
           segments for that of one, an echo that came before. Of a capture with many half remain, and none of its
           histograms with two or more is empty.
NEW        The late order may have latencies beyond those of the plain one: an ACK of what came before the capture
           began echoes the same timestamp as the first segment in it, and the probe cannot know of the earlier
           segment once the ACK comes second."""

import json
import re
import shutil
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path

import capture
import oracle
from packets import ethernet, ipv4, udp

SERIES = re.compile(r'^vxprobe_(\w+)\{source="[^"]*",vni="(\d+)",generation="\d+",?(.*?)\} (\S+)', re.M)
TIMES = re.compile(r"_seconds_(bucket|sum)\{")
COUNTS = re.compile(r"_seconds_count\{")
# What a clock's tick of 256 ns makes of a packet that comes later by no whole number of them.
TICK_S, LATE_S = 1e-6, .002
SECOND_NS, DAY_NS = 10**9, 86400 * 10**9

# Of what comes twice, these are told; all else is as if it had come once.
OF_COPIES = re.compile(r"session_(duplicate_packets|excluded_packets|captured_bytes)_total")
# {rule: series}; each difference counts by its size.
OF_ORDER = {
    "of Wireshark's classes": re.compile(r"tcp_wireshark_packets_total"),
    "other counts of the order": re.compile(r"tcp_(duplicate_acks|window_full|rtt_skipped|retransmitted_packets)_total"),
    "bytes whose loss is visible": re.compile(r"session_loss_visible_bytes_total"),
    "ratios of loss": re.compile(r"session_(loss_visible|capture_loss_high)_ratio"),
    "seconds of the order": re.compile(r"tcp_(connection|zero_window)_duration_seconds_total"),
}
SHORT, LOST, NEW = "short latencies missing", "long latencies missing", "latencies that only the late order has"
LEFT_OUT = "left out, as they repeat packets"
# {rule: (of what, the most there may be, a share)}; less than double of what it was when this was written.
LIMITS = {
    "unasked": ("packets", .01),
    LEFT_OUT: ("captures with packets", .1),
    "of Wireshark's classes": ("reordered packets", .2),
    "other counts of the order": ("reordered packets", .01),
    "bytes whose loss is visible": ("all bytes whose loss is visible", .015),
    "ratios of loss": ("all ratios of loss", .015),
    "seconds of the order": ("all seconds of the order", .00015),
    SHORT: ("short latencies", .75),
    LOST: ("long latencies", .2),
    NEW: ("latencies", .003),
}
MANY = 100
# Of the packets of captures there is at least this share of latencies, or the probe measures none.
LATENCIES_MIN = .3
# What needs both directions of a conversation.
OF_BOTH = re.compile(r"\w+_seconds_(bucket|sum|count)\{|tcp_connections_established|tcp_connection_failures|"
                     r"tcp_(dsacks|window_full|rtt_skipped|acked\w*|ack_gap_events|gaps_untracked)_|"
                     r'tcp_retransmitted_packets_total\{.*kind="(fast|spurious)"|'
                     r"sctp_(associations_established|association_failures|heartbeats_unanswered|path_failures|"
                     r"duplicate_tsns|rtt_skipped|acked\w*)_|udp_unanswered_|icmp_echo_unanswered_")


def fail(text):
    sys.exit(f"observed: {text}")


class Probe:
    def __init__(self, build, scratch):
        self.build, self.scratch = build, scratch

    def wrap(self, path, name, *options):
        """The capture through vxmirror with options."""
        wrapped = self.scratch / name
        subprocess.run([self.build / "vxmirror", "wrap", path, wrapped, *options], check=True, stderr=subprocess.DEVNULL)
        return wrapped

    def read(self, wrapped):
        """({VNI: {series: value}}, the report), of what a mirror sent; removes it."""
        folder = wrapped.with_name(wrapped.name + "-read")
        (folder / "out").mkdir(parents=True)
        report = subprocess.run([self.build / "vxprobe", "read", wrapped, "-o", folder / "out", "--unencrypted",
                                 "--unknown-sessions", "count", "--flows-max", "16384", "--json", "--metrics",
                                 folder / "metrics"],
                                check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
        found = {}
        for metric, vni, labels, value in SERIES.findall((folder / "metrics").read_text()):
            if not metric.endswith(("_info", "_timestamp_seconds")):
                # Over generations, and over directions: of two MACs either may be the mirrored interface's.
                metric = re.sub(r"session_(in|e)gress_|session_undirected_", "session_", metric)
                found.setdefault(int(vni), Counter())[f"{metric}{{{labels}}}"] += float(value)
        shutil.rmtree(folder)
        wrapped.unlink()
        return found, json.loads(report)

    def look(self, path, name, *options):
        return self.read(self.wrap(path, name, *options))


def differences(plain, other, may_differ):
    """Of counts; times are check_times'."""
    return [f"{key} is {other.get(key)}, must be {plain.get(key)}" for key in sorted(plain.keys() | other.keys())
            if plain.get(key) != other.get(key) and not may_differ.match(key) and not TIMES.search(key)]


def edges(series, key):
    """{edge: samples up to it} of a histogram; key is that of its count."""
    name, labels = key.replace("_count{", "_bucket{")[:-1].split("{")
    found = (re.fullmatch(rf'{name}{{{re.escape(labels)},?le="(.*)"}}', k) for k in series)
    return {float(m[1]): series[m[0]] for m in found if m}


def check_times(plain, other, late_s):
    """Histograms: none of their sums is negative, and no sample is above the longest one by more than late_s,
    or, if there was none, above late_s."""
    for key in (k for k in other if "_seconds_count" in k):
        before, after = edges(plain, key), edges(other, key)
        n, total = other[key], other[key.replace("_count", "_sum")]
        longest = min((e for e, up_to in before.items() if up_to == plain.get(key)), default=0)
        allowed = min(e for e in after if e >= longest + late_s)
        if total < 0 or after[allowed] != n:
            yield f"{key}: {n - after[allowed]} of {n} samples of {total} s are above {allowed} s, all were up to {longest} s"
        if n == plain.get(key) and abs(total - plain[key.replace("_count", "_sum")]) > n * late_s:
            yield f"{key}: the mean is off by more than {late_s} s"


def check_remaining(plain, late, counts):
    """What of the latencies of plain is left where one direction is late; counts what is missing.

    A sample may come LATE_S earlier or later, so behind every edge there are as many as were behind one
    LATE_S later."""
    total = Counter()
    for key in (k for k, n in plain.items() if COUNTS.search(k) and n):
        before, after = edges(plain, key), edges(late, key)
        n, left = plain[key], late.get(key, 0)
        short_s = min(e for e in before if e >= LATE_S)
        long = n - before[short_s]
        lost = 0
        for edge in (e for e in before if e >= short_s):
            earlier = max((e for e in before if e <= edge - LATE_S and e != edge), default=None)
            lost = max(lost, n - before[edge] - left + after.get(earlier, 0))
        short = max(n - left - lost, 0)
        total.update({"long latencies": long, "short latencies": n - long, LOST: lost, SHORT: short})
        if long >= 2 and not left:
            yield f"{key}: none of {n} samples is left, {long} were above {short_s} s"
        all_s, left_s = (series.get(key.replace("_count", "_sum"), 0) for series in (plain, late))
        longest = min(e for e, up_to in before.items() if up_to == n)
        least = all_s - left * LATE_S - short * short_s - (lost * longest if lost else 0)
        if left_s < least or (left <= n and left_s > all_s + left * LATE_S):
            yield f"{key}: {left} of {n} samples are {left_s} s, all were {all_s} s"
    if total["long latencies"] >= MANY and total[LOST] * 2 > total["long latencies"]:
        yield f"{total[LOST]} of {total['long latencies']} latencies above {LATE_S} s are missing"
    counts.update({what: int(n) for what, n in total.items()})
    for key in filter(COUNTS.search, late):
        counts.update({"latencies": int(late[key]), NEW: int(max(late[key] - plain.get(key, 0), 0))})


def count_order(plain, late, counts):
    counts["reordered packets"] += int(plain["session_packets_total{}"])
    for rule, of_order in OF_ORDER.items():
        for key in filter(of_order.match, plain.keys() | late.keys()):
            counts[rule] += abs(plain.get(key, 0) - late.get(key, 0))
            counts[f"all {rule}"] += plain.get(key, 0)


def in_time(path, scratch):
    """The capture, or where its clock is set back one like it whose clock never jumps; and is it the latter."""
    packets = list(oracle.packets(path))
    steps = [after.time_ns - before.time_ns for before, after in zip(packets, packets[1:])]
    if not steps or min(steps) > -SECOND_NS:
        return path, False
    steady, now_ns = scratch / f"{path.name}-steady", packets[0].time_ns
    with capture.Pcap(steady) as file:
        for packet, step in zip(packets, [0, *steps]):
            now_ns += step if -SECOND_NS < step < DAY_NS else 0
            file.add(now_ns, packet.data)
    return steady, True


# ---- copies that nobody can tell ----

ANY, NONE = object(), object()  # of what may tell a copy: at once, never


def tells(frame):
    """What a copy of the frame tells by: of a pure ACK its identification; an end marker and what is not IP never."""
    at = oracle.ip_at(frame)
    if not at:
        return NONE
    ip = frame[at:]
    is_v4 = ip[0] >> 4 == 4
    head, protocol = ((ip[0] & 15) * 4, ip[9]) if is_v4 else (40, ip[6])
    transport = ip[head:]
    if protocol == 17 and transport[2:4] == b"\x08\x68" and transport[9:10] == b"\xfe":
        return NONE
    if protocol == 6 and len(transport) >= 14 and not transport[13] & 7 and \
            0 < oracle.ip_length(ip) <= head + (transport[12] >> 4) * 4:  # 0: of more than the field can say
        return ip[4:6] if is_v4 and any(ip[4:6]) else NONE
    return ANY


def drop_copies(doubled, out):
    """Leaves the copies of a doubled feed out, but for those before the first one that can be told, from which on
    all are. Returns how many stay, and how many do not."""
    seen, stay, told, before = {}, 0, 0, NONE  # seen: of each packet its latest time, and what its copy tells by
    with capture.Pcap(out) as file:
        for p in oracle.packets(doubled):
            frame = p.data[oracle.OUTER_IPV4:]
            key = oracle.fingerprint(frame) if oracle.ip_at(frame) else frame
            first_ns, by = seen.get(key, (-oracle.COPY_NS, NONE))
            is_copy = p.time_ns - first_ns < oracle.COPY_NS
            if is_copy and (told or by is ANY or NONE not in (by, before) and by != before):
                told += 1
                continue
            file.add(p.time_ns, p.data)
            if is_copy:
                stay += 1
                before = before if by is NONE else by
            else:
                seen[key] = p.time_ns, tells(frame)
    return stay, told


def doubled(probe, path, alone, delay):
    """((copies that cannot be told, that can), what is wrong) of a mirror whose copies come up to delay later."""
    option = f"all,{delay}"
    wrapped = probe.wrap(path, f"{path.name}-doubled-{delay}", "--duplicate", option)
    expected = wrapped.with_name(wrapped.name + "-once")
    stay, told = drop_copies(wrapped, expected)
    series = probe.read(wrapped)[0].get(4321, {})
    if stay:
        alone = probe.read(expected)[0].get(4321, {})
    excluded = series.get("session_excluded_packets_total{}")
    wrong = [*differences(alone, series, OF_COPIES), *check_times(alone, series, TICK_S)]
    if excluded != told:
        wrong.append(f"{excluded} packets are excluded, must be {told}")
    return (stay, told), [f"{path.name} --duplicate {option}: {w}" for w in wrong]


def both_ends(probe, path, alone):
    found = probe.look(path, f"{path.name}-both-ends", "--both-ends", "1500us")[0]
    return [f"{path.name} --both-ends 1500us VNI {vni}: {w}" for vni in (4321, 4322)
            for series in [found.get(vni, {})]
            for w in [*differences(alone, series, re.compile("$")), *check_times(alone, series, TICK_S)]]


def is_repeated(wrapped):
    once_each = wrapped.with_name(wrapped.name + "-once")
    copies = drop_copies(wrapped, once_each)
    once_each.unlink()
    return any(copies)


def late(probe, path, alone, direction, counts):
    """What is wrong where the direction comes late; counts what is allowed."""
    found = probe.look(path, f"{path.name}-{direction}", "--reorder", f"2ms,{direction}")[0].get(4321, {})
    counts["reordered"] += 1
    count_order(alone, found, counts)
    allowed = re.compile("|".join(rule.pattern for rule in OF_ORDER.values()))
    wrong = [w for w in differences(alone, found, allowed) if not COUNTS.search(w)]  # the counts are check_remaining's
    wrong += [*check_times(alone, found, LATE_S), *check_remaining(alone, found, counts)]
    return [f"{path.name} --reorder 2ms,{direction}: {w}" for w in wrong]


def twice(probe, path):
    path, is_set_back = in_time(path, probe.scratch)
    wrapped = probe.wrap(path, f"{path.name}-plain")
    repeats = is_repeated(wrapped)
    plain = probe.read(wrapped)[0]
    if not plain:
        return Counter(nothing=1), []
    if repeats:
        return Counter({LEFT_OUT: 1, "captures with packets": 1}), []
    alone, counts, wrong = plain[4321], Counter({"captures with packets": 1}), []
    counts["clocks set back"] += is_set_back
    for delay in ("5ms", "0us"):
        (stay, told), differ = doubled(probe, path, alone, delay)
        counts.update({"--duplicate": 1, "packets": int(alone["session_packets_total{}"]), "unasked": stay, "copies told": told})
        wrong += differ
    counts["--both-ends"] += 1
    wrong += both_ends(probe, path, alone)
    for direction in ("egress", "ingress"):
        wrong += late(probe, path, alone, direction, counts)
    return counts, wrong


def once(probe, path):
    both, counts, wrong = probe.look(path, f"{path.name}-both")[0], Counter(), []
    needs_both = [key for s in both.values() for key in s if OF_BOTH.match(key)]
    counts["series that need both directions, with both"] = len(needs_both)
    for direction in ("egress", "ingress"):
        found, report = probe.look(path, f"{path.name}-{direction}", "--direction", direction)
        for series in found.values():
            wrong += [f"{path.name} {direction}: {key} is told, {n}" for key, n in series.items() if OF_BOTH.match(key)]
            wrong += [f"{path.name} {direction}: {key} is {n}" for key, n in series.items()
                      if n and key.startswith(("flows_bidirectional", "session_loss_visible"))]
        for s in report["sessions"]:
            told = {"mirror_loss": s["mirror_loss"], **{f"{t} {key}": s[t][key] for t in ("tcp", "sctp", "ue_tcp") if t in s
                                                        for key in ("rtt", "failed")}}
            wrong += [f"{path.name} {direction}: the report says {what} {value}" for what, value in told.items()
                      if value is not None and value != 0 and not (isinstance(value, dict) and not value.get("samples", 1))]
        alone = sum(n for s in found.values() for key, n in s.items() if key.startswith("flows_unidirectional"))
        counts["flows of one direction"] += int(alone)
        if alone and not any(s["one_direction_share"] for s in report["sessions"]):
            wrong.append(f"{path.name} {direction}: {alone} flows of one direction, no share of them")
    counts["captures"] += bool(needs_both)
    return counts, wrong


# ---- what is honestly repeated ----

def tcp(source, target, seq, ack, flags, payload=b""):
    head = struct.pack(">HHIIBBHHH", *(int(e.split(":")[1]) for e in (source, target)), seq, ack, 0x50, flags, 500, 0, 0)
    return ipv4(source.split(":")[0], target.split(":")[0], 6, head + payload)


def healthy(path):
    """A connection with three duplicate ACKs and a tunnel with three end markers, each the same to the byte."""
    client, server = "10.1.0.1:1000", "10.1.0.2:80"
    macs = b"\x02\0\0\0\1\1", b"\x02\0\0\0\1\2"
    up = [tcp(client, server, 100, 0, 2), None, tcp(client, server, 101, 501, 16)]
    up[1] = tcp(server, client, 500, 101, 18)
    packets = up + [tcp(server, client, 501 + 100 * i, 101, 24, bytes(100)) for i in range(50)]
    packets += [tcp(client, server, 101, 5501, 16)] * 4
    packets += [tcp(server, client, 5501 + 100 * i, 101, 24, bytes([i]) * 100) for i in range(50)]
    user = [ipv4("10.2.0.1", "10.2.0.2", 17, udp(2152, 2152, struct.pack(">BBHIH", 0x32, 255, 6, 7, i) + bytes(4)))
            for i in range(20)]
    end = ipv4("10.2.0.1", "10.2.0.2", 17, udp(2152, 2152, struct.pack(">BBHI", 0x30, 254, 0, 7)))
    packets += user + [end] * 3
    with capture.Pcap(path) as file:
        for i, packet in enumerate(packets):
            file.add(10**18 + i * 100_000, ethernet(*macs, 0x0800, packet))
    return len(packets), sum(len(p) for p in packets)


def check_healthy(probe):
    path = probe.scratch / "healthy"
    packets, size = healthy(path)
    s = probe.look(path, "healthy-looked")[0][4321]
    expected = {"session_excluded_packets_total{}": 0, 'tcp_duplicate_acks_total{layer="mirror"}': 3,
                "session_duplicate_packets_total{}": 5, 'protocol_packets_total{protocol="udp"}': 23}
    volume = [s[f"session_{what}_total{{}}"] for what in ("packets", "bytes")]
    if volume != [packets, size]:
        fail(f"of a healthy session {volume} packets and bytes count, must be {[packets, size]}")
    for key, n in expected.items():
        if s.get(key) != n:
            fail(f"of a healthy session {key} is {s.get(key)}, must be {n}")


def check_limits(total):
    for rule, (of, most) in LIMITS.items():
        if total["captures with packets"] >= MANY and total[rule] > max(1, most * total[of]):
            fail(f"{rule}: {round(total[rule], 3)} of {round(total[of], 3)} {of}, which is too many")
    measured = total["short latencies"] + total["long latencies"]
    if measured < total["reordered packets"] * LATENCIES_MIN:
        fail(f"{measured} latencies of {total['reordered packets']} packets, which is too few")


def main():
    modes = {"twice": twice, "once": once}
    if len(sys.argv) < 5 or sys.argv[1] not in modes:
        sys.exit(__doc__)
    probe = Probe(Path(sys.argv[2]), Path(sys.argv[3]))
    if sys.argv[1] == "twice":
        check_healthy(probe)
    total, wrong = oracle.judge_all(lambda path: modes[sys.argv[1]](probe, Path(path)), sys.argv[4:])
    if wrong:
        fail(f"{len(wrong)} wrong\n" + "\n".join(wrong[:60]))
    if not total["--both-ends"] and not total["series that need both directions, with both"]:
        fail("nothing was compared")
    if sys.argv[1] == "twice":
        check_limits(total)
    print(f"{len(sys.argv) - 4} captures: " + ", ".join(f"{round(n, 3):.12g} {what}" for what, n in sorted(total.items())))


if __name__ == "__main__":
    main()
