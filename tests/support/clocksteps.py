#!/usr/bin/env python3
"""clocksteps: files that are written while the probe's clock is set; the sender's clock is not.

    send IFACE RATE SECONDS FIRST         mirrored packets: number from FIRST and real time in each;
                                          prints the number after the last
    judge STEPS KEY FOLDER VXCAP          prints what it judged

STEPS: a line for each offset of the probe's clock, "REAL_SECONDS OFFSET_SECONDS HOW", from when it
holds; HOW is step, or start where no probe ran at that moment. Every packet must be in one file and
have the time that the probe's clock showed when it came; what `vxcap cat` finds between two times
must be what stock tools find there; each step must be in the chain."""

import bisect
import json
import os
import re
import socket
import struct
import subprocess
import sys
import time

import packets
from judge import fail, read_result

SECOND = 10**9
NEAR = SECOND // 10  # from the sender's clock to XDP, on a machine with other work
HELD = 2 * SECOND    # the same, of one in so many where the machine stood still in between
HELD_ONE_IN = 1000
LATE = SECOND // 2   # after a step the probe has seen it: two threads look ten times a second
TRUTH = struct.Struct(">QQ")  # number, real time: the last bytes of a packet


# ---- send ----

def send(interface, rate, seconds, first):
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    link.bind((interface, 0))
    begin, n = time.monotonic(), 0
    while time.monotonic() - begin < float(seconds):
        body = packets.POOL[n % 50000:][:80] + TRUTH.pack(int(first) + n, time.time_ns())
        inner = packets.ipv4("10.1.0.1", "10.2.0.1", 17, packets.udp(1024 + n % 50, 7777, body))
        link.send(packets.mirrored(77, packets.ethernet(b"\2\xdd\0\0\0\0", b"\2\xee\0\0\0\1", 0x0800, inner)))
        n += 1
        time.sleep(max(0, begin + n / int(rate) - time.monotonic()))
    print(int(first) + n)


# ---- judge ----

class Clock:
    """What the probe's clock showed."""

    def __init__(self, path):
        with open(path, encoding="ascii") as lines:
            fields = [line.split() for line in lines]
        self.since = [int(real.replace(".", "")) for real, _, _ in fields]  # nine digits of fraction
        self.offset = [int(offset) * SECOND for _, offset, _ in fields]
        self.is_step = [how == "step" for _, _, how in fields]

    def shown(self, real):
        """The time it showed, and the one that the probe may still have taken it for."""
        i = bisect.bisect(self.since, real) - 1
        is_new = self.is_step[i] and real - self.since[i] < LATE
        return real + self.offset[i], real + self.offset[i - is_new]

    def steps(self):
        return [self.offset[i] - self.offset[i - 1] for i, is_step in enumerate(self.is_step) if is_step]


def check_names(folder):
    names = [n for n in os.listdir(folder) if n.endswith(".pcapng.zst.age")]
    numbers = sorted(int(re.fullmatch(r"vxprobe_(\d+)_\d{8}T\d{6}Z_\d{8}T\d{6}Z.*", n)[1]) for n in names)
    if numbers != list(range(1, len(numbers) + 1)):
        fail(f"the files' sequence numbers are {numbers}")
    return [os.path.join(folder, n) for n in names]


def check_times(clock, stored):
    """The number of packets that came when the probe had not seen the step yet, and of those held up."""
    late = held = 0
    for t, number, real in stored:
        right, before = clock.shown(real)
        if abs(t - right) <= NEAR:
            continue
        if abs(t - before) <= NEAR:
            late += 1
        elif 0 < t - right <= HELD or 0 < t - before <= HELD:
            held += 1
        else:
            fail(f"packet {number} has a time that is {(t - right) / SECOND:+.3f} s off")
    if held > len(stored) // HELD_ONE_IN:
        fail(f"{held} packets have a time that is over {NEAR / SECOND} s off")
    return late, held


def windows(clock, stored):
    """(from, to): before, over and after each step, in the time before it and in the one after; all."""
    for i in range(1, len(clock.since)):
        for offset in clock.offset[i - 1:i + 1]:
            at = clock.since[i] + offset
            for begin, end in ((-900, -300), (-500, 500), (-100, 100), (300, 900)):
                yield at + begin * SECOND // 1000, at + end * SECOND // 1000
    yield min(stored)[0], max(stored)[0] + 1


def check_windows(vxcap, key, folder, clock, stored):
    """The number of windows, of those with packets, and of those that the clock showed twice."""
    out = os.path.join(os.path.dirname(key), "window")
    n = filled = twice = 0
    for begin, end in windows(clock, stored):
        limits = [f"{t // SECOND}.{t % SECOND:09}" for t in (begin, end)]
        subprocess.run([vxcap, "cat", folder, "-i", key, "--from", limits[0], "--to", limits[1], "-w", out],
                       check=True, stderr=subprocess.DEVNULL)
        found = [truth(p) for p in read_result(out)]
        want = sorted(p for p in stored if begin <= p[0] < end)
        if sorted(found) != want:
            fail(f"{limits[0]} to {limits[1]}: {len(found)} packets found, {len(want)} are there")
        if [p[0] for p in found] != [p[0] for p in want]:
            fail(f"{limits[0]} to {limits[1]}: not in the order of time")
        n += 1
        filled += bool(want)
        real = [p[2] for p in want]
        twice += bool(want) and n > 1 and max(real) - min(real) > end - begin + 2 * NEAR
    return n, filled, twice


def check_chain(folder, clock):
    with open(os.path.join(folder, "vxprobe.chain"), encoding="utf-8") as lines:
        told = [e["step_ns"] for e in map(json.loads, lines) if e["event"] == "clock"]
    if len(told) != len(clock.steps()) or any(abs(a - b) > NEAR for a, b in zip(told, clock.steps())):
        fail(f"the chain tells of steps {told}, there were {clock.steps()}")


def truth(p):
    """(time, number, real time)"""
    return p.time_ns, *TRUTH.unpack(p.data[-TRUTH.size:])


def judge(steps, key, folder, vxcap):
    clock = Clock(steps)
    files = check_names(folder)
    stored = [truth(p) for path in files for p in read_result(path, key)]
    late, held = check_times(clock, stored)
    n, filled, twice = check_windows(vxcap, key, folder, clock, stored)
    if not twice:
        fail("no time came twice")
    check_chain(folder, clock)
    numbers = sorted(number for _, number, _ in stored)
    if numbers != list(range(len(numbers))):
        fail(f"of {numbers[-1] + 1} packets {len(set(numbers))} are stored, {len(numbers)} times")
    print(f"{len(numbers)} packets, each once in {len(files)} files, {late} of them before the probe saw a step, "
          f"{held} held up; "
          f"{n}/{n} windows right, {filled} with packets, {twice} of a time that came twice")


if __name__ == "__main__":
    {"send": send, "judge": judge}[sys.argv[1]](*sys.argv[2:])
