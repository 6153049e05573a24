#!/usr/bin/env python3
"""seeds: what the fuzz corpora begin with, built here; libFuzzer grows them.
Usage: seeds.py CORPUS_DIR. Needs zstd."""

import hashlib
import struct
import subprocess
import sys
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "support"))

from packets import ethernet, ipv4, ipv6, mirrored, plain, udp, vxlan  # noqa: E402

MACS = b"\x02\xdd\0\0\0\1", b"\x02\xee\0\0\0\1"
FOUR = "10.1.0.1", "10.2.0.1"
SIX = b"\xfd" + bytes(14) + b"\1", b"\xfd" + bytes(14) + b"\2"
TCP, UDP, ICMP, ICMP6, SCTP = 6, 17, 1, 58, 132
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


# ---- packets ----

def frame(side, protocol, payload, six=False, **options):
    """From side 0 to 1, or back."""
    macs = MACS[1 - side], MACS[side]
    if six:
        return ethernet(*macs, 0x86DD, ipv6(SIX[side], SIX[1 - side], protocol, payload))
    return ethernet(*macs, 0x0800, ipv4(FOUR[side], FOUR[1 - side], protocol, payload, **options))


def tcp(side, seq, ack, flags, data=b"", window=1000, options=b"", ports=(40000, 80)):
    options += b"\1" * (-len(options) % 4)
    a, b = ports[side], ports[1 - side]
    return struct.pack(">HHIIBBHHH", a, b, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, (20 + len(options)) << 2, flags,
                       window, 0, 0) + options + data


def timestamps(value, echo):
    return b"\1\1\x08\x0a" + struct.pack(">II", value, echo)


def sack(*blocks):
    return b"\1\1\5" + bytes([2 + 8 * len(blocks)]) + b"".join(struct.pack(">II", *b) for b in blocks)


def sctp(side, tag, *chunks):
    ports = (36412, 38412) if side else (38412, 36412)
    return struct.pack(">HHII", *ports, tag, 0) + b"".join(chunks)


def chunk(kind, flags, body):
    return struct.pack(">BBH", kind, flags, 4 + len(body)) + body + bytes(-len(body) % 4)


def data_chunk(tsn, flags=3, size=20, stream=0, ppid=60):
    return chunk(0, flags, struct.pack(">IHHI", tsn, stream, 0, ppid) + bytes(size))


def sack_chunk(tsn, window=65536, gaps=(), duplicates=()):
    return chunk(3, 0, struct.pack(">IIHH", tsn, window, len(gaps), len(duplicates)) +
                 b"".join(struct.pack(">HH", *g) for g in gaps) +
                 b"".join(struct.pack(">I", d) for d in duplicates))


def init_chunk(kind, tag, tsn, *parameters):
    return chunk(kind, 0, struct.pack(">IIHHI", tag, 65536, 10, 10, tsn) + b"".join(parameters))


def icmp(kind, code, rest, payload=b""):
    return struct.pack(">BBHI", kind, code, 0, rest) + payload


def gtpu(payload, flags=0x30, message=255, options=b""):
    return struct.pack(">BBHI", flags, message, len(options) + len(payload), 7) + options + payload


def quic(first, version, dcid=b"12345678", scid=b"87654321", rest=bytes(1200)):
    return struct.pack(">BI", first, version) + bytes([len(dcid)]) + dcid + bytes([len(scid)]) + scid + rest


# ---- conversations: (milliseconds since the one before, frame) ----

def handshake(ts=True, scale=True):
    options = b"\2\4\5\xb4" + (b"\1\3\3\7" if scale else b"") + b"\4\2" + (b"\x08\x0a" + bytes(8) if ts else b"")
    return [(0, tcp(0, 99, 0, SYN, options=options)), (10, tcp(1, 199, 100, SYN | ACK, options=options)),
            (2, tcp(0, 100, 200, ACK))]


