#!/usr/bin/env python3
"""faults: what a disk that fails may cost, judged from the files and from the metrics, each for itself.

usage: faults.py calls BUILD_DIR CAPTURE KEY RECIPIENT FOLDER STRIDE   K6: every call of a run fails
       faults.py stored KEY FOLDER METRICS                             what files and metrics say of packets
The last line is the verdict."""

import os
import re
import shutil
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HOWS = ("EIO", "ENOSPC", "EINTR", "short")


def plain(key, path):
    """(bytes, whole): the pcapng in a file, by age and zstd, and whether they had nothing to complain of."""
    age = subprocess.Popen(["age", "-d", "-i", key, path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    zstd = subprocess.run(["zstd", "-dc"], stdin=age.stdout, capture_output=True, check=False)
    age.stdout.close()
    return zstd.stdout, age.wait() == 0 and zstd.returncode == 0


def packets(data):
    """(number of packet blocks, whole): of as many blocks as are complete."""
    at, n = 0, 0
    while at + 12 <= len(data):
        kind, length = struct.unpack_from("<II", data, at)
        if length < 12 or length % 4 or at + length > len(data):
            return n, False
        if struct.unpack_from("<I", data, at + length - 4)[0] != length:
            return n, False
        n += kind == 6
        at += length
    return n, at == len(data)


def read_folder(key, folder):
    """{name: (packets, whole)} of stored files, truncated and open ones too."""
    out = {}
    for entry in sorted(os.scandir(folder), key=lambda e: e.name):
        if entry.name.endswith(".pcapng.zst.age") or entry.name.endswith(".part"):
            data, is_whole = plain(key, entry.path)
            n, is_complete = packets(data)
            out[entry.name] = n, is_whole and is_complete
    return out


def is_sealed(name):
    return not name.startswith(".") and "_trunc." not in name


def metrics(path):
    fates = {m.group(1): int(m.group(2))
             for m in re.finditer(r'^vxprobe_packets_total\{reason="(\w+)"\} (\d+)$', Path(path).read_text(), re.M)}
    seen = int(re.search(r"^vxprobe_seen_packets_total (\d+)$", Path(path).read_text(), re.M).group(1))
    return seen, fates


def verdict(key, folder, metrics_path):
    """None, or what is wrong; and the numbers."""
    files = read_folder(key, folder)
    seen, fates = metrics(metrics_path)
    stored = sum(n for n, _ in files.values())
    cut = sum(not is_sealed(name) for name in files)
    lost = fates["disk_full"] + fates["io_error"]
    numbers = {"stored": stored, "kept": fates["kept"], "lost": lost, "seen": seen, "cut": cut, "files": len(files)}
    damaged = [name for name, (_, whole) in files.items() if is_sealed(name) and not whole]
    if damaged:
        return f"damaged: {damaged}", numbers
    if sum(fates.values()) != seen:
        return f"{seen} packets were seen, the fates are of {sum(fates.values())}: {fates}", numbers
    # What is called lost may be there all the same: of a write or a sync that failed nobody knows.
    if not fates["kept"] <= stored <= fates["kept"] + lost:
        return f"kept {fates['kept']}, lost {lost}, stored {stored}: {files}", numbers
    return None, numbers


def run(build, capture, recipient, folder, at, how):
    """One run of vxprobe read in a folder of its own; its exit code, negative by a signal, and what it said."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(f"{folder}/out")
    env = {**os.environ, "LD_PRELOAD": f"{build}/failing.so", "FAIL_DIR": f"{folder}/out", "FAIL_AT": str(at),
           "FAIL_HOW": how, "FAIL_COUNT": f"{folder}/calls"}
    done = subprocess.run([f"{build}/vxprobe", "read", capture, "-o", f"{folder}/out", "-r", recipient, "--metrics",
                           f"{folder}/metrics", "--rotate-size", "512KiB", "--rotate-time", "10m"], env=env, check=False,
                          capture_output=True, text=True, timeout=120)
    return done.returncode, done.stderr


def judge_call(build, capture, key, recipient, folder, at, how):
    code, said = run(build, capture, recipient, folder, at, how)
    # The chain's thread commits what has come, in as many calls as that takes: the last ones may not come.
    made = Path(folder, "calls").read_text().split()
    where = f"call {at} ({made[at - 1] if at <= len(made) else 'not made'}) fails by {how}"
    if code not in (0, 1):
        return f"{where}: exit code {code}: {said[-300:]}", 0, 0
    if not Path(folder, "metrics").exists():
        # It refused to start: nothing may be counted, and it must say why.
        left = [n for n in os.listdir(f"{folder}/out") if n.endswith((".age", ".part"))]
        return (f"{where}: exit code {code}, no metrics, {left}: {said[-300:]}" if code == 0 or left or "vxprobe:" not in said
                else None), 0, 1
    wrong, numbers = verdict(key, f"{folder}/out", f"{folder}/metrics")
    if not wrong and numbers["lost"] and code == 0:
        wrong = f"{numbers['lost']} packets lost, exit code 0"
    shutil.rmtree(folder)
    return (f"{where}: {wrong}" if wrong else None), numbers["lost"], 0


def calls(build, capture, key, recipient, folder, stride):
    code, said = run(build, capture, recipient, f"{folder}/0", 0, "EIO")
    wrong, numbers = verdict(key, f"{folder}/0/out", f"{folder}/0/metrics")
    if code or wrong or numbers["lost"]:
        sys.exit(f"without a failure: exit code {code}, {wrong}, {said}")
    names = Path(f"{folder}/0/calls").read_text().split()
    jobs = [(at, how) for at in range(1, len(names) + 1, stride) for how in HOWS
            if how != "short" or names[at - 1] in ("write", "pwrite")]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda job: judge_call(build, capture, key, recipient, f"{folder}/{job[0]}-{job[1]}", *job), jobs))
    bad = [r[0] for r in results if r[0]]
    if bad:
        sys.exit("\n".join(bad[:8] + [f"{len(bad)} of {len(jobs)} are wrong"]))
    # Of a few calls all may be the chain's, which cost no packet.
    if stride == 1 and not any(r[1] for r in results):
        sys.exit("no failure cost a packet: nothing was tried")
    kinds = ", ".join(f"{n} {names.count(n)}" for n in sorted(set(names)))
    print(f"{len(names)} calls ({kinds}), {numbers['files']} files, {numbers['seen']} packets: {len(jobs)}/{len(jobs)} "
          f"failures without a crash or a silent loss; {sum(bool(r[1]) for r in results)} cost packets, "
          f"{sum(r[2] for r in results)} refused to start")


def stored(key, folder, metrics_path):
    wrong, numbers = verdict(key, folder, metrics_path)
    if wrong:
        sys.exit(wrong)
    print(" ".join(f"{k} {v}" for k, v in numbers.items()))


def main():
    if sys.argv[1:2] == ["calls"] and len(sys.argv) == 8:
        return calls(*sys.argv[2:7], int(sys.argv[7]))
    if sys.argv[1:2] == ["stored"] and len(sys.argv) == 5:
        return stored(*sys.argv[2:5])
    return sys.exit(__doc__)


if __name__ == "__main__":
    main()
