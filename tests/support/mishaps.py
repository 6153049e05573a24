#!/usr/bin/env python3
"""mishaps: what vxmirror loses, doubles and delays is what it was asked for.
Usage: mishaps.py BUILD_DIR SCRATCH

Its own packets, read back with capture.py; no code of the probe's or vxmirror's."""

import random
import struct
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import capture
from packets import ipv4

PACKETS, FLOWS = 20000, 400
STEP_NS = 10_000
OUTER = 50
MS = 10**6


def fail(text):
    sys.exit(f"mishaps: {text}")


def make(path):
    """UDP of FLOWS flows, both directions; a packet's number is its payload. Times step evenly."""
    dice, made = random.Random(1), []
    with capture.Pcap(path) as file:
        for number in range(PACKETS):
            flow, back = dice.randrange(FLOWS), dice.randrange(2)
            ends = [(f"10.1.{flow % 7}.1", 1000 + flow), ("10.9.0.1", 53)]
            (source, port), (target, port_to) = ends[::-1] if back else ends
            payload = struct.pack(">I", number) + bytes(dice.randrange(200))
            udp = struct.pack(">HHHH", port, port_to, 8 + len(payload), 0) + payload
            frame = bytes(12) + b"\x08\0" + ipv4(source, target, 17, udp)
            file.add((number + 1) * STEP_NS, frame)
            made.append((flow, back, frame))
    return made