def tcp_conversations():
    data, closing = bytes(100), [(5, tcp(0, 300, 200, FIN | ACK)), (5, tcp(1, 200, 301, FIN | ACK)),
                                 (5, tcp(0, 301, 201, ACK))]
    yield "plain", handshake() + [(1, tcp(0, 100, 200, ACK | PSH, data)), (9, tcp(1, 200, 200, ACK)),
                                  (1, tcp(0, 200, 200, ACK | PSH, data)), (9, tcp(1, 200, 300, ACK))] + closing
    yield "stamps", handshake() + [
        (1, tcp(0, 100, 200, ACK, data, options=timestamps(10, 5))), (9, tcp(1, 200, 200, ACK, options=timestamps(6, 10))),
        (50, tcp(0, 300, 200, ACK, data, options=timestamps(60, 6))),
        (1, tcp(0, 200, 200, ACK, data, options=timestamps(59, 6))),
        (1, tcp(1, 200, 200, ACK, options=timestamps(8, 10) + sack((300, 400)))),
        (300, tcp(0, 200, 200, ACK, data, options=timestamps(400, 8))),
        (1, tcp(1, 200, 400, ACK, options=timestamps(500, 400) + sack((200, 300))))]
    yield "fast", handshake() + [(1, tcp(0, 100, 200, ACK, data)), (1, tcp(0, 300, 200, ACK, data)),
                                 (1, tcp(1, 200, 200, ACK)), (1, tcp(1, 200, 200, ACK)), (1, tcp(1, 200, 200, ACK)),
                                 (1, tcp(1, 200, 200, ACK)), (5, tcp(0, 200, 200, ACK, data)), (5, tcp(1, 200, 400, ACK))]
    yield "rto", handshake(False, False) + [(1, tcp(0, 100, 200, ACK, data)), (900, tcp(0, 100, 200, ACK, data)),
                                            (10, tcp(1, 200, 200, ACK)), (10, tcp(0, 100, 200, ACK, data)),
                                            (10, tcp(1, 200, 200, ACK, options=sack((100, 200))))]
    yield "lost", handshake() + [(1, tcp(0, 100, 200, ACK, data)), (1, tcp(1, 200, 500, ACK)), (1, tcp(0, 600, 200, ACK, data)),
                                 (1, tcp(0, 900, 200, ACK, data)), (1, tcp(0, 1200, 200, ACK, data)), (1, tcp(1, 200, 1300, ACK)),
                                 (1, tcp(1, 300, 1300, ACK, data)), (1, tcp(0, 1300, 400, ACK))]
    yield "window", handshake(False, False) + [
        (1, tcp(1, 200, 100, ACK, window=100)), (1, tcp(0, 100, 200, ACK, data)), (1, tcp(1, 200, 200, ACK, window=0)),
        (500, tcp(0, 200, 200, ACK, b"x")), (5, tcp(1, 200, 200, ACK, window=0)), (500, tcp(0, 199, 200, ACK)),
        (5, tcp(1, 200, 200, ACK, window=0)), (5, tcp(0, 199, 200, ACK, b"x")), (5, tcp(1, 200, 200, ACK, window=5000))]
    yield "again", [(0, tcp(0, 99, 0, SYN)), (1000, tcp(0, 99, 0, SYN)), (1, tcp(0, 555, 0, SYN)), (1, tcp(1, 0, 556, RST | ACK)),
                    (1, tcp(0, 777, 0, SYN)), (5, tcp(1, 9, 778, SYN | ACK)), (5, tcp(1, 9, 778, SYN | ACK))]
    yield "silent", [(0, tcp(0, 99, 0, SYN)), (11000, tcp(0, 5, 0, SYN, ports=(40001, 80)))]
    for name, by in (("client", 0), ("server", 1)):
        yield f"reset-{name}", handshake() + [(1, tcp(by, 100 + 100 * by, 200 - 100 * by, RST | ACK))]
        yield f"reset-closing-{name}", handshake() + closing[:1] + [(1, tcp(by, 301 - 101 * by, 200 + 101 * by, RST | ACK))]
        yield f"reset-early-{name}", handshake()[:2] + [(1, tcp(by, 100 + 100 * by, 200 - 100 * by, RST | ACK))]
    yield "midstream", [(0, tcp(0, 1000, 5, ACK, data)), (1, tcp(1, 5, 1100, ACK, data)), (1, tcp(0, 1100, 105, ACK))]
    yield "wraps", [(0, tcp(0, -50, 5, ACK, data)), (1, tcp(1, 5, 50, ACK)), (1, tcp(0, 150, 5, ACK, data)), (1, tcp(0, 50, 5, ACK, data)),
                    (1, tcp(1, 5, 250, ACK))]
    yield "one-way", [(600, tcp(0, 100 + 100 * i, 5, ACK, data)) for i in range(12)]
    yield "many", handshake() + [(1, tcp(0, 100 + 200 * i, 200, ACK, data)) for i in range(24)] + \
        [(1, tcp(0, 200, 200, ACK, data)), (1, tcp(1, 200, 5000, ACK))]


def sctp_conversations():
    setup = [(0, sctp(0, 0, init_chunk(1, 11, 100, struct.pack(">HH4s", 5, 8, b"\x0a\1\0\1"),
                                       struct.pack(">HH4s", 5, 8, b"\x0a\1\0\2")))),
             (5, sctp(1, 11, init_chunk(2, 22, 500, struct.pack(">HH", 7, 4 + 12) + bytes(12)))),
             (3, sctp(0, 22, chunk(10, 0, bytes(12)))), (5, sctp(1, 11, chunk(11, 0, b"")))]
    yield "data", setup + [(1, sctp(0, 22, data_chunk(100))), (9, sctp(1, 11, sack_chunk(100))),
                           (1, sctp(0, 22, data_chunk(101), data_chunk(102, 2), data_chunk(103, 1))),
                           (1, sctp(1, 11, sack_chunk(101, 0, ((2, 2),), (100,)))), (300, sctp(0, 22, data_chunk(102, 2))),
                           (5, sctp(1, 11, sack_chunk(110), data_chunk(500))), (5, sctp(0, 22, sack_chunk(500))),
                           (5, sctp(0, 22, chunk(7, 0, struct.pack(">I", 500)))), (5, sctp(1, 11, chunk(8, 0, b""))),
                           (5, sctp(0, 22, chunk(14, 0, b"")))]
    yield "beats", setup + [(1000, sctp(i % 2, 11 + 11 * (1 - i % 2), chunk(4 + i % 2, 0, struct.pack(">HH", 1, 12) + bytes(8))))
                            for i in range(4)] + [(6000, sctp(0, 22, chunk(4, 0, struct.pack(">HH", 1, 12) + bytes([i] * 8))))
                                                  for i in range(7)]
    for cause in (b"", struct.pack(">HH", 12, 4), struct.pack(">HH", 1, 8) + bytes(4), struct.pack(">HH", 99, 4), struct.pack(">HH", 13, 4)):
        yield f"abort{cause[1:2].hex()}", setup + [(1, sctp(1, 11, chunk(6, 0, cause)))]
    yield "aborted-init", setup[:1] + [(1, sctp(1, 11, chunk(6, 1, b"")))]
    yield "rare", setup + [(1, sctp(0, 22, chunk(64, 3, struct.pack(">IHHII", 100, 0, 0, 1, 60) + bytes(8)),
                                    chunk(9, 0, b"\0\1\0\4"), chunk(192, 0, struct.pack(">I", 105)), chunk(193, 0, bytes(8)),
                                    chunk(128, 0, bytes(8)), chunk(130, 0, bytes(8)), chunk(77, 0, b"xyz"), chunk(12, 0, b""),
                                    chunk(194, 0, struct.pack(">I", 106))))]
    yield "lost", setup + [(1, sctp(0, 22, data_chunk(100 + 3 * i))) for i in range(8)] + [(1, sctp(1, 11, sack_chunk(140)))]
    yield "midstream", [(0, sctp(0, 22, data_chunk(9))), (1, sctp(1, 11, sack_chunk(9))), (1, sctp(0, 22, data_chunk(10)))]
    yield "again", setup + [(1000, sctp(0, 0, init_chunk(1, 11, 100)))] + setup[:1]


