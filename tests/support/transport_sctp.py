#!/usr/bin/env python3
"""transport_sctp: is SCTP what tshark says, packet by packet? Usage: transport_sctp.py BUILD_DIR SCRATCH CAPTURE...

Every capture, made Ethernet of one interface, is wrapped by vxmirror. What each packet changes in the
probe's KPIs is compared with tshark: chunks by type, fragments, aborts by first cause, retransmissions,
SACK RTTs. What tshark does not say is computed from its fields: heartbeat pairs, the steps of the
set-up, attempts, chunks acknowledged and missing. Real captures have no SCTP loss; so the same is done
of each with every 5th packet of SCTP sent again and every 11th packet gone, and of a synthetic one.

Exit 1 with the first differences. The closed list of what tshark measures and the probe does not:
  resent    RTT of a TSN sent more than once before it was acknowledged (Karn; kpis.md 1.5)
  under way RTT of a chunk sent 28 TSNs behind one that is still in time, which the probe counts as skipped
  second block  RTT by a SACK of which an earlier block acknowledged something, too: tshark takes the
            first such block alone, and the others' at the next SACK; here the definition holds
  repeated  a step of the set-up that came twice: which one is answered is not known
  unjoined  RTT of a HEARTBEAT answered on another path of an association whose set-up was not seen, before
            both directions of one path were: that they belong together is not known yet"""

import re
import sys
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import capture
import oracle
import sctp_synthetic

TOLERANCE_NS = 1000
LATE_NS = 20_000_000  # a chunk that comes so long after its SACK was missing
TIMED = 28  # chunks in time at once, of consecutive TSNs
AGAIN_NS = 50_000_000
EXPLAINED_SHARE = Decimal("0.01")
OUTERMOST = re.compile(r"eth:ethertype:(?:vlan:ethertype:){0,2}(?:ip|ipv6)(?::ipv6\.\w+)*:sctp\b")
OPTIONS = ("-o", "sctp.relative_tsns:FALSE")
FIELDS = ("frame.number frame.time_epoch frame.protocols ip.src ip.dst ipv6.src ipv6.dst sctp.srcport sctp.dstport "
          "sctp.verification_tag sctp.chunk_type sctp.data_b_bit sctp.data_e_bit sctp.data_tsn_raw "
          "sctp.retransmission sctp.ack sctp.sack_rtt sctp.sack_cumulative_tsn_ack_raw sctp.sack_gap_block_start_tsn "
          "sctp.sack_gap_block_end_tsn sctp.sack_duplicate_tsn sctp.shutdown_cumulative_tsn_ack "
          "sctp.init_initiate_tag sctp.init_initial_tsn sctp.initack_initiate_tag sctp.initack_initial_tsn "
          "sctp.cause_code sctp.parameter_heartbeat_information").split()
INIT, INIT_ACK, HEARTBEAT, HEARTBEAT_ACK, ABORT, ERROR, COOKIE_ECHO, COOKIE_ACK, SHUTDOWN_COMPLETE = \
    1, 2, 4, 5, 6, 9, 10, 11, 14
UP = "up, or aborted"
BEFORE = {INIT_ACK: INIT, COOKIE_ECHO: INIT_ACK, COOKIE_ACK: COOKIE_ECHO}
FAMILIES = {INIT_ACK: "server", COOKIE_ECHO: "client", COOKIE_ACK: "cookie"}
TYPES = {0: "data", 1: "init", 2: "init_ack", 3: "sack", 4: "heartbeat", 5: "heartbeat_ack", 6: "abort",
         7: "shutdown", 8: "shutdown_ack", 9: "error", 10: "cookie_echo", 11: "cookie_ack",
         14: "shutdown_complete", 64: "i_data", 128: "asconf_ack", 130: "reconfig", 192: "forward_tsn", 193: "asconf"}
CAUSES = dict(enumerate((
    "invalid_stream missing_parameter stale_cookie out_of_resource unresolvable_address "
    "unrecognized_chunk invalid_parameter unrecognized_parameters no_user_data cookie_while_shutting_down "
    "restart_with_new_addresses user_initiated protocol_violation").split(), 1))
