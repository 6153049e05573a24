#!/usr/bin/env python3
"""replay: sends the frames of a pcap file as they are. Usage: replay.py FILE IFACE [PACKETS/S]"""

import socket
import sys
import time

import capture


def main():
    rate = float(sys.argv[3]) if len(sys.argv) > 3 else 10_000
    with open(sys.argv[1], "rb") as stream:
        frames = [p.data for p in capture.Capture(stream)]
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    link.bind((sys.argv[2], 0))
    start = time.monotonic()
    for i, frame in enumerate(frames):
        # In steps of 32: a sleep per packet costs more than the packet.
        if i % 32 == 0:
            time.sleep(max(0, start + i / rate - time.monotonic()))
        link.send(frame)
    print(f"{len(frames)} packets")


if __name__ == "__main__":
    main()
