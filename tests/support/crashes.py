#!/usr/bin/env python3
"""crashes: a run is killed in front of each of its calls about the folder, then another run goes on there.

usage: crashes.py BUILD_DIR CAPTURE KEY RECIPIENT FOLDER DEVICE STRIDE

After each, all that lies in the folder is in its chain, which vxcap verify and the judge (chain.py) find whole. At the
end the blocks of DEVICE, which FOLDER lies on, have no secret but those in force. The last line is the verdict."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import chain

SECRET = re.compile(rb"vxprobe-chain-key 1 ([0-9a-f]{64})")


def run(build, capture, recipient, folder, **env):
    """One run of vxprobe read into folder/out, and its exit code."""
    command = [f"{build}/vxprobe", "read", capture, "-o", f"{folder}/out", "-r", recipient, "--rotate-size", "64KiB"]
    return subprocess.run(command, env={**os.environ, **env}, check=False, capture_output=True, timeout=120).returncode


def faulty(build, capture, recipient, folder, at, how="KILL"):
    return run(build, capture, recipient, folder, LD_PRELOAD=f"{build}/failing.so", FAIL_DIR=f"{folder}/out",
               FAIL_AT=str(at), FAIL_HOW=how, FAIL_COUNT=f"{folder}/calls")


def judge(build, key, folder):
    done = subprocess.run([f"{build}/vxcap", "verify", f"{folder}/out", "-i", key], check=False, capture_output=True, text=True)
    if done.returncode:
        return done.stdout + done.stderr
    wrong = chain.judge(f"{folder}/out")
    return f"the judge names {wrong}" if wrong else None


def crash(build, capture, key, recipient, folder, at):
    """None, or what is wrong after a crash in front of a call; what is left is the key file."""
    Path(folder, "out").mkdir(parents=True)
    code = faulty(build, capture, recipient, folder, at)
    made = Path(folder, "calls").read_text().split()
    where = f"killed in front of call {at} ({made[-1]})"
    # The chain's thread commits what has come, in as many calls as that takes: the last ones may not come.
    if code not in (-9, 0):
        return f"{where}: exit code {code}"
    code = run(build, capture, recipient, folder)
    wrong = f"exit code {code} of the next run" if code else judge(build, key, folder)
    for path in Path(folder, "out").glob("vxprobe*"):
        path.unlink()
    return f"{where}: {wrong}" if wrong else None


def secrets_on(device):
    """Of a device, in pieces that overlap."""
    found, tail = set(), b""
    with open(device, "rb") as f:
        while piece := f.read(1 << 22):
            found |= set(SECRET.findall(tail + piece))
            tail = piece[-128:]
    return found


def main():
    if len(sys.argv) != 8:
        sys.exit(__doc__)
    build, capture, key, recipient, folder, device, stride = sys.argv[1:]
    Path(folder, "0", "out").mkdir(parents=True)
    if faulty(build, capture, recipient, f"{folder}/0", 0) or (wrong := judge(build, key, f"{folder}/0")):
        sys.exit(f"without a crash: {wrong}")
    n = len(Path(folder, "0", "calls").read_text().split())
    jobs = range(1, n + 1, int(stride))
    with ThreadPoolExecutor(2) as pool:
        bad = [r for r in pool.map(lambda at: crash(build, capture, key, recipient, f"{folder}/{at}", at), jobs) if r]
    if bad:
        sys.exit("\n".join(bad[:5] + [f"{len(bad)} of {len(jobs)} are wrong"]))
    os.sync()
    in_force = {SECRET.match(path.read_bytes())[1] for path in Path(folder).glob(f"*/out/{chain.KEY}")}
    found = secrets_on(device)
    if not in_force or found != in_force:
        sys.exit(f"{len(found)} secrets are on the disk, {len(in_force)} are in force")
    print(f"killed in front of {len(jobs)} of {n} calls: {len(jobs)}/{len(jobs)} chains whole, no used secret on the disk")


if __name__ == "__main__":
    main()