TIMES = {"sctp_sack_rtt", "sctp_heartbeat_rtt", "sctp_setup_server", "sctp_setup_client", "sctp_setup_cookie"}
RESENT, REPEATED, UNJOINED, SECOND_BLOCK, UNDER_WAY = \
    "resent", "repeated", "unjoined", "second block", "under way"


# ---- captures ----

def damaged(path, out):
    """The capture with packets with data sent again, a moment later, and packets gone."""
    late, with_data = [], 0
    with capture.Pcap(out) as file:
        for n, p in enumerate(oracle.packets(path)):
            frame = oracle.as_mirrored(p)
            if not frame:
                continue
            time_ns = p.time_ns % (10**9 << 32)
            while late and late[0][0] <= time_ns:
                file.add(*late.pop(0))
            if n % 11 != 10:
                file.add(time_ns, frame)
            at = oracle.ip_at(frame)
            is_ipv4 = at and frame[at] >> 4 == 4
            with_data += bool(is_ipv4 and frame[at + 9] == 132)
            if is_ipv4 and frame[at + 9] == 132 and with_data % 5 == 0:
                late.append((time_ns + AGAIN_NS, frame))
        for again in late:
            file.add(*again)
    return out


# ---- what tshark says ----

class Packet:
    def __init__(self, row, number):
        first = lambda *names: next((row[n][0] for n in names if row[n][0]), "")
        ints = lambda name: [int(v, 0) for v in row[name] if v]
        self.number = number
        self.time_ns = int(Decimal(row["frame.time_epoch"][0]) * 10**9)
        self.ports = int(first("sctp.srcport")), int(first("sctp.dstport"))
        self.ends = (first("ip.src", "ipv6.src"), self.ports[0]), (first("ip.dst", "ipv6.dst"), self.ports[1])
        self.tag = int(first("sctp.verification_tag") or "0", 0)
        self.types = ints("sctp.chunk_type")
        self.begins, self.ends_message = ints("sctp.data_b_bit"), ints("sctp.data_e_bit")
        self.tsns, self.n_resent = ints("sctp.data_tsn_raw"), len(ints("sctp.retransmission"))
        self.acks = ints("sctp.ack")
        self.rtts = [int(Decimal(v) * 10**9) for v in row["sctp.sack_rtt"] if v]
        self.cums = ints("sctp.sack_cumulative_tsn_ack_raw")
        self.gaps = list(zip(ints("sctp.sack_gap_block_start_tsn"), ints("sctp.sack_gap_block_end_tsn")))
        self.duplicates = len(ints("sctp.sack_duplicate_tsn"))
        self.shutdowns = ints("sctp.shutdown_cumulative_tsn_ack")
        self.init = ints("sctp.init_initiate_tag") + ints("sctp.init_initial_tsn")
        self.init_ack = ints("sctp.initack_initiate_tag") + ints("sctp.initack_initial_tsn")
        self.causes = ints("sctp.cause_code")
        self.infos = [v for v in row["sctp.parameter_heartbeat_information"] if v]
        self.half = self.ports, self.tag  # who sent it


def packets(wrapped, folder):
    """The packets whose outermost transport is SCTP, under their numbers in the wrapped capture."""
    everything, numbers = oracle.mirrored(wrapped, folder / "everything.pcap")
    wanted = {numbers[int(row["frame.number"][0]) - 1]
              for row in oracle.tshark(everything, ("frame.number", "frame.protocols"),
                                       "sctp && !icmp && !icmpv6", OPTIONS)
              if OUTERMOST.match(row["frame.protocols"][0])}
    alone, numbers = oracle.mirrored(wrapped, folder / "sctp.pcap", wanted)
    return [Packet(row, numbers[int(row["frame.number"][0]) - 1])
            for row in oracle.tshark(alone, FIELDS, "sctp", OPTIONS)]


