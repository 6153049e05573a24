#!/usr/bin/env python3
"""retime: a pcapng capture (one section, little endian, enhanced packet blocks) some nanoseconds later.
Usage: retime.py IN OUT NANOSECONDS"""

import struct
import sys
from pathlib import Path

PACKET = 6


def main():
    source, target, ns = sys.argv[1:]
    data, at = bytearray(Path(source).read_bytes()), 0
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        if kind == PACKET:
            high, low = struct.unpack_from("<II", data, at + 12)
            time = (high << 32 | low) + int(ns)
            struct.pack_into("<II", data, at + 12, time >> 32, time & 0xFFFFFFFF)
        at += length
    Path(target).write_bytes(data)


if __name__ == "__main__":
    main()
