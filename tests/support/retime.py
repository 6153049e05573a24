#!/usr/bin/env python3
"""retime: a pcapng capture (one section, little endian, enhanced packet blocks) at other times.
Usage: retime.py IN OUT later|every NANOSECONDS

later  each packet so much later
every  a packet every so often, in their order, from the time of the first"""

import struct
import sys
from pathlib import Path

PACKET = 6


def main():
    source, target, how, ns = sys.argv[1:]
    data, at, first, n = bytearray(Path(source).read_bytes()), 0, None, 0
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        if kind == PACKET:
            high, low = struct.unpack_from("<II", data, at + 12)
            time = high << 32 | low
            first = first or time
            time = {"later": time + int(ns), "every": first + n * int(ns)}[how]
            struct.pack_into("<II", data, at + 12, time >> 32, time & 0xFFFFFFFF)
            n += 1
        at += length
    Path(target).write_bytes(data)


if __name__ == "__main__":
    main()