def quic_conversations():
    """First packets have 1,200 bytes, of which the IP header tells; few are captured."""
    def ask(*fields):
        return frame(0, UDP, udp(5000, 443, quic(*fields)))[:80]

    def tell(*fields):
        return frame(1, UDP, udp(443, 5000, quic(*fields)))[:80]

    for name, first, version in (("v1", 0xC0, 1), ("v2", 0xD0, 0x6B3343CF), ("draft", 0xC0, 0xFF00001D),
                                 ("odd", 0xC0, 0xBABABABA), ("mvfst", 0xC0, 0xFACEB002)):
        yield f"quic-{name}", [(0, ask(first, version)), (9, tell(first, version, b"87654321", b"abcdefgh")),
                               (4, ask(first | 0x20, version))]
    yield "quic-retry", [(0, ask(0xC0, 1)), (9, tell(0xF0, 1)), (1, ask(0xC0, 1)), (9, tell(0x80, 0)),
                         (1, frame(0, UDP, udp(5000, 443, b"\x40" + bytes(30)))),
                         (1, frame(1, UDP, udp(443, 5000, b"\x60" + bytes(30))))]


def other_conversations():
    ask, tell = udp(5353, 53, b"question"), udp(53, 5353, b"answer")
    tail = tcp(0, 99, 0, SYN)
    yield "dns", [(0, frame(0, UDP, ask)), (5, frame(1, UDP, tell)), (5, frame(0, UDP, ask))]
    yield "unanswered", [(0, frame(0, UDP, udp(1000 + i, 53, b"?"))) for i in range(3)] + [(200000, frame(0, UDP, ask))]
    yield "echo-skipped", [(1, frame(0, ICMP, icmp(8, 0, 0x10001 + i))) for i in range(20)]
    for kind, code in ((3, 0), (3, 1), (3, 2), (3, 3), (3, 4), (3, 9), (3, 13), (3, 5), (11, 0), (11, 1), (12, 0), (5, 0), (4, 0), (3, 3)):
        for name, protocol, quoted in (("udp", UDP, ask), ("tcp", TCP, tail), ("sctp", SCTP, sctp(0, 0, init_chunk(1, 11, 100)))):
            if name == "udp" or code in (1, 3) and kind == 3:
                yield f"error-{kind}-{code}-{name}", [(0, frame(0, protocol, quoted)), (5, frame(1, ICMP, icmp(
                    kind, code, 0, ipv4(*FOUR, protocol, quoted)[:28])))]
    for kind, code in ((1, 0), (1, 1), (1, 3), (1, 4), (2, 0), (3, 0), (3, 1), (4, 1), (137, 0)):
        yield f"error6-{kind}-{code}", [(0, frame(0, UDP, ask, six=True)), (5, frame(1, ICMP6, icmp(
            kind, code, 0, ipv6(*SIX, UDP, ask)), six=True))]
    yield "echo", [(0, frame(0, ICMP, icmp(8, 0, 0x10001))), (3, frame(1, ICMP, icmp(0, 0, 0x10001))),
                   (3, frame(0, ICMP, icmp(8, 0, 0x10002))), (9000, frame(0, ICMP, icmp(8, 0, 0x10003)))]
    yield "echo6", [(0, frame(0, ICMP6, icmp(128, 0, 0x10001), six=True)), (3, frame(1, ICMP6, icmp(129, 0, 0x10001), six=True))]
    yield from quic_conversations()
    twin = frame(0, UDP, ask)
    yield "duplicates", [(1, twin)] * 60 + [(1, frame(0, ICMP, icmp(8, 0, 0x10001)))] * 4
    yield "other", [(0, frame(0, 47, bytes(20))), (0, frame(1, 50, bytes(20))), (0, ethernet(*MACS, 0x0806, bytes(28)))]
    yield "fragments", [(0, frame(0, UDP, ask, fragment=0x2000)), (0, frame(0, UDP, bytes(16), fragment=5))]
    yield "flood", [(1, frame(0, UDP, udp(1000 + i, 53, b"?"))) for i in range(40)]


def conversations():
    for name, steps in tcp_conversations():
        yield f"tcp-{name}", [(ms, frame(f[0:2] == b"\0\x50", TCP, f)) for ms, f in steps]
        if name in ("plain", "fast", "rto", "again", "lost"):
            yield f"ue-{name}", [(ms, frame(0, UDP, udp(2152, 2152, gtpu(ipv4(*FOUR[::1 - 2 * (f[0:2] == b"\0\x50")], TCP, f)))))
                                 for ms, f in steps]
        if name in ("plain", "window"):
            yield f"tcp6-{name}", [(ms, frame(f[0:2] == b"\0\x50", TCP, f, six=True)) for ms, f in steps]
    for name, steps in sctp_conversations():
        yield f"sctp-{name}", [(ms, frame(f[0:2] == b"\x8e\x3c", SCTP, f)) for ms, f in steps]
    yield from other_conversations()


def kpi_input(steps):
    """As fuzz_kpi.c says."""
    out = b""
    for ms, data in steps:
        data = data[:4095]
        out += struct.pack("<HI", len(data), min(ms * 1000, (1 << 28) - 1) | 1 << 29) + data
    return out


# ---- single packets ----