class Expected:
    """What every packet must change: {(frame, metric): value or time}, and what is explained."""

    def __init__(self):
        self.values, self.explained = Counter(), Counter()
        self.samples = Counter()  # of times, several of a packet are one value

    def count(self, p, metric, n=1):
        if n:
            self.values[p.number, metric] += n

    def time(self, p, family, ns):
        self.values[p.number, family] += ns
        self.samples[p.number, family] += 1


def expect_chunks(expected, found):
    for p in found:
        for chunk_type in p.types:
            expected.count(p, f'sctp_chunks{{chunk="{TYPES.get(chunk_type, "other")}"}}')
        expected.count(p, "sctp_fragmented_data{}", sum(not (b and e) for b, e in zip(p.begins, p.ends_message)))
        expected.count(p, "sctp_data_retransmitted{}", p.n_resent)
        expected.count(p, "sctp_duplicate_tsns{}", p.duplicates)
        for _ in range(p.types.count(ABORT)):
            code = p.causes[0] if p.causes else None
            cause = "none" if code is None else CAUSES.get(code, "other")
            expected.count(p, f'sctp_aborts{{cause="{cause}"}}')


def peers_of(found):
    """{half: (half of its peer, packet from which on that is known)}: by INIT ACK, else by addresses."""
    peers, waiting = {}, {}
    for p in found:
        if p.init_ack:
            peer = p.ports[::-1], p.init_ack[0]
            peers[p.half], peers[peer] = (peer, p.number), (p.half, p.number)
        if p.half in peers or not p.tag or ABORT in p.types:
            continue
        waiting[p.ends] = p.half
        other = waiting.get(p.ends[::-1])
        if other and other not in peers:
            peers[p.half], peers[other] = (other, p.number), (p.half, p.number)
    return peers


def peer_of(peers, p):
    return peers.get(p.half, (None, 0))[0]


def acked_now(waiting, blocks, said):
    """[(TSN, whether tshark takes a block before instead)] of what the blocks acknowledge first."""
    now, is_later = [], False
    for first, last in blocks:
        now += [(tsn, is_later) for tsn in waiting if first <= tsn <= last]
        is_later |= any(first <= tsn <= last for tsn in said)
    return now


def expect_rtts(expected, found, peers):
    """By the definition; and tshark must say the same, but for what is in the closed list."""
    said = {(peer_of(peers, p), tsn): (p.number, ns) for p in found for tsn, ns in zip(p.acks, p.rtts)}
    sent, waiting, covered = set(), defaultdict(dict), defaultdict(set)
    for p in found:
        peer = peer_of(peers, p)
        for cum in p.cums:
            blocks = [(0, cum)] + p.gaps
            covered[peer].update(blocks)
            for tsn, is_later in acked_now(waiting[peer], blocks, p.acks):
                n, time_ns, is_skipped = waiting[peer].pop(tsn)
                says = said.pop((peer, tsn), None)
                if is_skipped:
                    expected.explained[UNDER_WAY] += 1
                    continue
                if n > 1:
                    expected.explained[RESENT] += 1
                    continue
                expected.time(p, "sctp_sack_rtt", p.time_ns - time_ns)
                if says == (p.number, p.time_ns - time_ns):
                    continue
                if is_later:
                    expected.explained[SECOND_BLOCK] += 1
                else:
                    raise oracle.Wrong(f"frame {p.number}, RTT of TSN {tsn}: by definition "
                                       f"{p.time_ns - time_ns}, tshark says {says}")
        for tsn in p.tsns:
            if tsn in waiting[p.half]:
                waiting[p.half][tsn][0] += 1
            elif (p.half, tsn) not in sent and not any(a <= tsn <= b for a, b in covered[p.half]):
                is_skipped = any(n == 1 and (tsn - other) % TIMED == 0 and not skipped
                                 for other, (n, _, skipped) in waiting[p.half].items())
                expected.count(p, "sctp_rtt_skipped{}", is_skipped)
                waiting[p.half][tsn] = [1, p.time_ns, is_skipped]
            sent.add((p.half, tsn))
    if said:
        raise oracle.Wrong(f"tshark has RTTs of {said}, which nothing explains")


