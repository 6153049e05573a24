#!/usr/bin/env python3
"""openmetrics: judges pages of metrics by Prometheus' own Python client. Exit 1 with one sentence.

  same TEXT... OPENMETRICS   all are the same page: the last in OpenMetrics 1.0, the others in text
                             0.0.4; but for what changes while nothing happens
  labels OPENMETRICS NF...   no label says what is in a packet: of KPIs, only which session or NF it
                             is, and words of the list here; every bucket with a sample since its
                             start has an exemplar of its session, within it"""

import math
import re
import sys
import time

sys.path.append("/usr/lib/python3/dist-packages")  # Debian's, also for another python3

from prometheus_client.openmetrics import parser as openmetrics  # noqa: E402
from prometheus_client import parser as text  # noqa: E402

# These change from page to page; only their presence is judged.
ALIVE = ("process_cpu_seconds_total", "process_resident_memory_bytes", "process_virtual_memory_bytes",
         "process_open_fds", "vxprobe_exporter_render_seconds", "vxprobe_clock_error_seconds",
         "vxprobe_session_last_packet_timestamp_seconds")


def fail(sentence):
    sys.exit(f"openmetrics: {sentence}")


def read(path, parser):
    """{(sample, labels): value}, and the families' types by the name of text 0.0.4."""
    values, families = {}, {}
    with open(path, encoding="utf-8") as page:
        try:
            found = list(parser.text_string_to_metric_families(page.read()))
        except ValueError as error:
            fail(f"{path}: {error}")
    for family in found:
        if family.name in families:
            fail(f"{path}: the family {family.name} comes twice")
        families[family.name] = family
        for s in family.samples:
            key = s.name, tuple(sorted(s.labels.items()))
            if key in values:
                fail(f"{path}: {key} comes twice")
            values[key] = 0 if s.name in ALIVE else s.value
    return values, families


def check_families(families):
    """What OpenMetrics 1.0 asks for and its parser lets pass."""
    for name, family in families.items():
        if not family.documentation:
            fail(f"{name} has no help")
        for unit in ("bytes", "seconds"):
            if name.endswith(f"_{unit}") and family.unit != unit:
                fail(f"{name} has the unit '{family.unit}'")
        if family.type not in ("counter", "gauge", "info", "histogram"):
            fail(f"{name} is of type {family.type}")
        if any(math.isnan(s.value) or s.value < 0 for s in family.samples):
            fail(f"{name} has a value that is negative or none")


def same(pages, last):
    want, families = read(last, openmetrics)
    check_families(families)
    for page in pages:
        got, _ = read(page, text)
        for key in want.keys() ^ got.keys():
            fail(f"{key} is not in both {page} and {last}")
        for key, value in got.items():
            if value != want[key]:
                fail(f"{key} is {value} in {page} and {want[key]} in {last}")
    print(f"openmetrics: {len(families)} families, {len(want)} samples, the same in {1 + len(pages)} pages")


# What labels of KPIs may be called, and be; a new one is to be thought about here.
SESSION = {"source": r"[0-9a-f.:]+", "vni": r"[0-9]+", "generation": r"[0-9]+"}
WORDS = {"l4": "tcp udp sctp icmp other ue_tcp", "protocol": "tcp udp sctp icmp other", "layer": "mirror ue",
         "transport": "tcp sctp", "side": "client server", "by": "client server", "version": "1 2 draft other"}
WORD = r"[a-z][a-z_]*"  # of a row: reason, phase, kind, class, chunk, cause


def check_labels(name, labels, nfs):
    """Which session or NF it is of, and words; text that packets carry is neither."""
    is_nf = name.startswith("vxprobe_nf_")
    for label, value in labels.items():
        if is_nf and label == "nf":
            fits = value in nfs
        elif not is_nf and label in SESSION:
            fits = re.fullmatch(SESSION[label], value)
        elif label in WORDS:
            fits = value in WORDS[label].split()
        elif label in ("reason", "phase", "kind", "class", "chunk", "cause"):
            fits = re.fullmatch(WORD, value) or re.fullmatch(r"[0-9]+", value)
        else:
            fits = label == "le"
        if not fits:
            fail(f"{name} has the label {label}={value}")


def check_exemplar(sample, below):
    """Of the session of its bucket, behind the edge below and up to its own, of this hour."""
    x = sample.exemplar
    if not x:
        fail(f"{sample.name} {sample.labels} has no exemplar")
    if set(x.labels) != {"source", "vni"} or sum(len(k) + len(v) for k, v in x.labels.items()) > 128:
        fail(f"{sample.name} has an exemplar of {x.labels}")
    if "source" in sample.labels and any(x.labels[k] != sample.labels[k] for k in x.labels):
        fail(f"{sample.name} {sample.labels} has an exemplar of {x.labels}")
    if not below <= x.value <= float(sample.labels["le"]):
        fail(f"{sample.name} {sample.labels} has an exemplar of {x.value} s")
    if abs(time.time() - float(x.timestamp)) > 3600:
        fail(f"{sample.name} {sample.labels} has an exemplar of {x.timestamp}")


def check_buckets(family):
    """Those that hold more than the bucket below. Returns their number."""
    below, n = (0.0, 0), 0
    for s in family.samples:
        if not s.name.endswith("_bucket"):
            below = 0.0, 0
            continue
        if s.value > below[1]:
            check_exemplar(s, below[0])
            n += 1
        elif s.exemplar:
            fail(f"{s.name} {s.labels} has an exemplar of nothing")
        below = float(s.labels["le"]), s.value
    return n


def labels(path, nfs):
    _, families = read(path, openmetrics)
    kpis = exemplars = 0
    for name, family in families.items():
        if family.type == "histogram":
            exemplars += check_buckets(family)
        for s in family.samples:
            if family.type != "info" and ("source" in s.labels or name.startswith("vxprobe_nf_")):
                check_labels(s.name, s.labels, nfs)
                kpis += 1
    if not kpis:
        fail(f"{path} has no KPIs")
    print(f"openmetrics: {kpis} samples have no other labels; {exemplars} exemplars")


def main():
    if len(sys.argv) >= 4 and sys.argv[1] == "same":
        same(sys.argv[2:-1], sys.argv[-1])
    elif len(sys.argv) >= 3 and sys.argv[1] == "labels":
        labels(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
