#!/usr/bin/env python3
"""segments: conversations made up at random, to ask two judges of TCP what they think of them.

Usage: segments.py OUT.pcap SEED CONVERSATIONS

What real captures seldom hold is common here: windows that close and fill, probes, keep-alives,
numbers that wrap or are 0, ACKs of what never came, SYNs in the midst, times at the thresholds
and running backwards."""

import random
import struct
import sys

import capture

FIN, SYN, RST, ACK = 1, 2, 4, 16
SEGMENTS = 60
NUMBERS = 2**32
HANDSHAKE = ((0, SYN), (1, SYN | ACK), (0, ACK))
MACS = bytes.fromhex("02ee0000000102dd00000001")
ADDRESSES = b"\x0a\0\0\1", b"\x0a\0\0\2"
STEPS_NS = (0, 1000, 500_000, 10**6, 2_999_999, 3 * 10**6, 3_000_001, 10**7, 19_999_999, 2 * 10**7, -1000)


class Conversation:
    def __init__(self, rng, port):
        self.rng, self.ports = rng, (port, 80)
        self.base = [rng.choice((0, 1, -1, -2, -100, rng.randrange(NUMBERS))) % NUMBERS for _ in "ab"]
        self.next, self.ack, self.window = self.base[:], self.base[:], [1000, 1000]
        self.opening = list(HANDSHAKE) if rng.random() < 0.7 else []

    def pick(self, *weighted):
        values, weights = zip(*weighted)
        return self.rng.choices(values, weights)[0]

    def segment(self):
        """The bytes of the next TCP segment, and its sender (0 or 1)."""
        if self.opening:
            sender, flags = self.opening.pop(0)
            length, seq = 0, self.next[sender]
            ack = self.next[not sender] if flags & ACK else 0
        else:
            sender, (flags, length, seq, ack) = self.disorder(self.rng.randrange(2))
        has_scale = flags & SYN and self.rng.random() < 0.6
        options = bytes((3, 3, self.rng.choice((0, 1, 7, 14, 15)), 1)) if has_scale else b""
        window = self.advertised(sender, ack)
        end = (seq + length + bool(flags & (SYN | FIN))) % NUMBERS
        if (end - self.next[sender]) % NUMBERS < NUMBERS // 2:
            self.next[sender] = end
        self.ack[sender], self.window[sender] = ack, window
        header = struct.pack(">HHIIBBHHH", self.ports[sender], self.ports[not sender], seq, ack,
                             (20 + len(options)) // 4 << 4, flags, window, 0, 0)
        return header + options + bytes(length), sender

    def disorder(self, sender):
        flags = self.pick((ACK, 600), (SYN, 10), (SYN | ACK, 10), (FIN | ACK, 10), (RST | ACK, 5), (RST, 3),
                          (0, 5), (FIN, 3))
        there, theirs = self.next[sender], self.next[not sender]
        seq = self.pick((there, 60), (there - 1, 8), (there + self.rng.choice((1, 10)), 3),
                        (there - self.rng.choice((2, 3, 10, 30)), 12), (self.ack[not sender], 8),
                        (self.base[sender], 32 if flags & SYN else 2))
        length = self.pick((0, 40), (1, 10), (2, 5), (10, 20), (20, 20))
        if flags & (SYN | RST):  # data in a SYN is another matter (kpi/tcp_handshake.h)
            length = 0
        ack = self.pick((self.ack[sender], 30), (theirs, 30), (theirs + self.rng.choice((1, 5)), 4), (theirs - 1, 5))
        return sender, (flags, length, seq % NUMBERS, ack % NUMBERS)

    def advertised(self, sender, ack):
        if self.rng.random() < 0.1:  # the other's next data may fill it
            return (self.next[not sender] + self.rng.choice((1, 10, 20)) - ack) % 65536
        return self.pick((self.window[sender], 60), (0, 5), (self.rng.choice((5, 10, 20, 40, 1000)), 15))


def frame(segment, sender):
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(segment), 1, 0, 64, 6, 0)
    return MACS + b"\x08\0" + ip + ADDRESSES[sender] + ADDRESSES[not sender] + segment


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    rng, time_ns = random.Random(int(sys.argv[2])), 16 * 10**17
    with capture.Pcap(sys.argv[1]) as out:
        for port in range(10000, 10000 + int(sys.argv[3])):
            conversation = Conversation(rng, port)
            for _ in range(SEGMENTS):
                out.add(time_ns, frame(*conversation.segment()))
                time_ns += rng.choice(STEPS_NS)


if __name__ == "__main__":
    main()