class Mirror:
    def __init__(self, build, folder):
        self.build, self.folder = build, folder

    def wrap(self, *options):
        """[(number, time in ns, VNI)] of what was passed on, and numbers of what was lost; the last line said."""
        out, lost = self.folder / "out", self.folder / "lost"
        lost.unlink(missing_ok=True)
        done = subprocess.run([self.build / "vxmirror", "wrap", self.folder / "in", out, *options,
                               *(["--lost", lost] if "--loss" in options else [])],
                              stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            fail(f"{options}: {done.stderr}")
        gone = [number for number, _, _ in self.read(lost)] if lost.exists() else []
        return self.read(out), gone, done.stderr.strip().splitlines()[-1]

    def read(self, path):
        found = []
        with open(path, "rb") as stream:
            for p in capture.Capture(stream):
                frame = p.data[OUTER:]
                number, = struct.unpack(">I", frame[42:46])
                if frame != self.made[number][2] or p.id != number:
                    fail(f"packet {number} is not what it was, or its id is {p.id}")
                found.append((number, p.time_ns, int.from_bytes(p.data[OUTER - 4:OUTER - 1], "big")))
        return found


def time_of(number):
    return (number + 1) * STEP_NS


def near(what, value, expected, tolerance):
    if abs(value - expected) > tolerance:
        fail(f"{what}: {value}, not {expected} within {tolerance}")


def check_loss(mirror, rate, kind):
    option = f"{rate * 100:g}%,{kind}"
    kept, lost, said = mirror.wrap("--loss", option, "--seed", "5")
    if sorted([n for n, _, _ in kept] + lost) != list(range(PACKETS)) or any(t != time_of(n) for n, t, _ in kept):
        fail(f"--loss {option}: kept and lost are not all, once each, at their times")
    if said != f"vxmirror: lost {len(lost)} packets ({sum(len(mirror.made[n][2]) for n in lost)} bytes)":
        fail(f"--loss {option}: says {said}")
    if mirror.wrap("--loss", option, "--seed", "5", "--duplicate", "30%")[1] != lost:
        fail(f"--loss {option}: the same seed loses others when packets are doubled")
    if rate and mirror.wrap("--loss", option, "--seed", "6")[1] == lost:
        fail(f"--loss {option}: another seed loses the same")
    share = len(lost) / PACKETS
    if kind == "random":
        near(f"--loss {option}: share", share, rate, 4 * (rate * (1 - rate) / PACKETS)**.5)
    elif kind == "burst" and rate:
        near(f"--loss {option}: share", share, rate, 4 * (20 * rate / PACKETS)**.5)
        runs = len({n for n in lost} - {n + 1 for n in lost})
        near(f"--loss {option}: mean of the runs", len(lost) / runs, 10, 40 / runs**.5)
    elif kind == "flow":
        flows = {mirror.made[n][0] for n in lost}
        if flows & {mirror.made[n][0] for n, _, _ in kept}:
            fail(f"--loss {option}: a flow is lost in part")
        near(f"--loss {option}: share of flows", len(flows) / FLOWS, rate, 4 * (rate * (1 - rate) / FLOWS)**.5)


def check_duplicate(mirror, option, share, most_ns):
    kept, _, said = mirror.wrap("--duplicate", option)
    times = defaultdict(list)
    for number, time_ns, _ in kept:
        times[number].append(time_ns - time_of(number))
    copies = [late for lates in times.values() for late in lates[1:]]
    if len(times) != PACKETS or any(lates[0] or len(lates) > 2 for lates in times.values()):
        fail(f"--duplicate {option}: a packet is missing, late, or there more than twice")
    near(f"--duplicate {option}: share", len(copies) / PACKETS, share, 4 * (share * (1 - share) / PACKETS)**.5)
    if said != f"vxmirror: doubled {len(copies)} packets" or not most_ns * .99 < max(copies) <= most_ns:
        fail(f"--duplicate {option}: says {said}; the last copy is {max(copies)} ns late")
    check_order(f"--duplicate {option}", kept)


def check_order(what, kept):
    if any(a[1] > b[1] for a, b in zip(kept, kept[1:])):
        fail(f"{what}: the file is not in order of arrival")


def check_reorder(mirror, option, directions):
    kept, _, _ = mirror.wrap("--reorder", option)
    if sorted(n for n, _, _ in kept) != list(range(PACKETS)):
        fail(f"--reorder {option}: not all packets, once each")
    late = {n: t - time_of(n) for n, t, _ in kept}
    for back in (0, 1):
        of = [late[n] for n in late if mirror.made[n][1] == back]
        if min(of) < 0 or max(of) > 2 * MS or (max(of) > 1.9 * MS) != (back in directions):
            fail(f"--reorder {option}: direction {back} is {min(of)} to {max(of)} ns late")
    overtaken = sum(a[0] > b[0] for a, b in zip(kept, kept[1:]))
    if overtaken < PACKETS / 20:
        fail(f"--reorder {option}: {overtaken} packets were overtaken")
    for back in directions if len(directions) == 1 else ():
        numbers = [n for n, _, _ in kept if mirror.made[n][1] == back]
        if numbers != sorted(numbers):
            fail(f"--reorder {option}: its own direction is out of order")
    check_order(f"--reorder {option}", kept)


def check_direction(mirror):
    for option, back in (("egress", 0), ("ingress", 1)):  # 10.1.x is below 10.9
        kept, _, _ = mirror.wrap("--direction", option)
        if [n for n, _, _ in kept] != [n for n in range(PACKETS) if mirror.made[n][1] == back]:
            fail(f"--direction {option}: {len(kept)} packets, not those of this direction")


def check_both_ends(mirror):
    kept, _, _ = mirror.wrap("--both-ends", "3ms", "--sessions", "4", "--vni", "100")
    near_end, far_end = ({n: (t, v) for n, t, v in kept if (v >= 104) == far} for far in (False, True))
    if len(near_end) != PACKETS or Counter(v for _, v in far_end.values()).keys() != {104, 105, 106, 107}:
        fail(f"--both-ends: {len(near_end)} and {len(far_end)} packets")
    if any((t + 3 * MS, v + 4) != far_end.get(n) for n, (t, v) in near_end.items()):
        fail("--both-ends: not the same at the far end, 3 ms later")
    check_order("--both-ends", kept)


def main():
    mirror = Mirror(Path(sys.argv[1]), Path(sys.argv[2]))
    mirror.made = make(mirror.folder / "in")
    for kind in ("random", "burst", "flow"):
        for rate in (0, .01, .2):
            check_loss(mirror, rate, kind)
    check_duplicate(mirror, "all", 1, MS)
    check_duplicate(mirror, "25%,5ms", .25, 5 * MS)
    for option, directions in (("2ms", (0, 1)), ("2ms,egress", (0,)), ("2ms,ingress", (1,))):
        check_reorder(mirror, option, directions)
    check_direction(mirror)
    check_both_ends(mirror)
    print(f"{PACKETS} packets lost, doubled, delayed, halved and mirrored twice as asked for")


if __name__ == "__main__":
    main()
