#!/usr/bin/env python3
"""kpis: judges whether two metrics files have the same KPIs, summed over sessions.
Usage: kpis.py same A B

Which direction a session's first packets had is learned while they come: only the sum of ingress,
egress and undirected is compared. Sums of times may differ by a tick of 256 ns per sample, buckets
by one sample in 200, which lay at an edge. Prints how many were compared; exit 1 with a sentence each."""

import re
import sys
from collections import Counter
from decimal import Decimal

SAMPLE = re.compile(r"^(vxprobe_\w+)\{(.*)\} (\S+)$", re.M)
LABEL = re.compile(r'(\w+)="([^"]*)"')
OF_SESSION = {"source", "vni", "generation"}
DIRECTION = re.compile(r"_session_(ingress|egress|undirected)_")
# What a session is called, and when its last packet came, is no KPI; the interval of the loss comes from
# blocks of ACKs, which each worker forms of its own flows.
LEFT_OUT = re.compile(r"_info$|_timestamp_seconds$|_loss_(low|high)_ratio$")


def kpis(path):
    found = Counter()
    with open(path, encoding="utf-8") as file:
        for metric, labels, value in SAMPLE.findall(file.read()):
            pairs = dict(LABEL.findall(labels))
            if OF_SESSION <= pairs.keys() and not LEFT_OUT.search(metric):
                rest = ",".join(f'{k}="{v}"' for k, v in pairs.items() if k not in OF_SESSION)
                found[DIRECTION.sub("_session_all_", metric) + "{" + rest + "}"] += Decimal(value)
    return found


def is_near(name, left, right):
    """Times are kept in ticks of 256 ns: a sample may be one off, and so in the next bucket."""
    samples = left.get(re.sub("_(sum|bucket)$", "_count", name.partition("{")[0]) + re.sub(r',?le="[^"]*"', "", "{" + name.partition("{")[2]))
    difference = abs(left.get(name, 0) - right.get(name, 0))
    if "_seconds_sum{" in name:
        return difference <= samples * Decimal("256e-9")
    if "_seconds_total{" in name:
        return difference <= Decimal("1e-5")
    return "_seconds_bucket{" in name and difference <= max(1, samples // 200)


def same(a, b):
    left, right = kpis(a), kpis(b)
    names = sorted(left.keys() | right.keys())
    wrong = [n for n in names if left.get(n) != right.get(n) and not is_near(n, left, right)]
    for name in wrong:
        print(f"{name}: {left.get(name)} in {a}, {right.get(name)} in {b}", file=sys.stderr)
    if wrong or not any(left[n] for n in names):
        sys.exit(f"kpis: {len(wrong)} of {len(names)} differ" if names else "kpis: nothing to compare")
    print(f"{len(names)} KPIs, {sum(bool(left[n]) for n in names)} of them not 0")


def main():
    match sys.argv[1:]:
        case ["same", a, b]:
            same(a, b)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
