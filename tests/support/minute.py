#!/usr/bin/env python3
"""minute.py OUT.pcap SECONDS PACKETS_PER_SECOND: packets to be sent at that rate, again and again.

User plane of 1,000 connections, of 1,350 bytes of payload that packs to about a half; and one connection of
signalling, which has a dialogue of 12 messages at a fifth and another one at four fifths of the time. Prints the
signalling connection as vxcap's --flow has it."""

import random
import struct
import sys

PAYLOAD, MESSAGES, MESSAGE_STEP_S = 1350, 12, 0.015
CLIENT, SERVER = ("10.8.0.1", 40123), ("10.8.0.2", 3868)


def address(text):
    return bytes(int(part) for part in text.split("."))


def tcp(source, target, payload):
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40 + len(payload), 1, 0, 64, 6, 0, address(source[0]), address(target[0]))
    head = struct.pack("!HHIIBBHHH", source[1], target[1], 1, 1, 0x50, 0x18, 65535, 0, 0)
    return bytes.fromhex("020000000001020000000002") + b"\x08\x00" + ip + head + payload


def main():
    path, seconds, rate = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    dice = random.Random(15)
    text = b"GET /nudm-sdm/v2 " * PAYLOAD
    ends = [((f"10.1.{i // 250}.{i % 250 + 1}", 20000 + i), (f"10.2.0.{i % 7 + 1}", 443)) for i in range(1000)]
    messages = {int(rate * (seconds * share + i * MESSAGE_STEP_S)): i for share in (.2, .8) for i in range(MESSAGES)}
    with open(path, "wb", buffering=1 << 22) as out:
        out.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1))
        for i in range(seconds * rate):
            if i in messages:
                pair, payload = (CLIENT, SERVER), b"Session-Id " + bytes([messages[i]]) * 200
            else:
                pair = ends[dice.randrange(len(ends))]
                payload = dice.randbytes(PAYLOAD // 2) + text[:PAYLOAD - PAYLOAD // 2]
            frame = tcp(*(pair if i & 1 else pair[::-1]), payload)
            out.write(struct.pack("<IIII", i // rate, i % rate * 10**9 // rate, len(frame), len(frame)))
            out.write(frame)
    print(f"tcp {CLIENT[0]}:{CLIENT[1]} {SERVER[0]}:{SERVER[1]}")


main()