def expect_heartbeats(expected, found, peers):
    waiting = {}
    for p in found:
        for info in p.infos:
            peer, since = peers.get(p.half, (None, 0))
            if HEARTBEAT in p.types:
                waiting.setdefault((p.half, info), p.time_ns)
            elif (peer, info) in waiting:
                ns = p.time_ns - waiting.pop((peer, info))
                if p.number < since:
                    expected.explained[UNJOINED] += 1
                elif ns < 5 * 10**9:
                    expected.time(p, "sctp_heartbeat_rtt", ns)


def expect_setup(expected, found):
    """Each step against the one before it of the latest attempt on these addresses."""
    attempts = {}  # (asker, other): {type: [packets]}
    for p in found:
        if not p.types or not p.tag and p.types[0] != INIT:  # RFC 9260 section 8.5.1
            continue
        kind = p.types[0]
        key = p.ends if kind in (INIT, COOKIE_ECHO) else p.ends[::-1]
        if kind == INIT and p.init not in [before.init for before in attempts.get(key, {}).get(INIT, [])]:
            attempts[key] = defaultdict(list)
            expected.count(p, "sctp_associations_attempted{}")
        if kind in BEFORE or kind == INIT:
            expect_step(expected, p, attempts.setdefault(key, defaultdict(list)), kind)
        shows_up = kind not in (INIT, INIT_ACK, COOKIE_ECHO, ABORT, ERROR, SHUTDOWN_COMPLETE)
        for steps in {id(s): s for s in (attempts.get(p.ends), attempts.get(p.ends[::-1])) if s}.values():
            if shows_up and not steps[UP]:
                expected.count(p, "sctp_associations_established{}", bool(steps[INIT]))
            if shows_up or ABORT in p.types:
                steps[UP].append(p)


def expect_step(expected, p, steps, kind):
    steps[kind].append(p)
    if len(steps[kind]) > 1:
        expected.explained[REPEATED] += kind != INIT
    elif kind != INIT and len(steps[BEFORE[kind]]) == 1:
        expected.time(p, f"sctp_setup_{FAMILIES[kind]}", p.time_ns - steps[BEFORE[kind]][0].time_ns)


class Half:
    """The TSNs of one side: which were seen, which acknowledged, from which on it counts."""

    def __init__(self):
        self.seen, self.acked = {}, {}  # TSN: when first
        self.base, self.is_whole, self.cum, self.gaps = None, False, None, []

    def begin(self, tsn):
        self.base, self.is_whole = tsn - 1, True

    def send(self, tsn, time_ns):
        self.seen.setdefault(tsn, time_ns)
        if self.base is None:
            self.base = max([tsn - 1, self.cum or 0] + [end for _, end in self.gaps])

    def ack(self, cum, gaps, time_ns):
        if cum < (self.cum or 0):
            return
        if self.base is not None and self.cum is None and not self.is_whole:
            self.base = max([self.base, cum] + [end for _, end in gaps])
        if self.base is not None:
            for tsn in range(max(self.base, self.cum or 0) + 1, cum + 1):
                self.acked[tsn] = time_ns
        self.cum, self.gaps = cum, gaps

    def counts(self):
        """(acknowledged, of these not seen until a moment later)"""
        at_end = [t for a, b in self.gaps for t in range(a, b + 1) if self.base is not None and t > self.base]
        missing = [t for t, time_ns in self.acked.items() if self.seen.get(t, 2 * time_ns) > time_ns + LATE_NS]
        return len(self.acked) + len(at_end), len(missing) + sum(t not in self.seen for t in at_end)


def acked_and_missing(found, peers):
    """(chunks that were acknowledged, of these never seen), of the whole capture; TSNs do not wrap in it."""
    halves, inits = defaultdict(Half), {}
    for p in found:
        if p.init:
            inits[p.ports[::-1], p.init[0]] = p.init[1]  # by the tag of the answer
        if p.init_ack and p.tag:
            halves[p.half].begin(p.init_ack[1])
            if p.half in inits:
                halves[p.ports[::-1], p.init_ack[0]].begin(inits[p.half])
        for tsn in p.tsns:
            halves[p.half].send(tsn, p.time_ns)
        for cum in p.cums + p.shutdowns:
            halves[peer_of(peers, p)].ack(cum, p.gaps if p.cums else [], p.time_ns)
    return [sum(counts) for counts in zip(*(half.counts() for half in halves.values()))]


