#!/usr/bin/env python3
"""cpu: CPU time of a probe, by the scheduler's own clock (/proc/PID/task/TID/schedstat).

  cpu.py idle PID SECONDS                  share of a core that all its processes take, in percent
  cpu.py scraped PID URL ROUNDS SECONDS    what scraping costs its workers: CPU time per packet in
                                           windows of SECONDS, in each round a quiet one, one with a
                                           scrape every 100 ms, a quiet one. Prints the ratio of the
                                           medians; by how much two halves of the quiet windows
                                           differ, in 99 of 100 ways to halve them; the scrapes"""

import random
import re
import statistics
import sys
import time
import urllib.request
from pathlib import Path

SCRAPE_S = 0.1


def children(pid):
    return [int(p) for task in Path(f"/proc/{pid}/task").iterdir()
            for p in (task / "children").read_text().split()]


def family(pid):
    return [pid] + [grandchild for child in children(pid) for grandchild in family(child)]


def tasks(pid):
    return {t: (t / "comm").read_text().strip() for t in Path(f"/proc/{pid}/task").iterdir()}


def cpu_ns(task_folders):
    return sum(int((t / "schedstat").read_text().split()[0]) for t in task_folders)


def idle(pid, seconds):
    everything = [t for p in family(pid) for t in tasks(p)]
    before, start = cpu_ns(everything), time.monotonic_ns()
    time.sleep(seconds)
    print(f"{100 * (cpu_ns(everything) - before) / (time.monotonic_ns() - start):.3f}")


def scrape(url):
    with urllib.request.urlopen(url, timeout=10) as page:
        return page.read().decode()


def packets(url):
    return sum(int(n) for n in re.findall(r"^vxprobe_worker_packets_total\{.*\} (\d+)$", scrape(url), re.M))


def window(workers, url, seconds, scraping):
    """(CPU ns per packet, scrapes). Both counters are read at both ends of either kind of window."""
    packets_before, ns_before, n = packets(url), cpu_ns(workers), 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if scraping:
            scrape(url)
            n += 1
        time.sleep(max(0, min(SCRAPE_S, end - time.monotonic())))
    ns = cpu_ns(workers) - ns_before
    taken = packets(url) - packets_before
    if not taken:
        sys.exit("cpu: no packets came in a window")
    return ns / taken, n


def noise(costs):
    """How far apart the medians of two random halves are."""
    shuffled, apart, chance = list(costs), [], random.Random(1)
    for _ in range(1000):
        chance.shuffle(shuffled)
        a, b = (statistics.median(half) for half in (shuffled[::2], shuffled[1::2]))
        apart.append(max(a, b) / min(a, b) - 1)
    return sorted(apart)[989]


def scraped(pid, url, rounds, seconds):
    workers = [t for p in family(pid) for t, name in tasks(p).items() if name.startswith("worker-")]
    if not workers:
        sys.exit("cpu: no thread is called worker-N")
    quiet, busy, scrapes = [], [], 0
    for _ in range(rounds):
        for scraping, costs in ((False, quiet), (True, busy), (False, quiet)):
            cost, n = window(workers, url, seconds, scraping)
            costs.append(cost)
            scrapes += n
    print("ns per packet, quiet:", *map(round, quiet), "scraped:", *map(round, busy), file=sys.stderr)
    print(f"{statistics.median(busy) / statistics.median(quiet):.3f} {noise(quiet):.3f} {scrapes}")


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "idle":
        idle(int(sys.argv[2]), float(sys.argv[3]))
    elif len(sys.argv) == 6 and sys.argv[1] == "scraped":
        scraped(int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))
    else:
        sys.exit(__doc__)