def packets():
    inner = next(iter(plain(1)))
    tag = struct.pack(">HH", 0x8100, 5)
    for i, tags in enumerate((b"", tag, tag + tag, struct.pack(">HHHH", 0x88A8, 5, 0x8100, 6))):
        yield f"outer-{i}", b"\0" + ethernet(*MACS, 0x0800, ipv4(*FOUR, UDP, udp(65500, 4789, vxlan(1, inner))), tags)
    yield "outer-plain", b"\0" + mirrored(5, inner)
    yield "outer-options", b"\0" + mirrored(5, inner, options=b"\x94\4\0\0")
    yield "outer-fragment", b"\0" + mirrored(5, inner, fragment=0x2000)
    yield "outer-6", b"\0" + ethernet(*MACS, 0x86DD, ipv6(*SIX, UDP, udp(65500, 4789, vxlan(1, inner))))
    yield "outer-6-fragment", b"\0" + ethernet(*MACS, 0x86DD, ipv6(*SIX, 44, struct.pack(">BBHI", UDP, 0, 1, 9) + udp(65500, 4789, b"")))
    for name, fields in (("port", udp(65500, 4790, vxlan(1, inner))), ("flags", udp(65500, 4789, vxlan(1, inner, 0))),
                         ("short", udp(65500, 4789, b"\x08\0\0")), ("empty", udp(65500, 4789, vxlan(1, b"")))):
        yield f"outer-{name}", b"\0" + ethernet(*MACS, 0x0800, ipv4(*FOUR, UDP, fields))
    yield "outer-not-udp", b"\0" + frame(0, TCP, tcp(0, 1, 1, ACK))
    yield "outer-arp", b"\0" + ethernet(*MACS, 0x0806, bytes(28))
    outer = mirrored(5, inner)
    for i, (magic, length, at) in enumerate(((0x76787072, len(outer), 50), (0, 0, 0), (0x76787072, len(outer), 60000))):
        yield f"steered-{i}", b"\1" + struct.pack("<IIQ16sIIHHI", magic, 1, 2, SIX[0], 5, length, at, 3, len(inner)) + outer
    for name, steps in conversations():
        yield f"inner-{name}", b"\x80" + max((f for _, f in steps), key=len)[:300]
        yield f"inner-last-{name}", b"\x80" + steps[-1][1][:300]
    yield "inner-vlan", b"\x80" + ethernet(*MACS, 0x0800, ipv4(*FOUR, UDP, udp(1, 2, b"x")), tag + tag)
    yield "inner-segments", b"\xa0" + frame(0, UDP, udp(1, 2, bytes(32)))[:60]
    yield "inner-big", b"\x80" + frame(0, TCP, tcp(0, 1, 1, ACK))[:16] + b"\0\0" + frame(0, TCP, tcp(0, 1, 1, ACK))[18:]
    for kind in (0, 43, 60, 51, 135, 139, 140, 44):
        extension = struct.pack(">BB", UDP, 4 if kind == 51 else 0) + (bytes(22) if kind == 51 else bytes(6))
        yield f"inner-6-{kind}", b"\x80" + frame(0, kind, extension + udp(1, 2, b"x"), six=True)
    yield "inner-6-fragment", b"\x80" + frame(0, 44, struct.pack(">BBHI", UDP, 0, 16 | 1, 9) + bytes(16), six=True)
    yield "inner-6-none", b"\x80" + frame(0, 59, b"", six=True)
    yield "inner-6-hops", b"\x80" + frame(0, 0, b"\0\0" + bytes(6) + b"\0\0" + bytes(6) + b"\x3c\0" + bytes(6), six=True)
    for flags, options in ((0x34, b"\0\0\0\x85\1\0\0\0"), (0x32, bytes(4)), (0x34, b"\0\0\0\x85\0\0\0\0"), (0x10, b"")):
        yield f"inner-gtpu-{flags:x}-{len(options)}", b"\x80" + frame(0, UDP, udp(2152, 2152, gtpu(
            ipv4(*FOUR, TCP, tcp(0, 1, 1, ACK)), flags, 255, options)))
    yield "inner-gtpu-6", b"\x80" + frame(0, UDP, udp(2152, 2152, gtpu(ipv6(*SIX, UDP, udp(1, 2, b"x")))))
    yield "inner-gtpu-echo", b"\x80" + frame(0, UDP, udp(2152, 2152, gtpu(b"", message=1)))
    yield "inner-bad-ip", b"\x80" + ethernet(*MACS, 0x0800, b"\x4f" + bytes(30))


# ---- capture files ----

def options(order, *pairs):
    return b"".join(struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4) for code, value in pairs) + bytes(4)


def block(order, kind, body):
    length = 12 + len(body)
    return struct.pack(order + "II", kind, length) + body + struct.pack(order + "I", length)


def pcapng(order="<"):
    p = bytes(18)
    texts = ((2, b"eth0"), (3, b"vni=5 source=10.0.0.1"), (9, b"\x09"), (14, struct.pack(order + "q", 3)))
    names = struct.pack(order + "HH", 1, 4 + 7) + b"\x0a\1\0\1amf\0b\0\0"[:11] + b"\0" + \
        struct.pack(order + "HH", 2, 16 + 4) + SIX[0] + b"smf\0" + struct.pack(order + "HH", 9, 4) + b"what" + bytes(4)
    return [block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1) + options(order, (4, b"me"), (1, b"a comment"))),
            block(order, 1, struct.pack(order + "HHI", 1, 0, 262144) + options(order, *texts)),
            block(order, 1, struct.pack(order + "HHI", 113, 0, 10) + options(order, (9, b"\x8a"))),
            block(order, 6, struct.pack(order + "IIIII", 0, 0x18000000, 5, 18, 60) + p + bytes(2) +
                  options(order, (5, bytes(8)), (6, bytes(4)), (1, b"x"))),
            block(order, 6, struct.pack(order + "IIIII", 1, 1, 5, 18, 60) + p + bytes(2)),
            block(order, 3, struct.pack(order + "I", 18) + p + bytes(2)),
            block(order, 2, struct.pack(order + "HHIIII", 0, 9, 1, 5, 18, 60) + p + bytes(2)),
            block(order, 4, names), block(order, 0x80000001, b"ours"),
            block(order, 5, struct.pack(order + "III", 0, 1, 5) + options(order, (2, bytes(8)), (3, bytes(8)), (4, bytes(8)),
                                                                          (5, bytes(8)), (8, bytes(8))))]