# ---- what the probe says ----

def measured(build, wrapped):
    values, ends = Counter(), Counter()
    for frame, metric, change in oracle.events(build, wrapped):
        name = metric.removeprefix("vxprobe_")
        if not name.startswith("sctp_"):
            continue
        family = name.split("_seconds")[0]
        values[frame, family if family in TIMES else name] += change
        ends[name] += change
    return values, ends


# ---- the judgement ----

COMPARED = ("sctp_chunks", "sctp_fragmented", "sctp_data_retransmitted", "sctp_duplicate", "sctp_aborts",
            "sctp_rtt_skipped", "sctp_associations_attempted", "sctp_associations_established")


def differences(expected, got):
    for key in sorted(expected.values.keys() | got.keys()):
        frame, metric = key
        if metric not in TIMES and not metric.startswith(COMPARED):
            continue
        want, have = expected.values.get(key), got.get(key)
        room = TOLERANCE_NS * expected.samples[key]
        if want is None or have is None or abs(want - have) > room:
            yield f"frame {frame}, {metric}: tshark says {want}, the probe {have}"


def compare(build, path, folder):
    folder.mkdir()
    wrapped = oracle.wrap(build, path, folder)
    found = packets(wrapped, folder)
    if not found:
        return Counter()
    peers, expected = peers_of(found), Expected()
    expect_chunks(expected, found)
    expect_rtts(expected, found, peers)
    expect_heartbeats(expected, found, peers)
    expect_setup(expected, found)
    got, ends = measured(build, wrapped)
    wrong = list(differences(expected, got))
    acked = acked_and_missing(found, peers)
    have = [ends["sctp_acked_chunks{}"], ends["sctp_acked_missing_chunks{}"]]
    if acked != have:
        wrong.append(f"chunks acknowledged and missing must be {acked}, are {have}")
    if wrong:
        raise oracle.Wrong(f"{path.name}: {len(wrong)} differences:\n  " + "\n  ".join(wrong[:8]))
    counts = Counter({f"explained: {why}": n for why, n in expected.explained.items()})
    counts["missing"] = acked[1]
    counts["acked"] = acked[0]
    counts["captures"] = 1
    for (frame, metric), n in expected.values.items():
        counts[metric.split("{")[0]] += expected.samples[frame, metric] or n
    return counts


def judge(build, scratch, path):
    folder = scratch / f"of-{path.name}"
    folder.mkdir()
    if path.parent == scratch:  # synthetic: it has its damage
        return compare(build, path, folder / "as-it-is")
    again = damaged(path, folder / f"damaged-{path.name}.pcap")
    return compare(build, path, folder / "as-it-is") + compare(build, again, folder / "damaged")


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    build, scratch, *paths = map(Path, sys.argv[1:])
    total, wrong = Counter(), []
    paths.append(sctp_synthetic.write(scratch / "made-synthetic.pcap"))
    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(judge, build, scratch, path) for path in paths]:
            try:
                total += future.result()
            except oracle.Wrong as e:
                wrong.append(str(e))
    if wrong:
        sys.exit("transport_sctp: " + "\n".join(wrong))
    events = sum(n for what, n in total.items() if what.startswith("sctp_"))
    explained = sum(n for what, n in total.items() if what.startswith("explained"))
    for what in ("sctp_chunks", "sctp_data_retransmitted", "sctp_sack_rtt", "sctp_heartbeat_rtt", "sctp_setup_server",
                 "sctp_aborts", "missing"):
        if not total[what]:
            sys.exit(f"transport_sctp: no {what} was compared")
    if explained > events * EXPLAINED_SHARE:
        sys.exit(f"transport_sctp: {explained} of {events} events are explained away: {sorted(total.items())}")
    print(f"{events} events of SCTP equal to tshark's: " +
          ", ".join(f"{n} {what}" for what, n in sorted(total.items())))


if __name__ == "__main__":
    main()
