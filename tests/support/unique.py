#!/usr/bin/env python3
"""unique: leaves out of captures each packet that the probe could take for one before, in any of them.
Usage: unique.py CAPTURE...; each is written anew"""

import sys
from pathlib import Path

import capture
import oracle

TCP = 6


def key(frame):
    """Of TCP the headers and 16 bytes behind them, as the probe compares."""
    at = oracle.ip_at(frame)
    if not at:
        return frame[:128]
    ip = oracle.fingerprint(frame)
    is_v4 = ip[0] >> 4 == 4
    head, protocol = ((ip[0] & 15) * 4, ip[9]) if is_v4 else (40, ip[6])
    return ip[:head + (ip[head + 12] >> 4) * 4 + 16] if protocol == TCP and len(ip) > head + 12 else ip


def main():
    seen = set()
    for path in map(Path, sys.argv[1:]):
        kept = [p for p in oracle.packets(path) if key(p.data) not in seen and not seen.add(key(p.data))]
        with capture.Pcap(path) as file:
            for p in kept:
                file.add(p.time_ns, p.data)


if __name__ == "__main__":
    main()
