#!/usr/bin/env python3
"""named: stored files whose sessions have names for addresses, written from the formats alone.

Usage: named.py write OUT KIND [SUFFIX]
       named.py records FILE      one line for each record of its names blocks: address name

KIND of the index: full; no-names: only the frame has them; none. Two zstd frames. Sessions amf-1 (VNI 1,
nf=AMF 1) and smf-1 (VNI 2, nf=SMF): in both is 10.1.0.1, called amf-userSUFFIX and smf-userSUFFIX.
Other KINDs have no index: odd, whose nf=AMF vni=2 1, and later, whose smf-1 is amf-1.2."""

import ipaddress
import struct
import subprocess
import sys

import packets

START_NS = 1_795_255_200 * 10**9
NAMES = 4
ADDRESS_LENGTHS = {1: 4, 2: 16}


def padded(data):
    return data + bytes(-len(data) % 4)


def block(kind, body):
    return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)


def option(code, value):
    return struct.pack("<HH", code, len(value)) + padded(value)


def section():
    return block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))


def interface(name, description):
    return block(1, struct.pack("<HHI", 1, 0, 262144) + option(2, name.encode()) +
                 option(3, description.encode()) + option(9, b"\x09") + option(0, b""))


def names(*records):
    body = b""
    for address, name in records:
        packed = ipaddress.ip_address(address).packed
        body += option(1 if len(packed) == 4 else 2, packed + name.encode() + b"\0")
    return block(NAMES, body + option(0, b""))


def packet(number):
    """Of the two sessions in turn, a second apart."""
    time_ns = START_NS + number * 10**9
    payload = packets.udp(1000, 2000, b"")
    frame = (bytes(12) + b"\x86\xdd" + packets.ipv6(ipaddress.ip_address("2001:db8::1").packed, bytes(16), 17, payload)
             if number % 4 == 2 else
             bytes(12) + b"\x08\0" + packets.ipv4("10.1.0.1", "10.1.0.9", 17, payload))
    return block(6, struct.pack("<IIIII", number % 2, time_ns >> 32, time_ns & 0xFFFFFFFF, len(frame), len(frame)) +
                 padded(frame))


def compressed(data):
    return subprocess.run(["zstd", "-qc"], input=data, stdout=subprocess.PIPE, check=True).stdout


def index(frames, definitions):
    """As probe/path/pack.h draws it; every frame has ten packets."""
    entries = b"".join(struct.pack("<QQI", START_NS + first * 10**9, START_NS + (first + 9) * 10**9, 10)
                       for first in (0, 10))
    seek = b"".join(struct.pack("<II", len(compressed(f)), len(f)) for f in frames)
    return (struct.pack("<IIII", 0x184D2A5D, 8 + len(entries) + len(definitions), 1, 2) + entries + definitions +
            struct.pack("<II", 0x184D2A5E, len(seek) + 9) + seek + struct.pack("<IBI", 2, 0, 0x8F92EAB1))


def write(path, kind, suffix=""):
    nf = "AMF vni=2 1" if kind == "odd" else "AMF 1"
    amf = interface("amf-1", f"vni=1 source=10.0.0.1 nf={nf} vrf=red"), names(
        ("10.1.0.1", "amf-user" + suffix), ("2001:db8::1", "amf-six"))
    smf = interface("amf-1.2" if kind == "later" else "smf-1", "vni=2 source=10.0.0.1 nf=SMF"), names(
        ("10.1.0.1", "smf-user" + suffix))
    frames = [section() + amf[0] + amf[1] + smf[0] + smf[1] + b"".join(map(packet, range(10))),
              b"".join(map(packet, range(10, 20)))]
    tails = {"full": index(frames, section() + amf[0] + amf[1] + smf[0] + smf[1]),
             "no-names": index(frames, section() + amf[0] + smf[0]),
             "none": b"", "odd": b"", "later": b""}
    with open(path, "wb") as out:
        out.write(b"".join(map(compressed, frames)) + tails[kind])


def records(path):
    with open(path, "rb") as stream:
        while head := stream.read(8):
            kind, length = struct.unpack("<II", head)
            body = stream.read(length - 8)[:-4]
            at = 0
            while kind == NAMES and (record := struct.unpack_from("<HH", body, at))[0]:
                value = body[at + 4:at + 4 + record[1]]
                cut = ADDRESS_LENGTHS[record[0]]
                print(ipaddress.ip_address(value[:cut]), value[cut:].rstrip(b"\0").decode())
                at += 4 + len(padded(value))


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in ("write", "records"):
        sys.exit(__doc__)
    {"write": write, "records": records}[sys.argv[1]](*sys.argv[2:])
