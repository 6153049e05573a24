#!/usr/bin/env python3
"""truth: is what the probe says of TCP what the kernels that spoke it say?

Usage: truth.py BUILD_DIR SCRATCH CONNECTIONS KILOBYTES

    sender ── tap ── middle ── tap ── receiver       namespaces joined by veth, no offloads

The middle is a bridge that drops at random (nftables numgen), or a relay that delays and reorders.
Connections send KILOBYTES each through it; for RTT one sends questions, each after the answer to
the last, so that kernel and probe measure the same segments. Both taps are wrapped by vxmirror and read by vxprobe.

Beside the sender the tap sees all that was sent again: the probe's counts are those of TCP_INFO,
of nstat and of the tracepoint, as its D-SACKs are those that the kernel received. Duplicate ACKs,
which no kernel counts, are counted by RFC 5681 here. Beside the
receiver it sees what came through: what was sent again and lost again is not there, and what was
sent again of the end of the data, as the first copy to arrive, is new there. Which packets these
are is told by matching both taps packet by packet, here.

Exit 1 at the first difference, with one sentence; 77 where the kernel lacks something."""

import heapq
import json
import os
import random
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import Counter, namedtuple
from pathlib import Path

import capture

BULK_PORT, TALK_PORT = 7000, 7001
QUESTION = 100  # bytes; of an answer too
QUESTIONS = 50
DELAY_S = 0.010
LATER_S = 0.004     # more for a packet that is to be overtaken
LATER_ONE_IN = 40
DROP_ONE_IN = 40
# The kernel takes time when it queues a segment and when it has read the ACK, the tap when both
# pass the interface; the two clocks differ by what a busy host lets lie between.
RTT_ERROR_S = 0.0005
RTT_ERROR_SHARE = 0.02
ADDRESS = {"sender": "10.8.0.1", "receiver": "10.8.0.2"}
INFO = {"total_retrans": (100, "I"), "rtt": (68, "I"), "min_rtt": (148, "I"), "bytes_retrans": (208, "Q")}
SERIES = re.compile(r"(\w+)\{(.*)\} (\S+)")
EVENT = re.compile(r'\d+ \d+ vxprobe_tcp_rtt(?:_seconds)?\{layer="mirror",side="server"\} (\d+)')

Packet = namedtuple("Packet", "key source seq ack window len end is_fin is_syn")


def fail(sentence):
    sys.exit(f"truth: {sentence}")


def run(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL, timeout=120)
    if done.returncode:
        fail(f"{' '.join(map(str, command))}: {done.stderr.strip()[-300:]}")
    return done.stdout


# ---- the ends and the middle: parts that run in a namespace, as this script with a word ----

def tcp_info(s):
    info = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return {name: struct.unpack_from("=" + form, info, at)[0] for name, (at, form) in INFO.items()}


def end_sender(connections, size):
    """Prints what TCP_INFO says of each connection when all is acknowledged. size 0: questions."""
    for _ in range(connections):
        port = BULK_PORT if size else TALK_PORT
        with socket.create_connection((ADDRESS["receiver"], port), timeout=60) as s:
            s.settimeout(120)
            s.sendall(bytes(size))
            for _ in range(0 if size else QUESTIONS):
                s.sendall(bytes(QUESTION))
                s.recv(QUESTION, socket.MSG_WAITALL)
            smoothed = tcp_info(s)["rtt"]  # the kernel takes the RTT of a FIN too
            s.shutdown(socket.SHUT_WR)
            while s.recv(1):
                pass
            print(json.dumps(tcp_info(s) | {"rtt": smoothed}), flush=True)


def end_receiver():
    bulk = socket.create_server((ADDRESS["receiver"], BULK_PORT))
    talk = socket.create_server((ADDRESS["receiver"], TALK_PORT))
    print("ready", flush=True)
    while True:
        listener = select.select((bulk, talk), [], [])[0][0]
        s, _ = listener.accept()
        with s:
            while s.recv(1 << 16 if listener is bulk else QUESTION):
                if listener is talk:
                    s.sendall(bytes(QUESTION))
            time.sleep(0.1)  # what is under way finds a sender that is not closed: it counts


