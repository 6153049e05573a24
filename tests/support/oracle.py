"""oracle: captures as a mirror would carry them, and what tshark says of them.

Shared by what compares the probe with tshark packet by packet. Every capture becomes Ethernet of
one interface; vxmirror wraps it; mirrored() takes the packets out again, each with the length that
it had before it was cut (kpis.md 0, 2.11: of a tunnelled and cut packet tshark would take the
tunnel's length). Frames keep their numbers: the Nth of one is the Nth of the others."""

import re
import struct
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import capture

IP_AT = {0: 4, 108: 4, 12: 0, 14: 0, 101: 0, 113: 16, 276: 20}  # NULL, LOOP, RAW, SLL, SLL2
ETHERTYPES = {4: b"\x08\x00", 6: b"\x86\xdd"}
MACS = bytes.fromhex("02ee0000000102dd00000001")  # all frames of an interface have one in common
TAGS = {b"\x81\x00", b"\x88\xa8"}
OUTER_IPV4, OUTER_IPV6 = 14 + 20 + 8 + 8, 14 + 40 + 8 + 8
# The probe reassembles no IP packets.
OPTIONS = ("-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE")


COPY = re.compile(r"vxprobe_session_(excluded_packets|tunnel_copies){")
COPY_NS = 5_100_000  # the probe's clock for copies has steps of 1 us
PASSES = 9


class Wrong(Exception):
    """A program failed, or the probe and the oracle differ; one sentence."""