def captures():
    yield "empty", b""
    for order, name in (("<", "little"), (">", "big")):
        for magic in (0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34):
            extra = bytes(8) if magic == 0xA1B2CD34 else b""
            yield f"pcap-{name}-{magic:x}", struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 64, 1) + b"".join(
                struct.pack(order + "IIII", 5, n, 18, 60) + extra + bytes(18) for n in (0, 999999, 0xFFFFFFFF))
        blocks = pcapng(order)
        yield f"pcapng-{name}", b"".join(blocks)
        yield f"pcapng-cut-{name}", b"".join(blocks)[:-5]
        for i, one in enumerate(blocks[1:]):
            yield f"pcapng-{name}-{i}", b"".join(blocks[:3]) + one
    little = pcapng()
    for more in (1, 4, 3000):  # than the block has
        yield f"pcapng-over-{more}", b"".join(little[:2]) + block("<", 6, struct.pack("<IIIII", 0, 1, 5, 20 + more, 60) + bytes(20))
    yield "pcapng-two", b"".join(little) + b"".join(pcapng(">"))
    for name, at, value in (("length", 4, 13), ("huge", 4, 1 << 25), ("magic", 8, 0), ("major", 12, 9), ("tail", -4, 8)):
        bad = bytearray(little[0])
        struct.pack_into("<I", bad, at % len(bad), value)
        yield f"pcapng-bad-{name}", bytes(bad) + little[1]
    for resolution in (b"\0", b"\6", b"\x0a", b"\x13", b"\xc0", b"\x94", b"\xff"):
        yield f"pcapng-ticks-{resolution.hex()}", little[0] + block("<", 1, struct.pack("<HHI", 1, 0, 0) + options(
            "<", (9, resolution), (14, struct.pack("<q", -3)))) + little[3]
    yield "pcap-cut", struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 64, 1) + bytes(7)
    yield "text", b"no capture"


# ---- packed, sealed ----

def zstd(data, *how):
    return subprocess.run(["zstd", "-q", "-c", *how], input=data, capture_output=True, check=True).stdout


def record(keys=b"\x5a" * 6, sessions=b"\x03"):
    return struct.pack("<QQIIHHI", 5, 9, 1, len(keys), 0, len(sessions), 0) + sessions + keys


def tail(frames, definitions):
    """Index and seek table, as pack_index.h says; frames: packed and raw length."""
    records = b"".join(record() for _ in frames)
    index = records + definitions
    table = b"".join(struct.pack("<II", *f) for f in frames) + struct.pack("<IBI", len(frames), 0, 0x8F92EAB1)
    return struct.pack("<5I", 0x184D2A5D, 12 + len(index), 2, len(frames), len(records)) + index + \
        struct.pack("<II", 0x184D2A5E, len(table)) + table


