#!/usr/bin/env python3
"""thin: many sessions with little to say, and how their packets were stored.

  thin.py make OUT INNER SESSIONS SECONDS   OUT: mirrored packets, one of each session a second;
                                            INNER: the same packets without their wrapping
  thin.py waits KEY BOUND FILE...           in sealed files no packet waited longer than BOUND s
                                            for the bytes that make it readable

How long a packet waited is told by the file itself. It is readable with the whole age chunk that
has the end of its zstd frame; that was written when frames or padding went on behind the chunk; and
before the first packet of the frame that came next."""

import bisect
import ctypes
import io
import random
import struct
import subprocess
import sys

import capture
from packets import MIRROR, PROBE, PROBE_MAC, MIRROR_MAC, ethernet, ipv4, udp, vxlan

CHUNK = 65536
ZSTD = ctypes.CDLL("libzstd.so.1")
ZSTD.ZSTD_findFrameCompressedSize.restype = ZSTD.ZSTD_decompress.restype = ctypes.c_size_t
START_S = 1795302000


def text(rng, session, second):
    """As a SIP client that keeps its registration alive writes it."""
    return (f"OPTIONS sip:pcscf.ims.mnc001.mcc001.example SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 10.1.{session >> 8}.{session & 255}:5060;branch=z9hG4bK{rng.getrandbits(64):x}\r\n"
            f"From: <sip:00101{session:010}@ims.example>;tag={rng.getrandbits(32):x}\r\n"
            f"Call-ID: {rng.getrandbits(64):x}\r\nCSeq: {second} OPTIONS\r\n\r\n").encode()


def make(out, plain, sessions, seconds):
    rng = random.Random(1)
    with capture.Pcap(out) as wrapped, capture.Pcap(plain) as inner:
        for i in range(int(sessions) * int(seconds)):
            second, session = divmod(i, int(sessions))
            datagram = udp(5060, 5060, text(rng, session, second))
            frame = ethernet(bytes.fromhex("02ee00000001"), bytes.fromhex("02ee00000002"), 0x0800,
                             ipv4(f"10.1.{session >> 8}.{session & 255}", "10.2.0.1", 17, datagram))
            time_ns = START_S * 10**9 + i * 10**9 // int(sessions)
            inner.add(time_ns, frame)
            wrapped.add(time_ns, ethernet(PROBE_MAC, MIRROR_MAC, 0x0800, ipv4(
                MIRROR, PROBE, 17, udp(65500, 4789, vxlan(session + 1, frame)))))


def frames(data):
    """RFC 8878: (end of the frame in data, its content; empty: skippable) of each frame."""
    at, room = 0, ctypes.create_string_buffer(2 << 20)
    while at < len(data):
        magic, length = struct.unpack_from("<II", data, at)
        if 0x184D2A50 <= magic <= 0x184D2A5F:
            at += 8 + length
            yield at, b""
            continue
        here = data[at:]
        at += ZSTD.ZSTD_findFrameCompressedSize(here, ctypes.c_size_t(len(here)))
        n = ZSTD.ZSTD_decompress(room, ctypes.c_size_t(len(room)), here, ctypes.c_size_t(at - len(data) + len(here)))
        yield at, room.raw[:n]


def longest_wait(packed):
    """Seconds from the first packet of a frame until the frame could be read, at most so many."""
    ends, border, raw = [], [], b""
    for end, content in frames(packed):
        raw += content
        ends.append(end)
        border.append(len(raw))
    first, last = {}, 0  # first: time of the first packet of frame i
    stream = io.BytesIO(raw)
    for packet in capture.Capture(stream):
        first.setdefault(bisect.bisect_left(border, stream.tell()), packet.time_ns)
        last = packet.time_ns
    longest = 0
    for i, since in first.items():
        whole = -(-ends[i] // CHUNK) * CHUNK
        behind = bisect.bisect_right(ends, whole)  # the first to go on behind the chunk
        until = min((t for k, t in first.items() if k > behind), default=last)
        longest = max(longest, until - since)
    return longest / 1e9


def waits(key, bound, *files):
    longest = 0
    for path in files:
        packed = subprocess.run(["age", "-d", "-i", key, path], stdout=subprocess.PIPE, check=True).stdout
        waited = longest_wait(packed)
        if waited > float(bound):
            sys.exit(f"thin: {path}: a packet waited {waited:.2f} s, allowed is {bound}")
        longest = max(longest, waited)
    print(f"{longest:.2f}")


if __name__ == "__main__":
    {"make": make, "waits": waits}[sys.argv[1]](*sys.argv[2:])
