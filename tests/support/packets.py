#!/usr/bin/env python3
"""packets: makes the captures that no real one offers. Usage: packets.py KIND OUT [N]

  random-vnis OUT N   mirrored packets, each of a random VNI, on stdout the number of VNIs
  two-macs OUT N      N mirrored packets of one MAC, then N of another, same source and VNI
  two-sources OUT N   N mirrored packets from each of two sources, same VNI
  plain OUT N         inner frames alone, of 500 flows
  requests OUT N      inner frames of N TCP connections, in each a request with a SUPI
  jumbo OUT N         inner frames of 9,000 bytes and of sizes around the buffers' borders
  outer OUT           one mirrored packet for each kind of outer header that is ours
  not-ours OUT        one packet for each that is left to the kernel"""

import random
import struct
import sys

from capture import Pcap

PROBE_MAC = bytes.fromhex("020000000001")
MIRROR_MAC = bytes.fromhex("020000000002")
PROBE = "10.255.0.1"
MIRROR = "10.0.0.1"
FLOWS = 500
# Random, so that a compressor has work.
POOL = random.Random(1).randbytes(65536)


def address(text):
    return bytes(map(int, text.split(".")))


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(source, target, protocol, payload, options=b"", fragment=0):
    words = 5 + len(options) // 4
    head = struct.pack(">BBHHHBBH4s4s", 0x40 | words, 0, 4 * words + len(payload), 0, fragment, 254,
                       protocol, 0, address(source), address(target)) + options
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


def ipv6(source, target, protocol, payload):
    return struct.pack(">IHBB", 6 << 28, len(payload), protocol, 254) + source + target + payload


def udp(source, target, payload):
    return struct.pack(">HHHH", source, target, 8 + len(payload), 0) + payload


def ethernet(target, source, ethertype, payload, tags=b""):
    return target + source + tags + struct.pack(">H", ethertype) + payload


def inner(i, length=100, mac=b"\x02\xee\0\0\0\1"):
    """A frame of the given length of flow i; both directions in turn."""
    ends = [("10.1.0.1", 1024 + i // 2 % FLOWS), ("10.2.0.1", 7777)]
    a, b = ends if i % 2 else ends[::-1]
    peer = b"\x02\xdd\0\0" + struct.pack(">H", i // 2 % 7)
    macs = (peer, mac) if i % 2 else (mac, peer)
    body = struct.pack(">I", i) + POOL[i % 50000:][:length - 14 - 20 - 8 - 4]
    return ethernet(*macs, 0x0800, ipv4(a[0], b[0], 17, udp(a[1], b[1], body)))


def vxlan(vni, frame, flags=0x08):
    return struct.pack(">BxxxI", flags, vni << 8) + frame


def mirrored(vni, frame, source=MIRROR, **ip_options):
    port = 65408 + sum(frame[26:38]) % 128
    packet = ipv4(source, PROBE, 17, udp(port, 4789, vxlan(vni, frame)), **ip_options)
    return ethernet(PROBE_MAC, MIRROR_MAC, 0x0800, packet)


def random_vnis(n):
    draw = random.Random(2)
    vnis = [draw.randrange(1 << 24) for _ in range(n)]
    print(len(set(vnis)))
    return (mirrored(vni, inner(i)) for i, vni in enumerate(vnis))


def two_macs(n):
    for i in range(2 * n):
        yield mirrored(77, inner(i, mac=b"\x02\xee\0\0\0" + bytes([1 + i // n])))


def two_sources(n):
    for i in range(2 * n):
        yield mirrored(77, inner(i), source=("10.0.0.1", "10.0.0.2")[i % 2])


def plain(n):
    return map(inner, range(n))


def requests(n):
    """SYN, SYN-ACK, ACK, a request, its ACK."""
    request = b"GET /nudm-sdm/v2/imsi-001010123456789/am-data HTTP/1.1\r\nHost: udm.example\r\n\r\n"
    macs = b"\x02\xdd\0\0\0\1", b"\x02\xee\0\0\0\1"
    for i in range(n):
        ends = ("10.1.0.1", 1024 + i), ("10.2.0.1", 80)
        for side, seq, ack, flags, data in ((0, 0, 0, 0x02, b""), (1, 0, 1, 0x12, b""), (0, 1, 1, 0x10, b""),
                                            (0, 1, 1, 0x18, request), (1, 1, 1 + len(request), 0x10, b"")):
            a, b = ends[side], ends[1 - side]
            segment = struct.pack(">HHIIBBHHH", a[1], b[1], seq, ack, 0x50, flags, 65535, 0, 0) + data
            yield ethernet(macs[1 - side], macs[side], 0x0800, ipv4(a[0], b[0], 6, segment))


def jumbo(n):
    """9,000 bytes, and where a frame begins to need a second or third 3,840-byte buffer."""
    edges = [3840 - 48 - 50 + d for d in range(-20, 21)] + [7680 - 48 - 50 + d for d in range(-20, 21)]
    for i in range(n):
        yield inner(i, edges[i // 2 % len(edges)] if i % 2 else 9000)


def outer(_):
    tag, router_alert = struct.pack(">HH", 0x8100, 5), b"\x94\x04\0\0"
    datagram = udp(65500, 4789, vxlan(1, inner(0)))
    sixes = bytes.fromhex("fd000255000000000000000000000002"), bytes.fromhex("fd000255000000000000000000000001")
    yield mirrored(1, inner(0))
    yield mirrored(1, inner(1), options=router_alert)
    yield ethernet(PROBE_MAC, MIRROR_MAC, 0x86DD, ipv6(*sixes, 17, datagram))
    for tags in (tag, tag + tag, struct.pack(">HHHH", 0x88A8, 5, 0x8100, 6)):
        yield ethernet(PROBE_MAC, MIRROR_MAC, 0x0800, ipv4(MIRROR, PROBE, 17, datagram), tags)
    # RFC 7348 section 5: reserved bits are ignored.
    reserved = struct.pack(">BBBBI", 0xFF, 1, 2, 3, 1 << 8 | 0xAA) + inner(2)
    yield ethernet(PROBE_MAC, MIRROR_MAC, 0x0800, ipv4(MIRROR, PROBE, 17, udp(65501, 4789, reserved)))


def not_ours(_):
    datagram = udp(65500, 4789, vxlan(1, inner(0)))
    for ip in (ipv4(MIRROR, PROBE, 17, datagram, fragment=0x2000),  # first fragment
               ipv4(MIRROR, PROBE, 17, datagram, fragment=10),      # later fragment
               ipv4(MIRROR, PROBE, 17, udp(65500, 4790, vxlan(1, inner(0)))),
               ipv4(MIRROR, "10.255.0.77", 17, datagram),           # not our address
               ipv4(MIRROR, PROBE, 17, udp(65500, 4789, vxlan(1, inner(0), flags=0))),
               ipv4(MIRROR, PROBE, 17, udp(65500, 4789, b"\x08\0\0"))):
        yield ethernet(PROBE_MAC, MIRROR_MAC, 0x0800, ip)


KINDS = {"random-vnis": random_vnis, "two-macs": two_macs, "two-sources": two_sources,
         "plain": plain, "requests": requests, "jumbo": jumbo, "outer": outer, "not-ours": not_ours}


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in KINDS:
        sys.exit(__doc__)
    kind, path, n = sys.argv[1], sys.argv[2], int((sys.argv[3:] or ["0"])[0])
    with Pcap(path) as file:
        for i, data in enumerate(KINDS[kind](n)):
            file.add(10**18 + i * 10_000, data)  # 100,000 packets/s, in 2001


if __name__ == "__main__":
    main()