def end_relay(later_one_in):
    """Frames from either side to the other DELAY_S later; of those with data some later still."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sides = []
    for name in ("tosender", "toreceiver"):
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        s.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)  # SO_RCVBUFFORCE
        s.bind((name, 0))
        sides.append(s)
    dice = random.Random(8)
    waiting, number = [], 0
    print("ready", flush=True)
    while True:
        pause = max(0, waiting[0][0] - time.monotonic()) if waiting else 1
        for s in select.select(sides, [], [], pause)[0]:
            frame, address = s.recvfrom(65535)
            if address[2] == socket.PACKET_OUTGOING:
                continue
            is_later = later_one_in and len(frame) > 1000 and not dice.randrange(later_one_in)
            number += 1
            heapq.heappush(waiting, (time.monotonic() + DELAY_S + is_later * LATER_S, number,
                                     sides[s is sides[0]], frame))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, out, frame = heapq.heappop(waiting)
            out.send(frame)


# ---- the network ----

class Network:
    """Three namespaces; a context that leaves nothing behind."""

    def __init__(self, scratch):
        self.scratch = scratch
        self.names = {end: f"vxtruth-{os.getpid()}-{end}" for end in ("sender", "middle", "receiver")}
        self.started = []
        self.tracefs = scratch / "tracing"
        self.tracing = self.tracefs / "instances" / f"vxtruth-{os.getpid()}"

    def __enter__(self):
        for name in self.names.values():
            run("ip", "netns", "add", name)
        for end, digit in (("sender", 1), ("receiver", 2)):
            name, to_end = self.names[end], "to" + end
            run("ip", "link", "add", "eth0", "netns", name, "type", "veth",
                "peer", "name", to_end, "netns", self.names["middle"])
            self.inside(end, "ethtool", "-K", "eth0", *"tx off tso off gso off gro off".split())
            self.inside("middle", "ethtool", "-K", to_end, *"tx off tso off gso off gro off".split())
            run("ip", "-n", name, "address", "add", f"10.8.0.{digit}/24", "dev", "eth0")
            # Else the kernel sends several again as one, and traces one.
            run("ip", "-n", name, "link", "set", "eth0", "gso_max_segs", "1", "up")
            run("ip", "-n", self.names["middle"], "link", "set", to_end, "up")
        return self

    def __exit__(self, *_):
        for process in reversed(self.started):
            process.kill()
            process.wait()
        for name in self.names.values():
            subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL, check=False)
        if self.tracing.exists():
            self.tracing.rmdir()
        if self.tracefs.is_mount():
            run("umount", self.tracefs)

    def inside(self, end, *command):
        return run("ip", "netns", "exec", self.names[end], *command)

    def start(self, end, *command, **how):
        process = subprocess.Popen(["ip", "netns", "exec", self.names[end], *map(str, command)],
                                   stdin=subprocess.DEVNULL, text=True, **how)
        self.started.append(process)
        return process

    def stop(self, process):
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
        self.started.remove(process)

    def start_part(self, end, *words):
        process = self.start(end, sys.executable, __file__, *words, stdout=subprocess.PIPE)
        if process.stdout.readline() != "ready\n":
            fail(f"{words[0]} does not start")
        return process

    def bridge(self):
        middle = self.names["middle"]
        run("ip", "-n", middle, "link", "add", "bridge", "type", "bridge")
        for port in ("tosender", "toreceiver"):
            run("ip", "-n", middle, "link", "set", port, "master", "bridge")
        run("ip", "-n", middle, "link", "set", "bridge", "up")
        rules = self.scratch / "rules"
        rules.write_text("table netdev t {\nchain c {\n"
                         "type filter hook ingress device tosender priority 0;\n"
                         f"ip protocol tcp numgen random mod {DROP_ONE_IN} 0 drop\n}}\n}}\n")
        self.inside("middle", "nft", "-f", rules)

    def count(self, end, name):
        counters = json.loads(self.inside(end, "nstat", "-a", "-s", "-z", "-j"))["kernel"]
        return counters[name]

    def trace(self):
        """Counts tcp_retransmit_skb from now on; False: the kernel does not let us."""
        self.tracefs.mkdir(exist_ok=True)
        try:
            run("mount", "-t", "tracefs", "tracefs", self.tracefs)
            self.tracing.mkdir()
            for event in ("tcp_retransmit_skb", "tcp_retransmit_synack"):
                (self.tracing / "events/tcp" / event / "enable").write_text("1")
            return True
        except (OSError, SystemExit):
            return False

    def traced(self):
        """Retransmissions between our addresses, whoever else speaks on this host."""
        text = (self.tracing / "trace").read_text()
        (self.tracing / "trace").write_text("")
        ours = [f"{a}" for a in ADDRESS.values()]
        # An attempt that failed on the way to the interface (err, of newer kernels) sent nothing.
        return sum(re.search(r"tcp_retransmit_\w+:", line) is not None and " err=-" not in line and
                   all(f"={a} " in line for a in ours) for line in text.splitlines())


class Tap:
    def __init__(self, network, end, path):
        self.network, self.path = network, path
        self.log = open(f"{path}.log", "w+", encoding="utf-8")
        self.process = network.start(end, "tcpdump", "-i", "eth0", "-n", "-s", "0", "-B", "65536",
                                     "--immediate-mode", "-U", "-Z", "root", "-w", path, "tcp",
                                     stderr=self.log)
        end_s = time.monotonic() + 20
        while "listening on" not in Path(self.log.name).read_text(encoding="utf-8"):
            if time.monotonic() > end_s:
                fail("tcpdump does not start")
            time.sleep(0.05)

    def stop(self):
        time.sleep(0.3)  # the last packets are on their way through the relay
        self.network.stop(self.process)
        if "\n0 packets dropped by kernel" not in Path(self.log.name).read_text(encoding="utf-8"):
            fail(f"{self.path}: tcpdump lost packets")


# ---- what the taps say ----

def packets(path):
    with open(path, "rb") as stream:
        for p in capture.Capture(stream):
            ip = p.data[14:]
            total, identity = struct.unpack_from("!HH", ip, 2)
            tcp = ip[(ip[0] & 15) * 4:total]
            _, _, seq, ack = struct.unpack_from("!HHII", tcp)
            flags, head = tcp[13], (tcp[12] >> 4) * 4
            n = len(tcp) - head
            yield Packet((ip[12:20], tcp[:4], identity, seq, ack, flags, tcp[20:head]),
                         (ip[12:16], tcp[:4]), seq, ack,
                         tcp[14:16], n, seq + n + (flags & 1), flags & 1, flags & 2)


def find_sent_again(path):
    """Keys of packets of which a part had been sent before, by the tap of their sender."""
    top, again = {}, set()
    for p in packets(path):
        if p.is_syn:
            if top.get((p.source, "syn")) == p.seq:
                again.add(p.key)
            top[p.source, "syn"] = p.seq
            top[p.source] = p.seq + 1
        elif p.len or p.is_fin:
            if (p.seq - top[p.source]) & 1 << 31:
                again.add(p.key)
            if not (p.end - top[p.source]) & 1 << 31:
                top[p.source] = p.end
    return again


def stamp(p):
    """The TSval (RFC 7323); it does not wrap here."""
    options = p.key[-1]
    at = options.find(b"\x08\x0a")
    return options[at + 2:at + 6] if at >= 0 else b""


def expected_beside_receiver(path, sender_path):
    """(sent again, out of order, doubtful) by a tap there: out of order is what arrives behind a packet
    that was sent later, be it sent again itself; of these, doubtful is what was sent in the same
    millisecond as the latest packet: there the probe goes by time, and may take it for sent again."""
    again = find_sent_again(sender_path)
    order = {p.key: number for number, p in enumerate(packets(sender_path))}
    top, latest, tsval, seen = {}, {}, {}, Counter()
    for p in packets(path):
        if p.is_syn:
            seen["again"] += p.source in top and p.key in again
            top[p.source] = p.seq + 1
        elif (p.len or p.is_fin) and p.source in top:
            if (p.seq - top[p.source]) >> 31 & 1:
                is_late = order[p.key] < latest[p.source]
                seen["late" if is_late else "again"] += is_late or p.key in again
                seen["doubtful"] += is_late and stamp(p) == tsval[p.source]
            if not (p.end - top[p.source]) & 1 << 31:
                top[p.source] = p.end
        tsval[p.source] = max(tsval.get(p.source, b""), stamp(p))
        latest[p.source] = max(latest.get(p.source, 0), order.get(p.key, 0))
    return seen["again"], seen["late"], seen["doubtful"]


class Probe:
    """What vxprobe says of a tap."""

    def __init__(self, build, tap):
        wrapped = f"{tap}.wrapped"
        run(f"{build}/vxmirror", "wrap", tap, wrapped)
        Path(f"{tap}.out").mkdir()
        text = run(f"{build}/vxprobe", "read", wrapped, "-o", f"{tap}.out", "--unencrypted",
                   "--metrics", "-")
        self.series = Counter()
        for name, labels, value in SERIES.findall(text):
            if 'layer="mirror"' in labels:
                self.series[name] += float(value)
        self.rtt_s = [int(ns) / 1e9 for ns in EVENT.findall(run(f"{build}/events", wrapped))]

    def __getitem__(self, name):
        return int(self.series[f"vxprobe_tcp_{name}_total"])


def same(what, kernel, probe):
    if kernel != probe:
        fail(f"{what}: {kernel} by the kernel, {probe} by the probe")


def duplicate_acks(path):
    """RFC 5681 section 2: the greatest acknowledgment once more, and nothing else. tshark compares
    with the latest, which two CPUs may have overtaken one another with. SYNs are left out."""
    greatest, window, n = {}, {}, 0
    for p in packets(path):
        if not p.is_syn:
            n += (not p.len and not p.is_fin and p.ack == greatest.get(p.source) and
                  p.window == window[p.source])
            if not (p.ack - greatest.get(p.source, p.ack)) >> 31 & 1:
                greatest[p.source] = p.ack
        window[p.source] = p.window
    return n


# ---- what is shown ----

class Run:
    """One run of connections through one kind of middle."""

    def __init__(self, build, network, name, connections, size):
        self.name, self.network = name, network
        taps = {end: network.scratch / f"{name}-{end}.pcap" for end in ("sender", "receiver")}
        counters = [("sender", "TcpRetransSegs"), ("receiver", "TcpRetransSegs"),
                    ("sender", "TcpExtTCPDSACKRecv"), ("sender", "TcpExtTCPDSACKOfoRecv")]
        before = {c: network.count(*c) for c in counters}
        traced = network.traced() if network.tracing.exists() else None
        running = [Tap(network, end, path) for end, path in taps.items()]
        out = network.inside("sender", sys.executable, __file__, "sender", connections, size)
        for tap in running:
            tap.stop()
        self.info = [json.loads(line) for line in out.splitlines()]
        self.kernel = {c: network.count(*c) - before[c] for c in counters}
        self.traced = None if traced is None else network.traced()
        self.taps = taps
        self.beside_sender, self.beside_receiver = (Probe(build, taps[end]) for end in taps)

    def check_sent_again(self):
        kernel, probe = self.kernel, self.beside_sender
        resent = kernel["sender", "TcpRetransSegs"] + kernel["receiver", "TcpRetransSegs"]
        same(f"{self.name}: sent again (nstat)", resent, probe["retransmitted_packets"])
        if self.traced is not None:
            same(f"{self.name}: sent again (tracepoint)", self.traced, probe["retransmitted_packets"])
        same(f"{self.name}: sent again (TCP_INFO)", sum(i["total_retrans"] for i in self.info),
             probe["retransmitted_packets"] - kernel["receiver", "TcpRetransSegs"])
        same(f"{self.name}: bytes sent again", sum(i["bytes_retrans"] for i in self.info),
             probe["retransmitted_bytes"])
        same(f"{self.name}: D-SACKs", kernel["sender", "TcpExtTCPDSACKRecv"] +
             kernel["sender", "TcpExtTCPDSACKOfoRecv"], probe["dsacks"])
        same(f"{self.name}: out of order beside the sender", 0, probe["out_of_order_packets"])
        return resent

    def check_beside_receiver(self):
        again, late, doubtful = expected_beside_receiver(self.taps["receiver"], self.taps["sender"])
        probe = self.beside_receiver
        ours = probe["retransmitted_packets"], probe["out_of_order_packets"]
        same(f"{self.name}: sent again or out of order, beside the receiver", again + late, sum(ours))
        if not again <= ours[0] <= again + doubtful:
            fail(f"{self.name}: sent again, beside the receiver: {again} and {doubtful} doubtful by "
                 f"the two taps, {ours[0]} by the probe")
        return ours

    def check_both(self, size):
        """size: bytes of a connection, both directions."""
        for end in ("sender", "receiver"):
            probe = getattr(self, f"beside_{end}")
            same(f"{self.name}: goodput beside the {end}", len(self.info) * size, probe["goodput_bytes"])
            same(f"{self.name}: acknowledged beside the {end}", len(self.info) * size,
                 probe["acked_bytes"])
            same(f"{self.name}: missing beside the {end}", 0, probe["acked_missing_bytes"])
            same(f"{self.name}: connections", len(self.info), probe["connections_established"])
        duplicates = duplicate_acks(self.taps["sender"])
        same(f"{self.name}: duplicate ACKs (RFC 5681)", duplicates, self.beside_sender["duplicate_acks"])
        return duplicates

    def check_rtt(self):
        """Smallest and smoothed (RFC 6298) RTT, of the one connection."""
        samples = self.beside_sender.rtt_s
        kernel, smallest = self.info[0], min(samples)
        smoothed = samples[0]
        for s in samples:
            smoothed += (s - smoothed) / 8
        for what, theirs, ours in (("smallest", kernel["min_rtt"] / 1e6, smallest),
                                   ("smoothed", kernel["rtt"] / 1e6, smoothed)):
            if abs(theirs - ours) > RTT_ERROR_S + RTT_ERROR_SHARE * theirs:
                fail(f"{self.name}: {what} RTT: {theirs:.6f} s by the kernel, {ours:.6f} s by the probe")
        return smallest, kernel["min_rtt"] / 1e6, smoothed, kernel["rtt"] / 1e6, len(samples)


def show_drops(build, network, connections, size):
    network.bridge()
    for name, options in (("drops", 1), ("drops-without-options", 0)):
        for end in ADDRESS:
            network.inside(end, "sysctl", "-qw", f"net.ipv4.tcp_timestamps={options}",
                           f"net.ipv4.tcp_sack={options}")
        r = Run(build, network, name, connections, size)
        resent = r.check_sent_again()
        there = r.check_beside_receiver() if options else ("not", "not")
        duplicates = r.check_both(size)
        if not resent or not duplicates:
            fail(f"{name}: nothing was lost")
        yield f"{name}: {resent} sent again ({there[0]} beside the receiver), {duplicates} duplicate ACKs"


def show_relay(build, network, connections, size, later_one_in):
    relay = network.start_part("middle", "relay", later_one_in)
    r = Run(build, network, "reordered" if later_one_in else "delayed", connections, size)
    network.stop(relay)
    resent = r.check_sent_again()
    duplicates = r.check_both(size or 2 * QUESTION * QUESTIONS)
    again, late = r.check_beside_receiver()
    if not later_one_in:
        ours, theirs, smoothed, kernels, n = r.check_rtt()
        yield (f"delayed: RTT min {ours * 1e3:.2f} ms (kernel {theirs * 1e3:.2f}), smoothed "
               f"{smoothed * 1e3:.2f} ms (kernel {kernels * 1e3:.2f}), {n} samples")
    elif not late:
        fail("reordered: nothing was overtaken")
    else:
        yield (f"reordered: {late} out of order, {resent} sent again ({again} beside the receiver), "
               f"{duplicates} duplicate ACKs")


def main(build, scratch, connections, kilobytes):
    size = kilobytes * 1024
    verdict = []
    for show in (lambda n: show_relay(build, n, 1, 0, 0),
                 lambda n: show_relay(build, n, connections, size, LATER_ONE_IN),
                 lambda n: show_drops(build, n, connections, size)):
        with Network(Path(scratch)) as network:
            is_traced = network.trace()
            network.start_part("receiver", "receiver")
            verdict += show(network)
    print("; ".join(verdict) + ("" if is_traced else "; no tracepoint on this kernel"))


if __name__ == "__main__":
    if sys.argv[1] == "sender":
        end_sender(int(sys.argv[2]), int(sys.argv[3]))
    elif sys.argv[1] == "receiver":
        end_receiver()
    elif sys.argv[1] == "relay":
        end_relay(int(sys.argv[2]))
    else:
        main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
