#!/usr/bin/env python3
"""openmetrics: judges pages of metrics by Prometheus' own Python client. Exit 1 with one sentence.

  same TEXT... OPENMETRICS   all are the same page: the last in OpenMetrics 1.0, the others in text
                             0.0.4; but for what changes while nothing happens"""

import math
import sys

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


if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[1] != "same":
        sys.exit(__doc__)
    same(sys.argv[2:-1], sys.argv[-1])
