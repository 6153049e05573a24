#!/usr/bin/env python3
"""retention: what vxprobe may delete, worked out anew from names, sizes on the disk and pins alone.

usage: retention.py churn BUILD_DIR FOLDER FILES STEPS   churns a folder, one turn of retention after each step
       retention.py race BUILD_DIR FOLDER FILES          pins files while a turn deletes them
       retention.py fill FOLDER FILES BYTES SECONDS      files of so many bytes, the last of them sealed now
The last line is the verdict."""

import calendar
import functools
import os
import random
import re
import stat
import subprocess
import sys
import time
from pathlib import Path

NAME = re.compile(r"([A-Za-z0-9:-][A-Za-z0-9.:-]{0,63})_(\d{6,10})_(\d{8}T\d{6}Z)_(\d{8}T\d{6}Z|trunc)\.pcapng\.zst(\.age)?")
PART = re.compile(r"\.([A-Za-z0-9:-][A-Za-z0-9.:-]{0,63})_(\d{6,10})_(\d{8}T\d{6}Z)\.part")
EPOCH = 1795302000
PERCENT = 1 << 63


def seconds(text):
    """Of 20261121T230254Z; None where that is no such time."""
    try:
        value = calendar.timegm(time.strptime(text, "%Y%m%dT%H%M%SZ"))
    except (ValueError, OverflowError):
        return None
    return value if value >= 0 and stamp(value) == text else None


def stamp(value):
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(value))


@functools.cache
def parse(name):
    """(NAME, end, order) of a file, (NAME, None, None) of an open one; None: it is not ours."""
    m = NAME.fullmatch(name) or PART.fullmatch(name)
    if not m or int(m.group(2)) >= 2**32 - 1 or m.group(2) != f"{int(m.group(2)):06}" or seconds(m.group(3)) is None:
        return None
    if m.re is PART:
        return m.group(1), None, None
    end = seconds(m.group(3) if m.group(4) == "trunc" else m.group(4))
    return None if end is None else (m.group(1), end, (end, int(m.group(2)), m.group(1), name))


def stored(folder):
    """{file: (order, NAME, end, bytes)} of what may be deleted, pinned files of it, open files {file: (NAME, bytes)}."""
    entries = {e.name: e.stat(follow_symlinks=False) for e in os.scandir(folder)}
    files, pins, parts = {}, set(), {}
    for name, st in entries.items():
        ours = parse(name) if stat.S_ISREG(st.st_mode) else None
        if not ours:
            continue
        session, end, order = ours
        if order is None:
            parts[name] = (session, st.st_blocks * 512)
            continue
        files[name] = (order, session, end, st.st_blocks * 512)
        if f".{name}.pin" in entries:
            pins.add(name)
    return files, pins, parts


def available(folder):
    v = os.statvfs(folder)
    return v.f_bavail * v.f_frsize, v.f_blocks * v.f_frsize


class Limits:
    def __init__(self, now, size=0, session=0, age=0, free=0, rotate=0, hurry=0):
        self.now, self.size, self.session, self.age, self.free, self.rotate, self.hurry = \
            now, size, session, age, free, rotate, hurry

    def line(self):
        return f"{self.now} {self.size} {self.session} {self.age} {self.free} {self.rotate} {self.hurry}\n"

    def floor(self, whole):
        return whole // 100 * (self.free - PERCENT) if self.free & PERCENT else self.free


