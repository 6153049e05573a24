#!/usr/bin/env python3
"""reload: SIGHUP after SIGHUP to a probe that runs, every tenth with a broken file.

Usage: reload.py PID CONFIG NAMES LOG URL N

NAMES is written anew each time, with another nf for every session in CONFIG's probe. Each reload is
awaited in LOG. /metrics is read along: one vxprobe_session_info for each session at any time, no
counter ever less than before. At the end descriptors and memory of the three processes are as they
were after the first tenth. Exit 1 at the first difference, with one sentence."""

import os
import re
import signal
import sys
import time
import urllib.request
from pathlib import Path

BROKEN = ("rotate-size: 10 parsecs\n", "no-such-key: 1\n", "ring: 64\n", "recipient: age1nobody\n", "names: [\n")
ANSWER = re.compile(r"read anew|stays in force|stay in force")
SAMPLE = re.compile(r"^(\w+)\{(.*)\} (\S+)$")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
MEMORY_SLACK = 512  # KiB of anonymous memory: what malloc may keep from one reload to the next


def fail(sentence):
    sys.exit(f"reload: {sentence}")


def children(pid):
    return [pid] + [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def descriptors(pid, folder):
    """Of all but the stored files in the folder, of which one ends and another begins at any time."""
    n = 0
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            n += not os.readlink(fd).startswith(f"{folder}/.")
        except FileNotFoundError:
            pass
    return n


def resources(pids, folder):
    """(descriptors, mapped snapshots of names, KiB of anonymous memory) of each process over three
    seconds. The least of the first two: the last scrape's connection is being closed still, and names
    are mapped until each worker has ended its batch. The most of memory: of a whole file of 2 s."""
    found = {pid: [] for pid in pids}
    for _ in range(30):
        time.sleep(0.1)
        for pid in pids:
            status = Path(f"/proc/{pid}/status").read_text()
            snapshots = Path(f"/proc/{pid}/maps").read_text().count("memfd:vxprobe-names")
            found[pid].append((descriptors(pid, folder), snapshots,
                               int(re.search(r"RssAnon:\s+(\d+)", status)[1])))
    return {pid: tuple(least(x) for least, x in zip((min, min, max), zip(*f))) for pid, f in found.items()}


def answers(log):
    return len(ANSWER.findall(log.read_text()))


def await_answer(log, n):
    for _ in range(1000):
        if answers(log) >= n:
            return
        time.sleep(0.01)
    fail(f"no answer to SIGHUP within 10 s: {log.read_text()[-400:]}")


def names_file(i):
    entries = [f"  - {{source: 10.0.0.{s}, vni: {4320 + s}, name: session-{s}, nf: nf-{s}-{i}, vrf: vrf-{i % 3}}}"
               for s in range(1, 5)]
    return "sessions:\n" + "\n".join(entries) + "\n"


def replace(path, text):
    """As a configuration management does it: renamed into place."""
    new = Path(f"{path}.new")
    new.write_text(text)
    new.rename(path)


def scrape(url):
    with urllib.request.urlopen(url, timeout=10) as reply:
        return reply.read().decode()


class Series:
    """What must hold from scrape to scrape."""

    def __init__(self):
        self.before = {}

    def look(self, text, nf):
        now, infos = {}, {}
        for name, labels, value in (m.groups() for m in map(SAMPLE.match, text.splitlines()) if m):
            labels = dict(LABEL.findall(labels))
            session = (labels.get("source"), labels.get("vni"), labels.get("generation"))
            if name == "vxprobe_session_info":
                if session in infos:
                    fail(f"session {session} has two infos")
                infos[session] = labels
            elif session[0] and name.endswith("_total"):
                now[name, tuple(sorted(labels.items()))] = float(value)
        for key, value in self.before.items():
            if key not in now:
                fail(f"{key} is gone")
            if now[key] < value:
                fail(f"{key} went from {value} to {now[key]}")
        counted = {tuple(dict(labels)[k] for k in ("source", "vni", "generation")) for _, labels in now}
        if set(infos) != counted or len(infos) != 4:
            fail(f"infos of {sorted(infos)}, counters of {sorted(counted)}")
        for session, labels in infos.items():
            if labels["nf"] != f"nf-{int(session[1]) - 4320}-{nf}":
                fail(f"session {session} is called {labels['nf']}, its nf must end in {nf}")
        self.before = now


def main():
    pid, config, names, log, url, n = sys.argv[1:]
    pid, n, log = int(pid), int(n), Path(log)
    good = Path(config).read_text()
    pids, series, nf, before = children(pid), Series(), 0, None
    if len(pids) != 3:
        fail(f"{len(pids)} processes, must be 3")
    heard = answers(log)
    for i in range(1, n + 1):
        is_broken = i % 10 == 0
        if is_broken:
            replace(config, good + BROKEN[i // 10 % len(BROKEN)])
        else:
            nf = i
            replace(names, names_file(i))
        os.kill(pid, signal.SIGHUP)
        heard += 1
        await_answer(log, heard)
        if is_broken:
            replace(config, good)
        if i % 5 == 0:
            text = scrape(url)
            ok = int(float(re.search(r"^vxprobe_config_last_reload_successful (\S+)$", text, re.M)[1]))
            if ok == is_broken:
                fail(f"reload {i}: successful is {ok}")
            series.look(text, nf)
        heard = max(heard, answers(log))  # the watch on the names file may have answered too
        if i == max(n // 10, 5):
            before = resources(pids, log.parent)
    after = resources(pids, log.parent)
    for p in pids:
        if after[p][:2] != before[p][:2] or after[p][2] > before[p][2] + MEMORY_SLACK:
            fail(f"process {p}: {before[p]} descriptors, snapshots and KiB after the first tenth, {after[p]} at the end")
    print(f"{n} reloads, {n // 10} of them broken; descriptors, snapshots and KiB of the three processes "
          f"{[before[p] for p in pids]} then, {[after[p] for p in pids]} at the end")


if __name__ == "__main__":
    main()