def run(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, errors="replace",
                          stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise Wrong(f"{' '.join(map(str, command))}: {done.stderr.strip()[-500:]}")
    return done.stdout


# ---- captures ----

def as_mirrored(p):
    """The packet as Ethernet with the one MAC that all frames of an interface have; None: no IP."""
    if p.linktype == capture.ETHERNET:
        return MACS + p.data[12:] if len(p.data) > 12 else p.data
    return as_ethernet(p.data[IP_AT[p.linktype]:]) if p.linktype in IP_AT else None


def as_ethernet(ip):
    """An Ethernet frame of an IP packet; None: it is none."""
    ethertype = ETHERTYPES.get(ip[0] >> 4 if ip else 0)
    return MACS + ethertype + ip if ethertype else None


def packets(path):
    """Those of a capture, up to its damage if it has one."""
    with open(path, "rb") as stream:
        try:
            yield from capture.Capture(stream)
        except capture.Damaged:
            pass  # what came before counts


def ethernet(path, out, left_out=frozenset()):
    number = 0
    with capture.Pcap(out) as file:
        for p in packets(path):
            data = as_mirrored(p)
            number += bool(data)
            if data and number not in left_out:
                file.add(p.time_ns % (10**9 << 32), data)  # of a damaged file it may be more
    return out


def inside_gtpu(frame):
    """The packet in GTP-U as an Ethernet frame; None: there is none (TS 29.281 section 5)."""
    at = ip_at(frame)
    if not at:
        return None
    ip = frame[at:]
    head = 40 if ip[0] >> 4 == 6 else (ip[0] & 15) * 4
    protocol = ip[6] if ip[0] >> 4 == 6 else ip[9]
    gtp = ip[head + 8:]
    if protocol != 17 or len(gtp) < 12 or 2152 not in struct.unpack(">HH", ip[head:head + 4]):
        return None
    if gtp[0] >> 4 != 3 or gtp[1] != 255:
        return None
    inner = 12 if gtp[0] & 7 else 8
    extension = gtp[11] if gtp[0] & 4 else 0
    while extension:
        length = gtp[inner] * 4 if len(gtp) > inner else 0
        if not length or len(gtp) < inner + length:
            return None
        extension = gtp[inner + length - 1]
        inner += length
    return as_ethernet(gtp[inner:])


def fingerprint(frame):
    """What no router changes of the IP packet in an Ethernet frame, as far as the probe looks."""
    ip = bytearray(frame[ip_at(frame):128])
    if ip[0] >> 4 == 4:
        ip[8] = ip[10] = ip[11] = 0
    else:
        ip[7] = 0
    return bytes(ip)


def check_copies(path, copies, inside=lambda frame: frame):
    """Is each of these frames the same as one up to 5 ms before?"""
    seen = {}
    for number, p in enumerate(packets(path), 1):
        frame = inside(p.data)
        if not frame or not ip_at(frame):
            continue
        key = fingerprint(frame)
        is_copy = key in seen and abs(p.time_ns - seen[key]) <= COPY_NS
        if number in copies and not is_copy:
            raise Wrong(f"{path.parent.name}: frame {number} was left out as a copy, and is none")
        if not is_copy:
            seen[key] = p.time_ns


def wrap(build, path, folder, *options):
    """The capture as a mirror would send it, without what the probe leaves out as copies.

    Some captures have packets two or three times: taken on "any", or beside a gateway. The probe
    measures them once, tshark each time; so each packet is to be there once for both."""
    wrapped, left_out = folder / "wrapped.pcapng", []
    for _ in range(PASSES):
        numbers = [n for n, p in enumerate((q for q in packets(path) if as_mirrored(q)), 1) if n not in left_out]
        run(build / "vxmirror", "wrap", ethernet(path, folder / "ethernet.pcap", set(left_out)), wrapped, *options)
        found = [(frame, metric) for frame, metric, _ in events(build, wrapped) if COPY.match(metric)]
        if not found:
            return wrapped
        check_copies(folder / "ethernet.pcap", {frame for frame, metric in found if "excluded" in metric})
        check_copies(folder / "ethernet.pcap", {frame for frame, metric in found if "tunnel" in metric}, inside_gtpu)
        left_out += [numbers[frame - 1] for frame, _ in found]
    raise Wrong(f"{path.name}: there are copies of copies of copies")


def ip_at(frame):
    """Where the IP header of an Ethernet frame begins; None: none."""
    at = 12
    while frame[at:at + 2] in TAGS:
        at += 4
    return at + 2 if frame[at:at + 2] in ETHERTYPES.values() and len(frame) > at + 2 else None


def ip_length(ip):
    """What an IP header says; 0: nothing."""
    at, more = (2, 0) if ip[0] >> 4 == 4 else (4, 40)
    length = int.from_bytes(ip[at:at + 2], "big") if len(ip) >= at + 2 else 0
    return length and length + more


def original_length(frame):
    """Bytes of an Ethernet frame before it was cut."""
    at = ip_at(frame)
    return max(len(frame), at + ip_length(frame[at:])) if at else len(frame)


class Uncut(capture.Pcap):
    """Gives every frame the length that it had."""

    def add(self, time_ns, data):
        self.file.write(struct.pack("<IIII", time_ns // 10**9, time_ns % 10**9, len(data),
                                    original_length(data)) + data)


def mirrored(wrapped, out, wanted=None, inside=lambda frame: frame):
    """(out, the frames that were mirrored; their numbers in wrapped), or of the wanted ones alone.

    inside: what to take of a mirrored frame; None: nothing."""
    numbers = []
    with Uncut(out) as file:
        for number, p in enumerate(packets(wrapped), 1):
            if wanted is not None and number not in wanted:
                continue
            outer = OUTER_IPV4 if p.data[12:14] == ETHERTYPES[4] else OUTER_IPV6
            frame = inside(p.data[outer:])
            if frame:
                numbers.append(number)
                file.add(p.time_ns, frame)
    return out, numbers


# ---- what is said ----

def tshark(path, fields, wanted="tcp && !icmp && !icmpv6", options=()):
    """The fields of every wanted packet, each a list of its occurrences from the outside in."""
    table = run("tshark", "-n", "-r", path, *OPTIONS, *options, "-Y", wanted, "-T", "fields",
                "-E", "occurrence=a", *(word for field in fields for word in ("-e", field)))
    for line in table.splitlines():
        yield dict(zip(fields, (value.split(",") for value in line.split("\t"))))


def events(build, wrapped):
    """(frame, metric with labels, change) of every change that the probe makes; frame 0: at the end."""
    for line in run(Path(build) / "events", wrapped).splitlines():
        _, frame, rest = line.split(" ", 2)
        metric, change = rest.rsplit(" ", 1)
        yield int(frame), metric, int(change)


# ---- verdicts ----

def judge_all(judge, captures):
    """(sum of the Counters, all sentences) that judge(capture) returned; two at a time."""
    total, wrong = Counter(), []
    with ThreadPoolExecutor(2) as pool:
        for counts, sentences in pool.map(judge, captures):
            total += counts
            wrong += sentences
    return total, wrong


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: oracle.py BUILD_DIR CAPTURE FOLDER: makes ethernet.pcap in there, as wrap() has it")
    wrap(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