def expected(folder, limits):
    """What a turn deletes: {file: reason}; and whether room was to be made that could not be."""
    files, pins, parts = stored(folder)
    free, whole = available(folder)
    gone, freed = {}, 0
    oldest = sorted(files, key=lambda f: files[f][0])

    def delete(name, reason):
        nonlocal freed
        if name in gone or name in pins:
            return 0
        gone[name] = reason
        freed += files[name][3]
        return files[name][3]

    for name in oldest:
        if limits.age and limits.now - files[name][2] > limits.age:
            delete(name, "age")
    for session in {f[1] for f in files.values()} | {p[0] for p in parts.values()} if limits.session else ():
        mine = [f for f in oldest if files[f][1] == session and f not in gone]
        total = sum(files[f][3] for f in mine) + sum(b for n, b in parts.values() if n == session)
        for name in mine:
            if total > limits.session:
                total -= delete(name, "session_size")
    growth = sum(max(0, limits.rotate - b) for _, b in parts.values())
    if limits.size:
        total = sum(f[3] for n, f in files.items() if n not in gone) + sum(b for _, b in parts.values())
        for name in oldest:
            if total > limits.size - min(growth, limits.size // 8):
                total -= delete(name, "size")
    short = False
    if limits.free:
        missing = limits.floor(whole) + min(growth, whole // 8) - free - freed
        missing = max(missing, 1 if limits.hurry else 0) + freed
        for name in oldest:
            if freed < missing:
                delete(name, "disk_full" if limits.hurry else "free")
        short = freed < missing
    return gone, short


class Probe:
    """Turns of the real thing."""

    def __init__(self, build, folder, output=subprocess.PIPE):
        self.process = subprocess.Popen([f"{build}/retain", folder], stdin=subprocess.PIPE, stdout=output,
                                        stderr=subprocess.DEVNULL, text=True)

    def turn(self, limits):
        """{file: (reason, bytes)} and the closing numbers."""
        self.process.stdin.write(limits.line())
        self.process.stdin.flush()
        told = {}
        for line in self.process.stdout:
            words = line.split(" ", 2)
            if words[0] == "turn":
                return told, [int(w) for w in line.split()[1:]]
            told[words[2].rstrip("\n")] = (words[0], int(words[1]))
        sys.exit("retention.py: the program ended")

    def close(self):
        self.process.stdin.close()
        return self.process.wait()


# ---- a folder with all that can be in one ----

def allocate(path, size):
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640)
    if size:
        os.posix_fallocate(fd, 0, size)
    os.close(fd)


class Folder:
    def __init__(self, folder, rng):
        self.folder, self.rng, self.sequence, self.clock = folder, rng, 0, EPOCH
        self.names = ["vxprobe", "amf-eu1", "10.0.0.1-4321", "2001:db8::5-7", "10.0.0.1-4321.2"]

    def path(self, name):
        return f"{self.folder}/{name}"

    def size(self):
        return self.rng.choice((0, 100, 4096, 12288, 40960, 81920))

    def new_name(self, kind):
        self.sequence += 1
        start = self.clock + self.rng.randrange(-5, 5)
        end = start + self.rng.randrange(0, 300)
        self.clock += self.rng.randrange(0, 3)
        name = f"{self.rng.choice(self.names)}_{self.sequence:06}_{stamp(start)}"
        if kind == "part":
            return f".{name}.part"
        tail = "trunc" if kind == "trunc" else stamp(end)
        return f"{name}_{tail}.pcapng.zst{'' if self.rng.random() < 0.1 else '.age'}"

    def add(self, n):
        for _ in range(n):
            draw = self.rng.random()
            allocate(self.path(self.new_name("trunc" if draw < 0.05 else "part" if draw < 0.06 else "sealed")), self.size())

    def foreign(self):
        """What looks like ours and is not: none of it may ever go."""
        day = "20200101T000000Z"
        sealed = f"vxprobe_000001_{day}_{day}.pcapng.zst.age"
        names = [f"vxprobe_1_{day}_{day}.pcapng.zst.age", f"vxprobe_0000001_{day}_{day}.pcapng.zst.age",
                 f"vxprobe_000001_20200230T000000Z_{day}.pcapng.zst.age", f"vxprobe_000001_{day}_{day}.pcapng.zst.age.bak",
                 f"vxprobe_000001_{day}_{day}.pcapng.gz", f"vxprobe_000001_{day}.pcapng.zst.age", f".{sealed}",
                 f"vx_probe_000001_{day}_{day}.pcapng.zst.age", f"vx probe_000001_{day}_{day}.pcapng.zst.age",
                 f"{'n' * 65}_000001_{day}_{day}.pcapng.zst.age", f"_000001_{day}_{day}.pcapng.zst.age",
                 f"vxprobe_4294967295_{day}_{day}.pcapng.zst.age", f"vxprobe_-00001_{day}_{day}.pcapng.zst.age",
                 f"vxprobe_+00001_{day}_{day}.pcapng.zst.age", f"vxprobe_ 00001_{day}_{day}.pcapng.zst.age",
                 f"vxprobe_000001_{day}_{day}_x.pcapng.zst.age", f"vxprobe_000001_{day}_truncated.pcapng.zst.age",
                 f"vxprobe_000001_{day}_99999999T999999Z.pcapng.zst.age", f"vxprobe_000001_19600101T000000Z_{day}.pcapng.zst.age",
                 f"vxprobe_000001_{day}_{day}.PCAPNG.zst.age", f"vxprobe_000001_{day}_{day}.pcapng.zst.age\n", "notes.txt",
                 f"{sealed}.pin", f".{sealed}.pin.pin", "\udcff\udcfe_000001", f"vxprobe_000001_{day}_{day}.pcapng.zst.age ",
                 "n" * 255]
        for name in names:
            allocate(self.path(name), 4096)
        os.mkdir(self.path(f"vxprobe_000002_{day}_{day}.pcapng.zst.age"))
        os.symlink("/etc/passwd", self.path(f"vxprobe_000003_{day}_{day}.pcapng.zst.age"))
        os.mkfifo(self.path(f"vxprobe_000004_{day}_{day}.pcapng.zst.age"))
        return {e.name for e in os.scandir(self.folder)}

    def hostile(self):
        """Ours by name: a file that claims to be large, one from the future, pins without a file or of an odd kind."""
        future = "99991231T235959Z"
        sparse = f"vxprobe_000005_{stamp(EPOCH)}_{stamp(EPOCH)}.pcapng.zst.age"
        allocate(self.path(sparse), 0)
        os.truncate(self.path(sparse), 1 << 40)
        allocate(self.path(f"vxprobe_4294967294_{future}_{future}.pcapng.zst.age"), 4096)
        allocate(self.path(f".vxprobe_000099_{stamp(EPOCH)}_trunc.pcapng.zst.age.pin"), 0)
        for kind, number in (("directory", 6), ("link", 7)):
            name = f"vxprobe_{number:06}_{stamp(EPOCH)}_{stamp(EPOCH)}.pcapng.zst.age"
            allocate(self.path(name), 4096)
            if kind == "directory":
                os.mkdir(self.path(f".{name}.pin"))
            else:
                os.symlink("nowhere", self.path(f".{name}.pin"))

    def change(self, build):
        """One step of what people and writers do."""
        files, pins, parts = stored(self.folder)
        what = self.rng.random()
        if what < 0.5:
            self.add(self.rng.randrange(1, 60))
        elif what < 0.65 and files:
            some = self.rng.sample(sorted(set(files) - pins), min(8, len(files) - len(pins)))
            if some:
                subprocess.run([f"{build}/vxcap", "pin", *map(self.path, some)], check=True)
        elif what < 0.8 and pins:
            some = [p for p in self.rng.sample(sorted(pins), min(6, len(pins)))
                    if stat.S_ISREG(os.lstat(self.path(f".{p}.pin")).st_mode)]
            if some:
                subprocess.run([f"{build}/vxcap", "unpin", *map(self.path, some)], check=True)
        elif what < 0.9 and parts:
            part = self.rng.choice(sorted(parts))
            os.rename(self.path(part), self.path(f"{part[1:-5]}_{stamp(self.clock)}.pcapng.zst.age"))
        elif files:
            for name in self.rng.sample(sorted(set(files) - pins), min(5, len(files) - len(pins))):
                os.unlink(self.path(name))
        self.clock += self.rng.randrange(0, 60)


def draw_limits(rng, folder, clock):
    files, _, parts = stored(folder)
    total = sum(f[3] for f in files.values()) + sum(b for _, b in parts.values())
    free, whole = available(folder)
    limits = Limits(clock + rng.randrange(0, 600), rotate=rng.choice((0, 65536)))
    if rng.random() < 0.4:
        limits.size = max(1, int(total * rng.uniform(0.985, 1.005)))
    if rng.random() < 0.3:
        limits.session = max(1, int(total / 5 * rng.uniform(0.99, 1.1)))
    if rng.random() < 0.3 and files:
        limits.age = max(1, limits.now - sorted(f[2] for f in files.values())[rng.randrange(len(files)) // 200])
    if rng.random() < 0.4:
        limits.free = PERCENT | min(99, max(1, free * 100 // whole + rng.randrange(-1, 2))) if rng.random() < 0.1 else \
            max(1, int(free + total * rng.uniform(-0.02, 0.01)))
    if rng.random() < 0.15:
        limits.hurry = 1
    return limits


def churn(build, folder, n_files, n_steps):
    rng = random.Random(11)
    world = Folder(folder, rng)
    foreign = world.foreign()
    world.hostile()
    world.add(n_files)
    probe = Probe(build, folder)
    reasons = {}
    floors = short_steps = pins_seen = 0
    for step in range(n_steps):
        world.change(build)
        limits = draw_limits(rng, folder, world.clock) if step else Limits(world.clock)
        before, pins, parts = stored(folder)
        want, is_short = expected(folder, limits)
        told, (files, size, pinned, exceeded) = probe.turn(limits)
        after, pins_after, parts_after = stored(folder)
        gone = set(before) - set(after)
        where = f"step {step} ({limits.line().strip()})"
        if gone != set(want):
            sys.exit(f"{where}: wrongly deleted {sorted(gone - set(want))[:3]}, wrongly kept {sorted(set(want) - gone)[:3]}")
        if {n: (want[n], before[n][3]) for n in gone} != told:
            sys.exit(f"{where}: told of {len(told)} deletions, not as they were: {list(told.items())[:2]}")
        if pins - set(after) or set(parts) != set(parts_after) or pins != pins_after:
            sys.exit(f"{where}: a pinned or an open file is gone")
        if foreign - {e.name for e in os.scandir(folder)}:
            sys.exit(f"{where}: a file of another program is gone")
        if limits.free:
            free, whole = available(folder)
            if free < limits.floor(whole) and set(after) - pins:
                sys.exit(f"{where}: {free} bytes are free, {limits.floor(whole)} are wanted, and there are files to delete")
            floors += free >= limits.floor(whole)
            short_steps += is_short
            if bool(exceeded & 8) != is_short:
                sys.exit(f"{where}: too little space is told as {exceeded}")
        counted = (len(after) + len(parts), sum(f[3] for f in after.values()) + sum(b for _, b in parts.values()),
                   sum(after[p][3] for p in pins))
        if (files, size, pinned) != counted:
            sys.exit(f"{where}: told of {files} files, {size} bytes, {pinned} of them pinned; there are {counted}")
        for reason in want.values():
            reasons[reason] = reasons.get(reason, 0) + 1
        pins_seen = max(pins_seen, len(pins))
        if len(after) < n_files * 3 // 4:
            world.add(n_files - len(after))
    if probe.close():
        sys.exit("the program failed")
    if set(reasons) != {"age", "session_size", "size", "free", "disk_full"} or not pins_seen:
        sys.exit(f"not all was tried: {reasons}, {pins_seen} pins")
    print(f"{world.sequence} files, {n_steps} steps, {sum(reasons.values())} deleted "
          f"({', '.join(f'{k} {v}' for k, v in sorted(reasons.items()))}), up to {pins_seen} pins: wrong deletions 0; "
          f"floor held at {floors} steps, at {short_steps} nothing more could go and it was said")


def race(build, folder, n_files):
    """Who pins in time is never deleted, who comes too late is told."""
    world = Folder(folder, random.Random(5))
    world.add(n_files)
    files, _, _ = stored(folder)
    order = sorted(files, key=lambda f: files[f][0])
    probe = Probe(build, folder, subprocess.DEVNULL)
    limits = Limits(world.clock + 10**6, age=1)
    probe.process.stdin.write(limits.line())
    probe.process.stdin.flush()
    pinned, late = [], 0
    for name in reversed(order):
        done = subprocess.run([f"{build}/vxcap", "pin", f"{folder}/{name}"], stderr=subprocess.DEVNULL, check=False)
        if done.returncode:
            late += 1
            if late > 20:
                break
        else:
            pinned.append(name)
    probe.close()
    left, pins, _ = stored(folder)
    lost = [p for p in pinned if p not in left]
    if lost or set(left) - set(pins):
        sys.exit(f"pinned and deleted: {lost[:3]}; neither: {sorted(set(left) - set(pins))[:3]}")
    if not pinned or not late:
        sys.exit(f"nobody met: {len(pinned)} pinned, {late} too late")
    print(f"pins against deletions: {len(pinned)} in time, all kept; {late} too late, all told")


def fill(folder, n, size, age):
    now = int(time.time())
    for i in range(n):
        start = now - (n - i) * age
        allocate(f"{folder}/old_{i + 1:06}_{stamp(start)}_{stamp(start + age)}.pcapng.zst.age", size)


def main():
    if sys.argv[1:2] == ["churn"] and len(sys.argv) == 6:
        return churn(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
    if sys.argv[1:2] == ["race"] and len(sys.argv) == 5:
        return race(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    if sys.argv[1:2] == ["fill"] and len(sys.argv) == 6:
        return fill(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
    return sys.exit(__doc__)


if __name__ == "__main__":
    main()