def packed():
    blocks = pcapng()
    raw = b"".join(blocks), blocks[3], blocks[3] * 3
    frames = [zstd(r) for r in raw]
    whole = b"".join(frames) + tail([(len(f), len(r)) for f, r in zip(frames, raw)], b"".join(blocks[:3]))
    index = whole.rindex(struct.pack("<I", 0x184D2A5D))
    yield "whole", whole
    yield "no-index", whole[:index]
    yield "no-seek", whole[:whole.rindex(struct.pack("<I", 0x184D2A5E))]
    yield "cut", whole[:index - 20]
    for name, at, value in (("version", index + 8, 3), ("frames", index + 12, 9), ("length", index + 4, 8), ("records", index + 16, 9),
                            ("times", index + 20, 0xFFFF), ("packets", index + 36, 10**6), ("filter", index + 40, 0xFFFFFFFF),
                            ("sessions", index + 44, 0xFFFF0000), ("flags", index + 48, 7), ("seek", len(whole) - 9, 7), ("raw", len(whole) - 13, 5), ("longer", len(whole) - 13, 100), ("packed", len(whole) - 17, 5),
                            ("flag", len(whole) - 5, 0xFFFFFFFF), ("definition", index + 20 + len(record()) * len(frames), 7), ("zstd", 12, 0xFFFFFFFF)):
        bad = bytearray(whole)
        struct.pack_into("<I", bad, at, value)
        yield f"bad-{name}", bytes(bad)
    yield "two-sections", zstd(raw[0]) + zstd(raw[0])
    yield "half-block", zstd(raw[0][:-6])
    yield "two-frames-of-a-block", zstd(raw[0] + blocks[3][:20]) + zstd(blocks[3][20:])
    yield "no-check", zstd(raw[0], "--no-check")
    yield "skippable", struct.pack("<II", 0x184D2A50, 4) + b"skip" + zstd(raw[0])
    yield "not-pcapng", zstd(b"hello")
    yield "large", zstd(raw[0] + blocks[3] * 3000)
    yield "huge", zstd(bytes(1 << 20) * 65)
    yield "names", zstd(b"".join(blocks[:3] + [blocks[7]] + blocks[3:]))
    yield "empty", b""
    entries = [struct.pack("<II", len(f), len(r)) + record() for f, r in zip(frames, raw)]
    entries[0] += b"".join(blocks[:3])
    entries = b"".join(struct.pack("<I", len(e)) + e for e in entries)
    data = b"".join(frames)
    for name, told, there in (("all", entries, data), ("ahead", entries, data[:-len(frames[2]) // 2]), ("none", b"", data), ("cut", entries[:-9], data),
                              ("behind", entries[:-4 - len(record()) - 8], data), ("nothing", entries, b"")):
        yield f"part-{name}", part(told, there)
    for name, at, value in (("len", 0, 7), ("packed", 4, 9), ("raw", 8, 100), ("filter", 32, 0xFFFFFFFF), ("packets", 28, 10**6),
                            ("definition", 12 + len(record()), 7)):
        bad = bytearray(entries)
        struct.pack_into("<I", bad, at, value)
        yield f"part-bad-{name}", part(bytes(bad), data)


def part(entries, data):
    """As fuzz_pack wants an open file and the index beside it: of 16n + 3 bytes."""
    whole = struct.pack("<H", len(entries)) + entries + data
    return whole + bytes((3 - len(whole)) % 16)


def wanted():
    packet = frame(0, 6, struct.pack("!HH", 40000, 80) + bytes(16))
    texts = ("tcp 10.0.0.1:80 10.0.0.2:1234", "udp 10.0.0.1 10.0.0.2:0", "sctp [2001:db8::1]:38412 2001:db8::2", "icmp 10.0.0.1 10.0.0.2",
             "icmp6 ::1 fe80::1", "47 10.0.0.1 10.0.0.2", "tcp 10.0.0.1:80 ::1", "tcp [::1]80 ::2", "tcp 10.0.0.1: 10.0.0.2", "6 10.0.0.1:40000 10.0.0.2:80")
    for i, text in enumerate(texts):
        yield f"flow-{i}", b"\0" + text.encode() + b"\0" + packet
    for i, text in enumerate(("1:LQU9qZlK+B5F3KDmev6m5PMibrg=", "1:LQU9qZlK+B5F3KDmev6m5PMibrh=", "1:", "2:x")):
        yield f"community-{i}", b"\1" + text.encode() + b"\0" + packet
    for i, text in enumerate(("10.0.0.1", "2001:db8::1", "10.0.0", "x")):
        yield f"host-{i}", b"\2" + text.encode() + b"\0" + packet


def sealed():
    for path in sorted((HERE.parent / "vectors/age").iterdir()):
        if path.name in ("README", ".gitattributes"):
            continue
        head, _, body = path.read_bytes().partition(b"\n\n")
        if b"compressed: zlib" in head:
            body = zlib.decompress(body)
        if len(body) < 1200:
            yield path.name, body
        # Long ones are few: a chunk is 64 KiB.
        if path.name in ("stream_two_final_chunks", "stream_no_final_two_chunks"):
            yield path.name, body
        if path.name == "stream_two_chunks":
            yield "cut", body[:len(body) - 65500]


# ---- texts ----

KEY = "age1xmwwc06ly3ee5rytxm9mflaz2u56jjj36s0mypdrwsvlul66mv4q47ryef"
OTHER = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
SECRET = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0"


def keys():
    yield "empty", b""
    texts = (f"# mine\n{KEY}\n\n{OTHER}\n", f"# created\n# public key: {KEY}\n{SECRET}\n", SECRET, KEY.upper(), KEY[:-1] + "q", KEY + "x",
             KEY[:20], "age1", "ssh-ed25519 AAAA", SECRET.lower(), SECRET[:-1] + "Q", "# nothing\n", f"{SECRET}\n" * 5, f"{KEY}\n" * 65,
             KEY[:10] + KEY[10:].upper(), "age1" + "b" * 58, f"{SECRET}\r\n", "\0", "x" * 300)
    for i, text in enumerate(texts):
        yield f"{i}", text.encode()


def names():
    entry = "sessions:\n  - source: 10.0.0.1\n    vni: 101\n"
    fields = ("name: amf", "name: .x", "name: 10.0.0.2-5", "nf: 'a \"b\"'", "nf: \"\\x01\"", "vrf: core", "account: '123'", "eni: eni-1",
              "mac: 02:00:00:00:00:01", "mac: x", "policy: headers", "policy: odd", "from: 2026-11-21T10:00:00Z", "from: 2026",
              "until: 2026-11-21T10:00:00.5+01:00", "nams: x", "colour: x", "vni: 2", "nf: [a]", "nf: {a: b}", "addresses: []", "addresses: x",
              "from: 2026-11-21T10:00:00Z\n    until: 2026-11-21T09:00:00Z",
              "addresses:\n      - {address: 10.1.2.3, nf: smf}\n      - {address: '2001:db8::1', nf: x, from: 2026-11-21T10:00:00Z}",
              "addresses:\n      - {address: 10.1.2.3, nf: a}\n      - {address: 10.1.2.3, nf: b}", "addresses:\n      - x",
              "addresses:\n      - {nf: a}", "addresses:\n      - {address: 10.1.2.3}", "addresses:\n      - {address: a, nf: b}",
              "addresses:\n      - {address: 10.1.2.3, nf: b, until: 2026-11-21T10:00:00Z, x: y}", "nf: " + "x" * 70, "name: " + "n" * 60)
    for i, field in enumerate(fields):
        yield f"field-{i}", f"{entry}    {field}\n".encode()
    yield "example", (HERE.parent.parent / "tools/deploy/names.yaml").read_bytes()
    texts = ("", "a text\n", "- a list\n", "sessions: 5\n", "sessions:\n  - 1\n", "sessions:\n  - nf: x\n", "sessions: []\n", "? [a]\n: b\n", "a: &x b\n",
             "a: *x\n", "a: !!str b\n", "%YAML 1.1\n---\na: b\n", "a: b\n---\nc: d\n", "a: [b\n", "\0", "a: " + "[" * 20 + "]" * 20, "a: b\na: c\n", "'" + "k" * 70 + "': x\n",
             "a: |\n  text\n  more\n", "a: null\nb: ~\n", "sessions:\n  - source: 10.0.0.256\n    vni: 1\n", "sessions:\n  - source: 10.0.0.1\n    vni: 16777216\n",
             "".join(f"k{i}: x\n" for i in range(260)), "\ta: b\n", "a: \"\\q\"\n", "\xff\xfe", "a: \xe2\x28",
             f"{entry}  - source: 10.0.0.1\n    vni: 101\n", f"{entry}    name: a\n  - source: 10.0.0.2\n    vni: 1\n    name: a\n",
             f"{entry}    until: 2026-01-01T00:00:00Z\n  - source: 10.0.0.1\n    vni: 101\n    from: 2026-01-01T00:00:00Z\n",
             f"{entry}    name: x\n  - source: 10.0.0.9\n    vni: 7\n    name: x.2\n")
    for i, text in enumerate(texts):
        yield f"text-{i}", text.encode("latin-1")


def configs():
    enough = f"interface: eth1\noutput: out\nrecipient: {KEY}\n"
    yield "example", b"c\0" + (HERE.parent.parent / "tools/deploy/vxprobe.yaml").read_bytes().replace(b"\n#", b"\n")
    lines = ("", "workers: 3", "allow: [10.0.0.0/8, 'fd00::/8']", "allow: x", "recipient: [a, b]", "unencrypted: true", "colour: x", "workers: [1]", "workers: {a: b}",
             "recipient: []", "recipients-file: /nonexistent", "recipients-file: /dev/null", "listen: '[::1]:9789'\nhealth-listen: '[::1]:9789'", "health-listen: 127.0.0.1:9789", "level: -7",
             "level: x", "memory: 1GiB", "slack: 5ms", "ring: 500", "split: session", "rotate-time: 24h", "metrics-by: both", "sessions-max: 9999999", "help: x", "config: x",
             "interfaces: x", "workers: 1\nworkers: 2", "stores: x", "stores: {a: {}}\nwriters: 2", "writers: 2",
             f"stores:\n  a:\n    recipient: [{OTHER}, {KEY}]\n    rotate-time: 1m\n  b: {{retain-size: 4GiB, retain-time: 1d, rotate-size: 1MiB}}",
             "stores: {a_b: {}}", "stores: {vxprobe: {}}", "stores: {10.0.0.1-42: {}}", "stores: {a: {ring: 1}}", "stores: {a: {recipient: [[]]}}",
             "stores: {a: {retain-time: 1d}}\nsplit: session", "stores: {a: {recipients-file: /nonexistent}}")
    for i, line in enumerate(lines):
        yield f"file-{i}", f"c\0{enough}{line}\n".encode()
    words = ("-i eth0 -o out --unencrypted", f"-i eth0 -o out -r {KEY} -r {OTHER} --allow 10.0.0.1 --allow ::/0", "--help", "-h", "--nothing", "-x", "--worker 2", "--workers", "-i",
             "a b", f"-o out -r {KEY}", "-i eth0", "-i eth0 -o out", "--workers=2 --port 4790 --mode native --unknown-sessions drop -i e -o o --unencrypted",
             "--port 0", "--port x", "--slack 1h", "--allow 10.0.0.0/33", "--allow a/8", "--listen x", "--listen :80", "--listen [::1:80", "-r age1", "--memory 3", "--level 20",
             "-- -x", "--json", "--unencrypted=no", "-o out --unencrypted", "--interface= --output=")
    for i, line in enumerate(words):
        for command in "rf":
            yield f"line-{command}-{i}", (command + line.replace(" ", "\n")).encode()
    yield "read", b"fin.dat\n-\n-o\nout\n--unencrypted\n--workers\n2"
    yield "read-one", b"fin.dat\n-o\nout\n--unencrypted\n--metrics\n-\n"
    yield "both", f"r--workers\n2\n-r\n{OTHER}\n\0{enough}workers: 3\nrecipient: {KEY}\n".encode()
    yield "wrong-below", f"r--workers\n2\n\0{enough.replace('eth1', '')}workers: 99\n".encode()


def values():
    texts = {0: ("4096", "-1", "x", "18446744073709551616"), 1: ("0", "512B", "64KiB", "1TiB", "3MB", "99999999999TiB", "1GiB", "2MiB"),
             2: ("0", "20ns", "5us", "7ms", "1s", "5m", "24h", "30d", "9999999999d", "5"), 3: ("10.0.0.1", "::1", "x", "1.2.3"),
             4: ("02:00:00:00:00:01", "02-00", "0g:00:00:00:00:01"),
             5: ("2026-11-21T10:00:00Z", "2026-11-21T11:00:00.5+01:00", "1969-12-31T23:59:59Z", "2024-02-29T00:00:00Z", "2023-02-29T00:00:00Z", "2262-04-12T00:00:00Z",
                 "2026-11-21T10:00:00", "2026-11-21t10:00:00z", "2026-13-01T00:00:00Z", "2026-11-21T24:00:00Z", "2026-11-21T10:00:60Z", "2026-11-21T10:00:00.123456789-23:59",
                 "2026-11-21T10:00:00.1234567890Z", "2026-11-21T10:00:00+25:00", "1970-01-01T00:00:00+01:00", "2100-03-01T00:00:00Z")}
    for kind, list_of in texts.items():
        for i, text in enumerate(list_of):
            yield f"{kind}-{i}", bytes([kind]) + text.encode()
    for row in range(40, 80):
        for i, text in enumerate(("5", "512", "64KiB", "20ms", "auto", "full", "none", "session", "127.0.0.1:80", "[::1]:80", ":80", "10.0.0.0/8", "fd00::/8", KEY, "true", "false", "-3", "x", "")):
            yield f"row-{row}-{i}", bytes([row]) + text.encode()


def negotiations():
    texts = ("", "*/*", "text/plain", "application/openmetrics-text; version=1.0.0; charset=utf-8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
             "application/openmetrics-text;q=0.3,text/plain;q=0.4", "text/*;q=0", "application/openmetrics-text; version=9", "application/json", "text/html;q=0.8 , */* ; q=1.0",
             "a/b;x=\"y,\\\"z\";q=0.123", "a/b;q=2", "a/b;q=", ";;,,", "TEXT/PLAIN;Q=0.5", "application/openmetrics-text;version=\"1.0.0\"", "application/*", "text")
    for i, text in enumerate(texts):
        yield f"accept-{i}", text.encode()
    for i, text in enumerate(("gzip", "gzip;q=0", "*", "*;q=0", "identity;q=0", "gzip;q=0.5, identity", "x-gzip", "gzip;q=0.5,identity;q=0.4", "deflate, gzip;q=1.0, *;q=0.5", "", "GZIP")):
        yield f"encoding-{i}", b"\n" + text.encode()


# ---- evidence ----

def chains():
    key = "cecc1507dc1ddd7295951c290888f095adb9044d1b73d696e6df065d683bd4fc"
    zero = "0" * 64
    members = {"start": '"version":"1","host":"h"', "stop": "", "configured": f'"sha256":"{zero}","recipients":["{KEY}","{OTHER}"]', "clock": '"step_ns":-5',
               "sealed": f'"file":"a_000001_x.pcapng.zst.age","bytes":5,"sha256":"{zero}","packets":1,"drops":0,"recipients":["0123456789abcdef"]',
               "found": f'"file":"a_000002_x.pcapng.zst","bytes":5,"sha256":"{zero}"', "deleted": '"file":"a.pcapng.zst","reason":"old"',
               "unreadable": '"file":"a.pcapng.zst","bytes":5,"reason":"x"', "unhashed": '"files":3',
               "broken": f'"file":"b_trunc.pcapng.zst","bytes":5,"sha256":"{zero}","packets":1,"drops":0,"recipients":[]',
               "recovered": f'"file":"c_trunc.pcapng.zst","bytes":5,"sha256":"{zero}"'}

    def line(seq, before, event="stop", more=None, sign="*", time="2026-11-22T10:00:00.123456789Z"):
        more = members[event] if more is None else more
        first = f'"key":"{key}",' if seq == 1 else ""
        body = f'{{"chain":1,"seq":{seq},"time":"{time}","prev":"{before}","next":"{key}",{first}"event":"{event}"{"," if more else ""}{more}'
        return f'{body},"sig":"{sign}"}}'

    def fnv(data):
        """The signature that fuzz_chain puts in the place of a star."""
        n = 0xCBF29CE484222325
        for byte in data:
            n = (n ^ byte) * 0x100000001B3 % (1 << 64)
        return n.to_bytes(8, "little").hex() + "0" * 112

    def chain(*events):
        lines, before = [], zero
        for i, event in enumerate(events):
            text = line(i + 1, before, event)
            body = text[:-len(',"sig":"*"}')]
            before = hashlib.sha256(f'{body},"sig":"{fnv(body.encode())}"}}'.encode()).hexdigest()
            lines.append(text)
        return lines

    all_of = chain(*members)
    yield "all", "\n".join(all_of + [""]).encode()
    five = chain("start", "stop", "start", "stop", "start", "stop")
    for name, order in (("removed", (0, 1, 3, 4)), ("last", (0, 1, 3)), ("swapped", (0, 2, 1, 3)), ("repeated", (0, 1, 1, 2)), ("headless", (2, 3, 4)), ("back", (0, 1, 2, 0))):
        yield name, "\n".join([five[i] for i in order] + [""]).encode()
    yield "cut", "\n".join(five).encode()
    yield "altered", "\n".join([five[0], five[1].replace("stop", "clok"), five[2], five[3].replace('"*"', '"' + "0" * 128 + '"'), *five[4:], ""]).encode()
    yield "signed-otherwise", "\n".join([five[0], five[1][:-3] + "0" * 128 + '"}', five[2], five[3].replace("10:00", "11:00"), *five[4:], ""]).encode()
    yield "number", "\n".join([five[0], five[1].replace('"seq":2', '"seq":4'), *five[2:], ""]).encode()
    yield "long", b"x" * 9000 + b"\n" + all_of[0].encode() + b"\n"
    yield "empty", b""
    bad = [line(1, zero, "start", m) for m in ('"version":"1"', '"version":5,"host":"h"', '"version":"1","host":"\\u0001"', f'"version":"{"v" * 200}","host":"h"')]
    bad += [line(1, zero, "sealed", members["sealed"].replace(a, b)) for a, b in (("a_0", "../"), ('":5', '":-5'), ('":5', '":5.5'), (zero, zero[1:] + "G"), (zero, "0"), ("[", "[5,"), ("[", "{"), ('"drops":0,', ""))]
    bad += [line(1, zero, "stop", time=t) for t in ("2026-11-22T10:00:00Z", "2026-13-22T10:00:00.123456789Z", "2026-11-22T10:00:00.12345678xZ", "2500-11-22T10:00:00.123456789Z", "1960-11-22T10:00:00.123456789Z")]
    bad += [line(0, zero), line(10 ** 17, zero), line(1, "x"), line(1, zero).replace('"chain":1', '"chain":2'), line(1, zero).replace('"key"', '"kay"'), line(1, zero).replace(key, "x"),
            line(1, zero, "configured", f'"sha256":"{zero}","recipients":[{",".join(["1"] * 70)}]'), "[1" + ',"sig":"*"}', "{" + ',"sig":"*"}', line(1, zero, sign="G" * 128)]
    for i, text in enumerate(bad):
        yield f"bad-{i}", text.encode() + b"\n"
    for i in range(0, len(all_of), 3):  # of a length that is written again
        text = "\n".join(all_of[i:i + 3] + [""]).encode()
        yield f"again-{i}", text + bytes(-len(text) % 64)


def write(folder, inputs):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in inputs:
        (folder / name).write_bytes(data)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    corpus = Path(sys.argv[1])
    for name, inputs in (("packet", packets()), ("kpi", ((n, kpi_input(s)) for n, s in conversations())), ("capfile", captures()),
                         ("block", captures()), ("pack", packed()), ("seal", sealed()), ("keys", keys()), ("names", names()),
                         ("config", configs()), ("value", values()), ("negotiate", negotiations()), ("chain", chains()), ("flow", wanted())):
        write(corpus / name, inputs)


if __name__ == "__main__":
    main()
